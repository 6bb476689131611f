"""Small JSON values by kind and name: aliases, migrations, calibrations and the like.

They lie in a table of their own, which a store gets with its first record, and belong to snapshots
like everything else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa

from trichord.errors import InvalidInput
from trichord.store.columns import commit_columns
from trichord.store.schema import RECORDS, RECORDS_SCHEMA, valid_kind
from trichord.store.tables import Tables, lance_errors, merge
from trichord.types import Bool

MAX_VALUE_BYTES = 16 << 20
"""The most that one value may take as JSON."""

Records = Mapping[str, Mapping[str, Any | None]]
"""{kind: {name: value}}; None removes."""

Key = tuple[str, str]

_KEY = ["kind", "name"]


def read_records(data: Any, kind: str) -> dict[str, Any]:
    """The values of a kind by name, in the order of names, from the dataset `records`."""
    kind = valid_kind(kind)
    with lance_errors("reading table 'records'"):
        rows = data.to_table(
            columns=["name", "value"], filter=f"kind = '{kind}' AND value IS NOT NULL"
        ).sort_by("name")
    names, values = rows["name"].to_pylist(), rows["value"]
    return {name: json.loads(value.as_py()) for name, value in zip(names, values, strict=True)}


def encoded(records: Records | None) -> dict[Key, str | None]:
    """Records as JSON texts. Raises InvalidInput for a bad kind or name, and for a value that is
    not JSON (NaN and infinities, keys that are not strings, unknown types) or too large."""
    texts: dict[Key, str | None] = {}
    for kind, values in (records or {}).items():
        valid_kind(kind)
        for name, value in values.items():
            if not isinstance(name, str) or not name or not _is_unicode(name):
                raise InvalidInput(f"{name!r} is not a name of a record: a string, not empty")
            texts[kind, name] = None if value is None else _text(value, f"{kind}/{name}")
    return texts


class RecordBook:
    """The records that a writer knows of: their keys, and whether they were removed."""

    def __init__(self, live: Mapping[Key, bool]) -> None:
        self._live = dict(live)

    @classmethod
    def read(cls, data: Any | None) -> RecordBook:
        """Of the dataset `records`, None if there is none yet."""
        if data is None:
            return cls({})
        with lance_errors("reading table 'records'"):
            gone = data.to_table(columns=_KEY, filter="value IS NULL")
            rows = data.to_table(columns=_KEY)
        return cls({**dict.fromkeys(_keys(rows), True), **dict.fromkeys(_keys(gone), False)})

    def write(
        self,
        data: Any | None,
        tables: Tables,
        records: Mapping[Key, str | None],
        revision: int,
        now: datetime,
    ) -> tuple[Any, RecordBook] | None:
        """The table's next version and the book that describes it; None if nothing changes."""
        changed = {
            key: text
            for key, text in records.items()
            if text is not None or self._live.get(key, False)
        }
        if not changed:
            return None
        rows = pa.table(
            {
                "kind": pa.array([kind for kind, _ in changed], pa.string()),
                "name": pa.array([name for _, name in changed], pa.string()),
                "value": pa.array(list(changed.values()), pa.string()),
                **commit_columns(len(changed), revision, now),
            },
            schema=RECORDS_SCHEMA,
        )
        now_live = {key: text is not None for key, text in changed.items()}
        book = RecordBook({**self._live, **now_live})
        if data is None:
            return tables.create(RECORDS, rows), book
        return merge(data, _KEY, rows, updated=len(changed.keys() & self._live.keys())), book


def _keys(rows: pa.Table) -> Iterable[Key]:
    return zip(rows["kind"].to_pylist(), rows["name"].to_pylist(), strict=True)


def _text(value: Any, what: str) -> str:
    try:
        _check_keys(value, what)
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"the record {what} is not JSON: {error}", record=what) from error
    if len(text) > MAX_VALUE_BYTES:
        raise InvalidInput(
            f"the record {what} takes {len(text)} bytes as JSON, at most {MAX_VALUE_BYTES} are "
            "stored: keep large things in a file and its path here",
            record=what,
        )
    return text


def _check_keys(value: Any, what: str) -> None:
    # json turns keys like 1 and None into strings, and who reads them finds others than he wrote.
    if isinstance(value, Mapping):
        strange = [key for key in value if not isinstance(key, str)]
        if strange:
            raise InvalidInput(f"the record {what} has the key {strange[0]!r}, not a string")
        for part in value.values():
            _check_keys(part, what)
    elif isinstance(value, list | tuple):
        for part in value:
            _check_keys(part, what)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def unsound(rows: pa.Table, revision: int) -> Bool:
    """Which rows of `records` make no sense in a snapshot of this revision, bool (n,)."""
    bad: Bool = rows["revision"].to_numpy() > revision
    for row, text in enumerate(rows["value"].to_pylist()):
        try:
            bad[row] |= text is not None and json.loads(text) is None
        except ValueError:
            bad[row] = True
    return bad
