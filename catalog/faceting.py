"""Facets: how often each value of an attribute stands in what a search could find."""

from __future__ import annotations

import polars as pl

from trichord.catalog.view import View
from trichord.errors import InvalidInput
from trichord.explanation import LISTED_VALUES, Facet
from trichord.types import Bool


def facets(view: View, names: tuple[str, ...], findable: Bool) -> tuple[Facet, ...]:
    """One per attribute; `findable`: bool (items,). Raises InvalidInput for an unknown one."""
    return tuple([_facet(view, name, findable) for name in dict.fromkeys(names)])


def _facet(view: View, name: str, findable: Bool) -> Facet:
    if name not in view.items.attributes and name not in ("modality", "media_type"):
        known = ", ".join(sorted(view.items.attributes)) or "none"
        raise InvalidInput(
            f"there is no attribute {name!r} to count; there are {known}", field=name
        )
    column = view.items.frame.get_column(name).filter(pl.Series(findable))
    missing = column.null_count()
    column = column.drop_nulls()
    if isinstance(column.dtype, pl.List):
        # A list without members is a value, but has nothing to count.
        column = column.explode(empty_as_null=True).drop_nulls()
    counted = (
        column.alias("value")
        .to_frame()
        .group_by("value")
        .len("count")
        .sort(["count", "value"], descending=[True, False])
    )
    listed = counted.head(LISTED_VALUES)
    values = list(zip(listed["value"].to_list(), listed["count"].to_list(), strict=True))
    return Facet(name, values, missing, len(counted) - len(listed))
