"""A second process that tries to write to a store that is being written."""

from __future__ import annotations

import sys

from tests.fakes import HashSpace
from trichord.catalog import Catalog
from trichord.errors import TrichordError
from trichord.query import Record


def main(store: str) -> None:
    told = []
    with Catalog.open(store, space=HashSpace()) as catalog:
        for attempt in (
            lambda: catalog.ingestion().__enter__().add([Record("x", text="x")]),
            lambda: catalog.delete("p"),
            catalog.compact,
        ):
            try:
                attempt()
            except TrichordError as error:
                told.append(type(error).__name__)
        told.append(str(len(catalog.search("x"))))
    sys.stdout.write(" ".join(told))


if __name__ == "__main__":
    main(sys.argv[1])
