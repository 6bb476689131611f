"""Which kind of index suits so many rows within so much memory.

Counted is what a search has to have at hand: the codes and links or lists of an approximate index,
all rows for exact search. The rows beside an approximate index are mapped, not counted: a search
reads some tens of them.
"""

from __future__ import annotations

import re
from typing import Literal

from trichord.errors import InvalidInput
from trichord.index.hnsw import HnswEngine
from trichord.index.ivf import IvfEngine

Kind = Literal["auto", "exact", "hnsw", "ivf"]
KINDS = ("auto", "exact", "hnsw", "ivf")
Memory = int | str | None
"""Bytes, or text such as "2GB" or "512 MiB"; None: as much as it takes."""

_UNITS = {"": 1, "b": 1}
for _power, _letter in enumerate("kmgt", start=1):
    _UNITS |= {_letter: 1000**_power, f"{_letter}b": 1000**_power, f"{_letter}ib": 1024**_power}


def in_bytes(memory: Memory) -> int | None:
    """A budget in bytes. Raises InvalidInput."""
    if memory is None:
        return None
    if isinstance(memory, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", memory.lower())
        if match is None or match[2] not in _UNITS:
            raise InvalidInput(f"memory is given as {memory!r}: write 2GB, 512MB or bytes")
        memory = round(float(match[1]) * _UNITS[match[2]])
    if memory < 1:
        raise InvalidInput(f"memory must be at least 1 byte, not {memory}")
    return memory


def bytes_for(kind: str, rows: int, dim: int) -> int:
    """What a search over an index of the kind has to have in memory, as estimated beforehand."""
    if kind == "exact":
        return 4 * rows * dim
    return (HnswEngine if kind == "hnsw" else IvfEngine).bytes_for(rows, dim)


def told(count: int) -> str:
    """Bytes for people: "131.3 MB"."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}" if unit != "B" else f"{count} B"


def choice(
    kind: str, rows: int, dim: int, memory: int | None, *, exact_below: int, ivf_from: int
) -> tuple[str, str]:
    """The kind to build, and why: the first that fits of those that suit the number of rows, the
    fastest first. Raises InvalidInput if none does."""
    if kind != "auto":
        need = bytes_for(kind, rows, dim)
        if memory is not None and need > memory:
            raise InvalidInput(
                f"{kind} over {rows} rows takes about {told(need)}, more than the {told(memory)} "
                "that are allowed: allow more or let `auto` choose"
            )
        return kind, "asked for"
    if rows < exact_below:
        order = [("exact", f"{rows} rows are fewer than {exact_below}"), ("ivf", f"{rows} rows")]
    elif rows < ivf_from:
        order = [("hnsw", f"{rows} rows"), ("ivf", f"{rows} rows")]
    else:
        order = [("ivf", f"{rows} rows, {ivf_from} or more")]
    tight = ""
    for one, why in order:
        need = bytes_for(one, rows, dim)
        if memory is None or need <= memory:
            return one, why + tight
        tight += f"; {one} would take {told(need)} of {told(memory)}"
    least = min(bytes_for(one, rows, dim) for one, _ in order)
    raise InvalidInput(
        f"no index over {rows} rows of {dim} floats fits into {told(memory or 0)}: the smallest "
        f"takes about {told(least)}",
        needed=least,
    )
