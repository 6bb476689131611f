"""Who asks whom in a neighbours job, and the rows that its shards hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf

import numpy as np
import pyarrow as pa

from trichord.catalog.leg_rows import SPANS
from trichord.catalog.legs import Leg
from trichord.catalog.neighbour_lists import Askers, Pairs, Ranks, Side, Target, lists
from trichord.catalog.neighbour_manifest import Manifest, Shard
from trichord.catalog.neighbour_options import NeighbourOptions
from trichord.catalog.view import View
from trichord.errors import InvalidInput
from trichord.filters import Filter
from trichord.types import ABSENT, I64, Group, Modality, Space


class Plan:
    """Who asks whom in one view. Raises InvalidInput, FilterError."""

    def __init__(
        self, view: View, space: Space, options: NeighbourOptions, visible: Filter | None
    ) -> None:
        self._view, self._space, self._options = view, space, options
        self._told = options.to_json(visible)
        asking = _of_space(options.from_modality, space) or tuple(
            one for one in Modality if one in space.encoders
        )
        looked_in = _of_space(options.to_modality, space) or asking
        passing = view.passing(options.where, visible)
        view.passing(options.to_where, visible)  # a wrong filter is an error also without items
        # Polars would gather texts in its pool of threads, for which small batches wait.
        self._names = [
            view.items.frame.get_column(name).to_arrow() for name in ("item_id", "entity_id")
        ]
        ranks = Ranks.of(view)
        self._askers: dict[Modality, Askers] = {}
        self._targets: dict[Modality, Target] = {}
        for modality in Modality:
            leg = view.legs.get((space.name, modality))
            if leg is None or not leg.index.live or modality not in {*asking, *looked_in}:
                continue
            side = Side(leg, ranks, options.group)
            if modality in asking:
                alive = leg.index.alive
                wanted = alive if passing is None else alive & passing[leg.rows.item]
                self._askers[modality] = Askers(side, wanted)
            if modality in looked_in:
                allowed = view.allowed(leg, options.to_where, visible)
                self._targets[modality] = Target(side, allowed, options.exact)

    @property
    def asked(self) -> dict[str, int]:
        """How many things of each modality ask."""
        return {str(modality): len(askers) for modality, askers in self._askers.items()}

    def manifest(self, asked_space: str | None) -> Manifest:
        """Of the job before anything is done."""
        shards, size = [], self._options.shard
        for name, count in self.asked.items():
            for number, first in enumerate(range(0, count, size)):
                file = f"{name}-{number:05}.parquet"
                shards.append(Shard(file, name, first, min(count, first + size)))
        return Manifest(
            snapshot=self._view.snapshot.id,
            snapshot_time=self._view.snapshot.created_timestamp.isoformat(),
            asked_space=asked_space,
            space=self._space.name,
            frame=self._space.frame.id,
            options=self._told,
            asked=self.asked,
            shards=tuple(shards),
        )

    def schema(self) -> pa.Schema:
        """Columns of a shard; its metadata say what it is of."""
        columns = [*_COLUMNS, *(_OF_SEGMENTS if self._options.group is Group.SEGMENT else ())]
        facts = {
            "trichord.space": self._space.name,
            "trichord.frame": self._space.frame.id,
            "trichord.snapshot": str(self._view.snapshot.id),
        }
        return pa.schema(columns, metadata=facts)

    def tables(self, shard: Shard, advance: Callable[[int], None]) -> Iterator[pa.Table]:
        """The rows of a shard, by asking thing, then modality of the neighbours, then rank; calls
        `advance` with how many things more are done."""
        options, askers = self._options, self._askers[Modality(shard.modality)]
        floor = -inf if options.min_score is None else options.min_score
        targets = self._asked_by(shard)
        for first, stop in askers.parts(shard.first, shard.stop, options.batch):
            tables, owners = [], []
            for target in targets:
                pairs, ranks = lists(
                    askers, first, stop, target, options.limit, floor, options.batch
                )
                tables.append(self._table(askers.side.leg, target.side.leg, pairs, ranks))
                owners.append(pairs.asker)
            if tables:
                order = np.argsort(np.concatenate(owners), kind="stable")
                yield pa.concat_tables(tables).take(pa.array(order))
            advance(stop - first)

    def answered(self, shard: Shard) -> Shard:
        """The shard with what answered it."""
        told = {str(one.side.leg.modality): one.told for one in self._asked_by(shard)}
        return replace(shard, indexes=told)

    def _asked_by(self, shard: Shard) -> list[Target]:
        wanted = self._options.to_modality or (Modality(shard.modality),)
        return [target for modality, target in self._targets.items() if modality in wanted]

    def _table(self, asking: Leg, answering: Leg, pairs: Pairs, ranks: I64) -> pa.Table:
        mine, theirs = asking.rows.item[pairs.asking], answering.rows.item[pairs.answering]
        columns = [
            *self._ids(mine, asking.modality),
            pa.array(ranks, pa.int32()),
            *self._ids(theirs, answering.modality),
            pa.array(pairs.score, pa.float32()),
        ]
        if self._options.group is Group.SEGMENT:
            columns += _places(asking, pairs.asking) + _places(answering, pairs.answering)
        return pa.Table.from_arrays(columns, schema=self.schema())

    def _ids(self, rows: I64, modality: Modality) -> list[pa.Array]:
        """Item ids, entity ids and modality of rows of the item table."""
        taken = [names.take(pa.array(rows)).cast(pa.string()) for names in self._names]
        return [*taken, pa.array([str(modality)] * len(rows), pa.string())]


_COLUMNS = (
    ("item_id", pa.string()),
    ("entity_id", pa.string()),
    ("modality", pa.string()),
    ("rank", pa.int32()),
    ("neighbour_id", pa.string()),
    ("neighbour_entity_id", pa.string()),
    ("neighbour_modality", pa.string()),
    ("score", pa.float32()),
)
_OF_SEGMENTS = tuple(
    (f"{side}{name}", pa.int32() if name == "ordinal" else pa.int64())
    for side in ("", "neighbour_")
    for name in ("ordinal", *SPANS)
)


def _places(leg: Leg, rows: I64) -> list[pa.Array]:
    """Ordinals and spans."""
    spans = leg.rows.spans[rows].T
    return [
        pa.array(leg.rows.ordinal[rows], pa.int32()),
        *(pa.array(span, pa.int64(), mask=span == ABSENT) for span in spans),
    ]


def _of_space(asked: tuple[Modality, ...], space: Space) -> tuple[Modality, ...]:
    missing = [one for one in asked if one not in space.encoders]
    if missing:
        raise InvalidInput(
            f"space {space.name!r} has no {missing[0]}; it has {', '.join(space.encoders)}",
            modality=missing[0],
        )
    return asked
