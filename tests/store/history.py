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

    @property
    def content_fingerprint(self) -> bytes:
        return fingerprint(self.modality, self.content)

    @property
    def attributes_fingerprint(self) -> bytes:
        return fingerprint(sorted(self.attributes.items(), key=str))


@dataclass(frozen=True)
class Step:
    """One commit. `written` have new content, `touched` only new attributes, `backfilled` get
    their segments in the second space too."""

    written: Mapping[str, ModelItem] = field(default_factory=dict)
    touched: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    backfilled: Sequence[str] = ()
    deleted: Sequence[str] = ()
    entities: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    deleted_entities: Sequence[str] = ()
    failures: Sequence[IngestFailure] = ()
    resolved: Sequence[str] = ()


@dataclass
class Model:
    items: dict[str, ModelItem] = field(default_factory=dict)
    entities: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    failures: dict[tuple[str, str | None], IngestFailure] = field(default_factory=dict)
    revision: int = 0

    def copy(self) -> Model:
        return Model(dict(self.items), dict(self.entities), dict(self.failures), self.revision)

    def apply(self, step: Step) -> None:
        self.revision += 1
        now = self.revision
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
                add(f"segments.{name}", item.segments)
                add(f"segments.{name}.{item.modality}", item.segments)
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


def segment_table(where: str, rows: Mapping[str, ModelItem]) -> pa.Table:
    keys = [(key, item, n) for key, item in rows.items() for n in range(item.segments)]
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
    kept = [*step.touched, *step.backfilled]
    rows = {key: model.items[key] for key in [*step.written, *kept]}
    only = [key not in step.written for key in rows]
    new = {key: rows[key] for key in step.written}
    second = {key: item for key, item in new.items() if "second" in item.spaces}
    second |= {key: rows[key] for key in step.backfilled}
    assert not set(step.backfilled) & {k for k, i in before.items.items() if "second" in i.spaces}
    return writer.commit(
        items=item_table(rows, only) if rows else None,
        entities=entity_table(step.entities) if step.entities else None,
        segments={"first": segment_table("first", new), "second": segment_table("second", second)},
        deleted_items=step.deleted,
        deleted_entities=step.deleted_entities,
        failures=step.failures,
        resolved_sources=step.resolved,
    )


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
    both = random_.random() < 0.3
    return ModelItem(
        entity_id=f"entity-{random_.randrange(20)}",
        modality=random_.choice(list(Modality)),
        content=random_.randrange(10**9),
        segments=random_.choice([1, 1, 2, 5]),
        attributes=random_attributes(random_),
        spaces=frozenset(SPACES if both else SPACES[:1]),
    )


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
        assert row["segments"] == item.segments
        assert (row["generation"], row["revision"]) == (item.generation, item.revision)
        assert attributes_in(row) == item.attributes
    entities = {row["entity_id"]: attributes_in(row) for row in reader.entities().to_pylist()}
    assert entities == model.entities
    for name in SPACES:
        assert_segments(reader, name, model)


def attributes_in(row: Mapping[str, Any]) -> dict[str, Any]:
    pairs = {k.removeprefix("attr_"): v for k, v in row.items() if k.startswith("attr_")}
    return {name: value for name, value in pairs.items() if value is not None}


def assert_segments(reader: Reader, name: str, model: Model) -> None:
    expected = {
        (key, n): (item, vector(name, key, item.content, n))
        for key, item in model.items.items()
        if name in item.spaces
        for n in range(item.segments)
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
