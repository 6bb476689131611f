"""Trichord: audio, text and images in one space.

    from trichord import Client
    with Client("localhost:50051") as trichord:
        trichord.search("rain on a window", modality="audio")

This package is the light side: vocabulary and clients, no model and no index engine. In process,
the same verbs are those of `trichord.catalog.Catalog`. Names are imported when first used, so that
a machine with numpy, xxhash and FAISS alone can use `trichord.index`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trichord.aio import AsyncClient
    from trichord.client import Client
    from trichord.errors import TrichordError
    from trichord.query import (
        Audio,
        Boost,
        EntityRef,
        Image,
        ItemRef,
        Query,
        Record,
        SegmentRef,
        Text,
        Vector,
        Vectors,
        history,
    )

    __version__: str

_HOMES = {
    "AsyncClient": "aio",
    "Audio": "query",
    "Boost": "query",
    "Client": "client",
    "EntityRef": "query",
    "Image": "query",
    "ItemRef": "query",
    "Query": "query",
    "Record": "query",
    "SegmentRef": "query",
    "Text": "query",
    "TrichordError": "errors",
    "Vector": "query",
    "Vectors": "query",
    "history": "query",
}

__all__ = [
    "AsyncClient",
    "Audio",
    "Boost",
    "Client",
    "EntityRef",
    "Image",
    "ItemRef",
    "Query",
    "Record",
    "SegmentRef",
    "Text",
    "TrichordError",
    "Vector",
    "Vectors",
    "__version__",
    "history",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("trichord")
        except PackageNotFoundError:  # a checkout that was never installed
            return "0+unknown"
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
