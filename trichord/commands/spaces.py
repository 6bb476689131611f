"""space list, space show, space eval."""

from __future__ import annotations

from pathlib import Path

import click

from trichord.commands.common import json_option, print_json
from trichord.errors import InvalidInput
from trichord.types import Modality


@click.group()
def space() -> None:
    """Joint spaces: what there is, what they are made of, how good they are."""


@space.command("list")
@json_option
def list_spaces(as_json: bool) -> None:
    """The bundled spaces with their frames and encoders."""
    from trichord.embedders.spaces import SPACES, open_space

    found = [open_space(name) for name in SPACES]
    if as_json:
        print_json(
            [
                {"name": s.name, "frame": s.space.frame.id, "encoders": dict(s.space.encoders)}
                for s in found
            ]
        )
        return
    for joint in found:
        click.echo(f"{joint.name}  frame {joint.space.frame.id}")
        for modality, identity in joint.space.encoders.items():
            click.echo(f"  {modality:6} {identity[:16]}")


@space.command("show")
@click.argument("name", default="pocket")
def show_space(name: str) -> None:
    """Everything that makes a space's vectors what they are, as JSON."""
    from trichord.embedders.spaces import open_space

    joint = open_space(name)
    print_json(
        {
            "name": joint.name,
            "frame": joint.space.frame.id,
            "encoders": {
                modality: {"id": encoder.id, "facts": dict(encoder.facts)}
                for modality, encoder in joint.encoders.items()
                if modality in set(Modality)
            },
        }
    )


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
