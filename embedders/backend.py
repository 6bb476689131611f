"""What every model family offers, and how a model is run. No heavy import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from trichord.errors import InvalidInput
from trichord.types import Embedder, Frame, Modality

PRECISIONS = ("fp32", "bf16", "fp16", "auto")


@dataclass(frozen=True)
class Runtime:
    """Where and how models run; nothing of it belongs to an encoder's identity.

    `device`: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", "mps". `precision` of the
    weights: "fp32", "bf16", "fp16", or "auto": on a CPU the faster of fp32 and bf16 as measured
    when a tower is loaded, on a GPU bf16 where it has it. `batch`: segments per forward pass; None
    takes each family's own. `offline`: never ask a model hub. `cache`: folder of downloaded
    weights; None is the hub library's own.
    """

    device: str = "auto"
    precision: str = "fp32"
    batch: int | None = None
    offline: bool = False
    cache: Path | None = None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise InvalidInput(
                f"precision is one of {', '.join(PRECISIONS)}, not {self.precision!r}"
            )
        if self.batch is not None and self.batch < 1:
            raise InvalidInput(f"batch must be at least 1, not {self.batch}")


@dataclass(frozen=True)
class AudioCut:
    """How a family wants sound: `rate` in Hz, windows of `window_ms` every `hop_ms`."""

    rate: int
    window_ms: int
    hop_ms: int


@dataclass(frozen=True)
class TextCut:
    """How a family wants long text: chunks of `chunk_tokens` tokens (special tokens not counted)
    that overlap by `overlap_tokens`."""

    chunk_tokens: int
    overlap_tokens: int


class Backend(Protocol):
    """One model of one family, which embeds one or more modalities into its own frame.

    Constructing one reads configuration and checksums, never the weights into memory; the first
    `embedder` loads the model. All raise ModelError for what is missing, damaged or false (random
    weights, an empty tokenizer, a wrong dimension), MissingExtra without the family's package.
    Thread-safe.
    """

    @property
    def frame(self) -> Frame:
        """The model's own geometry; its anchor names the model and the hash of its weights."""
        ...

    @property
    def modalities(self) -> frozenset[Modality]: ...
    @property
    def audio(self) -> AudioCut | None: ...
    @property
    def text(self) -> TextCut | None: ...

    @property
    def image_side(self) -> int | None:
        """Pixels of the square that the image tower sees; decoding need not keep much more."""
        ...

    def facts(self, modality: Modality) -> Mapping[str, Any]:
        """All that changes a vector of the modality, as JSON values (see types.Encoder)."""
        ...

    def token_offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """(start, end) characters of every token of a text, special tokens left out."""
        ...

    def embedder(self, modality: Modality) -> Embedder: ...
