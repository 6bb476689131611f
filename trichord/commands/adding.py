"""space add: what a space is made of is shown before anything is fetched."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trichord.commands.machine import columns, home_option, registry, runtime, runtime_options
from trichord.errors import InvalidInput

if TYPE_CHECKING:
    from trichord.embedders.definition import Definition, ModelNote, Part

MODALITIES = ("audio", "image", "text")


@click.command("add")
@click.argument("name", required=False)
@click.option(
    "--definition",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="TOML file of a space of your own, instead of a preset's NAME.",
)
@click.option("--name", "called", help="What the space is called here; default: its own name.")
@click.option(
    "--projector",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of trichord space fit, for the part of another frame.",
)
@click.option(
    "--without",
    multiple=True,
    type=click.Choice(MODALITIES),
    help="Leave a part out; may be repeated.",
)
@click.option("--yes", is_flag=True, help="Download without asking.")
@click.option("--accept-licence", is_flag=True, help="Take models whose licence is not confirmed.")
@runtime_options
@home_option
def add(
    name: str | None,
    file: Path | None,
    called: str | None,
    projector: Path | None,
    without: tuple[str, ...],
    yes: bool,
    accept_licence: bool,
    device: str,
    precision: str,
    offline: bool,
    home: Path | None,
) -> None:
    """Register a space on this machine: the preset NAME, or a definition of your own.

    Shows models, licences and sizes, asks, then fetches the models, loads them and writes down
    what identifies them. Presets: clip-clap, omni, text.
    """
    definition = _chosen(name, file)
    if without:
        from trichord.types import Modality

        definition = definition.without(*map(Modality, without))
    if projector is not None:
        from trichord.embedders.bridge.projector import Projector

        Projector.load(projector)
        definition = definition.projected(projector.resolve())
    if called:
        definition = definition.renamed(called)
    running = runtime(device, precision, offline)
    click.echo("\n".join(described(definition)))
    _check(definition)
    _agree(definition, yes=yes, accept=accept_licence, offline=offline)
    added = registry(home).add(definition, running, on_step=lambda text: click.echo(text, err=True))
    click.echo(f"space {added.name!r} is registered: frame {added.frame.id}, {added.folder}")


def _chosen(name: str | None, file: Path | None) -> Definition:
    from trichord.embedders.definition import preset, read

    if (name is None) == (file is None):
        raise InvalidInput("name a preset (trichord space list), or give --definition FILE")
    if file is not None:
        return read(file, complete=False)
    return preset(str(name))


def described(definition: Definition) -> list[str]:
    """A table of the models, with licences, sizes and where to check them."""
    models: dict[tuple[str, str], tuple[Part, list[str]]] = {}
    for modality, part in definition.parts.items():
        models.setdefault((part.backend, part.model), (part, []))[1].append(str(modality))
    rows = [("parts", "backend", "model", "licence", "download")]
    checks = []
    for part, modalities in models.values():
        note = definition.models.get(part.model)
        tag = part.options.get("pretrained")
        rows.append(
            (
                ", ".join(modalities),
                part.backend,
                " ".join(filter(None, (part.model or "bundled", tag))),
                (note.licence if note else "")
                or ("as Trichord" if not part.model else "not stated"),
                _size(part, note),
            )
        )
        if note is not None and note.check:
            checks.append(f"check the licence of {part.model}: {note.check}")
    checks += [
        f"runs Python code that comes with {part.model}: read it first"
        for part, _ in models.values()
        if part.options.get("trust_remote_code")
    ]
    head = f"space {definition.name!r}" + (f": {definition.note}" if definition.note else "")
    projectors = [
        f"projector of {modality}: {part.projector.name}"
        for modality, part in definition.parts.items()
        if part.projector is not None
    ]
    return [head, *columns(rows), *projectors, *checks, _total(definition)]


def _size(part: Part, note: ModelNote | None) -> str:
    if part.is_local:
        return "none"
    if note is None or note.download_mb is None:
        return "not stated"
    return f"{'about ' if note.approximate else ''}{note.download_mb} MB"


def _remote(definition: Definition) -> dict[str, ModelNote | None]:
    """Models that have to be downloaded, unless they are in the hub's cache."""
    return {
        part.model: definition.models.get(part.model)
        for part in definition.parts.values()
        if not part.is_local
    }


def _total(definition: Definition) -> str:
    notes = _remote(definition).values()
    if not notes:
        return "nothing is downloaded"
    known = [note.download_mb for note in notes if note and note.download_mb is not None]
    about = "about " if any(note and note.approximate for note in notes) else ""
    rest = " and what is not stated" if len(known) < len(notes) else ""
    return f"download: {about}{sum(known)} MB{rest}, less what is in the hub's cache already"


def _check(definition: Definition) -> None:
    lacking = definition.unjoined()
    if not lacking:
        return
    raise InvalidInput(
        f"the {' and '.join(lacking)} part of {definition.name!r} needs a projector into the frame"
        f" of its {definition.anchor} part: fit one (trichord space fit"
        f" --source {_fit_name(definition.parts[lacking[0]])}"
        f" --target {_fit_name(definition.parts[definition.anchor])} --out FILE) and give it with"
        f" --projector FILE, or leave the part out: --without {' --without '.join(lacking)}"
    )


def _fit_name(part: Part) -> str:
    """How `trichord space fit` calls the model of a part."""
    families = {"open_clip": "openclip", "sentence-transformers": "sentence"}
    family = families.get(part.backend, part.backend)
    return ":".join(filter(None, (family, part.model, part.options.get("pretrained"))))


def _agree(definition: Definition, *, yes: bool, accept: bool, offline: bool) -> None:
    unsure = [model for model, note in definition.models.items() if note.accept]
    if unsure and not accept:
        raise InvalidInput(
            f"the licence of {', '.join(unsure)} is not confirmed: read it, then say"
            " --accept-licence"
        )
    if yes or offline or not _remote(definition):
        return
    if not sys.stdin.isatty():
        raise InvalidInput("nobody is here to agree to the download: say --yes, or --offline")
    if not click.confirm("download what is missing?"):
        click.echo("nothing was added")
        raise click.exceptions.Exit(1)
