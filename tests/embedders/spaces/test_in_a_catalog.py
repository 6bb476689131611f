"""A registered space of two models in a catalogue: ingest, search in every direction, migrate-ready
identities, and a machine whose files are no longer those of then."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.embedders.spaces.making import Families, clip_and_clap
from tests.fakes import png, wav
from trichord.catalog import Catalog
from trichord.embedders.definition import read
from trichord.embedders.registry import Registry
from trichord.embedders.spaces import opener
from trichord.errors import EncoderMismatch, TrichordError
from trichord.query import Audio, Image
from trichord.types import Modality


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    for colour in ("red", "green", "blue"):
        (folder / f"{colour}.png").write_bytes(png(colour))
    for pitch in ("low", "high"):
        (folder / f"{pitch}.wav").write_bytes(wav([pitch, pitch]))
    (folder / "note.txt").write_text("a red note")
    return folder


def ids(hits: object) -> list[str]:
    return [hit.item_id.rpartition("/")[2] for hit in hits]  # type: ignore[attr-defined]


def test_ingest_and_ask_in_every_direction(tmp_path: Path, media: Path) -> None:
    models = clip_and_clap(tmp_path / "models")
    spaces = Registry(tmp_path / "spaces", opener=Families())
    known = spaces.add(read(models))
    store = tmp_path / "store"
    with Catalog.open(store, space="both", spaces=opener(spaces)) as catalog:
        report = catalog.ingest(media)
        assert report.added == 6 and report.failed == 0, report.errors
        assert catalog.frame == known.frame
        assert ids(catalog.search("red", modality="image", limit=1)) == ["red.png"]
        assert ids(catalog.search("high", modality="audio", limit=1)) == ["high.wav"]
        asked = catalog.search(Audio(wav(["low"])), modality="audio", limit=1)
        assert ids(asked) == ["low.wav"]
        picture = catalog.search(Image(png("red", seed=9)), modality="text", limit=1)
        assert ids(picture) == ["note.txt"]
        (sound,) = catalog.get(asked[0].item_id).items
        assert sound.segments == 2, "windows of one second, as the definition says"
        mine = {m: catalog.encoder_id(m) for m in Modality}
        assert mine == dict(known.space.encoders)

    # other weights under the same name: nothing is embedded with them
    (models.parent / "image.bin").write_bytes(b"others")
    with pytest.raises(EncoderMismatch):
        spaces.open("both")
    with pytest.raises(TrichordError) as caught:
        later = Registry(tmp_path / "spaces", opener=Families())
        with Catalog.open(store, space="both", spaces=opener(later)) as catalog:
            catalog.search("red")
    assert isinstance(caught.value, EncoderMismatch)
