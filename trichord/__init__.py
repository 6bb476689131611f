"""Trichord: audio, text and images in one space.

    from trichord import Client
    with Client("localhost:50051") as trichord:
        trichord.search("rain on a window", modality="audio")

This package is the light side: vocabulary and clients, no model and no index engine. In process,
the same verbs are those of `trichord.catalog.Catalog`.
"""

from importlib.metadata import PackageNotFoundError, version

from trichord.aio import AsyncClient
from trichord.client import Client
from trichord.errors import TrichordError
from trichord.query import Audio, EntityRef, Image, ItemRef, Query, Record, SegmentRef, Text, Vector

try:
    __version__ = version("trichord")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"

__all__ = [
    "AsyncClient",
    "Audio",
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
    "__version__",
]
