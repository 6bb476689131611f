"""Options and helpers that the commands of `eval` share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trichord.commands.common import server_options, space_option, store_option

if TYPE_CHECKING:
    from rich.console import Console

    from trichord.evaluation.evaluating import Settings

F = TypeVar("F", bound=Callable[..., Any])

WIDE = 200
"""Columns of a table that goes to a file or a pipe."""

MODALITIES = ("audio", "image", "text")


def options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


where_options = options(store_option, space_option, server_options)

measure_option = click.option(
    "-m",
    "--measure",
    "measures",
    multiple=True,
    help="ndcg@10, recall@100, p@5, mrr, map, success@1, recall(rel=2)@10; may be repeated. "
    "Default: ndcg@10, recall@10, p@10, mrr, map.",
)
slice_option = click.option(
    "--slice",
    "slices",
    multiple=True,
    help="Column to slice by; may be repeated. Default: all that tell queries apart.",
)
gate_options = options(
    click.option(
        "--require",
        "requirements",
        multiple=True,
        help='"ndcg@10>=0.6", "ndcg@10[market=SE]>=0.5", "lower(ndcg@10)>=0.55"; may be repeated.',
    ),
    click.option(
        "--max-loss",
        type=float,
        default=0.0,
        show_default=True,
        help="Against a run: a loss that is tolerated, per measure.",
    ),
)
statistics_options = options(
    click.option("--confidence", type=float, default=0.95, show_default=True),
    click.option("--resamples", type=int, default=10_000, show_default=True),
    click.option(
        "--interval", type=click.Choice(["bca", "percentile"]), default="bca", show_default=True
    ),
    click.option("--seed", type=int, default=0, show_default=True),
)
cluster_option = click.option(
    "--cluster", default=None, help="Column whose equal values depend on each other."
)
html_option = click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), help="Write the report as a page."
)
worst_option = click.option(
    "--worst", type=int, default=10, show_default=True, help="Worst queries to show."
)
golden_argument = click.argument("golden", type=click.Path(path_type=Path))


def settings(cluster: str | None, statistics: dict[str, Any]) -> Settings:
    from trichord.evaluation.evaluating import Settings

    return Settings(
        confidence=statistics["confidence"],
        resamples=statistics["resamples"],
        method=statistics["interval"],
        seed=statistics["seed"],
        cluster=cluster,
    )


def console() -> Console:
    from rich.console import Console

    console = Console(soft_wrap=False)
    return console if console.is_terminal else Console(width=WIDE)


@contextmanager
def progress(what: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    disabled = quiet or not console.is_terminal
    with Progress(*columns, console=console, disable=disabled, transient=True) as progress:
        task = progress.add_task(what, total=None)

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield advance
