"""Long text in overlapping chunks by tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from trichord.embedders.media.passages import passages
from trichord.embedders.media.timed import Cue
from trichord.errors import InvalidInput, MediaError
from trichord.types import Piece, Span

TokenOffsets = Callable[[str], Sequence[tuple[int, int]]]
"""The tokens of a text as character spans [start, end), in order, without special tokens."""

PASSAGE_MS = 30_000

_ENDS = ".!?…。！？"
_CLOSING = "\"'”’»)]*_"
_PARAGRAPH, _SENTENCE, _LINE, _WORD, _INSIDE = 4, 3, 2, 1, 0


def text_pieces(
    text: str,
    token_offsets: TokenOffsets,
    *,
    chunk_tokens: int,
    overlap_tokens: int,
    cues: Sequence[Cue] = (),
    passage_ms: int = PASSAGE_MS,
) -> Iterator[Piece]:
    """Pieces of `text`, each at most `chunk_tokens` long, in order; `span` gives its characters.

    Plain text: a chunk that is not the last ends where, within its last quarter, a paragraph
    ends; failing that a sentence, a line, a word; failing all, after its last token. The next one
    starts `overlap_tokens` before that end, or at the first word behind that point. Every token
    lies in a chunk.

    With `cues`, the pieces are passages of whole cues, at most `chunk_tokens` and `passage_ms`
    long and with the milliseconds of their cues; see `passages`.

    Raises `InvalidInput` for arguments that make no chunks, `MediaError` for text without tokens;
    both from this call.
    """
    if chunk_tokens < 1 or not 0 <= overlap_tokens < chunk_tokens:
        raise InvalidInput(
            f"chunk_tokens must be at least 1 and overlap_tokens less than that, not"
            f" {chunk_tokens} and {overlap_tokens}"
        )
    if passage_ms < 1:
        raise InvalidInput(f"passage_ms must be at least 1, not {passage_ms}")
    tokens = [(start, end) for start, end in token_offsets(text) if end > start]
    if not tokens:
        raise MediaError("empty text: the tokenizer finds no tokens in it")
    if any(later[0] < earlier[0] for earlier, later in pairwise(tokens)):
        raise InvalidInput("token_offsets must be in order of their starts")
    if tokens[-1][1] > len(text) or tokens[0][0] < 0:
        raise InvalidInput("token_offsets lie outside of the text")
    if cues:
        return passages(text, tokens, cues, chunk_tokens, overlap_tokens, passage_ms)
    spans = chunk_spans(text, tokens, chunk_tokens, overlap_tokens)
    return (Piece(text[a:b], Span(start_char=a, end_char=b)) for a, b in spans)


def chunk_spans(
    text: str, tokens: Sequence[tuple[int, int]], chunk_tokens: int, overlap_tokens: int
) -> Iterator[tuple[int, int]]:
    """The character spans of the chunks that `text_pieces` describes."""
    start, count = 0, len(tokens)
    while True:
        end = start + chunk_tokens
        if end >= count:
            yield tokens[start][0], max(stop for _, stop in tokens[start:])
            return
        # A break before this token would leave nothing but the overlap.
        first = max(end - chunk_tokens // 4, start + overlap_tokens + 1)
        candidates = range(first, end + 1)
        end = max(candidates, key=lambda at: (break_rank(text, tokens[at][0]), at), default=end)
        yield tokens[start][0], max(stop for _, stop in tokens[start:end])
        start = _word_start(text, tokens, end - overlap_tokens, end)


def _word_start(text: str, tokens: Sequence[tuple[int, int]], start: int, end: int) -> int:
    # Not beyond half of the overlap: some scripts put no spaces between words.
    for at in range(start, start + (end - start) // 2 + 1):
        if break_rank(text, tokens[at][0]) >= _WORD:
            return at
    return start


def break_rank(text: str, at: int) -> int:
    """How good a place before character `at` is to cut: 4 paragraph, 3 sentence, 2 line, 1 word
    boundary, 0 none."""
    before = text[max(0, at - 16) : at]
    body = before.rstrip()
    after = text[at : at + 16]
    gap = before[len(body) :] + after[: len(after) - len(after.lstrip())]
    if gap.count("\n") > 1:
        return _PARAGRAPH
    closed = body.rstrip(_CLOSING)
    if closed and closed[-1] in _ENDS and (gap or closed[-1] in "。！？"):
        return _SENTENCE
    if "\n" in gap:
        return _LINE
    return _WORD if gap else _INSIDE
