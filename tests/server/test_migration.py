"""The verbs of a migration over gRPC: answers, status codes, jobs that outlive their callers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from tests.catalog.moving import NEW, OLD, CountingSpace, counting, texts
from tests.fakes import direction
from tests.server.serving import channel, eventually, reason_of, serving, status_of
from trichord.aio import AsyncClient
from trichord.catalog import Catalog, ingesting
from trichord.client import Client
from trichord.errors import (
    FrameMismatch,
    InvalidInput,
    NotFound,
    PermissionDenied,
    StoreError,
    Unavailable,
)
from trichord.filters import Filter
from trichord.policy import Action, Principal
from trichord.query import Record, Vector
from trichord.results import BackfillPhase, BackfillProgress, MigrationState
from trichord.server.app import Server
from trichord.types import Embedder, Modality
from trichord.v1 import migration_pb2, registry_pb2, search_pb2
from trichord.wire.plans import Stubs


@dataclass
class Denying:
    denied: set[Action] = field(default_factory=set)

    def permits(self, principal: Principal, action: Action) -> None:
        if action in self.denied:
            raise PermissionDenied(f"{principal.name} may not {action}")

    def visible(self, principal: Principal) -> Filter | None:
        return None


class Held(CountingSpace):
    """A space whose model waits until it is let go."""

    gate = threading.Event()

    def embedder(self, modality: Modality) -> Embedder:
        assert self.gate.wait(60)
        return super().embedder(modality)  # type: ignore[return-value]


@pytest.fixture
def policy() -> Denying:
    return Denying()


@pytest.fixture
def held() -> Iterator[Held]:
    Held.gate.set()
    yield Held(name="held", anchor="held", version=3)
    Held.gate.set()


@pytest.fixture
def catalog(
    tmp_path: Path, policy: Denying, held: Held, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Catalog]:
    monkeypatch.setattr(ingesting, "BATCH_RECORDS", 4)
    spaces = {"new": counting(NEW), "held": held}
    with Catalog.open(tmp_path / "store", space=OLD, policy=policy, spaces=spaces) as opened:
        with opened.ingestion() as ingestion:
            ingestion.add(texts(12))
        opened.refresh()
        yield opened


@pytest.fixture
def server(catalog: Catalog) -> Iterator[Server]:
    with serving(catalog) as running:
        yield running
        Held.gate.set()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.address, timeout=60) as opened:
        yield opened


def test_the_whole_way(client: Client, catalog: Catalog) -> None:
    verbs = client.migrations
    assert verbs.list() == [] and list(verbs.aliases()) == []
    made = verbs.register("new", require="ndcg@10>=0.5")
    assert made == catalog.migrations.get("new") == verbs.get("new")
    assert (made.source, made.alias, made.require) == ("old", "default", ("ndcg@10>=0.5",))
    told: list[BackfillProgress] = []
    ended = verbs.run("new", rate=1000, on_progress=told.append)
    assert ended == told[-1]
    assert (ended.phase, ended.embedded, ended.total) == (BackfillPhase.DONE, 12, 12)
    with pytest.raises(StoreError, match="no evaluation showed ndcg@10>=0.5"):
        verbs.switch("new")
    judged = client.migrations.record_evaluation(
        "new", {"ndcg@10": 0.75, "slices": {"text": [1, 2.5]}}, True, require=["mrr>=0.1"]
    )
    assert judged.evaluation is not None and judged.evaluation.passed
    assert judged.evaluation.summary == {"ndcg@10": 0.75, "slices": {"text": [1, 2.5]}}
    assert judged.require == ("ndcg@10>=0.5", "mrr>=0.1")
    assert verbs.switch("new").state is MigrationState.LIVE
    hits = client.search("red note", limit=2)
    assert (hits.space, hits.frame) == ("new", "other/32")
    (alias,) = verbs.aliases()
    assert (alias.name, alias.space, alias.previous) == ("default", "new", "old")
    infos = {info.space.name: info for info in client.spaces()}
    assert infos["new"].default and infos["new"].aliases == ("default",)
    assert infos == {info.space.name: info for info in catalog.spaces()}
    assert {p.modality: (p.items, p.covered) for p in infos["new"].coverage}["text"] == (12, 12)
    assert verbs.rollback("new").state is MigrationState.ROLLED_BACK
    assert client.search("red note").space == "old"
    verbs.switch("new", allow_missing="0%", force="")
    assert verbs.finish("new", remove=True).state is MigrationState.FINISHED
    assert [info.space.name for info in client.spaces()] == ["new"]
    assert client.search("red note").space == "new"


def test_asynchronously(server: Server) -> None:
    async def all_of_it() -> None:
        async with AsyncClient(server.address, timeout=60) as client:
            verbs = client.migrations
            await verbs.register("new")
            told: list[BackfillProgress] = []

            async def tell(progress: BackfillProgress) -> None:
                told.append(progress)

            ended = await verbs.run("new", on_progress=tell)
            assert ended.embedded == 12 and told[-1] == ended
            assert not await verbs.cancel("new")
            with pytest.raises(NotFound, match="no backfill of 'new' runs"):
                async for _ in verbs.watch("new"):
                    pass
            await verbs.record_evaluation("new", {"a": 1}, True)
            await verbs.switch("new")
            assert (await client.search("red")).space == "new"
            await verbs.rollback("new")
            assert (await verbs.get("new")).state is MigrationState.ROLLED_BACK
            await verbs.switch("new")
            await verbs.finish("new")
            assert [one.state for one in await verbs.list()] == [MigrationState.FINISHED]
            assert [one.space for one in await verbs.aliases()] == ["new"]
            with pytest.raises(StoreError, match="is finished: it is over"):
                await verbs.abandon("new")

    asyncio.run(all_of_it())


def test_errors_keep_their_classes(client: Client) -> None:
    verbs = client.migrations
    for verb in (verbs.get, verbs.run, verbs.switch, verbs.rollback, verbs.finish, verbs.abandon):
        with pytest.raises(NotFound, match="no migration to 'new'"):
            verb("new")
    with pytest.raises(NotFound, match="no space 'nowhere'"):
        verbs.register("nowhere")
    verbs.register("new")
    with pytest.raises(NotFound, match="no backfill of 'new' runs"):
        list(verbs.watch("new"))
    with pytest.raises(InvalidInput, match="a number of items"):
        verbs.switch("new", allow_missing="most")
    with pytest.raises(InvalidInput, match="no JSON object"):
        verbs.record_evaluation("new", {"x": object()}, True)
    with pytest.raises(InvalidInput, match="no JSON object"):
        verbs.record_evaluation("new", {"x": float("nan")}, True)
    with pytest.raises(InvalidInput, match="positive number"):
        verbs.run("new", rate=-1.0)


def test_status_codes(server: Server) -> None:
    with channel(server) as opened:
        stubs = Stubs(opened)

        def code(method: str, request: object) -> tuple[grpc.StatusCode, str]:
            with pytest.raises(grpc.RpcError) as raised:
                getattr(stubs.migration, method)(request)
            assert status_of(raised.value).message
            return raised.value.code(), reason_of(raised.value)

        get = migration_pb2.GetMigrationRequest(space="x")
        assert code("GetMigration", get) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
        register = migration_pb2.RegisterMigrationRequest(space="new", alias="old")
        assert code("RegisterMigration", register) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_INPUT",
        )
        register.alias = ""
        stubs.migration.RegisterMigration(register)
        switch = migration_pb2.SwitchSpaceRequest(space="new")
        assert code("SwitchSpace", switch) == (grpc.StatusCode.FAILED_PRECONDITION, "STORE")


def test_what_a_policy_denies(client: Client, policy: Denying, catalog: Catalog) -> None:
    verbs = client.migrations
    verbs.register("new")
    policy.denied = {Action.MANAGE}
    for call in (
        lambda: verbs.register("new"),
        lambda: verbs.run("new"),
        lambda: verbs.cancel("new"),
        lambda: verbs.record_evaluation("new", {}, True),
        lambda: verbs.switch("new"),
        lambda: verbs.rollback("new"),
        lambda: verbs.finish("new"),
        lambda: verbs.abandon("new"),
    ):
        with pytest.raises(PermissionDenied, match="local may not manage"):
            call()
    assert verbs.get("new").state is MigrationState.REGISTERED
    policy.denied = {Action.DESCRIBE}
    watch = lambda: list(verbs.watch("new"))  # noqa: E731
    for look in (lambda: verbs.get("new"), verbs.list, verbs.aliases, watch):
        with pytest.raises(PermissionDenied, match="may not describe"):
            look()


def test_a_backfill_outlives_its_caller(client: Client, server: Server, held: Held) -> None:
    client.migrations.register("held")
    Held.gate.clear()
    with channel(server) as opened:
        call = Stubs(opened).migration.Backfill(migration_pb2.BackfillRequest(space="held"))
        first = next(call).progress
        assert (first.phase, first.total, first.done) == (1, 12, 0)
        call.cancel()
    running = client.migrations.get("held").backfill
    assert running is not None and running.phase is BackfillPhase.RUNNING
    # A second caller joins the one that runs.
    seen: list[BackfillProgress] = []
    joined = threading.Thread(target=lambda: seen.extend(client.migrations.watch("held")))
    joined.start()
    eventually(lambda: bool(seen))
    Held.gate.set()
    ended = client.migrations.run("held")
    joined.join(30)
    assert seen[-1].phase is BackfillPhase.DONE and seen[-1].embedded == 12
    assert ended.phase is BackfillPhase.DONE
    assert client.migrations.get("held").coverage[-1].covered == 12


def test_a_backfill_is_cancelled_and_continued(client: Client, held: Held) -> None:
    client.migrations.register("held")
    told: list[BackfillProgress] = []
    running = threading.Thread(
        target=lambda: told.append(client.migrations.run("held", rate=2.0, limit=11))
    )
    running.start()
    eventually(lambda: (b := client.migrations.get("held").backfill) is not None and b.done > 0)
    assert client.migrations.cancel("held")
    running.join(30)
    assert told[0].phase is BackfillPhase.CANCELLED and told[0].total == 11
    assert 0 < told[0].embedded < 11
    assert not client.migrations.cancel("held")
    assert client.migrations.run("held").embedded == 12 - told[0].embedded


def test_a_server_that_stops_ends_its_backfill(catalog: Catalog, held: Held) -> None:
    failed: list[Exception] = []
    with serving(catalog) as server, Client(server.address, timeout=60) as client:
        client.migrations.register("held")

        def run() -> None:
            try:
                client.migrations.run("held", rate=2.0)
            except Unavailable as error:
                failed.append(error)

        running = threading.Thread(target=run)
        running.start()
        eventually(lambda: (b := client.migrations.get("held").backfill) is not None and b.done > 0)
        server.stop()
        running.join(30)
    state = catalog.migrations.get("held")
    assert state.state is MigrationState.BACKFILLING and state.backfill is None
    assert catalog.migrations.run("held").phase is BackfillPhase.DONE


def test_vectors_of_another_frame(client: Client) -> None:
    client.migrations.register("new")
    client.migrations.run("new")
    asked = Vector(direction("red", 32), "hash/32")
    assert client.search(asked).space == "old"
    client.migrations.switch("new")
    with pytest.raises(FrameMismatch, match="'hash/32', the space 'new'"):
        client.search(asked)
    report = client.ingest(
        [Record("v", modality="image", vector=direction("red", 32), frame="hash/32")]
    )
    assert report.failed == 1 and report.errors[0].reason == "FRAME_MISMATCH"
    assert client.search(asked, space="old").frame == "hash/32"


def test_the_basis_names_the_space_behind_an_alias(server: Server, client: Client) -> None:
    client.migrations.register("new", alias="news")
    with channel(server) as opened:
        stubs = Stubs(opened)
        request = search_pb2.SearchRequest(
            space="news", queries=[{"terms": [{"input": {"text": "red"}}]}]
        )
        basis = stubs.search.Search(request).basis
        assert (basis.space, basis.frame) == ("old", "hash/32")
        (space, _) = stubs.registry.ListSpaces(registry_pb2.ListSpacesRequest()).spaces
        assert (space.name, list(space.aliases), space.default) == ("old", ["news"], True)
        assert [(c.items, c.covered) for c in space.coverage] == [(0, 0), (0, 0), (12, 12)]
    assert client.embed(["red"], space="news").shape == (1, 32)
