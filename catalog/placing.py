"""Where the indexes of a catalogue answer: on the CPU, or as copies in the memory of a GPU."""

from __future__ import annotations

import logging
from collections.abc import Callable

from trichord.errors import InvalidInput
from trichord.index.ann import AnnIndex
from trichord.index.base import VectorIndex
from trichord.index.exact import ExactIndex
from trichord.index.gpu_build import DEVICES, Device

Place = Callable[[ExactIndex | AnnIndex], VectorIndex]
"""A base as it was loaded -> what answers for it."""

log = logging.getLogger("trichord.catalog")


def as_it_is(base: ExactIndex | AnnIndex) -> VectorIndex:
    return base


def on(device: Device) -> Place:
    """Bases answer there: "auto" and "gpu" make a copy of each in the memory of a GPU where one can
    hold it, else it answers on the CPU; the log says which, and why. Raises InvalidInput."""
    if device not in DEVICES:
        raise InvalidInput(f"no device {device!r} for indexes: {', '.join(DEVICES)}")
    if device == "cpu":
        return as_it_is

    def copied(base: ExactIndex | AnnIndex) -> VectorIndex:
        from trichord.index.placement import placed

        samples = base.samples.get("given") if isinstance(base, AnnIndex) else None
        found = placed(base, device=device, queries=samples)
        # Who asked for a GPU wants to know that there is none; "auto" takes what there is.
        level = logging.WARNING if device == "gpu" and found.device == "cpu" else logging.INFO
        told = "an index of %d rows answers on %s: %s"
        log.log(level, told, base.size, found.device, found.reason)
        return found.index

    return copied
