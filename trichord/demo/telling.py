"""The demo's result as a person reads it in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trichord.demo.questions import Answer, Score, Section
from trichord.results import Stats

ORDER = ("text", "image", "audio")
HEADINGS = {
    Section.CONTENT: "Asked with new content (rows), found in the store (columns)",
    Section.ITEM: "Asked with a stored item (rows), found (columns)",
}
LABELS = {
    Section.ENTITY: "by entity",
    Section.FILTER: "filtered",
    Section.MOMENT: "a moment in",
    Section.MIX: "picture + sound",
}


def tell_store(console: Console, stats: Stats) -> None:
    items = ", ".join(f"{count} {name}" for name, count in stats.items.items())
    console.print(
        f"Store: {stats.entities} entities, {sum(stats.items.values())} items ({items}), "
        f"{stats.segments} segments, snapshot {stats.snapshot}"
    )


def tell_scores(console: Console, scores: Sequence[Score]) -> None:
    """Tables: how many questions had a right answer first, and among the first three."""
    for section, heading in HEADINGS.items():
        cells = {score.direction[1:]: score for score in scores if score.direction[0] is section}
        if not cells:
            continue
        table = Table(title=heading, title_justify="left")
        table.add_column("")
        for wants in ORDER:
            table.add_column(wants)
        for asks in ORDER:
            row = [cells.get((asks, wants)) for wants in ORDER]
            table.add_row(asks, *("" if score is None else _cell(score) for score in row))
        console.print(table)
    rest = [score for score in scores if score.direction[0] not in HEADINGS]
    if rest:
        table = Table(title="Asked in other ways", title_justify="left")
        table.add_column("")
        table.add_column("right answers")
        for score in rest:
            section, _, wants = score.direction
            label = LABELS[section]
            table.add_row(label if wants == "any" else f"{label} → {wants}", _cell(score))
        console.print(table)


def tell_examples(console: Console, answers: Sequence[Answer], *, count: int = 1) -> None:
    """A few questions of each direction with their best hits."""
    table = Table(title="Examples", title_justify="left", expand=False)
    for heading in ("asked", "for", "where", "best hits"):
        table.add_column(heading, overflow="fold")
    told: dict[tuple[Section, str, str], int] = {}
    for answer in answers:
        question = answer.question
        told[question.direction] = told.get(question.direction, 0) + 1
        if told[question.direction] > count:
            continue
        asked = " + ".join(shown.text or shown.caption for shown in question.shown)
        if question.section is Section.ITEM:
            asked = f"like {asked}"
        elif question.section is Section.ENTITY:
            asked = f"like entity {question.shown[0].caption}" if question.shown else "an entity"
        best = [
            f"{row.item_id} {row.score:.2f}{_span(row.start_ms, row.end_ms, question.section)}"
            for row in answer.rows[:3]
        ]
        table.add_row(
            escape(asked),
            "entities" if question.group == "entity" else str(question.modality or "all"),
            escape(question.where),
            escape("\n".join(best)) or "[dim]nothing[/dim]",
        )
    console.print(table)


def _cell(score: Score) -> str:
    colour = "green" if score.passed else "red"
    said = f"{score.near}/{score.asked} in top 3"
    if score.direction[0] is Section.MIX:
        said = f"{score.near}/{score.asked} found both"
    else:
        said += f", {score.first} first"
    broken = "" if score.obeyed else ", FILTER BROKEN"
    return f"[{colour}]{said}{broken}[/{colour}]"


def _span(start_ms: int | None, end_ms: int | None, section: Section) -> str:
    if section is not Section.MOMENT or start_ms is None or end_ms is None:
        return ""
    return f" at {start_ms}–{end_ms} ms"
