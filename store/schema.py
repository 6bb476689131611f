"""The tables: their columns, the schema version they carry, and how rows are brought to them."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pyarrow as pa

from trichord.errors import InvalidInput, StoreDamaged, StoreTooNew

SCHEMA_VERSION = 2
"""Rises when a table changes so that an older Trichord would misread it. Version 2 gave items
`space_segments` and spaces their bits, tables and removal; see `upgrading`."""

VERSION_KEY = "trichord.schema_version"
METADATA = {VERSION_KEY: str(SCHEMA_VERSION)}

ATTRIBUTE_PREFIX = "attr_"
SEGMENTS_PREFIX = "segments_"

SPACES, ENTITIES, ITEMS = "spaces", "entities", "items"
FAILURES, SNAPSHOTS = "failures", "snapshots"
RECORDS = "records"
FIXED_TABLES = (SPACES, ENTITIES, ITEMS, FAILURES)

TIME = pa.timestamp("us", tz="UTC")
FINGERPRINT = pa.binary(16)

SPACE_SEGMENTS = "space_segments"
SPACE_SEGMENTS_TYPE = pa.list_(pa.int32())

# Without a declared key Lance's merge does not notice that two writers insert the same key.
_PRIMARY_KEY = {"lance-schema:unenforced-primary-key": "true"}


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


def _key(name: str) -> pa.Field:
    return pa.field(name, pa.string(), nullable=False, metadata=_PRIMARY_KEY)


SPACES_SCHEMA = pa.schema(
    [
        _key("name"),
        _required("frame", pa.string()),
        _required("encoders", pa.string()),
        _required("encoder_facts", pa.string()),
        _required("created_timestamp", TIME),
        # Bit of the mask `items.spaces`; a removed space's is never given to another.
        _required("bit", pa.int32()),
        _required("segments_table", pa.string()),
        _required("removed", pa.bool_()),
    ],
    metadata=METADATA,
)
ENTITIES_SCHEMA = pa.schema(
    [
        _key("entity_id"),
        _required("revision", pa.int64()),
        _required("deleted", pa.bool_()),
        _required("created_timestamp", TIME),
    ],
    metadata=METADATA,
)
ITEMS_SCHEMA = pa.schema(
    [
        _key("item_id"),
        _required("entity_id", pa.string()),
        _required("modality", pa.string()),
        pa.field("uri", pa.string()),
        pa.field("text", pa.string()),
        pa.field("media_type", pa.string()),
        pa.field("content_hash", pa.string()),
        pa.field("fingerprint", FINGERPRINT),
        pa.field("attributes_fingerprint", FINGERPRINT),
        # In the first of the item's spaces, and in all of them where `space_segments` is null.
        _required("segments", pa.int32()),
        # The item has segments in the spaces that have these bits.
        _required("spaces", pa.int64()),
        _required("generation", pa.int64()),
        _required("revision", pa.int64()),
        _required("deleted", pa.bool_()),
        pa.field("event_timestamp", TIME),
        _required("created_timestamp", TIME),
        # The number of segments per space of `spaces`, lowest bit first, where they differ.
        pa.field(SPACE_SEGMENTS, SPACE_SEGMENTS_TYPE),
    ],
    metadata=METADATA,
)
FAILURES_SCHEMA = pa.schema(
    [
        _required("source", pa.string()),
        pa.field("item_id", pa.string()),
        _required("reason", pa.string()),
        _required("message", pa.string()),
        _required("failed_at", TIME),
    ],
    metadata=METADATA,
)
RECORDS_SCHEMA = pa.schema(
    [
        _key("kind"),
        _key("name"),
        # JSON; null in a row that was removed, until compaction.
        pa.field("value", pa.string()),
        _required("revision", pa.int64()),
        _required("created_timestamp", TIME),
    ],
    metadata=METADATA,
)
SNAPSHOTS_SCHEMA = pa.schema(
    [
        _required("snapshot", pa.int64()),
        _required("created_timestamp", TIME),
        _required("versions", pa.string()),
        _required("revision", pa.int64()),
        _required("floor", pa.int64()),
        _required("counts", pa.string()),
        _required("message", pa.string()),
        # {path below the store: xxh3_64} of the files that this snapshot was the first to name.
        _required("files", pa.string()),
        _required("checksum", pa.uint64()),
    ],
    metadata=METADATA,
)


def segments_schema(dim: int) -> pa.Schema:
    """Columns of `segments_<space>`; `vector` is FixedSizeList<float32>[dim]."""
    return pa.schema(
        [
            _required("item_id", pa.string()),
            _required("ordinal", pa.int32()),
            _required("generation", pa.int64()),
            _required("revision", pa.int64()),
            _required("modality", pa.string()),
            pa.field("start_ms", pa.int64()),
            pa.field("end_ms", pa.int64()),
            pa.field("start_char", pa.int64()),
            pa.field("end_char", pa.int64()),
            _required("encoder", pa.string()),
            _required("checksum", pa.uint64()),
            _required("created_timestamp", TIME),
            _required("vector", pa.list_(pa.float32(), dim)),
        ],
        metadata=METADATA,
    )


_SPACE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_ATTRIBUTE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_KIND = re.compile(r"[a-z][a-z0-9_-]{0,63}")


def segments_table(space: str, bit: int | None = None) -> str:
    """Name of the table that holds the segments of `space`; with `bit` the name for a space that
    takes the name of a removed one, whose table older snapshots still read.

    Raises InvalidInput for what is no name of a space."""
    if not _SPACE_NAME.fullmatch(space):
        raise InvalidInput(
            f"{space!r} is not a name of a space: 1 to 64 letters, digits, '_', '.', '-', "
            "beginning with a letter or a digit",
            space=space,
        )
    # No name of a space begins with '_', so that the two forms never meet.
    return SEGMENTS_PREFIX + (space if bit is None else f"_{bit}_{space}")


def valid_kind(kind: str) -> str:
    """`kind` itself. Raises InvalidInput if it is no name of a kind of records."""
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise InvalidInput(
            f"{kind!r} is not a kind of records: 1 to 64 small letters, digits, '_', '-', "
            "beginning with a letter",
            kind=kind,
        )
    return kind


def attribute_type(name: str, kind: pa.DataType) -> pa.DataType:
    """The stored type of an attribute given as `kind`: string, int64, float64, bool,
    timestamp[us, UTC] or list<string>. Raises InvalidInput for a bad name or another type."""
    if not _ATTRIBUTE_NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} is not a name of an attribute: 1 to 64 letters, digits and '_', "
            "not beginning with a digit",
            attribute=name,
        )
    if _is_string(kind):
        return pa.string()
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return pa.int64()
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_boolean(kind):
        return pa.bool_()
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return TIME
    if (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and _is_string(kind.value_type):
        return pa.list_(pa.string())
    raise InvalidInput(
        f"attribute {name!r} has the type {kind}; an attribute is a string, int64, float64, bool, "
        "a timestamp with a time zone, or a list of strings",
        attribute=name,
        type=kind,
    )


def _is_string(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def attributes_of(schema: pa.Schema) -> dict[str, pa.DataType]:
    """{attribute name: type} of the attribute columns of a table."""
    skip = len(ATTRIBUTE_PREFIX)
    return {f.name[skip:]: f.type for f in schema if f.name.startswith(ATTRIBUTE_PREFIX)}


def new_attributes(
    known: Mapping[str, pa.DataType], wanted: Mapping[str, pa.DataType]
) -> dict[str, pa.DataType]:
    """Those of `wanted` that have no column yet. An int64 fits a float64 column; any other
    difference raises InvalidInput naming both types."""
    fresh: dict[str, pa.DataType] = {}
    for name, given in wanted.items():
        kind = attribute_type(name, given)
        stored = known.get(name)
        if stored is None:
            fresh[name] = kind
        elif stored != kind and not (stored == pa.float64() and kind == pa.int64()):
            raise InvalidInput(
                f"attribute {name!r} is stored as {stored} and cannot take {kind}: convert the "
                "values or use another name",
                attribute=name,
                stored=stored,
                given=kind,
            )
    return fresh


def conform(table: pa.Table, schema: pa.Schema, what: str) -> pa.Table:
    """`table` with exactly the columns and types of `schema`: absent nullable columns are null.

    Raises InvalidInput for an unknown or missing column, a null where none may be, a value that
    its type cannot hold, and a timestamp without a time zone.
    """
    names = set(table.column_names)
    unknown = sorted(names - set(schema.names))
    if unknown:
        raise InvalidInput(f"{what}: unknown columns {', '.join(unknown)}", columns=unknown)
    columns = []
    for field in schema:
        if field.name in names:
            columns.append(_column(table.column(field.name), field, what))
        elif field.nullable:
            columns.append(pa.nulls(table.num_rows, field.type))
        else:
            raise InvalidInput(f"{what}: the column {field.name!r} is missing", column=field.name)
    return pa.Table.from_arrays(columns, schema=schema)


def _column(column: pa.ChunkedArray, field: pa.Field, what: str) -> pa.ChunkedArray:
    if not field.nullable and column.null_count:
        raise InvalidInput(f"{what}: {field.name!r} is null in some rows", column=field.name)
    if column.type == field.type:
        return column
    if field.type == TIME and pa.types.is_timestamp(column.type) and column.type.tz is None:
        raise InvalidInput(
            f"{what}: {field.name!r} has no time zone; give timestamps in UTC", column=field.name
        )
    try:
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidInput(
            f"{what}: {field.name!r} is {column.type}, which does not fit {field.type}: {error}",
            column=field.name,
        ) from error


def check_schema_version(schema: pa.Schema, table: str) -> None:
    """Raise StoreTooNew for a table of a newer Trichord, StoreDamaged for one without a version."""
    text = (schema.metadata or {}).get(VERSION_KEY.encode())
    if text is None or not text.isdigit():
        raise StoreDamaged(
            f"the table {table!r} carries no {VERSION_KEY}: it was not written by Trichord",
            table=table,
        )
    if int(text) > SCHEMA_VERSION:
        raise StoreTooNew(
            f"the table {table!r} has schema version {int(text)}, this Trichord reads up to "
            f"{SCHEMA_VERSION}: upgrade Trichord",
            table=table,
            version=int(text),
        )
