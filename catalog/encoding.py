"""Content -> vectors of one joint space: sniff, cut into segments, embed across items."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trichord.catalog.asked_content import AskedContent
from trichord.catalog.decoding import Came, ahead, in_turn
from trichord.catalog.query_cache import QueryCache
from trichord.embedders.media.limits import DEFAULT_LIMITS, Limits
from trichord.embedders.media.pieces import Cutting, pieces
from trichord.embedders.media.sniff import HEAD_BYTES, MediaType, sniff
from trichord.embedders.media.source import read_head
from trichord.embedders.spaces import JointSpace
from trichord.errors import InvalidInput, MediaError, ModelError, TrichordError, VectorError
from trichord.types import F32, Decoded, Modality, Piece, Role, Span, Waveform

BATCH = {Modality.AUDIO: 16, Modality.IMAGE: 64, Modality.TEXT: 512}
"""Segments per call of an embedder that does not say how many it likes (`batch`): enough to fill
two cores and for texts to find others of their length, little enough to bound memory."""

FIRST_BATCH = 16
"""A model starts when this many segments are decoded; each of its calls takes twice as many as the
one before until its batch is full."""

TEXTS_TOGETHER = 32
"""Texts that one thread cuts at a time: handing over each by itself would take as long as that."""


@dataclass
class Content:
    """One item's content on its way through: encoded bytes, a file, or a text."""

    media: MediaType
    source: bytes | Path | str


@dataclass
class Segments:
    """What became of one content: `vectors` float32 (n, dim) and their spans, or the error."""

    vectors: list[F32] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    text: str | None = None
    error: TrichordError | None = None


PLAIN_TEXT = MediaType(Modality.TEXT, "txt", "text/plain")


class ContentEncoder:
    """Cuts and embeds content for one joint space; safe to use from several threads."""

    def __init__(
        self,
        joint: JointSpace,
        limits: Limits = DEFAULT_LIMITS,
        known: QueryCache | None = None,
    ) -> None:
        """known: what was asked by before, of all spaces of a catalogue."""
        self.joint = joint
        self.limits = limits
        self._cutting: Cutting | None = None
        space = joint.space
        self._asked = AskedContent(
            lambda modality: f"{space.encoders.get(modality)} in {space.frame.id}",
            self._pooled,
            QueryCache() if known is None else known,
        )

    def load(self) -> None:
        """Loads every embedder of the space and runs it once; raises ModelError."""
        time = np.arange(self.joint.audio_rate // 2) / self.joint.audio_rate
        tone = (0.1 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
        samples: Mapping[Modality, Decoded] = {
            Modality.TEXT: "ready",
            Modality.IMAGE: np.zeros((16, 16, 3), np.uint8),
            Modality.AUDIO: Waveform(tone, self.joint.audio_rate),
        }
        for modality in self.joint.encoders:
            self.joint.embedder(modality).embed([samples[modality]])

    @property
    def cutting(self) -> Cutting:
        joint = self.joint
        if self._cutting is None:
            has_text = Modality.TEXT in joint.encoders
            side: int | None = getattr(joint, "image_side", None)
            self._cutting = Cutting(
                audio_rate=joint.audio_rate,
                audio_window_ms=joint.audio_window_ms,
                audio_hop_ms=joint.audio_hop_ms,
                audio_min_ms=min(1_000, joint.audio_window_ms),
                image_longest=None if side else 1_024,
                image_side=side,
                text_chunk_tokens=joint.text_chunk_tokens,
                text_overlap_tokens=joint.text_overlap_tokens,
                token_offsets=joint.token_offsets if has_text else None,
            )
        return self._cutting

    def content(self, data: bytes | Path, *, name: str | None = None) -> Content:
        """What the bytes are, by their first bytes; raises MediaError if nothing known."""
        if isinstance(data, Path):
            return Content(sniff(read_head(data, self.limits), name or data.name), data)
        return Content(sniff(data[:HEAD_BYTES], name), data)

    def encode(self, contents: Sequence[Content], role: Role = Role.DOCUMENT) -> list[Segments]:
        """Segments of every content, in order; an error concerns its own content only.

        Content is decoded in threads while the models work (see `decoding.ahead`), so memory holds
        what waits there and a batch of segments per modality.
        """
        results = [Segments() for _ in contents]
        pending: dict[Modality, list[tuple[int, Piece]]] = {m: [] for m in Modality}
        enough: dict[Modality, int] = {}
        with closing(self._decoded(contents, results)) as decoded:
            for position, came in decoded:
                if isinstance(came, TrichordError):
                    results[position].error = came
                    continue
                modality = contents[position].media.modality
                waiting = pending[modality]
                waiting.append((position, came))
                if len(waiting) >= enough.setdefault(modality, self._first_batch(modality)):
                    self._embed(modality, waiting, results, role)
                    enough[modality] = min(2 * enough[modality], self._batch(modality))
        for modality, waiting in pending.items():
            self._embed(modality, waiting, results, role)
        for result in results:
            if result.error is None and not result.vectors:
                result.error = MediaError("there is nothing in it to embed")
        return results

    def _decoded(
        self, contents: Sequence[Content], results: Sequence[Segments]
    ) -> Generator[Came, None, None]:
        def cut(position: int) -> Iterator[Piece]:
            content = contents[position]
            if content.media.modality not in self.joint.encoders:
                raise InvalidInput(
                    f"the space {self.joint.name!r} has no encoder for {content.media.modality}"
                )
            found = pieces(content.media, content.source, self.cutting, self.limits)
            results[position].text = found.text
            yield from found.pieces

        groups = _groups(contents)
        # One text or picture is decoded sooner than a thread has started.
        alone = len(groups) < 2 and all(c.media.modality is not Modality.AUDIO for c in contents)
        return in_turn(range(len(contents)), cut) if alone else ahead(groups, cut)

    def _batch(self, modality: Modality) -> int:
        """Segments per call of the modality's embedder."""
        try:
            wanted = getattr(self.joint.embedder(modality), "batch", None)
        except TrichordError:  # said when the segments are to be embedded
            wanted = None
        return wanted if isinstance(wanted, int) and wanted > 0 else BATCH[modality]

    def _first_batch(self, modality: Modality) -> int:
        batch = self._batch(modality)
        # Cutting texts takes no time: sorting many by length gains more than starting at once.
        return batch if modality is Modality.TEXT else min(FIRST_BATCH, batch)

    def _embed(
        self,
        modality: Modality,
        waiting: list[tuple[int, Piece]],
        results: Sequence[Segments],
        role: Role,
    ) -> None:
        if not waiting:
            return
        try:
            embedder = self.joint.embedder(modality)
            embedded = embedder.embed([piece.content for _, piece in waiting], role=role)
        except TrichordError as error:  # no weights: other modalities may have theirs
            for position, _ in waiting:
                results[position].error = error
            waiting.clear()
            return
        lengths = np.einsum("ij,ij->i", embedded.vectors, embedded.vectors)
        for row, (position, piece) in enumerate(waiting):
            if row in embedded.errors:
                results[position].error = embedded.errors[row]
            elif not abs(float(lengths[row]) - 1.0) < 1e-3:
                # One such row would make the store refuse the whole commit.
                results[position].error = ModelError(
                    f"the {modality} model of space {self.joint.name!r} gave a vector that is not "
                    "finite or not of length 1"
                )
            else:
                results[position].vectors.append(embedded.vectors[row])
                results[position].spans.append(piece.span)
        waiting.clear()

    def pooled(self, contents: Sequence[Content], role: Role) -> list[F32 | TrichordError]:
        """One unit vector per content, the mean direction of its segments. What was asked before is
        not embedded again, and what several callers ask at once is embedded together."""
        return self._asked.vectors(contents, role)

    def _pooled(self, contents: Sequence[Content], role: Role) -> list[F32 | TrichordError]:
        answers: list[F32 | TrichordError] = []
        for result in self.encode(contents, role):
            try:
                answers.append(result.error or mean_direction(result.vectors))
            except VectorError as error:
                answers.append(error)
        return answers


def _groups(contents: Sequence[Content]) -> list[list[int]]:
    """Positions that one thread decodes in one go: runs of texts, and every other content alone."""
    groups: list[list[int]] = []
    texts = False
    for position, content in enumerate(contents):
        is_text = content.media.modality is Modality.TEXT
        if is_text and texts and len(groups[-1]) < TEXTS_TOGETHER:
            groups[-1].append(position)
        else:
            groups.append([position])
        texts = is_text
    return groups


def mean_direction(vectors: Iterable[F32]) -> F32:
    """The unit vector of the sum; raises VectorError if the vectors cancel out."""
    total = np.sum(np.asarray(list(vectors), np.float64), axis=0)
    norm = np.linalg.norm(total)
    if not norm > 1e-6:
        raise VectorError("the vectors of this query cancel each other out: it has no direction")
    mean: F32 = (total / norm).astype(np.float32)
    return mean


UNIT = 1e-6
"""How far the squared length of a vector may be from 1 to be left as it is."""


def unit(vector: F32, dim: int, frame_id: str) -> F32:
    """The vector scaled to length 1; raises VectorError if it is not one of the frame."""
    if vector.shape == (dim,) and abs(float(np.vdot(vector, vector)) - 1.0) <= UNIT:
        return vector  # NaN compares false
    scaled: F32 = _scaled(vector.reshape(1, -1), dim, frame_id)[0]
    return scaled


def unit_rows(matrix: F32, dim: int, frame_id: str) -> F32:
    """The rows scaled to length 1, float32 (n, dim); raises VectorError if one is none of the
    frame."""
    if matrix.shape[1] == dim:
        off = ~(np.abs(np.einsum("ij,ij->i", matrix, matrix) - 1.0) <= UNIT)
        if not off.any():
            return matrix
        scaled = matrix.copy()
        scaled[off] = _scaled(matrix[off], dim, frame_id)
        return scaled
    return _scaled(matrix, dim, frame_id)


def _scaled(matrix: F32, dim: int, frame_id: str) -> F32:
    if matrix.shape[1] != dim:
        raise VectorError(
            f"the vector has {matrix.shape[1]} values, the frame {frame_id} has {dim}",
            expected=dim,
            got=matrix.shape[1],
        )
    wide = matrix.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1)
    if not ((lengths > 1e-12) & (lengths < np.inf)).all():
        raise VectorError("the vector is zero or not finite: it has no direction")
    scaled: F32 = (wide / lengths[:, None]).astype(np.float32)
    return scaled


def encoder_facts(joint: JointSpace) -> Mapping[Modality, Mapping[str, object]]:
    """What makes the vectors of each modality, for the store's record of the space."""
    return {modality: encoder.facts for modality, encoder in joint.encoders.items()}
