"""What a neighbours job is and how far it is, in a file that knows when it is damaged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from trichord.errors import StoreDamaged, StoreTooNew

FORMAT = 1
KIND = "trichord neighbours"
MANIFEST = "manifest.json"
ANEW = "begin the job anew (restart=True, on the command line --restart)"


@dataclass(frozen=True)
class Shard:
    """The things first to stop of those of one modality that ask. `rows`, `bytes` and `xxh3` (of
    the file) are known once it is done, and so is `indexes`: what answered, by modality."""

    file: str
    modality: str
    first: int
    stop: int
    rows: int = 0
    bytes: int = 0
    xxh3: str = ""
    indexes: Mapping[str, str] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        return bool(self.xxh3)


@dataclass(frozen=True)
class Manifest:
    """`snapshot` with its time (ISO 8601), `space` and `frame`: what the job reads; `asked_space`:
    the name that was given for the space, if any; `options` as JSON values; `asked`: how many
    things of each modality ask."""

    snapshot: int
    snapshot_time: str
    asked_space: str | None
    space: str
    frame: str
    options: Mapping[str, Any]
    asked: Mapping[str, int]
    shards: tuple[Shard, ...]

    @property
    def done(self) -> bool:
        return all(shard.done for shard in self.shards)

    def to_text(self) -> str:
        """JSON, with a checksum over the rest."""
        facts = {"kind": KIND, "format": FORMAT, "done": self.done, **asdict(self)}
        text = json.dumps({**facts, "checksum": _digest(facts)}, indent=1, ensure_ascii=False)
        return text + "\n"

    def with_shard(self, shard: Shard) -> Manifest:
        """The manifest with the shard in the place of the one of that file."""
        shards = tuple(shard if one.file == shard.file else one for one in self.shards)
        return replace(self, shards=shards)


def is_job(folder: Path) -> bool:
    """Whether a job was begun in the folder, sound or not."""
    try:
        with (folder / MANIFEST).open("rb") as file:
            return KIND.encode() in file.read(256)
    except OSError:
        return False


def read_manifest(folder: Path) -> Manifest | None:
    """What the job in the folder is and how far it is; None where there is none.

    Raises StoreDamaged if it is not what was written, StoreTooNew.
    """
    path = folder / MANIFEST
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from None
    try:
        facts = json.loads(text)
        if facts.pop("checksum", None) != _digest(facts):
            raise _damaged(path, "its checksum differs")
        if facts["format"] != FORMAT:
            raise StoreTooNew(
                f"{path} has the format {facts['format']}, this version of Trichord writes "
                f"{FORMAT}: {ANEW}",
                path=path,
            )
        for name in ("kind", "format", "done"):
            del facts[name]
        shards = tuple(Shard(**shard) for shard in facts.pop("shards"))
        return Manifest(shards=shards, **facts)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _damaged(path, str(error)) from None


def _digest(facts: Mapping[str, Any]) -> str:
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _damaged(path: Path, what: str) -> StoreDamaged:
    return StoreDamaged(f"{path} cannot be used: {what}; {ANEW}", path=path)
