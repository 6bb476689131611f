"""Runs over catalogues and servers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.evaluation.worlds import EACH, Lists, golden_of
from tests.fakes import png, wav
from trichord.errors import InvalidInput, NotFound
from trichord.evaluation.assembling import assemble
from trichord.evaluation.evaluating import Settings, evaluate
from trichord.evaluation.golden import GoldenSet
from trichord.evaluation.measures import parse_all
from trichord.evaluation.presence import absent
from trichord.evaluation.running import run

if TYPE_CHECKING:
    from trichord.catalog import Catalog


def mixed(folder: Path) -> GoldenSet:
    """Queries of every kind: words, a picture, a sound, a stored item, an entity, with filters."""
    (folder / "media").mkdir()
    (folder / "media" / "a.png").write_bytes(png("blue", seed=999))
    (folder / "media" / "b.wav").write_bytes(wav("high", seed=999))
    rows = [
        {"query_id": "word", "text": "red", "modality": "image"},
        {"query_id": "sound", "text": "low", "modality": "audio"},
        {"query_id": "picture", "uri": "media/a.png", "modality": "image"},
        {"query_id": "clip", "uri": "media/b.wav", "modality": "audio"},
        {"query_id": "item", "item_id": "green-0", "modality": "image"},
        {"query_id": "entity", "entity_id": "of-low-1", "modality": "audio"},
        {"query_id": "market", "text": "red", "modality": "image", "where": "market = 'SE'"},
    ]
    words = {"word": "red", "sound": "low", "picture": "blue", "clip": "high", "item": "green",
             "entity": "low", "market": "red"}  # fmt: skip
    out = {("item", "green-0"), ("entity", "low-1")}
    judged = [
        (query, f"{word}-{n}", 1)
        for query, word in words.items()
        for n in range(EACH)
        if (query, f"{word}-{n}") not in out and (query != "market" or n % 3 == 0)
    ]
    return assemble("mixed", rows, judged, folder=folder)


def test_every_kind_of_query(catalog: Catalog, tmp_path: Path) -> None:
    golden = mixed(tmp_path)
    found = run(catalog, golden, k=20)
    assert found.errors == {}
    evaluation = evaluate(golden, found, parse_all(["map", "recall@10"]))
    assert evaluation.values.tolist() == [[1.0, 1.0]] * 7
    assert set(found.lists["market"].ids) == {"red-0", "red-3"} | {
        f"{one}-{n}" for one in ("green", "blue") for n in (0, 3)
    }
    assert "green-0" not in found.lists["item"].ids
    assert found.facts["space"] == "hash" and found.facts["frame"] == "hash/32"
    assert found.facts["snapshots"] == [catalog.stats().snapshot]
    assert found.facts["golden"]["sha256"] == golden.sha256
    assert set(found.lists["word"].modalities) == {"image"}


def test_entities_are_judged_by_entities(catalog: Catalog) -> None:
    rows = [{"query_id": "q", "text": "red", "modality": "image"}]
    judged = [("q", f"of-red-{n}", 1) for n in range(EACH)]
    golden = assemble("entities", rows, judged, judges="entity")
    found = run(catalog, golden, k=10)
    assert evaluate(golden, found, parse_all(["p@6"])).values.tolist() == [[1.0]]
    assert len(set(found.lists["q"].ids)) == len(found.lists["q"].ids)


def test_a_server_gives_the_same_run(catalog: Catalog, tmp_path: Path) -> None:
    from tests.server.serving import serving
    from trichord.client import Client

    golden = mixed(tmp_path)
    here = run(catalog, golden, k=12)
    with serving(catalog) as server, Client(server.address) as client:
        there = run(client, golden, k=12, batch=2)
        assert absent(client, golden) == {}
    assert {q: f.ids for q, f in there.lists.items()} == {q: f.ids for q, f in here.lists.items()}
    assert there.facts["snapshots"] == here.facts["snapshots"]


def test_one_bad_query_does_not_end_the_run(catalog: Catalog) -> None:
    rows = [
        {"query_id": "good", "text": "red", "modality": "image"},
        {"query_id": "wordless", "text": "!?", "modality": "image"},
        {"query_id": "gone", "item_id": "no such item"},
        {"query_id": "field", "text": "red", "where": "nosuch = 1"},
    ]
    golden = assemble("bad", rows, [(row["query_id"], "red-0", 1) for row in rows])
    found = run(catalog, golden, k=10)
    assert set(found.errors) == {"wordless", "gone", "field"}
    assert found.errors["gone"].startswith("NOT_FOUND: ")
    assert all(found.lists[query].ids == () for query in found.errors)
    evaluation = evaluate(golden, found, parse_all(["success@6"]), settings=Settings(resamples=100))
    assert evaluation.values[:, 0].tolist() == [1, 0, 0, 0]
    assert [one.error for one in evaluation.worst(1)] == [found.errors["wordless"]]


def test_a_file_that_is_text_or_nothing_is_that_querys_error(
    catalog: Catalog, tmp_path: Path
) -> None:
    (tmp_path / "note.txt").write_text("red")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nothing")
    rows = [{"query_id": "note", "uri": "note.txt"}, {"query_id": "broken", "uri": "broken.png"}]
    golden = assemble("files", rows, [("note", "a", 1), ("broken", "a", 1)], folder=tmp_path)
    found = run(catalog, golden, k=10)
    assert set(found.errors) == {"note", "broken"}
    assert all(error.startswith("MEDIA: ") for error in found.errors.values())


def test_what_concerns_all_queries_is_raised(catalog: Catalog) -> None:
    golden = golden_of({"red": {"a": 1}})
    with pytest.raises(NotFound):
        run(catalog, golden, space="nowhere")
    with pytest.raises(InvalidInput, match="k must be"):
        run(catalog, golden, k=0)
    with pytest.raises(InvalidInput, match="judgements alone"):
        run(catalog, golden_of({"red": {"a": 1}}, ask=False))


def test_queries_travel_together() -> None:
    lists = {"s": {f"q{number}": ["a"] for number in range(300)}}
    golden = golden_of({query: {"a": 1} for query in lists["s"]})
    searcher = Lists(lists)
    seen: list[tuple[int, int]] = []
    found = run(searcher, golden, batch=128, on_progress=lambda *at: seen.append(at))
    assert [size for size, _ in searcher.asked] == [128, 128, 44]
    assert seen == [(128, 300), (256, 300), (300, 300)]
    assert list(found.lists) == [query.query_id for query in golden.queries]
    assert found.facts["snapshots"] == [7]


def test_what_is_judged_and_not_stored(catalog: Catalog) -> None:
    rows = [{"query_id": "a", "text": "red"}, {"query_id": "b", "item_id": "lost"}]
    golden = assemble("absent", rows, [("a", "red-0", 1), ("a", "gone", 2), ("a", "no", 0),
                                       ("b", "gone", 1)])  # fmt: skip
    assert absent(catalog, golden) == {"gone": ["a", "b"], "lost": ["b"]}
