"""Folders, files and tables -> records, in a fixed order.

Files of a folder get their path below it as item id. What forms an entity is decided over the
whole folder, so that it does not depend on the order of files:
  1. files that share a stem, each of another modality (`covers/rain.png`, `clips/rain.ogg`);
  2. else the files of one sub-folder, each of another modality (`rain/cover.png`, `rain/clip.ogg`);
  3. else every file is an entity of its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from trichord.errors import InvalidInput, NotFound
from trichord.query import Record
from trichord.types import Modality

MEDIA: dict[str, Modality] = {
    **dict.fromkeys((".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3"), Modality.AUDIO),
    **dict.fromkeys(
        (".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".tif", ".tiff"), Modality.IMAGE
    ),
    **dict.fromkeys((".txt", ".md", ".markdown", ".srt", ".vtt"), Modality.TEXT),
}
"""Files that a scan of a folder takes, by lower-case extension, and what they usually hold."""

TABLES = (".parquet", ".csv", ".jsonl", ".ndjson")
ID, ENTITY, MODALITY = ("item_id", "id"), ("entity_id", "entity"), ("modality",)
URI, TEXT, VECTOR = ("uri", "path"), ("text",), ("vector",)
TIME = ("event_timestamp", "event_time")
_COLUMNS = (ID, ENTITY, MODALITY, URI, TEXT, VECTOR, TIME)


@dataclass(frozen=True)
class Table:
    """A table as read: `frame` with our column names, relative uris resolve below `folder`;
    `first` is the number of its first row where it is a part of a larger one."""

    frame: pl.DataFrame
    name: str
    folder: Path
    first: int = 0

    def source_of(self, row: int) -> str:
        """How a row is named in errors, counted from 1."""
        return f"{self.name}:{self.first + row + 1}"


Source = Record | Table


def sources(paths: Sequence[str | Path]) -> list[Source]:
    """All there is to ingest below the paths; raises NotFound for a path that is not there."""
    found: list[Source] = []
    for given in paths:
        path = Path(given)
        if path.is_dir():
            found += _folder(path)
        elif path.suffix.lower() in TABLES and path.is_file():
            found.append(read_table(path))
        elif path.is_file():
            found.append(_file(path, path.name, None))
        else:
            raise NotFound(f"there is no file or folder {str(given)!r}", path=given)
    return found


def records_below(paths: Sequence[str | Path]) -> Iterator[Record]:
    """As `sources`, with the rows of tables as records."""
    for source in sources(paths):
        if isinstance(source, Table):
            yield from records(source)
        else:
            yield source


def count(found: Sequence[Source]) -> int:
    return sum(len(source.frame) if isinstance(source, Table) else 1 for source in found)


def _file(path: Path, item_id: str, entity_id: str | None) -> Record:
    full = str(path.resolve())
    return Record(item_id=item_id, entity_id=entity_id, uri=full, source=full)


def _folder(folder: Path) -> list[Source]:
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in MEDIA
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    stems: dict[str, list[Path]] = {}
    folders: dict[Path, list[Path]] = {}
    for path in files:
        stems.setdefault(path.stem, []).append(path)
        folders.setdefault(path.parent, []).append(path)

    def forms_entity(group: list[Path]) -> bool:
        modalities = [MEDIA[path.suffix.lower()] for path in group]
        return len(group) > 1 and len(set(modalities)) == len(modalities)

    found: list[Source] = []
    for path in files:
        relative = path.relative_to(folder)
        entity = None
        if forms_entity(stems[path.stem]):
            entity = path.stem
        elif path.parent != folder and forms_entity(folders[path.parent]):
            entity = relative.parent.as_posix()
        found.append(_file(path, relative.as_posix(), entity))
    return found


def read_table(path: Path) -> Table:
    """A Parquet, CSV or JSONL file with our columns; raises InvalidInput if it is none."""
    try:
        match path.suffix.lower():
            case ".parquet":
                frame = pl.read_parquet(path)
            case ".csv":
                frame = _read_csv(path)
            case _:
                frame = _read_lines(path)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InvalidInput(f"cannot read the table {str(path)!r}: {line}") from None
    return table_of(frame, str(path.resolve()), path.resolve().parent)


def _read_csv(path: Path) -> pl.DataFrame:
    # What is a name or a text stays as it is written: the id 007 is not the number 7.
    written = {name for names in (ID, ENTITY, MODALITY, URI, TEXT) for name in names}
    header = pl.read_csv(path, n_rows=0, infer_schema=False).columns
    kept = {name: pl.String() for name in header if name in written}
    return pl.read_csv(path, try_parse_dates=True, infer_schema_length=None, schema_overrides=kept)


def _read_lines(path: Path) -> pl.DataFrame:
    """JSON lines. Where a column holds texts and other things, each row keeps what it says: made
    texts for the sake of one row, the others would no longer fit what is stored."""
    frame = pl.read_ndjson(path, infer_schema_length=None)
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    if not texts:
        return frame
    with path.open("rb") as lines:
        rows = [json.loads(line) for line in lines if line.strip()]
    for name in texts:
        values = [row.get(name) for row in rows]
        if not all(value is None or isinstance(value, str) for value in values):
            frame = frame.with_columns(pl.Series(name, values, dtype=pl.Object))
    return frame


def table_of(frame: pl.DataFrame, name: str, folder: Path) -> Table:
    """Checks that the frame says which items or entities it is about, and names columns our way."""
    renamed: dict[str, str] = {}
    for names in _COLUMNS:
        present = [column for column in names if column in frame.columns]
        if len(present) > 1:
            raise InvalidInput(f"{name}: has both {present[0]!r} and {present[1]!r}, which are one")
        if present:
            renamed[present[0]] = names[0]
    frame = frame.rename(renamed)
    if not {"item_id", "entity_id", "uri"} & set(frame.columns):
        raise InvalidInput(
            f"{name}: needs a column that says what a row is about: id, entity or uri; it has "
            f"{', '.join(frame.columns[:12])}"
        )
    return Table(frame, name, folder)


def records(table: Table, rows: Sequence[int] | None = None) -> Iterator[Record]:
    """The rows as records, row numbers counted from 1 in `source`."""
    frame = table.frame if rows is None else table.frame[list(rows)]
    numbers = range(len(frame)) if rows is None else rows
    reserved = {names[0] for names in _COLUMNS}
    extra = [column for column in frame.columns if column not in reserved]
    for number, row in zip(numbers, frame.iter_rows(named=True), strict=True):
        uri = _blank(row.get("uri"))
        item_id = _blank(row.get("item_id"))
        text, vector = row.get("text"), row.get("vector")
        has_content = uri is not None or text is not None or vector is not None
        if item_id is None and has_content:
            item_id = uri
        yield Record(
            item_id=item_id,
            entity_id=_blank(row.get("entity_id")),
            modality=_blank(row.get("modality")),
            text=None if text is None else str(text),
            uri=_resolved(uri, table.folder),
            vector=vector,
            # A missing cell says nothing about the attribute; it does not erase it.
            attributes={name: row[name] for name in extra if row[name] is not None},
            event_timestamp=row.get("event_timestamp"),
            source=table.source_of(number),
        )


def _blank(value: Any) -> str | None:
    return None if value is None or str(value).strip() == "" else str(value)


def _resolved(uri: str | None, folder: Path) -> str | None:
    if uri is None or "://" in uri:
        return uri
    # As text: a link that leads in a circle, or a NUL, is that row's error and no one else's.
    return os.path.normpath(os.path.join(folder, uri))
