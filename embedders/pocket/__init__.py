"""The `pocket` space: small encoders of pictures and sounds in the text space of all-MiniLM-L6-v2.

    load()                           the space (`PocketSpace`): text, image and audio embedders
    render_picture, render_sound     draw or play one of the concepts of `concepts.concepts()`
    caption                          says in words what was rendered

Everything runs offline, nothing is imported before it is used, and torch comes with the first item
that is embedded. The encoders are made by `python -m trichord.embedders.pocket.train` from
pictures and sounds that this package draws; docs/pocket.md is their model card.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trichord.embedders.pocket.captions import caption
    from trichord.embedders.pocket.pictures import render_picture
    from trichord.embedders.pocket.sounds import render_sound
    from trichord.embedders.pocket.space import PocketSpace, load

__all__ = ["PocketSpace", "caption", "load", "render_picture", "render_sound"]

_HOMES = {
    "PocketSpace": "space",
    "load": "space",
    "caption": "captions",
    "render_picture": "pictures",
    "render_sound": "sounds",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value
