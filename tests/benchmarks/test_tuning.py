"""The search for the lowest effort."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.peers.engines.base import ladder
from benchmarks.peers.tuning import lowest


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200), st.floats(0, 1))
def test_finds_the_first_that_reaches(values: list[float], target: float) -> None:
    rising = sorted(values)
    place, seen = lowest(range(len(rising)), lambda step: rising[step], target)
    reaching = [step for step, value in enumerate(rising) if value >= target]
    assert place == (reaching[0] if reaching else None)
    assert all(seen[step] == rising[step] for step in seen)
    assert len(seen) <= 2 * len(rising).bit_length() + 2


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0, 1))
def test_what_wobbles_reaches_the_target_all_the_same(values: list[float], target: float) -> None:
    place, _ = lowest(range(len(values)), lambda step: values[step], target)
    assert place is None or values[place] >= target


def test_goes_no_further_than_what_is_too_slow() -> None:
    asked = []

    def measure(step: int) -> float:
        asked.append(step)
        return 0.5 if step < 3 else float("nan")

    place, _ = lowest(range(100), measure, 0.9)
    assert place is None
    assert asked == [0, 1, 3]


@given(st.integers(1, 50), st.integers(50, 5000))
def test_a_ladder_rises_in_small_steps(low: int, high: int) -> None:
    steps = ladder(low, high)
    assert steps[0] == low and steps[-1] == high
    for one, next_one in zip(steps, steps[1:], strict=False):
        assert one < next_one <= max(one + 1, round(1.08 * one))
