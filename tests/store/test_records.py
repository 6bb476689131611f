"""JSON values by kind and name."""

from __future__ import annotations

import math
import random
from datetime import timedelta
from typing import Any

import lance
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store.history import Model, assert_equal, commit, random_step
from trichord.errors import InvalidInput
from trichord.store import Store, Writer, failpoints, records, verify

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
NAMES = st.sampled_from(["default", "it's", "日本", "a/b", " "])


def test_a_store_without_records_has_none_and_no_table(store: Store) -> None:
    assert store.records("aliases") == {}
    assert "records" not in store.latest().versions
    assert not (store.path / "records.lance").exists()


def test_records_are_set_replaced_and_removed(writer: Writer, store: Store) -> None:
    value = {"b": [1, 2.5, None, True, "ü\ud800"], "a": {"x": "it's"}}
    first = writer.put_records("aliases", {"default": value, "other": 1}, message="hello")
    assert (first.revision, first.message, first.versions["records"]) == (1, "hello", 1)
    assert store.records("aliases") == {"default": value, "other": 1}
    assert store.records("migrations") == {}
    second = writer.put_records("aliases", {"default": 2, "other": None, "never": None})
    writer.put_records("migrations", {"default": "another kind"})
    assert store.records("aliases") == {"default": 2}
    assert store.reader(first).records("aliases") == {"default": value, "other": 1}
    assert store.reader(second).records("migrations") == {}
    writer.put_records("aliases", {"other": [], "default": None})
    assert list(store.records("aliases").items()) == [("other", [])]
    assert verify(store).ok
    rows = lance.dataset(store.path / "records.lance").to_table().to_pylist()
    assert len(rows) == len({(row["kind"], row["name"]) for row in rows}) == 3


def test_what_changes_nothing_makes_no_snapshot(writer: Writer, store: Store) -> None:
    before = store.latest()
    assert writer.put_records("aliases", {}) == before
    assert writer.put_records("aliases", {"nobody": None}) == before
    writer.put_records("aliases", {"somebody": 1})
    after = writer.put_records("aliases", {"somebody": None})
    assert writer.put_records("aliases", {"somebody": None}) == after
    assert store.records("aliases") == {}


def test_a_commit_writes_records_with_everything_else_or_not_at_all(
    writer: Writer, store: Store
) -> None:
    random_, model = random.Random(3), Model()
    commit(writer, model, random_step(random_, model))
    for point in ("items-written", "records-written"):

        def hook(name: str, point: str = point) -> None:
            if name == point:
                raise RuntimeError("interrupted")

        failpoints.set_hook(hook)
        step, after = random_step(random_, model), model.copy()
        step = type(step)(**{**vars(step), "records": {"aliases": {"default": point}}})
        try:
            with pytest.raises(RuntimeError, match="interrupted"):
                commit(writer, after, step)
        finally:
            failpoints.set_hook(None)
        assert_equal(store.reader(), model)
    # The table of the first attempt is gone, and a new one of the same name is not taken for it.
    assert "records" not in store.latest().versions
    writer.put_records("aliases", {"default": "whole"})
    assert store.records("aliases") == {"default": "whole"}
    assert Store.open(store.path).records("aliases") == {"default": "whole"}
    assert verify(store).ok


@pytest.mark.parametrize(
    ("kind", "name", "value", "message"),
    [
        ("Bad kind", "a", 1, "not a kind"),
        ("", "a", 1, "not a kind"),
        ("a' OR 'a' = 'a", "a", 1, "not a kind"),
        ("aliases", "", 1, "not a name"),
        ("aliases", "\ud800", 1, "not a name"),
        ("aliases", 7, 1, "not a name"),
        ("aliases", "a", math.nan, "not JSON"),
        ("aliases", "a", [math.inf], "not JSON"),
        ("aliases", "a", {"x": {1}}, "not JSON"),
        ("aliases", "a", {"x": [{1: 2}]}, "the key 1"),
        ("aliases", "a", {None: 2}, "the key None"),
        ("aliases", "a", b"bytes", "not JSON"),
    ],
)
def test_what_is_no_record(
    writer: Writer, store: Store, kind: str, name: Any, value: Any, message: str
) -> None:
    before = store.latest()
    with pytest.raises(InvalidInput, match=message):
        writer.put_records(kind, {"good": 1, name: value})
    assert store.latest() == before


def test_a_value_that_holds_itself(writer: Writer) -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(InvalidInput, match="not JSON"):
        writer.put_records("aliases", {"a": value})


def test_a_value_that_is_too_large(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_VALUE_BYTES", 100)
    writer.put_records("aliases", {"a": "x" * 98})
    with pytest.raises(InvalidInput, match="aliases/a takes 101 bytes"):
        writer.put_records("aliases", {"a": "x" * 99})


def test_compaction_forgets_removed_records(writer: Writer, store: Store) -> None:
    for number in range(4):
        writer.put_records("aliases", {"a": number, f"b{number}": number})
    writer.put_records("aliases", {"b0": None, "b1": None})
    writer.compact(retain=timedelta(0), keep_snapshots=1)
    rows = store.reader().data("records").to_table().to_pylist()
    assert sorted(row["name"] for row in rows) == ["a", "b2", "b3"]
    assert store.records("aliases") == {"a": 3, "b2": 2, "b3": 3}
    writer.put_records("aliases", {"b0": "again", "a": None})
    assert store.records("aliases") == {"b0": "again", "b2": 2, "b3": 3}
    assert verify(store).ok


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.dictionaries(NAMES, JSON, max_size=3)), max_size=6
    )
)
def test_records_equal_a_dict(store: Store, puts: list[tuple[str, dict[str, Any]]]) -> None:
    with store.writer() as writer:
        model = {kind: store.records(kind) for kind in ("a", "b")}
        for kind, values in puts:
            writer.put_records(kind, values)
            merged = {**model[kind], **values}
            model[kind] = {name: value for name, value in merged.items() if value is not None}
            for each, expected in model.items():
                assert store.records(each) == expected
                assert list(store.records(each)) == sorted(expected)
    assert {kind: Store.open(store.path).records(kind) for kind in model} == model
