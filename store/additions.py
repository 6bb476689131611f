"""Segments of a further space for items that are stored already.

Of an item's row only the mask of its spaces, the numbers of segments and the revision change. Who
embeds takes time, in which items change: those that no longer are what they were are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trichord.errors import EncoderMismatch, InvalidInput, StoreDamaged
from trichord.store.batches import ItemBatch
from trichord.store.columns import commit_columns, strings, with_columns
from trichord.store.committing import Appended
from trichord.store.directory import MODALITIES, ItemDirectory, ItemFacts
from trichord.store.numbers import bits_of, from_counts, has, packed
from trichord.store.reader import Reader
from trichord.store.schema import ITEMS, SPACE_SEGMENTS, conform, segments_schema
from trichord.store.segment_batches import segment_rows, tie
from trichord.store.snapshots import Snapshot
from trichord.store.spaces import StoredSpace, named
from trichord.store.state import WriterState
from trichord.store.tables import append_batches
from trichord.types import Bool


@dataclass(frozen=True)
class Addition:
    """What `add_segments` or `copy_segments` did: the snapshot, to how many items it added
    segments, and the ids of those that it left out, in the order in which they were given."""

    snapshot: Snapshot
    items: int
    skipped: tuple[str, ...]

    @property
    def id(self) -> int:
        """Id of the snapshot."""
        return self.snapshot.id


@dataclass(frozen=True)
class Prepared:
    """An addition that may be written: no batch if no item fits."""

    batch: ItemBatch | None
    segments: dict[str, Appended]
    skipped: tuple[str, ...]

    @property
    def items(self) -> int:
        return 0 if self.batch is None else self.batch.rows.num_rows


def prepare_addition(
    state: WriterState, name: str, segments: pa.Table, revision: int, now: datetime
) -> Prepared:
    """See Writer.add_segments; writes nothing."""
    stored = named(state.spaces, name)
    what = f"segments of space {name!r}"
    owned = strings(segments, "item_id", what)
    if owned.null_count:
        raise InvalidInput(f"{what}: an item_id is null")
    ids = pc.unique(owned)
    hashes = state.items.hash(ids)
    positions = state.items.locate(hashes)
    good = _without(state.items, positions, stored)
    owner = np.asarray(pc.index_in(owned, value_set=ids)).astype(np.int64)
    if "generation" in segments.column_names:
        good &= _same_generation(state.items, positions, good, owner, segments["generation"], what)
        segments = segments.drop_columns(["generation"])
    skipped = tuple(ids.filter(pa.array(~good)).to_pylist())
    if not good.any():
        return Prepared(None, {}, skipped)
    if skipped:
        ids = ids.filter(pa.array(good))
        segments = segments.filter(pa.array(good[owner]))
        hashes, positions = hashes.take(good), positions[good]
    known = pa.chunked_array([ids])
    piece = tie(name, segments, state.spaces, known)
    facts = state.items.facts(positions)
    rows = segment_rows(piece, known, facts.modality, facts.generation, revision, now)
    batch = _widened(
        state, ids, ItemPlaces(hashes, positions, facts), stored, piece.counts, revision
    )
    return Prepared(batch, {stored.table: rows}, skipped)


def prepare_copy(
    state: WriterState,
    source: str,
    target: str,
    item_ids: Sequence[str],
    revision: int,
    now: datetime,
) -> Prepared:
    """See Writer.copy_segments; writes nothing."""
    donor, stored = named(state.spaces, source), named(state.spaces, target)
    if donor is stored:
        raise InvalidInput(f"space {source!r} cannot be copied to itself", space=source)
    if donor.space.frame != stored.space.frame:
        raise EncoderMismatch(
            f"space {source!r} has the frame {donor.space.frame.id}, {target!r} has "
            f"{stored.space.frame.id}: vectors cannot be copied, embed the content",
            source=source,
            target=target,
        )
    ids = pa.array(list(dict.fromkeys(item_ids)), pa.string())
    hashes = state.items.hash(ids)
    positions = state.items.locate(hashes)
    good = _without(state.items, positions, stored)
    good[good] = has(state.items.facts(positions[good]).numbers.spaces, donor.bit)
    skipped = tuple(ids.filter(pa.array(~good)).to_pylist())
    if not good.any():
        return Prepared(None, {}, skipped)
    ids, hashes, positions = ids.filter(pa.array(good)), hashes.take(good), positions[good]
    facts = state.items.facts(positions)
    _check_encoders(donor, stored, facts)
    counts = facts.numbers.of(donor.bit).astype(np.int64)
    batch = _widened(state, ids, ItemPlaces(hashes, positions, facts), stored, counts, revision)
    copy = Copy(state.reader(), state.items, donor, stored, ids.to_pylist(), counts, revision, now)
    return Prepared(batch, {stored.table: copy}, skipped)


@dataclass(frozen=True)
class Copy:
    """Appends the segments of some items to another table, batch by batch: memory holds none but
    the batch that is on its way."""

    reader: Reader
    items: ItemDirectory
    donor: StoredSpace
    stored: StoredSpace
    ids: list[str]
    counts: npt.NDArray[np.int64]
    revision: int
    now: datetime

    def __call__(self, data: Any) -> Any:
        found = [0]
        schema = segments_schema(self.stored.space.frame.dim)
        after = append_batches(data, schema, self._batches(schema, found))
        expected = int(self.counts.sum())
        if found[0] != expected:
            raise StoreDamaged(
                f"space {self.donor.space.name!r} has {found[0]} segments of {len(self.ids)} items "
                f"that should have {expected}: run `trichord verify`"
            )
        return after

    def _batches(self, schema: pa.Schema, found: list[int]) -> Iterator[pa.RecordBatch]:
        for batch in self.reader.rows_of(self.donor.table, "item_id", self.ids):
            mine = self.items.has_generation(
                self.items.hash(batch.column("item_id")), batch.column("generation").to_numpy()
            )
            rows = pa.Table.from_batches([batch]).filter(pa.array(mine))
            found[0] += rows.num_rows
            filled = commit_columns(rows.num_rows, self.revision, self.now)
            yield from conform(with_columns(rows, filled), schema, "segments").to_batches()


@dataclass(frozen=True)
class ItemPlaces:
    """Some live items: their hashes, positions in the directory, and facts."""

    hashes: Any
    positions: npt.NDArray[np.int64]
    facts: ItemFacts


def _without(items: ItemDirectory, positions: npt.NDArray[np.int64], stored: StoredSpace) -> Bool:
    """Which of n positions are live items that have no segments in the space, bool (n,)."""
    good = items.live(positions)
    good[good] = ~has(items.facts(positions[good]).numbers.spaces, stored.bit)
    return good


def _same_generation(
    items: ItemDirectory,
    positions: npt.NDArray[np.int64],
    good: Bool,
    owner: npt.NDArray[np.int64],
    given: pa.ChunkedArray,
    what: str,
) -> Bool:
    """Which items still are of the generation that all their rows give, bool (n,)."""
    if not pa.types.is_integer(given.type) or given.null_count:
        raise InvalidInput(f"{what}: `generation` is an integer in every row, or left out")
    now = np.zeros(len(positions), np.int64)
    now[good] = items.facts(positions[good]).generation
    differs = np.asarray(given.to_numpy()).astype(np.int64) != now[owner]
    same: Bool = np.bincount(owner[differs], minlength=len(positions)) == 0
    return same


def _check_encoders(donor: StoredSpace, stored: StoredSpace, facts: ItemFacts) -> None:
    for code in np.unique(facts.modality):
        modality = MODALITIES[code]
        made, wanted = donor.space.encoders.get(modality), stored.space.encoders.get(modality)
        if made is None or made != wanted:
            raise EncoderMismatch(
                f"the encoder for {modality} of space {donor.space.name!r} is "
                f"{(made or 'none')[:12]}, that of {stored.space.name!r} "
                f"{(wanted or 'none')[:12]}: vectors cannot be copied, embed the content",
                source=donor.space.name,
                target=stored.space.name,
                modality=modality,
            )


def _widened(
    state: WriterState,
    ids: pa.Array,
    places: ItemPlaces,
    stored: StoredSpace,
    counts: npt.NDArray[np.int64],
    revision: int,
) -> ItemBatch:
    """The rows of some items as they are, but for the new space."""
    before = places.facts
    numbers = from_counts(
        {
            **{bit: before.numbers.of(bit) for bit in bits_of(before.numbers.spaces)},
            stored.bit: counts,
        },
        len(ids),
    )
    rows = state.reader().whole_rows(ITEMS, "item_id", ids.to_pylist())
    if rows.num_rows != len(ids):
        raise StoreDamaged(
            f"the table {ITEMS!r} has {rows.num_rows} rows of {len(ids)} items: "
            "run `trichord verify`"
        )
    schema = state.data[ITEMS].schema
    filled = {
        "segments": pa.array(numbers.segments),
        "spaces": pa.array(numbers.spaces.astype(np.int64)),
        SPACE_SEGMENTS: packed(numbers),
        "revision": pa.array(np.full(len(ids), revision, np.int64)),
    }
    facts = ItemFacts(
        fingerprint=before.fingerprint,
        attributes_fingerprint=before.attributes_fingerprint,
        generation=before.generation,
        modality=before.modality,
        deleted=before.deleted,
        numbers=numbers,
    )
    rows = conform(with_columns(rows, filled), schema, "items")
    return ItemBatch(rows, places.hashes, places.positions, facts, before)
