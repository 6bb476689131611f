"""Content that is asked by -> vectors: looked up, else embedded together with what others ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trichord.catalog.encoding_queue import TOGETHER, EncodingQueue
from trichord.catalog.query_cache import QueryCache, key_of
from trichord.errors import TrichordError
from trichord.types import F32, Modality, Role

if TYPE_CHECKING:
    from trichord.catalog.encoding import Content

Embed = Callable[[Sequence["Content"], Role], Sequence[F32 | TrichordError]]


@dataclass(frozen=True, slots=True)
class _Asked:
    """`key`: under which the vector is kept; None for what is not to be kept."""

    content: Content
    key: bytes | None


class AskedContent:
    """Of one space; safe to use from many threads. `maker` names what embeds a modality, `embed`
    does it."""

    def __init__(self, maker: Callable[[Modality], str], embed: Embed, known: QueryCache) -> None:
        self._maker = maker
        self._embed = embed
        self._known = known
        self._queues: dict[tuple[Modality, Role], EncodingQueue[_Asked, F32 | TrichordError]] = {}

    def vectors(self, contents: Sequence[Content], role: Role) -> list[F32 | TrichordError]:
        """One unit vector per content, or why it has none; read-only."""
        answers: list[F32 | TrichordError | None] = [None] * len(contents)
        todo: dict[Modality, list[int]] = {}
        asked: dict[int, _Asked] = {}
        for position, content in enumerate(contents):
            key = self._key(content, role)
            known = None if key is None else self._known.get(key)
            answers[position] = known
            if known is None:
                asked[position] = _Asked(content, key)
                todo.setdefault(content.media.modality, []).append(position)
        for modality, positions in todo.items():
            things = [asked[position] for position in positions]
            if len(things) > TOGETHER:  # nobody should have to wait for so many
                found: Sequence[F32 | TrichordError] = self._embedded(things, role)
            else:
                found = self._queue(modality, role).do(things)
            for position, answer in zip(positions, found, strict=True):
                answers[position] = answer
        return [answer for answer in answers if answer is not None]

    def _queue(self, modality: Modality, role: Role) -> EncodingQueue[_Asked, F32 | TrichordError]:
        """A slow sound is not to hold up texts, so each modality has a queue of its own."""
        queue = self._queues.get((modality, role))
        if queue is None:
            made: EncodingQueue[_Asked, F32 | TrichordError] = EncodingQueue(
                lambda asked: self._embedded(asked, role)
            )
            queue = self._queues.setdefault((modality, role), made)
        return queue

    def _embedded(self, asked: Sequence[_Asked], role: Role) -> list[F32 | TrichordError]:
        """Equal content is embedded once."""
        found: dict[bytes | int, F32 | TrichordError] = {}
        todo: dict[bytes | int, Content] = {}
        for number, one in enumerate(asked):
            # It may have been in the batch before, while this one waited.
            known = None if one.key is None else self._known.get(one.key)
            if known is not None:
                found[one.key or number] = known
            else:
                todo.setdefault(one.key or number, one.content)
        if todo:
            embedded = self._embed(list(todo.values()), role)
            for name, answer in zip(todo, embedded, strict=True):
                kept = isinstance(name, bytes) and not isinstance(answer, TrichordError)
                found[name] = self._known.put(name, answer) if kept else answer  # type: ignore[arg-type]
        return [found[one.key or number] for number, one in enumerate(asked)]

    def _key(self, content: Content, role: Role) -> bytes | None:
        if isinstance(content.source, Path):  # another file may lie there the next time
            return None
        media = content.media
        return key_of(self._maker(media.modality), role, media.mime, content.source)
