"""One call from content to the pieces that are embedded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trichord.embedders.media.audio import survey
from trichord.embedders.media.chunks import PASSAGE_MS, TokenOffsets, text_pieces
from trichord.embedders.media.image import decode_image
from trichord.embedders.media.limits import DEFAULT_LIMITS, Limits
from trichord.embedders.media.sniff import MediaType
from trichord.embedders.media.source import read_all
from trichord.embedders.media.text import clean_text, decode_text
from trichord.embedders.media.timed import Cue, parse_timed
from trichord.embedders.media.windows import windows
from trichord.errors import InvalidInput, MediaError
from trichord.types import Modality, Piece, Span


@dataclass(frozen=True)
class Cutting:
    """How content is decoded and cut for one space; the modalities that it lacks stay unused.

    Sound: mono at `audio_rate` Hz in windows (see `windows`). Pictures: reduced to
    `image_longest` pixels, or to what a tower that sees `image_side` pixels squared needs, None
    for as they are (see `decode_image`). Text: chunks by the tokens of `token_offsets`
    (see `text_pieces`), which may be None where no text is taken.
    """

    audio_rate: int = 16_000
    audio_window_ms: int = 10_000
    audio_hop_ms: int = 10_000
    audio_min_ms: int = 1_000
    image_longest: int | None = None
    image_side: int | None = None
    text_chunk_tokens: int = 200
    text_overlap_tokens: int = 32
    text_passage_ms: int = PASSAGE_MS
    token_offsets: TokenOffsets | None = None


@dataclass(frozen=True)
class Cut:
    """Content in pieces. `text` is the string to store for a text, to which spans in characters
    refer; `pieces` can be iterated once and decodes sound as it goes. `duration_ms` and
    `truncated` (broke off early) are known for sound."""

    pieces: Iterator[Piece]
    text: str | None = None
    duration_ms: int | None = None
    truncated: bool = False


def pieces(
    media: MediaType,
    source: bytes | Path | str,
    cutting: Cutting,
    limits: Limits = DEFAULT_LIMITS,
) -> Cut:
    """Decode `source` (encoded bytes, a file, or a str that is the text itself) as `media`.

    All errors of content are `MediaError`s of this call, before any piece exists, except two that
    iterating shows: a sound that is silent throughout, and a file that changed meanwhile.
    """
    if media.modality is Modality.TEXT:
        return _text(media, source, cutting, limits)
    if isinstance(source, str):
        raise MediaError(f"a str is text and no {media.modality}: give bytes or a Path")
    if media.modality is Modality.IMAGE:
        data = read_all(source, limits)
        picture = decode_image(data, limits, longest=cutting.image_longest, side=cutting.image_side)
        return Cut(iter((Piece(picture, Span()),)))
    surveyed = survey(source, limits)
    sound = windows(
        source,
        rate=cutting.audio_rate,
        window_ms=cutting.audio_window_ms,
        hop_ms=cutting.audio_hop_ms,
        min_ms=cutting.audio_min_ms,
        limits=limits,
        surveyed=surveyed,
    )
    return Cut(sound, duration_ms=surveyed.duration_ms, truncated=surveyed.truncated)


def _text(media: MediaType, source: bytes | Path | str, cutting: Cutting, limits: Limits) -> Cut:
    if cutting.token_offsets is None:
        raise InvalidInput("this cutting has no token_offsets, so it takes no text")
    if isinstance(source, str):
        text = clean_text(source, limits)
    else:
        text = decode_text(read_all(source, limits), limits)
    cues: tuple[Cue, ...] = ()
    if media.timed:
        timed = parse_timed(text, media.format)
        text, cues = timed.text, timed.cues
    chunks = text_pieces(
        text,
        cutting.token_offsets,
        chunk_tokens=cutting.text_chunk_tokens,
        overlap_tokens=cutting.text_overlap_tokens,
        cues=cues,
        passage_ms=cutting.text_passage_ms,
    )
    return Cut(chunks, text=text)
