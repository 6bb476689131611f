"""What the registry writes down about a space, and whether a space still is that."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trichord.embedders import runtimes
from trichord.embedders.canaries import Canaries
from trichord.embedders.composed import ComposedSpace
from trichord.embedders.definition import Definition, ModelNote, read
from trichord.errors import EncoderMismatch, FrameMismatch, ModelError, NotFound
from trichord.types import Encoder, Frame, Modality, Space

DEFINITION, LOCK, CANARIES = "space.toml", "space.lock.json", "canaries.safetensors"
SCHEMA = 1


@dataclass(frozen=True)
class Registered:
    """What is written down about a registered space; nothing of it needs a model."""

    name: str
    folder: Path
    frame: Frame
    encoders: Mapping[Modality, Encoder]
    models: Mapping[str, ModelNote]
    added_at: datetime
    added_on: Mapping[str, Any]

    @property
    def space(self) -> Space:
        return Space(self.name, self.frame, {m: e.id for m, e in self.encoders.items()})

    @property
    def definition(self) -> Definition:
        """Raises InvalidInput when space.toml is damaged or its projector is gone."""
        return read(self.folder / DEFINITION)

    @property
    def canaries(self) -> Canaries:
        """Raises ModelError when the file is missing or damaged."""
        return Canaries.load(self.folder / CANARIES)


def read_lock(name: str, folder: Path) -> Registered:
    path = folder / LOCK
    try:
        lock = json.loads(path.read_text("utf-8"))
        if lock["schema"] != SCHEMA:
            raise ModelError(
                f"{path} has schema {lock['schema']}, this version reads {SCHEMA}", path=path
            )
        encoders = {
            Modality(m): Encoder(Modality(m), entry["facts"])
            for m, entry in lock["encoders"].items()
        }
        damaged = [m for m, encoder in encoders.items() if encoder.id != lock["encoders"][m]["id"]]
        if damaged:
            raise ValueError(f"the facts of {', '.join(damaged)} do not match their id")
        return Registered(
            name,
            folder,
            Frame.from_id(lock["frame"]),
            encoders,
            {model: ModelNote(**note) for model, note in lock["models"].items()},
            datetime.fromisoformat(lock["added_at"]),
            lock["added_on"],
        )
    except FileNotFoundError:  # removed since it was listed
        raise NotFound(f"there is no space {name!r} on this machine", space=name) from None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path} is damaged ({error}): remove the space and add it again", path=path
        ) from error


def write(draft: Path, joint: ComposedSpace, found: Canaries) -> None:
    """All files of a registered space into the folder `draft`, safely on disk."""
    definition = joint.definition
    parts = {}
    for modality, part in definition.parts.items():
        if part.projector is not None:
            copied = f"{modality}.projector.safetensors"
            shutil.copyfile(part.projector, draft / copied)
            part = replace(part, projector=Path(copied))
        parts[modality] = part
    text = replace(definition, parts=parts).to_toml()
    (draft / DEFINITION).write_text(text, "utf-8")
    found.save(draft / CANARIES)
    lock = {
        "schema": SCHEMA,
        "name": definition.name,
        "frame": joint.frame.id,
        "encoders": {
            str(m): {"id": encoder.id, "facts": dict(encoder.facts)}
            for m, encoder in joint.encoders.items()
        },
        "models": {name: asdict(note) for name, note in definition.models.items()},
        "added_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "added_on": runtimes.facts(joint.runtime),
    }
    (draft / LOCK).write_text(json.dumps(lock, indent=2, ensure_ascii=False) + "\n", "utf-8")
    for path in (*draft.iterdir(), draft):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def compare(known: Registered, joint: ComposedSpace) -> None:
    """Raises EncoderMismatch when the space is not what was registered, saying what differs."""
    try:
        mine = joint.encoders
    except FrameMismatch as error:  # the projector no longer fits: one of its models changed
        raise EncoderMismatch(
            f"a model of space {known.name!r} is not the one that was registered: {error}",
            space=known.name,
        ) from error
    for modality, encoder in known.encoders.items():
        now = mine.get(modality)
        if now is not None and now.id == encoder.id:
            continue
        facts = {} if now is None else now.facts
        changed = [
            key
            for key in sorted({*encoder.facts, *facts})
            if encoder.facts.get(key) != facts.get(key)
        ]
        raise EncoderMismatch(
            f"the {modality} encoder of space {known.name!r} is not the one that was registered:"
            f" {', '.join(changed) or 'everything'} changed; bring back the files of then, or add"
            f" what is here under a new name (trichord space add --name"
            f" {following(known.name, [known.name])})",
            space=known.name,
            modality=modality,
            registered=encoder.id,
            at_hand=None if now is None else now.id,
        )
    if joint.frame != known.frame or set(mine) != set(known.encoders):
        raise EncoderMismatch(
            f"space {known.name!r} was registered with the frame {known.frame.id} for"
            f" {', '.join(sorted(known.encoders))}, its definition now gives {joint.frame.id} for"
            f" {', '.join(sorted(mine))}",
            space=known.name,
        )


def following(name: str, taken: Sequence[str]) -> str:
    """A name like it that is not taken: clip-clap-2 after clip-clap."""
    stem, _, number = name.rpartition("-")
    if not (stem and number.isdigit()):
        stem, number = name, "1"
    count = int(number) + 1
    while f"{stem}-{count}" in taken:
        count += 1
    return f"{stem}-{count}"
