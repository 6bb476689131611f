"""The whole way once: files, ingest, a server of its own, questions over gRPC, a page."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from trichord.catalog import Catalog
from trichord.client import Client
from trichord.demo import own_questions, sample_questions, telling
from trichord.demo.asking import ask
from trichord.demo.page import Contents, write_page
from trichord.demo.questions import Answer, Question, Section, scores
from trichord.demo.sample import render
from trichord.demo.serving import served
from trichord.embedders.media.sniff import SUPPORTED
from trichord.errors import InvalidInput, NotFound
from trichord.results import Stats
from trichord.sources import TABLES, read_table
from trichord.types import IngestReport, Item, Modality

FLOOR = 0.75
"""In every direction at least this share of the questions must have a right answer among the first
three hits; a random order has one in less than 4 of 100. Measured: 0.87 and above."""

MIX_FLOOR = 0.5
"""The same for a mix of two things, of which both must be among the first four hits."""

PATIENCE_S = 300.0
"""For one call: the first one also loads the models, and the machine may be busy."""

PAGE = "demo.html"
HOW_TO_READ = (
    "The number under a hit is its cosine; lists of several kinds are merged by rank, so there it "
    "need not fall from hit to hit. Sounds are cut to six seconds and brought to one level."
)
SHOWN = {
    Section.CONTENT: 3,
    Section.ITEM: 1,
    Section.ENTITY: 1,
    Section.FILTER: 4,
    Section.MOMENT: 4,
    Section.MIX: 3,
}
"""Questions of each direction that the page shows; all are asked."""


@dataclass(frozen=True)
class _Asked:
    answers: list[Answer]
    items: dict[str, Item]
    stats: Stats
    seconds: float


def run(output: Path, media: Path | None = None, *, console: Console) -> int:
    """Runs the demo below the folder `output` and returns the exit code.

    Without `media` a sample catalogue is rendered and the answers are judged: 0 if every direction
    clears `FLOOR` and no hit breaks its filter, else 1. With `media`, a folder of one's own files,
    they are ingested and searched the same way, without a judgement; it gives 0.
    A second run finds its files and its store and changes nothing.

    Raises the typed errors of what it uses: ModelError (fonts or weights are missing), InvalidInput
    (`media` holds nothing to search), StoreError, Unavailable (the server did not come up).
    """
    return _own(output, media, console) if media is not None else _sample(output, console)


def _sample(output: Path, console: Console) -> int:
    output.mkdir(parents=True, exist_ok=True)
    with _progress(console, "render") as advance:
        sample = render(output, on_progress=advance)
    kept = f"{sample.items - sample.written} were there already" if sample.written else "all there"
    console.print(
        f"Sample: {len(sample.entries)} entities in {sample.items} files below "
        f"{sample.media}, attributes in {sample.table.name} ({sample.written} written, {kept})"
    )
    store = output / "store"
    _ingest(store, (sample.media, sample.table), console)
    questions = sample_questions.questions(sample.entries)
    with (
        served(store, output / "server.log") as address,
        Client(address, timeout=PATIENCE_S) as client,
    ):
        asked = _ask(client, questions, address, console)
    judged = scores(asked.answers, FLOOR, {Section.MIX: MIX_FLOOR})
    selection = _selection(asked.answers)
    telling.tell_examples(console, selection)
    telling.tell_scores(console, judged)
    passed = bool(judged) and all(score.passed for score in judged)
    size = write_page(
        output / PAGE,
        Contents(
            "Trichord",
            "Sounds, pictures and texts in one space. Every answer below came from a running "
            "server over gRPC, from a small catalogue of drawn pictures and rendered sounds; a "
            "tick marks a hit that is right.",
            asked.stats,
            selection,
            judged,
            asked.items,
            (
                f"{len(asked.answers)} questions were asked; the page shows some of each kind, not "
                "the best of them. The pictures and sounds that ask were drawn apart from the "
                "catalogue.",
                HOW_TO_READ,
            ),
        ),
    )
    _tell_end(console, output / PAGE, size)
    if not passed:
        short = [score for score in judged if not score.passed]
        console.print(
            f"[red]{len(short)} of {len(judged)} directions are below the floor ({FLOOR:.0%}, "
            f"{MIX_FLOOR:.0%} for mixes) or break a filter[/red]"
        )
    return 0 if passed else 1


def _own(output: Path, media: Path, console: Console) -> int:
    media = media.resolve()
    if not media.is_dir():
        raise NotFound(f"there is no folder {str(media)!r}", path=media)
    files = own_questions.files_of(media)
    ids = [path.relative_to(media).as_posix() for paths in files.values() for path in paths]
    if not ids:
        raise InvalidInput(
            f"{str(media)!r} holds no files to search; taken are {SUPPORTED}", path=media
        )
    digest = hashlib.sha256(str(media).encode()).hexdigest()[:8]
    folder = output / "own" / f"{media.name}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    store = folder / "store"
    tables = []
    for path in sorted(media.iterdir()):
        if path.suffix.lower() in TABLES and path.is_file():
            try:
                read_table(path)
            except InvalidInput as error:
                console.print(f"Table left out: {error}", markup=False)
            else:
                tables.append(path)
    _ingest(store, (media, *tables), console)
    with (
        served(store, folder / "server.log") as address,
        Client(address, timeout=PATIENCE_S) as client,
    ):
        found = client.get(ids)
        questions = own_questions.questions(media, found, client.stats().attributes)
        if not questions:
            raise InvalidInput(
                f"nothing below {str(media)!r} could be taken: see the errors with "
                f"`trichord errors --store {store}`",
                path=media,
            )
        asked = _ask(client, questions, address, console)
    telling.tell_examples(console, asked.answers)
    present = {item.modality for item in found.items}
    absent = [str(modality) for modality in Modality if modality not in present]
    notes = [f"The folder has no {name} that could be taken." for name in absent]
    for note in notes:
        console.print(note)
    size = write_page(
        folder / PAGE,
        Contents(
            media.name,
            "Your own files, asked by what is in them and by their names. Nobody has judged these "
            "answers: look and listen.",
            asked.stats,
            asked.answers,
            items=asked.items,
            notes=(*notes, HOW_TO_READ),
        ),
    )
    _tell_end(console, folder / PAGE, size)
    return 0


def _ingest(store: Path, paths: Sequence[Path], console: Console) -> IngestReport:
    with Catalog.open(store) as catalog, _progress(console, "ingest") as advance:
        report = catalog.ingest(*paths, on_progress=advance)
    if not (report.added or report.changed or report.failed):
        console.print(f"Ingest: nothing changed, {report.unchanged} inputs are stored already")
    else:
        console.print(
            f"Ingest: {report.added} added, {report.changed} changed, "
            f"{report.unchanged} unchanged, {report.failed} failed"
        )
    for error in report.errors[:5]:
        console.print(f"  {error.source}: {error.message}", markup=False)
    return report


def _ask(client: Client, questions: Sequence[Question], address: str, console: Console) -> _Asked:
    stats = client.stats()
    telling.tell_store(console, stats)
    start = time.perf_counter()
    answers = ask(client, questions)
    seconds = time.perf_counter() - start
    console.print(f"{len(questions)} questions over gRPC to {address} in {seconds:.1f} s")
    ids = {row.item_id for answer in answers for row in answer.rows}
    ids |= {shown.item_id for answer in answers for shown in answer.question.shown}
    items = client.get(sorted(ids - {""})).items
    return _Asked(answers, {item.item_id: item for item in items}, stats, seconds)


def _selection(answers: Sequence[Answer]) -> list[Answer]:
    """Some answers of each direction, at places that differ from direction to direction, so that
    the page does not show the same few things in all of them."""
    directions: dict[tuple[Section, str, str], list[Answer]] = {}
    for answer in answers:
        directions.setdefault(answer.question.direction, []).append(answer)
    chosen: list[Answer] = []
    for number, (direction, given) in enumerate(directions.items()):
        count = min(SHOWN[direction[0]], len(given))
        step = len(given) // count
        chosen += [given[(number + place * step) % len(given)] for place in range(count)]
    return chosen


def _tell_end(console: Console, page: Path, size: int) -> None:
    console.print(f"Page: {page.resolve()} ({size / 1e6:.1f} MB), open it in a browser")


@contextmanager
def _progress(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    ) as progress:
        task = progress.add_task(what, total=None)

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield advance
