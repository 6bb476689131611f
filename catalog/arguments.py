"""What callers give to a catalogue, as what it works with."""

from __future__ import annotations

from collections.abc import Sequence

from trichord.embedders.spaces import SPACES, JointSpace, open_space
from trichord.errors import InvalidInput, NotFound
from trichord.types import Group, Space

DEFAULT_SPACE = "pocket"


def as_group(group: str | Group) -> Group:
    """The group of that name; raises InvalidInput for another name."""
    try:
        return Group(group)
    except ValueError:
        raise InvalidInput(f"group is one of {', '.join(Group)}, not {group!r}") from None


def as_ids(given: str | Sequence[str]) -> list[str]:
    """One id or several as a list; raises InvalidInput for what is no text."""
    ids = [given] if isinstance(given, str) else list(given)
    if not all(isinstance(one, str) for one in ids):
        raise InvalidInput("ids are texts")
    return ids


def space_to_open(
    space: str | JointSpace | None, stored: Sequence[Space]
) -> tuple[JointSpace | None, str]:
    """The space that embeds, None if it is not known here, and the default space's name.

    Raises NotFound for a name that neither the store nor this program knows.
    """
    if not (space is None or isinstance(space, str)):
        return space, space.name
    names = [one.name for one in stored]
    name = space or (names[0] if names else DEFAULT_SPACE)
    if name in SPACES:
        return open_space(name), name
    if name not in names:
        known = ", ".join(dict.fromkeys([*names, *SPACES]))
        raise NotFound(f"there is no space {name!r}; there are {known}", space=name)
    return None, name
