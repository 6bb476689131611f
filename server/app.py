"""A catalog behind a port: wiring, start and stop."""

from __future__ import annotations

import gc
import logging
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from trichord.catalog import Catalog
from trichord.catalog.models import Opener
from trichord.embedders.spaces import JointSpace
from trichord.errors import TrichordError
from trichord.index.gpu_build import Device
from trichord.policy import Policy
from trichord.server.admission import Admission
from trichord.server.authentication import Authentication
from trichord.server.backfills import Backfills
from trichord.server.bind import bind
from trichord.server.errors import ErrorMapping
from trichord.server.inputs import Inputs
from trichord.server.pools import Pools
from trichord.server.request_log import Counters, RequestLog
from trichord.server.services.embedding import EmbeddingService
from trichord.server.services.feature import FeatureService
from trichord.server.services.ingest import IngestService
from trichord.server.services.migration import MigrationService
from trichord.server.services.registry import RegistryService
from trichord.server.services.search import SearchService
from trichord.server.settings import Settings
from trichord.server.streams import Streams
from trichord.server.uris import MediaRoot
from trichord.v1 import (
    embedding_pb2_grpc,
    feature_pb2_grpc,
    ingest_pb2_grpc,
    migration_pb2_grpc,
    registry_pb2_grpc,
    search_pb2_grpc,
)

LOGGER = logging.getLogger("trichord.server")

SERVICES = tuple(
    f"trichord.v1.{name}Service"
    for name in ("Embedding", "Feature", "Ingest", "Migration", "Registry", "Search")
)
_SPARE_REFUSALS = 256
"""Calls beyond workers, queue and streams that still get a refusal with a reason; more are cut off
by gRPC itself."""

CONNECTION_AGE_MS = 300_000
PINGS_ALLOWED_EVERY_MS = 10_000

_LOOK_S, _QUIET_LOOKS = 0.05, 4
"""A draining server that was idle this often in a row has sent its last answer."""


class Server:
    """Serves a catalog until it is stopped; the catalog stays the caller's.

    Raises InvalidInput where it cannot listen. It answers from `start` on, and says SERVING in its
    health once the catalog is warm.
    """

    def __init__(self, catalog: Catalog, settings: Settings | None = None) -> None:
        self._settings = settings = settings or Settings()
        self._catalog = catalog
        self._stopping = threading.Event()
        self._backfills = Backfills(catalog)
        self.counters = Counters()
        self._pools = Pools.of(settings)
        self._streams = Streams(self.counters)
        self._server = grpc.server(
            self._pools.answers,
            interceptors=(
                self._streams,
                RequestLog(self.counters),
                ErrorMapping(),
                Authentication(settings.tokens, self._pools.control),
                Admission(settings, self._pools),
            ),
            options=_options(settings),
            maximum_concurrent_rpcs=(
                settings.workers
                + settings.queue
                + settings.streams
                + settings.search_streams
                + _SPARE_REFUSALS
            ),
        )
        self._health = health.HealthServicer()
        self._add_services()
        self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        self._address = bind(self._server, settings)

    @property
    def address(self) -> str:
        """Where it listens, as a client takes it."""
        return self._address.target

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()

    def start(self) -> None:
        self._server.start()
        try:
            self._catalog.warm_up()
        except BaseException:
            self.stop()
            raise
        self._set_health(health_pb2.HealthCheckResponse.SERVING)
        LOGGER.info(
            "listening on %s (%s, %s)",
            self.address,
            "TLS" if self._settings.secure else "no TLS",
            "token needed" if self._settings.tokens else "no token",
        )

    def stop(self) -> None:
        """Says NOT_SERVING, takes no new call, lets running ones end within `grace_s`."""
        self._health.enter_graceful_shutdown()
        self._stopping.set()
        self._backfills.close()
        self._streams.stop()
        ended = self._server.stop(self._settings.grace_s)
        quiet = 0
        while quiet < _QUIET_LOOKS and not ended.wait(_LOOK_S):
            quiet = 0 if self._pools.busy else quiet + 1
        # What is left now are watchers of the health, which end only when they are cut off.
        self._server.stop(None).wait()
        self._pools.shutdown()

    def wait(self) -> None:
        self._server.wait_for_termination()

    def _add_services(self) -> None:
        catalog, settings, server = self._catalog, self._settings, self._server
        media = MediaRoot(settings.media_root, settings.max_message_bytes)
        inputs = Inputs(media)
        ingest = IngestService(catalog, media, settings, self._stopping)
        added: Any = (
            (search_pb2_grpc.add_SearchServiceServicer_to_server, SearchService(catalog, inputs)),
            (
                embedding_pb2_grpc.add_EmbeddingServiceServicer_to_server,
                EmbeddingService(catalog, inputs),
            ),
            (feature_pb2_grpc.add_FeatureServiceServicer_to_server, FeatureService(catalog)),
            (ingest_pb2_grpc.add_IngestServiceServicer_to_server, ingest),
            (
                migration_pb2_grpc.add_MigrationServiceServicer_to_server,
                MigrationService(catalog, self._backfills),
            ),
            (
                registry_pb2_grpc.add_RegistryServiceServicer_to_server,
                RegistryService(catalog, self.counters),
            ),
            (health_pb2_grpc.add_HealthServicer_to_server, self._health),
        )
        for add, service in added:
            add(service, server)
        if settings.reflection:
            names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, server)

    def _set_health(self, status: Any) -> None:
        for name in ("", *SERVICES):
            self._health.set(name, status)


def _options(settings: Settings) -> list[tuple[str, int]]:
    options = [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # A second server on the port must fail, not share the calls.
        ("grpc.so_reuseport", int(settings.share_port)),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        # Without it, a client that looks every half minute whether its idle stream still stands
        # would be taken for an attack after two minutes.
        ("grpc.http2.min_ping_interval_without_data_ms", PINGS_ALLOWED_EVERY_MS),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
    if settings.share_port:
        # A connection stays with its process; new ones now and then, so that a process that was
        # started anew gets its share. What runs on the old one is finished there.
        options.append(("grpc.max_connection_age_ms", CONNECTION_AGE_MS))
    return options


def _load_models(catalog: Catalog) -> None:
    try:
        catalog.load_models()
    except TrichordError as error:
        LOGGER.warning("content cannot be embedded here: %s", error)
    else:
        # What is there for good need not be looked through for garbage again and again: with
        # models loaded that stops all threads for 0.4 s each time.
        gc.freeze()
        LOGGER.info("models loaded")


def serve(
    path: str | Path,
    settings: Settings | None = None,
    *,
    space: str | None = None,
    create: bool = False,
    policy: Policy | None = None,
    spaces: Opener | Mapping[str, JointSpace] | None = None,
    reranker: str | Path | None = None,
    index_device: Device = "cpu",
    started: Callable[[str], object] | None = None,
) -> None:
    """Opens the store, serves it, and returns after SIGTERM or SIGINT once all is closed.

    To be called in the main thread. Raises NotFound for a store that is not there (unless
    `create`), ModelError for a reranker that is none, and InvalidInput where it cannot listen.
    `spaces`, `reranker`, `index_device`: see `Catalog.open`. `started` is called with the address
    once it serves.
    """
    told = threading.Event()

    def tell(number: int, frame: FrameType | None) -> None:
        told.set()

    before = {number: signal.signal(number, tell) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with (
            Catalog.open(
                path,
                space=space,
                create=create,
                policy=policy,
                background=True,
                spaces=spaces,
                reranker=reranker,
                index_device=index_device,
            ) as catalog,
            Server(catalog, settings) as server,
        ):
            gc.collect()
            gc.freeze()
            if started is not None:
                started(server.address)
            # In the background: vectors and stored things can be asked by meanwhile.
            loading = threading.Thread(target=_load_models, args=(catalog,), name="trichord-models")
            loading.start()
            told.wait()
            LOGGER.info("stopping")
            loading.join()  # an interpreter that ends while a model is being imported may crash
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
