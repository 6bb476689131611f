"""The joint spaces that this process can embed for, by name, opened when they are needed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from trichord.catalog.admissions import Admissions
from trichord.catalog.admitting import Recorder
from trichord.catalog.encoding import ContentEncoder
from trichord.catalog.query_cache import QueryCache
from trichord.embedders import spaces as bundled
from trichord.embedders.media.limits import DEFAULT_LIMITS, Limits
from trichord.embedders.spaces import JointSpace
from trichord.errors import EncoderMismatch, FrameMismatch, NotFound, TrichordError
from trichord.store import Store
from trichord.types import Modality, Space

Opener = Callable[[str], JointSpace]
"""Opens a joint space by name; raises NotFound for one that it does not know."""

ASK_AGAIN_S = 5.0
"""A space that could not be opened is tried again after this long: it may be installed by then."""

log = logging.getLogger("trichord.catalog")


class Models:
    """Encoders by the name of their space; safe to use from many threads."""

    def __init__(
        self,
        spaces: Opener | Mapping[str, JointSpace] | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._open = opener(spaces)
        self._limits = limits
        self._asked = QueryCache()
        self._known: dict[str, ContentEncoder] = {}
        self._failed: dict[str, tuple[float, TrichordError]] = {}
        self._loaded: set[str] = set()
        self._lock = threading.Lock()
        self._loading: dict[str, threading.Lock] = {}
        self._admissions: Admissions | None = None

    def serve(self, store: Store) -> None:
        """The store whose vectors theirs are compared with; see `admit`."""
        self._admissions = Admissions(store)

    def admit(self, encoder: ContentEncoder, writer: Recorder | None = None) -> None:
        """Makes sure, once, that this machine computes for a space what the store holds of it; a
        space that it does not is no longer found. Raises EncoderMismatch and ModelError."""
        if self._admissions is not None:
            self._admissions.check(encoder.joint, writer)

    def add(self, joint: JointSpace) -> ContentEncoder:
        """Takes a space as it is given, in place of what the opener would find."""
        with self._lock:
            known = self._known.get(joint.name)
            if known is None or known.joint is not joint:
                known = self._known[joint.name] = ContentEncoder(joint, self._limits, self._asked)
                self._loaded.discard(joint.name)
            return known

    def find(self, name: str) -> ContentEncoder | TrichordError:
        """The encoder of a space, or why there is none; loads no model."""
        refused = None if self._admissions is None else self._admissions.refused(name)
        if refused is not None:
            return refused
        known = self._known.get(name)
        if known is not None:
            return known
        with self._lock:
            failed = self._failed.get(name)
            if failed is not None and time.monotonic() - failed[0] < ASK_AGAIN_S:
                return failed[1]
            if name not in self._known:
                try:
                    self._known[name] = ContentEncoder(self._open(name), self._limits, self._asked)
                except TrichordError as error:
                    self._failed[name] = time.monotonic(), error
                    return error
            return self._known[name]

    def get(self, name: str) -> ContentEncoder:
        """As `find`, but raises."""
        found = self.find(name)
        if isinstance(found, TrichordError):
            raise found
        return found

    def fitting(self, space: Space) -> ContentEncoder:
        """The encoder of a stored space, which must make what the space holds.

        Raises EncoderMismatch or FrameMismatch if it would not, and what opening it raises.
        """
        encoder = self.get(space.name)
        mine = encoder.joint.space
        if mine.frame != space.frame:
            raise FrameMismatch(
                f"space {space.name!r} of this store has the frame {space.frame.id}, the one at "
                f"hand {mine.frame.id}",
                stored=space.frame.id,
                at_hand=mine.frame.id,
            )
        for modality, identity in space.encoders.items():
            if mine.encoders.get(modality) != identity:
                raise EncoderMismatch(
                    f"the {modality} vectors of space {space.name!r} in this store are of another "
                    "encoder than the one installed here",
                    stored=identity,
                    at_hand=mine.encoders.get(modality),
                )
        return encoder

    def at_hand(self, space: Space) -> dict[Modality, bool]:
        """For which modalities content can be embedded here."""
        found = self.find(space.name)
        fits = not isinstance(found, TrichordError) and found.joint.space.frame == space.frame
        mine = found.joint.space.encoders if not isinstance(found, TrichordError) and fits else {}
        return {m: mine.get(m) == identity for m, identity in space.encoders.items()}

    def load(self, space: Space) -> None:
        """Loads the embedders of a stored space, once; raises ModelError and as `fitting` and
        `admit`."""
        with self._lock:
            loading = self._loading.setdefault(space.name, threading.Lock())
        with loading:
            encoder = self.fitting(space)
            if space.name not in self._loaded:
                encoder.load()
                self.admit(encoder)
                self._loaded.add(space.name)

    def preload(self, wanted: Iterable[Space]) -> None:
        """Loads those that are known here and not loaded yet; tries all, then raises the first
        error."""
        first: TrichordError | None = None
        for space in wanted:
            if space.name in self._loaded or isinstance(self.find(space.name), NotFound):
                continue
            try:
                self.load(space)
                log.info("models of space %r loaded", space.name)
            except TrichordError as error:
                first = first or error
        if first is not None:
            raise first


def opener(spaces: Opener | Mapping[str, JointSpace] | None) -> Opener:
    """A function that opens spaces by name: the given one, that of a mapping, or the bundled."""
    if spaces is None:
        # Looked up at each call: what is registered may change.
        return lambda name: bundled.open_space(name)
    if callable(spaces):
        return spaces
    given = dict(spaces)

    def pick(name: str) -> JointSpace:
        if name in given:
            return given[name]
        return bundled.open_space(name)

    return pick
