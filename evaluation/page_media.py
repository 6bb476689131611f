"""Pictures and sounds that queries ask with, as data of the page."""

from __future__ import annotations

from base64 import b64encode

from trichord.errors import TrichordError
from trichord.evaluation.golden import GoldenQuery, GoldenSet
from trichord.types import Modality

MOST_BYTES = 400_000
"""Greater files are named, not shown: a page holds many."""
SHOWN = frozenset({"jpeg", "png", "webp", "gif", "avif", "wav", "flac", "ogg", "opus", "mp3"})
"""What browsers show and play."""


def element(golden: GoldenSet, query: GoldenQuery) -> str:
    """An element of HTML, or nothing for another query, a file that is too great, or none."""
    if query.uri is None:
        return ""
    from trichord.embedders.media.sniff import HEAD_BYTES, sniff

    try:
        if golden.path_of(query).stat().st_size > MOST_BYTES:
            return ""
        data = golden.bytes_of(query)
        kind = sniff(data[:HEAD_BYTES], query.uri)
    except (TrichordError, OSError):
        return ""
    if kind.format not in SHOWN:
        return ""
    source = f"data:{kind.mime};base64,{b64encode(data).decode()}"
    if kind.modality is Modality.AUDIO:
        return f'<audio controls preload="none" src="{source}"></audio>'
    return f'<img alt="" loading="lazy" src="{source}">'
