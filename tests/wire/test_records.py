from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire import strategies
from trichord.errors import InvalidInput, MediaError
from trichord.query import Record
from trichord.results import Acknowledgement, Found, IndexInfo, Outcome, SpaceInfo, Stats
from trichord.types import Entity, Frame, Item, Modality, Space
from trichord.v1 import feature_pb2, ingest_pb2, registry_pb2
from trichord.wire.items import from_found, to_found
from trichord.wire.records import (
    from_acknowledgement,
    from_record,
    to_acknowledgement,
    to_record,
)
from trichord.wire.registry import from_spaces, from_stats, to_spaces, to_stats

attributes = st.dictionaries(strategies.names, strategies.values, max_size=4)
content = st.one_of(
    st.just({}),
    st.builds(lambda data: {"data": data}, st.binary(max_size=9)),
    st.builds(lambda text: {"text": text}, strategies.texts),
    st.builds(lambda uri: {"uri": uri}, strategies.texts),
    st.just({"vector": np.array([1, 2, 3], np.float32)}),
)


@settings(deadline=None, max_examples=100)
@given(
    content,
    attributes,
    st.one_of(st.none(), strategies.names),
    st.one_of(st.none(), st.sampled_from(Modality)),
    st.one_of(st.none(), strategies.times),
)
def test_records_come_back_equal(
    content: dict, attributes: dict, item_id: str | None, modality: str | None, time: datetime
) -> None:
    record = Record(
        item_id, "entity", modality, attributes=attributes, event_timestamp=time, **content
    )
    message = ingest_pb2.Record.FromString(to_record(record).SerializeToString())
    back = from_record(message, Frame("anchor", 3))
    vectors = [one.vector for one in (back, record)]
    assert replace(back, vector=None) == replace(record, vector=None)
    assert (vectors[0] is None) == (vectors[1] is None)
    if vectors[0] is not None:
        assert np.array_equal(vectors[0], vectors[1])


def test_times_may_be_written_as_text() -> None:
    back = from_record(to_record(Record("a", text="x", event_timestamp="2024-05-01T12:00Z")))
    assert back.event_timestamp == datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (Record("a", text="x", uri="y"), "text and uri"),
        (Record("a", text="x", modality="video"), "unknown modality 'video'"),
        (Record("a", text="x", attributes={"year": object()}), "year"),
        (Record("a", text="x", event_timestamp="soon"), "soon"),
    ],
)
def test_records_that_cannot_be_meant_are_refused(record: Record, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        to_record(record)


@pytest.mark.parametrize(
    "given_",
    [
        Acknowledgement("a", Outcome.ADDED, None, 5, 3),
        Acknowledgement("a", Outcome.CHANGED, None, 6, 0),
        Acknowledgement("a", Outcome.UNCHANGED, None, 7),
    ],
)
def test_acknowledgements_come_back_equal(given_: Acknowledgement) -> None:
    message = to_acknowledgement(9, given_)
    assert message.request_id == 9
    assert from_acknowledgement(message) == given_


def test_a_refusal_comes_back_as_its_error() -> None:
    back = from_acknowledgement(
        to_acknowledgement(1, Acknowledgement("a", None, MediaError("no sound", seen="PDF")))
    )
    assert back.outcome is None and isinstance(back.error, MediaError)
    assert (str(back.error), back.error.details) == ("no sound", {"seen": "PDF"})


@settings(deadline=None, max_examples=50)
@given(attributes, st.one_of(st.none(), strategies.times), strategies.times)
def test_stored_things_come_back_equal(
    attributes: dict, event: datetime | None, created: datetime
) -> None:
    item = Item(
        "a", "e", Modality.AUDIO, "file:///a.wav", None, "audio/wav", "ab12", 3, event, created,
        attributes,
    )  # fmt: skip
    entity = Entity("e", ("a", "b"), attributes)
    found = Found((item,), (entity,), ("x",), ("y", "z"), 12)
    message = feature_pb2.GetResponse.FromString(to_found(found).SerializeToString())
    assert from_found(message) == found


def test_spaces_and_statistics_come_back_equal() -> None:
    space = Space("hash", Frame("a/b", 32), {Modality.TEXT: "t1", Modality.IMAGE: "i1"})
    info = SpaceInfo(space, True, {Modality.TEXT: True, Modality.IMAGE: False})
    message = to_spaces([info])
    back = from_spaces(registry_pb2.ListSpacesResponse.FromString(message.SerializeToString()))
    assert back == [info] and dict(back[0].space.encoders) == dict(space.encoders)
    stats = Stats(
        path="here:1",
        snapshot=5,
        snapshot_time=datetime(2024, 5, 1, tzinfo=UTC),
        entities=2,
        items={"audio": 2, "text": 0},
        segments=9,
        bytes_on_disk=2**40,
        failures=1,
        indexes=(IndexInfo("hash", Modality.AUDIO, "hnsw", 9, 2, 0.97, 4),),
        attributes={"market": "string", "tags": "list<string>"},
        calls={"/trichord.v1.SearchService/Search OK": 7},
    )
    assert from_stats(to_stats(replace(stats, path="/secret"), stats.calls), "here:1") == stats
