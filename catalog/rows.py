"""Changes -> the Arrow tables that the store's writer commits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from trichord.catalog import attributes as attribute_columns
from trichord.catalog.changes import EntityChange, ItemChange, facts
from trichord.catalog.encoding import Segments
from trichord.catalog.items import ATTRIBUTE_PREFIX
from trichord.types import Modality, Space

Types = Mapping[str, pa.DataType]


def items_table(rows: Sequence[ItemChange], types: Types) -> pa.Table:
    """Rows of `items`; attributes in columns of the given types."""

    def content(name: str, value: Any, row: ItemChange) -> Any:
        """New content brings its own facts; a change of attributes keeps those of the old."""
        return value if row.new_content or row.stored is None else row.stored[name]

    def column(name: str, dtype: pa.DataType, values: Sequence[Any]) -> pa.Array:
        pairs = zip(rows, values, strict=True)
        return pa.array([content(name, value, row) for row, value in pairs], dtype)

    given = [row.prepared for row in rows]
    uris = [
        row.stored["uri"] if not row.new_content and row.prepared.uri is None and row.stored
        else row.prepared.uri
        for row in rows
    ]  # fmt: skip
    moments = [
        row.stored["event_timestamp"]
        if row.prepared.event_timestamp is None and row.stored
        else row.prepared.event_timestamp
        for row in rows
    ]
    columns: dict[str, Any] = {
        "item_id": pa.array([one.item_id for one in given], pa.string()),
        "entity_id": pa.array([row.entity_id for row in rows], pa.string()),
        "modality": column("modality", pa.string(), [one.modality for one in given]),
        "uri": pa.array(uris, pa.string()),
        "text": column("text", pa.string(), [row.text for row in rows]),
        "media_type": column("media_type", pa.string(), [one.media_type for one in given]),
        "content_hash": column("content_hash", pa.string(), [one.content_hash for one in given]),
        "fingerprint": column("fingerprint", pa.binary(16), [one.fingerprint for one in given]),
        "attributes_fingerprint": pa.array([facts(one) for one in given], pa.binary(16)),
        "event_timestamp": pa.array(moments, attribute_columns.TIME),
        "attributes_only": pa.array([not row.new_content for row in rows], pa.bool_()),
    }
    return pa.table(columns | _attributes([row.attributes for row in rows], types))


def entities_table(rows: Sequence[EntityChange], types: Types) -> pa.Table:
    """Rows of `entities`."""
    ids = pa.array([row.entity_id for row in rows], pa.string())
    return pa.table({"entity_id": ids} | _attributes([row.attributes for row in rows], types))


Embedded = tuple[str, Modality, Segments]
"""The segments of one item: its id, its modality, and what was made of it."""


def segments_table(embedded: Sequence[Embedded], space: Space) -> pa.Table:
    """Rows of `segments_<space>`."""
    dim = space.frame.dim
    per_row = [len(made.vectors) for _, _, made in embedded]
    spans = [span for _, _, made in embedded for span in made.spans]
    vectors = [vector for _, _, made in embedded for vector in made.vectors]
    matrix = np.stack(vectors) if vectors else np.zeros((0, dim), np.float32)

    def repeated(values: Sequence[str]) -> pa.Array:
        pairs = zip(values, per_row, strict=True)
        return pa.array([value for value, n in pairs for _ in range(n)], pa.string())

    return pa.table(
        {
            "item_id": repeated([item_id for item_id, _, _ in embedded]),
            "ordinal": pa.array([i for n in per_row for i in range(n)], pa.int32()),
            "modality": repeated([str(modality) for _, modality, _ in embedded]),
            "start_ms": pa.array([span.start_ms for span in spans], pa.int64()),
            "end_ms": pa.array([span.end_ms for span in spans], pa.int64()),
            "start_char": pa.array([span.start_char for span in spans], pa.int64()),
            "end_char": pa.array([span.end_char for span in spans], pa.int64()),
            "encoder": repeated([space.encoders[modality] for _, modality, _ in embedded]),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), dim),
        }
    )


def _attributes(rows: Sequence[Mapping[str, Any]], types: Types) -> dict[str, Any]:
    return {
        ATTRIBUTE_PREFIX + name: attribute_columns.column([row.get(name) for row in rows], dtype)
        for name, dtype in types.items()
    }
