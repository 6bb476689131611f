from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire import strategies
from trichord.errors import InvalidInput
from trichord.v1 import types_pb2
from trichord.wire.columns import from_column, to_column
from trichord.wire.values import (
    as_time,
    from_timestamp,
    from_value,
    microseconds,
    to_timestamp,
    to_value,
)


@settings(deadline=None, max_examples=200)
@given(strategies.values)
def test_values_keep_type_and_value(value: object) -> None:
    back = from_value(types_pb2.Value.FromString(to_value(value).SerializeToString()))
    assert back == value and type(back) is type(value)


@settings(deadline=None, max_examples=100)
@given(strategies.times)
def test_times_are_exact_to_the_microsecond(time: datetime) -> None:
    message = to_timestamp(time)
    assert from_timestamp(message) == time
    assert message.ToDatetime(tzinfo=UTC) == time  # protobuf's own reading


def test_zones_become_utc_and_naive_times_are_utc() -> None:
    east = datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert from_value(to_value(east)) == datetime(2024, 1, 1, tzinfo=UTC)
    assert from_value(to_value(datetime(2024, 1, 1))) == datetime(2024, 1, 1, tzinfo=UTC)
    assert as_time(date(2024, 1, 1)) == as_time("2024-01-01T01:00+01:00") == as_time("2024-01-01")
    assert microseconds(datetime(1969, 12, 31, 23, 59, 59, 999_999)) == -1


@pytest.mark.parametrize("value", [np.int64(5), np.float32(0.5), np.bool_(True)])
def test_numpy_scalars_travel_as_python_ones(value: np.generic) -> None:
    assert from_value(to_value(value)) == value.item()


@pytest.mark.parametrize("value", [2**63, {"a": 1}, [1, 2], b"bytes", object()])
def test_other_types_are_refused_by_name(value: object) -> None:
    with pytest.raises(InvalidInput, match="year"):
        to_value(value, "year")


@pytest.mark.parametrize("value", ["yesterday", 17, None])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput):
        as_time(value)


def test_nonsense_timestamps_are_refused() -> None:
    with pytest.raises(InvalidInput, match="nanos"):
        from_timestamp(types_pb2.Value(timestamp_value={"nanos": -1}).timestamp_value)
    with pytest.raises(InvalidInput, match="years"):
        from_timestamp(types_pb2.Value(timestamp_value={"seconds": 10**12}).timestamp_value)


def columns(of: st.SearchStrategy[object]) -> st.SearchStrategy[list[object]]:
    return st.lists(st.one_of(st.none(), of), max_size=8)


@settings(deadline=None, max_examples=200)
@given(
    st.one_of(
        columns(strategies.texts),
        columns(strategies.integers),
        columns(strategies.floats),
        columns(st.booleans()),
        columns(strategies.times),
        columns(st.lists(strategies.texts, max_size=3)),
    )
)
def test_columns_keep_values_types_and_nulls(values: list[object]) -> None:
    message = types_pb2.Column.FromString(to_column("market", values).SerializeToString())
    assert message.name == "market"
    back = from_column(message)
    assert back == values and [type(v) for v in back] == [type(v) for v in values]


def test_whole_numbers_among_floats_become_floats() -> None:
    assert from_column(to_column("tempo", [1, 2.5, None])) == [1.0, 2.5, None]


def test_a_column_of_mixed_types_is_a_bug_and_says_so() -> None:
    with pytest.raises(TypeError, match="mixes"):
        to_column("market", ["SE", 7])
