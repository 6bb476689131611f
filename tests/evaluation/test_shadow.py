"""Shadow evaluation of two spaces, and the reports as text, JSON and HTML."""

from __future__ import annotations

import builtins
import io
import json
import re
import sys
from base64 import b64encode
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.evaluation.worlds import Lists, chance, golden_of
from tests.fakes import png, wav
from trichord.errors import InvalidInput
from trichord.evaluation import reporting, terminal
from trichord.evaluation.assembling import assemble
from trichord.evaluation.comparing import compare
from trichord.evaluation.evaluating import Settings, evaluate
from trichord.evaluation.gate import Requirement, judge, no_loss
from trichord.evaluation.golden import GoldenSet
from trichord.evaluation.measures import parse_all
from trichord.evaluation.page import page, write_page
from trichord.evaluation.reporting import Report, of_shadow
from trichord.evaluation.runs import Found, Run
from trichord.evaluation.shadow import overlap, shadow

FAST = Settings(resamples=500)


def two_spaces(seed: int = 0) -> tuple[GoldenSet, Lists]:
    golden, first, second = chance(seed)
    lists = {
        name: {query: list(found.ids) for query, found in run.lists.items()}
        for name, run in (("old", first), ("new", second))
    }
    return golden, Lists(lists)


def test_a_better_candidate_passes() -> None:
    golden, searcher = two_spaces()
    found = shadow(
        searcher, golden, candidate="new", live="old", settings=FAST,
        requirements=[Requirement.parse("lower(ndcg@10)>=0.2"),
                      Requirement.parse("success@10[market=SE]>=0.1")],
    )  # fmt: skip
    assert found.passed and all(verdict.passed for verdict in found.verdicts)
    assert [str(one) for one in found.candidate.measures][-1] == "success@10"
    assert found.comparison.rows[0].difference.interval.value > 0
    summary = json.loads(json.dumps(found.summary()))
    assert summary["passed"] is True and found.snapshot == 7
    assert summary["golden"]["sha256"] == golden.sha256
    assert "queries" not in summary["live"] and len(json.dumps(summary)) < 100_000
    # 6 slices of 6 measures, all corrected together
    assert summary["tests"] == len(summary["differences"]) == 6 * 6
    assert len(summary["verdicts"]) == 2 + 6
    assert [one["modality"] for one in summary["overlap"]] == ["image", "text"]


def test_a_worse_candidate_does_not() -> None:
    golden, searcher = two_spaces()
    found = shadow(searcher, golden, candidate="old", live="new", settings=FAST)
    assert not found.passed and found.summary()["passed"] is False
    tolerant = shadow(searcher, golden, candidate="old", live="new", settings=FAST, max_loss=0.9)
    assert tolerant.passed
    unmet = shadow(
        searcher, golden, candidate="new", live="old", settings=FAST,
        requirements=[Requirement.parse("map>=0.99")],
    )  # fmt: skip
    assert [verdict.passed for verdict in unmet.verdicts][:2] == [False, True]


def test_overlap_by_hand() -> None:
    """a: 2 of 3 shared, union of 4, same first; b: nothing in either; c: one is empty; d: equal."""
    live = {
        "a": Found(("x", "y", "z")), "b": Found(), "c": Found(("x",)), "d": Found(("x", "y")),
    }  # fmt: skip
    new = {
        "a": Found(("x", "z", "w")), "b": Found(), "c": Found(), "d": Found(("x", "y")),
    }  # fmt: skip
    found = overlap("image", live, new)
    assert (found.queries, found.same_first) == (3, pytest.approx(2 / 3))
    assert found.overlap == pytest.approx((2 / 3 + 0 + 1) / 3)
    assert found.jaccard == pytest.approx((2 / 4 + 0 + 1) / 3)
    assert overlap("image", {"b": Found()}, {"b": Found()}).queries == 0
    # Only the first k count.
    assert overlap("i", {"a": Found(("x", "y"))}, {"a": Found(("x", "z"))}, k=1).overlap == 1.0


EVIL = "<script>alert(1)</script>&\"'[red]$x_1$"


def full_report() -> Report:
    """Everything that a report can hold, with names that try to be markup."""
    judgements = {f"q{number}": {"a": 1, "b": 2, EVIL: 1} for number in range(12)}
    columns = {query: {"market": EVIL, "half": str(int(query[1:]) % 2)} for query in judgements}
    golden = golden_of(judgements, columns=columns)
    lists = {query: Found(("a", EVIL, "c"), (0.1, 0.9, 0.5)) for query in judgements}
    worse = {query: Found(("c", "d", "a")) for query in judgements} | {"q0": Found()}
    measures, columns_ = parse_all(["ndcg@3", "p@3"]), ["market", "half"]
    runs = [
        Run("base " + EVIL, worse, 10, {"q0": "MEDIA: " + EVIL}, {"notes": [EVIL], "space": EVIL}),
        Run(EVIL, lists, 10, {"q1": EVIL}, {"notes": [EVIL], "snapshots": [3]}),
    ]
    base, now = (evaluate(golden, run, measures, slices=columns_, settings=FAST) for run in runs)
    verdicts = [
        *judge(now, [Requirement.parse("p@3>=0.9"), Requirement.parse("p@3>=0.1")]),
        *no_loss(now, base),
    ]
    overlaps = (overlap("image", base.run.lists, now.run.lists),)
    return Report(now, tuple(verdicts), compare([base, now]), overlaps)


class Reader(HTMLParser):
    """Tags that stay open, and everything that would be loaded from elsewhere or run."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input", "use", "path"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.reached: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and not str(value).startswith("#"):
                self.reached.append(str(value))
            assert not name.startswith("on")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open and self.open[-1] == tag, (tag, self.open[-3:])
            self.open.pop()


def test_the_page_is_whole_and_escaped() -> None:
    text = page(full_report())
    reader = Reader()
    reader.feed(text)
    assert reader.open == [] and reader.reached == []
    assert "script" not in reader.seen
    assert reader.seen.count("svg") == 3  # slices, distribution, differences
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text
    assert "not passed" in text and text.count("NOT MET") == 1
    for said in (
        "Worst queries by ndcg@3",
        "not judged",
        "not found",
        "Neighbours that both share",
    ):
        assert said in text


def test_queries_that_ask_with_files_are_shown(tmp_path: Path) -> None:
    files = {"a.png": png("red"), "b.wav": wav("low"), "c.png": b"no picture", "d.png": b""}
    files["e.png"] = png("blue") + bytes(500_000)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    rows = [{"query_id": name, "uri": name} for name in files]
    golden = assemble("f", rows, [(name, "x", 1) for name in files], folder=tmp_path)
    run = Run("r", {name: Found(("y",)) for name in files}, 10)
    text = page(Report(evaluate(golden, run, parse_all(["mrr"]), settings=FAST)))
    assert text.count('<img alt="" loading="lazy" src="data:image/png;base64,') == 1
    assert text.count('<audio controls preload="none" src="data:audio/wav;base64,') == 1
    assert b64encode(files["a.png"]).decode() in text


def test_the_page_is_the_same_every_time() -> None:
    assert page(full_report()) == page(full_report())


def test_without_matplotlib_the_page_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    real = builtins.__import__

    def missing(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name.split(".")[0] == "matplotlib":
            raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")
        return real(name, *arguments, **keywords)

    for name in [one for one in sys.modules if one.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", missing)
    text = page(full_report())
    assert text.count("matplotlib is not installed") == 1 and "<svg" not in text
    assert "Worst queries" in text
    assert write_page(tmp_path / "page.html", full_report()) == len(text.encode())


def test_the_terminal_shows_names_as_they_are() -> None:
    out = io.StringIO()
    terminal.show(Console(file=out, width=300, color_system=None), full_report())
    text = out.getvalue()
    assert "[red]$x_1$" in text and "<script>" in text
    assert re.search(r"all\s+12\s+0\.\d{4} \[0\.\d{3}, ", text)
    assert "NOT MET: p@3>=0.9" in text and "met: p@3>=0.1" in text
    assert "note: 1 query failed" in text


def test_notes_warn_of_sparse_judgements_and_small_slices() -> None:
    golden = golden_of({"q": {"a": 1}, "lost": {"a": 1}})
    run = Run("r", {"q": Found(tuple("abcdefghij"))}, 10)
    said = reporting.notes(evaluate(golden, run, parse_all(["p@5"]), settings=FAST))
    assert said[0].startswith("10.0% of the first 10 results are judged: what is not judged")
    assert any("lacks 1 query;" in line for line in said)
    assert any("fewer than 10 queries" in line for line in said)


def test_the_shadow_report_is_shown_too() -> None:
    golden, searcher = two_spaces(2)
    found = shadow(searcher, golden, candidate="new", live="old", settings=FAST)
    report = of_shadow(found)
    assert report.passed == found.passed
    assert "overlap@10" in page(report)
    json.dumps(report.to_dict())
    with pytest.raises(InvalidInput, match="was not evaluated"):
        shadow(
            searcher, golden, candidate="new", live="old", settings=FAST,
            requirements=[Requirement.parse("ndcg@10[market=XX]>=0.1")],
        )  # fmt: skip
