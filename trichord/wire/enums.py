"""Names <-> numbers of the protocol's enums; tuples are indexed by number, 0 is "unspecified"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from trichord.errors import InvalidInput
from trichord.filters import Op
from trichord.results import Outcome
from trichord.types import Group, Modality, Role
from trichord.v1 import embedding_pb2, ingest_pb2, query_pb2, search_pb2, types_pb2

T = TypeVar("T")

MODALITY_NUMBERS: dict[str, types_pb2.Modality] = {
    Modality.AUDIO: types_pb2.MODALITY_AUDIO,
    Modality.IMAGE: types_pb2.MODALITY_IMAGE,
    Modality.TEXT: types_pb2.MODALITY_TEXT,
}
MODALITIES = (None, Modality.AUDIO, Modality.IMAGE, Modality.TEXT)

GROUP_NUMBERS = {
    Group.SEGMENT: search_pb2.GROUP_SEGMENT,
    Group.ITEM: search_pb2.GROUP_ITEM,
    Group.ENTITY: search_pb2.GROUP_ENTITY,
}
GROUPS = (Group.ITEM, Group.SEGMENT, Group.ITEM, Group.ENTITY)

FUSION_NUMBERS = {
    "rrf": search_pb2.FUSION_RRF,
    "score": search_pb2.FUSION_SCORE,
    "significance": search_pb2.FUSION_SIGNIFICANCE,
    "quota": search_pb2.FUSION_QUOTA,
}
FUSIONS = ("rrf", "rrf", "score", "significance", "quota")

ROLE_NUMBERS = {
    Role.QUERY: embedding_pb2.ROLE_QUERY,
    Role.DOCUMENT: embedding_pb2.ROLE_DOCUMENT,
}
ROLES = (Role.QUERY, Role.QUERY, Role.DOCUMENT)

OUTCOME_NUMBERS = {
    Outcome.ADDED: ingest_pb2.IngestResponse.OUTCOME_ADDED,
    Outcome.CHANGED: ingest_pb2.IngestResponse.OUTCOME_CHANGED,
    Outcome.UNCHANGED: ingest_pb2.IngestResponse.OUTCOME_UNCHANGED,
}
OUTCOMES = (None, Outcome.ADDED, Outcome.CHANGED, Outcome.UNCHANGED)

OPERATOR_NUMBERS = {
    Op.EQ: query_pb2.Comparison.OPERATOR_EQUAL,
    Op.NE: query_pb2.Comparison.OPERATOR_NOT_EQUAL,
    Op.LT: query_pb2.Comparison.OPERATOR_LESS,
    Op.LE: query_pb2.Comparison.OPERATOR_LESS_OR_EQUAL,
    Op.GT: query_pb2.Comparison.OPERATOR_GREATER,
    Op.GE: query_pb2.Comparison.OPERATOR_GREATER_OR_EQUAL,
}
OPERATORS = (None, Op.EQ, Op.NE, Op.LT, Op.LE, Op.GT, Op.GE)


def member(table: Sequence[T], number: int, what: str) -> T:
    """The entry of `table` with this number; InvalidInput for a number that is not in it."""
    if 0 <= number < len(table):
        return table[number]
    raise InvalidInput(
        f"{what} {number} is not known here: this server speaks 0 to {len(table) - 1}", field=what
    )


def modality_number(name: str) -> types_pb2.Modality:
    number = MODALITY_NUMBERS.get(name)
    if number is None:
        known = ", ".join(MODALITY_NUMBERS)
        raise InvalidInput(f"unknown modality {name!r}: choose from {known}", field="modality")
    return number


def modality_numbers(names: Iterable[str]) -> list[types_pb2.Modality]:
    return [modality_number(name) for name in names]


def modality_of(number: int) -> Modality:
    """Raises InvalidInput for an unknown number and for the unspecified one."""
    modality = member(MODALITIES, number, "modality")
    if modality is None:
        raise InvalidInput("a modality is needed: audio, image or text", field="modality")
    return modality
