"""A space from parts: one frame, shared models, projected sounds, identities part by part."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from tests.embedders.spaces.making import Families, clip_and_clap, projector
from tests.fakes import COLOURS, PITCHES
from trichord.embedders.backend import Runtime
from trichord.embedders.composed import ComposedSpace
from trichord.embedders.definition import Definition, Part, read
from trichord.embedders.media.image import REDUCTION
from trichord.errors import FrameMismatch, InvalidInput, ModelError
from trichord.types import Frame, Modality, Waveform


@pytest.fixture
def definition(tmp_path: Path) -> Definition:
    return read(clip_and_clap(tmp_path))


def tone(pitch: str, seconds: float = 1.0) -> Waveform:
    time = np.arange(int(8_000 * seconds)) / 8_000
    return Waveform((0.5 * np.sin(2 * np.pi * PITCHES[pitch] * time)).astype(np.float32), 8_000)


def test_parts_share_a_model_and_its_frame(definition: Definition) -> None:
    families = Families()
    joint = ComposedSpace(definition, Runtime(offline=True, device="cpu"), opener=families)
    assert families.opened == [], "nothing is opened before it is asked for"
    assert joint.frame.dim == 32 and joint.frame.anchor.startswith("open_clip/")
    assert set(joint.space.encoders) == set(Modality)
    assert sorted(made.family for made in families.opened) == ["clap", "open_clip"]
    assert all(made.runtime.offline for made in families.opened)
    assert all(made.loads == [] for made in families.opened), "identities load no model"
    assert (joint.audio_rate, joint.audio_window_ms, joint.audio_hop_ms) == (8_000, 1_000, 1_000)
    assert (joint.text_chunk_tokens, joint.text_overlap_tokens) == (12, 3)
    assert joint.image_side == 24
    assert joint.token_offsets("two words") == [(0, 3), (4, 9)]
    for modality in Modality:
        embedder = joint.embedder(modality)
        assert embedder is joint.embedder(modality)
        assert embedder.frame == joint.frame and embedder.modality is modality
        assert embedder.encoder.id == joint.space.encoders[modality]


def test_sounds_come_into_the_frame_of_the_texts(definition: Definition) -> None:
    joint = ComposedSpace(definition, opener=Families())
    sounds = joint.embedder(Modality.AUDIO).embed([tone("low"), tone("high")])
    words = joint.embedder(Modality.TEXT).embed(["low", "high", "red"]).vectors
    assert sounds.vectors.shape == (2, 32) and not sounds.errors
    assert np.allclose(np.linalg.norm(sounds.vectors, axis=1), 1, atol=1e-5)
    assert (sounds.vectors @ words.T).argmax(axis=1).tolist() == [0, 1]
    picture = np.full((8, 8, 3), COLOURS["red"], np.uint8)
    red = joint.embedder(Modality.IMAGE).embed([picture]).vectors
    assert (red @ words.T).argmax() == 2
    assert joint.embedder(Modality.AUDIO).embed([]).vectors.shape == (0, 32)


def test_errors_stay_those_of_their_rows(definition: Definition) -> None:
    replaced = definition.without(Modality.AUDIO, Modality.IMAGE)
    text = replace(replaced.parts[Modality.TEXT], backend="sentence-transformers", model="mini")
    with_text = replace(definition, parts={**definition.parts, Modality.TEXT: text})
    families = Families()
    source = families("sentence-transformers", "mini", {}, Runtime()).frame
    frame = families("open_clip", definition.parts[Modality.IMAGE].model, {}, Runtime()).frame
    path = definition.parts[Modality.AUDIO].projector
    assert path is not None
    projector(source, frame).save(path.with_name("text.safetensors"))
    text = replace(text, projector=path.with_name("text.safetensors"))
    with_text = replace(with_text, parts={**with_text.parts, Modality.TEXT: text})
    joint = ComposedSpace(with_text, opener=families)
    found = joint.embedder(Modality.TEXT).embed(["red", "", "blue", "!"])
    assert sorted(found.errors) == [1, 3]
    assert np.allclose(np.linalg.norm(found.vectors, axis=1), [1, 0, 1, 0], atol=1e-5)


def test_a_projector_changes_the_sounds_alone(definition: Definition, tmp_path: Path) -> None:
    before = ComposedSpace(definition, opener=Families()).space.encoders
    clip_and_clap(tmp_path, tilt=0.01)
    after = ComposedSpace(definition, opener=Families()).space
    assert {m for m in Modality if before[m] != after.encoders[m]} == {Modality.AUDIO}
    (tmp_path / "image.bin").write_bytes(b"trained further")
    with pytest.raises(FrameMismatch, match="needs a projector from .* into open_clip/fake"):
        _ = ComposedSpace(definition, opener=Families()).space


def test_windows_and_options_are_part_of_who_one_is(definition: Definition) -> None:
    def ids(**changes: object) -> dict[Modality, str]:
        sound = replace(definition.parts[Modality.AUDIO], **changes)  # type: ignore[arg-type]
        changed = replace(definition, parts={**definition.parts, Modality.AUDIO: sound})
        return dict(ComposedSpace(changed, opener=Families()).space.encoders)

    plain = ids()
    assert ids(hop_ms=500)[Modality.AUDIO] != plain[Modality.AUDIO]
    assert ids(hop_ms=500)[Modality.TEXT] == plain[Modality.TEXT]
    assert ids(options={"revision": "v2"})[Modality.AUDIO] != plain[Modality.AUDIO]
    # where a file lies and what the space is called is no part of it
    other = ComposedSpace(definition.renamed("other"), opener=Families())
    assert dict(other.space.encoders) == plain and other.name == "other"


def test_how_pictures_are_reduced_is_part_of_who_one_is(definition: Definition) -> None:
    joint = ComposedSpace(definition, opener=Families())
    facts = joint.encoders[Modality.IMAGE].facts
    assert facts["decoding"] == {"reduction": REDUCTION, "side": 24}
    assert "decoding" not in joint.encoders[Modality.TEXT].facts


def test_windows_of_a_family_that_takes_none_are_cut_here() -> None:
    def cut(**windows: int) -> tuple[int, int, str]:
        part = Part("duet", **windows)  # type: ignore[arg-type]
        joint = ComposedSpace(
            Definition("x", {Modality.AUDIO: part}),
            opener=lambda _, *given: Families()("clap", *given),
        )
        return joint.audio_window_ms, joint.audio_hop_ms, joint.space.encoders[Modality.AUDIO]

    assert cut()[:2] == (2_000, 2_000)
    assert cut(window_ms=1_500)[:2] == (1_500, 1_500)
    assert cut(hop_ms=500)[:2] == (2_000, 500)
    assert len({cut()[2], cut(window_ms=1_500)[2], cut(hop_ms=500)[2]}) == 3
    with pytest.raises(InvalidInput, match="at most 2000 ms"):
        cut(window_ms=3_000)
    with pytest.raises(InvalidInput, match="no longer than windows"):
        cut(window_ms=1_000, hop_ms=1_500)


def test_frames_without_a_bridge_are_refused(definition: Definition) -> None:
    sound = replace(definition.parts[Modality.AUDIO], projector=None)
    bare = replace(definition, parts={**definition.parts, Modality.AUDIO: sound})
    with pytest.raises(FrameMismatch) as caught:
        _ = ComposedSpace(bare, opener=Families()).space
    assert "clap/fake" in str(caught.value) and "open_clip/fake" in str(caught.value)
    assert "trichord space fit" in str(caught.value)
    path = definition.parts[Modality.AUDIO].projector
    assert path is not None
    projector(Frame("clap/other", 24), Frame("open_clip/other", 32)).save(path)
    with pytest.raises(FrameMismatch, match="clap/other/24 into open_clip/other/32"):
        _ = ComposedSpace(definition, opener=Families()).space
    path.write_bytes(b"no projector")
    with pytest.raises(ModelError, match="damaged"):
        _ = ComposedSpace(definition, opener=Families()).space


def test_what_a_model_does_not_take(definition: Definition) -> None:
    text_only = definition.without(Modality.AUDIO)
    joint = ComposedSpace(text_only, opener=Families())
    assert joint.audio_rate == 16_000
    with pytest.raises(InvalidInput, match="no encoder for audio"):
        joint.embedder(Modality.AUDIO)
    pictures = {Modality.IMAGE: Part("sentence-transformers", "mini")}
    with pytest.raises(InvalidInput, match="mini of space 'x' embeds text, not image"):
        _ = ComposedSpace(Definition("x", pictures), opener=Families()).space
    with pytest.raises(InvalidInput, match="takes no text"):
        _ = ComposedSpace(
            Definition("x", {Modality.AUDIO: Part("clap", "m")}), opener=Families()
        ).token_offsets
    missing = Definition("x", {Modality.TEXT: Part("clap", "missing-model")})
    with pytest.raises(ModelError, match="text part of space 'x': missing-model"):
        _ = ComposedSpace(missing, opener=Families()).space


def test_many_threads_open_one_model(definition: Definition) -> None:
    families = Families()
    joint = ComposedSpace(definition, opener=families)
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda n: joint.embedder(list(Modality)[n % 3]), range(48)))
    assert len({id(one) for one in made}) == 3
    assert len(families.opened) == 2
    assert sorted(m for one in families.opened for m in one.loads) == sorted(Modality)


def test_while_one_model_loads_the_others_answer(definition: Definition) -> None:
    loading, go_on = Event(), Event()
    families = Families()

    def slow(*given: Any) -> Any:
        made = families(*given)
        inner = made.embedder

        def embedder(modality: Modality) -> Any:
            if modality is Modality.IMAGE:
                loading.set()
                assert go_on.wait(30)
            return inner(modality)

        made.embedder = embedder  # type: ignore[method-assign]
        return made

    joint = ComposedSpace(definition, opener=slow)
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(joint.embedder, Modality.IMAGE)
        assert loading.wait(30)
        assert joint.space.frame.dim == 32
        assert joint.embedder(Modality.TEXT).embed(["red"]).vectors.shape == (1, 32)
        go_on.set()
        assert pending.result(30) is joint.embedder(Modality.IMAGE)
