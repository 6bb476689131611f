"""search, similar, get."""

from __future__ import annotations

from typing import Any

import click

from trichord.commands.common import (
    clock,
    json_option,
    print_json,
    reached,
    server_options,
    space_option,
    store_option,
)
from trichord.errors import InvalidInput, NotFound
from trichord.hits import Hits
from trichord.query import FUSIONS, Audio, EntityRef, Image, ItemRef, Query, Text, Vector


def search_options(command: Any) -> Any:
    for option in reversed(
        (
            click.option("--modality", default=None, help="audio, image, text, or several: a,b."),
            click.option("--where", default=None, help="Filter: market = 'SE' and year >= 2020"),
            click.option("--limit", default=10, show_default=True, help="Hits per page."),
            click.option(
                "--group",
                type=click.Choice(["segment", "item", "entity"]),
                default="item",
                show_default=True,
                help="What one hit stands for.",
            ),
            click.option("--attributes", default=None, help="Attributes to show: a,b or *."),
            click.option("--segments", default=1, show_default=True, help="Best segments per hit."),
            click.option(
                "--fuse",
                type=click.Choice(FUSIONS),
                default="rrf",
                show_default=True,
                help="How lists of several modalities merge: by rank, raw cosine, significance, or "
                "by rank in the proportions of --quotas.",
            ),
            click.option("--quotas", default="", help="With --fuse quota: audio=2,image=1."),
            click.option(
                "--min-significance",
                type=float,
                default=None,
                help="Leave out hits that chance explains better: 3 means less than 1 in 1000.",
            ),
            click.option(
                "--min-probability",
                type=float,
                default=None,
                help="Leave out hits that are less likely to be relevant.",
            ),
            click.option("--exact", is_flag=True, help="Search without approximation."),
            click.option("--page-token", default="", help="The next page of an earlier answer."),
        )
    ):
        command = option(command)
    return command


@click.command()
@click.argument("text", required=False)
@click.option("--image", type=click.Path(), multiple=True, help="A picture to search by.")
@click.option("--audio", type=click.Path(), multiple=True, help="A sound to search by.")
@click.option("--item", multiple=True, help="A stored item to search by.")
@click.option("--entity", multiple=True, help="A stored entity to search by.")
@click.option("--vector", type=click.Path(), help="A .npy file with one vector to search by.")
@search_options
@store_option
@space_option
@server_options
@json_option
def search(
    text: str | None,
    image: tuple[str, ...],
    audio: tuple[str, ...],
    item: tuple[str, ...],
    entity: tuple[str, ...],
    vector: str | None,
    store: str,
    space: str | None,
    server: str | None,
    token: str | None,
    tls_ca: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Find what is nearest to a TEXT, a picture, a sound, stored things, or to all that is given
    together.

    \b
    trichord search "rain on a window" --modality audio,image
    trichord search "calmer" --image cover.png --where "market = 'SE'" --json
    """
    inputs: list[Any] = [Text(text)] if text is not None else []
    inputs += [Image.open(path) for path in image] + [Audio.open(path) for path in audio]
    inputs += [ItemRef(item_id) for item_id in item] + [EntityRef(name) for name in entity]
    if vector is not None:
        inputs.append(_vector(vector))
    if not inputs:
        raise InvalidInput("say what to search for: a text, --image, --audio, --item, --entity …")
    query = Query(tuple(term for one in inputs for term in one._as_terms()))
    with reached(store, server, token, tls_ca, space) as there:
        _show(there.search(query, space=space, **options), as_json)


@click.command()
@click.argument("item_id")
@search_options
@store_option
@space_option
@server_options
@json_option
def similar(
    item_id: str,
    store: str,
    space: str | None,
    server: str | None,
    token: str | None,
    tls_ca: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Find what is nearest to a stored item, itself left out."""
    with reached(store, server, token, tls_ca, space) as there:
        _show(there.similar(item_id, space=space, **options), as_json)


@click.command()
@click.argument("item_ids", nargs=-1)
@click.option("--entity", "entity_ids", multiple=True, help="An entity to show with its items.")
@click.option("--attributes", default=None, help="Attributes to show: a,b; default all.")
@store_option
@server_options
def get(
    item_ids: tuple[str, ...],
    entity_ids: tuple[str, ...],
    attributes: str | None,
    store: str,
    server: str | None,
    token: str | None,
    tls_ca: str | None,
) -> None:
    """Show stored items and entities as JSON. Exits with 3 if any is not stored."""
    if not item_ids and not entity_ids:
        raise InvalidInput("name items, or entities with --entity")
    with reached(store, server, token, tls_ca, None) as there:
        found = there.get(item_ids, entity_ids=entity_ids, attributes=attributes or ())
    print_json(
        {
            "items": [vars(item) for item in found.items],
            "entities": [vars(entity) for entity in found.entities],
            "missing_item_ids": list(found.missing_item_ids),
            "missing_entity_ids": list(found.missing_entity_ids),
            "snapshot": found.snapshot,
        }
    )
    missing = [*found.missing_item_ids, *found.missing_entity_ids]
    if missing:
        raise NotFound(f"not stored: {', '.join(missing)}")


def _vector(path: str) -> Vector:
    import numpy as np

    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"cannot read a vector from {path!r}: {error}") from None
    return Vector(values)


def _show(hits: Hits, as_json: bool) -> None:
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
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text as Plain

    if not len(hits):
        click.echo("nothing found")
        return
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
    if hits.next_page_token:
        click.echo(f"more: --page-token {hits.next_page_token}")
