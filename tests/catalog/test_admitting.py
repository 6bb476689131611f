"""Admission of a machine to a store: once per runtime, per encoder, and not if it differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fakes import HashEmbedder, HashSpace
from trichord.catalog import Catalog
from trichord.catalog.admitting import How, admit
from trichord.catalog.removing import remove_space
from trichord.embedders import runtimes
from trichord.embedders.backend import Runtime
from trichord.embedders.spaces import JointSpace, ReadySpace
from trichord.errors import EncoderMismatch, NotFound, StoreDamaged, StoreError
from trichord.query import ItemRef, Record
from trichord.store import Store
from trichord.types import Embedded, Encoder, Frame, Modality, Role, Space


@dataclass
class Records:
    """What a store keeps, in memory: reader and writer at once."""

    kept: dict[str, dict[str, Any]] = field(default_factory=dict)
    commits: int = 0

    def records(self, kind: str) -> Mapping[str, Any]:
        return dict(self.kept.get(kind, {}))

    def commit(
        self,
        *,
        records: Mapping[str, Mapping[str, Any | None]] | None = None,
        message: str = "",
    ) -> None:
        self.commits += 1
        for kind, values in (records or {}).items():
            merged = {**self.kept.get(kind, {}), **values}
            self.kept[kind] = {k: v for k, v in merged.items() if v is not None}


@dataclass
class Machine:
    """HashSpace as one machine runs it: `noise` on what it computes, and how often it was asked."""

    inner: HashSpace = field(default_factory=HashSpace)
    noise: float = 0.0
    noisy: frozenset[Modality] = frozenset(Modality)
    runtime: Runtime = field(default_factory=lambda: Runtime(device="cpu"))
    asked: list[Modality] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def embedder(self, modality: Modality) -> Any:
        self.asked.append(modality)
        noise = self.noise if modality in self.noisy else 0.0
        return Shaken(self.inner.embedder(modality), noise)


@dataclass
class Shaken:
    inner: HashEmbedder
    noise: float

    def embed(self, batch: Any, *, role: Role = Role.DOCUMENT) -> Embedded:
        found = self.inner.embed(batch, role=role)
        rows = found.vectors.copy()
        rng = np.random.default_rng(1)
        rows += self.noise / np.sqrt(rows.shape[1]) * rng.standard_normal(rows.shape)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return Embedded(rows.astype(np.float32), found.errors)


def joint(machine: Machine) -> JointSpace:
    return machine  # type: ignore[return-value]


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    versions = {"torch": "2.15.0", "numpy": "2.4"}
    monkeypatch.setattr(runtimes, "libraries", lambda: versions)
    return versions


def test_the_first_use_is_recorded_and_known_from_then_on(libraries: dict[str, str]) -> None:
    store, first, again = Records(), Machine(), Machine()
    assert admit(store, store, joint(first)).how is How.RECORDED
    assert set(first.asked) == set(Modality)
    assert admit(store, store, joint(again)).how is How.KNOWN
    assert again.asked == [], "what is known loads no model"
    checked = admit(store, store, joint(again), again=True)
    assert checked.how is How.CHECKED and checked.agreement is not None
    assert checked.agreement.agrees


def test_another_runtime_is_checked_once(libraries: dict[str, str]) -> None:
    store = Records()
    admit(store, store, joint(Machine()))
    libraries["torch"] = "2.16.0"
    other = Machine(noise=0.02)
    found = admit(store, store, joint(other))
    assert found.how is How.CHECKED and found.agreement is not None
    assert admit(store, store, joint(other)).how is How.KNOWN
    figures = store.records("runtimes")[found.runtime]["figures"]
    assert 0.995 < figures["text"]["cosine"] < 1
    libraries["torch"] = "2.15.0"
    assert admit(store, store, joint(Machine())).how is How.KNOWN


def test_one_that_disagrees_is_refused_with_figures(libraries: dict[str, str]) -> None:
    store = Records()
    admit(store, store, joint(Machine()))
    libraries["torch"] = "3.0"
    bad = Machine(
        noise=0.5, noisy=frozenset({Modality.IMAGE}), runtime=Runtime("cpu", precision="bf16")
    )
    before = store.commits
    for _ in range(2):
        with pytest.raises(EncoderMismatch) as caught:
            admit(store, store, joint(bad))
        said = str(caught.value)
        assert "image cosine 0." in said and "text cosine 1.0000" in said
        assert "torch 3.0 (was 2.15.0)" in said and "precision bf16 (was fp32)" in said
    assert store.commits == before, "it is not remembered"


def test_without_a_writer_nothing_is_kept(libraries: dict[str, str]) -> None:
    store = Records()
    assert admit(store, None, joint(Machine())).how is How.RECORDED
    assert store.kept == {}
    admit(store, store, joint(Machine()))
    libraries["torch"] = "2.16.0"
    for _ in range(2):
        assert admit(store, None, joint(Machine())).how is How.CHECKED
    with pytest.raises(EncoderMismatch):
        admit(store, None, joint(Machine(noise=0.5)))


def test_a_measured_precision_is_checked_every_time(libraries: dict[str, str]) -> None:
    store = Records()
    admit(store, store, joint(Machine()))
    auto = Machine(runtime=Runtime("cpu", precision="auto"))
    for _ in range(2):
        assert admit(store, store, joint(auto)).how is How.CHECKED
    assert len(store.records("runtimes")) == 1


def test_encoders_that_are_new_are_recorded_beside_the_old(libraries: dict[str, str]) -> None:
    store = Records()
    few = HashSpace(modalities=(Modality.TEXT,))
    admit(store, store, joint(Machine(few)))
    kept = store.records("canaries")["hash"]
    found = admit(store, store, joint(Machine()))
    assert found.how is How.CHECKED and found.agreement is not None
    assert set(found.agreement.figures) == {Modality.TEXT}
    both = store.records("canaries")["hash"]
    assert set(both["encoders"]) == set(Modality)
    assert both["vectors"]["text"] == kept["vectors"]["text"], "the first ones stay the measure"
    # another encoder of the same name (the space was removed and added anew) begins anew
    newer = Machine(HashSpace(version=2), noise=0.5)
    assert admit(store, store, joint(newer)).how is How.RECORDED
    assert admit(store, store, joint(newer)).how is How.KNOWN


def test_vectors_made_elsewhere_need_no_admission() -> None:
    store = Records()
    assert admit(store, store, ReadySpace("mine", Frame("m", 4))).how is How.READY
    assert store.commits == 0


def test_damage_is_said(libraries: dict[str, str]) -> None:
    store = Records()
    admit(store, store, joint(Machine()))
    whole = store.kept["canaries"]["hash"]
    for damaged in (
        {**whole, "vectors": {"text": {}}},
        {k: v for k, v in whole.items() if k != "encoders"},
        {**whole, "encoders": 3},
    ):
        store.kept["canaries"]["hash"] = damaged
        with pytest.raises(StoreDamaged):
            admit(store, store, joint(Machine()), again=True)


def test_in_a_real_store(tmp_path: Path, libraries: dict[str, str]) -> None:
    store = Store.create(tmp_path / "store")
    with store.writer() as writer:
        assert admit(store, writer, joint(Machine())).how is How.RECORDED
        assert admit(store, writer, joint(Machine())).how is How.KNOWN
    assert admit(store, None, joint(Machine())).how is How.KNOWN
    libraries["torch"] = "2.16.0"
    with pytest.raises(EncoderMismatch):
        admit(store.reader(), None, joint(Machine(noise=0.5)))


def add_space(store: Store, name: str) -> None:
    made = {Modality.TEXT: Encoder(Modality.TEXT, {"backend": "x"})}
    ids = {modality: encoder.id for modality, encoder in made.items()}
    with store.writer() as writer:
        space = Space(name, Frame("f", 4), ids)
        writer.add_space(space, {m: dict(e.facts) for m, e in made.items()})


def test_a_removed_space_takes_its_records_along(tmp_path: Path, libraries: Any) -> None:
    store = Store.create(tmp_path / "store")
    add_space(store, "hash")
    add_space(store, "hash-2")
    with store.writer() as writer:
        admit(store, writer, joint(Machine()))
        admit(store, writer, joint(Machine(replace(HashSpace(), name="hash-2"))))
        writer.put_records("calibration", {"hash": {}, "hash-2": {}})
    remove_space(store, "hash")
    assert [space.name for space in store.spaces()] == ["hash-2"]
    assert list(store.records("canaries")) == ["hash-2"]
    assert [key.rpartition("/")[0] for key in store.records("runtimes")] == ["hash-2"]
    assert list(store.records("calibration")) == ["hash-2"]
    with pytest.raises(NotFound, match="it has hash-2"):
        remove_space(store, "hash")


def test_a_space_in_use_stays(tmp_path: Path) -> None:
    with Catalog.open(tmp_path / "store", space=HashSpace()) as catalog:
        with catalog.ingestion() as ingestion:
            ingestion.add([])
        assert catalog.path.exists()
    store = Store.open(tmp_path / "store")
    add_space(store, "new")
    since = "2026-01-01T00:00:00+00:00"
    with store.writer() as writer:
        writer.put_records(
            "aliases", {"default": {"space": "hash", "previous": None, "since": since}}
        )
        writer.put_records(
            "migrations",
            {
                "new": {
                    "space": "new", "source": "hash", "alias": "default", "state": "backfilling",
                    "registered_at": since, "changed_at": since,
                }
            },
        )  # fmt: skip
    with pytest.raises(StoreError, match="alias 'default'.*migration from 'hash' to 'new'"):
        remove_space(store, "hash")
    with pytest.raises(StoreError, match="is backfilling"):
        remove_space(store, "new")
    assert len(store.spaces()) == 2


# In a catalogue: before the first content is embedded, and when a server loads its models.


def test_a_catalogue_writes_down_its_canaries_and_runtime_once(tmp_path: Path) -> None:
    machine = Machine()
    with Catalog.open(tmp_path / "store", space=joint(machine)) as catalog:
        with catalog.ingestion() as ingestion:
            assert ingestion.add([Record("a", text="rain")])[0].error is None
        assert Modality.IMAGE in machine.asked  # its canaries
        kept = Store.open(tmp_path / "store").records("canaries")["hash"]
        assert set(kept["encoders"]) == {"audio", "image", "text"}
        machine.asked.clear()
        with catalog.ingestion() as ingestion:
            ingestion.add([Record("b", text="snow")])
        assert set(machine.asked) == {Modality.TEXT}
    again = Machine()
    with Catalog.open(tmp_path / "store", space=joint(again)) as catalog:
        with catalog.ingestion() as ingestion:
            ingestion.add([Record("c", text="hail")])
        assert set(again.asked) == {Modality.TEXT}  # this runtime is known to the store
        assert len(Store.open(tmp_path / "store").records("runtimes")) == 1


def test_ready_vectors_ask_no_model(tmp_path: Path) -> None:
    machine = Machine()
    with Catalog.open(tmp_path / "store", space=joint(machine)) as catalog:
        with catalog.ingestion() as ingestion:
            vector = np.ones(32, np.float32)
            assert ingestion.add([Record("a", modality="image", vector=vector)])[0].error is None
        assert not machine.asked
        assert not Store.open(tmp_path / "store").records("canaries")


def test_a_machine_that_computes_otherwise_neither_writes_nor_answers(tmp_path: Path) -> None:
    with (
        Catalog.open(tmp_path / "store", space=joint(Machine())) as catalog,
        catalog.ingestion() as ingestion,
    ):
        ingestion.add([Record("a", text="rain"), Record("b", text="snow")])
    off = Machine(noise=0.5, runtime=Runtime(device="cpu", precision="bf16"))
    with Catalog.open(tmp_path / "store", space=joint(off)) as catalog:
        before = catalog.stats().snapshot
        with (
            catalog.ingestion() as ingestion,
            pytest.raises(EncoderMismatch, match="computes other vectors"),
        ):
            ingestion.add([Record("c", text="hail")])
        assert catalog.stats().snapshot == before and catalog.stats().items["text"] == 2
        with pytest.raises(EncoderMismatch, match="computes other vectors"):
            catalog.search("rain")
        assert catalog.search(ItemRef("a")).item_ids == ["b"]  # stored things can still ask
    served = Machine(noise=0.5, runtime=Runtime(device="cpu", precision="bf16"))
    with Catalog.open(tmp_path / "store", space=joint(served)) as catalog:
        with pytest.raises(EncoderMismatch, match="computes other vectors"):
            catalog.load_models()
        with pytest.raises(EncoderMismatch):
            catalog.search("rain")


def test_drift_is_told_and_not_raised(tmp_path: Path) -> None:
    with Catalog.open(tmp_path / "store", space=joint(Machine())) as catalog:
        assert catalog.drift() is None
        with catalog.ingestion() as ingestion:
            ingestion.add([Record("a", text="rain")])
        same = catalog.drift()
        assert same is not None and same.agrees
        assert {round(f.cosine, 6) for f in same.figures.values()} == {1.0}
    off = Machine(noise=0.5, noisy=frozenset({Modality.AUDIO}))
    with Catalog.open(tmp_path / "store", space=joint(off)) as catalog:
        found = catalog.drift()
        assert found is not None and not found.agrees
        assert [m for m, f in found.figures.items() if not f.agrees] == [Modality.AUDIO]
