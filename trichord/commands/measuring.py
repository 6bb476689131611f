"""space calibrate, space health."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from trichord.commands.common import catalog, json_option, print_json, space_option, store_option
from trichord.errors import InvalidInput, NotFound, TrichordError

LEVELS = (2.0, 3.0, 4.0, 6.0)


@click.command()
@store_option
@space_option
@click.option(
    "--texts", type=click.Path(dir_okay=False), help="Questions as people ask them, one per line."
)
@click.option(
    "--golden",
    type=click.Path(file_okay=False),
    help="A golden set: hits then get a probability of being relevant too.",
)
@click.option(
    "--minimum-pairs",
    default=1_000_000,
    show_default=True,
    help="Random pairs that a pair of modalities needs at least.",
)
@json_option
def calibrate(
    store: str,
    space: str | None,
    texts: str | None,
    golden: str | None,
    minimum_pairs: int,
    as_json: bool,
) -> None:
    """Measure what scores mean, so that hits say how significant they are.

    \b
    trichord space calibrate --store store/
    trichord search "rain" --min-significance 3
    """
    lines = None if texts is None else _lines(texts)
    with catalog(store, space=space) as opened:
        judged = [] if golden is None else _judged(golden)
        made = opened.calibrate(space=space, texts=lines, judged=judged, minimum=minimum_pairs)
    if as_json:
        print_json(made.to_json())
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("query", "finds", "pairs", *(f"score at {level:g}" for level in LEVELS)):
        table.add_column(heading, justify="left" if heading in ("query", "finds") else "right")
    for (query, item), tail in made.tails.items():
        marks = [_score_at(tail, level) for level in LEVELS]
        table.add_row(query, item, f"{tail.pairs:,}", *marks)
    Console().print(table)
    for (query, item), why in made.skipped.items():
        click.echo(f"{query} -> {item}: not calibrated, {why}")
    for pair, curve in made.curves.items():
        name = "all pairs" if pair is None else f"{pair[0]} -> {pair[1]}"
        click.echo(
            f"{name}: P(relevant) by {curve.method} from {curve.relevant} relevant of "
            f"{curve.judged} judged results, calibration error {curve.error:.3f}"
        )


def _score_at(tail: Any, level: float) -> str:
    """The cosine from which on a hit is as significant as `level`."""
    import numpy as np

    grid = np.linspace(-1.0, 1.0, 4001)
    reached = np.flatnonzero(tail.significance(grid) >= level)
    return f"{grid[reached[0]]:.3f}" if len(reached) else "never"


def _lines(path: str) -> list[str]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise NotFound(f"cannot read {path!r}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{path!r} is not UTF-8 text") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise InvalidInput(f"{path!r} holds no line")
    return lines


def _judged(folder: str) -> list[Any]:
    from trichord.evaluation.golden import load
    from trichord.evaluation.running import question

    golden = load(folder)
    if golden.judges != "item":
        raise InvalidInput(f"{golden.label} judges entities: calibration needs judged items")
    return [
        (question(golden, query), golden.judgements.get(query.query_id, {}))
        for query in golden.queries
    ]


@click.command()
@store_option
@space_option
@click.option("--sample", default=4_000, show_default=True, help="Vectors looked at per modality.")
@click.option("--no-drift", is_flag=True, help="Load no model to compare canaries.")
@json_option
def health(store: str, space: str | None, sample: int, no_drift: bool, as_json: bool) -> None:
    """Show how well the vectors of a space are spread, what is missing, and whether this machine
    computes what the store holds."""
    with catalog(store, create=False, space=space) as opened:
        found = opened.health(space=space, sample=sample)
        drift, told = None, "not compared"
        if not no_drift:
            try:
                drift = opened.drift(space=space)
                told = "none of these encoders are stored" if drift is None else str(drift)
            except TrichordError as error:
                told = f"cannot be computed here: {error}"
    warnings = list(found.warnings)
    if drift is not None and not drift.agrees:
        warnings.append("this machine computes other vectors than the store was written with")
    if as_json:
        print_json(
            {
                "space": found.space.name,
                "frame": found.space.frame.id,
                "snapshot": found.snapshot,
                "modalities": [{**vars(one), "coverage": one.coverage} for one in found.modalities],
                "pairs": [vars(pair) for pair in found.pairs],
                "canaries": told if drift is None else drift.to_json(),
                "warnings": warnings,
            }
        )
        return
    from rich.console import Console
    from rich.table import Table

    click.echo(f"{found.space.name}, {found.space.frame.id}, snapshot {found.snapshot}")
    first = Table(box=None, pad_edge=False, header_style="bold")
    headings = (
        "modality",
        "items",
        "covered",
        "segments",
        "norm error",
        "mean cosine",
        "dimension",
    )
    for heading in headings:
        first.add_column(heading, justify="left" if heading == "modality" else "right")
    for one in found.modalities:
        first.add_row(
            one.modality,
            f"{one.items:,}",
            f"{one.coverage:.1%}",
            f"{one.segments:,}",
            f"{one.norm_error:.1e}",
            f"{one.mean_cosine:.3f}",
            f"{one.effective_dimension:.0f}",
        )
    second = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("query", "finds", "gap", "hubness", "largest hub", "never found"):
        second.add_column(heading, justify="left" if heading in ("query", "finds") else "right")
    for pair in found.pairs:
        second.add_row(
            pair.query,
            pair.item,
            f"{pair.gap:.3f}",
            f"{pair.hubness:.1f}",
            f"{pair.largest_hub:.1%}",
            f"{pair.never:.1%}",
        )
    console = Console()
    console.print(first)
    console.print(second)
    click.echo(f"canaries: {told}")
    for warning in warnings:
        click.echo(f"warning: {warning}")
