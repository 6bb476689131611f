"""Where the tokens of a text lie in it, such that every piece cut between them fits.

A CLIP tokenizer rewrites a text before it looks at it (repairs encodings, resolves HTML entities,
folds white space, lowers the case), and a part of a word has other tokens than the word. So exact
places do not exist, and a count of tokens would be exceeded by a piece cut from the middle of a
word. What holds is that white space separates tokens: counts are taken word by word.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

Groups = tuple[tuple[int, int, int], ...]
"""(start, end, tokens) of parts of a word whose tokens do not depend on each other."""

WHOLE = 4
"""A group of up to so many tokens has offsets that all cover the whole of it."""

SLACK = 2 * (WHOLE - 1)
"""How many tokens a run of offsets may lack: it covers a group at either end, of which it may
hold one offset only."""

_WORD = re.compile(r"\S+")


class WordOffsets:
    """(start, end) characters of the tokens of a text, ordered by their starts.

    `groups(word)` counts the tokens of a text without white space, or of parts of it;
    `worst(letter)` is the most tokens that a letter can add to a word.

    A word (or group) of few tokens has as many offsets as tokens, each covering it whole. One of
    more tokens has for every letter as many offsets as that could have tokens: more than it has.
    So the text from the start of any offset to the end of any later one has at most as many
    tokens as there are offsets from the one to the other, and SLACK. Thread-safe if the two
    functions are.
    """

    def __init__(
        self,
        groups: Callable[[str], Groups],
        worst: Callable[[str], int],
        *,
        remember: int = 65_536,
    ) -> None:
        self._groups, self._worst = groups, worst
        self._of_word = lru_cache(remember)(self._look)

    def __call__(self, text: str) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for match in _WORD.finditer(text):
            at = match.start()
            found.extend((at + start, at + end) for start, end in self._of_word(match.group()))
        return found

    def _look(self, word: str) -> tuple[tuple[int, int], ...]:
        spans: list[tuple[int, int]] = []
        for start, end, count in self._groups(word):
            if count <= WHOLE:
                spans.extend([(start, end)] * count)
                continue
            costs = [self._worst(letter) for letter in word[start:end]]
            costs[-1] += max(0, count - sum(costs))
            for at, cost in enumerate(costs, start):
                spans.extend([(at, at + 1)] * cost)
        return tuple(spans)
