"""Stores that were written by other encoders than those at hand, or by unknown ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.catalog.conftest import add
from tests.fakes import HashEmbedder, HashSpace, direction, png
from trichord.catalog import Catalog
from trichord.embedders.spaces import ReadySpace
from trichord.errors import EncoderMismatch, FrameMismatch, NotFound
from trichord.query import EntityRef, Image, ItemRef, Record, Vector
from trichord.store import Store
from trichord.types import Frame, Modality


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Catalog.open(tmp_path / "store", space=HashSpace()) as catalog:
        add(
            catalog,
            [
                Record("a", "e", text="red barn"),
                Record("b", "e", data=png("red")),
                Record("c", text="blue sea", attributes={"year": 1}),
            ],
        )
    return tmp_path / "store"


def same_as_before(path: Path) -> None:
    with Catalog.open(path, space=HashSpace()) as catalog:
        assert catalog.search("red barn", modality="text")[0].item_id == "a"
        assert catalog.stats().items == {"audio": 0, "image": 1, "text": 2}
        assert catalog.failures() == [] and catalog.verify().problems == ()


def reads(catalog: Catalog) -> None:
    found = catalog.get(["a", "c"], entity_ids=["e"])
    assert [item.text for item in found.items] == ["red barn", "blue sea"]
    assert found.entities[0].item_ids == ("a", "b")
    assert catalog.similar("a", where="year = 1").item_ids == ["c"]
    assert catalog.search(Vector(direction("red", 32)), modality="image").item_ids == ["b"]
    assert catalog.search(EntityRef("e")).item_ids == ["c"]
    embedded = catalog.embed([ItemRef("b"), Vector(direction("blue", 32) * 3)])
    np.testing.assert_allclose(
        embedded.vectors, [direction("red", 32), direction("blue", 32)], atol=1e-6
    )


def test_another_version(path: Path) -> None:
    with Catalog.open(path, space=HashSpace(version=2)) as catalog:
        reads(catalog)
        for asked in ("red", Image(png("red"))):
            with pytest.raises(EncoderMismatch, match="another encoder.*by vector or by stored"):
                catalog.search(asked)
        with pytest.raises(EncoderMismatch):
            catalog.search(ItemRef("a") + 0.5 * Image(png("red")))
        error = catalog.embed([ItemRef("a"), Image(png("red"))]).errors[1]
        assert isinstance(error, EncoderMismatch)
        with pytest.raises(EncoderMismatch, match="use the encoder of the store or another name"):
            catalog.ingestion().__enter__()
        (info,) = catalog.spaces()
        assert not any(info.at_hand.values()) and info.default
        stored = HashSpace().encoders[Modality.TEXT].id
        assert catalog.encoder_id(Modality.TEXT) == stored
        assert catalog.delete("c") == 1
    with Catalog.open(path, space=HashSpace()) as catalog:
        add(catalog, [Record("c", text="blue sea")])
    same_as_before(path)


def test_one_modality_changed(path: Path) -> None:
    class Half(HashSpace):
        @property
        def encoders(self):  # type: ignore[no-untyped-def]
            text = HashSpace(version=2).encoders[Modality.TEXT]
            return {**HashSpace().encoders, Modality.TEXT: text}

    with Catalog.open(path, space=Half()) as catalog:
        assert catalog.search(Image(png("red")), modality="image").item_ids == ["b"]
        with pytest.raises(EncoderMismatch):
            catalog.search("red")
        assert catalog.spaces()[0].at_hand == {"audio": True, "image": True, "text": False}


def test_no_encoder_at_all(path: Path) -> None:
    for space in (None, "hash"):
        with Catalog.open(path, space=space) as catalog:
            assert catalog.space_name == "hash" and catalog.frame == Frame("hash", 32)
            reads(catalog)
            with pytest.raises(EncoderMismatch, match="no encoder of space 'hash' is installed"):
                catalog.search("red")
            with pytest.raises(EncoderMismatch):
                catalog.ingest(path)
    same_as_before(path)


def test_another_frame(path: Path) -> None:
    with Catalog.open(path, space=HashSpace(dim=16)) as catalog:
        reads(catalog)
        with pytest.raises(FrameMismatch, match="has the frame hash/32, the one at hand hash/16"):
            catalog.search("red")
        assert isinstance(catalog.embed([Image(png("red"))]).errors[0], FrameMismatch)
        with pytest.raises(EncoderMismatch, match="frame hash/32, not in hash/16"):
            catalog.ingestion().__enter__()
    same_as_before(path)


def test_unknown_names(tmp_path: Path, path: Path) -> None:
    with pytest.raises(NotFound, match="no space 'nope'; there are hash, pocket"):
        Catalog.open(path, space="nope")
    with pytest.raises(NotFound, match="there are pocket"):
        Catalog.open(tmp_path / "new", space="nope")
    assert not (tmp_path / "new").exists()
    with pytest.raises(NotFound, match="no store at"):
        Catalog.open(tmp_path / "new", space=HashSpace(), create=False)
    assert not Store.exists(tmp_path / "new")


def test_two_spaces_in_one_store(path: Path) -> None:
    ready = ReadySpace("mine", Frame("elsewhere", 4), (Modality.IMAGE,))
    with Catalog.open(path, space=ready) as catalog:
        assert catalog.space_name == "mine" and len(catalog.search(np.ones(4))) == 0
        add(catalog, [Record("v", modality="image", vector=np.array([0, 3, 0, 0]))])  # type: ignore[arg-type]
        with catalog.ingestion() as ingestion:
            (answer,) = ingestion.add([Record("t", modality="image", data=png("red"))])
        assert answer.error is not None and "made elsewhere" in str(answer.error)
        assert catalog.search(np.ones(4)).item_ids == ["v"]
        assert set(catalog.search(np.ones(32), space="hash").item_ids) == {"a", "b", "c"}
        with pytest.raises(NotFound, match="'a' has no vectors in space 'mine'"):
            catalog.similar("a")
        with pytest.raises(NotFound, match="entity 'e' has no vectors"):
            catalog.search(EntityRef("e"))
        assert catalog.similar("a", space="hash").item_ids == ["b", "c"]
        assert [(info.space.name, info.default) for info in catalog.spaces()] == [
            ("hash", False),
            ("mine", True),
        ]
        assert catalog.stats().segments == 4


def test_a_space_learns_another_modality(tmp_path: Path) -> None:
    with Catalog.open(tmp_path / "s", space=HashSpace(modalities=(Modality.TEXT,))) as catalog:
        with catalog.ingestion() as ingestion:
            answers = ingestion.add([Record("a", text="red"), Record("b", data=png("red"))])
        assert "no encoder for image" in str(answers[1].error)
    with Catalog.open(tmp_path / "s", space=HashSpace()) as catalog:
        add(catalog, [Record("b", data=png("red"))])
        assert catalog.search("red").item_ids == ["b", "a"]
        assert catalog.failures() == []


def test_models_are_loaded_ahead(tmp_path: Path) -> None:
    """Every embedder of the space is run once; a store without encoders has nothing to load."""
    asked: list[Modality] = []

    class Noting(HashSpace):
        def embedder(self, modality: Modality) -> HashEmbedder:
            asked.append(modality)
            return super().embedder(modality)

    with Catalog.open(tmp_path / "store", space=Noting()) as catalog:
        catalog.load_models()
    assert sorted(asked) == sorted(Modality)
