"""The arithmetic of the benchmarks: what they conclude must be right before it is worth reading."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest

from benchmarks import data
from benchmarks.engine_paper import Layout, PerRow, Power
from benchmarks.engine_tables import replaced
from benchmarks.load import read_requests, write_requests
from benchmarks.measure import Times, Verdict, in_turn, share_verdict
from benchmarks.open_loop import DEADLINE_S, Log, OpenLoop, arrivals, send
from benchmarks.truth import SPARE, Running, Truth, nearest, violations
from trichord.index.reference import ReferenceIndex

# Verdicts


@pytest.mark.parametrize(
    ("figure", "low", "high", "at_least", "state"),
    [
        (2.0, 1.5, 2.5, True, "PASS"),
        (3.0, 1.5, 3.5, False, "MISS within spread"),
        (1.9, 1.5, 2.5, True, "MISS within spread"),
        (1.9, 1.5, 2.0, True, "MISS within spread"),
        (1.9, 1.5, 1.95, True, "MISS"),
        (2.1, 2.0, 2.5, False, "MISS within spread"),
        (2.1, 2.05, 2.5, False, "MISS"),
        (1.9, None, None, True, "MISS"),
        (2.0, None, None, False, "PASS"),
    ],
)
def test_a_miss_whose_spread_holds_the_limit_is_told_apart(
    figure: float, low: float | None, high: float | None, at_least: bool, state: str
) -> None:
    verdict = Verdict("bar", figure, 2.0, at_least, "", low, high)
    assert verdict.state == state
    assert verdict.passed is (state == "PASS")
    assert str(verdict).startswith(f"{state}  bar: ")


def test_a_verdict_takes_median_and_quartiles_of_the_rounds() -> None:
    verdict = share_verdict("bar", Times([1.0, 2.0, 3.0, 4.0, 10.0]), 3.5, at_least=True)
    assert (verdict.figure, verdict.low, verdict.high) == (3.0, 2.0, 4.0)
    assert verdict.state == "MISS within spread"


def test_actions_take_turns_in_another_order_with_every_call() -> None:
    called: list[tuple[str, int]] = []

    def action(name: str) -> Any:
        return lambda number: called.append((name, number)) or (name, number)

    times, answers = in_turn(2, 50, {"a": action("a"), "b": action("b")}, first=7)
    assert [number for _, number in called] == [n for n in range(7, 107) for _ in range(2)]
    firsts = [name for name, _ in called[::2]]
    assert {*called} == {(name, number) for name in "ab" for number in range(7, 107)}
    assert 30 < firsts.count("a") < 70
    assert answers["b"] == [("b", number) for number in range(7, 107)]
    assert [len(round_.values) for round_ in times["a"]] == [50, 50]


# Load by a schedule


def test_arrivals_are_a_poisson_process_of_the_rate() -> None:
    times = np.array(list(islice(arrivals(200.0, seed=3), 20_000)))
    gaps = np.diff(times, prepend=0.0)
    assert (gaps > 0).all()
    # Exponential gaps: mean and standard deviation are both 1 / rate, and e^-1 of them are longer.
    assert gaps.mean() == pytest.approx(1 / 200, rel=0.03)
    assert gaps.std() == pytest.approx(1 / 200, rel=0.03)
    assert (gaps > 1 / 200).mean() == pytest.approx(np.exp(-1), abs=0.01)
    assert list(islice(arrivals(200.0, seed=3), 5)) == times[:5].tolist()
    with pytest.raises(ValueError, match="positive"):
        next(arrivals(0.0))


class Virtual:
    """A clock that only moves when somebody waits, and a server of one thread: a call takes
    `work_s` after those before it. Sending blocks the sender for `sending_s`."""

    def __init__(self, work_s: float, sending_s: float) -> None:
        self.now, self._free = 0.0, 0.0
        self._work_s, self._sending_s = work_s, sending_s
        self.due: list[float] = []
        self.sent: list[float] = []
        self.done: list[float] = []

    def pause(self, seconds: float) -> bool:
        self.now += seconds
        return True

    def fire(self, number: int, due: float) -> None:
        assert number == len(self.due)
        self.due.append(due)
        self.sent.append(self.now)
        self._free = max(self._free, self.now) + self._work_s
        self.done.append(self._free)
        self.now += self._sending_s


def test_a_latency_counts_from_the_scheduled_time() -> None:
    """A server of 20 ms per call, one call every 10 ms: a loop that waits for each answer would see
    20 ms every time; by the schedule the n-th call waits for all before it."""
    clock = Virtual(0.020, 0.0)
    send((0.010 * n for n in range(50)), 1.0, lambda: clock.now, clock.pause, clock.fire)
    assert clock.due == pytest.approx([1.0 + 0.010 * n for n in range(50)])
    log = Log(np.array(clock.due), np.array(clock.done), np.ones(50, bool))
    assert log.latencies == pytest.approx([0.020 + 0.010 * n for n in range(50)])


def test_a_sender_that_is_late_leaves_out_nothing_and_puts_off_nothing() -> None:
    clock = Virtual(0.0, 0.025)  # sending takes longer than the time between two calls
    send((0.010 * n for n in range(40)), 0.0, lambda: clock.now, clock.pause, clock.fire)
    assert clock.due == pytest.approx([0.010 * n for n in range(40)])
    assert clock.sent == pytest.approx([0.025 * n for n in range(40)])
    taken = np.array(clock.done) - np.array(clock.due)
    assert taken == pytest.approx([0.015 * n for n in range(40)])


def test_a_sender_that_is_told_to_stop_sends_no_more() -> None:
    clock, left = Virtual(0.0, 0.0), iter([True] * 5 + [False])
    send([0.0] * 40, 0.0, lambda: clock.now, lambda seconds: next(left), clock.fire)
    assert len(clock.due) == 5


class Answered:
    """A gRPC method whose futures are done at once; every third call fails."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def future(self, request: bytes, timeout: float) -> Answered:
        self.asked.append(request)
        return self

    def add_done_callback(self, note: Any) -> None:
        note(self)

    def exception(self) -> Exception | None:
        return RuntimeError() if len(self.asked) % 3 == 0 else None

    def result(self) -> bytes:
        return self.asked[-1]


def test_every_call_ends_in_the_log_and_what_is_no_answer_is_an_error() -> None:
    calls = [Answered(), Answered()]
    log = OpenLoop(calls, [b"a", b"b", b"c"], [0.0] * 60, lambda got: got != b"b").wait()
    assert calls[0].asked == [b"a", b"c", b"b"] * 10
    assert len(log) == 60
    wanted = [
        number // 2 % 3 != 2 and (b"a", b"b", b"c")[number % 3] != b"b" for number in range(60)
    ]
    assert log.fine.tolist() == wanted
    assert log.errors == 60 - sum(wanted)


def test_a_percentile_is_a_latency_that_so_many_stay_within(tmp_path: Any) -> None:
    due = np.arange(100.0)
    taken = np.arange(1.0, 101.0)
    log = Log(due, due + taken, np.ones(100, bool))
    assert log.percentile(0.99) == 99.0
    assert log.percentile(0.5) == 50.0
    assert log.percentile(1.0) == 100.0
    part = log.between(10.0, 20.0)
    assert part.due.tolist() == list(range(10, 20))
    assert part.percentile(0.99) == 20.0
    part.save(tmp_path / "log.npz")
    again = Log.load(tmp_path / "log.npz")
    assert again.latencies.tolist() == part.latencies.tolist()


def test_a_call_that_failed_is_slower_than_any_that_did_not() -> None:
    fine = np.ones(100, bool)
    fine[:2] = False
    log = Log(np.zeros(100), np.full(100, 0.5), fine)
    assert log.errors == 2
    assert len(log.latencies) == 98
    assert log.percentile(0.98) == 0.5
    assert log.percentile(0.99) == DEADLINE_S


def test_requests_come_back_from_their_file(tmp_path: Any) -> None:
    given = [b"", b"a", bytes(range(256)) * 9]
    assert read_requests(write_requests(tmp_path / "requests", given)) == given


# Recall


def test_truth_is_that_of_the_reference_index() -> None:
    vectors, queries = data.one_modality(3_000, 16), data.one_modality(20, 16, seed=2)
    allowed = data.buckets(range(3_000)) < 100
    for mask in (None, allowed):
        wanted = ReferenceIndex(vectors).search(queries, 10, allowed=mask)
        truth = nearest(vectors, queries, allowed=mask)
        assert truth.rows[:, :10].tolist() == wanted.rows.tolist()
        np.testing.assert_allclose(truth.scores[:, :10], wanted.scores, atol=1e-6)
        assert truth.recall(wanted.rows.tolist()) == 1.0


def test_truth_by_blocks_does_not_depend_on_the_blocks() -> None:
    vectors, queries = data.one_modality(500, 8), data.one_modality(7, 8, seed=2)
    whole = nearest(vectors, queries)
    running = Running(queries)
    for start in (0, 3, 40, 200):
        end = {0: 3, 3: 40, 40: 200, 200: 500}[start]
        running.add(vectors[start:end], np.arange(start, end))
    assert running.truth().rows.tolist() == whole.rows.tolist()


def test_recall_counts_true_rows_and_ties_of_the_last_one() -> None:
    rows = np.array([[5, 3, 9, 7, *[-1] * SPARE]])
    scores = np.full((1, 4 + SPARE), -np.inf, np.float32)
    scores[0, :4] = [0.9, 0.8, 0.7, 0.7]
    truth = Truth(rows, scores, 3)
    assert truth.recall([[5, 3, 9]]) == 1.0
    assert truth.recall([[5, 3, 7]]) == 1.0  # as good as row 9
    assert truth.recall([[3, 5, 8]]) == pytest.approx(2 / 3)
    assert truth.recall([[8, 1, 2, 5, 3, 9]]) == 0.0  # behind the third place
    assert truth.recall([[5]]) == pytest.approx(1 / 3)
    fewer = Truth(rows[:, :2], scores[:, :2], 3)
    assert fewer.recall([[3, 5]]) == 1.0
    with pytest.raises(ValueError, match="answers"):
        truth.recall([])


def test_a_row_that_the_filter_excludes_is_counted() -> None:
    allowed = np.array([True, False, True])
    assert violations([[0, 2], [2]], allowed) == 0
    assert violations([[0, 1], [1, 2]], allowed) == 2


def test_buckets_are_even_and_independent_of_the_place() -> None:
    buckets = data.buckets(range(200_000))
    assert (buckets.min(), buckets.max()) == (0, data.BUCKETS - 1)
    counts = np.bincount(buckets, minlength=data.BUCKETS)
    # Chi-squared over 999 degrees of freedom: mean 999, standard deviation 45.
    assert 850 < float(((counts - 200.0) ** 2 / 200.0).sum()) < 1150
    assert abs(np.corrcoef(buckets, np.arange(200_000) % 3)[0, 1]) < 0.01
    assert data.buckets([7, 8]).tolist() == data.buckets(range(7, 9)).tolist()
    assert data.number_of(data.item_id(1234)) == 1234


# Paper


def test_a_power_is_found_again_and_drawn_on() -> None:
    rows = [50_000, 200_000, 500_000, 2_000_000]
    power = Power.fitted(rows, [3e-6 * n**0.5 for n in rows])
    assert power.exponent == pytest.approx(0.5)
    assert power.at(10_000_000) == pytest.approx(3e-6 * 10_000_000**0.5)
    with pytest.raises(ValueError, match="two sizes"):
        Power.fitted([5, 5], [1.0, 1.0])


def point(rows: int) -> dict[str, Any]:
    """100 bytes of index a row, mapped; 300 of anonymous memory and 200 MB that a process has."""
    return {
        "rows": rows,
        "index_bytes": 100 * rows,
        "index_is_mapped": True,
        "anonymous_bytes": 200_000_000 + 300 * rows,
        "vectors_bytes": 2048 * rows,
        "tables_bytes": 70 * rows,
        "store_bytes": 2100 * rows,
        "build_seconds": 1e-4 * rows,
        "p50": [1e-7 * rows**0.5] * 3,
        "batch_seconds_per_query": [5e-8 * rows**0.5] * 3,
    }


def test_bytes_per_row_leave_out_what_a_process_has_anyway() -> None:
    per_row = PerRow.of([point(50_000), point(2_000_000), point(200_000)])
    assert per_row.index == 100
    assert per_row.anonymous == pytest.approx(300)
    assert (per_row.vectors, per_row.tables, per_row.store) == (2048, 70, 2100)
    assert per_row.build_seconds.exponent == pytest.approx(1.0)
    assert per_row.query_seconds.at(1_000_000) == pytest.approx(1e-4)
    inside = [{**point(n), "index_is_mapped": False} for n in (50_000, 2_000_000)]
    # Then what is anonymous holds the index.
    assert PerRow.of(inside).anonymous == pytest.approx(200)


def test_a_layout_is_as_one_works_it_out_by_hand() -> None:
    per_row = PerRow.of([point(50_000), point(2_000_000)])
    layout = Layout.of(100_000_000, per_row)
    # 10 shards of 10 M rows and 4 GB: 48 GB of a node hold 12, its disk more; two replicas.
    assert (layout.shards, layout.shards_per_node, layout.nodes) == (10, 10, 2)
    assert layout.node_memory == pytest.approx(40e9)
    assert layout.node_disk == pytest.approx(10 * 10e6 * (100 + 2048 + 70 + 2100))
    assert layout.build_seconds == pytest.approx(1000)
    assert layout.query_seconds == pytest.approx(1e-7 * 10e6**0.5)
    work = 10 * 2 * 5e-8 * 10e6**0.5
    assert layout.queries_per_second == pytest.approx(32 / work)
    billion = Layout.of(1_000_000_000, per_row)
    assert (billion.shards, billion.shards_per_node, billion.nodes) == (100, 12, 18)


def test_blocks_of_a_page_are_replaced_and_the_rest_is_left() -> None:
    page = (
        "a\n<!-- engine: bars -->\nold\n<!-- end -->\nb\n<!-- engine: other -->\nx\n<!-- end -->\n"
    )
    wanted = page.replace("old", "| new |")
    assert replaced(page, {"bars": "| new |"}) == wanted
    assert replaced(wanted, {"bars": "| new |"}) == wanted
    assert replaced("nothing\n", {"bars": "| new |"}) == "nothing\n"
