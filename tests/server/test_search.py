from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest

from tests.fakes import direction, png, wav
from tests.server.serving import SPACE, reason_of
from tests.wire.test_hits import assert_equal
from trichord.catalog import Catalog
from trichord.hits import Hits
from trichord.options import options_of
from trichord.query import (
    Askable,
    Audio,
    Boost,
    EntityRef,
    Image,
    ItemRef,
    SegmentRef,
    Text,
    as_query,
)
from trichord.v1 import query_pb2, search_pb2, types_pb2
from trichord.wire.hits import from_response
from trichord.wire.options import write_options
from trichord.wire.plans import Stubs
from trichord.wire.queries import to_query
from trichord.wire.vectors import to_vector


def request(*asked: Askable, **fields: object) -> search_pb2.SearchRequest:
    return search_pb2.SearchRequest(queries=[to_query(as_query(one)) for one in asked], **fields)


def only(response: search_pb2.SearchResponse) -> Hits:
    (hits,) = from_response(response)
    assert isinstance(hits, Hits)
    return hits


ASKED: list[Askable] = [
    "red",
    "a high song",
    Image(png("green", seed=3)),
    Audio(wav("low", seed=1)),
    direction("blue", SPACE.dim),
    ItemRef("covers/red.png"),
    EntityRef("track-1"),
    SegmentRef("clips/high-low-high.wav", 1),
    Text("red") - 0.5 * ItemRef("notes/barn") + 0.25 * Image(png("blue")),
]


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: type(asked).__name__)
def test_the_answer_is_that_of_the_catalog(catalog: Catalog, stubs: Stubs, asked: Askable) -> None:
    expected = catalog.search(asked, attributes="*", segments=3, limit=20)
    got = only(
        stubs.search.Search(request(asked, attributes=["*"], segments_per_hit=3, page_size=20))
    )
    assert len(got) > 3
    assert_equal(got, expected)


def test_what_is_found_is_right(stubs: Stubs) -> None:
    hits = only(stubs.search.Search(request("red", modalities=[types_pb2.MODALITY_IMAGE])))
    assert hits[0].item_id == "covers/red.png" and hits[0].score == pytest.approx(1.0, abs=1e-5)
    assert {str(hit.modality) for hit in hits} == {"image"}
    assert hits[0].significance is None
    high = only(
        stubs.search.Search(
            request("low", modalities=[types_pb2.MODALITY_AUDIO], segments_per_hit=3)
        )
    )
    best = {hit.item_id: hit.segments[0] for hit in high}["clips/high-low-high.wav"]
    assert (best.ordinal, best.start_ms, best.end_ms) == (1, 1000, 2000)


def test_several_queries_have_one_answer_each(catalog: Catalog, stubs: Stubs) -> None:
    asked = ["red", "blue", direction("high", SPACE.dim)]
    response = stubs.search.Search(request(*asked, page_size=4))
    ranges = [(answer.first, answer.count) for answer in response.answers]
    assert ranges == [(0, 4), (4, 4), (8, 4)] and len(response.hits.item_ids) == 12
    for got, one in zip(from_response(response), asked, strict=True):
        assert isinstance(got, Hits)
        assert got.item_ids == list(catalog.search(one, limit=4).item_ids)


def test_one_bad_query_does_not_fail_the_others(stubs: Stubs) -> None:
    ask = request("red", ItemRef("nobody"), "blue")
    ask.queries.add(terms=[query_pb2.QueryTerm(input={"text": " "})])
    response = stubs.search.Search(ask)
    codes = [answer.error.code for answer in response.answers]
    assert codes == [0, grpc.StatusCode.NOT_FOUND.value[0], 0, 3]
    assert [answer.count for answer in response.answers] == [9, 0, 9, 0]
    assert "nobody" in response.answers[1].error.message


def test_all_queries_may_fail_each_by_itself(stubs: Stubs) -> None:
    response = stubs.search.Search(request(ItemRef("nobody"), ItemRef("nothing")))
    assert [answer.error.code for answer in response.answers] == [5, 5]
    assert len(response.hits.item_ids) == 0


@pytest.mark.parametrize(
    ("group", "count"), [(search_pb2.GROUP_SEGMENT, 11), (2, 9), (search_pb2.GROUP_ENTITY, 6)]
)
def test_groups(stubs: Stubs, group: int, count: int) -> None:
    hits = only(stubs.search.Search(request("red", group=group, page_size=50)))
    assert len(hits) == count
    if group == search_pb2.GROUP_ENTITY:
        assert len(set(hits.entity_ids)) == count


def test_a_tree_and_its_text_filter_alike(stubs: Stubs) -> None:
    tree = query_pb2.Filter(
        all=query_pb2.FilterList(
            filters=[
                {"comparison": {"field": "market", "operator": 1, "value": {"string_value": "SE"}}},
                {"has": {"field": "tags", "value": "live"}},
                {"comparison": {"field": "year", "operator": 4, "value": {"int_value": 2000}}},
            ]
        )
    )
    text = query_pb2.Filter(expression="market = 'SE' and tags has 'live' and year <= 2000")
    answers = [
        only(stubs.search.Search(request("red", filter=one, attributes=["market", "year"])))
        for one in (tree, text)
    ]
    assert answers[0].item_ids == answers[1].item_ids == ["covers/red.png"]
    assert answers[0].attributes == {"market": ["SE"], "year": [2000]}


def test_attribute_columns_have_types_and_nulls(stubs: Stubs) -> None:
    names = ["market", "year", "tempo", "explicit", "released", "tags"]
    response = stubs.search.Search(request("red", attributes=names, page_size=20))
    kinds = {column.name: column.WhichOneof("values") for column in response.hits.attributes}
    assert kinds == {
        "market": "strings",
        "year": "ints",
        "tempo": "doubles",
        "explicit": "bools",
        "released": "timestamps_us",
        "tags": "lists",
    }
    hits = {hit.item_id: hit.attributes for hit in only(response)}
    assert hits["covers/red.png"]["tags"] == ["live", "loud"]
    assert hits["covers/red.png"]["released"].isoformat() == "2024-05-01T00:00:00+00:00"
    assert hits["notes/sea"]["year"] is None


def test_pages_together_are_the_whole_list(stubs: Stubs) -> None:
    whole = only(stubs.search.Search(request("red", page_size=9)))
    token, paged = "", []
    for _ in range(5):
        page = only(stubs.search.Search(request("red", page_size=2, page_token=token)))
        paged += page.item_ids
        token = page.next_page_token
    assert token == "" and paged == whole.item_ids
    first = only(stubs.search.Search(request("red", page_size=2)))
    for wrong in (
        request("blue", page_size=2, page_token=first.next_page_token),
        request("red", page_size=2, page_token="damaged"),
        request("red", "blue", page_size=2, page_token=first.next_page_token),
    ):
        with pytest.raises(grpc.RpcError) as raised:
            stubs.search.Search(wrong)
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason_of(raised.value) == "PAGE_TOKEN"


def test_the_answer_says_what_it_rests_on(catalog: Catalog, stubs: Stubs) -> None:
    basis = stubs.search.Search(request("red")).basis
    assert (basis.space, basis.frame) == ("hash", "hash/32")
    assert (basis.snapshot, basis.coverage, basis.partial) == (catalog.refresh(), 1.0, False)


def test_a_file_below_the_media_root_is_a_query(media: Path, stubs: Stubs) -> None:
    (media / "green.png").write_bytes(png("green", seed=9))
    (media / "low.wav").write_bytes(wav("low"))
    (media / "words.txt").write_text("blue")
    for uri, modality, best in (
        ("green.png", "image", "covers/green.png"),
        (f"file://{media}/low.wav", "audio", "clips/low.wav"),
        ("words.txt", "image", "covers/blue.png"),
    ):
        ask = search_pb2.SearchRequest(
            queries=[{"terms": [{"input": {"uri": uri}}]}],
            modalities=[types_pb2.Modality.Value(f"MODALITY_{modality.upper()}")],
        )
        assert only(stubs.search.Search(ask)).item_ids[0] == best


def vector(**fields: object) -> dict:
    good = to_vector(direction("red", SPACE.dim))
    given = {"data": good.data, "dim": good.dim, "dtype": good.dtype} | fields
    return {"vector": types_pb2.Vector(**given)}


NAN = np.full(SPACE.dim, np.nan, np.float32).tobytes()
BAD = {
    "short vector": (vector(data=b"\0" * 8, dim=2), {}, "INVALID_ARGUMENT", "VECTOR", "has 32"),
    "torn vector": (vector(data=b"\0" * 7), {}, "INVALID_ARGUMENT", "VECTOR", "whole rows"),
    "NaN": (vector(data=NAN), {}, "INVALID_ARGUMENT", "VECTOR", "NaN"),
    "zero vector": (vector(data=b"\0" * 128), {}, "INVALID_ARGUMENT", "VECTOR", "direction"),
    "foreign frame": (
        vector(frame="clip/32"), {}, "FAILED_PRECONDITION", "FRAME_MISMATCH", "clip/32",
    ),
    "unknown field": (
        {"text": "a"}, {"filter": {"expression": "colour = 'red'"}},
        "INVALID_ARGUMENT", "FILTER", "colour",
    ),
    "wrong type": (
        {"text": "a"}, {"filter": {"expression": "year = 'x'"}},
        "INVALID_ARGUMENT", "FILTER", "year",
    ),
    "filter syntax": (
        {"text": "a"}, {"filter": {"expression": "year >"}},
        "INVALID_ARGUMENT", "FILTER", "column 7",
    ),
    "unknown attribute": (
        {"text": "a"}, {"attributes": ["colour"]}, "INVALID_ARGUMENT", "INVALID_INPUT", "colour",
    ),
    "unknown item": ({"item_id": "nobody"}, {}, "NOT_FOUND", "NOT_FOUND", "nobody"),
    "unknown entity": ({"entity_id": "nobody"}, {}, "NOT_FOUND", "NOT_FOUND", "nobody"),
    "unknown segment": (
        {"segment": {"item_id": "covers/red.png", "ordinal": 9}}, {},
        "NOT_FOUND", "NOT_FOUND", "9",
    ),
    "unknown space": ({"text": "a"}, {"space": "nope"}, "NOT_FOUND", "NOT_FOUND", "nope"),
    "unknown modality": (
        {"text": "a"}, {"modalities": [9]}, "INVALID_ARGUMENT", "INVALID_INPUT", "modality 9",
    ),
    "empty text": ({"text": "  "}, {}, "INVALID_ARGUMENT", "INVALID_INPUT", "empty"),
    "no input": ({}, {}, "INVALID_ARGUMENT", "INVALID_INPUT", "empty"),
    "no image": ({"image": b"no picture\0"}, {}, "INVALID_ARGUMENT", "MEDIA", "unsupported"),
    "torn image": ({"image": png("red")[:40]}, {}, "INVALID_ARGUMENT", "MEDIA", ""),
    "sound as image": ({"image": wav("low")}, {}, "INVALID_ARGUMENT", "MEDIA", ""),
    "long page": (
        {"text": "a"}, {"page_size": 10_001}, "INVALID_ARGUMENT", "INVALID_INPUT", "10000",
    ),
    "path": ({"uri": "/etc/passwd"}, {}, "PERMISSION_DENIED", "PERMISSION_DENIED", "outside"),
    "way up": ({"uri": "../x.png"}, {}, "PERMISSION_DENIED", "PERMISSION_DENIED", "outside"),
    "private address": (
        {"uri": "http://169.254.169.254/latest"}, {},
        "PERMISSION_DENIED", "PERMISSION_DENIED", "network",
    ),
    "missing file": ({"uri": "nothing.png"}, {}, "NOT_FOUND", "NOT_FOUND", "nothing.png"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_has_one_clear_error(stubs: Stubs, name: str) -> None:
    given, fields, code, reason, says = BAD[name]
    ask = search_pb2.SearchRequest(queries=[{"terms": [{"input": given}]}], **fields)
    with pytest.raises(grpc.RpcError) as raised:
        stubs.search.Search(ask)
    error = raised.value
    assert (error.code().name, reason_of(error)) == (code, reason)
    assert says in error.details() and "Traceback" not in error.details()
    assert dict(error.trailing_metadata())["x-request-id"]


def test_limits_of_a_request(stubs: Stubs) -> None:
    for ask, says in ((request(), "1 to 1024"), (request(*["a"] * 1025), "1024")):
        with pytest.raises(grpc.RpcError, match=says) as raised:
            stubs.search.Search(ask)
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_message_over_the_limit_is_refused(stubs: Stubs) -> None:
    ask = search_pb2.SearchRequest(queries=[{"terms": [{"input": {"image": b"x" * (1 << 20)}}]}])
    with pytest.raises(grpc.RpcError) as raised:
        stubs.search.Search(ask)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in raised.value.details()


def test_vectors_as_a_matrix_are_answered_as_single_ones(catalog: Catalog, stubs: Stubs) -> None:
    matrix = np.stack([direction(word, SPACE.dim) for word in ("red", "green", "high", "barn")])
    response = stubs.search.Search(
        search_pb2.SearchRequest(vectors=to_vector(matrix), attributes=["*"], page_size=4)
    )
    got = from_response(response)
    assert len(got) == len(matrix)
    for answer, row in zip(got, matrix, strict=True):
        assert isinstance(answer, Hits)
        assert_equal(
            answer, replace(catalog.search(row, attributes="*", limit=4), next_page_token="")
        )


def test_vectors_and_queries_do_not_go_together(stubs: Stubs) -> None:
    matrix = np.eye(SPACE.dim, dtype=np.float32)[:2]
    for fields, wanted in (
        ({"queries": [to_query(as_query("red"))], "vectors": to_vector(matrix)}, "not by both"),
        ({"vectors": to_vector(matrix[:, :-1])}, "31 values"),
        ({"vectors": to_vector(0 * matrix)}, "no direction"),
        ({"vectors": to_vector(matrix), "page_token": "x"}, "exactly one query"),
    ):
        with pytest.raises(grpc.RpcError) as raised:
            stubs.search.Search(search_pb2.SearchRequest(**fields))
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert wanted in raised.value.details()


def test_exclusions_boosts_facets_over_grpc(catalog: Catalog, stubs: Stubs) -> None:
    plain = catalog.search("red", limit=20)
    out = list(plain.item_ids[:2])
    options: dict[str, object] = {
        "limit": 6,
        "exclude_items": out,
        "boosts": Boost(0.5, where="modality = 'text'"),
        "diversity": 0.2,
        "facets": "modality",
    }
    expected = catalog.search("red", **options)
    sent = request("red")
    write_options(options_of(options), sent)
    got = only(stubs.search.Search(sent))
    # The token is bound to the question as it was written, here a text, there a tree.
    assert got.next_page_token
    assert_equal(replace(got, next_page_token=""), replace(expected, next_page_token=""))
    assert not set(out) & set(got.item_ids)
    assert [(f.name, dict(f.values)) for f in got.facets] == [
        (f.name, dict(f.values)) for f in expected.facets
    ]
    assert sum(dict(got.facets[0].values).values()) == len(plain.item_ids) - 2
