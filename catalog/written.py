"""For which spaces an ingest embeds, as of one snapshot."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from trichord.catalog import aliases, migrating
from trichord.catalog.asking import encoder_at_hand
from trichord.catalog.encoding import ContentEncoder
from trichord.catalog.models import Models
from trichord.catalog.preparing import KnownEncoders
from trichord.errors import TrichordError
from trichord.store import Reader, Snapshot
from trichord.store.schema import RECORDS, SPACES
from trichord.types import Modality, Space

log = logging.getLogger("trichord.catalog")


@dataclass(frozen=True)
class Written:
    """`primary` embeds for the space that searches ask by default: what it cannot embed is not
    taken. `others` embed for those that aliases name or that a migration goes between; what they
    cannot embed is taken all the same, and stays to be filled.

    `known`: the encoders of all spaces of the store. `bits`: place of each in an item's mask.
    """

    primary: ContentEncoder
    others: tuple[ContentEncoder, ...]
    known: KnownEncoders
    bits: Mapping[str, int]

    @property
    def space(self) -> Space:
        return self.primary.joint.space

    @property
    def all(self) -> tuple[ContentEncoder, ...]:
        return (self.primary, *self.others)

    def alike(self, other: Written) -> bool:
        """Whether what was prepared and embedded under the other holds under this one."""
        return self.all == other.all

    def sharing(self, modality: Modality) -> list[str]:
        """Other spaces whose vectors of the modality are those of the primary."""
        mine = self.space
        return [
            other.joint.name
            for other in self.others
            if same_vectors(mine, other.joint.space, modality)
        ]


def same_vectors(one: Space, other: Space, modality: Modality) -> bool:
    """Whether a vector of the modality made for one space is that of the other."""
    return (
        one.frame == other.frame
        and modality in one.encoders
        and one.encoders[modality] == other.encoders.get(modality)
    )


def spaces_written(reader: Reader, default: str) -> list[str]:
    """Names of the spaces that an ingest embeds for, the default one first."""
    pointing = aliases.read(reader.records(aliases.KIND))
    names = [aliases.resolved(None, pointing, default)]
    names += [alias.space for _, alias in sorted(pointing.items())]
    for record in migrating.read(reader.records(migrating.KIND)).values():
        if record.state.under_way:
            names += [record.source, record.space]
    return list(dict.fromkeys(names))


def written(reader: Reader, models: Models, default: str) -> Written:
    """Raises EncoderMismatch if nothing here embeds for the default space; another space that
    nothing here embeds for is left to be filled later."""
    stored = {one.space.name: one for one in reader.spaces()}
    first, *rest = spaces_written(reader, default)
    primary = encoder_at_hand(models.find(first), first)
    others = []
    for name in rest:
        if name not in stored:
            continue
        try:
            others.append(models.fitting(stored[name].space))
        except TrichordError as error:
            log.warning("what is ingested is not embedded for space %r here: %s", name, error)
    known = {
        modality: frozenset(
            [one.space.encoders[modality] for one in stored.values()
             if modality in one.space.encoders]
        )
        for modality in Modality
    }  # fmt: skip
    return Written(primary, tuple(others), known, reader.space_bits())


def same_plan(one: Snapshot, other: Snapshot) -> bool:
    """Whether nothing was written between the snapshots that decides about spaces."""
    return all(one.versions.get(t) == other.versions.get(t) for t in (SPACES, RECORDS))
