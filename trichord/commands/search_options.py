"""The options of a search on the command line, and how they become its keywords."""

from __future__ import annotations

import csv
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from trichord.errors import InvalidInput, NotFound
from trichord.query import FUSIONS, RERANK_MS, Boost, Query, history


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
            click.option("--recall", type=float, help="Approximate to at least this recall."),
            click.option("--exclude", "exclude_items", multiple=True, help="An item to leave out."),
            click.option(
                "--exclude-entity",
                "exclude_entities",
                multiple=True,
                help="An entity to leave out.",
            ),
            click.option(
                "--exclude-file",
                type=click.Path(),
                help="A file of items to leave out, one a line.",
            ),
            click.option(
                "--boost",
                nargs=2,
                multiple=True,
                metavar="WEIGHT FILTER",
                help="Add WEIGHT to the score of what passes: --boost 0.1 'year >= 2020'",
            ),
            click.option(
                "--boost-by",
                nargs=2,
                multiple=True,
                metavar="WEIGHT ATTRIBUTE",
                help="Add WEIGHT times a number of each item: --boost-by 0.02 popularity",
            ),
            click.option(
                "--diversity",
                default=0.0,
                show_default=True,
                help="0 to 1: a hit counts less the nearer it is to a better one.",
            ),
            click.option(
                "--keywords", default="", help="Words to find in texts and attributes as well."
            ),
            click.option(
                "--rerank",
                default=0,
                help="How many of the first hits a cross-encoder orders anew.",
            ),
            click.option(
                "--rerank-ms", default=RERANK_MS, show_default=True, help="Time that it has for it."
            ),
            click.option("--facets", default=None, help="Attributes whose values to count: a,b."),
            click.option("--explain", is_flag=True, help="Say how the search went."),
            click.option("--page-token", default="", help="The next page of an earlier answer."),
        )
    ):
        command = option(command)
    return command


def options_given(
    boost: tuple[tuple[str, str], ...],
    boost_by: tuple[tuple[str, str], ...],
    exclude_items: tuple[str, ...],
    exclude_file: str | None,
    **options: Any,
) -> dict[str, Any]:
    """The options of a search as its keywords."""
    excluded = list(exclude_items)
    if exclude_file is not None:
        excluded += [line.strip() for line in _read(exclude_file).splitlines() if line.strip()]
    boosts = [Boost(_number(weight), where=where) for weight, where in boost]
    boosts += [Boost(_number(weight), attribute=name) for weight, name in boost_by]
    return {**options, "exclude_items": excluded, "boosts": boosts}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidInput(f"a weight is a number such as 0.1, not {text!r}") from None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise NotFound(f"cannot read {path!r}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{path!r} is no text in UTF-8") from None


def history_of(path: str, half_life_days: float) -> Query:
    """Lines `item_id,time` or `item_id,time,weight`, times in ISO 8601."""
    events: list[Any] = []
    for number, cells in enumerate(csv.reader(_read(path).splitlines()), 1):
        if not cells or cells[0].startswith("#"):
            continue
        try:
            item_id, moment, *weight = [cell.strip() for cell in cells]
            events.append((item_id, datetime.fromisoformat(moment), *map(float, weight[:1])))
        except ValueError:
            raise InvalidInput(
                f"{path}:{number}: a line is item_id,time or item_id,time,weight with a time such "
                "as 2026-03-01T12:00:00Z"
            ) from None
    return history(events, half_life_days=half_life_days)
