"""Servers for tests: a real catalog behind a real port."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from tests.fakes import HashSpace, png, wav
from trichord.catalog import Catalog
from trichord.query import Record
from trichord.server.app import Server
from trichord.server.settings import Settings

SPACE = HashSpace()
TEXTS = {
    "notes/barn": "a red barn by a green field",
    "notes/sea": "the blue sea and a low horn",
    "notes/bird": "a high song of a bird",
}


def records() -> list[Record]:
    """Nine items of six entities with attributes of every type."""
    made = [
        Record(
            f"covers/{colour}.png",
            f"track-{row}",
            data=png(colour),
            attributes={"year": 2000 + row},
        )
        for row, colour in enumerate(("red", "green", "blue"))
    ]
    made += [
        Record(f"clips/{'-'.join(pitch)}.wav", f"track-{row}", data=wav(pitch))
        for row, pitch in enumerate((("low",), ("middle",), ("high", "low", "high")))
    ]
    made += [Record(item_id, text=text) for item_id, text in TEXTS.items()]
    made.append(
        Record(
            entity_id="track-0",
            attributes={
                "market": "SE",
                "tags": ["live", "loud"],
                "tempo": 92.5,
                "explicit": True,
                "released": datetime(2024, 5, 1, tzinfo=UTC),
            },
        )
    )
    made.append(Record(entity_id="track-1", attributes={"market": "NO", "explicit": False}))
    return made


def stocked(path: Path) -> Catalog:
    catalog = Catalog.open(path, space=SPACE)
    with catalog.ingestion() as ingestion:
        for acknowledgement in ingestion.add(records()):
            assert acknowledgement.error is None, acknowledgement
    catalog.refresh()
    return catalog


@contextmanager
def serving(catalog: Any, **settings: Any) -> Iterator[Server]:
    settings = {"listen": "127.0.0.1:0", "grace_s": 1.0} | settings
    with Server(catalog, Settings(**settings)) as server:
        yield server


@contextmanager
def channel(server: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address, options=[("grpc.enable_http_proxy", 0)]) as opened:
        yield opened


def status_of(error: grpc.RpcError) -> status_pb2.Status:
    """The google.rpc.Status in the trailing metadata of a failed call."""
    packed = dict(error.trailing_metadata())["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(packed)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    return status


def detail(status: status_pb2.Status, kind: type) -> Any:
    """The one detail of that kind."""
    (packed,) = [packed for packed in status.details if packed.Is(kind.DESCRIPTOR)]
    message = kind()
    packed.Unpack(message)
    return message


def reason_of(error: grpc.RpcError) -> str:
    info = detail(status_of(error), error_details_pb2.ErrorInfo)
    assert info.domain == "trichord"
    return str(info.reason)


def eventually(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Waits until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


class Gate:
    """A catalog whose searches wait: `entered` counts those that began, `open` lets them go."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)
        self.searches = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)

    def search_many(self, *args: Any, **kwargs: Any) -> Any:
        self.searches += 1
        self.entered.release()
        assert self.open.wait(30)
        return self._catalog.search_many(*args, **kwargs)
