"""Every way in which CLAP gives a wrong answer without a word, provoked."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.embedders.clap import making
from trichord.embedders.backend import Runtime
from trichord.embedders.clap import package
from trichord.embedders.clap.backend import Clap
from trichord.errors import InvalidInput, MediaError, MissingExtra, ModelError, TrichordError
from trichord.types import Modality, Waveform

AUDIO, TEXT = Modality.AUDIO, Modality.TEXT
RATE = making.RATE


@pytest.fixture
def copy(tmp_path: Path, checkpoint: Path) -> Path:
    shutil.copytree(checkpoint, tmp_path / "copy")
    return tmp_path / "copy"


def load(folder: Path) -> None:
    """Constructs, and loads both towers."""
    Clap(str(folder)).warm_up()


BAD_SOUNDS: list[tuple[str, Any]] = [
    ("longer than a window of 10 s", Waveform(making.noise(10.01), RATE)),
    ("44100 Hz", Waveform(making.noise(1.0), 44_100)),
    ("empty", Waveform(np.zeros(0, np.float32), RATE)),
    ("silent", Waveform(np.zeros(RATE, np.float32), RATE)),
    ("silent", Waveform(np.full(RATE, 1e-7, np.float32), RATE)),
    ("not finite", Waveform(np.append(making.noise(1.0), np.float32(np.nan)), RATE)),
    ("not finite", Waveform(np.append(making.noise(1.0), np.float32(np.inf)), RATE)),
    ("mono", Waveform(making.noise(1.0).reshape(2, -1), RATE)),
    ("mono", Waveform(np.ones(RATE, np.int16), RATE)),  # type: ignore[arg-type]
    ("Waveform", making.noise(1.0)),
    ("Waveform", "rain.wav"),
    ("Waveform", None),
]


def test_bad_sound_is_the_error_of_its_row_only(checkpoint: Path) -> None:
    embedder = Clap(str(checkpoint)).embedder(AUDIO)
    good = Waveform(making.chirp(2.0), RATE)
    batch = [good, *(sound for _, sound in BAD_SOUNDS), good]
    found = embedder.embed(batch)
    assert sorted(found.errors) == list(range(1, len(batch) - 1))
    for index, (words, _) in enumerate(BAD_SOUNDS, start=1):
        assert isinstance(found.errors[index], MediaError)
        assert words in str(found.errors[index])
        assert not found.vectors[index].any()
    alone = embedder.embed([good]).vectors[0]
    assert np.abs(found.vectors[[0, -1]] - alone).max() < 1e-5
    only_bad = embedder.embed([sound for _, sound in BAD_SOUNDS])
    assert len(only_bad.errors) == len(BAD_SOUNDS) and not only_bad.vectors.any()


def test_windows_bound_what_is_heard(checkpoint: Path) -> None:
    short = Clap(str(checkpoint), window_ms=2_000, hop_ms=1_000).embedder(AUDIO)
    found = short.embed([Waveform(making.noise(2.0), RATE), Waveform(making.noise(2.1), RATE)])
    assert list(found.errors) == [1]
    for wrong in ({"window_ms": 10_001}, {"window_ms": 0}, {"window_ms": 500}, {"hop_ms": 0}):
        with pytest.raises(InvalidInput):
            Clap(str(checkpoint), **wrong)  # type: ignore[arg-type]


def test_bad_text_is_the_error_of_its_row_only(checkpoint: Path) -> None:
    embedder = Clap(str(checkpoint)).embedder(TEXT)
    found = embedder.embed(["rain", "", "  \n", 7, None, b"rain", "rain"])
    assert sorted(found.errors) == [1, 2, 3, 4, 5]
    assert all(isinstance(error, InvalidInput) for error in found.errors.values())
    assert np.array_equal(found.vectors[0], found.vectors[6]) and found.vectors[0].any()


def test_a_model_that_makes_nonsense_gives_errors(copy: Path) -> None:
    state = load_file(copy / "model.safetensors")
    for tower in ("audio", "text"):
        state[f"{tower}_projection.linear2.bias"][:] = torch.nan
    save_file(state, copy / "model.safetensors", {"format": "pt"})
    clap = Clap(str(copy))
    for modality, batch in ((AUDIO, making.sounds()[:2]), (TEXT, ["rain", "dogs"])):
        found = clap.embedder(modality).embed(batch)
        assert all(isinstance(error, ModelError) for error in found.errors.values())
        assert len(found.errors) == 2 and not found.vectors.any()


@pytest.mark.parametrize(
    "lost",
    ["audio_model.audio_encoder.layers.1.blocks.0.attention.self.key.weight",
     "audio_model.audio_encoder.batch_norm.running_var", "text_projection.linear1.bias"],
)  # fmt: skip
def test_missing_weights_are_not_made_up(copy: Path, lost: str) -> None:
    state = load_file(copy / "model.safetensors")
    del state[lost]
    save_file(state, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="lacks 1 of the model's weights"):
        load(copy)


def test_counters_may_be_missing(copy: Path, checkpoint: Path) -> None:
    state = load_file(copy / "model.safetensors")
    kept = {
        key: value
        for key, value in state.items()
        if not key.endswith(("relative_position_index", "position_ids", "token_type_ids"))
    }
    assert len(kept) < len(state)
    save_file(kept, copy / "model.safetensors", {"format": "pt"})
    for modality, batch in ((AUDIO, making.sounds()[:3]), (TEXT, making.TEXTS)):
        whole, part = (
            Clap(str(folder)).embedder(modality).embed(batch).vectors
            for folder in (checkpoint, copy)
        )
        assert np.array_equal(whole, part)


def test_weights_of_another_architecture(copy: Path, fused: Path) -> None:
    shutil.copy(fused / "model.safetensors", copy / "model.safetensors")
    with pytest.raises(ModelError, match="does not take"):
        load(copy)


@pytest.mark.parametrize("dim", [16, 64])
def test_a_wrong_dimension(copy: Path, dim: int) -> None:
    making.edit(copy / "config.json", projection_dim=dim)
    with pytest.raises(ModelError, match="does not load"):
        load(copy)


@pytest.mark.parametrize(
    ("file", "values", "words"),
    [
        ("config.json", {"model_type": "clip"}, "not CLAP"),
        ("config.json", {"audio_config.depths": "many"}, "cannot be read"),
        ("config.json", {"audio_config.num_mel_bins": 128}, "128"),
        ("config.json", {"audio_config.enable_fusion": True}, "fusion"),
        ("processor_config.json", {"feature_extractor.truncation": "fusion"}, "fusion"),
        ("processor_config.json", {"feature_extractor.feature_size": 80}, "80 mel bands"),
        ("processor_config.json", {"feature_extractor.max_length_s": 20}, "more frames"),
        ("processor_config.json", {"feature_extractor": None}, "preprocessor_config.json"),
    ],
)
def test_settings_that_do_not_fit(
    copy: Path, file: str, values: dict[str, Any], words: str
) -> None:
    making.edit(copy / file, **values)
    with pytest.raises(ModelError, match=words):
        Clap(str(copy))


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("model.safetensors", "no weights"),
        ("config.json", "cannot be read"),
        ("processor_config.json", "preprocessor_config.json is missing"),
        ("tokenizer.json", "no tokenizer"),
    ],
)
def test_missing_files(copy: Path, gone: str, words: str) -> None:
    (copy / gone).unlink()
    with pytest.raises(ModelError, match=words):
        Clap(str(copy))


def test_damaged_files(copy: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="does not load"):
        load(copy)
    (copy / "config.json").write_text("{")
    with pytest.raises(ModelError, match="no JSON"):
        Clap(str(copy))


def test_settings_in_a_file_of_their_own(copy: Path, checkpoint: Path) -> None:
    (copy / "processor_config.json").unlink()
    making.extractor().save_pretrained(copy)
    assert (copy / "preprocessor_config.json").is_file()
    assert Clap(str(copy)).facts(AUDIO) == Clap(str(checkpoint)).facts(AUDIO)


def test_pickled_weights_are_read_without_their_code(copy: Path, checkpoint: Path) -> None:
    state = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    torch.save(state, copy / "pytorch_model.bin")
    batch = making.sounds()[:2]
    expected = Clap(str(checkpoint)).embedder(AUDIO).embed(batch).vectors
    assert np.array_equal(Clap(str(copy)).embedder(AUDIO).embed(batch).vectors, expected)
    torch.save({**state, "more": Evil(copy / "ran")}, copy / "pytorch_model.bin")
    with pytest.raises(ModelError):
        load(copy)
    assert not (copy / "ran").exists()


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


# Tokenizers


def test_an_empty_tokenizer(copy: Path) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    empty = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, []))
    PreTrainedTokenizerFast(
        tokenizer_object=empty, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(copy)
    with pytest.raises(ModelError, match="knows 5 tokens, the text tower 400"):
        load(copy)


def test_a_tokenizer_to_which_all_texts_are_the_same(copy: Path) -> None:
    from tokenizers import Tokenizer, models, processors
    from transformers import PreTrainedTokenizerFast

    names = ["<s>", "<pad>", "</s>", "<unk>", *(f"word{i}" for i in range(making.VOCABULARY - 4))]
    made = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, "<unk>"))
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", bos_token="<s>",
        eos_token="</s>",
    ).save_pretrained(copy)  # fmt: skip
    with pytest.raises(ModelError, match="the same tokens"):
        load(copy)


@pytest.mark.parametrize("size", [300, 401])
def test_a_tokenizer_of_another_model(copy: Path, size: int) -> None:
    making.tokenizer(size).save_pretrained(copy)
    making.edit(copy / "config.json", **{"text_config.vocab_size": 400 if size > 400 else 1000})
    with pytest.raises(ModelError, match=f"knows {size} tokens"):
        Clap(str(copy)).token_offsets("rain")


def test_another_padding(copy: Path) -> None:
    making.edit(copy / "tokenizer_config.json", pad_token="<mask>")
    with pytest.raises(ModelError, match="pads with 4, not 1"):
        load(copy)


def test_a_tokenizer_without_start_and_end(copy: Path) -> None:
    making.edit(copy / "tokenizer.json", post_processor=None)
    with pytest.raises(ModelError, match="start and one end"):
        load(copy)


# Where models are found


def test_offline_and_not_cached(tmp_path: Path) -> None:
    runtime = Runtime(offline=True, cache=tmp_path)
    with pytest.raises(ModelError, match="trichord space add") as caught:
        Clap("laion/clap-htsat-unfused", runtime=runtime)
    assert "laion/clap-htsat-unfused" in str(caught.value)
    assert caught.value.details["model"] == "laion/clap-htsat-unfused"


def test_cached_models_need_no_network(tmp_path: Path, checkpoint: Path) -> None:
    repository = tmp_path / "models--laion--clap-small"
    shutil.copytree(checkpoint, repository / "snapshots" / ("a" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    for offline in (True, False):  # no test reaches the hub: both must come from the cache
        clap = Clap("laion/clap-small", runtime=Runtime(offline=offline, cache=tmp_path))
        assert clap.frame == Clap(str(checkpoint)).frame
        assert clap.facts(AUDIO) == Clap(str(checkpoint)).facts(AUDIO)
    clap.embedder(TEXT).warm_up()
    with pytest.raises(ModelError):
        Clap("laion/clap-small", revision="v2", runtime=Runtime(offline=True, cache=tmp_path))


@pytest.mark.parametrize("name", ["/nowhere/clap", "./nowhere", "a/b/c", "two words"])
def test_names_that_are_no_model(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        Clap(name, runtime=Runtime(offline=True, cache=tmp_path))


def test_arguments(checkpoint: Path, laion: Path) -> None:
    with pytest.raises(InvalidInput, match="loader"):
        Clap(str(checkpoint), loader="onnx")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="revision"):
        Clap(str(laion), loader="laion-pt", revision="main")
    with pytest.raises(InvalidInput, match="tokenizer"):
        Clap(str(checkpoint), tokenizer=str(checkpoint))
    with pytest.raises(ModelError, match=r"LAION's \.pt"):
        Clap(str(checkpoint), loader="laion-pt")
    clap = Clap(str(checkpoint))
    for call in (clap.facts, clap.embedder):
        with pytest.raises(InvalidInput, match="image"):
            call(Modality.IMAGE)
    with pytest.raises(InvalidInput):
        clap.token_offsets(7)  # type: ignore[arg-type]


# LAION's files


def edited(tmp_path: Path, **changes: torch.Tensor | None) -> Path:
    """A LAION file with weights added, changed or (None) taken away; "__" stands for a point."""
    state = making.laion_state(making.model())
    for name, value in changes.items():
        key = name.replace("__", ".")
        if value is None:
            del state[key]
        else:
            state[key] = value
    return making.laion_file(tmp_path, state)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("audio_branch.patch_embed.mel_conv2d.weight", "fused"),
        ("audio_branch.patch_embed.fusion_model.local_att.0.weight", "fused"),
        ("audio_branch.conv_block1.conv1.weight", "PANN"),
        ("audio_branch.absolute_pos_embed", "absolute positions"),
        ("token_embedding.weight", "CLIP's text transformer"),
        ("text_branch.shared.weight", "BART"),
    ],
)
def test_kinds_that_are_not_supported(tmp_path: Path, key: str, words: str) -> None:
    path = edited(tmp_path, **{key: torch.zeros(2)})
    with pytest.raises(ModelError, match=words):
        Clap(str(path), loader="laion-pt")


def test_bert_is_told_from_roberta(tmp_path: Path) -> None:
    key = "text_branch.embeddings.token_type_embeddings.weight"
    path = edited(tmp_path, **{key: torch.zeros(2, 64)})
    with pytest.raises(ModelError, match="BERT"):
        Clap(str(path), loader="laion-pt")


def test_laion_files_with_weights_missing_or_too_many(tmp_path: Path) -> None:
    gone = edited(tmp_path, **{"audio_branch.layers.0.blocks.0.mlp.fc1.bias": None})
    with pytest.raises(ModelError, match="lacks 1"):
        Clap(str(gone), loader="laion-pt").embedder(AUDIO).warm_up()
    more = edited(tmp_path, **{"audio_branch.layers.0.blocks.0.mlp.fc3.bias": torch.zeros(3)})
    with pytest.raises(ModelError, match="does not take"):
        Clap(str(more), loader="laion-pt").embedder(AUDIO).warm_up()
    wide = edited(tmp_path, **{"audio_projection.0.bias": torch.zeros(7)})
    with pytest.raises(ModelError, match="does not load"):
        Clap(str(wide), loader="laion-pt").embedder(AUDIO).warm_up()
    headless = edited(tmp_path, **{"audio_projection.2.weight": None})
    with pytest.raises(ModelError, match="no CLAP checkpoint"):
        Clap(str(headless), loader="laion-pt")


def test_other_mel_filters(tmp_path: Path) -> None:
    filters = torch.from_numpy(making.extractor(low_hz=0).mel_filters_slaney).float()
    path = edited(tmp_path, **{"audio_branch.logmel_extractor.melW": filters})
    with pytest.raises(ModelError, match="mel filters"):
        Clap(str(path), loader="laion-pt").embedder(AUDIO).warm_up()


def test_code_in_a_laion_file_is_not_run(tmp_path: Path) -> None:
    path = making.laion_file(tmp_path, making.laion_state(making.model()))
    torch.save({"state_dict": {"a": torch.zeros(2)}, "more": Evil(tmp_path / "ran")}, path)
    with pytest.raises(ModelError, match="nothing of it was run"):
        Clap(str(path), loader="laion-pt")
    assert not (tmp_path / "ran").exists()


def test_plain_and_old_laion_files(tmp_path: Path, laion: Path) -> None:
    """Weights alone without "module.", and torch's format before zip archives."""
    state = making.laion_state(making.model())
    expected = Clap(str(laion), loader="laion-pt").embedder(TEXT).embed(making.TEXTS).vectors
    path = making.laion_file(tmp_path, state)
    for zipped in (True, False):
        torch.save(state, path, _use_new_zipfile_serialization=zipped)
        clap = Clap(str(path), loader="laion-pt")
        assert np.array_equal(clap.embedder(TEXT).embed(making.TEXTS).vectors, expected)


def test_numpy_scalars_by_their_old_name(tmp_path: Path, laion: Path) -> None:
    """Files written with numpy 1 name the module numpy.core; LAION's are of that time."""
    import zipfile

    path = tmp_path / "old.pt"
    seen = 0
    with zipfile.ZipFile(laion) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename.endswith("/data.pkl"):
                seen = content.count(b"numpy._core.multiarray")
                content = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            target.writestr(entry.filename, content)
    assert seen
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(laion.parent / name, tmp_path / name)
    found, expected = (
        Clap(str(file), loader="laion-pt").embedder(TEXT).embed(making.TEXTS).vectors
        for file in (path, laion)
    )
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nothing", b"\x80\x02}q\x00.", b"text"])
def test_files_that_are_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    path = making.laion_file(tmp_path, making.laion_state(making.model()))
    path.write_bytes(content)
    with pytest.raises(ModelError):
        Clap(str(path), loader="laion-pt")


def test_other_objects_are_no_weights(tmp_path: Path) -> None:
    path = making.laion_file(tmp_path, making.laion_state(making.model()))
    for content in ([1, 2], {"state_dict": {"a": 3}}, {}, torch.zeros(3)):
        torch.save(content, path)
        with pytest.raises(ModelError, match="weights"):
            Clap(str(path), loader="laion-pt")


def test_where_laions_tokenizer_is_found(tmp_path: Path, laion: Path) -> None:
    alone = tmp_path / "alone" / laion.name
    alone.parent.mkdir()
    shutil.copy(laion, alone)
    cache = tmp_path / "cache"
    runtime = Runtime(offline=True, cache=cache)
    with pytest.raises(ModelError, match="roberta-base"):
        Clap(str(alone), loader="laion-pt", runtime=runtime)
    with pytest.raises(ModelError, match="tokenizer"):
        Clap(str(alone), loader="laion-pt", tokenizer=str(tmp_path / "no"), runtime=runtime)
    given = Clap(str(alone), loader="laion-pt", tokenizer=str(laion.parent), runtime=runtime)
    snapshot = cache / "models--roberta-base" / "snapshots" / ("b" * 40)
    snapshot.mkdir(parents=True)
    (cache / "models--roberta-base" / "refs").mkdir()
    (cache / "models--roberta-base" / "refs" / "main").write_text("b" * 40)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(laion.parent / name, snapshot / name)
    cached = Clap(str(alone), loader="laion-pt", runtime=runtime)
    for clap in (given, cached):
        assert clap.facts(TEXT) == Clap(str(laion), loader="laion-pt").facts(TEXT)
        assert clap.token_offsets("rain")


def test_the_package_loader_without_the_package(
    laion: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"trichord\[laion-clap\]") as caught:
        Clap(str(laion), loader="package")
    assert isinstance(caught.value, TrichordError) and isinstance(caught.value, ImportError)
