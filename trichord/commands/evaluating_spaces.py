"""eval ann, eval zero-shot, eval shadow: what indexes and spaces do to the same questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from trichord.commands.common import json_option, print_json, reached, server_options, store_option
from trichord.commands.evaluating_options import (
    MODALITIES,
    cluster_option,
    console,
    gate_options,
    golden_argument,
    html_option,
    measure_option,
    options,
    progress,
    settings,
    slice_option,
    statistics_options,
    where_options,
    worst_option,
)


@click.command("ann")
@golden_argument
@where_options
@click.option("--k", type=int, default=10, show_default=True)
@click.option("--modality", "modalities", multiple=True, type=click.Choice(MODALITIES))
@click.option(
    "--require-recall", type=float, default=None, help="Exit with 1 if a mean is lower than this."
)
@statistics_options
@json_option
def ann(
    golden: Path,
    store: str,
    space: str | None,
    server: str | None,
    token: str | None,
    tls_ca: str | None,
    k: int,
    modalities: tuple[str, ...],
    require_recall: float | None,
    as_json: bool,
    **statistics: Any,
) -> None:
    """What the approximate index loses against exact search on GOLDEN's queries."""
    from trichord.evaluation.ann import ann_recall
    from trichord.evaluation.golden import load
    from trichord.evaluation.terminal import show_ann

    loaded = load(golden)
    chosen_settings = settings(None, statistics)
    with (
        progress("ask", as_json) as advance,
        reached(store, server, token, tls_ca, space) as there,
    ):
        report = ann_recall(
            there,
            loaded,
            space=space,
            k=k,
            modalities=modalities,
            settings=chosen_settings,
            on_progress=advance,
        )
    if as_json:
        print_json(report.to_dict())
    else:
        show_ann(console(), report)
    if require_recall is not None and (
        not report.rows or any(row.recall.value < require_recall for row in report.rows)
    ):
        click.get_current_context().exit(1)


@click.command("zero-shot")
@click.argument("labels", type=click.Path(path_type=Path))
@where_options
@statistics_options
@json_option
def zero_shot_(
    labels: Path,
    store: str,
    space: str | None,
    server: str | None,
    token: str | None,
    tls_ca: str | None,
    as_json: bool,
    **statistics: Any,
) -> None:
    """Classify items by the nearest label's text; LABELS is a TOML file with the attribute that
    holds the truth, the modality, templates and labels."""
    from trichord.evaluation.terminal import show_zero_shot
    from trichord.evaluation.zero_shot import read_task, zero_shot

    task = read_task(labels)
    chosen_settings = settings(None, statistics)
    with (
        progress("classify", as_json) as advance,
        reached(store, server, token, tls_ca, space) as there,
    ):
        result = zero_shot(there, task, space=space, settings=chosen_settings, on_progress=advance)
    if as_json:
        print_json(result.to_dict())
    else:
        show_zero_shot(console(), result)


_asked = options(
    store_option,
    server_options,
    click.option("--k", type=int, default=100, show_default=True, help="Results per query."),
    measure_option,
    slice_option,
    gate_options,
    statistics_options,
    cluster_option,
    worst_option,
    html_option,
    json_option,
)


@click.command("shadow")
@golden_argument
@click.option("--candidate", required=True, help="The space (or alias) that may go live.")
@click.option("--live", default=None, help="The space it is held against; default: the store's.")
@click.option(
    "--record",
    is_flag=True,
    help="Keep the verdict with the migration to the candidate, whose own conditions count too.",
)
@_asked
def shadow_(**given: Any) -> None:
    """Ask two spaces of one store the same and compare: what would a switch change?

    With --record the live space is the one that the migration comes from, unless --live says
    otherwise, and `trichord migrate switch` will look at this verdict.
    """
    _shadow(**given)


@click.command("evaluate")
@click.argument("space")
@golden_argument
@_asked
def evaluate_(space: str, **given: Any) -> None:
    """Measure the space that is migrated to against the one in use; `migrate switch` looks at it.

    The same as `trichord eval shadow GOLDEN --candidate SPACE --record`.
    """
    _shadow(candidate=space, live=None, record=True, **given)


def _shadow(
    *,
    golden: Path,
    candidate: str,
    live: str | None,
    store: str,
    server: str | None,
    token: str | None,
    tls_ca: str | None,
    k: int,
    measures: tuple[str, ...],
    slices: tuple[str, ...],
    requirements: tuple[str, ...],
    max_loss: float,
    record: bool,
    worst: int,
    cluster: str | None,
    html: Path | None,
    as_json: bool,
    **statistics: Any,
) -> None:
    from trichord.evaluation.gate import Requirement
    from trichord.evaluation.golden import load
    from trichord.evaluation.measures import parse_all
    from trichord.evaluation.page import write_page
    from trichord.evaluation.reporting import of_shadow
    from trichord.evaluation.shadow import shadow
    from trichord.evaluation.terminal import show

    loaded = load(golden)
    chosen_settings = settings(cluster, statistics)
    with progress("ask", as_json) as advance, reached(store, server, token, tls_ca, live) as there:
        conditions = list(requirements)
        if record:
            moving = there.migrations.get(candidate)
            live = live or moving.source
            conditions += moving.require
        wanted = [Requirement.parse(text) for text in dict.fromkeys(conditions)]
        found = shadow(
            there,
            loaded,
            live=live,
            candidate=candidate,
            measures=parse_all(measures),
            requirements=wanted,
            max_loss=max_loss,
            k=k,
            slices=list(slices) or None,
            settings=chosen_settings,
            on_progress=advance,
        )
        if record:
            there.migrations.record_evaluation(
                candidate, found.summary(), found.passed, snapshot=found.snapshot
            )
    if html is not None:
        write_page(html, of_shadow(found, worst))
    if as_json:
        print_json(found.summary())
    else:
        show(console(), of_shadow(found, worst))
    if not found.passed:
        click.get_current_context().exit(1)
