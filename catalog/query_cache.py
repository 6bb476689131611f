"""Vectors of content that was asked by, so that what is asked again is not embedded again."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

from trichord.types import F32, Role

QUERY_CACHE_BYTES = 64 * 1024 * 1024
"""Of one catalogue: some thirty thousand vectors of 512 values."""

ENTRY_BYTES = 256
"""What an entry takes beside its values."""

_DIGEST_BYTES = 20


def key_of(maker: str, role: Role, kind: str, content: str | bytes) -> bytes:
    """`maker` says what embeds: the encoder and the frame; `kind` what the content is read as."""
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    # Callers choose the content, so the digest must be one for which nobody finds two of a kind.
    named = ascii(
        (maker, str(role), kind)
    ).encode()  # where it ends and the content begins is clear
    digest = hashlib.blake2b(named, digest_size=_DIGEST_BYTES)
    digest.update(data)
    return digest.digest()


class QueryCache:
    """Vectors by key, at most `max_bytes` of them; the least recently used goes first. Safe to use
    from many threads; vectors are read-only."""

    def __init__(self, max_bytes: int = QUERY_CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._vectors: OrderedDict[bytes, F32] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def used(self) -> int:
        """In bytes."""
        return self._bytes

    def get(self, key: bytes) -> F32 | None:
        with self._lock:
            found = self._vectors.get(key)
            if found is not None:
                self._vectors.move_to_end(key)
            return found

    def put(self, key: bytes, vector: F32) -> F32:
        """Keeps the vector and returns it; where another thread was first, that one's."""
        with self._lock:
            known = self._vectors.get(key)
            if known is not None:
                return known
            vector.flags.writeable = False
            self._vectors[key] = vector
            self._bytes += vector.nbytes + ENTRY_BYTES
            while self._bytes > self._max_bytes:
                _, dropped = self._vectors.popitem(last=False)
                self._bytes -= dropped.nbytes + ENTRY_BYTES
            return vector
