"""space check: whether a space still is what was registered, and what a store was written with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trichord.commands.common import json_option, print_json
from trichord.commands.machine import home_option, registry, runtime, runtime_options
from trichord.errors import EncoderMismatch, FrameMismatch, MissingExtra, ModelError, NotFound

if TYPE_CHECKING:
    from trichord.embedders.spaces import JointSpace
    from trichord.store import Store

PROBES = ("rain on a window", "two dogs bark", "Regen am Fenster")


@click.command("check")
@click.argument("name", default="pocket")
@click.option(
    "--store",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also compare with what this store was written with.",
)
@runtime_options
@home_option
@json_option
def check(
    name: str,
    store: Path | None,
    device: str,
    precision: str,
    offline: bool,
    home: Path | None,
    as_json: bool,
) -> None:
    """Check a space: files against what was registered, tokenizer, canaries.

    Loads the models. Exits with 4 when files, or what they compute here, are not what they were.
    """
    from trichord.embedders.canaries import agreement, vectors
    from trichord.embedders.spaces import open_space

    known, done = registry(home), Steps(quiet=as_json)
    joint = open_space(name, known, runtime(device, precision, offline))
    what = "as registered" if name in known.names() else "as bundled"
    done.say("files", f"{what}, frame {joint.space.frame.id}")
    opened = None if store is None else _same_encoders(store, joint, done)
    _tokenizer(joint, done)
    now = vectors(joint)
    count = sum(len(rows) for rows in now.vectors.values())
    if name in known.names():
        found = agreement(known.get(name).canaries, now)
        if not found.agrees:
            raise EncoderMismatch(
                f"this machine computes other vectors for space {name!r} than when it was"
                f" registered: {found}; use precision fp32 and the library versions of then",
                space=name,
            )
        done.say("canaries", str(found), found.to_json())
    else:
        done.say("canaries", f"{count} embedded; a bundled space has none to compare with")
    if opened is not None:
        _same_vectors(opened, joint, done)
    if as_json:
        print_json({"name": name, **done.figures})


class Steps:
    """What was checked, printed as it goes unless JSON is wanted."""

    def __init__(self, *, quiet: bool) -> None:
        self.figures: dict[str, Any] = {}
        self._quiet = quiet

    def say(self, step: str, text: str, figures: Any = None) -> None:
        self.figures[step] = text if figures is None else figures
        if not self._quiet:
            click.echo(f"{step:10} {text}")


def _tokenizer(joint: JointSpace, done: Steps) -> None:
    from trichord.types import Modality

    if Modality.TEXT not in joint.encoders:
        return
    lengths = []
    for text in PROBES:
        found = list(joint.token_offsets(text))
        if not found or any(not 0 <= a <= b <= len(text) for a, b in found):
            raise ModelError(f"the tokenizer of space {joint.name!r} finds no tokens in {text!r}")
        lengths.append(len(found))
    rows = joint.embedder(Modality.TEXT).embed(list(PROBES)).vectors
    if float((rows @ rows.T)[~_same(len(rows))].max()) > 0.99999:
        raise ModelError(f"the text encoder of space {joint.name!r} tells no texts apart")
    done.say("tokenizer", f"{', '.join(map(str, lengths))} tokens; different texts differ")


def _same(count: int) -> Any:
    import numpy as np

    return np.eye(count, dtype=bool)


def _same_encoders(path: Path, joint: JointSpace, done: Steps) -> Store:
    """The store, once it is known to hold vectors of these encoders."""
    try:
        from trichord.store import Store
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "lancedb", "cpu") from None
    opened = Store.open(path)
    there = {space.name: space for space in opened.spaces()}
    if joint.name not in there:
        raise NotFound(
            f"the store has no space {joint.name!r}; it has {', '.join(there) or 'none'}",
            space=joint.name,
        )
    stored, mine = there[joint.name], joint.space
    if stored.frame != mine.frame:
        raise FrameMismatch(
            f"space {joint.name!r} of the store has the frame {stored.frame.id}, the one here"
            f" {mine.frame.id}"
        )
    others = [m for m, identity in stored.encoders.items() if mine.encoders.get(m) != identity]
    if others:
        raise EncoderMismatch(
            f"the {' and '.join(sorted(others))} vectors of space {joint.name!r} in the store are"
            " of another encoder than the one here"
        )
    done.say("store", "of the same encoders")
    return opened


def _same_vectors(store: Store, joint: JointSpace, done: Steps) -> None:
    from trichord.catalog.admitting import admit

    found = admit(store, None, joint, again=True).agreement
    if found is None:
        done.say("stored", "no canaries yet: they come with the next ingest")
    else:
        done.say("stored", str(found), found.to_json())
