"""A joint space from the parts of a definition. No heavy import."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from trichord.embedders.backend import AudioCut, Backend, Runtime, TextCut
from trichord.embedders.definition import Definition, Part
from trichord.embedders.families import FAMILIES, open_backend
from trichord.errors import FrameMismatch, InvalidInput, ModelError, TrichordError
from trichord.types import Embedded, Embedder, Encoder, Frame, Modality, Role, Space

if TYPE_CHECKING:
    from trichord.embedders.bridge.projector import Projector

Opener = Callable[[str, str, Mapping[str, Any], Runtime], Backend]
"""As `families.open_backend`."""

_UNUSED_SOUND = AudioCut(16_000, 10_000, 10_000)
_UNUSED_TEXT = TextCut(200, 32)
_UNIT = 1e-3


@dataclass(frozen=True)
class _Opened:
    """What embeds one modality, once its configuration is read."""

    backend: Backend
    projector: Projector | None
    encoder: Encoder


class ComposedSpace:
    """A `trichord.embedders.spaces.JointSpace` whose parts may be of different models.

    Its frame is that of the anchor part (images if there are any, else text, else sound). A part
    of another frame goes through its projector. Parts of one model share one `Backend`. Nothing is
    opened before it is asked for; `frame`, `space` and `encoders` read configurations and
    checksums, `embedder` loads. Thread-safe.

    These raise FrameMismatch for a part whose frame no projector leads into the space's,
    InvalidInput for a modality or a window that a model does not take, ModelError, MissingExtra.
    """

    def __init__(
        self,
        definition: Definition,
        runtime: Runtime = Runtime(),  # noqa: B008 (frozen)
        *,
        opener: Opener = open_backend,
    ) -> None:
        self.definition = definition
        self.runtime = runtime
        self._opener = opener
        self._lock = threading.Lock()
        self._loading = {modality: threading.Lock() for modality in Modality}
        self._parts: dict[Modality, _Opened] | None = None
        self._embedders: dict[Modality, PartEmbedder] = {}

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def frame(self) -> Frame:
        return self._opened[self.definition.anchor].backend.frame

    @property
    def encoders(self) -> Mapping[Modality, Encoder]:
        return {modality: part.encoder for modality, part in self._opened.items()}

    @property
    def space(self) -> Space:
        ids = {modality: part.encoder.id for modality, part in self._opened.items()}
        return Space(self.name, self.frame, ids)

    @property
    def audio_rate(self) -> int:
        return self._sound.rate

    @property
    def audio_window_ms(self) -> int:
        return self._sound.window_ms

    @property
    def audio_hop_ms(self) -> int:
        return self._sound.hop_ms

    @property
    def text_chunk_tokens(self) -> int:
        return self._text.chunk_tokens

    @property
    def text_overlap_tokens(self) -> int:
        return self._text.overlap_tokens

    @property
    def image_side(self) -> int | None:
        """Pixels of the square that the image tower sees; None without images or a fixed size."""
        part = self._opened.get(Modality.IMAGE)
        return None if part is None else part.backend.image_side

    @property
    def token_offsets(self) -> Callable[[str], Sequence[tuple[int, int]]]:
        part = self._opened.get(Modality.TEXT)
        if part is None:
            raise InvalidInput(f"the space {self.name!r} takes no text")
        return part.backend.token_offsets

    def embedder(self, modality: Modality) -> Embedder:
        """The embedder of one modality, made once; its vectors are in the space's frame."""
        part = self._opened.get(modality)
        if part is None:
            raise InvalidInput(f"the space {self.name!r} has no encoder for {modality}")
        with self._loading[modality]:  # others go on meanwhile
            if modality not in self._embedders:
                self._embedders[modality] = PartEmbedder(
                    part.backend.embedder(modality), self.frame, part.encoder, part.projector
                )
            return self._embedders[modality]

    @property
    def _sound(self) -> AudioCut:
        part = self._opened.get(Modality.AUDIO)
        if part is None:
            return _UNUSED_SOUND
        return _windowed(self.definition.parts[Modality.AUDIO], part.backend, self.name)

    @property
    def _text(self) -> TextCut:
        part = self._opened.get(Modality.TEXT)
        return _chunked(part.backend, self.name) if part is not None else _UNUSED_TEXT

    @property
    def _opened(self) -> dict[Modality, _Opened]:
        if self._parts is not None:
            return self._parts
        with self._lock:
            if self._parts is None:
                self._parts = self._open()
            return self._parts

    def _open(self) -> dict[Modality, _Opened]:
        parts, backends = self.definition.parts, self._backends()
        for modality, backend in backends.items():
            if modality not in backend.modalities:
                able = " and ".join(sorted(backend.modalities))
                raise InvalidInput(
                    f"{_named(parts[modality])} of space {self.name!r} embeds {able}, not"
                    f" {modality}"
                )
        frame = backends[self.definition.anchor].frame
        opened: dict[Modality, _Opened] = {}
        for modality, part in parts.items():
            backend = backends[modality]
            projector = self._projector(modality, part, backend.frame, frame)
            facts = dict(backend.facts(modality)) | decoding(modality, backend.image_side)
            if modality is Modality.AUDIO:
                facts["windowing"] = vars(_windowed(part, backend, self.name))
            elif modality is Modality.TEXT:
                facts["chunking"] = vars(_chunked(backend, self.name))
            if projector is not None:
                facts["projector"] = projector.sha256
                facts["into"] = frame.id
            opened[modality] = _Opened(backend, projector, Encoder(modality, facts))
        return opened

    def _backends(self) -> dict[Modality, Backend]:
        """One for all parts of the same model with the same options."""
        made: dict[str, Backend] = {}
        found: dict[Modality, Backend] = {}
        sound = self.definition.parts.get(Modality.AUDIO)
        for modality, part in self.definition.parts.items():
            same = _key(part)
            if same not in made:
                options = dict(part.options)
                if FAMILIES[part.backend].windows and sound is not None and _key(sound) == same:
                    options |= _windows(sound)
                try:
                    made[same] = self._opener(part.backend, part.model, options, self.runtime)
                except ModelError as error:
                    raise ModelError(
                        f"the {modality} part of space {self.name!r}: {error}", **error.details
                    ) from error
            found[modality] = made[same]
        return found

    def _projector(
        self, modality: Modality, part: Part, source: Frame, frame: Frame
    ) -> Projector | None:
        where = f"the {modality} part of space {self.name!r} ({_named(part)})"
        if part.projector is None:
            if source != frame:
                raise FrameMismatch(
                    f"{where} is of the frame {source.id}, the space of {frame.id}: it needs a"
                    " projector (trichord space fit)",
                    source=source.id,
                    target=frame.id,
                )
            return None
        from trichord.embedders.bridge.projector import Projector

        projector = Projector.load(part.projector)
        if (projector.source, projector.target) != (source, frame):
            raise FrameMismatch(
                f"{where} needs a projector from {source.id} into {frame.id}, but"
                f" {part.projector.name} goes from {projector.source.id} into"
                f" {projector.target.id}: fit one for these models (trichord space fit)",
                source=source.id,
                target=frame.id,
            )
        return projector


class PartEmbedder:
    """A model's embedder, its vectors carried into the space's frame if they are not in it."""

    def __init__(
        self, inner: Embedder, frame: Frame, encoder: Encoder, projector: Projector | None
    ) -> None:
        self.modality = encoder.modality
        self.frame = frame
        self.encoder = encoder
        self._inner = inner
        self._projector = projector

    def embed(self, batch: Sequence[Any], *, role: Role = Role.DOCUMENT) -> Embedded:
        """float32 (n, dim) unit rows; errors of the model stay those of their rows."""
        found = self._inner.embed(batch, role=role)
        if self._projector is None:
            return found
        errors: dict[int, TrichordError] = dict(found.errors)
        rows = np.array(found.vectors, np.float32)
        rows[list(errors)] = 0
        vectors = self._projector.apply(rows)
        lengths = np.linalg.norm(vectors, axis=1)
        for row in np.flatnonzero(~(np.abs(lengths - 1) < _UNIT)).tolist():
            errors.setdefault(row, ModelError("the projector left this vector no direction"))
        vectors[list(errors)] = 0
        return Embedded(vectors, errors)


def decoding(modality: Modality, side: int | None) -> dict[str, Any]:
    """What decoding adds to an encoder's facts: pictures for a tower of known `side` are reduced
    before it sees them, which changes pixels a little."""
    if modality is not Modality.IMAGE or side is None:
        return {}
    from trichord.embedders.media.image import REDUCTION

    return {"decoding": {"reduction": REDUCTION, "side": side}}


def _key(part: Part) -> str:
    return json.dumps([part.backend, part.model, dict(part.options)], sort_keys=True)


def _named(part: Part) -> str:
    return part.model or part.backend


def _windows(part: Part) -> dict[str, int]:
    """The windows that a part asks for; without a hop of their own they lie end to end."""
    if part.window_ms is None:
        return {} if part.hop_ms is None else {"hop_ms": part.hop_ms}
    return {"window_ms": part.window_ms, "hop_ms": part.hop_ms or part.window_ms}


def _windowed(part: Part, backend: Backend, name: str) -> AudioCut:
    own = backend.audio
    if own is None:
        raise InvalidInput(f"{_named(part)} of space {name!r} takes no sound")
    if FAMILIES[part.backend].windows:
        return own
    cut = replace(own, **_windows(part))
    if not 0 < cut.hop_ms <= cut.window_ms <= own.window_ms:
        raise InvalidInput(
            f"space {name!r}: windows of {cut.window_ms} ms every {cut.hop_ms} ms, but"
            f" {_named(part)} takes at most {own.window_ms} ms, and hops are no longer than windows"
        )
    return cut


def _chunked(backend: Backend, name: str) -> TextCut:
    if backend.text is None:
        raise InvalidInput(f"the text model of space {name!r} does not say how long a text may be")
    return backend.text
