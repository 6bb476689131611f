"""Two joint spaces of different frames, one that counts what it embeds, and a catalogue to move.

Run as a program it backfills in a process of its own that kills itself, or waits to be killed.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fakes import HashEmbedder, HashSpace, embed_text, png, wav
from trichord.catalog import Catalog, ingesting
from trichord.query import Record
from trichord.store import failpoints
from trichord.types import F32, Embedded, Encoder, Frame, Modality, Role, Waveform

OLD = HashSpace(name="old")
NEW = HashSpace(name="new", anchor="other", version=2)
COLOURS, PITCHES = ("red", "green", "blue"), ("low", "middle", "high")


@dataclass(frozen=True)
class CountingEmbedder(HashEmbedder):
    seen: list[Any] = field(default_factory=list, compare=False)
    log: Path | None = None

    def embed(self, batch: Sequence[Any], *, role: Role = Role.DOCUMENT) -> Embedded:
        if role is Role.DOCUMENT:
            batch = list(batch)
            self.seen.extend((self.modality, one) for one in batch if not _warming_up(one))
            if self.log is not None and self.modality is Modality.TEXT:
                with self.log.open("a") as file:
                    file.writelines(f"{text}\n" for text in batch)
        return super().embed(batch, role=role)


def _warming_up(content: Any) -> bool:
    """What ContentEncoder.load runs the models once with."""
    if isinstance(content, str):
        return content == "ready"
    if isinstance(content, Waveform):
        return len(content.samples) * 2 == content.rate
    return not content.any()


@dataclass(frozen=True)
class CountingSpace(HashSpace):
    """Keeps every piece of a document that it embedded; texts also in a file."""

    seen: list[Any] = field(default_factory=list, compare=False)
    log: Path | None = None
    encoder_versions: tuple[tuple[Modality, int], ...] = ()

    @property
    def encoders(self) -> dict[Modality, Encoder]:
        versions = dict(self.encoder_versions)
        return {
            m: Encoder(m, {"backend": "hash", "version": versions.get(m, self.version)})
            for m in self.modalities
        }

    def embedder(self, modality: Modality) -> HashEmbedder:
        frame: Frame = self.space.frame
        return CountingEmbedder(modality, frame, self.encoders[modality], self.seen, self.log)

    def counted(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for modality, _ in self.seen:
            counts[str(modality)] = counts.get(str(modality), 0) + 1
        return counts


def counting(like: HashSpace, **changes: Any) -> CountingSpace:
    given = {
        "name": like.name,
        "dim": like.dim,
        "version": like.version,
        "anchor": like.anchor,
        "modalities": like.modalities,
    }
    return CountingSpace(**{**given, **changes})


@dataclass
class Content:
    """What the test knows of an item: the words that each of its segments is embedded from."""

    modality: str
    words: list[str]

    def vectors(self, space: HashSpace) -> list[F32]:
        return [embed_text(one, space.dim, space.anchor) for one in self.words]


def prepare(folder: Path, number: int = 8) -> dict[str, Content]:
    """Pictures, sounds and texts in files, by the item ids that they get."""
    folder.mkdir(parents=True, exist_ok=True)
    known: dict[str, Content] = {}
    for n in range(number):
        colour, pitches = COLOURS[n % 3], [PITCHES[n % 3], PITCHES[n % 2]]
        (folder / f"p{n}.png").write_bytes(png(colour, seed=n))
        (folder / f"s{n}.wav").write_bytes(wav(pitches, seed=n))
        (folder / f"t{n}.txt").write_text(f"{colour} words{n} of a text")
        known[f"p{n}.png"] = Content("image", [colour])
        known[f"s{n}.wav"] = Content("audio", pitches)
        known[f"t{n}.txt"] = Content("text", [f"{colour} words{n} of a text"])
    return known


def texts(number: int) -> list[Record]:
    return [
        Record(f"x{n:03}", text=f"note number{n} about {COLOURS[n % 3]}") for n in range(number)
    ]


def vectors(catalog: Catalog, space: str) -> dict[tuple[str, int], list[float]]:
    """All live segments of a space, by item and ordinal."""
    reader = catalog._views.refresh().reader
    return {
        (row["item_id"], row["ordinal"]): [round(x, 5) for x in row["vector"]]
        for batch in reader.segments(space)
        for row in batch.to_pylist()
    }


def main(store: str, log: str, point: str, count: str) -> None:
    left = int(count)

    def hook(name: str) -> None:
        nonlocal left
        if name == point:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    failpoints.set_hook(hook)
    ingesting.BATCH_RECORDS = 4
    new = counting(NEW, log=Path(log))
    with Catalog.open(store, space=OLD, spaces={"new": new}) as catalog:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        ended = catalog.migrations.run("new")
        sys.stdout.write(f"{ended.phase} {ended.embedded}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
