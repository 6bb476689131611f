"""Pictures reduced to what a tower of known side needs."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from trichord.embedders.media.image import BOX_SHARE, DRAFT_SHARE, decode_image
from trichord.errors import InvalidInput

from .helpers import gradient, picture


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@settings(deadline=None, max_examples=40)
@given(width=st.integers(1, 900), height=st.integers(1, 900), side=st.integers(1, 300))
def test_the_shorter_side_stays_large_enough(kind: str, width: int, height: int, side: int) -> None:
    data = picture(Image.new("RGB", (width, height), (10, 200, 30)), kind)
    found = decode_image(data, side=side)
    shorter, kept = min(width, height), min(found.shape[:2])
    assert kept >= min(shorter, DRAFT_SHARE * side) - 1e-9
    assert kept < 2 * BOX_SHARE * side + 1 or kept == shorter
    scale = shorter / kept
    assert found.shape[0] == pytest.approx(height / scale, abs=1 + max(width, height) / shorter)
    assert found.shape[1] == pytest.approx(width / scale, abs=1 + max(width, height) / shorter)


def test_what_the_tower_sees_hardly_changes() -> None:
    generator = np.random.default_rng(0)
    small = generator.integers(0, 256, (24, 32, 3), np.uint8)
    large = Image.fromarray(small).resize((1024, 768), Image.Resampling.BICUBIC)
    grain = generator.normal(0, 4, (768, 1024, 3))
    photo = Image.fromarray((np.asarray(large) + grain).clip(0, 255).astype(np.uint8))
    data = picture(photo, "JPEG", quality=90)
    reduced = decode_image(data, side=224)
    assert reduced.shape == (384, 512, 3)

    def seen(pixels: np.ndarray) -> np.ndarray:
        resized = Image.fromarray(pixels).resize((299, 224), Image.Resampling.BICUBIC)
        return np.asarray(resized, np.float32)

    difference = np.abs(seen(reduced) - seen(decode_image(data)))
    assert difference.mean() < 0.5
    assert difference.max() <= 6


def test_upright_after_reduction() -> None:
    image = Image.fromarray(gradient(480, 640))
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95, exif=exif)
    turned = decode_image(out.getvalue(), side=100)
    assert turned.shape == (320, 240, 3)
    expected = np.asarray(
        image.resize((320, 240)).transpose(Image.Transpose.ROTATE_270), np.float32
    )
    assert np.abs(turned - expected).mean() < 3


def test_a_side_of_no_pixels() -> None:
    with pytest.raises(InvalidInput, match="side"):
        decode_image(picture(Image.new("RGB", (8, 8)), "PNG"), side=0)
