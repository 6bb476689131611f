"""Options that commands share, and how they reach a catalogue or a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trichord.commands.machine import default_spaces
from trichord.errors import InvalidInput, MissingExtra

if TYPE_CHECKING:
    from trichord.catalog import Catalog
    from trichord.client import Client

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_STORE = "store"

store_option = click.option(
    "--store",
    envvar="TRICHORD_STORE",
    default=DEFAULT_STORE,
    show_default=True,
    show_envvar=True,
    help="Folder of the store.",
)
space_option = click.option("--space", default=None, help="Space; default: the store's first.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def server_options(command: F) -> F:
    """--server, --token and --tls-ca: work on a running server instead of a store."""
    for option in reversed(
        (
            click.option(
                "--server",
                envvar="TRICHORD_SERVER",
                default=None,
                metavar="HOST:PORT",
                show_envvar=True,
                help="Ask this server instead of a store of this machine.",
            ),
            click.option("--token", envvar="TRICHORD_TOKEN", default=None, show_envvar=True),
            click.option("--tls-ca", default=None, type=click.Path(dir_okay=False)),
        )
    ):
        command = option(command)
    return command


reranker_option = click.option(
    "--reranker",
    type=click.Path(exists=True, file_okay=False),
    help="Folder of a cross-encoder that --rerank uses; nothing is downloaded.",
)


@contextmanager
def catalog(
    store: str,
    *,
    create: bool = False,
    space: Any = None,
    spaces: Any = None,
    reranker: str | None = None,
) -> Iterator[Catalog]:
    """The catalogue in process, with what opens spaces by name (see `Catalog.open`); MissingExtra
    names the packages where they are not installed."""
    try:
        from trichord.catalog import Catalog
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "lancedb", "cpu") from None
    with Catalog.open(
        store,
        create=create,
        space=space,
        spaces=spaces or default_spaces(),
        reranker=reranker,
    ) as opened:
        yield opened


@contextmanager
def reached(
    store: str,
    server: str | None,
    token: str | None,
    tls_ca: str | None,
    space: str | None,
    spaces: Any = None,
    reranker: str | None = None,
) -> Iterator[Catalog | Client]:
    """The catalogue of `store`, or the client of `server` if one is named: the same verbs."""
    if server is None:
        with catalog(store, space=space, spaces=spaces, reranker=reranker) as opened:
            yield opened
        return
    from trichord.client import Client

    if reranker is not None:
        raise InvalidInput("a server has its own reranker: give --reranker to `trichord serve`")
    with Client(server, token=token, tls_ca=tls_ca, space=space) as client:
        yield client


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no JSON")


def clock(milliseconds: int | None) -> str:
    """14:32 for 872000 ms; with hours from an hour on."""
    if milliseconds is None:
        return ""
    seconds = milliseconds // 1000
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
