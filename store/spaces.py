"""The spaces of a store: rows of the table `spaces`, and what may change about one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from trichord.errors import EncoderMismatch, InvalidInput
from trichord.store.schema import SPACES_SCHEMA, segments_table
from trichord.types import Frame, Modality, Space

MAX_SPACES = 32
"""Bits of the mask that says in which spaces an item has segments."""

Facts = Mapping[Modality, Mapping[str, Any]]


@dataclass(frozen=True)
class StoredSpace:
    """A space and, per modality, the facts of its encoder."""

    space: Space
    facts: Facts = field(hash=False)
    created_timestamp: datetime

    @property
    def table(self) -> str:
        return segments_table(self.space.name)


def read_spaces(rows: pa.Table) -> list[StoredSpace]:
    """Rows of the table `spaces` in their order, which is that of the bits in `items.spaces`."""
    return [
        StoredSpace(
            Space(row["name"], Frame.from_id(row["frame"]), _by_modality(row["encoders"])),
            _by_modality(row["encoder_facts"]),
            row["created_timestamp"],
        )
        for row in rows.to_pylist()
    ]


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
        }
        for stored in spaces
    ]
    return pa.Table.from_pylist(rows, schema=SPACES_SCHEMA)


def _json(values: Mapping[Modality, Any]) -> str:
    return json.dumps({str(k): v for k, v in values.items()}, sort_keys=True)


def joined(stored: Sequence[StoredSpace], space: Space, facts: Facts) -> list[StoredSpace]:
    """`stored` with `space` added, or with encoders for further modalities added to it.

    Raises EncoderMismatch if the space exists with another frame or another encoder for the same
    modality, InvalidInput for a bad name or dimension, or if there are too many spaces.
    """
    segments_table(space.name)
    if space.frame.dim < 1:
        raise InvalidInput(f"space {space.name!r}: a frame has at least one dimension")
    old = next((s for s in stored if s.space.name == space.name), None)
    if old is None:
        if len(stored) == MAX_SPACES:
            raise InvalidInput(f"a store holds at most {MAX_SPACES} spaces")
        return [*stored, StoredSpace(space, dict(facts), datetime.now(UTC))]
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
    merged = StoredSpace(Space(space.name, space.frame, encoders), both, old.created_timestamp)
    return [merged if s is old else s for s in stored]
