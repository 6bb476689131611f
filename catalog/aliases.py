"""Names that stand for a space, as of one snapshot: an answer rests on one view, so a switch is
atomic for every answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trichord.errors import InvalidInput
from trichord.results import AliasInfo
from trichord.store.schema import segments_table

KIND = "aliases"
"""Under which the store keeps them."""

DEFAULT = "default"
"""The alias of searches that name no space, and of what is ingested."""


@dataclass(frozen=True)
class Alias:
    """`previous`: the space that it named before, None if it never named another."""

    space: str
    previous: str | None
    since: datetime

    def to_json(self) -> dict[str, Any]:
        return {
            "space": self.space,
            "previous": self.previous,
            "since": self.since.isoformat(),
        }


def read(records: Mapping[str, Any]) -> dict[str, Alias]:
    """Aliases by name from the store's records."""
    return {
        name: Alias(
            record["space"], record.get("previous"), datetime.fromisoformat(record["since"])
        )
        for name, record in records.items()
    }


def resolved(name: str | None, aliases: Mapping[str, Alias], otherwise: str) -> str:
    """The space that `name` stands for; no name means the alias "default" if there is one, else
    `otherwise`."""
    if name and name != DEFAULT:
        return aliases[name].space if name in aliases else name
    return aliases[DEFAULT].space if DEFAULT in aliases else otherwise


def of_space(space: str, aliases: Mapping[str, Alias]) -> tuple[str, ...]:
    """The aliases that name the space."""
    return tuple(sorted(name for name, alias in aliases.items() if alias.space == space))


def infos(aliases: Mapping[str, Alias]) -> list[AliasInfo]:
    return [
        AliasInfo(name, alias.space, alias.previous, alias.since)
        for name, alias in sorted(aliases.items())
    ]


def check_names(alias: str, space: str, aliases: Iterable[str], spaces: Iterable[str]) -> None:
    """Raises InvalidInput for a name that cannot be one, or that would mean two things."""
    segments_table(alias)  # the same letters as a space
    if space in {*aliases, DEFAULT}:
        raise InvalidInput(f"{space!r} is an alias: a space needs another name", space=space)
    if alias in set(spaces) or alias == space:
        raise InvalidInput(f"{alias!r} is the name of a space: an alias needs another", alias=alias)
