"""stats, verify, compact."""

from __future__ import annotations

from datetime import timedelta

import click

from trichord.commands.common import (
    catalog,
    json_option,
    print_json,
    reached,
    server_options,
    store_option,
)
from trichord.errors import StoreDamaged


@click.command()
@store_option
@server_options
@json_option
def stats(
    store: str, server: str | None, token: str | None, tls_ca: str | None, as_json: bool
) -> None:
    """Count what is stored and say how it is indexed."""
    with reached(store, server, token, tls_ca, None) as there:
        found = there.stats()
    if as_json:
        print_json({**vars(found), "indexes": [vars(index) for index in found.indexes]})
        return
    click.echo(f"snapshot  {found.snapshot} of {found.snapshot_time:%Y-%m-%d %H:%M:%S} UTC")
    click.echo(f"entities  {found.entities}")
    for modality, number in found.items.items():
        click.echo(f"{modality:8}  {number} items")
    for index in found.indexes:
        click.echo(
            f"index     {index.space}/{index.modality}: {index.kind}, {index.rows} rows, "
            f"{index.fresh_rows} fresh, recall@10 {index.measured_recall:.3f}"
        )
    for name, kind in found.attributes.items():
        click.echo(f"attribute {name}: {kind}")
    if found.bytes_on_disk:
        click.echo(f"on disk   {found.bytes_on_disk / 1e6:.1f} MB")
    if found.failures:
        click.echo(f"failed    {found.failures} inputs: see trichord errors")


@click.command()
@store_option
@click.option("--quick", is_flag=True, help="Structure only; do not read every vector.")
@json_option
def verify(store: str, quick: bool, as_json: bool) -> None:
    """Look for damage: checksums, lengths of vectors, incomplete items, lost files.

    Exits with 4 if any is found.
    """
    with catalog(store) as opened:
        report = opened.verify(deep=not quick)
    if as_json:
        print_json({**vars(report), "problems": [vars(problem) for problem in report.problems]})
    else:
        for problem in report.problems:
            click.echo(f"{problem.table} {problem.key}: {problem.message} [{problem.kind}]")
    if report.problems:
        raise StoreDamaged(
            f"{len(report.problems)} problems found; ingest the named items again from their source"
        )
    if not as_json:
        click.echo(f"snapshot {report.snapshot} is sound")


@click.command()
@store_option
@click.option(
    "--retain-hours",
    default=24.0,
    show_default=True,
    help="Keep snapshots of the last hours, for readers that still use them.",
)
def compact(store: str, retain_hours: float) -> None:
    """Remove deleted rows, unreachable segments and small files."""
    with catalog(store) as opened:
        report = opened.compact(retain=timedelta(hours=retain_hours))
    click.echo(
        f"{report.purged_items} deleted items and {report.purged_segments} segments purged, "
        f"{report.files_before} files are {report.files_after} now, "
        f"{report.bytes_freed / 1e6:.1f} MB freed"
    )
