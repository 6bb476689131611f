"""BM25 by the formula, document by document, in double precision: what answers must agree with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def score(live: Mapping[Item, Sequence[str]], words: Iterable[str]) -> dict[Item, float]:
    """The scores of those documents (lists of words, none of them empty) that have any of the
    distinct words, with k1 = 1.2 and b = 0.75."""
    average = sum(map(len, live.values())) / max(1, len(live))
    found: dict[Item, float] = {}
    for word in words:
        have = sum(word in document for document in live.values())
        idf = math.log(1 + (len(live) - have + 0.5) / (have + 0.5))
        for item, document in live.items():
            count = list(document).count(word)
            if count:
                length = 1 - 0.75 + 0.75 * len(document) / average
                gain = idf * count * (1.2 + 1) / (count + 1.2 * length)
                found[item] = found.get(item, 0.0) + gain
    return found
