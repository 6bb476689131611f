"""The report as one HTML file that refers to nothing outside itself.

Ids, queries and errors come from other people: everything is escaped.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

from trichord.errors import MissingExtra
from trichord.evaluation import plots
from trichord.evaluation.evaluating import Evaluation, Looked
from trichord.evaluation.page_media import element
from trichord.evaluation.page_style import STYLE
from trichord.evaluation.reporting import Report, facts, notes, significant_rows
from trichord.evaluation.statistics import Interval

NO_PLOTS = "There are no plots: matplotlib is not installed (pip install 'trichord[evaluation]')."


def write_page(path: str | Path, report: Report) -> int:
    """Writes the page and returns its size in bytes."""
    data = page(report).encode("utf-8", "replace")
    Path(path).write_bytes(data)
    return len(data)


def page(report: Report) -> str:
    """The page as one string of HTML."""
    evaluation = report.evaluation
    headline = escape(f"{evaluation.run.name} on {evaluation.golden.label}")
    pairs = "".join(f"<dt>{escape(n)}</dt><dd>{escape(v)}</dd>" for n, v in facts(evaluation))
    said = "".join(f"<li>{escape(note)}</li>" for note in notes(evaluation))
    sections = [
        _verdicts(report),
        _figures(evaluation),
        _plotted("Slices", lambda: plots.slices(evaluation)),
        _distribution(evaluation),
        _comparison(report),
        _overlaps(report),
        _worst(report),
    ]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{headline}</title>
<style>{STYLE}</style>
</head>
<body>
<header><h1>{headline}</h1><dl>{pairs}</dl><ul class="notes">{said}</ul></header>
<main>
{"".join(sections)}
</main>
</body>
</html>
"""


def _verdicts(report: Report) -> str:
    if not report.verdicts:
        return ""
    rows = "".join(
        f'<li class="{"met" if one.passed else "failed"}">{escape(one.line)}</li>'
        for one in report.verdicts
    )
    word = "passed" if report.passed else "not passed"
    mark = "met" if report.passed else "failed"
    return f'<section><h2>Gate: <span class="{mark}">{word}</span></h2><ul>{rows}</ul></section>'


def _figures(evaluation: Evaluation) -> str:
    head = "".join(f"<th>{escape(str(measure))}</th>" for measure in evaluation.measures)
    rows = []
    for row in evaluation.rows:
        cells = "".join(f"<td>{_interval(one)}</td>" for one in row.intervals)
        name = escape(str(row.part))
        rows.append(f"<tr><th>{name}</th><td class=n>{row.queries}</td>{cells}</tr>")
    return (
        "<section><h2>Figures</h2><div class=wide><table><thead><tr><th>slice</th><th>queries</th>"
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _distribution(evaluation: Evaluation) -> str:
    measure = evaluation.measures[0]
    return _plotted(
        "Queries", lambda: plots.distribution(evaluation.column(measure), measure), again=True
    )


def _comparison(report: Report) -> str:
    comparison = report.comparison
    if comparison is None:
        return ""
    first, measure = comparison.baseline, comparison.baseline.measures[0]
    drawn = "".join(
        _plotted(
            "",
            lambda other=other: plots.differences(  # type: ignore[misc]
                first.column(measure),
                other.column(measure),
                measure,
                (first.run.name, other.run.name),
            ),
            again=True,
        )
        for other in comparison.others
    )
    rows = []
    for row, significant in zip(comparison.rows, significant_rows(comparison), strict=True):
        interval, up = row.difference.interval, row.difference.interval.value > 0
        mark = ("met" if up else "failed") if significant else ""
        rows.append(
            f"<tr><td>{escape(row.run)}</td><td>{escape(str(row.part))}</td>"
            f"<td>{escape(str(row.measure))}</td><td class=n>{row.baseline_value:.4f}</td>"
            f'<td class=n>{row.value:.4f}</td><td class="n {mark}">{_interval(interval, "+")}</td>'
            f"<td class=n>{row.difference.better} / {row.difference.worse}</td>"
            f'<td class="n {mark}">{row.p_holm:.4f}</td></tr>'
        )
    heads = ("run", "slice", "measure", "before", "now", "difference", "better / worse", "p (Holm)")
    head = "".join(f"<th>{name}</th>" for name in heads)
    return (
        f"<section><h2>Against {escape(first.run.name)}</h2>{drawn}<p>Paired randomisation tests "
        f"over queries; p values after Holm's correction over {len(comparison.rows)} tests. "
        "Coloured: significant.</p><div class=wide><table><thead><tr>"
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _overlaps(report: Report) -> str:
    if not report.overlaps:
        return ""
    rows = "".join(
        f"<tr><th>{escape(one.modality)}</th><td class=n>{one.queries}</td>"
        f"<td class=n>{one.overlap:.3f}</td><td class=n>{one.jaccard:.3f}</td>"
        f"<td class=n>{one.same_first:.3f}</td></tr>"
        for one in report.overlaps
    )
    return (
        "<section><h2>Neighbours that both share</h2><table><thead><tr><th>modality</th>"
        f"<th>queries</th><th>overlap@{report.overlaps[0].k}</th><th>Jaccard</th>"
        f"<th>same first</th></tr></thead><tbody>{rows}</tbody></table></section>"
    )


def _worst(report: Report) -> str:
    if not report.worst:
        return ""
    evaluation = report.evaluation
    cards = "".join(_card(evaluation, one) for one in evaluation.worst(report.worst))
    return (
        f"<section><h2>Worst queries by {escape(str(evaluation.measures[0]))}</h2>"
        f'<div class="cards">{cards}</div></section>'
    )


def _card(evaluation: Evaluation, one: Looked) -> str:
    lines = []
    for place, (name, grade) in enumerate(one.found, 1):
        kind = "unjudged" if grade is None else "met" if grade > 0 else "failed"
        word = "not judged" if grade is None else f"grade {grade}"
        lines.append(
            f'<li class="{kind}"><span class=n>{place}</span> {escape(name)} '
            f"<small>{word}</small></li>"
        )
    wanted = []
    for name, grade, rank in one.expected[:10]:
        where = "not found" if rank is None else f"rank {rank}"
        wanted.append(f"<li>{escape(name)} <small>grade {grade}, {where}</small></li>")
    if len(one.expected) > 10:
        wanted.append(f"<li><small>and {len(one.expected) - 10} more</small></li>")
    found = "".join(lines) or "<li><small>nothing</small></li>"
    error = f'<p class="failed">{escape(one.error)}</p>' if one.error else ""
    asked = escape(one.shown) or "<small>not known</small>"
    media = element(evaluation.golden, evaluation.golden.queries[one.place])
    return (
        f"<article><h3>{asked}</h3><p><small>{escape(one.query_id)} · "
        f"{escape(str(evaluation.measures[0]))} {one.value:.3f}</small></p>{media}{error}"
        f"<div class=two><div><h4>found</h4><ol>{found}</ol></div>"
        f"<div><h4>expected</h4><ul>{''.join(wanted)}</ul></div></div></article>"
    )


def _plotted(title: str, draw: Callable[[], str], *, again: bool = False) -> str:
    """A plot under a title; `again`: that plots are missing was said before."""
    try:
        svg = draw()
    except MissingExtra:
        return "" if again else f"<section><p>{escape(NO_PLOTS)}</p></section>"
    head = f"<h2>{escape(title)}</h2>" if title else ""
    return f"<section>{head}<figure>{svg}</figure></section>"


def _interval(interval: Interval, sign: str = "") -> str:
    return (
        f"{interval.value:{sign}.4f} <small>[{interval.low:{sign}.3f}, "
        f"{interval.high:{sign}.3f}]</small>"
    )
