"""Whether a sound's container says that bytes are missing at its end.

libsndfile shortens the length of a cut WAV or Ogg without a word; FLAC and MP3 keep theirs, which
`native` compares with what was decoded.
"""

from __future__ import annotations

from typing import Protocol

_OGG_PAGE_BYTES = 27 + 255 + 255 * 255
_STREAMED = 0x7FFF_0000
"""Programs that write to a pipe leave a size like 0x7FFFFFFF or 0xFFFFFFFF."""


class Readable(Protocol):
    def read(self, count: int, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...


def ends_early(stream: Readable) -> bool:
    """True if a RIFF file is shorter than its header says, or the last page of an Ogg file is
    incomplete or does not bear the mark of the end. Moves the position of `stream`."""
    stream.seek(0)
    head = stream.read(12)
    if head[:4] in (b"RIFF", b"RIFX"):
        promised = int.from_bytes(head[4:8], "little" if head[3:4] == b"F" else "big")
        return stream.seek(0, 2) + 1 < promised + 8 < _STREAMED  # one byte of padding may lack
    if head[:4] == b"OggS":
        size = stream.seek(0, 2)
        stream.seek(max(0, size - _OGG_PAGE_BYTES))
        tail = stream.read(_OGG_PAGE_BYTES)
        return not _ends_with_last_page(tail)
    return False


def _ends_with_last_page(tail: bytes) -> bool:
    at = tail.rfind(b"OggS")
    page = tail[at:]
    if at < 0 or len(page) < 27 or len(page) < 27 + page[26]:
        return False
    return len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]]) and bool(page[5] & 4)
