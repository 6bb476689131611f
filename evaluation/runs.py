"""A run: what a system found for every query of a golden set, in order, and what it rests on."""

from __future__ import annotations

import json
import math
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from trichord.errors import InvalidInput, NotFound, StorageFull
from trichord.evaluation.assembling import refusal

SCHEMA = 1
EXACT_SCORES = 2**24
"""trec_eval keeps scores as 32-bit floats: whole numbers are told apart up to here."""


@dataclass(frozen=True)
class Found:
    """One query's list, best first: ids of items or entities, the scores that the system gave
    (of a fused list they need not descend), and modalities where they are known."""

    ids: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    modalities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """Lists of all queries. The order of the ids is the ranking; scores are only shown.

    `depth` is how many results were asked for. `errors` says which queries failed and why; they
    count as lists without results. `facts` are what the run rests on: space, frame, snapshots,
    golden (name, version, sha256), options, created, seconds, versions, and notes on what was
    partial. A run read from TREC's format knows only its tag.
    """

    name: str
    lists: Mapping[str, Found] = field(hash=False)
    depth: int
    errors: Mapping[str, str] = field(default_factory=dict, hash=False)
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def golden_sha256(self) -> str:
        """Of the golden set that was asked; empty where it is not known."""
        return str(self.facts.get("golden", {}).get("sha256", ""))

    def save(self, folder: str | Path) -> Path:
        """Writes run.json and results.parquet; raises InvalidInput if the folder exists."""
        target = Path(folder)
        if target.exists():
            raise InvalidInput(f"{target} exists already: a run is never overwritten", path=target)
        temporary = target.parent / f".{target.name}-{secrets.token_hex(4)}"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.mkdir()
            _frame(self).write_parquet(temporary / "results.parquet")
            head = {
                "schema": SCHEMA,
                "name": self.name,
                "depth": self.depth,
                "errors": dict(self.errors),
                "facts": dict(self.facts),
                "queries": list(self.lists),
            }
            body = json.dumps(head, indent=2, ensure_ascii=False)
            (temporary / "run.json").write_text(body + "\n", "utf-8")
            os.rename(temporary, target)
        except OSError as error:
            raise StorageFull(f"cannot write {target}: {error.strerror}", path=target) from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return target


def load(path: str | Path) -> Run:
    """The run in the folder `path`, or of a file in TREC's run format.

    Raises NotFound, InvalidInput for what is damaged.
    """
    place = Path(path)
    if place.is_file():
        return read_trec(place)
    if not (place / "run.json").is_file():
        raise NotFound(f"there is no run at {str(path)!r}", path=path)
    try:
        head = json.loads((place / "run.json").read_text("utf-8"))
        if head["schema"] != SCHEMA:
            raise InvalidInput(
                f"{place} has schema {head['schema']}; this version of Trichord reads {SCHEMA}"
            )
        rows = pl.read_parquet(place / "results.parquet").sort("query_id", "rank")
        lists = {str(query): Found() for query in head["queries"]}
        for (query,), part in rows.group_by("query_id", maintain_order=True):
            lists[str(query)] = Found(
                tuple(part["target_id"]), _known(part["score"]), _known(part["modality"])
            )
        return Run(head["name"], lists, int(head["depth"]), head["errors"], head["facts"])
    except (OSError, KeyError, ValueError, TypeError, pl.exceptions.PolarsError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"the run at {place} cannot be read: {error}", path=path) from None


def read_trec(path: str | Path) -> Run:
    """A run of lines `query Q0 document rank score tag`.

    The order is trec_eval's: by descending score as a 32-bit float, equal scores by descending
    document id; the column of ranks is not looked at. Raises NotFound, and InvalidInput that lists
    the lines of another form and repeated documents.
    """
    place = Path(path)
    try:
        lines = place.read_text("utf-8").splitlines()
    except FileNotFoundError:
        raise NotFound(f"there is no file {str(path)!r}", path=path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", path=path) from None
    rows: dict[str, dict[str, float]] = {}
    wrong: list[str] = []
    tag = ""
    for number, line in enumerate(lines, 1):
        cells = line.split()
        if not cells:
            continue
        score = _score(cells[4]) if len(cells) == 6 else None
        if score is None:
            wrong.append(
                f"line {number}: expected `query Q0 document rank score tag`, got {line!r}"
            )
        elif cells[2] in rows.setdefault(cells[0], {}):
            wrong.append(f"line {number}: query {cells[0]!r} has {cells[2]!r} twice")
        else:
            rows[cells[0]][cells[2]] = score
            tag = tag or cells[5]
    if wrong:
        raise refusal(f"the run {path}", wrong)
    lists = {}
    for query, scores in rows.items():
        # Two stable sorts: ids descending as bytes (C compares so), then scores descending.
        ids = sorted(scores, key=lambda one: one.encode(), reverse=True)
        ids.sort(key=lambda one, of=scores: -of[one])  # type: ignore[misc]
        lists[query] = Found(tuple(ids), tuple(scores[one] for one in ids))
    depth = max((len(found.ids) for found in lists.values()), default=0)
    return Run(tag or place.stem, lists, depth, facts={"source": "trec", "tag": tag})


def write_trec(run: Run, path: str | Path) -> None:
    """TREC's run format. The scores are made of the ranks (depth, depth - 1, …): trec_eval sorts by
    score, and the cosines of a fused list would give another order than the one that was shown.

    Raises InvalidInput for ids with white space, which the format cannot hold.
    """
    lines = []
    tag = "_".join(run.name.split()) or "trichord"
    for query, found in run.lists.items():
        top = max(run.depth, len(found.ids))
        for place, target in enumerate(found.ids):
            for name in (query, target):
                if len(name.split()) != 1:
                    raise InvalidInput(f"TREC's run format cannot hold the id {name!r}")
            lines.append(f"{query} Q0 {target} {place + 1} {top - place} {tag}\n")
    Path(path).write_text("".join(lines), "utf-8")


def _known(column: pl.Series) -> tuple[Any, ...]:
    """Nothing where a list has no such values."""
    return () if column.null_count() else tuple(column)


def _frame(run: Run) -> pl.DataFrame:
    schema = {
        "query_id": pl.String,
        "rank": pl.Int32,
        "target_id": pl.String,
        "score": pl.Float64,
        "modality": pl.String,
    }
    rows = [
        (
            query,
            place + 1,
            target,
            found.scores[place] if found.scores else None,
            found.modalities[place] if found.modalities else None,
        )
        for query, found in run.lists.items()
        for place, target in enumerate(found.ids)
    ]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _score(text: str) -> float | None:
    import numpy as np

    try:
        value = float(np.float32(text))
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None
