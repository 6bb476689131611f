"""An answer on the terminal: a table for people, JSON for programs."""

from __future__ import annotations

from dataclasses import asdict

import click

from trichord.commands.common import clock, print_json
from trichord.hits import Hits

FACET_VALUES_SHOWN = 12


def show(hits: Hits, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "space": hits.space,
                "frame": hits.frame,
                "snapshot": hits.snapshot,
                "coverage": hits.coverage,
                "partial": hits.partial,
                "notes": list(hits.notes),
                "next_page_token": hits.next_page_token,
                "facets": [asdict(facet) for facet in hits.facets],
                "explanation": None if hits.explanation is None else asdict(hits.explanation),
                "hits": [
                    {
                        "item_id": hit.item_id,
                        "entity_id": hit.entity_id,
                        "modality": hit.modality,
                        "score": round(hit.score, 6),
                        "significance": hit.significance,
                        "probability": hit.probability,
                        "attributes": hit.attributes,
                        "segments": [
                            {"ordinal": s.ordinal, "score": round(s.score, 6), **vars(s.span)}
                            for s in hit.segments
                        ],
                    }
                    for hit in hits
                ],
            }
        )
        return
    for note in hits.notes:
        click.echo(f"note: {note}", err=True)
    if not len(hits):
        click.echo("nothing found")
    else:
        _print_table(hits)
    for facet in hits.facets:
        counted = [f"{value} {count}" for value, count in facet.values[:FACET_VALUES_SHOWN]]
        rest = len(facet.values) - len(counted) + facet.others
        counted += [f"{rest} more values"] if rest else []
        counted += [f"none {facet.missing}"] if facet.missing else []
        click.echo(f"{facet.name}: {', '.join(counted)}")
    for line in hits.explanation.lines() if hits.explanation is not None else ():
        click.echo(line)
    if hits.next_page_token:
        click.echo(f"more: --page-token {hits.next_page_token}")


def _print_table(hits: Hits) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text as Plain

    table = Table(box=None, pad_edge=False, header_style="bold")
    measures = ["score"]
    if any(hit.significance is not None for hit in hits):
        measures.append("significance")
    if any(hit.probability is not None for hit in hits):
        measures.append("probability")
    for heading in measures:
        table.add_column(heading, justify="right")
    for heading in ("modality", "item", "entity", "where", *hits.attributes):
        table.add_column(heading, overflow="fold")
    for hit in hits:
        best = hit.segments[0]
        where = f"{clock(best.start_ms)}–{clock(best.end_ms)}" if best.start_ms is not None else ""
        values = ["" if value is None else str(value) for value in hit.attributes.values()]
        numbers = [getattr(hit, measure) for measure in measures]
        shown = ["" if number is None else f"{number:.3f}" for number in numbers]
        cells = [*shown, hit.modality, hit.item_id, hit.entity_id, where, *values]
        # Ids and attributes are other people's text: shown as they are, never as markup.
        table.add_row(*[Plain(cell) for cell in cells])
    Console().print(table)
