"""Golden sets as versioned tables: round trips, versions that stay, mistakes listed at once."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.worlds import golden_of
from tests.fakes import png
from trichord.errors import InvalidInput, NotFound
from trichord.evaluation.assembling import assemble
from trichord.evaluation.golden import GoldenSet, load, safe_uri, toml_string, versions

WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=8
).filter(str.strip)


@st.composite
def golden_sets(draw: st.DrawFn) -> GoldenSet:
    judges = draw(st.sampled_from(["item", "entity"]))
    rows: list[dict[str, Any]] = []
    judged = []
    columns = draw(st.lists(WORDS.map(lambda one: f"column {one}"), max_size=3, unique=True))
    for query in draw(st.lists(WORDS, min_size=1, max_size=4, unique=True)):
        kind = draw(st.sampled_from(["text", "item_id", "entity_id"]))
        row: dict[str, Any] = {"query_id": query, kind: "asked " + draw(WORDS)}
        row["modality"] = draw(st.sampled_from([None, "image", "audio,text"]))
        row["where"] = draw(st.sampled_from([None, "year >= 2020"]))
        row |= {column: draw(st.none() | WORDS) for column in columns}
        rows.append(row)
        targets = draw(st.dictionaries(WORDS, st.integers(0, 5), max_size=3))
        targets["right"] = 1
        judged += [(query, target, grade) for target, grade in targets.items()]
    description = draw(st.text(st.characters(codec="utf-8"), max_size=9))
    name = draw(st.sampled_from(["a", "B-2"]))
    complete = draw(st.booleans())
    return assemble(name, rows, judged, judges=judges, description=description, complete=complete)


@settings(deadline=None, max_examples=40)
@given(golden_sets())
def test_what_is_saved_is_loaded(golden: GoldenSet) -> None:
    with tempfile.TemporaryDirectory() as root:
        saved = golden.save(root)
        again = load(Path(root) / golden.name)
        assert again == saved
        assert again.judgements == golden.judgements
        assert {q.query_id: dict(q.slices) for q in again.queries} == {
            q.query_id: dict(q.slices) for q in golden.queries
        }
        assert again.sha256 == golden.sha256 == saved.sha256
        assert (again.version, again.description) == (1, golden.description)


@settings(deadline=None, max_examples=60)
@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cs",))))
def test_toml_strings(text: str) -> None:
    import tomllib

    assert tomllib.loads(f"a = {toml_string(text)}")["a"] == text


def test_versions_are_never_changed(tmp_path: Path) -> None:
    golden = golden_of({"q": {"a": 1}}, name="toys")
    first = golden.save(tmp_path)
    second = golden_of({"q": {"a": 1, "b": 0}}, name="toys").save(tmp_path)
    assert (first.version, second.version) == (1, 2)
    assert versions(tmp_path / "toys") == [1, 2]
    assert load(tmp_path / "toys" / "v1").judgements == {"q": {"a": 1}}
    assert load(tmp_path / "toys").version == 2
    assert first.save(tmp_path).version == 3
    assert not [path for path in (tmp_path / "toys").iterdir() if path.name.startswith(".")]


def test_a_version_that_another_writer_made_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = golden_of({"q": {"a": 1}}, name="toys")
    golden.save(tmp_path)
    monkeypatch.setattr("trichord.evaluation.golden.versions", lambda home: [])
    with pytest.raises(InvalidInput, match="exists already"):
        golden_of({"q": {"b": 1}}, name="toys").save(tmp_path)
    monkeypatch.undo()
    assert load(tmp_path / "toys").judgements == {"q": {"a": 1}}


def test_a_changed_version_is_refused(tmp_path: Path) -> None:
    golden_of({"q": {"a": 1}}, name="toys").save(tmp_path)
    path = tmp_path / "toys" / "v1" / "judgements.parquet"
    pl.read_parquet(path).with_columns(grade=pl.lit(3, pl.Int64)).write_parquet(path)
    with pytest.raises(InvalidInput, match="changed after it was written"):
        load(tmp_path / "toys")
    assert load(tmp_path / "toys", verify=False).judgements == {"q": {"a": 3}}
    path.write_bytes(b"PAR1")
    with pytest.raises(InvalidInput, match="cannot be read"):
        load(tmp_path / "toys")
    with pytest.raises(NotFound):
        load(tmp_path / "nothing")


def with_picture(folder: Path, uri: str = "media/red.png") -> GoldenSet:
    rows = [{"query_id": "q", "uri": uri, "modality": "audio"}]
    return assemble("pictures", rows, [("q", "a", 1)], folder=folder)


def test_files_travel_with_the_set_and_count_in_its_hash(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "media").mkdir(parents=True)
    (source / "media" / "red.png").write_bytes(png("red"))
    saved = with_picture(source).save(tmp_path / "sets")
    (source / "media" / "red.png").unlink()
    again = load(tmp_path / "sets" / "pictures")
    assert again.bytes_of(again.queries[0]) == png("red")
    (saved.folder / "media" / "red.png").write_bytes(png("blue"))  # type: ignore[operator]
    with pytest.raises(InvalidInput, match="changed after it was written"):
        load(tmp_path / "sets" / "pictures")
    (saved.folder / "media" / "red.png").unlink()  # type: ignore[operator]
    with pytest.raises(InvalidInput, match="not there"):
        load(tmp_path / "sets" / "pictures")


def test_the_hash_is_of_the_content() -> None:
    def of(**changes: Any) -> str:
        row = {"query_id": "q", "text": "red", "modality": "image", "market": "SE"} | changes
        return assemble("x", [row], [("q", "a", 1), ("q", "b", 0)]).sha256

    first = of()
    for changes in (
        {"text": "blue"}, {"text": None, "item_id": "red"}, {"modality": "audio"},
        {"market": "DE"}, {"where": "a = 1"}, {"language": "sv"},
    ):  # fmt: skip
        assert of(**changes) != first, changes
    plain = assemble("x", [{"query_id": "q", "text": "red"}], [("q", "a", 1), ("q", "b", 0)])
    turned = assemble("y", [{"query_id": "q", "text": "red"}], [("q", "b", 0), ("q", "a", 1)])
    assert plain.sha256 == turned.sha256  # neither name nor order
    entity = assemble("x", [{"query_id": "q", "text": "red"}], [("q", "a", 1)], judges="entity")
    item = assemble("x", [{"query_id": "q", "text": "red"}], [("q", "a", 1)])
    assert entity.sha256 != item.sha256 != replace(item, complete=True).sha256
    assert replace(item, version=4, description="other").sha256 == item.sha256


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    rows = [
        {"query_id": "twice", "text": "a"},
        {"query_id": "twice", "text": "b"},
        {"query_id": None, "text": "c"},
        {"query_id": "empty", "text": "  "},
        {"query_id": "both", "text": "d", "item_id": "i"},
        {"query_id": "lost", "uri": "gone.png"},
        {"query_id": "out", "uri": "../secret.png"},
        {"query_id": "filter", "text": "e", "where": "year >="},
        {"query_id": "smell", "text": "f", "modality": "scent"},
        {"query_id": "self", "item_id": "me"},
    ]
    good = ["twice", "both", "lost", "out", "filter", "smell", "self", "empty", "(row 3)"]
    judged: list[tuple[Any, Any, Any]] = [(one, "x", 1) for one in good]
    judged += [
        ("twice", "x", 2), ("both", "y", -1), ("both", "z", "good"), ("both", "w", 1.5),
        ("who", "x", 1), ("self", "me", 1), (None, "x", 1),
    ]  # fmt: skip
    with pytest.raises(InvalidInput) as caught:
        assemble("bad", rows, judged, folder=tmp_path)
    said = str(caught.value)
    for part in (
        "'twice' appears 2 times",
        "row 3 of the queries has no query_id",
        "'empty' has no content",
        "'both' has text and item_id",
        "'gone.png', which is not there",
        "'../secret.png'",
        "'filter' has a filter that cannot be read",
        "unknown modality scent",
        "'self' is judged against itself",
        "judges 'x' 2 times",
        "negative grade -1",
        "grade 'good'",
        "grade 1.5",
        "unknown query 'who'",
        "row 16 of the judgements",
    ):
        assert part in said, part
    assert caught.value.details["mistakes"] == "15"


def test_queries_without_an_answer_are_mistakes() -> None:
    with pytest.raises(InvalidInput, match="'q' has no relevant judgement"):
        golden_of({"q": {"a": 0}})
    with pytest.raises(InvalidInput, match="no queries"):
        golden_of({})


@pytest.mark.parametrize("name", ["", "../up", "a/b", "v3", ".hidden", "a b"])
def test_names_are_names_of_folders(name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot name"):
        golden_of({"q": {"a": 1}}, name=name)


def test_safe_uris() -> None:
    assert safe_uri("media/a.png") and safe_uri("a..png")
    for uri in ("/etc/passwd", "../a", "a/../../b", "a\\..\\b", ""):
        assert not safe_uri(uri)
