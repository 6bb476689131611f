"""The sample catalogue as real files: pictures, sounds, texts and a table of attributes."""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import starmap
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from trichord.demo import inventory
from trichord.demo.inventory import Entry, File
from trichord.embedders import pocket
from trichord.embedders.pocket.pictures import render_picture
from trichord.embedders.pocket.sounds import render_sound

TABLE = "tracks.parquet"
LEDGER = "sample.json"
"""Which recipe made each file, and the sha256 of what it made."""

PICTURE_SIZE = 256
_SUBTYPES = {".wav": "PCM_16", ".flac": "PCM_16", ".mp3": "MPEG_LAYER_III", ".ogg": "VORBIS"}


@dataclass(frozen=True)
class Sample:
    """A rendered sample: `media` and `table` are what to ingest; `written` files were made or
    made anew, the others were there already."""

    folder: Path
    entries: tuple[Entry, ...]
    written: int

    @property
    def media(self) -> Path:
        return self.folder / "media"

    @property
    def table(self) -> Path:
        return self.folder / TABLE

    @property
    def items(self) -> int:
        return sum(len(entry.files) for entry in self.entries)


def render(
    folder: Path,
    seed: int = 0,
    *,
    entries: Sequence[Entry] | None = None,
    workers: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
) -> Sample:
    """Writes the sample of `seed` (or just the given entries) below `folder`, in `workers`
    processes; 1 renders in this one. Calls `on_progress(files done, files)`.

    What is there already, made by the same recipe and undamaged, stays; files of an earlier sample
    that no longer belong are deleted, others are left alone. Raises ModelError when a font or
    soundfont is not installed.
    """
    chosen = tuple(inventory.entries(seed) if entries is None else entries)
    wanted = {file.path: file for entry in chosen for file in entry.files}
    recipes = {path: _recipe(file) for path, file in wanted.items()}
    folder.mkdir(parents=True, exist_ok=True)
    known = _ledger(folder)
    for path in known.keys() - wanted.keys():
        (folder / path).unlink(missing_ok=True)
    stale = [
        path
        for path, recipe in recipes.items()
        if known.get(path) != [recipe, _sha256(folder / path)]
    ]
    ledger: dict[str, list[str]] = {path: known[path] for path in wanted if path not in stale}
    done = len(ledger)
    if on_progress is not None:
        on_progress(done, len(wanted))
    for path, digest in _written(folder, [wanted[path] for path in stale], workers):
        ledger[path] = [recipes[path], digest]
        done += 1
        if on_progress is not None:
            on_progress(done, len(wanted))
    table = io.BytesIO()
    inventory.metadata(chosen).write_parquet(table)
    if not (folder / TABLE).is_file() or (folder / TABLE).read_bytes() != table.getvalue():
        _replace(folder / TABLE, table.getvalue())
    _replace(folder / LEDGER, json.dumps(ledger, indent=1, sort_keys=True).encode())
    return Sample(folder, chosen, len(stale))


def picture_bytes(concept: str, seed: int, ending: str) -> bytes:
    """An encoded picture of the concept, `ending` ".jpg" or ".png"."""
    out = io.BytesIO()
    picture = Image.fromarray(render_picture(concept, size=PICTURE_SIZE, seed=seed))
    if ending == ".png":
        picture.save(out, "PNG")
    else:
        picture.save(out, "JPEG", quality=88)
    return out.getvalue()


def sound_bytes(
    renders: Sequence[tuple[str, int]], seconds: float, rate: int, ending: str
) -> bytes:
    """An encoded sound, the renders one after the other, `seconds` in all."""
    each = seconds / len(renders)
    parts = [render_sound(name, seconds=each, rate=rate, seed=seed) for name, seed in renders]
    out = io.BytesIO()
    soundfile.write(
        out,
        np.concatenate(parts),
        rate,
        format=ending.removeprefix(".").upper(),
        subtype=_SUBTYPES[ending],
    )
    return out.getvalue()


def content(file: File) -> bytes:
    """What belongs into the file."""
    ending = Path(file.path).suffix
    if file.kind == "text":
        return file.text.encode()
    if file.kind == "picture":
        return picture_bytes(*file.renders[0], ending)
    return sound_bytes(file.renders, file.seconds, file.rate, ending)


def _written(folder: Path, files: Sequence[File], workers: int) -> Iterator[tuple[str, str]]:
    """Writes files and yields (path, sha256); those of one concept in one process, which keeps
    the rendered notes of its instrument."""
    groups: defaultdict[str, list[File]] = defaultdict(list)
    for file in files:
        groups[file.renders[0][0] if file.renders else ""].append(file)
    tasks = [(folder, group) for group in groups.values()]
    if workers <= 1 or len(tasks) < 2 * workers:
        for made in starmap(_write, tasks):
            yield from made
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        for made in pool.map(_write, *zip(*tasks, strict=True), chunksize=2):
            yield from made


def _write(folder: Path, files: Sequence[File]) -> list[tuple[str, str]]:
    made: list[tuple[str, str]] = []
    for file in files:
        data = content(file)
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, data)
        made.append((file.path, hashlib.sha256(data).hexdigest()))
    return made


def _replace(target: Path, data: bytes) -> None:
    partial = target.with_name(f".{target.name}.partial")
    partial.write_bytes(data)
    partial.replace(target)


def _sha256(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _recipe(file: File) -> str:
    facts: Mapping[str, Any] = asdict(file) | {"size": PICTURE_SIZE, "code": _code()}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _code() -> str:
    """Hash of the code that draws, so that a changed renderer draws again."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    drawing = Path(pocket.__file__).parent
    for name in sorted(
        [*drawing.glob("synth*.py"), *drawing.glob("sound*.py"), drawing / "pictures.py"]
    ):
        digest.update(name.read_bytes())
    return digest.hexdigest()


def _ledger(folder: Path) -> dict[str, list[str]]:
    """Path -> [recipe, sha256]; empty when there is none that can be read."""
    try:
        stored = json.loads((folder / LEDGER).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(stored, dict):
        return {}
    return {
        path: entry
        for path, entry in stored.items()
        if isinstance(entry, list) and not Path(path).is_absolute() and ".." not in path
    }
