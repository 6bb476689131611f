"""The command line. It imports the catalogue only inside commands that work in process, so that
`trichord --help` and every command with `--server` start without a model or an index engine.

Exit codes: 0 done · 1 the operation failed · 2 the request is wrong · 3 not found · 4 the state of
the store forbids it (locked, damaged, too new, disk full) · 5 server not reachable or not allowed.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import click

from trichord.commands import (
    evaluating,
    evaluating_spaces,
    finding,
    fitting,
    indexing,
    keeping,
    measuring,
    migrating,
    neighbours,
    serving,
    spaces,
    taking,
)
from trichord.commands.machine import home_option, runtime_options
from trichord.errors import (
    DeadlineExceeded,
    InvalidInput,
    NotFound,
    PermissionDenied,
    StoreError,
    TrichordError,
    Unauthenticated,
    Unavailable,
)

EXIT_CODES: tuple[tuple[type[TrichordError], int], ...] = (
    (InvalidInput, 2),
    (NotFound, 3),
    (StoreError, 4),
    (Unavailable, 5),
    (DeadlineExceeded, 5),
    (Unauthenticated, 5),
    (PermissionDenied, 5),
    (TrichordError, 1),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="trichord", message="trichord %(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Log what happens to standard error.")
@home_option
@runtime_options
def cli(verbose: bool, home: Path | None, device: str, precision: str, offline: bool) -> None:
    """Audio, text and images in one space: ingest, search, serve.

    Commands work on a store of this machine (--store DIR, or TRICHORD_STORE), or with --server
    HOST:PORT (or TRICHORD_SERVER) on a running server. Where models run is said before the command:
    trichord --device cuda serve.
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )


for command in (
    taking.ingest,
    finding.search,
    finding.similar,
    neighbours.neighbours,
    finding.get,
    taking.delete,
    taking.errors,
    keeping.stats,
    keeping.verify,
    keeping.compact,
    indexing.index,
    serving.serve,
    serving.demo,
    spaces.space,
    migrating.migrate,
    evaluating.eval_,
):
    cli.add_command(command)
for part in (fitting.fit, measuring.calibrate, measuring.health):
    spaces.space.add_command(part)
migrating.migrate.add_command(evaluating_spaces.evaluate_)


def main() -> None:
    """Runs a command; every error of ours is one line on standard error and an exit code."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("trichord: interrupted", err=True)
        code = 130
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except TrichordError as error:
        click.echo(f"trichord: {error}", err=True)
        code = next(code for kind, code in EXIT_CODES if isinstance(error, kind))
    except BrokenPipeError:
        # The reader (head, a pager) has gone; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code if isinstance(code, int) else 0)
