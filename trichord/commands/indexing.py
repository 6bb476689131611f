"""index build, index show."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from trichord.commands.common import catalog, json_option, print_json, store_option
from trichord.errors import MissingExtra

if TYPE_CHECKING:
    from trichord.catalog.index_facts import IndexFacts

STAGES = {"vectors": "reading", "graph": "building", "lists": "building", "tuning": "measuring"}


@click.group()
def index() -> None:
    """The indexes over a store's vectors: a cache. Searching works without, only slower."""


@index.command()
@store_option
@click.option("--recall", default=0.95, show_default=True, help="Recall@10 to reach.")
@click.option("--memory", default=None, metavar="BYTES", help="At most so much each, e.g. 2GB.")
@click.option(
    "--kind",
    type=click.Choice(["auto", "exact", "hnsw", "ivf"]),
    default="auto",
    show_default=True,
    help="auto: the fastest that suits the number of rows and fits.",
)
@click.option("--threads", type=click.IntRange(1), default=None, help="Default: all.")
@click.option(
    "--device",
    type=click.Choice(["cpu", "auto", "gpu"]),
    default="cpu",
    show_default=True,
    help="Where the costly part is built; searches run on the CPU in any case.",
)
@click.option("--space", "spaces", multiple=True, help="Only of this space; may be repeated.")
@click.option("--due", is_flag=True, help="Only those that are missing, damaged or out of date.")
@json_option
def build(
    store: str,
    recall: float,
    memory: str | None,
    kind: str,
    threads: int | None,
    device: str,
    spaces: tuple[str, ...],
    due: bool,
    as_json: bool,
) -> None:
    """Build the indexes anew, tuned to a recall within a budget of memory.

    Servers that are running take them over.
    """
    bar = _Bar(silent=as_json)
    with catalog(store) as opened, bar:
        for name in spaces:
            opened.space_named(name)  # NotFound before hours of work for the others
        built = opened.build_indexes(
            everything=not due,
            spaces=set(spaces) or None,
            on_progress=bar.advance,
            recall_target=recall,
            memory=memory,
            kind=kind,
            threads=threads,
            device=device,
        )
    keys = {(leg.space, leg.modality) for leg in built}
    _tell([facts for facts in _facts(store) if (facts.space, facts.modality) in keys], as_json)
    if not built and not as_json:
        click.echo("nothing to build")


@index.command()
@store_option
@json_option
def show(store: str, as_json: bool) -> None:
    """What indexes there are, how well they answer, what they take, and why they were chosen."""
    _tell(_facts(store), as_json)


def _facts(store: str) -> list[IndexFacts]:
    try:
        from trichord.catalog.index_facts import index_facts
        from trichord.store import Store
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "pylance", "cpu") from None
    with Store.open(store) as opened:
        return index_facts(opened)


def _tell(found: list[IndexFacts], as_json: bool) -> None:
    if as_json:
        print_json([vars(one) for one in found])
        return
    for one in found:
        for line in _lines(one):
            click.echo(line)


def _lines(one: IndexFacts) -> list[str]:
    name = f"{one.space}/{one.modality}"
    if one.problem:
        return [f"{name}: none, {one.segments} vectors are searched one by one"] * bool(
            one.segments
        )
    since = f", {one.segments} now" if one.segments != one.rows else ""
    lines = [
        f"{name}: {one.kind}, {one.rows} rows of snapshot {one.snapshot}{since} ({one.reason})"
    ]
    for target, kinds in one.recall.items():
        chosen = " *" if float(target) == one.recall_target and len(one.recall) > 1 else ""
        measured = ", ".join(f"{kind} {value:.3f}" for kind, value in kinds.items())
        lines.append(f"  recall {target}{chosen}: {measured}")
    age = datetime.now(UTC) - one.created if one.created else None
    lines.append(
        f"  index {_size(one.index_bytes)}, vectors {_size(one.vector_bytes)} (mapped), built in "
        f"{one.build_seconds:.1f} s"
        + ("" if age is None else f", {_span(age.total_seconds())} ago")
    )
    return lines


def _size(count: int) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000  # type: ignore[assignment]
    return f"{count:.3g} GB"


def _span(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


class _Bar:
    """One line per leg and stage on a terminal; nothing elsewhere."""

    def __init__(self, *, silent: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Remaining

        console = Console(stderr=True)
        self._tasks: dict[tuple[Any, str], TaskID] = {}
        self._progress: Progress | None = None
        if not silent and console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                Remaining(),
                console=console,
            )

    def __enter__(self) -> None:
        if self._progress is not None:
            self._progress.start()

    def __exit__(self, *error: Any) -> None:
        if self._progress is not None:
            self._progress.stop()

    def advance(self, key: tuple[str, Any], stage: str, done: int, total: int) -> None:
        if self._progress is None:
            return
        if (key, stage) not in self._tasks:
            name = f"{key[0]}/{key[1]} {STAGES.get(stage, stage)}"
            self._tasks[key, stage] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[key, stage], completed=done, total=total)
