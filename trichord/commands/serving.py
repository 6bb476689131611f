"""serve, demo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trichord.commands.common import reranker_option, space_option, store_option
from trichord.commands.machine import default_spaces, runtime, spaces
from trichord.errors import InvalidInput, MissingExtra

if TYPE_CHECKING:
    from trichord.embedders.spaces import JointSpace
    from trichord.index.gpu_build import Device


@click.command()
@store_option
@space_option
@click.option(
    "--listen",
    default="127.0.0.1:50051",
    show_default=True,
    envvar="TRICHORD_LISTEN",
    help="Any address but a loopback one needs TLS and a token.",
)
@click.option("--tls-cert", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--token",
    "token",
    envvar="TRICHORD_TOKEN",
    default=None,
    help="Token that clients must send; better set by the environment than typed.",
    show_envvar=True,
)
@click.option(
    "--tokens",
    "tokens_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of lines `name token`, one per caller.",
)
@click.option(
    "--media-root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder whose files clients may name by uri; without it they may name none.",
)
@click.option("--workers", default=8, show_default=True, help="Calls answered at once.")
@click.option("--queue", default=1024, show_default=True, help="Calls that may wait.")
@click.option("--search-streams", default=64, show_default=True, help="Open streams of searches.")
@click.option(
    "--processes",
    default=1,
    show_default=True,
    envvar="TRICHORD_PROCESSES",
    help="Server processes that share the port; what else is said holds for each.",
)
@click.option(
    "--index-device",
    type=click.Choice(["cpu", "auto", "gpu"]),
    default="cpu",
    show_default=True,
    help="Where indexes answer: auto and gpu copy them to a GPU that can hold them.",
)
@click.option("--max-message-mb", default=32, show_default=True)
@click.option("--no-reflection", is_flag=True, help="Do not describe the services to clients.")
@reranker_option
def serve(
    store: str,
    space: str | None,
    listen: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    token: str | None,
    tokens_file: Path | None,
    media_root: Path | None,
    workers: int,
    queue: int,
    search_streams: int,
    processes: int,
    index_device: Device,
    max_message_mb: int,
    no_reflection: bool,
    reranker: str | None,
) -> None:
    """Serve the store over gRPC until SIGTERM or Ctrl-C; running calls are finished first."""
    try:
        from trichord.server.settings import Settings

        if processes == 1:
            from trichord.server.app import serve as run
        else:
            from trichord.server.supervisor import supervise
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "lancedb", "cpu") from None
    tokens = _tokens(tokens_file) if tokens_file is not None else {}
    if token:
        tokens["default"] = token
    settings = Settings(
        listen=listen,
        tls_cert=tls_cert,
        tls_key=tls_key,
        tokens=tokens,
        media_root=media_root,
        workers=workers,
        queue=queue,
        search_streams=search_streams,
        max_message_bytes=max_message_mb * 1024 * 1024,
        reflection=not no_reflection,
    )
    if processes == 1:
        run(
            store,
            settings,
            space=space,
            spaces=default_spaces(),
            reranker=reranker,
            index_device=index_device,
        )
    else:
        supervise(
            store,
            settings,
            processes=processes,
            space=space,
            spaces=SpacesOfMachine.given(),
            reranker=reranker,
            index_device=index_device,
        )


@dataclass(frozen=True)
class SpacesOfMachine:
    """Opens the spaces of this machine by name, in whatever process it is called."""

    home: Path | None
    device: str
    precision: str
    offline: bool

    @classmethod
    def given(cls) -> SpacesOfMachine:
        """By the options given to `trichord` itself, before the command."""
        given = click.get_current_context().find_root().params
        return cls(
            given.get("home"),
            given.get("device") or "auto",
            given.get("precision") or "fp32",
            bool(given.get("offline")),
        )

    def __call__(self, name: str) -> JointSpace:
        return spaces(self.home, runtime(self.device, self.precision, self.offline))(name)


def _tokens(path: Path) -> dict[str, str]:
    tokens: dict[str, str] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split()
        if len(parts) != 2:
            raise InvalidInput(f"{path}:{number}: a line is `name token`")
        tokens[parts[0]] = parts[1]
    return tokens


@click.command()
@click.option("--media", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--output",
    default=Path("demo-output"),
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
)
def demo(**options: Any) -> None:
    """Render a sample catalogue (or take your own --media), serve it, search it in every
    direction, and write a page to look at and listen to."""
    from rich.console import Console

    from trichord.demo.run import run

    raise click.exceptions.Exit(run(options["output"], options["media"], console=Console()))
