"""Asks a catalogue or a server the queries of a golden set."""

from __future__ import annotations

import inspect
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from typing import Any, Protocol

from trichord.errors import FilterError, InvalidInput, TrichordError
from trichord.evaluation.golden import GoldenQuery, GoldenSet
from trichord.evaluation.runs import Found, Run
from trichord.hits import Hits
from trichord.query import (
    MAX_LIMIT,
    Askable,
    Audio,
    EntityRef,
    Image,
    ItemRef,
    SearchOptions,
    Text,
    as_names,
    as_query,
)
from trichord.results import SpaceInfo
from trichord.types import Group, Modality

Advance = Callable[[int, int], None]

MEDIA_BATCH = 24
"""Queries with pictures or sounds per call: they are embedded while the caller waits."""


class Searcher(Protocol):
    """A `Catalog` or a `Client`; `search_many` takes `SearchOptions` in the one and keywords in the
    other, which `ask` knows."""

    @property
    def search_many(self) -> Callable[..., Sequence[Any]]: ...

    def spaces(self) -> list[SpaceInfo]: ...


def run(
    searcher: Searcher,
    golden: GoldenSet,
    *,
    space: str | None = None,
    k: int = 100,
    exact: bool = False,
    modality: str | Sequence[str] | None = None,
    fuse: str = "rrf",
    name: str = "",
    batch: int = 128,
    on_progress: Advance | None = None,
) -> Run:
    """Asks every query for its first `k` items, or entities where the set judges these.

    `modality` is searched instead of what the queries say. A query that fails is a list without
    results and stands in `errors`. `on_progress(done, total)` is called after every batch.

    Raises InvalidInput for a set without questions (judgements alone) and for `k` out of range;
    NotFound for an unknown space, Unavailable and the like, which concern all queries.
    """
    if not 1 <= k <= MAX_LIMIT:
        raise InvalidInput(f"k must be 1 to {MAX_LIMIT}, not {k}")
    if not golden.queries[0].kind:
        raise InvalidInput(
            f"the golden set {golden.label} holds judgements alone: import it with its queries, or "
            "give a run that exists"
        )
    group = Group.ENTITY if golden.judges == "entity" else Group.ITEM
    start, created = time.perf_counter(), datetime.now(UTC)
    lists: dict[str, Found] = {query.query_id: Found() for query in golden.queries}
    errors: dict[str, str] = {}
    rests = _Rests()
    done = 0
    for part in _parts(golden, as_names(modality), batch):
        options = SearchOptions(
            modality=part[0].modality if not modality else as_names(modality),
            where=part[0].where,
            limit=k,
            group=group,
            fuse=fuse,
            exact=exact,
        )
        for query, answer in zip(
            part, _answers(searcher, golden, part, options, space), strict=True
        ):
            if isinstance(answer, TrichordError):
                errors[query.query_id] = f"{answer.reason}: {answer}"
            else:
                lists[query.query_id] = found(answer, group)
                rests.add(answer)
        done += len(part)
        if on_progress is not None:
            on_progress(done, len(golden.queries))
    used = rests.space or space or ""
    facts: dict[str, Any] = {
        "space": used,
        "frame": _frame(searcher, used),
        "snapshots": sorted(rests.snapshots),
        "golden": {"name": golden.name, "version": golden.version, "sha256": golden.sha256},
        "options": {
            "space": space,
            "k": k,
            "exact": exact,
            "fuse": fuse,
            "group": str(group),
            "modality": list(as_names(modality)),
        },
        "created": created.isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - start, 3),
        "versions": _versions(),
        "notes": rests.notes(),
    }
    return Run(name or used or "run", lists, k, errors, facts)


def ask(
    searcher: Searcher, asked: Sequence[Askable], options: SearchOptions, space: str | None
) -> Sequence[Hits | TrichordError]:
    """One answer or error per query, the same of a catalogue and of a client."""
    search = searcher.search_many
    given = inspect.signature(search).parameters.get("options")
    if given is not None and given.kind is not inspect.Parameter.VAR_KEYWORD:
        return search([as_query(one) for one in asked], options, space=space)
    keywords: dict[str, Any] = {
        "modality": options.modality,
        "where": options.where,
        "limit": options.limit,
        "group": options.group,
        "attributes": options.attributes,
        "fuse": options.fuse,
        "exact": options.exact,
        "page_token": options.page_token,
    }
    return search(list(asked), space=space, errors="return", **keywords)


def space_info(searcher: Searcher, space: str | None) -> SpaceInfo | None:
    """The space of that name, or the default one; None for a name that is an alias."""
    for info in searcher.spaces():
        if info.space.name == space or (space is None and info.default):
            return info
    return None


def searchable(searcher: Searcher, space: str | None) -> list[str]:
    """Names of the modalities that the space has encoders for; all where that is not known."""
    info = space_info(searcher, space)
    return [str(one) for one in (Modality if info is None else info.space.encoders)]


def question(golden: GoldenSet, query: GoldenQuery) -> Askable:
    """What the query asks with. Raises InvalidInput, MediaError, NotFound."""
    if query.text is not None:
        return Text(query.text)
    if query.item_id is not None:
        return ItemRef(query.item_id)
    if query.entity_id is not None:
        return EntityRef(query.entity_id)
    data = golden.bytes_of(query)
    if kind_of(golden, query) is Modality.AUDIO:
        return Audio(data)
    return Image(data)


def kind_of(golden: GoldenSet, query: GoldenQuery) -> Modality:
    """What the file of a query is, by its first bytes; raises MediaError for another kind."""
    from trichord.embedders.media.sniff import HEAD_BYTES, sniff
    from trichord.errors import MediaError

    kind = sniff(golden.bytes_of(query)[:HEAD_BYTES], query.uri or "").modality
    if kind is Modality.TEXT:
        raise MediaError(f"{query.uri!r} is text: put it into the column `text`")
    return kind


def found(hits: Hits, group: Group) -> Found:
    """The list of an answer; an id that comes twice counts at its better place."""
    ids = hits.entity_ids if group is Group.ENTITY else hits.item_ids
    first: dict[str, int] = {}
    for row, one in enumerate(ids):
        first.setdefault(str(one), row)
    rows = list(first.values())
    return Found(
        tuple(first),
        tuple(float(hits.scores[row]) for row in rows),
        tuple(str(hits.modalities[row]) for row in rows),
    )


class _Rests:
    """What the answers of a run rest on."""

    def __init__(self) -> None:
        self.space = ""
        self.snapshots: set[int] = set()
        self.partial = 0
        self.uncovered = 0
        self.lowest = 1.0
        self.said: dict[str, int] = {}

    def add(self, hits: Hits) -> None:
        self.space = self.space or hits.space
        self.snapshots.add(int(hits.snapshot))
        self.partial += hits.partial
        self.uncovered += hits.coverage < 1.0
        self.lowest = min(self.lowest, float(hits.coverage))
        for note in hits.notes:
            self.said[note] = self.said.get(note, 0) + 1

    def notes(self) -> list[str]:
        lines = []
        if len(self.snapshots) > 1:
            lines.append("the store changed while it was asked: answers rest on several snapshots")
        if self.partial:
            lines.append(f"{self.partial} answers were partial")
        if self.uncovered:
            lines.append(
                f"{self.uncovered} answers could not reach all rows (least: {self.lowest:.1%})"
            )
        return lines + [f"{note} ({count} answers)" for note, count in self.said.items()]


def _parts(golden: GoldenSet, modality: tuple[str, ...], batch: int) -> list[list[GoldenQuery]]:
    """Queries that can travel together: equal options, so many at once."""
    groups: dict[tuple[Any, ...], list[GoldenQuery]] = {}
    for query in golden.queries:
        key = (modality or query.modality, query.where, query.uri is not None)
        groups.setdefault(key, []).append(query)
    parts = []
    for (_, _, media), members in groups.items():
        size = min(batch, MEDIA_BATCH) if media else batch
        parts += [members[start : start + size] for start in range(0, len(members), size)]
    return parts


def _answers(
    searcher: Searcher,
    golden: GoldenSet,
    part: Sequence[GoldenQuery],
    options: SearchOptions,
    space: str | None,
) -> list[Hits | TrichordError]:
    answers: dict[int, Hits | TrichordError] = {}
    asked: dict[int, Askable] = {}
    for place, query in enumerate(part):
        try:
            asked[place] = question(golden, query)
        except InvalidInput as error:
            answers[place] = error
    if asked:
        try:
            got = ask(searcher, list(asked.values()), options, space)
        except FilterError as error:
            got = [error] * len(asked)  # of these queries' own filter
        answers.update(zip(asked, got, strict=True))
    return [answers[place] for place in range(len(part))]


def _frame(searcher: Searcher, space: str) -> str:
    frames = {info.space.name: info.space.frame.id for info in searcher.spaces()}
    return frames.get(space, "")


def _versions() -> Mapping[str, str]:
    found = {"python": platform.python_version()}
    for package in ("trichord", "ir-measures", "pytrec-eval-terrier"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
