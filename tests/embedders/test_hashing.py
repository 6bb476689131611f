"""Checksums of weight files: right, remembered only while that is safe."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trichord.embedders import hashing
from trichord.errors import ModelError

LONG_AGO = (1_600_000_000, 1_600_000_000)


def test_is_the_sha256_of_the_bytes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 20_000
    (tmp_path / "a").write_bytes(data)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert hashing.sha256_of(tmp_path / "a") == hashlib.sha256(data).hexdigest()
    assert hashing.sha256_of(tmp_path / "link") == hashlib.sha256(data).hexdigest()


def test_a_file_is_read_once_while_it_stays_and_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, reads = tmp_path / "weights", 0
    digest = hashlib.file_digest

    def counted(*args: object) -> object:
        nonlocal reads
        reads += 1
        return digest(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(hashlib, "file_digest", counted)
    path.write_bytes(b"one")
    os.utime(path, LONG_AGO)
    first = hashing.sha256_of(path)
    assert hashing.sha256_of(path) == first and reads == 1
    path.write_bytes(b"two")
    assert hashing.sha256_of(path) == hashlib.sha256(b"two").hexdigest() and reads == 2


def test_a_file_just_written_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    hashing.sha256_of(path)
    stat = path.stat()
    path.write_bytes(b"two")
    # as if both were written within one tick of the file system's clock
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert hashing.sha256_of(path) == hashlib.sha256(b"two").hexdigest()


def test_what_cannot_be_read_is_a_model_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path, tmp_path / "none" / "deeper"):
        with pytest.raises(ModelError, match=path.name):
            hashing.sha256_of(path)
    with pytest.raises(ModelError, match="no files"):
        hashing.sha256_of_files(tmp_path, [])
    with pytest.raises(ModelError, match="missing"):
        hashing.sha256_of_files(tmp_path, ["missing"])


FILES = st.dictionaries(
    st.text("abc", min_size=1, max_size=3), st.binary(max_size=8), min_size=1, max_size=4
)


@settings(max_examples=60, deadline=None)
@given(one=FILES, two=FILES, data=st.data())
def test_folders_agree_if_and_only_if_names_and_contents_do(
    tmp_path_factory: pytest.TempPathFactory,
    one: dict[str, bytes],
    two: dict[str, bytes],
    data: st.DataObject,
) -> None:
    def digest(files: dict[str, bytes]) -> str:
        folder = tmp_path_factory.mktemp("files")
        for name, content in files.items():
            (folder / name).write_bytes(content)
        names = data.draw(st.permutations([*files, *files]))
        return hashing.sha256_of_files(folder, names)

    assert (digest(one) == digest(two)) == (one == two)
    assert digest(one) == digest(dict(one))
