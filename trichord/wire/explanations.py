"""Facets and explanations <-> messages."""

from __future__ import annotations

from trichord.explanation import Explanation, Facet, LegExplanation, Step
from trichord.v1 import search_pb2
from trichord.wire.enums import MODALITY_NUMBERS, modality_of
from trichord.wire.values import from_value, to_value


def write_facet(facet: Facet, message: search_pb2.Facet) -> None:
    message.name = facet.name
    message.missing = facet.missing
    message.others = facet.others
    for value, count in facet.values:
        message.values.add(value=to_value(value, facet.name), count=count)


def from_facet(message: search_pb2.Facet) -> Facet:
    values = [(from_value(one.value), one.count) for one in message.values]
    return Facet(message.name, values, message.missing, message.others)


def write_explanation(explanation: Explanation, message: search_pb2.Explanation) -> None:
    for leg in explanation.legs:
        written = message.legs.add(
            modality=MODALITY_NUMBERS[leg.modality],
            index=leg.index,
            rows=leg.rows,
            fresh_rows=leg.fresh,
            allowed_rows=leg.allowed,
        )
        for step in leg.steps:
            written.steps.add(
                way=step.way,
                rows_scanned=step.scanned,
                microseconds=step.microseconds,
                effort=step.effort,
                widened=step.widened,
            )
    for name, spent in explanation.stages.items():
        message.stages.add(name=name, microseconds=spent)


def from_explanation(message: search_pb2.Explanation) -> Explanation:
    legs = tuple(
        LegExplanation(
            modality_of(leg.modality),
            leg.index,
            leg.rows,
            leg.fresh_rows,
            leg.allowed_rows,
            tuple(
                Step(step.way, step.rows_scanned, step.microseconds, step.effort, step.widened)
                for step in leg.steps
            ),
        )
        for leg in message.legs
    )
    return Explanation(legs, {stage.name: stage.microseconds for stage in message.stages})
