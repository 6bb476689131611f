"""migrate start, run, status, switch, rollback, finish, abandon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from trichord.commands.common import (
    json_option,
    print_json,
    reached,
    server_options,
    store_option,
)
from trichord.commands.machine import home_option, runtime, runtime_options, spaces
from trichord.errors import InvalidInput, NotFound
from trichord.results import AliasInfo, BackfillPhase, BackfillProgress, Migration


@click.group()
def migrate() -> None:
    """Move what is stored to another space while it is searched and written.

    \b
    trichord migrate start omni      from now on new items are embedded for both
    trichord migrate run omni        embed what is stored; go on after a kill by running it again
    trichord migrate evaluate omni golden/   measure it against the old space
    trichord migrate switch omni     searches ask it from now on
    trichord migrate rollback omni   … and no longer
    trichord migrate finish omni     the old space is no longer written
    """


def _placed(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where it works: --store and how models run here, or --server and what goes with it."""
    for option in (json_option, runtime_options, home_option, server_options, store_option):
        command = option(command)
    return command


def _space(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.argument("space", required=False)(command)


@migrate.command("start")
@click.argument("space")
@click.option(
    "--alias", default="", help="Alias to move; default: that of searches that name no space."
)
@click.option(
    "--require",
    multiple=True,
    metavar="CONDITION",
    help='What an evaluation must show before the switch, e.g. "ndcg@10>=0.6".',
)
@_placed
def start(space: str, alias: str, require: tuple[str, ...], as_json: bool, **place: Any) -> None:
    """Make SPACE the target of a migration. New items are embedded for both spaces from now on."""
    with _reached(place) as there:
        _show(there.migrations.register(space, alias=alias, require=require), as_json)


@migrate.command("run")
@_space
@click.option("--rate", type=float, help="Items per second at the most.")
@click.option("--limit", type=int, help="Items in this run at the most.")
@_placed
def run(
    space: str | None, rate: float | None, limit: int | None, as_json: bool, **place: Any
) -> None:
    """Embed what is stored for the new SPACE. A killed run is continued by the next one.

    Exits with 1 if an item could not be embedded: see `trichord errors`. With --server it runs in
    the server, which goes on when this command is interrupted.
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
        _reached(place) as there,
        Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=as_json or not console.is_terminal,
        ) as bar,
    ):
        name = _chosen(there, space)
        task = bar.add_task(f"backfill {name}", total=None, rate="")

        def advance(now: BackfillProgress) -> None:
            told = f"{now.rate:.1f}/s" + (f", {now.failed} failed" if now.failed else "")
            bar.update(task, completed=now.done, total=now.total, rate=told)

        ended = there.migrations.run(name, rate=rate, limit=limit, on_progress=advance)
    if as_json:
        print_json(vars(ended))
    else:
        click.echo(
            f"{ended.embedded} embedded, {ended.copied} copied, {ended.failed} failed "
            f"of {ended.total}" + (", stopped" if ended.phase is BackfillPhase.CANCELLED else "")
        )
    if ended.failed:
        raise click.exceptions.Exit(1)


@migrate.command("status")
@_space
@_placed
def status(space: str | None, as_json: bool, **place: Any) -> None:
    """Tell where the migrations stand and what the aliases name."""
    with _reached(place) as there:
        found = there.migrations.list() if space is None else [there.migrations.get(space)]
        aliases = there.migrations.aliases()
    if as_json:
        print_json(
            {
                "migrations": [_plain(one) for one in found],
                "aliases": [vars(alias) for alias in aliases],
            }
        )
        return
    for alias in aliases:
        click.echo(_alias(alias))
    for one in found:
        _show(one, False)
    if not found:
        click.echo("no migrations")


@migrate.command("switch")
@_space
@click.option(
    "--allow-missing",
    default="0",
    metavar="N|P%",
    help="So many items, or such a share, may stay behind: those that cannot be embedded.",
)
@click.option("--force", default="", metavar="REASON", help="Pass shut gates; it is recorded why.")
@_placed
def switch(space: str | None, allow_missing: str, force: str, as_json: bool, **place: Any) -> None:
    """Point the alias to the new SPACE, in one step. Exits with 4 if a gate is shut."""
    with _reached(place) as there:
        name = _chosen(there, space)
        changed = there.migrations.switch(name, allow_missing=allow_missing, force=force)
        _show(changed, as_json)


@migrate.command("rollback")
@_space
@_placed
def rollback(space: str | None, as_json: bool, **place: Any) -> None:
    """Point the alias back to the space that it named before. Nothing is lost."""
    with _reached(place) as there:
        _show(there.migrations.rollback(_chosen(there, space)), as_json)


@migrate.command("finish")
@_space
@click.option("--remove", is_flag=True, help="Remove the old space and its vectors.")
@_placed
def finish(space: str | None, remove: bool, as_json: bool, **place: Any) -> None:
    """End a migration that went live: the old space is no longer written, no rollback any more."""
    with _reached(place) as there:
        _show(there.migrations.finish(_chosen(there, space), remove=remove), as_json)


@migrate.command("abandon")
@_space
@click.option("--remove", is_flag=True, help="Remove the new space and its vectors.")
@_placed
def abandon(space: str | None, remove: bool, as_json: bool, **place: Any) -> None:
    """End a migration that is not live: the new space is no longer written."""
    with _reached(place) as there:
        _show(there.migrations.abandon(_chosen(there, space), remove=remove), as_json)


@contextmanager
def _reached(place: dict[str, Any]) -> Iterator[Any]:
    opener = None
    if place["server"] is None:
        running = runtime(place["device"], place["precision"], place["offline"])
        opener = spaces(place["home"], running)
    with reached(
        place["store"], place["server"], place["token"], place["tls_ca"], None, opener
    ) as there:
        yield there


def _chosen(there: Any, space: str | None) -> str:
    """The space that is named, else that of the only migration that is under way."""
    if space is not None:
        return space
    names = [one.space for one in there.migrations.list() if one.state.under_way]
    if not names:
        raise NotFound("no migration is under way: trichord migrate start SPACE")
    if len(names) > 1:
        raise InvalidInput(f"several migrations are under way, name one: {', '.join(names)}")
    return str(names[0])


def _plain(one: Migration) -> dict[str, Any]:
    return {
        **vars(one),
        "coverage": [vars(part) for part in one.coverage],
        "evaluation": None if one.evaluation is None else vars(one.evaluation),
        "backfill": None if one.backfill is None else vars(one.backfill),
    }


def _alias(alias: AliasInfo) -> str:
    before = f", before that {alias.previous}" if alias.previous else ""
    return f"alias {alias.name} names {alias.space} since {alias.since:%Y-%m-%d %H:%M:%S}{before}"


def _show(one: Migration, as_json: bool) -> None:
    if as_json:
        print_json(_plain(one))
        return
    click.echo(f"{one.source} → {one.space} (alias {one.alias}): {one.state}")
    for part in one.coverage:
        failed = f", {part.failed} failed" if part.failed else ""
        click.echo(
            f"  {part.modality:6} {part.covered} of {part.items} items "
            f"({100 * part.share:.1f} %){failed}"
        )
    if one.require:
        click.echo(f"  required: {', '.join(one.require)}")
    if one.evaluation is not None:
        verdict = "passed" if one.evaluation.passed else "did not pass"
        click.echo(f"  evaluation of snapshot {one.evaluation.snapshot}: {verdict}")
    if one.forced:
        click.echo(f"  forced: {one.forced}")
    if one.backfill is not None:
        click.echo(f"  backfill: {one.backfill.done} of {one.backfill.total}")
