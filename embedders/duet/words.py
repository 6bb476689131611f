"""The duet tokenizer: words and signs, each known by hashed character n-grams.

The shape of P. Bojanowski et al., "Enriching word vectors with subword information" (2017): a word
is the mean of the vectors of its n-grams and of itself, so that no word is unknown and there is no
vocabulary file. Hashes are crc32 of UTF-8, so they are the same everywhere.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from functools import lru_cache

from trichord.embedders.duet.preprocessing import BUCKETS, LONGEST, MAX_WORDS, SHORTEST
from trichord.errors import InvalidInput

_TOKEN = re.compile(r"\w+|[^\w\s]")


def check_text(text: object) -> str:
    """Raises InvalidInput for what is not a string or has nothing but white space."""
    if not isinstance(text, str):
        raise InvalidInput(f"text must be a str, not {type(text).__name__}")
    if not text.strip():
        raise InvalidInput("the text is empty")
    return text


def offsets(text: str) -> list[tuple[int, int]]:
    """(start, end) in characters of every token of the text as it stands."""
    if not isinstance(text, str):
        raise InvalidInput(f"text must be a str, not {type(text).__name__}")
    return [match.span() for match in _TOKEN.finditer(text)]


def tokens(text: str) -> list[str]:
    """The first 64 tokens, normalised (NFKC, lower case).

    Normalised one by one, so that the tokens are those of `offsets`.
    """
    found = (text[start:end] for start, end in offsets(text)[:MAX_WORDS])
    return [unicodedata.normalize("NFKC", word).lower() for word in found]


@lru_cache(maxsize=65536)
def grams(word: str) -> tuple[int, ...]:
    """Bucket numbers of a word: itself, then its n-grams with marked ends."""
    marked = f"<{word}>"
    pieces = [f"={word}"] + [
        marked[i : i + n]
        for n in range(SHORTEST, LONGEST + 1)
        for i in range(len(marked) - n + 1)
        if len(marked) > n
    ]
    return tuple(zlib.crc32(piece.encode()) % BUCKETS for piece in pieces)
