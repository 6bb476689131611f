"""Text -> the tokens by which keywords find it: the same for what is stored and what is asked.

Of no language: no stemming and no stop words. Spellings that people take for equal are made equal
(width, ligatures, case, accents), and scripts that are written without spaces are cut into
characters and pairs of neighbours, so that any part of a title is found.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from operator import add

ANALYSIS = 1
"""Rises when a text gives other tokens than before: what was built of the old ones is stale."""

MAX_TOKEN = 64
"""Characters of a token; what is longer counts by its beginning."""


def tokens(text: str) -> list[str]:
    """Tokens of a stored text, repetitions included.

    >>> tokens("Rain on a Window")
    ['rain', 'on', 'a', 'window']
    >>> tokens("Größe: Ångström")
    ['grosse', 'angstrom']
    >>> tokens("東京タ")
    ['東', '京', 'タ', '東京', '京タ']
    """
    words, stretches = _split(text)
    for units in stretches:
        words += units
        words += map(add, units, units[1:])
    return words


def asked(text: str) -> list[str]:
    """Distinct tokens of what is asked, sorted; empty where there is no letter and no digit. A
    character of a script without spaces counts by itself only where it stands alone.

    >>> asked("the rain, the RAIN")
    ['rain', 'the']
    >>> asked("東京タ")
    ['京タ', '東京']
    >>> asked("猫")
    ['猫']
    """
    words, stretches = _split(text)
    for units in stretches:
        words += map(add, units, units[1:]) if len(units) > 1 else units
    return sorted(set(words))


def _split(text: str) -> tuple[list[str], list[list[str]]]:
    """Words; and of every stretch of a script without spaces its units, a character each with the
    marks upon it."""
    folded = text.lower() if text.isascii() else _folded(text)
    if folded.isascii():
        return [word[:MAX_TOKEN] for word in _PLAIN.findall(folded)], []
    words: list[str] = []
    stretches: list[list[str]] = []
    for word in _WORD.findall(folded):
        # A pattern with a group gives what lies between and what it matched by turns.
        for number, part in enumerate(_UNSPACED.split(word)):
            if number % 2:
                stretches.append([unit[: MAX_TOKEN // 2] for unit in _UNIT.findall(part)])
            elif part:
                words.append(part[:MAX_TOKEN])
    return words, stretches


def _folded(text: str) -> str:
    """Unicode's NFKC and case folding (UAX 15, UTS 18), then letters without the accents and vowel
    points that people leave out."""
    plain = unicodedata.normalize("NFKC", _IGNORED.sub("", text)).casefold()
    apart = unicodedata.normalize("NFKD", plain).translate(_LETTERS)
    if _LATIN.fullmatch(apart):  # what the rest would make of it, at a fifth of the time
        return apart.encode("ascii", "ignore").decode()
    return unicodedata.normalize("NFC", _ACCENTS.sub("", apart))


def _ranges(codes: Iterator[int]) -> str:
    """The inside of a character class."""
    spans: list[list[int]] = []
    for code in codes:
        if spans and spans[-1][1] == code - 1:
            spans[-1][1] = code
        else:
            spans.append([code, code])
    return "".join(f"{re.escape(chr(a))}-{re.escape(chr(b))}" for a, b in spans)


def _of(kinds: str, *blocks: tuple[int, int]) -> Iterator[int]:
    """Characters of some general categories in blocks of Unicode."""
    for first, last in blocks:
        for code in range(first, last + 1):
            if unicodedata.category(chr(code))[0] in kinds:
                yield code


# Where combining marks are; all of Unicode would take a quarter of a second to go through.
_MARKS = _ranges(
    _of(
        "M",
        *((0x0300, 0x1FFF), (0x20D0, 0x20FF), (0x2CEF, 0x30FF), (0xA640, 0xABFF)),
        *((0xFB1E, 0xFB1E), (0xFE20, 0xFE2F), (0x10A00, 0x11FFF), (0x1E000, 0x1E95F)),
    )
)

# Thai, Lao, Myanmar, Khmer, kana, bopomofo, hangul (spaces there stand between phrases), Han.
_NO_SPACES = _ranges(
    _of(
        "LMN",
        *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1100, 0x11FF), (0x1780, 0x17FF)),
        *((0x3005, 0x3007), (0x3040, 0x318F), (0x31A0, 0x31BF), (0x31F0, 0x31FF)),
        *((0xA960, 0xA97F), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F), (0xD7B0, 0xD7FF)),
    )
) + "".join(
    f"{chr(a)}-{chr(b)}"
    for a, b in ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF))
) + f"{chr(0x20000)}-{chr(0x3FFFF)}"  # fmt: skip

_PLAIN = re.compile(r"[a-z0-9]+")
_WORD = re.compile(rf"[^\W_]+(?:[{_MARKS}]+[^\W_]*)*")
_UNSPACED = re.compile(f"([{_NO_SPACES}]+)")
_UNIT = re.compile(f"[^{_MARKS}][{_MARKS}]*")

# Soft hyphens, joiners, directions and variation selectors: nobody sees or types them. A space of
# width zero (U+200B) divides words and stays.
_IGNORED = re.compile(
    "[\u00ad\u034f\u061c\u180b-\u180e\u200c-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0100-\U000e01ef]"
)
_LATIN = re.compile("[\x00-\x7f\u0300-\u036f]*")
# Of Latin and Greek letters; the dots of the Russian yo; Hebrew and Arabic points and lengthening.
_ACCENTS = re.compile(
    "(?<=[a-z0-9\u03b1-\u03c9])[\u0300-\u036f]+|(?<=\u0435)\u0308"
    "|[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0640\u064b-\u0652\u0670]"
)
_LETTERS = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ı": "i"}
    | {"ŋ": "n", "ŧ": "t"}
)
