"""What is stored and asked, as files: rows with attributes, queries, and filters over them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

LIMIT = 10
"""How many results every search asks for."""
MODALITIES = ("audio", "image", "text")
MARKETS = ("SE", "DE", "FR", "US", "JP")
PARTS = 1000
"""`part` is uniform in 0 … 999 and knows nothing of the vector: `part < 50` passes 5 %."""


def id_of(row: int) -> str:
    return f"item-{row:09d}"


def row_of(item_id: str) -> int:
    return int(item_id[5:])


@dataclass(frozen=True)
class Where:
    """One comparison, which is all that the filters here are: `part < 50` or `kind = 'image'`."""

    column: str
    operator: str
    value: int | str

    @property
    def sql(self) -> str:
        """As SQL and Trichord's language write it."""
        value = f"'{self.value}'" if isinstance(self.value, str) else self.value
        return f"{self.column} {self.operator} {value}"

    def mask(self, rows: Rows) -> Mask:
        """Which rows pass, bool (n,): by numpy, independent of every engine."""
        if self.column == "kind":
            passing: Mask = rows.kinds == MODALITIES.index(str(self.value))
        else:
            passing = rows.parts < int(self.value)
        return passing

    @classmethod
    def read(cls, value: dict[str, Any] | None) -> Where | None:
        return None if value is None else cls(**value)


@dataclass(frozen=True)
class Rows:
    """Unit vectors float32 (n, dim) with their attributes; row i is number `first` + i.

    `markets`, `kinds`: places in MARKETS and MODALITIES, int8 (n,). `years`, `parts`: int64 (n,).
    """

    first: int
    vectors: F32
    markets: npt.NDArray[np.int8]
    years: I64
    parts: I64
    kinds: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, part: slice) -> Rows:
        first = self.first + (part.start or 0)
        return Rows(
            first,
            self.vectors[part],
            self.markets[part],
            self.years[part],
            self.parts[part],
            self.kinds[part],
        )

    @property
    def dim(self) -> int:
        return int(self.vectors.shape[1])

    @property
    def numbers(self) -> I64:
        return np.arange(self.first, self.first + len(self), dtype=np.int64)

    @property
    def ids(self) -> list[str]:
        return [id_of(row) for row in range(self.first, self.first + len(self))]

    @property
    def market_names(self) -> list[str]:
        return [MARKETS[code] for code in self.markets]

    @property
    def kind_names(self) -> list[str]:
        return [MODALITIES[code] for code in self.kinds]

    def attributes(self) -> list[dict[str, Any]]:
        """A dictionary for each row, for engines that take these."""
        columns = (self.market_names, self.years.tolist(), self.parts.tolist(), self.kind_names)
        return [
            {"market": market, "year": year, "part": part, "kind": kind}
            for market, year, part, kind in zip(*columns, strict=True)
        ]

    def batches(self, size: int) -> Iterator[Rows]:
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("vectors", "markets", "years", "parts", "kinds"):
            np.save(folder / f"{name}.npy", getattr(self, name))
        (folder / "rows.json").write_text(json.dumps({"first": self.first}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Rows:
        """The vectors stay on disk until they are touched."""
        first = json.loads((folder / "rows.json").read_text(encoding="utf-8"))["first"]
        vectors = np.load(folder / "vectors.npy", mmap_mode="r")
        names = ("markets", "years", "parts", "kinds")
        return cls(first, vectors, *(np.load(folder / f"{name}.npy") for name in names))


def as_json(where: Where | None) -> dict[str, Any] | None:
    return None if where is None else asdict(where)
