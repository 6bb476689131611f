"""The spaces of a catalogue, described."""

from __future__ import annotations

from trichord.catalog import aliases
from trichord.catalog.coverage import coverage
from trichord.catalog.models import Models
from trichord.catalog.view import View
from trichord.errors import TrichordError
from trichord.filters import Filter
from trichord.results import SpaceInfo


def spaces(view: View, models: Models, otherwise: str, visible: Filter | None) -> list[SpaceInfo]:
    """All spaces of the store; of a new store the one that it will have. Coverage counts what the
    filter `visible` shows."""
    default, stored = view.named(None, otherwise), dict(view.spaces)
    if not stored:
        found = models.find(default)
        if not isinstance(found, TrichordError):
            stored = {default: found.joint.space}
    shown = view.shown(visible)
    return [
        SpaceInfo(
            space,
            name == default,
            models.at_hand(space),
            aliases.of_space(name, view.aliases),
            coverage(view, name, space.encoders, shown=shown),
        )
        for name, space in stored.items()
    ]
