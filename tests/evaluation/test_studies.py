"""ANN recall, zero-shot classification, golden sets of attributes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.evaluation.worlds import EACH, MARKETS, Lists, golden_of, hits
from tests.fakes import embed_text
from trichord.errors import InvalidInput, NotFound
from trichord.evaluation.ann import ann_recall, share
from trichord.evaluation.building import from_attribute
from trichord.evaluation.collecting import collect
from trichord.evaluation.evaluating import Settings, evaluate
from trichord.evaluation.measures import parse_all
from trichord.evaluation.running import run
from trichord.evaluation.runs import Found
from trichord.evaluation.zero_shot import Task, label_vectors, read_task, zero_shot
from trichord.query import Query, SearchOptions, Text

if TYPE_CHECKING:
    from trichord.catalog import Catalog

FAST = Settings(resamples=500)


class Approximate(Lists):
    """Loses the last of the exact list, and puts something else there."""

    def search_many(
        self, queries: Sequence[Query], options: SearchOptions, *, space: str | None = None
    ) -> list[Any]:
        found = []
        for query in queries:
            asked = query.terms[0].input
            assert isinstance(asked, Text)
            ids = [f"{asked.text}{number}" for number in range(options.limit)]
            scores = np.linspace(0.9, 0.5, len(ids)).tolist()
            if not options.exact and options.modality == ("text",):
                ids[-1], scores[-1] = "wrong", 0.4
            if not options.exact and options.modality == ("image",):
                ids[-1] = "as good"  # another item of the same cosine
            found.append(hits(ids, scores, space="s"))
        return found


def test_ann_recall_is_apart_from_relevance() -> None:
    golden = golden_of({query: {"never found": 1} for query in "abc"})
    report = ann_recall(Approximate({"s": {}}), golden, k=10, settings=FAST)
    rows = {row.modality: row for row in report.rows}
    assert set(rows) == {"image", "text"}  # those of the space's encoders
    assert rows["image"].recall.value == 1.0 and rows["image"].complete == 1.0
    assert rows["text"].recall.value == pytest.approx(0.9) and rows["text"].complete == 0.0
    assert rows["text"].worst_query == "a"
    json.dumps(report.to_dict())
    with pytest.raises(InvalidInput, match="unknown modality"):
        ann_recall(Approximate({"s": {}}), golden, modalities=["smell"])


def test_shares_by_hand() -> None:
    exact = Found(("a", "b", "c", "d"), (0.9, 0.8, 0.7, 0.7))
    assert share(exact, exact, 4) == 1.0
    assert share(exact, Found(("a", "c", "x"), (0.9, 0.7, 0.1)), 4) == pytest.approx(2 / 4)
    assert share(exact, Found(("a", "b", "x", "y"), (0.9, 0.8, 0.7, 0.7)), 4) == 1.0  # ties
    assert share(exact, Found(), 4) == 0.0


def test_ann_recall_of_a_small_store_is_one(catalog: Catalog) -> None:
    golden = golden_of({"red": {"red-0": 1}, "low": {"low-0": 1}})
    report = ann_recall(catalog, golden, k=5, settings=FAST)
    assert {row.modality for row in report.rows} == {"audio", "image", "text"}
    assert all(row.recall.value == 1.0 for row in report.rows)


def test_collects_all_that_has_the_attribute(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = sorted(f"{word}-{n}" for word in ("low", "middle", "high") for n in range(EACH))
    found = collect(catalog, "concept", "audio", attributes=["market"])
    assert [one.item_id for one in found] == names
    assert found[0].attributes == {"concept": "high", "market": "SE"}
    monkeypatch.setattr("trichord.evaluation.collecting.MAX_LIMIT", 5)  # many pages
    assert collect(catalog, "concept", "audio", attributes=["market"]) == found
    only = collect(catalog, "concept", "audio", where="market = 'JP'")
    assert len(only) == len(names) / 3
    with pytest.raises(InvalidInput, match="nosuch"):
        collect(catalog, "nosuch", "audio")
    with pytest.raises(NotFound):
        collect(catalog, "concept", "audio", space="nowhere")
    with pytest.raises(InvalidInput, match="attribute of your own"):
        collect(catalog, "entity_id", "audio")


def test_golden_set_of_an_attribute(catalog: Catalog) -> None:
    golden = from_attribute(catalog, "concept", name="concepts", popularity="popularity", top=0.4)
    by_id = {query.query_id: query for query in golden.queries}
    assert set(by_id) == {
        *(f"{one}:image" for one in ("red", "green", "blue")),
        *(f"{one}:audio" for one in ("low", "middle", "high")),
        *(f"{one}:text" for one in ("red", "green", "blue")),
    }
    red = by_id["red:image"]
    assert (red.text, red.modality, red.slices["label"]) == ("red", ("image",), "red")
    assert golden.judgements["red:image"] == {f"red-{n}": 1 for n in range(EACH)}
    assert {query.slices["head_tail"] for query in golden.queries} == {"mixed"}
    evaluation = evaluate(golden, run(catalog, golden), parse_all(["map"]))
    image = evaluation.row["modality", "image"].intervals[0]
    assert image.value == 1.0 and image.low < 1.0


def test_golden_set_of_lists_templates_and_entities(catalog: Catalog) -> None:
    golden = from_attribute(
        catalog, "tags", name="tags", modalities=["image"], least_items=7,
        templates=["a {label}", "{label} {x}"], judges="entity", where="market != 'DE'",
    )  # fmt: skip
    assert [(q.query_id, q.text) for q in golden.queries] == [
        ("thing:image:1", "a thing"), ("thing:image:2", "thing {x}"),
    ]  # fmt: skip
    assert all(q.where == "market != 'DE'" for q in golden.queries)
    assert len(golden.judgements["thing:image:1"]) == 3 * 4
    assert set(golden.judgements["thing:image:1"]) >= {"of-red-0", "of-blue-5"}
    with pytest.raises(InvalidInput, match="no {label}"):
        from_attribute(catalog, "tags", name="tags", templates=["a thing"])
    with pytest.raises(NotFound, match="often enough"):
        from_attribute(catalog, "concept", name="c", least_items=99)
    with pytest.raises(InvalidInput, match="fractions"):
        from_attribute(catalog, "popularity", name="c", modalities=["image"])
    with pytest.raises(InvalidInput, match="is no number"):
        from_attribute(catalog, "concept", name="c", popularity="market")


def test_zero_shot_of_a_space_that_knows_the_words(catalog: Catalog) -> None:
    found = zero_shot(catalog, Task("concept", "image"), settings=FAST)
    assert (found.items, found.labels, found.left_out) == (18, 3, 0)
    assert found.top1.value == found.macro_f1 == found.mean_average_precision == 1.0
    assert found.chance == pytest.approx(1 / 3)
    assert found.temperature is not None and found.calibration_error is not None
    assert found.uncalibrated_error is not None
    assert found.calibration_error < found.uncalibrated_error
    json.dumps(found.to_dict())


def test_zero_shot_against_scores_by_hand(catalog: Catalog) -> None:
    """A picture of the hash space is exactly the word of its colour, so the scores are products of
    words; "green" is asked for by the word blue, and is therefore taken for it or the other way."""
    labels = {"red": ("red", "red night"), "green": ("blue",), "blue": ("blue", "green")}
    task = Task("concept", "image", ("{label}", "a {label}"), labels)
    vectors = label_vectors(catalog, task, list(labels), None)
    by_hand = []
    for words in labels.values():
        texts = [embed_text(t.format(label=w), 32) for w in words for t in task.templates]
        mean = np.mean(texts, axis=0)
        by_hand.append(mean / np.linalg.norm(mean))
    np.testing.assert_allclose(vectors, by_hand, atol=1e-5)
    scores = {
        colour: [float(embed_text(colour, 32) @ vector) for vector in by_hand] for colour in labels
    }
    right = np.mean([list(labels)[int(np.argmax(scores[colour]))] == colour for colour in labels])
    found = zero_shot(catalog, task, settings=FAST)
    assert found.top1.value == pytest.approx(right)
    assert found.top1.value < 1.0 and found.top5.value == 1.0
    worst = found.by_label[0]
    assert worst.recall == 0.0 and worst.confused_with in labels


def test_zero_shot_through_pages_and_labels_that_leave_items_out(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Task("concept", "image", labels={"red": (), "blue": ()})
    whole = zero_shot(catalog, task, settings=FAST)
    assert (whole.items, whole.left_out, whole.top1.value) == (12, 6, 1.0)
    monkeypatch.setattr("trichord.evaluation.collecting.MAX_LIMIT", 5)
    monkeypatch.setattr("trichord.evaluation.zero_shot.MAX_LIMIT", 5)
    assert zero_shot(catalog, task, settings=FAST) == whole
    with pytest.raises(NotFound, match="nothing to classify"):
        zero_shot(catalog, Task("concept", "image", labels={"x": (), "y": ()}))
    with pytest.raises(InvalidInput, match="has 2 values"):
        zero_shot(catalog, Task("tags", "image"))


def test_zero_shot_through_a_server(catalog: Catalog) -> None:
    from tests.server.serving import serving
    from trichord.client import Client

    task = Task("concept", "audio", ("a {label} sound",), where=f"market = '{MARKETS[0]}'")
    with serving(catalog) as server, Client(server.address) as client:
        assert zero_shot(client, task, settings=FAST) == zero_shot(catalog, task, settings=FAST)


def test_tasks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.toml"
    path.write_text(
        'attribute = "concept"\nmodality = "image"\ntemplates = ["a {label}"]\n'
        '[labels]\nred = ["red", "crimson"]\nblue = []\n'
    )
    task = read_task(path)
    assert task == Task("concept", "image", ("a {label}",), {"red": ("red", "crimson"), "blue": ()})
    assert task.prompts("red") == ["a red", "a crimson"] and task.prompts("blue") == ["a blue"]
    path.write_text(
        'modality = "smell"\ntemplates = ["a thing"]\nextra = 1\nwhere = 3\n[labels]\nred = "x"\n'
    )
    with pytest.raises(InvalidInput) as caught:
        read_task(path)
    assert caught.value.details["mistakes"] == "7"
    path.write_text("attribute = ")
    with pytest.raises(InvalidInput, match="no TOML"):
        read_task(path)
    with pytest.raises(NotFound):
        read_task(tmp_path / "none.toml")
