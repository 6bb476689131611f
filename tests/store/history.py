"""A naive model of a store in dicts, histories of random steps, and the comparison of the two."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from trichord.store import Reader, Snapshot, Store, Writer
from trichord.types import Encoder, Frame, IngestFailure, Modality, Space

DIM = 8
SPACES = ("first", "second")
THIRD = "third"
MAX_THIRDS = 20
ENCODERS = {m: Encoder(m, {"model": f"test-{m}"}) for m in Modality}
ATTRIBUTES = {
    "market": pa.string(),
    "year": pa.int64(),
    "score": pa.float64(),
    "explicit": pa.bool_(),
    "released": pa.timestamp("us", tz="UTC"),
    "tags": pa.list_(pa.string()),
}
FAILED_AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def space(name: str) -> Space:
    return Space(name, Frame("test", DIM), {m: e.id for m, e in ENCODERS.items()})


def facts() -> dict[Modality, Mapping[str, Any]]:
    return {m: e.facts for m, e in ENCODERS.items()}


def vector(where: str, item_id: str, content: int, ordinal: int) -> np.ndarray[Any, Any]:
    """The vector that this segment has in every run: float32 (DIM,), length 1."""
    name = f"{where}/{item_id}/{content}/{ordinal}".encode()
    seed = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest())
    row = np.random.default_rng(seed).standard_normal(DIM)
    return (row / np.linalg.norm(row)).astype(np.float32)


def fingerprint(*parts: object) -> bytes:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()


@dataclass(frozen=True)
class ModelItem:
    entity_id: str
    modality: Modality
    content: int
    segments: int
    attributes: Mapping[str, Any]
    spaces: frozenset[str] = frozenset({"first"})
    generation: int = 0
    revision: int = 0
    apart: Mapping[str, int] = field(default_factory=dict)
    """Spaces in which it is (or would be) cut into another number of segments."""
    copied: Mapping[str, str] = field(default_factory=dict)
    """{space: where its vectors come from}"""

    def number(self, space: str) -> int:
        return self.apart.get(space, self.segments)

    @property
    def content_fingerprint(self) -> bytes:
        return fingerprint(self.modality, self.content)

    @property
    def attributes_fingerprint(self) -> bytes:
        return fingerprint(sorted(self.attributes.items(), key=str))


@dataclass(frozen=True)
class Step:
    """One commit. `written` have new content, `touched` only new attributes, `backfilled` get
    their segments in the second space too. Or one of three other things: `filled` get segments in
    the third space, unless they are among `stale`; `copied` get them from the first space; or
    the third space is `removed`."""

    written: Mapping[str, ModelItem] = field(default_factory=dict)
    touched: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    backfilled: Sequence[str] = ()
    deleted: Sequence[str] = ()
    entities: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    deleted_entities: Sequence[str] = ()
    failures: Sequence[IngestFailure] = ()
    resolved: Sequence[str] = ()
    records: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    filled: Sequence[str] = ()
    stale: Sequence[str] = ()
    copied: Sequence[str] = ()
    removed: bool = False

    @property
    def adds_third(self) -> bool:
        return bool(self.filled or self.copied)


@dataclass
class Model:
    """`thirds` counts how often the third space was added; `third` is whether it is there."""

    items: dict[str, ModelItem] = field(default_factory=dict)
    entities: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    failures: dict[tuple[str, str | None], IngestFailure] = field(default_factory=dict)
    revision: int = 0
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    third: bool = False
    thirds: int = 0

    def copy(self) -> Model:
        records = {kind: dict(values) for kind, values in self.records.items()}
        return replace(
            self,
            items=dict(self.items),
            entities=dict(self.entities),
            failures=dict(self.failures),
            records=records,
        )

    @property
    def spaces(self) -> tuple[str, ...]:
        """In the order of their bits."""
        return (*SPACES, THIRD) if self.third else SPACES

    def origin(self, item: ModelItem, name: str) -> str:
        """Where the vectors of an item in a space come from; see `vector`."""
        return item.copied.get(name, f"third {self.thirds}" if name == THIRD else name)

    def seen_segments(self, item: ModelItem) -> int:
        """What readers see as its number of segments."""
        return next((item.number(name) for name in self.spaces if name in item.spaces), 0)

    def apply(self, step: Step) -> None:
        self.revision += 1
        now = self.revision
        if step.adds_third and not self.third:
            self.third, self.thirds = True, self.thirds + 1
        for key in step.filled:
            item = self.items[key]
            self.items[key] = replace(item, spaces=item.spaces | {THIRD}, revision=now)
        for key in step.copied:
            item = self.items[key]
            self.items[key] = replace(
                item,
                spaces=item.spaces | {THIRD},
                apart={**item.apart, THIRD: item.number("first")},
                copied={THIRD: "first"},
                revision=now,
            )
        if step.removed:
            self.third = False
            for key, item in self.items.items():
                self.items[key] = replace(item, spaces=item.spaces - {THIRD}, copied={})
        for kind, values in step.records.items():
            both = {**self.records.get(kind, {}), **values}
            self.records[kind] = {name: v for name, v in both.items() if v is not None}
        for key, item in step.written.items():
            self.items[key] = replace(item, generation=now, revision=now)
        for key, attributes in step.touched.items():
            self.items[key] = replace(self.items[key], attributes=attributes, revision=now)
        for key in step.backfilled:
            spaces = self.items[key].spaces | {"second"}
            self.items[key] = replace(self.items[key], spaces=spaces, revision=now)
        for key in step.deleted:
            del self.items[key]
        self.entities.update(step.entities)
        for key in step.deleted_entities:
            del self.entities[key]
        for source, item_id in list(self.failures):
            if source in step.resolved:
                del self.failures[source, item_id]
        for failure in step.failures:
            self.failures[failure.source, failure.item_id] = failure

    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = {}

        def add(name: str, number: int) -> None:
            counts[name] = counts.get(name, 0) + number

        for item in self.items.values():
            add("items", 1)
            add(f"items.{item.modality}", 1)
            for name in item.spaces:
                add(f"segments.{name}", item.number(name))
                add(f"segments.{name}.{item.modality}", item.number(name))
        if self.entities:
            add("entities", len(self.entities))
        return counts


def item_table(rows: Mapping[str, ModelItem], attributes_only: Sequence[bool]) -> pa.Table:
    columns: dict[str, Any] = {
        "item_id": pa.array(list(rows), pa.string()),
        "entity_id": [item.entity_id for item in rows.values()],
        "modality": [str(item.modality) for item in rows.values()],
        "uri": [f"file:{key}" for key in rows],
        "text": [f"text {item.content}" for item in rows.values()],
        "content_hash": [f"hash-{item.content}" for item in rows.values()],
        "fingerprint": pa.array([i.content_fingerprint for i in rows.values()], pa.binary(16)),
        "attributes_fingerprint": pa.array(
            [i.attributes_fingerprint for i in rows.values()], pa.binary(16)
        ),
        "attributes_only": pa.array(list(attributes_only), pa.bool_()),
    }
    for name, kind in ATTRIBUTES.items():
        values = [item.attributes.get(name) for item in rows.values()]
        columns[f"attr_{name}"] = pa.array(values, kind)
    return pa.table(columns)


def entity_table(rows: Mapping[str, Mapping[str, Any]]) -> pa.Table:
    columns: dict[str, Any] = {"entity_id": pa.array(list(rows), pa.string())}
    for name, kind in ATTRIBUTES.items():
        columns[f"attr_{name}"] = pa.array([row.get(name) for row in rows.values()], kind)
    return pa.table(columns)


def segment_table(where: str, rows: Mapping[str, ModelItem], space: str = "") -> pa.Table:
    space = space or where
    keys = [(key, item, n) for key, item in rows.items() for n in range(item.number(space))]
    vectors = [vector(where, key, item.content, n) for key, item, n in keys]
    flat = np.concatenate([np.empty(0, np.float32), *vectors])
    timed = [item.modality is Modality.AUDIO for _, item, _ in keys]
    return pa.table(
        {
            "item_id": pa.array([key for key, _, _ in keys], pa.string()),
            "ordinal": pa.array([n for _, _, n in keys], pa.int32()),
            "start_ms": pa.array(
                [1000 * n if t else -1 for (_, _, n), t in zip(keys, timed, strict=True)],
                pa.int64(),
            ),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(flat), DIM),
        }
    )


def prepare_store(writer: Writer) -> None:
    for name in SPACES:
        writer.add_space(space(name), facts())
    writer.ensure_attributes(ATTRIBUTES)


def commit(writer: Writer, model: Model, step: Step) -> Snapshot:
    """Apply `step` to both; `model` is what the store was before."""
    before = model.copy()
    model.apply(step)
    if step.adds_third or step.removed:
        return change_third(writer, before, model, step)
    kept = [*step.touched, *step.backfilled]
    rows = {key: model.items[key] for key in [*step.written, *kept]}
    only = [key not in step.written for key in rows]
    new = {key: rows[key] for key in step.written}
    inside = {
        name: {key: item for key, item in new.items() if name in item.spaces}
        for name in model.spaces
    }
    inside["second"] |= {key: rows[key] for key in step.backfilled}
    segments = {
        name: segment_table(f"third {model.thirds}" if name == THIRD else name, those, name)
        for name, those in inside.items()
    }
    assert not set(step.backfilled) & {k for k, i in before.items.items() if "second" in i.spaces}
    return writer.commit(
        items=item_table(rows, only) if rows else None,
        entities=entity_table(step.entities) if step.entities else None,
        segments=segments,
        deleted_items=step.deleted,
        deleted_entities=step.deleted_entities,
        failures=step.failures,
        resolved_sources=step.resolved,
        records=step.records,
    )


def change_third(writer: Writer, before: Model, model: Model, step: Step) -> Snapshot:
    """A step that adds to the third space, or removes it."""
    if step.removed:
        return writer.remove_space(THIRD, records=step.records)
    writer.add_space(space(THIRD), facts())
    extras: dict[str, Any] = {
        "failures": step.failures,
        "resolved_sources": step.resolved,
        "records": step.records,
    }
    if step.copied:
        inside = [key for key, item in before.items.items() if THIRD in item.spaces]
        asked = [*step.copied, *inside[:3], "unknown"]
        done = writer.copy_segments("first", THIRD, asked, **extras)
        assert done.skipped == (*inside[:3], "unknown") and done.items == len(step.copied)
        return done.snapshot
    rows = {key: before.items[key] for key in [*step.filled, *step.stale]}
    cut = segment_table(f"third {model.thirds}", rows, THIRD)
    generations = [
        before.items[key].generation - (key in step.stale) for key in cut["item_id"].to_pylist()
    ]
    cut = cut.append_column("generation", pa.array(generations, pa.int64()))
    done = writer.add_segments(THIRD, cut, **extras)
    assert done.skipped == tuple(step.stale) and done.items == len(step.filled)
    return done.snapshot


def random_attributes(random_: random.Random) -> dict[str, Any]:
    """Some of the attributes, with awkward values among them."""
    pool: dict[str, list[Any]] = {
        "market": ["SE", "", "it's", "日本", None],
        "year": [0, -1, 2**62, 1999],
        "score": [0.5, -1e300, 3.0],
        "explicit": [True, False, None],
        "released": [FAILED_AT, None],
        "tags": [[], ["a"], ["a", "b'c"], None],
    }
    chosen = random_.sample(sorted(pool), random_.randint(0, len(pool)))
    values = {name: random_.choice(pool[name]) for name in chosen}
    return {name: value for name, value in values.items() if value is not None}


def random_item(random_: random.Random, key: str) -> ModelItem:
    return ModelItem(
        entity_id=f"entity-{random_.randrange(20)}",
        modality=random_.choice(list(Modality)),
        content=random_.randrange(10**9),
        segments=random_.choice([1, 1, 2, 5]),
        attributes=random_attributes(random_),
        spaces=frozenset(random_.choice(_INSIDE)),
        apart={
            name: random_.choice([1, 2, 3, 5])
            for name in ("second", THIRD)
            if random_.random() < 0.4
        },
    )


_INSIDE = [("first",), ("first",), ("second",), SPACES]


def random_records(random_: random.Random) -> dict[str, dict[str, Any]]:
    values = [None, 0, "", {"space": "first", "n": [1, 2.5, None, "ü'"]}, [], False]
    return {
        random_.choice(["aliases", "migrations"]): {
            random_.choice(["default", "it's", "ü"]): random_.choice(values) for _ in range(2)
        }
    }


def random_third(random_: random.Random, model: Model, kind: str) -> Step:
    """A step that fills the third space ("fill" or "copy"), or removes it; or an ordinary one if
    none of these fits `model`."""
    records = {**random_records(random_), "history": {"revision": model.revision + 1}}
    if kind == "remove":
        return Step(removed=True, records=records) if model.third else random_step(random_, model)
    if not model.third and model.thirds == MAX_THIRDS:
        return random_step(random_, model)
    lacking = [key for key, item in sorted(model.items.items()) if THIRD not in item.spaces]
    random_.shuffle(lacking)
    if kind == "copy":
        lacking = [key for key in lacking if "first" in model.items[key].spaces]
        copied = lacking[: random_.randrange(1, 30)]
        return Step(copied=copied, records=records) if copied else random_step(random_, model)
    filled, stale = lacking[: random_.randrange(1, 12)], lacking[12:14]
    if not filled:
        return random_step(random_, model)
    return Step(filled=filled, stale=stale, records=records, resolved=["source-1"])


def random_step(random_: random.Random, model: Model, size: int = 12) -> Step:
    """A commit that fits `model`: new, changed, touched, backfilled and deleted items and more."""
    live = sorted(model.items)
    random_.shuffle(live)
    cut = [random_.randrange(size // 2 + 1) for _ in range(4)]
    changed, touched = live[: cut[0]], live[cut[0] : cut[0] + cut[1]]
    rest = live[cut[0] + cut[1] :]
    backfilled = [key for key in rest if "second" not in model.items[key].spaces][: cut[2]]
    deleted = [key for key in rest if key not in backfilled][: cut[3]]
    new = [f"item '{random_.randrange(300)}' ü" for _ in range(random_.randrange(1, size))]
    fresh = [key for key in dict.fromkeys(new) if key not in model.items]
    entities = {
        f"entity-{random_.randrange(20)}": random_attributes(random_)
        for _ in range(random_.randrange(4))
    } or {"entity-0": {"year": model.revision}}
    gone = [key for key in sorted(model.entities) if key not in entities and random_.random() < 0.1]
    source = f"source-{random_.randrange(8)}"
    item_id = random_.choice([None, "x", "y"])
    failure = IngestFailure(source, item_id, "MEDIA", f"no {random_.random()}", FAILED_AT)
    return Step(
        written={key: random_item(random_, key) for key in [*changed, *fresh]},
        touched={key: random_attributes(random_) for key in touched},
        backfilled=backfilled,
        deleted=deleted,
        entities=entities,
        deleted_entities=gone,
        failures=[failure] if random_.random() < 0.3 else [],
        resolved=[f"source-{random_.randrange(8)}"] if random_.random() < 0.3 else [],
        records=random_records(random_) if random_.random() < 0.3 else {},
    )


def assert_equal(reader: Reader, model: Model, *, times: bool = False) -> None:
    """The store as of the reader's snapshot is what the model says, to the last vector."""
    assert reader.snapshot.revision == model.revision
    assert dict(reader.snapshot.counts) == model.counts()
    rows = {row["item_id"]: row for row in reader.items().to_pylist()}
    assert rows.keys() == model.items.keys()
    for key, item in model.items.items():
        row = rows[key]
        assert row["entity_id"] == item.entity_id
        assert row["modality"] == item.modality
        assert row["uri"] == f"file:{key}"
        assert row["text"] == f"text {item.content}"
        assert row["content_hash"] == f"hash-{item.content}"
        assert row["fingerprint"] == item.content_fingerprint
        assert row["attributes_fingerprint"] == item.attributes_fingerprint
        assert row["segments"] == model.seen_segments(item)
        assert (row["generation"], row["revision"]) == (item.generation, item.revision)
        assert attributes_in(row) == item.attributes
    entities = {row["entity_id"]: attributes_in(row) for row in reader.entities().to_pylist()}
    assert entities == model.entities
    bits = reader.space_bits()
    for name in model.spaces:
        assert_segments(reader, name, model)
        inside = {key for key, row in rows.items() if row["spaces"] >> bits[name] & 1}
        assert inside == {key for key, item in model.items.items() if name in item.spaces}
    for kind in ("aliases", "migrations", "history", "nothing"):
        assert reader.records(kind) == model.records.get(kind, {})
    assert_lacking(reader, model)


def assert_lacking(reader: Reader, model: Model) -> None:
    for name in model.spaces:
        wanted = [Modality.IMAGE, Modality.TEXT]
        lacking = {
            key: item
            for key, item in sorted(model.items.items())
            if name not in item.spaces and item.modality in wanted
        }
        counts = reader.lacking_count(name, wanted)
        assert counts == {m: sum(item.modality is m for item in lacking.values()) for m in wanted}
        found: list[str] = []
        while rows := reader.lacking(
            name, wanted, limit=7, after=found[-1] if found else ""
        ).to_pylist():
            for row in rows:
                item = lacking[row["item_id"]]
                assert (row["generation"], row["modality"]) == (item.generation, item.modality)
                assert row["text"] == f"text {item.content}"
            found += [row["item_id"] for row in rows]
        assert found == list(lacking)


def attributes_in(row: Mapping[str, Any]) -> dict[str, Any]:
    pairs = {k.removeprefix("attr_"): v for k, v in row.items() if k.startswith("attr_")}
    return {name: value for name, value in pairs.items() if value is not None}


def assert_segments(reader: Reader, name: str, model: Model) -> None:
    expected = {
        (key, n): (item, vector(model.origin(item, name), key, item.content, n))
        for key, item in model.items.items()
        if name in item.spaces
        for n in range(item.number(name))
    }
    seen = 0
    for batch in reader.segments(name):
        for row in batch.to_pylist():
            item, wanted = expected[row["item_id"], row["ordinal"]]
            seen += 1
            assert row["modality"] == item.modality
            assert row["encoder"] == ENCODERS[item.modality].id
            assert row["generation"] == item.generation
            timed = item.modality is Modality.AUDIO
            assert row["start_ms"] == (1000 * row["ordinal"] if timed else None)
            assert np.abs(np.array(row["vector"], np.float32) - wanted).max() <= 1e-5
    assert seen == len(expected)


def assert_failures(store: Store, model: Model) -> None:
    stored = store.failures()
    assert {(f.source, f.item_id): f for f in stored} == model.failures
    assert len(stored) == len(model.failures)
