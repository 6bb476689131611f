"""The spaces of a store: rows of the table `spaces`, and what may change about one.

A removed space keeps its row, so that nobody else gets its bit and its table's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from trichord.errors import EncoderMismatch, InvalidInput, NotFound
from trichord.store.numbers import BITS
from trichord.store.schema import SPACES_SCHEMA, segments_table
from trichord.types import Frame, Modality, Space

MAX_SPACES = BITS
"""Spaces that a store may have in its life, removed ones included."""

Facts = Mapping[Modality, Mapping[str, Any]]


@dataclass(frozen=True)
class StoredSpace:
    """A space and, per modality, the facts of its encoder; `bit` is its place in the masks of
    items, `table` holds its segments."""

    space: Space
    facts: Facts = field(hash=False)
    created_timestamp: datetime
    bit: int
    table: str
    removed: bool = False


def read_spaces(rows: pa.Table) -> list[StoredSpace]:
    """Rows of the table `spaces` in the order in which they were added, removed ones included."""
    return [
        StoredSpace(
            Space(row["name"], Frame.from_id(row["frame"]), _by_modality(row["encoders"])),
            _by_modality(row["encoder_facts"]),
            row["created_timestamp"],
            # Before version 2 of the schema the order of the rows was that of the bits.
            row.get("bit", place),
            row.get("segments_table") or segments_table(row["name"]),
            row.get("removed", False),
        )
        for place, row in enumerate(rows.to_pylist())
    ]


def live_spaces(spaces: Sequence[StoredSpace]) -> list[StoredSpace]:
    """Those that were not removed."""
    return [stored for stored in spaces if not stored.removed]


def mask_of(spaces: Sequence[StoredSpace]) -> int:
    """The bits of the spaces that were not removed."""
    return sum(1 << stored.bit for stored in spaces if not stored.removed)


def named(spaces: Sequence[StoredSpace], name: str) -> StoredSpace:
    """The space of that name. Raises NotFound if there is none, or it was removed."""
    found = next((s for s in spaces if s.space.name == name and not s.removed), None)
    if found is None:
        raise NotFound(f"the store has no space {name!r}: add it first", space=name)
    return found


def _by_modality(text: str) -> dict[Modality, Any]:
    return {Modality(key): value for key, value in json.loads(text).items()}


def space_rows(spaces: Sequence[StoredSpace]) -> pa.Table:
    """The table `spaces` for these spaces."""
    rows = [
        {
            "name": stored.space.name,
            "frame": stored.space.frame.id,
            "encoders": _json(stored.space.encoders),
            "encoder_facts": _json(stored.facts),
            "created_timestamp": stored.created_timestamp,
            "bit": stored.bit,
            "segments_table": stored.table,
            "removed": stored.removed,
        }
        for stored in spaces
    ]
    return pa.Table.from_pylist(rows, schema=SPACES_SCHEMA)


def _json(values: Mapping[Modality, Any]) -> str:
    return json.dumps({str(k): v for k, v in values.items()}, sort_keys=True)


def without(stored: Sequence[StoredSpace], name: str) -> list[StoredSpace]:
    """`stored` with the space `name` removed. Raises NotFound."""
    gone = named(stored, name)
    return [replace(s, removed=True) if s is gone else s for s in stored]


def joined(stored: Sequence[StoredSpace], space: Space, facts: Facts) -> list[StoredSpace]:
    """`stored` with `space` added, or with encoders for further modalities added to it.

    Raises EncoderMismatch if the space exists with another frame or another encoder for the same
    modality, InvalidInput for a bad name or dimension, or if there are too many spaces.
    """
    segments_table(space.name)
    if space.frame.dim < 1:
        raise InvalidInput(f"space {space.name!r}: a frame has at least one dimension")
    old = next((s for s in live_spaces(stored) if s.space.name == space.name), None)
    if old is None:
        return [*stored, _new(stored, space, facts)]
    if old.space.frame != space.frame:
        raise EncoderMismatch(
            f"space {space.name!r} is stored in the frame {old.space.frame.id}, not in "
            f"{space.frame.id}: use another name",
            space=space.name,
        )
    for modality, encoder in space.encoders.items():
        known = old.space.encoders.get(modality)
        if known is not None and known != encoder:
            raise EncoderMismatch(
                f"space {space.name!r} has {modality} vectors of the encoder {known[:12]}, not of "
                f"{encoder[:12]}: use the encoder of the store or another name",
                space=space.name,
                modality=modality,
            )
    encoders = {**space.encoders, **old.space.encoders}
    both = {**facts, **old.facts}
    merged = replace(old, space=Space(space.name, space.frame, encoders), facts=both)
    return [merged if s is old else s for s in stored]


def _new(stored: Sequence[StoredSpace], space: Space, facts: Facts) -> StoredSpace:
    bit = max((s.bit for s in stored), default=-1) + 1
    if bit >= MAX_SPACES:
        raise InvalidInput(
            f"a store holds at most {MAX_SPACES} spaces in its life, removed ones included: "
            "ingest into a new store"
        )
    table = segments_table(space.name)
    if any(s.table == table for s in stored):
        table = segments_table(space.name, bit)
    return StoredSpace(space, dict(facts), datetime.now(UTC), bit, table)
