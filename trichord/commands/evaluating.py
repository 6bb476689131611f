"""eval: judge answers by golden sets. `trichord eval GOLDEN` means `trichord eval run GOLDEN`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trichord.commands import evaluating_golden, evaluating_spaces
from trichord.commands.common import json_option, print_json, reached
from trichord.commands.evaluating_options import (
    cluster_option,
    console,
    gate_options,
    golden_argument,
    html_option,
    measure_option,
    progress,
    settings,
    slice_option,
    statistics_options,
    where_options,
    worst_option,
)
from trichord.errors import InvalidInput

if TYPE_CHECKING:
    from trichord.evaluation.evaluating import Evaluation
    from trichord.evaluation.runs import Run


class _RunByDefault(click.Group):
    """A first word that is no command of the group is the golden set of `run`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            args = ["run", *args]
        return super().resolve_command(ctx, args)


@click.group(
    "eval",
    cls=_RunByDefault,
    epilog="Exit codes: 0 done and every requirement met, 1 a requirement is not met.",
)
def eval_() -> None:
    """Measure how good answers are, on golden sets. `trichord eval GOLDEN` means `eval run`."""


@eval_.command("run")
@golden_argument
@where_options
@click.option("--k", type=int, default=100, show_default=True, help="Results per query.")
@click.option("--exact", is_flag=True, help="Search without approximation.")
@click.option("--fuse", default="rrf", show_default=True, help="How several modalities merge.")
@click.option("--modality", default=None, help="Search these instead of what the queries say.")
@click.option(
    "--run",
    "given",
    type=click.Path(path_type=Path),
    help="Judge this run (a saved one, or a file in TREC's format) and search nothing.",
)
@measure_option
@slice_option
@gate_options
@click.option("--against", type=click.Path(path_type=Path), help="A run that must not be lost to.")
@click.option("--save", type=click.Path(path_type=Path), help="Keep the run in this new folder.")
@click.option("--trec", type=click.Path(path_type=Path), help="Write the run in TREC's format.")
@statistics_options
@cluster_option
@worst_option
@html_option
@json_option
def run_(
    golden: Path,
    store: str,
    space: str | None,
    server: str | None,
    token: str | None,
    tls_ca: str | None,
    k: int,
    exact: bool,
    fuse: str,
    modality: str | None,
    given: Path | None,
    measures: tuple[str, ...],
    slices: tuple[str, ...],
    requirements: tuple[str, ...],
    max_loss: float,
    against: Path | None,
    save: Path | None,
    trec: Path | None,
    worst: int,
    html: Path | None,
    as_json: bool,
    cluster: str | None,
    **statistics: Any,
) -> None:
    """Ask a golden set's queries and judge the answers.

    GOLDEN is the folder of a golden set (its newest version) or of one version. With --require and
    --against the command is a gate: it exits with 1 if a requirement is not met or a measure is
    significantly below that of the other run.
    """
    from trichord.evaluation import gate, runs
    from trichord.evaluation.comparing import compare
    from trichord.evaluation.evaluating import evaluate
    from trichord.evaluation.golden import load
    from trichord.evaluation.measures import parse_all
    from trichord.evaluation.page import write_page
    from trichord.evaluation.reporting import Report
    from trichord.evaluation.running import run
    from trichord.evaluation.terminal import show

    wanted = [gate.Requirement.parse(text) for text in requirements]
    chosen = tuple(dict.fromkeys((*parse_all(measures), *(one.measure for one in wanted))))
    chosen_settings = settings(cluster, statistics)
    if worst < 0:
        raise InvalidInput("--worst is 0 or more")
    loaded = load(golden)
    other = None if against is None else runs.load(against)
    if save is not None and save.exists():
        raise InvalidInput(f"{save} exists already: a run is never overwritten")
    if given is not None:
        answered = runs.load(given)
    else:
        with (
            progress("ask", as_json) as advance,
            reached(store, server, token, tls_ca, space) as there,
        ):
            answered = run(
                there,
                loaded,
                space=space,
                k=k,
                exact=exact,
                fuse=fuse,
                modality=modality,
                name="" if save is None else save.name,
                on_progress=advance,
            )
    if save is not None:
        answered.save(save)
    if trec is not None:
        runs.write_trec(answered, trec)
    also = gate.columns(wanted)

    def judged(one: Run) -> Evaluation:
        return evaluate(
            loaded, one, chosen, slices=list(slices) or None, also=also, settings=chosen_settings
        )

    evaluation = judged(answered)
    verdicts = gate.judge(evaluation, wanted)
    comparison = None
    if other is not None:
        baseline = judged(other)
        verdicts += gate.no_loss(evaluation, baseline, max_loss=max_loss)
        comparison = compare([baseline, evaluation])
    report = Report(evaluation, tuple(verdicts), comparison, worst=worst)
    if html is not None:
        write_page(html, report)
    if as_json:
        print_json(report.to_dict())
    else:
        show(console(), report)
        for written in (save, trec, html):
            if written is not None:
                click.echo(f"written: {written}")
    if not report.passed:
        click.get_current_context().exit(1)


@eval_.command("compare")
@golden_argument
@click.argument("baseline", type=click.Path(path_type=Path))
@click.argument("others", nargs=-1, required=True, type=click.Path(path_type=Path))
@measure_option
@slice_option
@statistics_options
@cluster_option
@html_option
@json_option
def compare_(
    golden: Path,
    baseline: Path,
    others: tuple[Path, ...],
    measures: tuple[str, ...],
    slices: tuple[str, ...],
    cluster: str | None,
    html: Path | None,
    as_json: bool,
    **statistics: Any,
) -> None:
    """Compare saved runs of GOLDEN with BASELINE: paired tests with Holm's correction."""
    from trichord.evaluation import runs
    from trichord.evaluation.comparing import compare
    from trichord.evaluation.evaluating import evaluate
    from trichord.evaluation.golden import load
    from trichord.evaluation.measures import parse_all
    from trichord.evaluation.page import write_page
    from trichord.evaluation.reporting import Report
    from trichord.evaluation.terminal import show_comparison

    loaded, chosen = load(golden), parse_all(measures)
    chosen_settings = settings(cluster, statistics)
    evaluations = [
        evaluate(
            loaded, runs.load(path), chosen, slices=list(slices) or None, settings=chosen_settings
        )
        for path in (baseline, *others)
    ]
    comparison = compare(evaluations)
    if html is not None:
        write_page(html, Report(evaluations[-1], comparison=comparison))
    if as_json:
        print_json(comparison.to_dict())
    else:
        show_comparison(console(), comparison)


for command in (
    evaluating_spaces.ann,
    evaluating_spaces.zero_shot_,
    evaluating_spaces.shadow_,
    evaluating_golden.golden,
):
    eval_.add_command(command)
