"""Joint spaces by name, and what the rest of the system needs of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from trichord.embedders.backend import Runtime
from trichord.errors import ModelError, NotFound
from trichord.types import Embedder, Encoder, Frame, Modality, Space

if TYPE_CHECKING:
    from trichord.embedders.registry import Registry

SPACES = ("pocket",)
"""The bundled ones."""

_RUNTIME = Runtime()


class JointSpace(Protocol):
    """Embedders of one frame, and how content is cut into the segments that they embed.

    `space` and `encoders` are known without loading a model; `embedder` loads on first use.
    """

    @property
    def name(self) -> str: ...
    @property
    def space(self) -> Space: ...
    @property
    def encoders(self) -> Mapping[Modality, Encoder]: ...
    @property
    def audio_rate(self) -> int: ...
    @property
    def audio_window_ms(self) -> int: ...
    @property
    def audio_hop_ms(self) -> int: ...
    @property
    def text_chunk_tokens(self) -> int: ...
    @property
    def text_overlap_tokens(self) -> int: ...

    @property
    def token_offsets(self) -> Callable[[str], Sequence[tuple[int, int]]]: ...

    def embedder(self, modality: Modality) -> Embedder: ...


def open_space(
    name: str, registry: Registry | None = None, runtime: Runtime = _RUNTIME
) -> JointSpace:
    """The space of that name: a bundled one, or one of `registry`; its models load when something
    is first embedded.

    Raises NotFound for an unknown name, ModelError when weights are missing or damaged,
    EncoderMismatch when a registered space is no longer what it was.
    """
    if name == "pocket":
        from trichord.embedders.pocket.space import load

        return load()
    registered = [] if registry is None else registry.names()
    if registry is not None and name in registered:
        return registry.open(name, runtime)
    raise NotFound(
        f"there is no space {name!r}; known: {', '.join([*SPACES, *registered])}"
        " (trichord space list; trichord space add)",
        space=name,
    )


def opener(registry: Registry | None, runtime: Runtime = _RUNTIME) -> Callable[[str], JointSpace]:
    """`open_space` with all but the name given. What is registered later is found too."""
    return lambda name: open_space(name, registry, runtime)


@dataclass(frozen=True)
class ReadySpace:
    """A space whose vectors are made elsewhere: they are stored and searched, nothing is embedded.

    `encoder_facts` names what made them, as far as the user says.
    """

    name: str
    frame: Frame
    modalities: tuple[Modality, ...] = tuple(Modality)
    made_by: str = "elsewhere"

    audio_rate: int = 16_000
    audio_window_ms: int = 10_000
    audio_hop_ms: int = 10_000
    text_chunk_tokens: int = 200
    text_overlap_tokens: int = 32

    @property
    def encoders(self) -> Mapping[Modality, Encoder]:
        facts = {"backend": "ready", "made_by": self.made_by, "frame": self.frame.id}
        return {modality: Encoder(modality, facts) for modality in self.modalities}

    @property
    def space(self) -> Space:
        ids = {modality: encoder.id for modality, encoder in self.encoders.items()}
        return Space(self.name, self.frame, ids)

    @property
    def token_offsets(self) -> Callable[[str], Sequence[tuple[int, int]]]:
        raise self._refusal()

    def embedder(self, modality: Modality) -> Embedder:
        raise self._refusal()

    def _refusal(self) -> ModelError:
        return ModelError(
            f"the vectors of space {self.name!r} are made elsewhere: give a vector, not content"
        )
