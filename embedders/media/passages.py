"""Timed text in passages of whole cues, short enough that a hit jumps to its time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from trichord.embedders.media.timed import Cue
from trichord.types import Piece, Span


def passages(
    text: str,
    tokens: Sequence[tuple[int, int]],
    cues: Sequence[Cue],
    chunk_tokens: int,
    overlap_tokens: int,
    passage_ms: int,
) -> Iterator[Piece]:
    """Runs of cues with at most `chunk_tokens` tokens, of which the last ends at most
    `passage_ms` after the first starts; as long as that allows.

    The next passage starts with the last cues of the one before, as far as they hold at most
    `overlap_tokens` together and leave room for a new cue. A cue that is too long by itself is a
    passage of its own, and is cut by tokens (overlapping) if it has too many; all its parts have
    the cue's times.
    """
    starts = [start for start, _ in tokens]
    # The tokens of cue i are tokens[edges[i] : edges[i + 1]]: one that starts between two cues
    # (a newline) goes to the earlier.
    edges = [bisect_left(starts, cue.start_char) for cue in cues] + [len(tokens)]
    edges[0] = 0

    def fits(first: int, last: int, end_ms: int) -> bool:
        few = edges[last + 1] - edges[first] <= chunk_tokens
        return few and end_ms - cues[first].start_ms <= passage_ms

    first, count = 0, len(cues)
    while first < count:
        last, end_ms = first, cues[first].end_ms
        while last + 1 < count:
            later = max(end_ms, cues[last + 1].end_ms)
            if not fits(first, last + 1, later):
                break
            last, end_ms = last + 1, later
        inside = tokens[edges[first] : edges[last + 1]]
        run = cues[first : last + 1]
        for start, end in _cut(inside, run, chunk_tokens, overlap_tokens):
            span = Span(run[0].start_ms, end_ms, start, end)
            yield Piece(text[start:end], span)
        before, first = first, last + 1
        if first < count:
            end_ms = cues[first].end_ms
            while first - 1 > before and edges[last + 1] - edges[first - 1] <= overlap_tokens:
                end_ms = max(end_ms, cues[first - 1].end_ms)
                if not fits(first - 1, last + 1, end_ms):
                    break
                first -= 1


def _cut(
    inside: Sequence[tuple[int, int]], run: Sequence[Cue], chunk_tokens: int, overlap_tokens: int
) -> Iterator[tuple[int, int]]:
    if not inside:  # signs that the tokenizer does not know
        return
    if len(inside) <= chunk_tokens:
        yield run[0].start_char, run[-1].end_char
        return
    for at in range(0, len(inside), chunk_tokens - overlap_tokens):
        part = inside[at : at + chunk_tokens]
        yield part[0][0], max(end for _, end in part)
        if at + chunk_tokens >= len(inside):
            return
