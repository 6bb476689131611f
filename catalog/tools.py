"""What a search may use besides the vectors: an index of words, and a cross-encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from trichord.index.batching import Batcher
from trichord.types import F32, I64, Bool


class Words(Protocol):
    """Finds items by their words; see `trichord.catalog.keywords`."""

    def search(self, text: str, k: int, allowed: Bool | None) -> tuple[I64, F32]:
        """Rows of the item table, best first, int64 (m,), and their BM25 scores, float32 (m,)."""
        ...


class SecondOpinion(Protocol):
    """Scores texts against a query under a deadline; see `trichord.catalog.reranking`."""

    def scores(self, query: str, texts: Sequence[str], deadline_s: float) -> tuple[F32, str | None]:
        """float32 (m,) for the first m texts that were ready in time, and why there are not more
        (None: all are there)."""
        ...


@dataclass(frozen=True)
class Tools:
    """`words` opens the index of words of the searched view when it is first needed. `meeting`:
    where queries of many threads meet; None: there is one thread, or few."""

    words: Callable[[], Words] | None = None
    reranker: SecondOpinion | None = None
    meeting: Batcher[Any, Any] | None = None
