"""Spaces and statistics <-> messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trichord.results import Coverage, IndexInfo, SpaceInfo, Stats
from trichord.types import Frame, Space
from trichord.v1 import registry_pb2
from trichord.wire.enums import MODALITY_NUMBERS, modality_of
from trichord.wire.values import from_timestamp, to_timestamp


def to_spaces(spaces: Sequence[SpaceInfo]) -> registry_pb2.ListSpacesResponse:
    return registry_pb2.ListSpacesResponse(spaces=map(_to_space, spaces))


def _to_space(info: SpaceInfo) -> registry_pb2.Space:
    return registry_pb2.Space(
        name=info.space.name,
        frame=info.space.frame.id,
        dim=info.space.frame.dim,
        encoders=[
            registry_pb2.Encoder(
                modality=MODALITY_NUMBERS[modality],
                id=encoder,
                at_hand=info.at_hand.get(modality, False),
            )
            for modality, encoder in info.space.encoders.items()
        ],
        default=info.default,
        aliases=info.aliases,
        coverage=[
            registry_pb2.SpaceCoverage(
                modality=MODALITY_NUMBERS[one.modality], items=one.items, covered=one.covered
            )
            for one in info.coverage
        ],
    )


def from_spaces(message: registry_pb2.ListSpacesResponse) -> list[SpaceInfo]:
    return [
        SpaceInfo(
            space=Space(
                space.name,
                Frame.from_id(space.frame),
                {modality_of(encoder.modality): encoder.id for encoder in space.encoders},
            ),
            default=space.default,
            at_hand={modality_of(encoder.modality): encoder.at_hand for encoder in space.encoders},
            aliases=tuple(space.aliases),
            coverage=tuple(
                Coverage(modality_of(one.modality), one.items, one.covered)
                for one in space.coverage
            ),
        )
        for space in message.spaces
    ]


def to_stats(stats: Stats, calls: Mapping[str, int]) -> registry_pb2.GetStatsResponse:
    """The path stays on the server."""
    return registry_pb2.GetStatsResponse(
        snapshot=stats.snapshot,
        snapshot_time=to_timestamp(stats.snapshot_time),
        entities=stats.entities,
        items=stats.items,
        indexes=[
            registry_pb2.IndexStats(
                space=index.space,
                modality=MODALITY_NUMBERS[index.modality],
                kind=index.kind,
                rows=index.rows,
                fresh_rows=index.fresh_rows,
                measured_recall=index.measured_recall,
                built_from_snapshot=index.built_from_snapshot,
            )
            for index in stats.indexes
        ],
        attributes=[
            registry_pb2.AttributeType(name=name, type=kind)
            for name, kind in stats.attributes.items()
        ],
        calls=calls,
        segments=stats.segments,
        bytes_on_disk=stats.bytes_on_disk,
        failures=stats.failures,
    )


def from_stats(message: registry_pb2.GetStatsResponse, address: str) -> Stats:
    """`path` is the address of the server."""
    return Stats(
        path=address,
        snapshot=message.snapshot,
        snapshot_time=from_timestamp(message.snapshot_time),
        entities=message.entities,
        items=dict(message.items),
        segments=message.segments,
        bytes_on_disk=message.bytes_on_disk,
        failures=message.failures,
        indexes=tuple(
            IndexInfo(
                space=index.space,
                modality=modality_of(index.modality),
                kind=index.kind,
                rows=index.rows,
                fresh_rows=index.fresh_rows,
                measured_recall=index.measured_recall,
                built_from_snapshot=index.built_from_snapshot,
            )
            for index in message.indexes
        ),
        attributes={attribute.name: attribute.type for attribute in message.attributes},
        calls=dict(message.calls),
    )
