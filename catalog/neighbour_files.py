"""The folder of a neighbours job: shards in Parquet, and a manifest that says which are done.

    <folder>/manifest.json           what the job is, and per shard its rows, size and checksum
             audio-00000.parquet     lists of a fixed range of the things that ask

A file is written under a hidden name, brought to the disk and renamed, a shard before the manifest
that names it. Whatever a kill leaves, what the manifest calls done is whole.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trichord.catalog.neighbour_manifest import MANIFEST, Manifest, Shard, is_job, read_manifest
from trichord.errors import InvalidInput, StorageFull, StoreError, StoreLocked
from trichord.index.checksums import file_checksum
from trichord.types import Modality

GROUP_ROWS = 1 << 16
"""Rows of a row group: what is held before it is written."""

POINTS = ("job-begun", "shard-written", "shard-renamed", "shard-recorded")

_TEMPORARY = ".unfinished-"
_SHARD = re.compile(rf"({'|'.join(Modality)})-\d{{5,}}\.parquet")
_hook: Callable[[str], None] | None = None


def set_hook(hook: Callable[[str], None] | None) -> None:
    """Call `hook(name)` at every one of POINTS of this process from now on, for tests that stop it
    there; None stops it."""
    global _hook
    _hook = hook


def _reach(name: str) -> None:
    if _hook is not None:
        _hook(name)


class JobFolder:
    """Held by one process at a time; see `opened`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[JobFolder]:
        """The folder, made if there is none, and locked until the block ends.

        Raises StoreLocked while another process works in it, InvalidInput if it holds files that
        are of no job, StoreError where it cannot be written.
        """
        with _typed(path):
            made = not path.exists()
            if not made and not path.is_dir():
                raise InvalidInput(f"{path} is not a folder", path=path)
            path.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDONLY)
        try:
            try:
                # The kernel drops the lock with the process that holds it, however it ends.
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreLocked(
                    f"another process is working on the job in {path}: wait until it is done or "
                    "stop it",
                    path=path,
                ) from None
            folder = cls(path)
            folder._check()
            yield folder
        finally:
            os.close(handle)
            if made:
                with contextlib.suppress(OSError):  # something is in it
                    path.rmdir()

    def manifest(self) -> Manifest | None:
        """None if no job was begun here; raises StoreDamaged."""
        return read_manifest(self.path)

    def write_manifest(self, manifest: Manifest) -> None:
        """Raises StorageFull, StoreError."""
        with self._replacing(MANIFEST) as temporary:
            temporary.write_text(manifest.to_text(), encoding="utf-8")

    def begin(self, manifest: Manifest) -> None:
        """The job is from now on this one; raises StorageFull, StoreError."""
        self.write_manifest(manifest)
        _reach("job-begun")

    def tidy(self, manifest: Manifest) -> None:
        """Removes files of the job that the manifest does not call done."""
        kept = {shard.file for shard in manifest.shards if shard.done}
        with _typed(self.path):
            for entry in list(self.path.iterdir()):
                shard = _SHARD.fullmatch(entry.name) and entry.name not in kept
                if shard or entry.name.startswith(_TEMPORARY):
                    entry.unlink()

    def damaged(self, manifest: Manifest) -> list[Shard]:
        """Shards that are done but missing, or not what was written."""
        with _typed(self.path):
            return [shard for shard in manifest.shards if shard.done and not self._sound(shard)]

    def write(self, shard: Shard, schema: pa.Schema, tables: Iterator[pa.Table]) -> Shard:
        """Writes the shard's file from tables of the schema; returns it as done.

        The bytes do not depend on how the rows are cut into tables. Raises StorageFull, StoreError.
        """
        rows = 0
        with self._replacing(shard.file) as temporary:
            with (
                temporary.open("wb") as file,
                pq.ParquetWriter(
                    file, schema, compression="zstd", use_dictionary=_names(schema)
                ) as writer,
            ):
                for table in _regrouped(schema, tables):
                    rows += table.num_rows
                    writer.write_table(table, row_group_size=GROUP_ROWS)
            size, checksum = temporary.stat().st_size, file_checksum(temporary)
            _reach("shard-written")
        _reach("shard-renamed")
        return replace(shard, rows=rows, bytes=size, xxh3=checksum)

    def record(self, manifest: Manifest) -> None:
        """The manifest after a shard more is done."""
        self.write_manifest(manifest)
        _reach("shard-recorded")

    def _check(self) -> None:
        with _typed(self.path):
            names = sorted(entry.name for entry in self.path.iterdir())
        foreign = [name for name in names if not name.startswith(_TEMPORARY)]
        if foreign and not is_job(self.path):
            raise InvalidInput(
                f"{self.path} holds files that are of no job ({foreign[0]}): name a new or empty "
                "folder",
                path=self.path,
            )

    def _sound(self, shard: Shard) -> bool:
        path = self.path / shard.file
        if not path.is_file() or path.stat().st_size != shard.bytes:
            return False
        return file_checksum(path) == shard.xxh3

    @contextmanager
    def _replacing(self, name: str) -> Iterator[Path]:
        """Yields a hidden path; what the block wrote there takes the name, on the disk."""
        temporary = self.path / f"{_TEMPORARY}{name}-{secrets.token_hex(4)}"
        with _typed(self.path):
            try:
                yield temporary
                _sync(temporary)
                os.replace(temporary, self.path / name)
            finally:
                temporary.unlink(missing_ok=True)
            _sync(self.path)


def _regrouped(schema: pa.Schema, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of GROUP_ROWS, each of one chunk."""
    held = schema.empty_table()
    for table in tables:
        held = pa.concat_tables([held, table])
        while held.num_rows >= GROUP_ROWS:
            yield held.slice(0, GROUP_ROWS).combine_chunks()
            held = held.slice(GROUP_ROWS)
    if held.num_rows:
        yield held.combine_chunks()


def _names(schema: pa.Schema) -> list[str]:
    """Columns of texts, which repeat."""
    return [one.name for one in schema if pa.types.is_string(one.type)]


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _typed(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StorageFull(
                f"no space to write to {folder}: what is done there is intact; make room and "
                "repeat the call",
                path=folder,
            ) from error
        raise StoreError(
            f"cannot write to {folder}: {error.strerror or error}", path=folder
        ) from error
