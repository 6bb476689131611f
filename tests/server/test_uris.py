from __future__ import annotations

import os
from pathlib import Path

import pytest

from trichord.errors import InvalidInput, NotFound, PermissionDenied
from trichord.server.uris import MediaRoot


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret")
    root = tmp_path / "media"
    (root / "deep").mkdir(parents=True)
    (root / "a.txt").write_text("inside")
    (root / "deep" / "ü b.txt").write_text("deeper")
    (root / "inner").symlink_to(root / "deep")
    (root / "escape").symlink_to(tmp_path)
    (root / "escape.txt").symlink_to(tmp_path / "secret.txt")
    (root / "loop").symlink_to(root / "loop")
    os.mkfifo(root / "pipe")
    return root


def test_files_below_the_root(root: Path) -> None:
    media = MediaRoot(root, 1_000)
    for uri, name in (
        ("a.txt", "a.txt"),
        ("./deep/../a.txt", "a.txt"),
        ("deep/ü b.txt", "deep/ü b.txt"),
        ("inner/ü b.txt", "deep/ü b.txt"),
        (str(root / "a.txt"), "a.txt"),
        (f"file://{root}/a.txt", "a.txt"),
        (f"file://localhost{root}/deep/%C3%BC%20b.txt", "deep/ü b.txt"),
    ):
        path, found = media.file(uri)
        assert (path, found) == ((root / name).resolve(), name)
    assert media.read("a.txt") == (b"inside", "a.txt")


def test_the_root_may_itself_be_a_link(root: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(root)
    assert MediaRoot(link, 100).file("a.txt")[1] == "a.txt"
    assert MediaRoot(link, 100).file(str(link / "a.txt"))[1] == "a.txt"


@pytest.mark.parametrize(
    "uri",
    [
        "../secret.txt",
        "deep/../../secret.txt",
        "escape/secret.txt",
        "escape.txt",
        "/etc/passwd",
        "file:///etc/passwd",
        "file:///../../etc/passwd",
        "file://server/share/a.txt",
        "file:a.txt",
        "//server/share/a.txt",
        "http://127.0.0.1/a.txt",
        "https://example.org/a.png",
        "ftp://10.0.0.1/a",
        "s3://bucket/key",
        "gopher://x",
        "data:text/plain,hello",
        "C:\\Windows\\win.ini",
        "HTTP://LOCALHOST/",
    ],
)
def test_everything_else_is_forbidden(root: Path, uri: str) -> None:
    with pytest.raises(PermissionDenied, match="media root"):
        MediaRoot(root, 1_000).file(uri)


def test_what_lies_outside_is_forbidden_whether_it_exists_or_not(root: Path) -> None:
    messages = set()
    for name in ("secret.txt", "nothing.txt"):
        with pytest.raises(PermissionDenied) as raised:
            MediaRoot(root, 1_000).file(f"../{name}")
        messages.add(str(raised.value).replace(name, "NAME"))
    assert len(messages) == 1 and str(root) not in messages.pop()


@pytest.mark.parametrize("uri", ["nothing.txt", "deep", "pipe", "loop", "loop/x", "a" * 5_000, "."])
def test_what_is_no_file_is_not_found(root: Path, uri: str) -> None:
    with pytest.raises(NotFound, match="media root"):
        MediaRoot(root, 1_000).file(uri)


@pytest.mark.parametrize("uri", ["", "a\0b", "file://[bad/a"])
def test_what_is_no_uri_is_refused(root: Path, uri: str) -> None:
    with pytest.raises(InvalidInput):
        MediaRoot(root, 1_000).file(uri)


def test_size_is_checked_before_reading(root: Path) -> None:
    with pytest.raises(InvalidInput, match="6 bytes; a query takes files of at most 5"):
        MediaRoot(root, 5).read("a.txt")


def test_without_a_root_nothing_is_opened() -> None:
    with pytest.raises(PermissionDenied, match="--media-root"):
        MediaRoot(None, 1_000).file("a.txt")
