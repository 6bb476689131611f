"""Several real server processes behind one port."""

from __future__ import annotations

import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

import trichord
import trichord.v1.ingest_pb2
from tests.server.serving import SPACE, eventually, records, serving
from tests.server.test_stream import Talk, search
from tests.wire.test_hits import assert_equal
from trichord.catalog import Catalog
from trichord.client import Client
from trichord.commands.serving import SpacesOfMachine
from trichord.errors import InvalidInput, NotFound, TrichordError, Unavailable
from trichord.server import supervisor
from trichord.server.app import Server
from trichord.server.bind import SharedPort
from trichord.server.settings import Settings
from trichord.server.supervisor import supervise
from trichord.wire.addresses import parse
from trichord.wire.plans import Stubs

ROOT = Path(trichord.__file__).parents[1]
SCRIPT = """
import logging, sys
from tests.server.serving import SPACE
from trichord.server.settings import Settings
from trichord.server.supervisor import supervise

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s")
    supervise(
        sys.argv[1],
        Settings(listen="127.0.0.1:0", grace_s=5.0),
        processes=int(sys.argv[2]),
        space=SPACE.name,
        spaces={SPACE.name: SPACE},
        create=True,
    )
"""


class Running:
    """A supervisor and what its processes log."""

    def __init__(self, store: Path, processes: int = 2) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(store), str(processes)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        serving = rf"{processes} processes on (\S+)"
        eventually(lambda: self.process.poll() is not None or self._found(serving))
        assert self.process.poll() is None, self.log
        self.address = self._found(serving)

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self.lines.append(line)

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def _found(self, pattern: str) -> str:
        match = re.search(pattern, self.log)
        return match[1] if match else ""

    @property
    def pids(self) -> list[int]:
        """Of the processes that serve now."""
        started = re.findall(r"trichord\.server\[(\d+)\] listening", self.log)
        return [pid for pid in map(int, started) if _runs(pid)]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(30)

    def pid_behind(self, stubs: Stubs) -> int:
        """Which process a connection goes to."""
        name = uuid.uuid4().hex
        stubs.search.Search(search("red", limit=1), metadata=(("x-request-id", name),))
        pattern = rf"trichord\.server\.calls\[(\d+)\] .*id={name}"
        eventually(lambda: self._found(pattern))
        return int(self._found(pattern))

    @contextmanager
    def one_connection_each(self) -> Iterator[dict[int, Stubs]]:
        """Stubs by the process that they reach, one for each of the two."""
        with ExitStack() as stack:
            found: dict[int, Stubs] = {}
            for _ in range(60):
                opened = stack.enter_context(
                    grpc.insecure_channel(
                        self.address,
                        options=[
                            ("grpc.use_local_subchannel_pool", 1),
                            ("grpc.enable_http_proxy", 0),
                        ],
                    )
                )
                stubs = Stubs(opened)
                found.setdefault(self.pid_behind(stubs), stubs)
                if len(found) == 2:
                    break
            assert len(found) == 2, f"all connections went to {list(found)}"
            yield found


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    made = Running(tmp_path_factory.mktemp("store") / "store")
    try:
        with Client(made.address) as client:
            assert client.ingest(records()).failed == 0
        yield made
    finally:
        made.close()


def contents(stubs: Stubs) -> set[str]:
    return set(stubs.search.Search(search("red", limit=100)).hits.item_ids)


def test_both_answer_and_see_what_either_wrote(running: Running) -> None:
    with running.one_connection_each() as reached:
        one, other = reached.values()
        assert set(reached) == set(running.pids)
        for writer, reader, name in ((one, other, "by-one"), (other, one, "by-other")):
            (done,) = writer.ingest.Ingest(_ingests([name]))
            assert done.WhichOneof("result") == "outcome", done
            eventually(lambda reader=reader, name=name: name in contents(reader))
        assert contents(one) >= {"by-one", "by-other"}
        one.ingest.Delete(trichord.v1.ingest_pb2.DeleteRequest(item_ids=["by-one", "by-other"]))
        eventually(lambda: not contents(other) & {"by-one", "by-other"})


def _ingests(names: Any) -> Iterator[Any]:
    from trichord.query import Record
    from trichord.wire.records import to_record

    for number, name in enumerate(names):
        yield trichord.v1.ingest_pb2.IngestRequest(
            request_id=number, record=to_record(Record(name, text="red"))
        )


def test_ingest_streams_to_both_take_turns(running: Running) -> None:
    with running.one_connection_each() as reached:
        outgoing: list[SimpleQueue[Any]] = [SimpleQueue(), SimpleQueue()]
        calls = [
            stubs.ingest.Ingest(_ingests(iter(queue.get, None)))
            for stubs, queue in zip(reached.values(), outgoing, strict=True)
        ]
        for turn in range(2):
            for number, (call, queue) in enumerate(zip(calls, outgoing, strict=True)):
                queue.put(f"turn-{turn}-{number}")
                answer = next(call)
                assert answer.WhichOneof("result") == "outcome", answer
        for queue in outgoing:
            queue.put(None)
        assert [list(call) for call in calls] == [[], []]
        names = {f"turn-{turn}-{number}" for turn in range(2) for number in range(2)}
        for stubs in reached.values():
            eventually(lambda stubs=stubs: names <= contents(stubs))
        client = next(iter(reached.values()))
        client.ingest.Delete(trichord.v1.ingest_pb2.DeleteRequest(item_ids=sorted(names)))
        for stubs in reached.values():
            eventually(lambda stubs=stubs: not names & contents(stubs))


def test_one_that_is_killed_costs_no_wrong_answer_and_comes_back(running: Running) -> None:
    words = ["red", "green", "blue", "high"]
    with Client(running.address) as client:
        expected = {word: client.search(word, limit=4) for word in words}
    wrong: list[Any] = []
    lost: list[TrichordError] = []
    answered = [0] * 6
    done = threading.Event()

    def work(number: int) -> None:
        with Client(running.address) as client, client.searching(limit=4) as ask:
            while not done.is_set():
                word = words[answered[number] % len(words)]
                try:
                    hits = ask(word) if number % 2 else client.search(word, limit=4)
                    assert_equal(hits, expected[word])
                except TrichordError as error:
                    lost.append(error)
                except AssertionError as error:
                    wrong.append(error)
                answered[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(answered))]
    for thread in threads:
        thread.start()
    eventually(lambda: min(answered) > 20)
    before = running.pids
    os.kill(before[0], signal.SIGKILL)
    seen = list(answered)
    eventually(lambda: all(now > then + 20 for now, then in zip(answered, seen, strict=True)))
    eventually(lambda: len(running.pids) == 2)
    done.set()
    for thread in threads:
        thread.join(30)
    assert not wrong
    # Searches are repeated by the client; at most one that was under way is told to be lost.
    assert all(isinstance(error, Unavailable) for error in lost) and len(lost) <= len(threads)
    assert set(running.pids) & set(before) == {before[1]}
    assert f"process {before[0]} ended with -9" in running.log
    with running.one_connection_each() as reached:
        assert set(reached) == set(running.pids)


def test_another_server_is_refused_the_port(running: Running, tmp_path: Path) -> None:
    with Catalog.open(tmp_path / "store", space=SPACE) as catalog:
        with pytest.raises(InvalidInput, match="another program listens"):
            Server(catalog, Settings(listen=running.address))
        with pytest.raises(InvalidInput, match="another program listens"):
            supervise(tmp_path / "store", Settings(listen=running.address), processes=2)


def test_a_signal_drains_all_of_them(running: Running) -> None:
    """The last one: it ends them."""
    pids = running.pids
    with running.one_connection_each() as reached:
        talks = [Talk(stubs) for stubs in reached.values()]
        for talk in talks:
            talk.say("red")
            assert talk.hear().request_id == "0"
        outgoing: SimpleQueue[Any] = SimpleQueue()
        ingest = next(iter(reached.values())).ingest.Ingest(_ingests(iter(outgoing.get, None)))
        outgoing.put("last")
        assert next(ingest).WhichOneof("result") == "outcome"
        running.process.send_signal(signal.SIGTERM)
        for talk in talks:
            assert talk.fails().code() is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(grpc.RpcError):
            next(ingest)
        outgoing.put(None)
    assert running.process.wait(60) == 0, running.log
    assert not [pid for pid in pids if _runs(pid)]
    assert "Traceback" not in running.log


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    running = Running(tmp_path / "store", processes=1)
    try:
        pids = running.pids
        assert len(pids) == 1
    finally:
        running.close()
    eventually(lambda: not [pid for pid in pids if _runs(pid)])


def test_what_keeps_them_from_serving_is_told(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    listen = Settings(listen="127.0.0.1:0")
    with pytest.raises(NotFound, match="no store"):
        supervise(tmp_path / "nothing", listen, processes=2)
    assert signal.getsignal(signal.SIGTERM) is before
    assert not (tmp_path / "nothing").exists()
    with pytest.raises(InvalidInput, match="picklable"):
        supervise(tmp_path / "store", listen, processes=2, spaces=lambda name: SPACE)
    with pytest.raises(InvalidInput, match="at least 1"):
        supervise(tmp_path / "store", listen, processes=0)
    with pytest.raises(InvalidInput, match="cannot listen on unix"):
        supervise(tmp_path / "store", Settings(listen=f"unix:{tmp_path}/s"), processes=2)


def test_a_kept_port_is_for_those_who_share_it(tmp_path: Path) -> None:
    with Catalog.open(tmp_path / "store", space=SPACE) as catalog:
        with SharedPort(parse("127.0.0.1:0")) as port:
            listen = port.address.target
            with pytest.raises(InvalidInput, match="another program listens"):
                Server(catalog, Settings(listen=listen))
            with (
                serving(catalog, listen=listen, share_port=True) as one,
                serving(catalog, listen=listen, share_port=True) as other,
                Client(listen) as client,
            ):
                assert one.address == other.address == listen
                assert client.health()
                with pytest.raises(InvalidInput, match="another program listens"):
                    SharedPort(parse(listen))
        with serving(catalog, listen=listen):  # free again
            pass
        with socket.socket() as foreign:
            foreign.bind(("127.0.0.1", 0))
            foreign.listen()
            with pytest.raises(InvalidInput, match="another program listens"):
                SharedPort(parse(f"127.0.0.1:{foreign.getsockname()[1]}"))


def test_a_process_that_dies_again_and_again_is_started_later_and_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(supervisor, "time", SimpleNamespace(monotonic=lambda: now))
    made = supervisor._Supervisor("store", Settings(), 2, {}, [], 0)
    place, other = made._places
    made._complete = other.serves = True

    def die(after: float, *, served: bool) -> float:
        """The pause before the next start."""
        nonlocal now
        place.began, place.serves = now, served
        place.process = SimpleNamespace(join=lambda: None, exitcode=1, pid=7)  # type: ignore[assignment]
        now += after
        made._died(place)
        return place.due - now

    assert [die(1.0, served=False) for _ in range(9)] == [
        0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0,
    ]  # fmt: skip
    assert die(100.0, served=True) == 0.0  # it served for long: at once
    assert die(1.0, served=True) == 0.25
    other.serves = False
    place.error = NotFound("the disk is gone")
    for _ in range(3):
        die(1.0, served=False)
    with pytest.raises(NotFound, match="disk is gone"):  # the fifth in a row, and nobody serves
        die(1.0, served=False)


def test_spaces_of_the_machine_travel_to_another_process() -> None:
    sent = pickle.loads(pickle.dumps(SpacesOfMachine(None, "cpu", "fp32", True)))
    assert sent("pocket").space.name == "pocket"
    with pytest.raises(NotFound):
        sent("nothing-of-this-name")
