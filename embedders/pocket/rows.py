"""Puts computed rows into a batch's answer; a row that is not finite becomes an error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trichord.errors import ModelError, TrichordError
from trichord.types import F32


def checked(
    places: Sequence[int], found: F32, vectors: F32, errors: dict[int, TrichordError]
) -> None:
    """Copies `found` (m, 384) to `vectors[places]` where it is finite and of unit length."""
    good = np.isfinite(found).all(axis=1) & (np.abs((found**2).sum(axis=1) - 1) < 1e-3)
    for place, vector, fine in zip(places, found, good, strict=True):
        if fine:
            vectors[place] = vector
        else:
            errors[place] = ModelError("the encoder gave no unit vector for this item")
