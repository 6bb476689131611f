"""The lowest effort that reaches a recall, found with few measurements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def lowest(
    steps: Sequence[T], measure: Callable[[T], float], target: float
) -> tuple[int | None, dict[int, float]]:
    """The first of `steps` (cheapest first) whose measure reaches `target`, and all that was
    measured, by place; None where the last step measured does not reach it.

    Goes up in strides that double, then halves the last stride. The measure is taken to rise
    along the steps; where it wobbles, the result reaches the target all the same. `measure` may
    return NaN for "too slow to go on": nothing higher is tried then.
    """
    seen: dict[int, float] = {}

    def reaches(place: int) -> bool:
        if place not in seen:
            seen[place] = measure(steps[place])
        return seen[place] >= target

    below, at, stride = -1, 0, 1
    while not reaches(at):
        if at == len(steps) - 1 or seen[at] != seen[at]:
            return None, seen
        below, at, stride = at, min(len(steps) - 1, at + stride), stride * 2
    while at - below > 1:
        middle = (below + at) // 2
        if reaches(middle):
            at = middle
        else:
            below = middle
    return at, seen
