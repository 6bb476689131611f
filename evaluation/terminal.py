"""Reports on a terminal. Ids and texts are other people's: shown as they are, never as markup."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trichord.evaluation.ann import AnnReport
from trichord.evaluation.comparing import Comparison
from trichord.evaluation.evaluating import Looked
from trichord.evaluation.gate import Verdict
from trichord.evaluation.golden import GoldenSet
from trichord.evaluation.reporting import Report, facts, notes, significant_rows
from trichord.evaluation.shadow import Overlap
from trichord.evaluation.slices import slices_of
from trichord.evaluation.statistics import Interval
from trichord.evaluation.zero_shot import ZeroShot

LISTED = 5


def show(console: Console, report: Report) -> None:
    """The whole report: figures, what they rest on, worst queries, comparison, verdicts."""
    evaluation = report.evaluation
    for name, value in facts(evaluation):
        _line(console, f"{name:10} {value}")
    console.print()
    table = _table("slice", "queries", *map(str, evaluation.measures))
    for row in evaluation.rows:
        table.add_row(Text(str(row.part)), str(row.queries), *map(_cell, row.intervals))
    console.print(table)
    for note in notes(evaluation):
        _line(console, f"note: {note}")
    if report.worst:
        console.print()
        _line(console, f"worst queries by {evaluation.measures[0]}", "bold")
        console.print(_worst(evaluation.worst(report.worst)))
    if report.comparison is not None:
        console.print()
        show_comparison(console, report.comparison)
    if report.overlaps:
        console.print()
        console.print(_overlaps(report.overlaps))
    if report.verdicts:
        console.print()
        show_verdicts(console, report.verdicts)


def show_comparison(console: Console, comparison: Comparison) -> None:
    """One line per run, measure and slice."""
    _line(console, f"against {comparison.baseline.run.name}", "bold")
    table = _table("run", "slice", "measure", "before", "now", "difference", "+/-", "p (Holm)")
    for row, significant in zip(comparison.rows, significant_rows(comparison), strict=True):
        interval = row.difference.interval
        table.add_row(
            Text(row.run),
            Text(str(row.part)),
            str(row.measure),
            f"{row.baseline_value:.4f}",
            f"{row.value:.4f}",
            f"{interval.value:+.4f} \\[{interval.low:+.3f}, {interval.high:+.3f}]",
            f"{row.difference.better}/{row.difference.worse}",
            f"{row.p_holm:.4f}" + (" *" if significant else ""),
        )
    console.print(table)
    level = 1 - comparison.baseline.settings.confidence
    count = len(comparison.rows)
    _line(
        console,
        f"* differs at {level:.2g} after Holm's correction over {count} "
        f"{'test' if count == 1 else 'tests'}; +/-: queries better/worse",
    )


def show_verdicts(console: Console, verdicts: Sequence[Verdict]) -> None:
    for verdict in verdicts:
        _line(console, verdict.line, "" if verdict.passed else "bold red")


def show_golden(console: Console, golden: GoldenSet) -> None:
    """What a golden set holds."""
    judged = sum(map(len, golden.judgements.values()))
    relevant = sum(len(golden.relevant(query.query_id)) for query in golden.queries)
    _line(console, f"{golden.label}: {golden.description}".rstrip(": "), "bold")
    _line(console, f"sha256     {golden.sha256}")
    if golden.created is not None:
        _line(console, f"created    {golden.created:%Y-%m-%d %H:%M} UTC")
    _line(console, f"queries    {len(golden.queries)}")
    _line(
        console,
        f"judgements {judged} of {'items' if golden.judges == 'item' else 'entities'}, "
        f"{relevant} relevant ({relevant / len(golden.queries):.1f} per query)",
    )
    table = _table("slice", "queries")
    for part in slices_of(golden)[1:]:
        table.add_row(Text(str(part)), str(len(part.rows)))
    if table.row_count:
        console.print(table)


def show_ann(console: Console, report: AnnReport) -> None:
    table = _table("modality", "queries", f"recall@{report.k}", "nothing lost", "worst query")
    for row in report.rows:
        worst = f"{row.worst_recall:.2f} {row.worst_query}" if row.worst_recall < 1 else ""
        cells = (str(row.queries), _cell(row.recall), f"{row.complete:.1%}")
        table.add_row(row.modality, *cells, Text(worst))
    console.print(table)
    _line(console, "the approximate index against exact search; relevance plays no part")
    for query, error in list(report.errors.items())[:LISTED]:
        _line(console, f"note: {query}: {error}")


def show_zero_shot(console: Console, result: ZeroShot) -> None:
    _line(
        console,
        f"{result.items} items of {result.modality} into {result.labels} labels of "
        f"{result.attribute} in space {result.space}; chance {result.chance:.3f}"
        + (f"; {result.left_out} items have another value" if result.left_out else ""),
    )
    table = _table("top-1", "top-5", "macro-F1", "mAP", "temperature", "calibration error")
    calibrated = [
        "–" if one is None else f"{one:.4f}"
        for one in (result.temperature, result.calibration_error)
    ]
    table.add_row(
        _cell(result.top1),
        _cell(result.top5),
        f"{result.macro_f1:.4f}",
        f"{result.mean_average_precision:.4f}",
        *calibrated,
    )
    console.print(table)
    labels = _table("label", "items", "recognised", "AP", "taken for")
    for one in result.by_label[:10]:
        labels.add_row(
            Text(one.label),
            str(one.items),
            f"{one.recall:.2f}",
            f"{one.average_precision:.2f}",
            Text(one.confused_with),
        )
    _line(console, "labels recognised least", "bold")
    console.print(labels)


def _worst(looked: Sequence[Looked]) -> Table:
    table = _table("value", "query", "asked", "found (grade)", "expected (rank)")
    for one in looked:
        found = ", ".join(
            f"{name} ({'?' if grade is None else grade})" for name, grade in one.found[:LISTED]
        )
        expected = ", ".join(
            f"{name} ({'–' if rank is None else rank})" for name, _, rank in one.expected[:LISTED]
        )
        more = len(one.expected) - LISTED
        table.add_row(
            f"{one.value:.3f}",
            Text(one.query_id),
            Text(one.shown[:60]),
            Text(one.error or found or "nothing"),
            Text(expected + (f" and {more} more" if more > 0 else "")),
        )
    return table


def _overlaps(overlaps: Sequence[Overlap]) -> Table:
    k = overlaps[0].k
    table = _table("modality", "queries", f"overlap@{k}", "Jaccard", "same first")
    for one in overlaps:
        values = (f"{one.overlap:.3f}", f"{one.jaccard:.3f}", f"{one.same_first:.3f}")
        table.add_row(one.modality, str(one.queries), *values)
    return table


def _cell(interval: Interval) -> str:
    return f"{interval.value:.4f} \\[{interval.low:.3f}, {interval.high:.3f}]"


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style=style))
