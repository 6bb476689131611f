"""Embedders, store and index together, in process: ingest, search by content, get, delete.

>>> from trichord.catalog import Catalog  # doctest: +SKIP
"""

from trichord.catalog.catalog import Catalog

__all__ = ["Catalog"]
