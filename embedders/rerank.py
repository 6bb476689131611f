"""What reads a question and a text together and says how well they fit. No heavy import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from trichord.embedders.backend import Runtime
from trichord.types import F32

_DEFAULT_RUNTIME = Runtime()


class Reranker(Protocol):
    """A model that scores pairs of texts. It knows nothing ahead of a question, so it is for the
    few best that something else found. Thread-safe.

    Constructing one reads configuration and checksums; the first `score` (or `load`) loads the
    weights, and raises ModelError for what is missing, damaged or random.
    """

    @property
    def name(self) -> str: ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """All that changes a score, as JSON values: where an order comes from."""
        ...

    @property
    def batch(self) -> int:
        """Texts per call that keep the model busy."""
        ...

    def load(self) -> None: ...

    def score(self, query: str, texts: Sequence[str]) -> F32:
        """How well each text answers the query, float32 (n,) in the order of the texts, higher is
        better; numbers of one query are comparable, and no others. A score depends neither on
        chance nor (but for rounding) on the other texts; it is never NaN. Raises InvalidInput for
        what is no text."""
        ...


def open_reranker(
    folder: str | Path, *, max_tokens: int | None = None, runtime: Runtime = _DEFAULT_RUNTIME
) -> Reranker:
    """The cross-encoder in a folder, as sentence-transformers saves one or as it is downloaded from
    a hub; nothing is fetched. `max_tokens` of question and text together are read, what is behind
    is cut off; None: as many as the model takes.

    Raises ModelError for a folder that holds none, InvalidInput.
    """
    from trichord.embedders.sentence.cross_encoder import CrossEncoderModel

    return CrossEncoderModel(folder, max_tokens=max_tokens, runtime=runtime)
