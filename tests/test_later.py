"""A column that is made when it is first looked at."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trichord.later import Later


@given(values=st.lists(st.text(max_size=3), max_size=5), at=st.integers(-5, 5))
def test_it_is_the_list_that_it_makes(values: list[str], at: int) -> None:
    column = Later(lambda: list(values))
    assert column == values and values == column and column == Later(lambda: list(values))
    assert column != [*values, "more"] and list(column) == values and len(column) == len(values)
    assert column[at:] == values[at:] and list(reversed(column)) == values[::-1]
    if -len(values) <= at < len(values):
        assert column[at] == values[at]
    assert repr(column) == repr(values) and pickle.loads(pickle.dumps(column)) == values


def test_it_is_made_once_and_only_when_looked_at() -> None:
    made = []

    def make() -> list[int]:
        made.append(1)
        return [1, 2]

    column = Later(make)
    assert not made
    assert column[0] == 1 and column[1] == 2 and len(made) == 1


@pytest.mark.parametrize("use", [hash, lambda column: {column}])
def test_it_has_no_hash(use: Callable[[Later[int]], object]) -> None:
    with pytest.raises(TypeError):
        use(Later(lambda: [1]))
