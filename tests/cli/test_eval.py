"""`trichord eval`: trec_eval's published values through the command, gates and their exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
import pytrec_eval
from click.testing import CliRunner, Result

from tests.evaluation.worlds import chance, records
from tests.fakes import HashSpace
from trichord.commands import common
from trichord.commands.evaluating import eval_
from trichord.errors import InvalidInput, NotFound
from trichord.evaluation.runs import write_trec

if TYPE_CHECKING:
    from trichord.catalog import Catalog

Eval = Callable[..., Result]

PUBLISHED_QRELS = "q1 0 d1 0\nq1 0 d2 1\nq1 0 d3 0\nq2 0 d2 1\nq2 0 d3 1\n"
PUBLISHED_RUN = (
    "q1 Q0 d1 0 1.0 toy\nq1 Q0 d2 0 0.0 toy\nq1 Q0 d3 0 1.5 toy\n"
    "q2 Q0 d1 0 1.5 toy\nq2 Q0 d2 0 0.2 toy\nq2 Q0 d3 0 0.5 toy\n"
)
PUBLISHED = {
    "q1": {"ndcg": 0.5, "map": 0.3333333333333333},
    "q2": {"ndcg": 0.6934264036172708, "map": 0.5833333333333333},
}
"""The example of pytrec_eval's README and what trec_eval's code gives there (Van Gysel and de
Rijke, SIGIR 2018); by hand: tests/evaluation/test_measures.py."""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Eval:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0) -> Result:
        fast = ["--resamples", "500"] if "--resamples" in _taken(arguments) else []
        result = CliRunner().invoke(eval_, [*arguments, *fast])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return run


def _taken(arguments: tuple[str, ...]) -> list[str]:
    """The options of the command that is meant."""
    if "--help" in arguments:
        return []
    name = arguments[0] if arguments[0] in eval_.commands else "run"
    return [option for parameter in eval_.commands[name].params for option in parameter.opts]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    from trichord.catalog import Catalog

    path = tmp_path_factory.mktemp("eval") / "store"
    with Catalog.open(path, space=HashSpace()) as opened:
        with opened.ingestion() as ingestion:
            ingestion.add(records())
        yield opened


@pytest.fixture
def there(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """Every `--store` is this catalogue."""

    @contextmanager
    def opened(store: str, **options: Any) -> Iterator[Catalog]:
        yield catalog

    monkeypatch.setattr(common, "catalog", opened)
    return catalog


def report(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_agrees_with_trec_eval_on_a_published_run(run: Eval, tmp_path: Path) -> None:
    (tmp_path / "qrels.txt").write_text(PUBLISHED_QRELS)
    (tmp_path / "toy.run").write_text(PUBLISHED_RUN)
    run("golden", "import", "--judgements", "qrels.txt", "--name", "toy", "--into", "sets")
    found = report(run("run", "sets/toy", "--run", "toy.run", "-m", "ndcg", "-m", "map", "--json"))
    for query, values in PUBLISHED.items():
        assert found["queries"][query] == pytest.approx(values, abs=1e-6)
    means = found["slices"][0]["measures"]
    for name in ("ndcg", "map"):
        mean = sum(PUBLISHED[query][name] for query in PUBLISHED) / 2
        assert means[name]["value"] == pytest.approx(mean, abs=1e-6)


def test_agrees_with_trec_evals_code_on_runs_of_chance(run: Eval, tmp_path: Path) -> None:
    """Forty graded queries, ties in the scores, through the files of TREC and the command."""
    golden, first, _ = chance(11)
    lines = [
        f"{query} 0 {target} {grade}"
        for query, grades in golden.judgements.items()
        for target, grade in grades.items()
    ]
    (tmp_path / "qrels.txt").write_text("\n".join(lines))
    scores = {
        query: {one: float(10 - place // 3) for place, one in enumerate(found.ids)}
        for query, found in first.lists.items()
    }
    lines = [f"{q} Q0 {d} 1 {s} t" for q, of in scores.items() for d, s in of.items()]
    (tmp_path / "ties.run").write_text("\n".join(lines))
    run("golden", "create", "--judgements", "qrels.txt", "--name", "chance")
    names = {"ndcg@10": "ndcg_cut_10", "recall@10": "recall_10", "p@5": "P_5", "map": "map",
             "mrr": "recip_rank", "success@5": "success_5"}  # fmt: skip
    wanted = [part for name in names for part in ("-m", name)]
    found = report(run("golden/chance", "--run", "ties.run", "--json", *wanted))  # `run` is meant
    qrels = {query: dict(grades) for query, grades in golden.judgements.items()}
    reference = pytrec_eval.RelevanceEvaluator(qrels, set(names.values())).evaluate(scores)
    for query, values in found["queries"].items():
        expected = {name: reference[query][theirs] for name, theirs in names.items()}
        assert values == pytest.approx(expected, abs=1e-6)


def test_from_attribute_to_report(there: Catalog, run: Eval, tmp_path: Path) -> None:
    made = run("golden", "from-attribute", "concept", "--name", "c", "--popularity", "popularity")
    assert "9 queries, 54 judgements" in made.output
    shown = run("golden", "show", "golden/c").output
    assert "c v1" in shown and "modality=image" in shown
    assert report(run("golden", "show", "golden/c", "--json"))["queries"] == 9
    assert "all that answers a query is stored" in run("golden", "check", "golden/c").output
    done = run("golden/c", "--save", "runs/one", "--html", "one.html", "--trec", "one.trec",
               "--k", "20")  # fmt: skip
    assert "ndcg@10" in done.output and "modality=audio" in done.output
    assert "worst queries by ndcg@10" in done.output and "written: runs/one" in done.output
    assert (tmp_path / "one.html").read_text().count("<svg") == 2
    again = report(run("run", "golden/c", "--run", "runs/one", "--json"))
    traced = report(run("run", "golden/c", "--run", "one.trec", "--json"))
    assert again["slices"] == traced["slices"]
    assert again["run"]["space"] == "hash"
    with pytest.raises(InvalidInput, match="never overwritten"):
        run("golden/c", "--save", "runs/one")


def test_the_gate(there: Catalog, run: Eval) -> None:
    run("golden", "from-attribute", "concept", "--name", "c", "--modality", "image")
    met = ["--require", "map>=0.9", "--require", "map[label=red]>=0.9"]
    assert "met: map>=0.9" in run("golden/c", *met).output
    failed = run("golden/c", *met, "--require", "lower(success@1)>=0.99", code=1)
    assert "NOT MET: lower(success@1)>=0.99" in failed.output and "met: map>=0.9" in failed.output
    assert report(run("golden/c", "--require", "map<0.5", "--json", code=1))["passed"] is False
    with pytest.raises(InvalidInput, match="cannot be read"):
        run("golden/c", "--require", "map is good")
    with pytest.raises(InvalidInput, match="was not evaluated"):
        run("golden/c", "--require", "map[label=pink]>=0.9")
    with pytest.raises(NotFound, match="no golden set"):
        run("golden/none")


@pytest.fixture
def two_runs(run: Eval, tmp_path: Path) -> None:
    golden, first, second = chance(12)
    golden.save("golden")
    write_trec(first, tmp_path / "first.run")
    write_trec(second, tmp_path / "second.run")


def test_against_a_run(two_runs: None, run: Eval) -> None:
    good = run("golden/toy", "--run", "second.run", "--against", "first.run")
    assert "NOT MET" not in good.output and "against first" in good.output
    bad = run("golden/toy", "--run", "first.run", "--against", "second.run", "-m", "map", code=1)
    assert "NOT MET: map loses at most 0 against second" in bad.output
    run("golden/toy", "--run", "first.run", "--against", "second.run", "--max-loss", "0.9")
    run("golden/toy", "--run", "first.run", "--against", "first.run")


def test_compare(two_runs: None, run: Eval, tmp_path: Path) -> None:
    shown = run("compare", "golden/toy", "first.run", "second.run", "-m", "map", "--html", "c.html")
    assert "after Holm's correction over 6 tests" in shown.output
    found = report(run("compare", "golden/toy", "first.run", "second.run", "first.run", "--json"))
    assert found["tests"] == 2 * 6 * 5
    by_run = {row["run"]: row for row in found["differences"] if row["slice"] == "all"}
    assert by_run["second"]["significant"] and by_run["second"]["difference"] > 0
    assert by_run["first"]["difference"] == 0 and by_run["first"]["p_holm"] == 1
    assert "Against first" in (tmp_path / "c.html").read_text()


def test_ann_zero_shot_and_shadow(there: Catalog, run: Eval, tmp_path: Path) -> None:
    run("golden", "from-attribute", "concept", "--name", "c", "--modality", "image")
    assert "recall@5" in run("ann", "golden/c", "--k", "5").output
    found = report(run("ann", "golden/c", "--json", "--require-recall", "0.99"))
    assert found["rows"][0]["recall"]["value"] == 1.0
    run("ann", "golden/c", "--require-recall", "1.01", code=1)
    (tmp_path / "labels.toml").write_text(
        'attribute = "concept"\nmodality = "image"\ntemplates = ["{label}"]\n'
    )
    assert "top-1" in run("zero-shot", "labels.toml").output
    assert report(run("zero-shot", "labels.toml", "--json"))["top1"]["value"] == 1.0
    shown = run("shadow", "golden/c", "--candidate", "hash", "--require", "map>=0.9")
    assert "overlap@10" in shown.output and "met: map>=0.9" in shown.output
    summary = report(run("shadow", "golden/c", "--candidate", "hash", "--json"))
    assert summary["passed"] and summary["overlap"][0]["overlap"] == 1.0
    run("shadow", "golden/c", "--candidate", "hash", "--require", "map<0.5", code=1)


def test_the_verdict_is_kept_with_the_migration(
    run: Eval, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From one hash space to another whose words are other directions: the same pictures answer,
    the switch waits for the verdict, and a condition that is not met keeps it shut."""
    from trichord.catalog import Catalog
    from trichord.errors import StoreError

    new = HashSpace(dim=48, version=2, name="new")
    with Catalog.open(tmp_path / "store", space=HashSpace(), spaces={"new": new}) as moving:
        (tmp_path / "media").mkdir()
        for one in records():
            if one.data is not None and one.data.startswith(b"\x89PNG"):
                (tmp_path / "media" / f"{one.item_id}.png").write_bytes(one.data)
        moving.ingest(tmp_path / "media")

        @contextmanager
        def opened(store: str, **options: Any) -> Iterator[Catalog]:
            yield moving

        monkeypatch.setattr(common, "catalog", opened)
        words = ("red", "green", "blue")
        (tmp_path / "q.csv").write_text(
            "query_id,text,modality\n" + "".join(f"{one},{one},image\n" for one in words)
        )
        (tmp_path / "j.csv").write_text(
            "query_id,item_id,grade\n"
            + "".join(f"{one},{one}-{number}.png,1\n" for one in words for number in range(6))
        )
        run("golden", "import", "--judgements", "j.csv", "--queries", "q.csv", "--name", "c")
        moving.migrations.register("new", require=["recall@10>=0.9"])
        moving.migrations.run("new")
        with pytest.raises(StoreError):
            moving.migrations.switch("new")
        shadow = ("shadow", "golden/c", "--candidate", "new", "--record", "-m", "map")
        failed = run(*shadow, "--require", "map<0.5", code=1)
        assert "met: recall@10>=0.9" in failed.output and "NOT MET: map<0.5" in failed.output
        kept = moving.migrations.get("new").evaluation
        assert kept is not None and not kept.passed
        with pytest.raises(StoreError):
            moving.migrations.switch("new")
        assert "NOT MET" not in run(*shadow).output
        kept = moving.migrations.get("new").evaluation
        assert kept is not None and kept.passed
        assert kept.summary["candidate"]["run"]["space"] == "new"
        assert kept.summary["live"]["run"]["space"] == "hash"
        assert moving.migrations.switch("new").state == "live"


def test_judged_things_that_are_not_stored(there: Catalog, run: Eval, tmp_path: Path) -> None:
    (tmp_path / "j.csv").write_text("query_id,item_id,grade\nq,red-0,1\nq,gone,2\n")
    (tmp_path / "q.csv").write_text("query_id,text,modality\nq,red,image\n")
    run("golden", "import", "--judgements", "j.csv", "--queries", "q.csv", "--name", "c")
    checked = run("golden", "check", "golden/c", code=1)
    assert "not stored: gone (asked for by q)" in checked.output


def test_a_store_without_its_models_is_evaluated_by_stored_items(
    catalog: Catalog, run: Eval, tmp_path: Path
) -> None:
    """The real way to a store, which knows no space of the name "hash": items are queries."""
    (tmp_path / "j.csv").write_text("query_id,item_id,grade\nq,red-1,1\n")
    (tmp_path / "q.csv").write_text("query_id,item_id,modality\nq,red-0,image\n")
    run("golden", "import", "--judgements", "j.csv", "--queries", "q.csv", "--name", "c")
    found = report(run("golden/c", "--store", str(catalog.path), "-m", "success@5", "--json"))
    assert found["queries"]["q"]["success@5"] == 1.0
    assert found["run"]["space"] == "hash"


def test_the_command_imports_nothing_heavy() -> None:
    code = (
        "import sys; import trichord.commands.evaluating; heavy = {'torch', 'faiss', 'lancedb', "
        "'ir_measures', 'matplotlib', 'polars', 'scipy', 'numpy'}; "
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_docs_name_options_and_commands_that_exist() -> None:
    text = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text("utf-8")
    known = {"--token"}
    groups: list[click.Command] = [eval_]
    while groups:
        command = groups.pop()
        known |= {option for parameter in command.params for option in parameter.opts}
        groups += command.commands.values() if isinstance(command, click.Group) else []
    assert set(re.findall(r"--[a-z][a-z-]+", text)) <= known
    commands = re.findall(r"^\$ trichord eval ([a-z-]+)(?: |$)", text, re.M)
    assert set(commands) <= set(eval_.commands) | {"golden"} and len(commands) > 4


def test_help(run: Eval) -> None:
    assert "compare" in run("--help").output
    assert "--require" in run("run", "--help").output
    assert "from-attribute" in run("golden", "--help").output
