"""The inventory of concepts, the held-out split, captions and paraphrases."""

from __future__ import annotations

import itertools
import re
import shutil

import numpy as np
import pytest

from trichord.embedders.pocket import captions, concepts, dataset
from trichord.embedders.pocket.pictures import FONT, render_picture
from trichord.embedders.pocket.soundfont import SOUNDFONT, midi_file
from trichord.embedders.pocket.sounds import RECIPES, render_sound
from trichord.errors import InvalidInput, ModelError
from trichord.types import Modality

MEDIA = (Modality.IMAGE, Modality.AUDIO)
needs_font = pytest.mark.skipif(not FONT.is_file(), reason="fonts-noto-color-emoji not installed")
needs_soundfont = pytest.mark.skipif(
    not SOUNDFONT.is_file() or shutil.which("fluidsynth") is None,
    reason="fluidsynth and fluid-soundfont-gm not installed",
)


def test_inventory_is_as_large_as_promised() -> None:
    assert len(concepts.of(Modality.IMAGE)) >= 200
    assert len(concepts.of(Modality.AUDIO)) >= 80
    assert len(concepts.shared()) >= 60
    names = {c.name for c in concepts.shared()}
    assert names >= {"rain", "thunderstorm", "bell", "siren", "violin", "drum", "bird", "clock"}
    for modality in MEDIA:
        assert sum(bool(c.attributes(modality)) for c in concepts.of(modality)) >= 25
    glyphs = [c.glyph for c in concepts.of(Modality.IMAGE)]
    assert len(set(glyphs)) == len(glyphs)


def test_every_sound_has_a_recipe() -> None:
    named = {
        c.sound.removeprefix("synth:")
        for c in concepts.of(Modality.AUDIO)
        if c.sound is not None and c.sound.startswith("synth:")
    }
    assert named == set(RECIPES)


@pytest.mark.parametrize("modality", MEDIA)
def test_held_out_combinations_never_occur_in_training(modality: Modality) -> None:
    train = set(concepts.combinations(modality, held_out=False))
    held = set(concepts.combinations(modality, held_out=True))
    assert not train & held
    assert len(held) >= 40
    assert train | held == set(itertools.product(*concepts.AXES[modality].values()))
    axes = list(concepts.AXES[modality].values())
    for number, words in enumerate(axes):  # every single word is known from training
        assert {c[number] for c in train} == set(words)
    drawn = {
        tuple(axes[k][v] for k, v in enumerate(values))
        for _, values, _ in dataset.training_plan(modality)
        if values[0] >= 0
    }
    assert drawn == train


@pytest.mark.parametrize("modality", MEDIA)
def test_training_uses_other_seeds_and_sentences_than_evaluation(modality: Modality) -> None:
    assert min(seed for _, _, seed in dataset.training_plan(modality)) >= dataset.TRAIN_SEEDS
    seen = {
        line.lower()
        for c in concepts.of(modality)
        for line in captions.training_captions(c, modality)
    }
    asked = {
        captions.concept_caption(t, c).lower()
        for c in concepts.of(modality)
        for t in captions.EVAL_CONCEPT[modality]
    }
    assert not seen & asked
    assert not set(captions.TRAIN_ATTRIBUTES[modality]) & set(captions.EVAL_ATTRIBUTES[modality])


def test_paraphrases_are_many_and_do_not_repeat_training_captions() -> None:
    pairs = [pair for m in MEDIA for pair in concepts.paraphrases(m)]
    assert len(pairs) >= 120
    for concept, sentence in pairs:
        for known in (concept.name, *concept.also, *concept.heard):
            assert not re.search(rf"\b{re.escape(known.lower())}\b", sentence.lower()), sentence


def test_captions_name_their_attributes() -> None:
    cat, violin = concepts.concept("cat"), concepts.concept("violin")
    two = {"colour": "red", "count": "two", "position": "left"}
    assert captions.caption(cat, Modality.IMAGE, attributes=two) == "two red cats on the left"
    assert captions.caption(cat, Modality.IMAGE) == "a cat"
    assert captions.caption(violin, Modality.AUDIO) == "the sound of a violin"
    slow = {"tempo": "slow", "pitch": "low"}
    assert captions.caption(violin, Modality.AUDIO, attributes=slow) == "deep, slow violin"


def test_unknown_names_and_values_are_refused() -> None:
    with pytest.raises(InvalidInput, match="no concept"):
        concepts.concept("perpetual motion machine")
    with pytest.raises(InvalidInput, match="colour 'mauve'"):
        render_picture("cat", colour="mauve")
    with pytest.raises(InvalidInput, match="not an attribute of audio"):
        captions.caption("violin", Modality.AUDIO, attributes={"colour": "red"})
    with pytest.raises(InvalidInput, match="tempo"):
        render_sound("violin", tempo="presto")
    with pytest.raises(InvalidInput, match="only sounds"):
        render_picture("chainsaw")
    with pytest.raises(InvalidInput, match="only pictured"):
        render_sound("apple")
    with pytest.raises(InvalidInput, match="seconds|cannot render"):
        render_sound("rain", seconds=0)


@needs_font
def test_pictures_repeat_by_seed_and_obey_their_attributes() -> None:
    one = render_picture("cat", size=96, seed=4, colour="red", count="two", position="left")
    again = render_picture("cat", size=96, seed=4, colour="red", count="two", position="left")
    other = render_picture("cat", size=96, seed=5, colour="red", count="two", position="left")
    assert one.shape == (96, 96, 3) and one.dtype == np.uint8
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    red = one[..., 0].astype(int) - one[..., 1:].max(axis=2)
    assert (red[:, :48] > 60).sum() > 20 * max(1, (red[:, 48:] > 60).sum())


def test_a_missing_font_names_its_package(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trichord.embedders.pocket import pictures

    monkeypatch.setattr(pictures, "FONT", FONT.with_name("absent.ttf"))
    pictures._glyph.cache_clear()
    with pytest.raises(ModelError, match="fonts-noto-color-emoji"):
        render_picture("cat")
    pictures._glyph.cache_clear()


def test_synthetic_sounds_repeat_by_seed_and_keep_their_loudness() -> None:
    quiet = render_sound("dog", seconds=2, seed=1, loudness="quiet")
    assert np.array_equal(quiet, render_sound("dog", seconds=2, seed=1, loudness="quiet"))
    assert not np.array_equal(quiet, render_sound("dog", seconds=2, seed=2, loudness="quiet"))
    loud = render_sound("dog", seconds=2, seed=1, loudness="loud")
    assert quiet.shape == (32000,) and quiet.dtype == np.float32
    assert np.sqrt(np.mean(loud**2)) > 5 * np.sqrt(np.mean(quiet**2))
    assert render_sound("dog", seconds=1.5, rate=44100, seed=1).shape == (66150,)


@needs_soundfont
def test_instruments_play_the_pitch_that_is_asked_for() -> None:
    centres = []
    for pitch in ("low", "middle", "high"):
        x = render_sound("flute", seconds=2, seed=3, pitch=pitch, timbre="clean")
        power = np.abs(np.fft.rfft(x)) ** 2
        hz = np.fft.rfftfreq(len(x), 1 / 16000)
        centres.append(float(hz[power.argmax()]))
    assert centres[0] < 300 < centres[2] and centres[0] < centres[1] < centres[2]
    assert np.array_equal(render_sound("flute", seed=3), render_sound("flute", seed=3))


def test_midi_file_by_hand() -> None:
    made = midi_file([(200, b"\x80\x3c\x00"), (0, b"\x90\x3c\x40")])
    track = b"\x00\xff\x51\x03\x0f\x42\x40\x00\x90\x3c\x40\x81\x48\x80\x3c\x00\x00\xff\x2f\x00"
    head = b"MThd\x00\x00\x00\x06\x00\x00\x00\x01\x03\xe8"
    assert made == head + b"MTrk" + len(track).to_bytes(4, "big") + track
