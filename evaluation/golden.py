"""A golden set: queries, what answers them and how well, kept as versioned tables.

    covers/
      v1/golden.toml  queries.parquet  judgements.parquet  media/…
      v2/…

A version is never changed once it is written; its sha256 covers every query, judgement and file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import polars as pl

from trichord.errors import InvalidInput, NotFound, StorageFull

Judges = Literal["item", "entity"]

SCHEMA = 1
CONTENT = ("text", "uri", "item_id", "entity_id")
OPTIONS = ("modality", "where")
RESERVED = ("query_id", *CONTENT, *OPTIONS)

_VERSION = re.compile(r"v([1-9][0-9]*)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class GoldenQuery:
    """One question. At most one of `text`, `uri` (a picture or sound, relative to the set's
    folder), `item_id` and `entity_id` says what is asked; a set made of judgements alone has none.

    `modality` says what is searched (empty: everything), `where` is a filter as people type it,
    `slices` are the further columns ("market" -> "SE").
    """

    query_id: str
    text: str | None = None
    uri: str | None = None
    item_id: str | None = None
    entity_id: str | None = None
    modality: tuple[str, ...] = ()
    where: str | None = None
    slices: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def kind(self) -> str:
        """ "text", "uri", "item_id", "entity_id", or "" where nothing is asked."""
        return next((name for name in CONTENT if getattr(self, name) is not None), "")

    @property
    def shown(self) -> str:
        """What is asked, in one line for people."""
        kind = self.kind
        return "" if not kind else str(getattr(self, kind))

    def row(self, columns: Sequence[str]) -> dict[str, Any]:
        """Flat, as in queries.parquet."""
        fixed: dict[str, Any] = {name: getattr(self, name) for name in ("query_id", *CONTENT)}
        fixed |= {"modality": ",".join(self.modality) or None, "where": self.where}
        return fixed | {name: self.slices.get(name) for name in columns}


@dataclass(frozen=True)
class GoldenSet:
    """Queries and their judgements: query id -> id of an item or entity -> grade (0: looked at and
    not relevant; the higher, the better). `version` is 0 until the set is saved. `complete`: what
    is not listed is known to be wrong, not just not looked at.

    Build it with `trichord.evaluation.assembling.assemble`, which refuses contradictions.
    """

    name: str
    queries: tuple[GoldenQuery, ...]
    judgements: Mapping[str, Mapping[str, int]] = field(hash=False)
    judges: Judges = "item"
    version: int = 0
    description: str = ""
    complete: bool = False
    created: datetime | None = None
    folder: Path | None = field(default=None, compare=False)

    @property
    def slice_columns(self) -> tuple[str, ...]:
        """Names of the slice columns, in order of their first appearance."""
        return tuple(dict.fromkeys(name for query in self.queries for name in query.slices))

    @property
    def label(self) -> str:
        return f"{self.name} v{self.version}" if self.version else f"{self.name} (not saved)"

    @cached_property
    def sha256(self) -> str:
        """Of the content: what is asked, how, the judgements, the slices and the bytes of the
        files; neither of name, description, version nor order. Raises NotFound for a lost file."""
        digest = hashlib.sha256()

        def add(value: Any) -> None:
            text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
            digest.update(text.encode() + b"\n")

        add({"schema": SCHEMA, "judges": self.judges, "complete": self.complete})
        for query in sorted(self.queries, key=lambda one: one.query_id):
            row = {name: value for name, value in query.row(()).items() if value is not None}
            row["slices"] = dict(query.slices)
            if query.uri is not None:
                row["content"] = hashlib.sha256(self.bytes_of(query)).hexdigest()
            add(row)
            add(dict(self.judgements.get(query.query_id, {})))
        return digest.hexdigest()

    def path_of(self, query: GoldenQuery) -> Path:
        """The file that the query asks with."""
        if query.uri is None:
            raise InvalidInput(f"query {query.query_id!r} asks with no file")
        return (self.folder or Path()) / query.uri

    def bytes_of(self, query: GoldenQuery) -> bytes:
        path = self.path_of(query)
        try:
            return path.read_bytes()
        except OSError as error:
            raise NotFound(
                f"query {query.query_id!r} asks with {str(path)!r}: {error.strerror}", path=path
            ) from None

    def relevant(self, query_id: str, rel: int = 1) -> dict[str, int]:
        """What answers the query: ids with a grade of at least `rel`, best first."""
        grades = self.judgements.get(query_id, {})
        found = {target: grade for target, grade in grades.items() if grade >= rel}
        return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))

    def save(self, root: str | Path) -> GoldenSet:
        """Writes the next version below `root`/`name` and returns it; files are copied along.

        Raises InvalidInput when somebody else wrote that version meanwhile, StorageFull.
        """
        checked_name(self.name)
        home = Path(root) / self.name
        version = max(versions(home), default=0) + 1
        target = home / f"v{version}"
        saved = replace(
            self, version=version, created=datetime.now(UTC).replace(microsecond=0), folder=target
        )
        sha256 = self.sha256
        try:
            home.mkdir(parents=True, exist_ok=True)
            temporary = home / f".v{version}-{secrets.token_hex(4)}"
            temporary.mkdir()
            try:
                _write(saved, self, sha256, temporary)
                os.rename(temporary, target)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        except FileExistsError:
            raise InvalidInput(f"{target} exists already: save once more for a new one") from None
        except OSError as error:
            if target.exists():
                raise InvalidInput(
                    f"{target} exists already: save once more for a new one"
                ) from None
            raise StorageFull(f"cannot write {target}: {error.strerror}", path=target) from None
        return saved


def versions(home: Path) -> list[int]:
    """The versions of the set at `home`, ascending; empty if there is none."""
    if not home.is_dir():
        return []
    found = (_VERSION.fullmatch(path.name) for path in home.iterdir())
    return sorted(int(match[1]) for match in found if match)


def load(path: str | Path, *, verify: bool = True) -> GoldenSet:
    """The set at `path`: a version's folder, or the set's folder (then its newest version).

    Raises NotFound, and InvalidInput for a set that was changed after it was written; `verify`
    False skips the comparison of its content with its sha256.
    """
    from trichord.evaluation.assembling import assemble

    folder = Path(path)
    if not (folder / "golden.toml").is_file():
        known = versions(folder)
        if not known:
            raise NotFound(
                f"there is no golden set at {str(path)!r}: make one with `trichord eval golden "
                "import` or `from-attribute`",
                path=path,
            )
        folder = folder / f"v{known[-1]}"
    try:
        facts = tomllib.loads((folder / "golden.toml").read_text("utf-8"))
        if facts["schema"] != SCHEMA:
            raise InvalidInput(
                f"{folder} has schema {facts['schema']}; this version of Trichord reads {SCHEMA}"
            )
        queries = pl.read_parquet(folder / "queries.parquet").to_dicts()
        judged = pl.read_parquet(folder / "judgements.parquet").rows()
        golden = assemble(
            str(facts["name"]),
            queries,
            [(query_id, target, grade) for query_id, target, grade in judged],
            judges=facts["judges"],
            description=str(facts["description"]),
            complete=bool(facts["complete"]),
            folder=folder,
        )
        created = facts["created"]
        golden = replace(golden, version=int(facts["version"]), created=created)
        wanted = str(facts["sha256"])
    except (OSError, KeyError, ValueError, TypeError, pl.exceptions.PolarsError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"the golden set at {folder} cannot be read: {error}") from None
    if verify and golden.sha256 != wanted:
        raise InvalidInput(
            f"the golden set at {folder} was changed after it was written: its sha256 is "
            f"{golden.sha256[:16]}, golden.toml says {wanted[:16]}; save changes as a new version"
        )
    return golden


def checked_name(name: str) -> str:
    """`name` if it can be a folder's name; raises InvalidInput."""
    if not _NAME.fullmatch(name) or _VERSION.fullmatch(name):
        raise InvalidInput(
            f"{name!r} cannot name a golden set: use letters, digits, '.', '_' and '-', and not "
            "the form of a version (v1)"
        )
    return name


def safe_uri(uri: str) -> bool:
    """Whether a uri stays below the set's folder."""
    path = PurePosixPath(uri)
    return bool(uri) and not path.is_absolute() and ".." not in path.parts and "\\" not in uri


def _write(saved: GoldenSet, source: GoldenSet, sha256: str, folder: Path) -> None:
    columns = saved.slice_columns
    text = dict.fromkeys((*RESERVED, *columns), pl.String)
    rows = [query.row(columns) for query in saved.queries]
    pl.DataFrame(rows, schema=text).write_parquet(folder / "queries.parquet")
    judged = [
        (query.query_id, target, grade)
        for query in saved.queries
        for target, grade in sorted(saved.judgements.get(query.query_id, {}).items())
    ]
    schema = {"query_id": pl.String, "target_id": pl.String, "grade": pl.Int64}
    pl.DataFrame(judged, schema=schema, orient="row").write_parquet(folder / "judgements.parquet")
    for query in saved.queries:
        if query.uri is not None:
            copy = folder / query.uri
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.bytes_of(query))
    created = saved.created or datetime.now(UTC)
    lines = {
        "schema": str(SCHEMA),
        "name": toml_string(saved.name),
        "version": str(saved.version),
        "description": toml_string(saved.description),
        "created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "judges": toml_string(saved.judges),
        "complete": str(saved.complete).lower(),
        "queries": str(len(saved.queries)),
        "judgements": str(len(judged)),
        "sha256": toml_string(sha256),
    }
    body = "".join(f"{key} = {value}\n" for key, value in lines.items())
    (folder / "golden.toml").write_text(body, "utf-8")


def toml_string(text: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's, but for DEL, which TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
