"""search, similar, get."""

from __future__ import annotations

from typing import Any

import click

from trichord.commands.common import (
    json_option,
    print_json,
    reached,
    reranker_option,
    server_options,
    space_option,
    store_option,
)
from trichord.commands.search_options import history_of, options_given, search_options
from trichord.commands.showing import show
from trichord.errors import InvalidInput, NotFound
from trichord.query import Audio, EntityRef, Image, ItemRef, Query, Text, Vector


@click.command()
@click.argument("text", required=False)
@click.option("--image", type=click.Path(), multiple=True, help="A picture to search by.")
@click.option("--audio", type=click.Path(), multiple=True, help="A sound to search by.")
@click.option("--item", multiple=True, help="A stored item to search by.")
@click.option("--entity", multiple=True, help="A stored entity to search by.")
@click.option("--vector", type=click.Path(), help="A .npy file with one vector to search by.")
@click.option("--unlike", multiple=True, help="A text to keep away from.")
@click.option("--unlike-item", multiple=True, help="A stored item to keep away from.")
@click.option(
    "--unlike-weight", default=0.3, show_default=True, help="How much, against 1 for the others."
)
@click.option(
    "--history",
    "history_file",
    type=click.Path(),
    help="A CSV file of lines item_id,time[,weight]: what somebody liked, by age.",
)
@click.option(
    "--half-life-days", default=30.0, show_default=True, help="After which a liking counts half."
)
@search_options
@reranker_option
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
    unlike: tuple[str, ...],
    unlike_item: tuple[str, ...],
    unlike_weight: float,
    history_file: str | None,
    half_life_days: float,
    reranker: str | None,
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
    trichord search "piano" --unlike "applause" --diversity 0.3 --facets genre --explain
    trichord search --history liked.csv --exclude-file heard.txt --boost 0.05 "year >= 2024"
    """
    inputs: list[Any] = [Text(text)] if text is not None else []
    inputs += [Image.open(path) for path in image] + [Audio.open(path) for path in audio]
    inputs += [ItemRef(item_id) for item_id in item] + [EntityRef(name) for name in entity]
    if vector is not None:
        inputs.append(_vector(vector))
    if history_file is not None:
        inputs.append(history_of(history_file, half_life_days))
    if not inputs:
        raise InvalidInput("say what to search for: a text, --image, --audio, --item, --entity …")
    inputs += [-unlike_weight * Text(words) for words in unlike]
    inputs += [-unlike_weight * ItemRef(item_id) for item_id in unlike_item]
    query = Query(tuple(term for one in inputs for term in one._as_terms()))
    given = options_given(**options)
    with reached(store, server, token, tls_ca, space, reranker=reranker) as there:
        show(there.search(query, space=space, **given), as_json)


@click.command()
@click.argument("item_id")
@search_options
@reranker_option
@store_option
@space_option
@server_options
@json_option
def similar(
    item_id: str,
    reranker: str | None,
    store: str,
    space: str | None,
    server: str | None,
    token: str | None,
    tls_ca: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Find what is nearest to a stored item, itself left out."""
    given = options_given(**options)
    with reached(store, server, token, tls_ca, space, reranker=reranker) as there:
        show(there.similar(item_id, space=space, **given), as_json)


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
