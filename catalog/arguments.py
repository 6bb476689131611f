"""What callers give to a catalogue, as what it works with."""

from __future__ import annotations

from collections.abc import Sequence

from trichord.catalog.aliases import KIND, Alias, read, resolved
from trichord.catalog.models import Models
from trichord.embedders.spaces import SPACES, JointSpace
from trichord.errors import InvalidInput, NotFound, TrichordError
from trichord.store import Store

DEFAULT_SPACE = "pocket"


def as_ids(given: str | Sequence[str]) -> list[str]:
    """One id or several as a list; raises InvalidInput for what is no text."""
    ids = [given] if isinstance(given, str) else list(given)
    if not all(isinstance(one, str) for one in ids):
        raise InvalidInput("ids are texts")
    return ids


def default_space(space: str | JointSpace | None, store: Store | None, models: Models) -> str:
    """The name of the space that is meant by default, as long as no alias says otherwise.

    Raises NotFound for a name that neither the store nor this program knows, and in a store that
    lacks the space what opening it raises.
    """
    if not (space is None or isinstance(space, str)):
        models.add(space)
        return space.name
    names: list[str] = []
    pointing: dict[str, Alias] = {}
    if store is not None:
        reader = store.reader()
        names = [one.space.name for one in reader.spaces()]
        pointing = read(reader.records(KIND))
    first = names[0] if names else DEFAULT_SPACE
    name = resolved(space, pointing, first) if space else first
    if name not in names:
        found = models.find(name)
        if isinstance(found, NotFound):
            known = ", ".join(dict.fromkeys([*names, *pointing, *SPACES]))
            raise NotFound(f"there is no space {name!r}; there are {known}", space=name)
        if isinstance(found, TrichordError):
            raise found
    return name
