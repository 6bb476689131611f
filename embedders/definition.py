"""What a joint space is composed of, as data: a small TOML file.

    name = "clip-clap"

    [image]                                  # and likewise [text] and [audio]
    backend = "open_clip"
    model = "ViT-B-32"
    pretrained = "datacomp_xl_s13b_b90k"     # options of the family

    [audio]
    backend = "clap"
    model = "laion/clap-htsat-unfused"
    projector = "clip-clap.safetensors"      # relative to this file

    [models."ViT-B-32"]                      # what people should know before a download
    licence = "MIT"
    download_mb = 605

All that can be wrong without a model at hand is said at once. Paths are relative to the file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trichord.embedders import tables
from trichord.embedders.families import FAMILIES, WINDOWS
from trichord.errors import InvalidInput, NotFound
from trichord.types import Modality

PRESETS = ("clip-clap", "omni", "text")
_FOLDER = Path(__file__).resolve().parent / "presets"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_ORDER = (Modality.IMAGE, Modality.TEXT, Modality.AUDIO)
_LOCAL = "local-dir:"
_LAION = ("laion-pt", "package")


@dataclass(frozen=True)
class Part:
    """What embeds one modality: `model` of the family `backend` with `options` for its
    constructor, and the projector that carries its vectors into the anchor's frame.

    `window_ms` and `hop_ms`, for sound: None takes the family's own.
    """

    backend: str
    model: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    projector: Path | None = None
    window_ms: int | None = None
    hop_ms: int | None = None

    @property
    def is_local(self) -> bool:
        """Whether nothing has to be downloaded for it."""
        if FAMILIES[self.backend].bundled or self.model.startswith(_LOCAL):
            return True
        path = Path(self.model)
        if path.is_absolute() and self.options.get("loader") in _LAION:
            # Of these files the tokenizer comes from the hub, unless it is beside them.
            given = Path(self.options.get("tokenizer", path.parent))
            return any((given / name).is_file() for name in ("tokenizer.json", "vocab.json"))
        return path.is_absolute()


@dataclass(frozen=True)
class ModelNote:
    """What people should know of a model before they download it. `check`: where they can see
    for themselves; `accept`: it is only taken by who says so (`--accept-licence`)."""

    licence: str = ""
    check: str = ""
    download_mb: int | None = None
    approximate: bool = False
    accept: bool = False


@dataclass(frozen=True)
class Definition:
    """A joint space from parts. `note` is for people; `models` by the parts' model names."""

    name: str
    parts: Mapping[Modality, Part]
    note: str = ""
    models: Mapping[str, ModelNote] = field(default_factory=dict)

    @property
    def anchor(self) -> Modality:
        """Whose frame is the space's: images, else text, else sound."""
        return next(modality for modality in _ORDER if modality in self.parts)

    def unjoined(self) -> list[Modality]:
        """Modalities of another model than the anchor's without a projector into its frame."""
        anchor = self.parts[self.anchor]
        return [
            modality
            for modality, part in self.parts.items()
            if part.projector is None
            and (part.backend, part.model) != (anchor.backend, anchor.model)
        ]

    def renamed(self, name: str) -> Definition:
        """The same under another name; raises InvalidInput for what is no name."""
        return replace(self, name=check_name(name))

    def without(self, *modalities: Modality) -> Definition:
        """The same with parts left out; raises InvalidInput when it has them not, or no others."""
        missing = [str(m) for m in modalities if m not in self.parts]
        if missing:
            raise InvalidInput(f"{self.name} has no part for {', '.join(missing)}")
        kept = {m: part for m, part in self.parts.items() if m not in modalities}
        if not kept:
            raise InvalidInput(f"nothing of {self.name} would be left")
        return _noted(replace(self, parts=kept))

    def projected(self, path: Path) -> Definition:
        """The same with a projector for the parts that lack one.

        Raises InvalidInput when none does (then all that have one change), or nothing to project.
        """
        lacking = self.unjoined() or [m for m, part in self.parts.items() if part.projector]
        if not lacking:
            raise InvalidInput(f"all parts of {self.name} are of one model: nothing to project")
        if len({(self.parts[m].backend, self.parts[m].model) for m in lacking}) > 1:
            raise InvalidInput(
                f"{self.name} needs several projectors ({', '.join(lacking)}): name each in a"
                " definition of your own"
            )
        parts = {
            m: replace(part, projector=path) if m in lacking else part
            for m, part in self.parts.items()
        }
        return replace(self, parts=parts)

    def to_toml(self) -> str:
        """The file of this definition; `parse` gives an equal one."""
        table: dict[str, Any] = {"name": self.name, "note": self.note or None}
        for modality, part in self.parts.items():
            table[str(modality)] = {
                "backend": part.backend,
                "model": part.model or None,
                "projector": None if part.projector is None else str(part.projector),
                "window_ms": part.window_ms,
                "hop_ms": part.hop_ms,
                **part.options,
            }
        if self.models:
            table["models"] = {name: _written(note) for name, note in self.models.items()}
        return tables.dumps(table)


def check_name(name: str) -> str:
    """Raises InvalidInput for what cannot name a space."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} is not a name of a space: 1 to 64 letters, digits, '_', '.', '-', beginning"
            " with a letter or a digit"
        )
    return name


def preset(name: str) -> Definition:
    """A definition that comes with Trichord; raises NotFound."""
    if name not in PRESETS:
        raise NotFound(f"there is no preset {name!r}; there are {', '.join(PRESETS)}", space=name)
    return read(_FOLDER / f"{name}.toml", complete=False)


def read(path: Path, *, complete: bool = True) -> Definition:
    """The definition in a file; see `parse`. Raises NotFound when there is no such file."""
    try:
        text = Path(path).read_text("utf-8")
    except FileNotFoundError:
        raise NotFound(f"there is no definition {path}", path=path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", path=path) from error
    return parse(text, Path(path).resolve().parent, origin=str(path), complete=complete)


def parse(
    text: str, base: Path, *, origin: str = "the definition", complete: bool = True
) -> Definition:
    """The definition in a TOML text; paths are relative to `base`.

    `complete`: whether parts that need a projector must have one. Raises InvalidInput with all
    mistakes: unknown keys and backends, missing models and projectors, no parts, wrong values.
    """
    mistakes = tables.Mistakes(origin)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{origin} is no TOML: {error}") from None
    known: dict[str, type] = {"name": str, "note": str, "models": dict}
    known |= {str(modality): dict for modality in _ORDER}
    found = tables.take(table, known, "the", mistakes, required=["name"])
    name = found.get("name", "")
    if name and not _NAME.fullmatch(name):
        mistakes.add(f"{name!r} is no name of a space (letters, digits, '_', '.', '-')")
    parts = {
        modality: _part(modality, found[modality], base, mistakes)
        for modality in Modality
        if modality in found
    }
    notes = {key: _note(key, inner, mistakes) for key, inner in found.get("models", {}).items()}
    used = [part.model for part in parts.values() if part is not None and part.model]
    for key in notes:
        if key not in used:
            mistakes.unknown("[models] model", key, used or ["none"])
    if not any(str(modality) in table for modality in _ORDER):
        mistakes.add("there are no parts: at least one of [image], [text] and [audio] is needed")
    readable = {m: part for m, part in parts.items() if part is not None}
    definition = _noted(Definition(name, readable, found.get("note", ""), notes))
    if readable and len(readable) == len(parts):
        _check_projectors(definition, mistakes, complete)
    mistakes.refuse()
    return definition


def _part(
    modality: Modality, table: Mapping[str, Any], base: Path, mistakes: tables.Mistakes
) -> Part | None:
    where = f"[{modality}]"
    backend = table.get("backend")
    if not isinstance(backend, str):
        mistakes.add(f"{where} backend is missing: one of {', '.join(FAMILIES)}")
        return None
    family = FAMILIES.get(backend)
    if family is None:
        mistakes.unknown(f"{where} backend", backend, FAMILIES)
        return None
    if family.modalities is not None and modality not in family.modalities:
        able = " and ".join(sorted(family.modalities))
        mistakes.add(f"{where} {backend} embeds {able}, not {modality}")
    known: dict[str, type] = {"backend": str, "projector": str, **family.options}
    if modality is Modality.AUDIO:
        known |= {name: int for name in WINDOWS}
    if not family.bundled:
        known["model"] = str
    found = tables.take(table, known, where, mistakes)
    model = found.get("model", "").strip()
    if not family.bundled and not model and ("model" not in table or "model" in found):
        mistakes.add(f"{where} model is missing: which model of {backend}?")
    for name in WINDOWS:
        if found.get(name, 1) < 1:
            mistakes.add(f"{where} {name} must be at least 1, not {found[name]}")
    for role, prompt in found.get("prompts", {}).items():
        if role not in ("query", "document") or not isinstance(prompt, str):
            mistakes.add(f"{where} prompts are texts for query and document, not {role!r}")
    options = {
        name: str(_absolute(base, value)) if name in family.paths else value
        for name, value in found.items()
        if name in family.options
    }
    projector = found.get("projector")
    return Part(
        backend,
        _model(model, options, base),
        options,
        None if projector is None else _absolute(base, projector),
        found.get("window_ms"),
        found.get("hop_ms"),
    )


def _model(model: str, options: Mapping[str, Any], base: Path) -> str:
    """A model that is a place is made absolute: "local-dir:x", "./x", and files of LAION."""
    if model.startswith(_LOCAL):
        return _LOCAL + str(_absolute(base, model.removeprefix(_LOCAL)))
    if model.startswith(("./", "../", "~")) or options.get("loader") in _LAION:
        return str(_absolute(base, model))
    return model


def _absolute(base: Path, path: str) -> Path:
    return (base / Path(path).expanduser()).resolve()


def _note(name: str, table: object, mistakes: tables.Mistakes) -> ModelNote:
    if not isinstance(table, dict):
        mistakes.add(f"[models] {name} must be a table, not {table!r}")
        return ModelNote()
    kinds: dict[str, type] = {
        "licence": str, "check": str, "download_mb": int, "approximate": bool, "accept": bool
    }  # fmt: skip
    found = tables.take(table, kinds, f'[models."{name}"]', mistakes)
    if found.get("download_mb", 0) < 0:
        mistakes.add(f'[models."{name}"] download_mb cannot be negative')
    return ModelNote(**found)


def _written(note: ModelNote) -> dict[str, Any]:
    return {
        "licence": note.licence or None,
        "check": note.check or None,
        "download_mb": note.download_mb,
        "approximate": note.approximate or None,
        "accept": note.accept or None,
    }


def _noted(definition: Definition) -> Definition:
    used = {part.model for part in definition.parts.values()}
    return replace(definition, models={n: v for n, v in definition.models.items() if n in used})


def _check_projectors(definition: Definition, mistakes: tables.Mistakes, complete: bool) -> None:
    anchor = definition.anchor
    if definition.parts[anchor].projector is not None:
        mistakes.add(f"[{anchor}] is the anchor, whose frame the space takes: it has no projector")
    if not complete:
        return
    for modality in definition.unjoined():
        mistakes.add(
            f"[{modality}] projector is missing: its model is another than that of [{anchor}]"
            " (make one with trichord space fit)"
        )
    for modality, part in definition.parts.items():
        if part.projector is not None and not part.projector.is_file():
            mistakes.add(f"[{modality}] there is no projector {part.projector}")
