"""space list, show, remove, eval; `add` and `check` have modules of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trichord.commands.adding import add
from trichord.commands.checking import check
from trichord.commands.common import json_option, print_json
from trichord.commands.machine import columns, home_option, registry
from trichord.errors import InvalidInput, MissingExtra, TrichordError

if TYPE_CHECKING:
    from trichord.embedders.definition import Definition
    from trichord.embedders.registry import Registry
    from trichord.store import Store
    from trichord.types import Encoder, Space

store_option = click.option(
    "--store", type=click.Path(file_okay=False, path_type=Path), help="Folder of a store."
)


@click.group()
def space() -> None:
    """Joint spaces: what there is, what they are made of, how good they are."""


space.add_command(add)
space.add_command(check)


@space.command("list")
@store_option
@home_option
@json_option
def list_spaces(store: Path | None, home: Path | None, as_json: bool) -> None:
    """Spaces that are bundled, registered here, or stored in --store, and presets to add.

    At hand means that content can be embedded here; loads no model.
    """
    rows = _here(registry(home))
    if store is not None:
        _merge(rows, _open(store).spaces())
    _presets(rows)
    if as_json:
        print_json(rows)
        return
    table = [("name", "kind", "modalities", "frame", "at hand")]
    for row in rows:
        hand = "yes" if row["at_hand"] else f"no: {row['why']}"
        where = ["stored"] if row.get("stored") and row["kind"] != "stored" else []
        table.append(
            (
                row["name"],
                ", ".join([row["kind"], *where]),
                " ".join(row["modalities"]),
                row["frame"] or "-",
                hand,
            )
        )
    click.echo("\n".join(columns(table)))


def _row(name: str, kind: str, found: Space | None, why: str = "") -> dict[str, Any]:
    encoders = {} if found is None else {str(m): i for m, i in sorted(found.encoders.items())}
    return {
        "name": name,
        "kind": kind,
        "frame": None if found is None else found.frame.id,
        "modalities": list(encoders),
        "encoders": encoders,
        "at_hand": not why,
        "why": why,
    }


def _here(known: Registry) -> list[dict[str, Any]]:
    from trichord.embedders.spaces import SPACES, open_space

    rows = []
    for name in (*SPACES, *known.names()):
        kind = "bundled" if name in SPACES else "registered"
        try:
            found = open_space(name).space if name in SPACES else known.get(name).space
            rows.append(_row(name, kind, found))
        except TrichordError as error:
            rows.append(_row(name, kind, None, str(error)))
    return rows


def _merge(rows: list[dict[str, Any]], stored: list[Space]) -> None:
    """Adds what a store says: whether a space here is the one that it holds."""
    for row in rows:
        row["stored"] = row["name"] in {one.name for one in stored}
    for one in stored:
        here = next((row for row in rows if row["name"] == one.name), None)
        if here is None:
            rows.append(_row(one.name, "stored", one, "not registered here") | {"stored": True})
            continue
        others = [m for m, identity in one.encoders.items() if here["encoders"].get(m) != identity]
        if here["at_hand"] and (here["frame"] != one.frame.id or others):
            what = " and ".join(sorted(others)) or "vectors"
            here |= {"at_hand": False, "why": f"the store's {what} are of another encoder"}


def _presets(rows: list[dict[str, Any]]) -> None:
    from trichord.embedders.definition import PRESETS, preset

    taken = {row["name"] for row in rows}
    for name in PRESETS:
        if name not in taken:
            row = _row(name, "preset", None, f"trichord space add {name}")
            rows.append(row | {"modalities": sorted(map(str, preset(name).parts))})


@space.command("show")
@click.argument("name", default="pocket")
@home_option
def show_space(name: str, home: Path | None) -> None:
    """Everything that makes a space's vectors what they are, as JSON; loads no model."""
    from trichord.embedders.definition import PRESETS, preset
    from trichord.embedders.spaces import SPACES, open_space

    known = registry(home)
    if name in SPACES:
        joint = open_space(name)
        print_json(_described(name, "bundled", joint.space.frame.id, dict(joint.encoders)))
    elif name in PRESETS and name not in known.names():
        definition = preset(name)
        print_json({"name": name, "kind": "preset", "note": definition.note, **_parts(definition)})
    else:
        one = known.get(name)
        print_json(
            _described(name, "registered", one.frame.id, dict(one.encoders))
            | _parts(one.definition)
            | {
                "folder": one.folder,
                "added_at": one.added_at,
                "added_on": dict(one.added_on),
            }
        )


def _described(name: str, kind: str, frame: str, encoders: dict[Any, Encoder]) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "frame": frame,
        "encoders": {
            str(m): {"id": encoder.id, "facts": dict(encoder.facts)}
            for m, encoder in sorted(encoders.items())
        },
    }


def _parts(definition: Definition) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "parts": {
            str(m): {k: v for k, v in asdict(part).items() if v not in (None, "", {})}
            for m, part in definition.parts.items()
        },
        "models": {model: asdict(note) for model, note in definition.models.items()},
    }


@space.command("remove")
@click.argument("name")
@click.option(
    "--store",
    type=click.Path(file_okay=False, path_type=Path),
    help="Remove it from this store, with all its vectors, instead of from this machine.",
)
@home_option
def remove(name: str, store: Path | None, home: Path | None) -> None:
    """Forget a space of this machine, or remove it from a store.

    Downloaded models stay in their cache; items stay in the store.
    """
    if store is None:
        registry(home).remove(name)
        click.echo(f"space {name!r} is no longer registered")
        return
    opened = _open(store)
    from trichord.catalog.removing import remove_space

    snapshot = remove_space(opened, name)
    click.echo(f"space {name!r} is removed from the store (snapshot {snapshot})")


def _open(store: Path) -> Store:
    try:
        from trichord.store import Store
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "lancedb", "cpu") from None
    return Store.open(store)


@space.command("eval")
@click.argument("name", default="pocket")
@click.option(
    "--recordings",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of class folders with sounds of your own, judged apart.",
)
@json_option
def evaluate_space(name: str, recordings: Path | None, as_json: bool) -> None:
    """Measure a space on pictures and sounds that it was never trained on."""
    if name != "pocket":
        raise InvalidInput("only the space 'pocket' can render its own test media")
    from trichord.embedders.pocket.evaluate import evaluate
    from trichord.embedders.pocket.space import load

    report = evaluate(load(), recordings=recordings)
    click.echo(report.to_json() if as_json else report.render())
