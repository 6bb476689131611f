"""One Lance dataset per table below the store's directory, always at an explicit version."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa

from trichord.errors import InvalidInput, NotFound, StorageFull, StoreDamaged, TrichordError
from trichord.store.schema import check_schema_version

SUFFIX = ".lance"

INDEX_CACHE_BYTES = 64 << 20
METADATA_CACHE_BYTES = 256 << 20
BATCH_BYTES = 4 << 20

# ENOSPC, EDQUOT and EFBIG as Rust prints them.
_FULL = ("os error 28", "os error 122", "os error 27", "No space left on device")
_ABSENT = ("not found", "no such file", "os error 2)")


@cache
def session() -> Any:
    """The process's one Lance session: caches are keyed by version and only their bound frees
    them, so that every handle must share the same bounded ones."""
    return lance.Session(
        index_cache_size_bytes=INDEX_CACHE_BYTES, metadata_cache_size_bytes=METADATA_CACHE_BYTES
    )


def check_path(path: str | Path) -> Path:
    """The store's directory. Raises InvalidInput for an object-store URI."""
    if "://" in str(path):
        raise InvalidInput(
            f"{path}: a store is a local directory; object-store URIs are not yet supported",
            path=path,
        )
    return Path(path)


@contextmanager
def lance_errors(what: str) -> Iterator[None]:
    """Turn what Lance raises inside the block into StorageFull or StoreDamaged."""
    try:
        yield
    except TrichordError:
        raise
    except (OSError, RuntimeError, ValueError, pa.ArrowException) as error:
        raise translate(error, what) from error
    except BaseException as error:
        # A damaged file can panic Lance's Rust code; that exception is no Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise StoreDamaged(f"{what}: {error}", error=error) from error


def translate(error: BaseException, what: str) -> TrichordError:
    """The domain error for one of Lance's, which carry their kind in their text only."""
    text = str(error)
    if any(mark in text for mark in _FULL):
        return StorageFull(
            f"{what}: no space left on the device; what was committed before is intact. "
            "Free some space and run it again",
            error=_first_line(text),
        )
    return StoreDamaged(f"{what}: {_first_line(text)}", error=_first_line(text))


def is_absent(error: BaseException) -> bool:
    """Whether one of Lance's errors says that a file is not there."""
    text = str(error).lower()
    return any(mark in text for mark in _ABSENT)


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0][:500]


class Tables:
    """The tables in one directory. Versions are Lance's; every write makes exactly one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, name: str) -> Path:
        return self.directory / (name + SUFFIX)

    def present(self) -> set[str]:
        """Names of the tables that have a directory, finished or not."""
        return {entry.name.removesuffix(SUFFIX) for entry in self.directory.glob("*" + SUFFIX)}

    def has(self, name: str) -> bool:
        """Whether the table has at least one committed version."""
        versions = self.path(name) / "_versions"
        return versions.is_dir() and any(versions.glob("*.manifest"))

    def open(self, name: str, version: int | None = None) -> Any:
        """The dataset at `version`, or at its newest one. Raises NotFound if there is no such
        version, StoreTooNew, StoreDamaged."""
        try:
            with lance_errors(f"opening table {name!r}"):
                data = lance.dataset(str(self.path(name)), version=version, session=session())
                schema = data.schema
        except StoreDamaged as error:
            if is_absent(error):
                raise NotFound(
                    f"{self.directory}: table {name!r} has no version {version or 'at all'}",
                    table=name,
                    version=version,
                ) from error
            raise
        check_schema_version(schema, name)
        return data

    def create(self, name: str, rows: pa.Table) -> Any:
        """A new table in one step; leftovers of a creation that was interrupted are replaced."""
        self.drop(name)
        with lance_errors(f"creating table {name!r}"):
            return lance.write_dataset(rows, str(self.path(name)), mode="create", session=session())

    def sweep(self, name: str) -> None:
        """Remove the temporary files of a writer that was killed. Only for the lease's holder."""
        for path in self.path(name).glob("*/*"):
            if path.name.startswith(".tmp") or "#" in path.name:
                path.unlink(missing_ok=True)

    def drop(self, name: str) -> None:
        shutil.rmtree(self.path(name), ignore_errors=True)


def append(data: Any, rows: pa.Table) -> Any:
    """The dataset's next version, with `rows` added."""
    # Lance copies batch by batch: buffers of many megabytes are mapped anew for each, and the page
    # faults then cost more than the write.
    rows_per_batch = max(1, BATCH_BYTES * rows.num_rows // max(1, rows.nbytes))
    batches = rows.to_reader(max_chunksize=rows_per_batch)
    with lance_errors(f"writing {_name(data)}"):
        return lance.write_dataset(batches, data, mode="append", session=session())


def append_batches(data: Any, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Any:
    """The dataset's next version, with rows added that are made while they are written."""
    with lance_errors(f"writing {_name(data)}"):
        rows = pa.RecordBatchReader.from_batches(schema, batches)
        return lance.write_dataset(rows, data, mode="append", session=session())


def replace(data: Any, rows: pa.Table) -> Any:
    """The dataset's next version, holding `rows` and nothing else."""
    with lance_errors(f"writing {_name(data)}"):
        return lance.write_dataset(rows, data, mode="overwrite", session=session())


def merge(data: Any, key: str | list[str], rows: pa.Table, *, updated: int) -> Any:
    """The dataset's next version, with `rows` put in place of those of the same key, or added.

    `key` is the declared, non-nullable primary key and no index is used: any other recipe lets
    two concurrent merges write the same key twice without an error. Raises StoreDamaged if the
    number of replaced rows is not `updated`.
    """
    with lance_errors(f"writing {_name(data)}"):
        result = (
            data.merge_insert(key)
            .when_matched_update_all()
            .when_not_matched_insert_all()
            .use_index(False)
            .execute(rows)
        )
    got = (result["num_inserted_rows"], result["num_updated_rows"])
    if got != (rows.num_rows - updated, updated):
        raise StoreDamaged(
            f"{_name(data)}: a merge of {rows.num_rows} rows inserted {got[0]} and updated "
            f"{got[1]}, expected {rows.num_rows - updated} and {updated}: run `trichord verify`"
        )
    return data


def restore(data: Any) -> Any:
    """The dataset's next version, equal to the one that `data` is checked out at."""
    with lance_errors(f"rolling back {_name(data)}"):
        data.restore()
    return data


def _name(data: Any) -> str:
    return "table " + repr(Path(data.uri).name.removesuffix(SUFFIX))
