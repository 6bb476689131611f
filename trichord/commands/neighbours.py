"""neighbours."""

from __future__ import annotations

from typing import Any

import click

from trichord.commands.common import catalog, json_option, print_json, space_option, store_option

PLURALS = {"segment": "segments", "item": "items", "entity": "entities"}


@click.command()
@click.argument("folder", type=click.Path(file_okay=False))
@click.option(
    "--from", "from_modality", default=None, help="Modalities that ask: a,b; default all."
)
@click.option(
    "--to",
    "to_modality",
    default=None,
    help="Modalities to look in, one list for each: a,b; default that of what asks.",
)
@click.option("--where", default=None, help="Which items ask: market = 'SE' and year >= 2020")
@click.option("--to-where", default=None, help="Which items may be neighbours.")
@click.option("--limit", default=10, show_default=True, help="Neighbours per list.")
@click.option(
    "--group",
    type=click.Choice(["segment", "item", "entity"]),
    default="item",
    show_default=True,
    help="What has neighbours and is one.",
)
@click.option("--min-score", type=float, default=None, help="Lowest cosine.")
@click.option("--exact", is_flag=True, help="Search without approximation.")
@click.option("--shard", default=10_000, show_default=True, help="How many ask per file.")
@click.option("--batch", default=512, show_default=True, help="Segments that ask at a time.")
@click.option("--restart", is_flag=True, help="Begin anew, on the store as it is now.")
@store_option
@space_option
@json_option
def neighbours(
    folder: str, store: str, space: str | None, as_json: bool, restart: bool, **options: Any
) -> None:
    """Write the nearest neighbours of everything stored to Parquet files in FOLDER.

    \b
    trichord neighbours out/ --limit 20
    trichord neighbours out/ --from audio --to image --where "market = 'SE'"

    Repeating the command goes on where a killed run was, on the same snapshot of the store, and
    does nothing once it is done. It only reads: the store may be served and written meanwhile.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    with (
        catalog(store, space=space) as opened,
        Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=as_json or not console.is_terminal,
        ) as bar,
    ):
        task = bar.add_task("neighbours", total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        report = opened.neighbours(
            folder, space=space, restart=restart, on_progress=advance, **options
        )
    if as_json:
        print_json(vars(report))
        return
    for file in report.repaired:
        click.echo(f"{file} was missing or damaged and is computed again")
    if report.shards and not report.computed:
        click.echo("done already, nothing was computed; --restart begins anew")
    earlier = report.shards - report.computed
    before = f", {earlier} of them by earlier runs" if report.computed and earlier else ""
    click.echo(
        f"{report.rows} neighbours of {report.asked} {PLURALS[options['group']]} of space "
        f"{report.space}, snapshot {report.snapshot}, in {report.shards} files in {report.folder}"
        f"{before}"
    )
