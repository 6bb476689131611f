"""Golden sets of tables and of TREC's formats, runs of TREC's format."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.evaluation.worlds import chance, run_of
from trichord.errors import InvalidInput, NotFound
from trichord.evaluation import runs
from trichord.evaluation.importing import read, read_topics
from trichord.evaluation.measures import Measure, per_query

QUERIES = [
    {"query_id": "q1", "text": "rain, on a window", "modality": "audio", "market": "SE"},
    {"query_id": "q2", "item_id": "17", "modality": None, "market": "DE"},
]
JUDGED = [
    {"query_id": "q1", "item_id": "a", "grade": 2},
    {"query_id": "q1", "item_id": "007", "grade": 0},
    {"query_id": "q2", "item_id": "b", "grade": 1},
]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "ndjson", "parquet"])
def test_tables_of_every_kind_say_the_same(tmp_path: Path, ending: str) -> None:
    for name, rows in (("queries", QUERIES), ("judged", JUDGED)):
        frame, path = pl.DataFrame(rows), tmp_path / f"{name}.{ending}"
        if ending in ("csv", "tsv"):
            frame.write_csv(path, separator="," if ending == "csv" else "\t")
        elif ending == "parquet":
            frame.write_parquet(path)
        else:
            frame.write_ndjson(path)
    golden = read("set", tmp_path / f"judged.{ending}", tmp_path / f"queries.{ending}")
    first, second = golden.queries
    assert (first.text, first.modality, first.slices) == (
        "rain, on a window", ("audio",), {"market": "SE"},
    )  # fmt: skip
    assert (second.item_id, second.modality, second.text) == ("17", (), None)
    assert golden.judgements == {"q1": {"a": 2, "007": 0}, "q2": {"b": 1}}
    assert golden.judges == "item"


def test_entities_are_told_by_the_column(tmp_path: Path) -> None:
    path = tmp_path / "judged.csv"
    path.write_text("query_id,entity_id,grade\nq,e,1\n")
    assert read("set", path).judges == "entity"
    assert read("set", path, judges="item").judges == "item"
    path.write_text("query_id,thing,grade\nq,e,1\n")
    with pytest.raises(InvalidInput, match="exactly one of the columns"):
        read("set", path)
    path.write_text("query_id,item_id\nq,e\n")
    with pytest.raises(InvalidInput, match="lacks the columns grade"):
        read("set", path)
    with pytest.raises(NotFound):
        read("set", tmp_path / "none.csv")


def test_trec_judgements_and_topics(tmp_path: Path) -> None:
    qrels = tmp_path / "qrels.txt"
    qrels.write_text("301 0 FT-1 1\n301 0 FT-2 0\n\n302\t0\tFT-3\t2\n303 0 FT-4 -2\n")
    topics = tmp_path / "topics.txt"
    topics.write_text(
        "<top>\n<num> Number: 301\n<title> Organized\n Crime\n<desc> Description:\nlong\n</top>\n"
        "<top>\n<num>302</num>\n<title>rain &amp; wind</title>\n</top>\n"
        "<top><num> Number: 303 <title> Topic: spam\n</top>"
    )
    with pytest.raises(InvalidInput) as caught:
        read("trec", qrels, topics)
    assert "negative grade -2" in str(caught.value)
    golden = read("trec", qrels, topics, negative_as_zero=True, drop_unanswered=True)
    assert [(q.query_id, q.text) for q in golden.queries] == [
        ("301", "Organized Crime"), ("302", "rain & wind"),
    ]  # fmt: skip
    assert golden.judgements == {"301": {"FT-1": 1, "FT-2": 0}, "302": {"FT-3": 2}}
    topics.write_text("301\tcrime\n302\train\n303\tspam\n")
    assert [row["text"] for row in read_topics(topics)] == ["crime", "rain", "spam"]
    topics.write_text("301 crime\n")
    with pytest.raises(InvalidInput, match="line 1"):
        read_topics(topics)
    qrels.write_text("301 0 FT-1 1\n301 FT-2 1\nonly\n")
    with pytest.raises(InvalidInput, match="2 mistakes"):
        read("trec", qrels)


def test_a_run_in_trecs_order(tmp_path: Path) -> None:
    """By score, equal scores by descending id, whatever the ranks say; the scores are compared as
    32-bit floats, so 1.00000001 is equal to 1."""
    path = tmp_path / "run.txt"
    path.write_text(
        "q Q0 a 1 1.0 tag\nq Q0 c 2 1.00000001 tag\nq Q0 b 3 2.5 tag\nq Q0 d 4 -1e3 tag\n"
    )
    run = runs.load(path)
    assert run.lists["q"].ids == ("b", "c", "a", "d")
    assert (run.name, run.depth) == ("tag", 4)


@pytest.mark.parametrize(
    "line", ["q Q0 a 1 x tag", "q Q0 a 1 1.0", "q Q0 a 1 nan tag", "q Q0 a 1 1 t\nq Q0 a 2 0 t"]
)
def test_lines_that_are_no_run(tmp_path: Path, line: str) -> None:
    path = tmp_path / "run.txt"
    path.write_text(line + "\n")
    with pytest.raises(InvalidInput):
        runs.read_trec(path)
    with pytest.raises(NotFound):
        runs.read_trec(tmp_path / "none")


def test_through_trecs_format_and_back(tmp_path: Path) -> None:
    golden, first, _ = chance(4)
    runs.write_trec(first, tmp_path / "out.trec")
    again = runs.load(tmp_path / "out.trec")
    assert {q: f.ids for q, f in again.lists.items()} == {q: f.ids for q, f in first.lists.items()}
    measures = [Measure.parse(one) for one in ("ndcg@10", "map")]
    assert (per_query(measures, golden, first) == per_query(measures, golden, again)).all()
    with pytest.raises(InvalidInput, match="cannot hold the id"):
        runs.write_trec(run_of({"q": ["a b"]}), tmp_path / "bad.trec")


def test_a_run_is_kept_whole(tmp_path: Path) -> None:
    found = runs.Found(("b", "a"), (0.1, 0.7), ("image", "text"))
    run = runs.Run(
        "mine",
        {"q": found, "none": runs.Found()},
        10,
        {"none": "INVALID_INPUT: empty"},
        {"space": "pocket", "snapshots": [3], "golden": {"sha256": "ab"}},
    )
    run.save(tmp_path / "run")
    assert runs.load(tmp_path / "run") == run
    assert runs.load(tmp_path / "run").lists == run.lists
    assert runs.load(tmp_path / "run").errors == run.errors
    assert runs.load(tmp_path / "run").facts == run.facts
    bare = run_of({"q": ["a"], "none": []})
    assert runs.load(bare.save(tmp_path / "bare")).lists == bare.lists
    with pytest.raises(InvalidInput, match="never overwritten"):
        run.save(tmp_path / "run")
    with pytest.raises(NotFound):
        runs.load(tmp_path / "nothing")
    (tmp_path / "run" / "run.json").write_text("{")
    with pytest.raises(InvalidInput, match="cannot be read"):
        runs.load(tmp_path / "run")
