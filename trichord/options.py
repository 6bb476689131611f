"""The options of a search as keywords: one spelling for catalogues, clients and commands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from trichord.errors import InvalidInput
from trichord.filters import Filter
from trichord.query import (
    Boost,
    Quotas,
    SearchOptions,
    as_boosts,
    as_excluded,
    as_names,
    as_quotas,
)
from trichord.types import Group

REMEMBERED = 256


class SearchKeywords(TypedDict, total=False):
    """`trichord.query.SearchOptions` says what they mean."""

    modality: str | Sequence[str] | None
    where: str | Filter | None
    limit: int
    group: str | Group
    attributes: str | Sequence[str] | None
    segments: int
    fuse: str
    exact: bool
    page_token: str
    quotas: str | Mapping[str, int] | Quotas
    min_significance: float | None
    min_probability: float | None
    recall: float | None
    exclude_items: str | Iterable[str]
    exclude_entities: str | Iterable[str]
    boosts: Boost | Sequence[Boost]
    diversity: float
    keywords: str
    rerank: int
    rerank_ms: int
    facets: str | Sequence[str]
    explain: bool


def as_group(group: str | Group) -> Group:
    """The group of that name; raises InvalidInput for another name."""
    try:
        return Group(group)
    except ValueError:
        groups = ", ".join(Group)
        raise InvalidInput(f"group is one of {groups}, not {group!r}", field="group") from None


_READ: dict[Any, SearchOptions] = {}


def options_of(keywords: SearchKeywords) -> SearchOptions:
    """Raises InvalidInput for values out of range, TypeError for an option that there is not. What
    is asked again and again is read once."""
    key = None
    # Equal filter trees may differ (1 == True), so only filters that are texts are remembered.
    if "boosts" not in keywords and isinstance(keywords.get("where"), str | None):
        key = tuple(keywords.items())
        try:
            known = _READ.get(key)
        except TypeError:  # a list among them
            key = known = None
        if known is not None:
            return known
    options = _read(dict(keywords))
    if key is not None and not options.page_token:
        if len(_READ) >= REMEMBERED:
            _READ.clear()
        _READ[key] = options
    return options


def _read(given: dict[str, Any]) -> SearchOptions:
    for name in ("modality", "attributes", "facets"):
        if name in given:
            given[name] = as_names(given[name])
    for name in ("exclude_items", "exclude_entities"):
        if name in given:
            given[name] = as_excluded(given[name])
    if "quotas" in given:
        given["quotas"] = as_quotas(given["quotas"])
    if "boosts" in given:
        given["boosts"] = as_boosts(given["boosts"])
    if "group" in given:
        given["group"] = as_group(given["group"])
    return SearchOptions(**given)
