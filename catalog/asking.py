"""Queries -> directions in a space, and the items that they leave out of their own results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from trichord.catalog.encoding import (
    PLAIN_TEXT,
    UNIT,
    Content,
    ContentEncoder,
    mean_direction,
    unit,
    unit_rows,
)
from trichord.catalog.found import members
from trichord.catalog.view import View, rows_of
from trichord.embedders.media.sniff import MediaType
from trichord.errors import EncoderMismatch, FrameMismatch, MediaError, NotFound, TrichordError
from trichord.query import (
    Audio,
    EntityRef,
    Image,
    Input,
    ItemRef,
    Query,
    SegmentRef,
    Text,
    Vector,
    Vectors,
)
from trichord.types import F32, I64, Bool, Modality, Role, Space

Segments = dict[int, tuple[F32, I64]]
"""By row of the item table: vectors float32 (n, dim) and ordinals int64 (n,) of its segments."""


@dataclass(slots=True)
class Direction:
    """One query, ready: `vector` float32 (dim,), `left_out` rows of the item table; `modality` of
    what asks, None for a vector, an entity or a combination."""

    vector: F32
    left_out: list[int] = field(default_factory=list)
    modality: Modality | None = None


class Asker:
    """Resolves queries against one view. `encoder` is None, or why there is none, or of other
    encoders than the space's, when this process cannot embed for the space: then stored things and
    vectors can still ask."""

    def __init__(
        self,
        view: View,
        space: Space,
        encoder: ContentEncoder | TrichordError | None,
        visible: Bool | None,
    ) -> None:
        self._view = view
        self._space = space
        self._encoder = encoder
        self._visible = visible

    @property
    def dim(self) -> int:
        return self._space.frame.dim

    def matrix(self, vectors: Vectors) -> F32:
        """Many query vectors as unit rows, float32 (n, dim). Raises VectorError, FrameMismatch."""
        frame = self._space.frame
        _check_frame(vectors, self._space)
        return unit_rows(vectors.values, frame.dim, frame.id)

    def alone(self, queries: Sequence[Query] | Vectors) -> F32 | None:
        """The unit vector float32 (dim,) of a single query by one vector; None for other queries,
        and where the vector is none of the space (which `directions` says)."""
        if isinstance(queries, Vectors):
            values, named = queries.values[0], queries.frame
        else:
            terms = queries[0].terms
            asked = terms[0].input
            if len(terms) != 1 or not isinstance(asked, Vector) or terms[0].weight <= 0:
                return None
            values, named = asked.values, asked.frame
        frame = self._space.frame
        if (named and named != frame.id) or values.shape != (frame.dim,):
            return None
        return values if abs(float(np.vdot(values, values)) - 1.0) <= UNIT else None

    def directions(self, queries: Sequence[Query]) -> list[Direction | TrichordError]:
        """One direction per query, or why it has none."""
        if len(queries) == 1 and len(queries[0].terms) == 1:
            term = queries[0].terms[0]
            if isinstance(term.input, Vector) and term.weight > 0:  # what is asked most often
                try:
                    return [self._vector(term.input)]
                except TrichordError as error:
                    return [error]
        embedded = self.embed([term.input for query in queries for term in query.terms])
        answers: list[Direction | TrichordError] = []
        position = 0
        for query in queries:
            parts = embedded[position : position + len(query.terms)]
            position += len(query.terms)
            failed = next((part for part in parts if isinstance(part, TrichordError)), None)
            if failed is not None:
                answers.append(failed)
                continue
            directions = [part for part in parts if isinstance(part, Direction)]
            try:
                if len(directions) == 1 and query.terms[0].weight > 0:
                    answers.append(directions[0])
                    continue
                vector = _combined([term.weight for term in query.terms], directions)
                left_out = [row for part in directions for row in part.left_out]
                answers.append(Direction(vector, left_out))
            except TrichordError as error:
                answers.append(error)
        return answers

    def embed(
        self, inputs: Sequence[Input], role: Role = Role.QUERY
    ) -> list[Direction | TrichordError]:
        """One direction per input; content of all inputs is embedded in batches."""
        answers: list[Direction | TrichordError | None] = [None] * len(inputs)
        contents: list[tuple[int, Content]] = []
        entities = [asked.entity_id for asked in inputs if isinstance(asked, EntityRef)]
        of_entity = members(self._view, entities, self._visible)
        segments = self._segments(inputs, of_entity)
        for position, asked in enumerate(inputs):
            try:
                match asked:
                    case Vector():
                        answers[position] = self._vector(asked)
                    case Text() | Image() | Audio():
                        contents.append((position, self._content(asked)))
                    case EntityRef(entity_id):
                        rows = of_entity.get(entity_id, np.zeros(0, np.int64))
                        answers[position] = self._entity(entity_id, rows, segments)
                    case ItemRef() | SegmentRef():
                        answers[position] = self._item(asked, segments)
            except TrichordError as error:
                answers[position] = error
        if contents and isinstance(self._encoder, ContentEncoder):
            pooled = self._encoder.pooled([content for _, content in contents], role)
            for (position, content), vector in zip(contents, pooled, strict=True):
                answers[position] = (
                    vector
                    if isinstance(vector, TrichordError)
                    else Direction(vector, modality=content.media.modality)
                )
        return [answer for answer in answers if answer is not None]

    def _vector(self, asked: Vector) -> Direction:
        frame = self._space.frame
        _check_frame(asked, self._space)
        return Direction(unit(asked.values, frame.dim, frame.id))

    def _content(self, asked: Text | Image | Audio) -> Content:
        match asked:
            case Text(text):
                content = Content(PLAIN_TEXT, text)
            case Image(data) | Audio(data):
                content = encoder_at_hand(self._encoder, self._space.name).content(data)
        wanted = {Text: Modality.TEXT, Image: Modality.IMAGE, Audio: Modality.AUDIO}[type(asked)]
        encoder = encoder_at_hand(self._encoder, self._space.name)
        _check_modality(content.media, wanted)
        mine = encoder.joint.space.encoders.get(wanted)
        if encoder.joint.space.frame != self._space.frame:
            raise FrameMismatch(
                f"space {self._space.name!r} of this store has the frame {self._space.frame.id}, "
                f"the one at hand {encoder.joint.space.frame.id}: open the store with the space "
                "that wrote it",
                stored=self._space.frame.id,
                at_hand=encoder.joint.space.frame.id,
            )
        if mine != self._space.encoders.get(wanted):
            raise EncoderMismatch(
                f"the {wanted} vectors of space {self._space.name!r} in this store were made by "
                "another encoder than the one installed here; search by vector or by stored items "
                "still works, or open the store with the version that wrote it",
                stored=self._space.encoders.get(wanted),
                at_hand=mine,
            )
        return content

    def _row(self, item_id: str) -> int | None:
        row = self._view.items.row(item_id)
        return None if row is None or not (self._visible is None or self._visible[row]) else row

    def _segments(self, inputs: Sequence[Input], of_entity: Mapping[str, I64]) -> Segments:
        """Segments of all stored items that the inputs name, by one pass over each leg."""
        named = [self._row(i.item_id) for i in inputs if isinstance(i, ItemRef | SegmentRef)]
        rows = [row for row in named if row is not None]
        rows += [int(row) for part in of_entity.values() for row in part]
        if not rows:
            return {}
        wanted = np.zeros(len(self._view.items), bool)
        wanted[rows] = True
        found: Segments = {}
        for (name, _), leg in self._view.legs.items():
            at = rows_of(wanted, leg) if name == self._space.name else np.zeros(0, np.int64)
            if not len(at):
                continue
            at = at[np.lexsort((leg.rows.ordinal[at], leg.rows.item[at]))]
            vectors, ordinals = leg.index.take(at), leg.rows.ordinal[at]
            items, starts = np.unique(leg.rows.item[at], return_index=True)
            for item, start, stop in zip(items, starts, [*starts[1:], len(at)], strict=True):
                found[int(item)] = vectors[start:stop], ordinals[start:stop]
        return found

    def _entity(self, entity_id: str, rows: I64, segments: Segments) -> Direction:
        if not len(rows):
            raise NotFound(f"there is no entity {entity_id!r} with items", entity_id=entity_id)
        means = [mean_direction(segments[int(row)][0]) for row in rows if int(row) in segments]
        if not means:
            raise NotFound(
                f"entity {entity_id!r} has no vectors in space {self._space.name!r}",
                entity_id=entity_id,
            )
        return Direction(mean_direction(means), [int(row) for row in rows])

    def _item(self, asked: ItemRef | SegmentRef, segments: Segments) -> Direction:
        item_id = asked.item_id
        row = self._row(item_id)
        if row is None:
            raise NotFound(f"there is no item {item_id!r}", item_id=item_id)
        if row not in segments:
            raise NotFound(
                f"item {item_id!r} has no vectors in space {self._space.name!r}", item_id=item_id
            )
        vectors, ordinals = segments[row]
        if isinstance(asked, SegmentRef):
            vectors = vectors[ordinals == asked.ordinal]
            if not len(vectors):
                raise NotFound(
                    f"item {item_id!r} has no segment {asked.ordinal}; it has {len(ordinals)}, "
                    "counted from 0",
                    item_id=item_id,
                )
        return Direction(mean_direction(vectors), [row], self._view.items.modality_of(row))


def _combined(weights: Sequence[float], parts: Sequence[Direction]) -> F32:
    # Only the proportions of weights matter, and as shares of the largest none overflows.
    shares = np.asarray(weights, np.float64) / max(abs(weight) for weight in weights)
    return mean_direction([share * part.vector for share, part in zip(shares, parts, strict=True)])


def encoder_at_hand(encoder: ContentEncoder | TrichordError | None, space: str) -> ContentEncoder:
    """Raises EncoderMismatch for a space that nothing here knows, else why it cannot be opened."""
    if encoder is None or isinstance(encoder, NotFound):
        raise EncoderMismatch(
            f"no encoder of space {space!r} is installed here: search by vector or by stored "
            "items, or open the store with that space"
        )
    if isinstance(encoder, TrichordError):
        raise encoder
    return encoder


def _check_frame(asked: Vector | Vectors, space: Space) -> None:
    if asked.frame and asked.frame != space.frame.id:
        raise FrameMismatch(
            f"the vector belongs to the frame {asked.frame!r}, the space {space.name!r} to "
            f"{space.frame.id!r}: vectors of different frames cannot be compared; embed again what "
            "it was made of",
            frame=asked.frame,
            expected=space.frame.id,
        )


def _check_modality(media: MediaType, wanted: Modality) -> None:
    if media.modality is not wanted:
        article = "an" if media.modality[0] in "aeiou" else "a"
        raise MediaError(f"the {wanted} of the query is {article} {media.modality} ({media.mime})")
