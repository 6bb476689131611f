"""Whether this machine computes what a store was written with: canaries in the store's records.

The first use of a space in a store leaves the vectors of its canaries there. A runtime (device,
precision, processor, library versions) that computes the same, within the bounds of
`trichord.embedders.canaries`, is remembered, so that each is checked once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from trichord.embedders import runtimes
from trichord.embedders.backend import Runtime
from trichord.embedders.canaries import (
    MIN_COSINE,
    MIN_OVERLAP,
    Agreement,
    Canaries,
    agreement,
    vectors,
)
from trichord.embedders.spaces import JointSpace, ReadySpace
from trichord.errors import EncoderMismatch, StoreDamaged
from trichord.types import Modality

CANARIES = "canaries"
"""Kind of the store's records: by space, {"encoders", "made_on", and what Canaries.to_json has}."""

RUNTIMES = "runtimes"
"""Kind of the store's records: by "<space>/<key>", {"encoders", "runtime", "figures"}."""


class Recorded(Protocol):
    """A `Store` or a `Reader`."""

    def records(self, kind: str) -> Mapping[str, Any]: ...


class Recorder(Protocol):
    """A `Writer`, as far as it is used here."""

    def commit(
        self, *, records: Mapping[str, Mapping[str, Any | None]] | None = ..., message: str = ...
    ) -> object: ...


class How(StrEnum):
    """RECORDED: nothing was stored to compare with (with a writer: now it is). CHECKED: canaries
    were computed and agree. KNOWN: this runtime was checked before. READY: the vectors are made
    elsewhere, nothing is computed here."""

    READY = "ready"
    RECORDED = "recorded"
    CHECKED = "checked"
    KNOWN = "known"


@dataclass(frozen=True)
class Admission:
    """What was found out; `agreement` only where canaries were compared."""

    space: str
    runtime: str
    how: How
    agreement: Agreement | None = None


def admit(
    stored: Recorded, writer: Recorder | None, joint: JointSpace, *, again: bool = False
) -> Admission:
    """Admits the space on this machine to a store, loading its models unless they were admitted
    before (`again`: also then).

    Canaries are compared for encoders that the store has canaries of; what it has none of, or of
    another encoder, is stored. Without a `writer` nothing is stored or remembered. A precision
    that is measured anew in every process ("auto") is never remembered. Raises EncoderMismatch
    with the figures when the vectors differ too much, ModelError, StoreDamaged.
    """
    if isinstance(joint, ReadySpace):
        return Admission(joint.name, "", How.READY)
    found = runtimes.facts(runtime_of(joint))
    key = f"{joint.name}/{runtimes.key(found)}"
    mine = {modality: encoder.id for modality, encoder in joint.encoders.items()}
    record = stored.records(CANARIES).get(joint.name)
    kept, lasting = _kept(record, mine), found["precision"] != "auto"
    known = stored.records(RUNTIMES).get(key)
    if not again and known is not None and known.get("encoders") == _plain(mine) and lasting:
        return Admission(joint.name, key, How.KNOWN)
    now = vectors(joint)
    compared = None
    if kept.vectors:
        compared = agreement(kept, now)
        if not compared.agrees:
            raise _mismatch(joint.name, compared, found, record)
    if writer is not None:
        records: dict[str, dict[str, Any]] = {}
        if set(kept.vectors) != set(mine):
            whole = Canaries({**now.vectors, **kept.vectors})
            made_on = {**(record or {}).get("made_on", {}), **_made_on(mine, kept, found)}
            records[CANARIES] = {
                joint.name: {"encoders": _plain(mine), "made_on": made_on, **whole.to_json()}
            }
        if lasting:
            figures = {} if compared is None else compared.to_json()
            records[RUNTIMES] = {
                key: {"encoders": _plain(mine), "runtime": found, "figures": figures}
            }
        if records:
            writer.commit(records=records, message=f"canaries of space {joint.name}")
    return Admission(joint.name, key, How.RECORDED if compared is None else How.CHECKED, compared)


def drift(stored: Recorded, joint: JointSpace) -> Agreement | None:
    """How the canaries that this machine computes compare with those that the store was written
    with, loading the models; None where the store has none of these encoders. A disagreement is
    told, not raised. Raises ModelError, StoreDamaged."""
    mine = {modality: encoder.id for modality, encoder in joint.encoders.items()}
    kept = _kept(stored.records(CANARIES).get(joint.name), mine)
    return agreement(kept, vectors(joint, tuple(kept.vectors))) if kept.vectors else None


def forgotten(stored: Recorded, space: str) -> dict[str, dict[str, None]]:
    """The records that a commit has to carry when a space is removed from a store."""
    keys = [key for key in stored.records(RUNTIMES) if key.rpartition("/")[0] == space]
    return {
        CANARIES: {space: None} if space in stored.records(CANARIES) else {},
        RUNTIMES: dict.fromkeys(keys),
    }


def runtime_of(joint: JointSpace) -> Runtime:
    """Where a space runs; those that do not say run on the CPU in fp32, as the bundled do."""
    found = getattr(joint, "runtime", None)
    return found if isinstance(found, Runtime) else Runtime(device="cpu")


def _kept(record: Any, mine: Mapping[Modality, str]) -> Canaries:
    """The stored canaries of encoders that are still the space's."""
    if record is None:
        return Canaries({})
    whole = Canaries.from_json(record)
    try:
        made_by = {Modality(m): str(identity) for m, identity in record["encoders"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreDamaged(f"the record of canaries is damaged: {error}") from error
    return Canaries(
        {
            modality: rows
            for modality, rows in whole.vectors.items()
            if modality in mine and made_by.get(modality) == mine[modality]
        }
    )


def _made_on(
    mine: Mapping[Modality, str], kept: Canaries, found: Mapping[str, Any]
) -> dict[str, Mapping[str, Any]]:
    return {str(modality): found for modality in mine if modality not in kept.vectors}


def _plain(mine: Mapping[Modality, str]) -> dict[str, str]:
    return {str(modality): identity for modality, identity in mine.items()}


def _mismatch(
    space: str, compared: Agreement, found: Mapping[str, Any], record: Any
) -> EncoderMismatch:
    worst = next(m for m, figures in compared.figures.items() if not figures.agrees)
    then = record.get("made_on", {}).get(str(worst), {}) if isinstance(record, dict) else {}
    differs = _differences(then, found)
    return EncoderMismatch(
        f"this machine computes other vectors for space {space!r} than the store was written with:"
        f" {compared} (at least {MIN_COSINE} and {MIN_OVERLAP} are needed)"
        + (f"; different here: {differs}" if differs else "")
        + "; use precision fp32 and the library versions of then",
        space=space,
        figures=str(compared),
    )


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """ "precision bf16 (was fp32), torch 2.15.0 (was 2.14.1)"."""
    before = {**then, **then.get("libraries", {})}
    after = {**now, **now.get("libraries", {})}
    return ", ".join(
        f"{name} {value} (was {before[name]})"
        for name, value in after.items()
        if name != "libraries" and name in before and before[name] != value
    )
