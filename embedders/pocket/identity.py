"""What identifies the pocket encoders, from checksums alone (no torch)."""

from __future__ import annotations

from pathlib import Path

from trichord.embedders.pocket import weights
from trichord.embedders.pocket.preprocessing import AUDIO_FACTS, IMAGE_FACTS
from trichord.types import Encoder, Modality

SCHEMA = 1
"""Raised when the code changes what a vector is while weights and preprocessing stay."""


def image_encoder(folder: Path = weights.BUNDLED) -> Encoder:
    """Reads and verifies the weight file; raises ModelError."""
    return _encoder(Modality.IMAGE, dict(IMAGE_FACTS), folder)


def audio_encoder(folder: Path = weights.BUNDLED) -> Encoder:
    """Reads and verifies the weight file; raises ModelError."""
    return _encoder(Modality.AUDIO, dict(AUDIO_FACTS), folder)


def _encoder(modality: Modality, preprocessing: dict[str, object], folder: Path) -> Encoder:
    _, digest = weights.verified(modality, folder)
    return Encoder(
        modality,
        {
            "backend": f"trichord.pocket.{modality.value}",
            "weights": digest,
            "preprocessing": preprocessing,
            "schema": SCHEMA,
        },
    )
