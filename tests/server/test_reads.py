"""Embedding, Feature and Registry."""

from __future__ import annotations

import grpc
import numpy as np
import pytest

from tests.fakes import direction, embed_text, png
from tests.server.serving import SPACE, reason_of
from trichord.catalog import Catalog
from trichord.server.app import Server
from trichord.types import Modality
from trichord.v1 import embedding_pb2, feature_pb2, registry_pb2
from trichord.wire.items import from_found
from trichord.wire.plans import Stubs
from trichord.wire.registry import from_spaces, from_stats
from trichord.wire.vectors import from_vector, to_vector


def test_embed_gives_the_vectors_of_the_space(stubs: Stubs) -> None:
    vector = 3 * direction("low", SPACE.dim)
    response = stubs.embedding.Embed(
        embedding_pb2.EmbedRequest(
            inputs=[
                {"text": "red barn"},
                {"image": png("blue")},
                {"item_id": "covers/green.png"},
                {"vector": to_vector(vector)},
            ]
        )
    )
    expected = [
        embed_text("red barn", SPACE.dim),
        *(direction(word, SPACE.dim) for word in ("blue", "green", "low")),
    ]
    assert response.vectors.frame == "hash/32"
    assert np.allclose(from_vector(response.vectors), expected, atol=1e-5)
    ids = SPACE.space.encoders
    encoders = [result.encoder for result in response.results]
    assert encoders == [ids[Modality.TEXT], ids[Modality.IMAGE], "", ""]


def test_a_failed_input_has_a_zero_row_and_its_error(stubs: Stubs) -> None:
    response = stubs.embedding.Embed(
        embedding_pb2.EmbedRequest(
            inputs=[{"text": "red"}, {"text": ""}, {"image": b"no\0"}, {"text": "blue"}], role=2
        )
    )
    rows = from_vector(response.vectors)
    assert [bool(row.any()) for row in rows] == [True, False, False, True]
    assert np.allclose(rows[3], direction("blue", SPACE.dim), atol=1e-5)
    assert [result.error.code for result in response.results] == [0, 3, 3, 0]


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({"inputs": [{"text": " "}]}, "INVALID_ARGUMENT", "INVALID_INPUT"),
        ({"inputs": [{"image": b"no\0"}]}, "INVALID_ARGUMENT", "MEDIA"),
        ({"inputs": [{"text": "a"}], "role": 9}, "INVALID_ARGUMENT", "INVALID_INPUT"),
        ({"inputs": [{"text": "a"}], "space": "nope"}, "NOT_FOUND", "NOT_FOUND"),
        ({"inputs": [{"text": "a"}] * 1025}, "INVALID_ARGUMENT", "INVALID_INPUT"),
    ],
)
def test_embed_refuses(stubs: Stubs, fields: dict, code: str, reason: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        stubs.embedding.Embed(embedding_pb2.EmbedRequest(**fields))
    assert (raised.value.code().name, reason_of(raised.value)) == (code, reason)


def test_nothing_to_embed_has_the_right_shape(stubs: Stubs) -> None:
    response = stubs.embedding.Embed(embedding_pb2.EmbedRequest())
    assert from_vector(response.vectors).shape == (0, SPACE.dim)


def test_get_lists_what_is_missing(catalog: Catalog, stubs: Stubs) -> None:
    ids = ["notes/sea", "nobody", "covers/red.png"]
    response = stubs.feature.Get(
        feature_pb2.GetRequest(item_ids=ids, entity_ids=["track-0", "ghost"])
    )
    assert from_found(response) == catalog.get(ids, entity_ids=["track-0", "ghost"])
    assert [item.item_id for item in response.items] == ["notes/sea", "covers/red.png"]
    assert list(response.missing_item_ids) == ["nobody"]
    assert list(response.missing_entity_ids) == ["ghost"]
    assert response.items[1].attributes["market"].string_value == "SE"


def test_get_can_name_attributes(stubs: Stubs) -> None:
    response = stubs.feature.Get(
        feature_pb2.GetRequest(item_ids=["covers/red.png"], attributes=["year"])
    )
    assert list(response.items[0].attributes) == ["year"]


def test_the_registry_describes_the_store(catalog: Catalog, stubs: Stubs) -> None:
    spaces = from_spaces(stubs.registry.ListSpaces(registry_pb2.ListSpacesRequest()))
    assert spaces == catalog.spaces()
    assert spaces[0].default and all(spaces[0].at_hand.values())
    response = stubs.registry.GetStats(registry_pb2.GetStatsRequest())
    stats = from_stats(response, str(catalog.path))
    expected = catalog.stats()
    assert stats.items == {"audio": 3, "image": 3, "text": 3} and stats.entities == 6
    assert (stats.snapshot, stats.indexes, stats.attributes) == (
        expected.snapshot,
        expected.indexes,
        expected.attributes,
    )
    assert str(catalog.path) not in str(response)


def test_calls_are_counted_by_method_and_code(server: Server, stubs: Stubs) -> None:
    name = "/trichord.v1.FeatureService/Get OK"
    bad = "/trichord.v1.EmbeddingService/Embed INVALID_ARGUMENT"
    before = server.counters.snapshot()
    for _ in range(3):
        stubs.feature.Get(feature_pb2.GetRequest())
    with pytest.raises(grpc.RpcError):
        stubs.embedding.Embed(embedding_pb2.EmbedRequest(inputs=[{"text": ""}]))
    calls = stubs.registry.GetStats(registry_pb2.GetStatsRequest()).calls
    assert calls[name] == before.get(name, 0) + 3
    assert calls[bad] == before.get(bad, 0) + 1
