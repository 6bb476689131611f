"""Definitions: what the file says is what is read, and all that is wrong is said at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trichord.embedders.definition import (
    PRESETS,
    Definition,
    ModelNote,
    Part,
    check_name,
    parse,
    preset,
    read,
)
from trichord.errors import InvalidInput, NotFound
from trichord.types import Modality

HERE = Path("/nowhere")
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
named = words.filter(lambda text: text.strip() == text and text != "")


@st.composite
def parts(draw: st.DrawFn, modality: Modality) -> Part:
    kinds = {
        "open_clip": st.fixed_dictionaries({}, optional={"pretrained": words, "revision": words}),
        "clap": st.fixed_dictionaries({}, optional={"loader": st.just("transformers")}),
        "sentence-transformers": st.fixed_dictionaries(
            {},
            optional={
                "prompts": st.fixed_dictionaries({}, optional={"query": words, "document": words}),
                "truncate_dim": st.integers(1, 4096),
                "trust_remote_code": st.booleans(),
            },
        ),
        "duet": st.just({}),
        "pocket": st.just({}),
    }
    able = {
        Modality.IMAGE: ["open_clip", "sentence-transformers", "pocket"],
        Modality.TEXT: list(kinds),
        Modality.AUDIO: ["clap", "sentence-transformers", "pocket", "duet"],
    }
    backend = draw(st.sampled_from(able[modality]))
    bundled = backend in ("duet", "pocket")
    plain = named.filter(lambda text: not text.startswith(("./", "../", "~", "local-dir:")))
    windows = st.none() if modality is not Modality.AUDIO else st.none() | st.integers(1, 10_000)
    return Part(
        backend,
        "" if bundled else draw(plain),
        draw(kinds[backend]),
        None,
        draw(windows),
        draw(windows),
    )


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    chosen = draw(st.sets(st.sampled_from(list(Modality)), min_size=1))
    made = {modality: draw(parts(modality)) for modality in Modality if modality in chosen}
    note = st.builds(
        ModelNote, words, words, st.none() | st.integers(0, 10**6), st.booleans(), st.booleans()
    )
    models = {part.model: draw(note) for part in made.values() if part.model}
    name = draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True))
    return Definition(name, made, draw(words), models)


@given(definitions())
@settings(max_examples=80, deadline=None)
def test_written_and_read_it_is_the_same(definition: Definition) -> None:
    assert parse(definition.to_toml(), HERE, complete=False) == definition


def test_presets_are_what_the_documentation_says() -> None:
    made = {name: preset(name) for name in PRESETS}
    assert {name: definition.name for name, definition in made.items()} == {n: n for n in PRESETS}
    mixed = made["clip-clap"]
    assert mixed.anchor is Modality.IMAGE and mixed.unjoined() == [Modality.AUDIO]
    assert mixed.without(Modality.AUDIO).unjoined() == []
    assert set(mixed.without(Modality.AUDIO).models) == {"ViT-B-32"}
    assert made["omni"].unjoined() == [] and set(made["omni"].parts) == set(Modality)
    assert [note.accept for note in made["omni"].models.values()] == [True]
    assert set(made["text"].parts) == {Modality.TEXT}
    for definition in made.values():
        for part in definition.parts.values():
            note = definition.models[part.model]
            assert note.licence and note.check and note.download_mb
    with pytest.raises(NotFound, match="clip-clap"):
        preset("clip")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", ["no TOML"]),
        ('name = "x"', ["no parts"]),
        ("[text]\nbackend = 'duet'", ["name is missing"]),
        ("name = 'a b'\n[text]\nbackend = 'duet'", ["'a b' is no name"]),
        ("name = 'x'\n[text]\nbackend = 'clpa'\nmodel = 'm'", ["did you mean 'clap'"]),
        ("name = 'x'\n[text]\nmodel = 'm'", ["[text] backend is missing"]),
        ("name = 'x'\n[text]\nbackend = 'clap'", ["[text] model is missing"]),
        ("name = 'x'\n[text]\nbackend = 'clap'\nmodel = 7", ["model must be a text, not 7"]),
        ("name = 'x'\n[image]\nbackend = 'clap'\nmodel = 'm'", ["audio and text, not image"]),
        ("name = 'x'\n[text]\nbackend = 'duet'\nmodle = 'm'", ["key 'modle' is unknown"]),
        ("name = 'x'\ntext = 'duet'", ["text must be a table"]),
        (
            "name = 'x'\n[audio]\nbackend = 'duet'\nwindow_ms = 0\nhop_ms = true",
            ["window_ms must be at least 1", "hop_ms must be a whole number, not True"],
        ),
        (
            "name = 'x'\n[text]\nbackend = 'sentence-transformers'\nmodel = 'm'\n"
            "[text.prompts]\nqery = 'q'",
            ["prompts are texts for query and document"],
        ),
        (
            "name = 'x'\n[text]\nbackend = 'clap'\nmodel = 'm'\n[models.n]\nlicence = 'MIT'",
            ["[models] model 'n' is unknown"],
        ),
        (
            "name = 'x'\n[text]\nbackend = 'pocket'\n[audio]\nbackend = 'duet'",
            ["[audio] projector is missing", "trichord space fit"],
        ),
        (
            "name = 'x'\n[text]\nbackend = 'pocket'\n[audio]\nbackend = 'duet'\n"
            "projector = 'lost.safetensors'",
            ["there is no projector /nowhere/lost.safetensors"],
        ),
        (
            "name = 'x'\n[text]\nbackend = 'duet'\nprojector = 'p'",
            ["[text] is the anchor"],
        ),
        (
            "nam = 'x'\n[image]\nbackend = 'no'\n[text]\nbackend = 'clap'\npretrained = 'x'",
            ["5 mistakes", "'nam'", "name is missing", "'no'", "'pretrained'", "model is missing"],
        ),
    ],
)
def test_every_mistake_is_named(text: str, says: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(text, HERE)
    for part in says:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "p.safetensors").write_bytes(b"")
    (tmp_path / "vocab.json").write_bytes(b"{}")
    (tmp_path / "x.toml").write_text(
        "name = 'x'\n[image]\nbackend = 'open_clip'\nmodel = 'local-dir:clip'\n"
        "[text]\nbackend = 'sentence-transformers'\nmodel = './mini'\nprojector = 'p.safetensors'\n"
        "[audio]\nbackend = 'clap'\nmodel = 'music.pt'\nloader = 'laion-pt'\n"
        "projector = 'p.safetensors'\n"
    )
    found = read(tmp_path / "x.toml").parts
    assert found[Modality.IMAGE].model == f"local-dir:{tmp_path / 'clip'}"
    assert found[Modality.TEXT].model == str(tmp_path / "mini")
    assert found[Modality.AUDIO].model == str(tmp_path / "music.pt")
    assert found[Modality.AUDIO].projector == tmp_path / "p.safetensors"
    assert all(part.is_local for part in found.values())
    (tmp_path / "vocab.json").unlink()
    assert not found[Modality.AUDIO].is_local, "its tokenizer would come from the hub"
    hub = parse("name='x'\n[text]\nbackend='clap'\nmodel='laion/x'", tmp_path).parts
    assert hub[Modality.TEXT].model == "laion/x" and not hub[Modality.TEXT].is_local
    with pytest.raises(NotFound, match="no definition"):
        read(tmp_path / "y.toml")


def test_a_projector_goes_where_one_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    with_it = preset("clip-clap").projected(path)
    assert with_it.parts[Modality.AUDIO].projector == path and with_it.unjoined() == []
    other = with_it.projected(tmp_path / "q.safetensors")
    assert other.parts[Modality.AUDIO].projector == tmp_path / "q.safetensors"
    with pytest.raises(InvalidInput, match="nothing to project"):
        preset("text").projected(path)
    with pytest.raises(InvalidInput, match="no part for audio"):
        preset("text").without(Modality.AUDIO)
    with pytest.raises(InvalidInput, match="nothing of text"):
        preset("text").without(Modality.TEXT)


@pytest.mark.parametrize("name", ["", "-x", "a/b", "a" * 65, ".x", "ä"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(InvalidInput):
        check_name(name)
