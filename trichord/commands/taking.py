"""ingest, delete, errors."""

from __future__ import annotations

from pathlib import Path

import click

from trichord.commands.common import (
    catalog,
    json_option,
    print_json,
    reached,
    server_options,
    space_option,
    store_option,
)
from trichord.errors import InvalidInput, NotFound
from trichord.types import IngestFailure

SHOWN_ERRORS = 20


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path())
@store_option
@space_option
@click.option(
    "--frame",
    default=None,
    metavar="NAME/DIM",
    help="For ready vectors of your own model: what they are comparable with, e.g. my-model/512.",
)
@click.option("--no-index", is_flag=True, help="Leave building indexes to the first server.")
@json_option
def ingest(
    paths: tuple[str, ...],
    store: str,
    space: str | None,
    frame: str | None,
    no_index: bool,
    as_json: bool,
) -> None:
    """Take files, folders and tables (Parquet, CSV, JSONL) into the store; it is made if missing.

    Repeating it changes nothing; a killed run goes on where it was. What cannot be taken does not
    stop the rest: see `trichord errors`. Exits with 1 if anything failed.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    for path in paths:
        if not Path(path).exists():  # before a store is made for nothing
            raise NotFound(f"there is no file or folder {path!r}", path=path)
    chosen = space if frame is None else _ready_space(space, frame)
    console = Console(stderr=True)
    with catalog(store, create=True, space=chosen) as opened:
        if space is not None and opened.space_named(space).name != opened.space_name:
            raise InvalidInput(
                f"what is ingested is embedded for {opened.space_name!r}, which the alias "
                f"'default' of this store names, not for {space!r}: leave --space out, or move the "
                "alias with trichord migrate"
            )
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=as_json or not console.is_terminal,
        ) as progress:
            task = progress.add_task("ingest", total=None)

            def advance(done: int, total: int) -> None:
                progress.update(task, completed=done, total=total)

            report = opened.ingest(*paths, on_progress=advance)
        if not no_index:
            opened.build_indexes()
    if as_json:
        print_json({**vars(report), "errors": [vars(error) for error in report.errors]})
    else:
        click.echo(
            f"{report.added} added, {report.changed} changed, {report.unchanged} unchanged, "
            f"{report.failed} failed ({report.segments} segments written, snapshot "
            f"{report.snapshot})"
        )
        _list(report.errors[:SHOWN_ERRORS])
        if len(report.errors) > SHOWN_ERRORS:
            click.echo(f"… and {len(report.errors) - SHOWN_ERRORS} more: trichord errors")
    if report.failed:
        raise click.exceptions.Exit(1)


def _ready_space(space: str | None, frame: str) -> object:
    from trichord.embedders.spaces import ReadySpace
    from trichord.types import Frame

    if space is None:
        raise InvalidInput("--frame needs --space, the name under which the vectors are searched")
    try:
        parsed = Frame.from_id(frame)
    except ValueError:
        raise InvalidInput(
            f"--frame is NAME/DIM, for example my-model/512, not {frame!r}"
        ) from None
    if not parsed.anchor or parsed.dim < 1:
        raise InvalidInput(f"--frame is NAME/DIM, for example my-model/512, not {frame!r}")
    return ReadySpace(space, parsed)


@click.command()
@click.argument("item_ids", nargs=-1)
@click.option("--entity", "entity_ids", multiple=True, help="An entity, with all its items.")
@store_option
@server_options
def delete(
    item_ids: tuple[str, ...],
    entity_ids: tuple[str, ...],
    store: str,
    server: str | None,
    token: str | None,
    tls_ca: str | None,
) -> None:
    """Delete items, or entities with all their items. If one is unknown, nothing is deleted."""
    with reached(store, server, token, tls_ca, None) as there:
        gone = there.delete(item_ids, entity_ids=entity_ids)
    click.echo(f"{gone} deleted")


@click.command()
@store_option
@json_option
def errors(store: str, as_json: bool) -> None:
    """List the inputs that could not be taken; a later ingest that takes one strikes it off."""
    with catalog(store) as opened:
        failures = opened.failures()
    if as_json:
        print_json([vars(failure) for failure in failures])
        return
    _list(failures)
    click.echo(f"{len(failures)} failed" if failures else "no errors")


def _list(failures: list[IngestFailure] | tuple[IngestFailure, ...]) -> None:
    for failure in failures:
        click.echo(f"{failure.source}: {failure.message} [{failure.reason}]")
