"""What a neighbours job asks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trichord.errors import InvalidInput
from trichord.filters import Filter, as_filter
from trichord.options import as_group
from trichord.query import MAX_LIMIT, as_names
from trichord.types import Group, Modality

MAX_BATCH = 65_536


@dataclass(frozen=True)
class NeighbourOptions:
    """What a job asks; all but `batch` must be the same when it is resumed.

    `group`: what has neighbours and is one: an item, an entity or a segment. `from_modality`: the
    modalities that ask (empty: all of the space). `to_modality`: those in which each of them looks
    (empty: its own); a list is always of one pair of modalities. `where`: which items ask;
    `to_where`: which may be neighbours. `limit`: the length of a list at the most. `exact`: without
    approximation. `min_score`: the lowest cosine. `shard`: things that ask per file. `batch`:
    segments that ask at a time; more of them need more memory.
    """

    group: Group = Group.ITEM
    from_modality: tuple[Modality, ...] = ()
    to_modality: tuple[Modality, ...] = ()
    where: Filter | None = None
    to_where: Filter | None = None
    limit: int = 10
    exact: bool = False
    min_score: float | None = None
    shard: int = 10_000
    batch: int = 512

    @classmethod
    def given(
        cls,
        *,
        group: str | Group = Group.ITEM,
        from_modality: str | Sequence[str] | None = None,
        to_modality: str | Sequence[str] | None = None,
        where: str | Filter | None = None,
        to_where: str | Filter | None = None,
        **others: Any,
    ) -> NeighbourOptions:
        """The options as callers spell them. Raises InvalidInput, FilterError."""
        unknown = sorted(set(others) - set(cls.__dataclass_fields__))
        if unknown:
            raise InvalidInput(
                f"a neighbours job has no option {unknown[0]!r}; it has "
                f"{', '.join(cls.__dataclass_fields__)}"
            )
        return cls(
            as_group(group),
            _modalities(from_modality),
            _modalities(to_modality),
            as_filter(where),
            as_filter(to_where),
            **others,
        )

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_LIMIT:
            raise InvalidInput(f"limit must be 1 to {MAX_LIMIT}, not {self.limit}")
        if self.min_score is not None and not -1 <= self.min_score <= 1:
            raise InvalidInput(f"min_score is a cosine, -1 to 1, not {self.min_score}")
        if self.shard < 1:
            raise InvalidInput(f"shard must be at least 1, not {self.shard}")
        if not 1 <= self.batch <= MAX_BATCH:
            raise InvalidInput(f"batch must be 1 to {MAX_BATCH}, not {self.batch}")

    def to_json(self, visible: Filter | None) -> dict[str, Any]:
        """All that the lists depend on, with what a policy shows to who asks for the job."""
        shown = None if visible is None else hashlib.sha256(repr(visible).encode()).hexdigest()
        return {
            "group": str(self.group),
            "from_modality": [str(one) for one in self.from_modality],
            "to_modality": [str(one) for one in self.to_modality],
            "where": None if self.where is None else repr(self.where),
            "to_where": None if self.to_where is None else repr(self.to_where),
            "limit": int(self.limit),
            "exact": bool(self.exact),
            "min_score": None if self.min_score is None else float(self.min_score),
            "shard": int(self.shard),
            "visible": shown,
        }


def _modalities(given: str | Sequence[str] | None) -> tuple[Modality, ...]:
    """In one order, whatever order they were given in."""
    names = as_names(given)
    unknown = [name for name in names if name not in set(Modality)]
    if unknown:
        raise InvalidInput(
            f"there is no modality {unknown[0]!r}; there are {', '.join(Modality)}",
            modality=unknown[0],
        )
    return tuple(one for one in Modality if one in names)
