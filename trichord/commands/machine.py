"""Options about this machine: where its spaces are registered, and how models run on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from trichord.embedders.backend import Runtime
    from trichord.embedders.registry import Registry
    from trichord.embedders.spaces import JointSpace

F = TypeVar("F", bound=Callable[..., Any])

PRECISIONS = ("fp32", "bf16", "fp16", "auto")


def _said_before(option: str, otherwise: Any) -> Callable[[], Any]:
    """The default of an option: what was given to `trichord` itself, before the command."""

    def found() -> Any:
        context = click.get_current_context(silent=True)
        given = None if context is None else context.find_root().params.get(option)
        return otherwise if given is None else given

    return found


home_option = click.option(
    "--home",
    envvar="TRICHORD_HOME",
    type=click.Path(file_okay=False, path_type=Path),
    default=_said_before("home", None),
    show_default=False,
    show_envvar=True,
    help="Folder of this machine's spaces.  [default: ~/.local/share/trichord]",
)


def runtime_options(command: F) -> F:
    """--device, --precision and --offline."""
    for option in reversed(
        (
            click.option(
                "--device",
                envvar="TRICHORD_DEVICE",
                default=_said_before("device", "auto"),
                show_default="as said before the command, else auto",
                show_envvar=True,
                help="Where models run: auto, cpu, cuda, cuda:1, mps.",
            ),
            click.option(
                "--precision",
                envvar="TRICHORD_PRECISION",
                type=click.Choice(PRECISIONS),
                default=_said_before("precision", "fp32"),
                show_default="as said before the command, else fp32",
                show_envvar=True,
                help="Of the models' weights.",
            ),
            click.option(
                "--offline",
                envvar="TRICHORD_OFFLINE",
                is_flag=True,
                default=_said_before("offline", False),
                show_default=False,
                show_envvar=True,
                help="Never ask a model hub.",
            ),
        )
    ):
        command = option(command)
    return command


def registry(home: Path | None) -> Registry:
    """The registered spaces below `home`; None: of the user's own folder."""
    from trichord.embedders.registry import Registry

    return Registry((home or Path.home() / ".local" / "share" / "trichord") / "spaces")


def runtime(device: str, precision: str, offline: bool) -> Runtime:
    from trichord.embedders.backend import Runtime

    return Runtime(device=device, precision=precision, offline=offline)


def spaces(home: Path | None, running: Runtime) -> Callable[[str], JointSpace]:
    """Opens bundled and registered spaces by name, as `Catalog.open(spaces=…)` takes it."""
    from trichord.embedders.spaces import opener

    return opener(registry(home), running)


def default_spaces() -> Callable[[str], JointSpace]:
    """The same by the options given to `trichord` itself, before the command."""
    given = click.get_current_context().find_root().params
    running = runtime(
        given.get("device") or "auto", given.get("precision") or "fp32", bool(given.get("offline"))
    )
    return spaces(given.get("home"), running)


def columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows of texts as lines with aligned columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
