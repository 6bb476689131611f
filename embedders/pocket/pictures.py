"""Pictures of concepts: emoji glyphs on varied backgrounds, with colour, number and position.

Needs the font of the Debian package fonts-noto-color-emoji (SIL OFL 1.1). Every picture is a
function of its arguments and seed.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from trichord.embedders.pocket.concepts import COUNTS, Concept, check_attributes
from trichord.embedders.pocket.concepts import concept as find
from trichord.errors import InvalidInput, ModelError
from trichord.types import F32, Modality, Rgb

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
FONT_PACKAGE = "fonts-noto-color-emoji"
_STRIKE = 109  # the only size of the bitmap font
_GLYPH = 128

# dark and light end of the ramp that a tinted glyph's brightness runs along
_RAMPS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "red": ((0.45, 0.0, 0.0), (1.0, 0.35, 0.3)),
    "orange": ((0.6, 0.25, 0.0), (1.0, 0.68, 0.25)),
    "yellow": ((0.6, 0.5, 0.0), (1.0, 0.97, 0.35)),
    "green": ((0.0, 0.3, 0.05), (0.35, 0.9, 0.35)),
    "blue": ((0.0, 0.05, 0.5), (0.3, 0.55, 1.0)),
    "purple": ((0.25, 0.0, 0.4), (0.75, 0.4, 0.95)),
    "black": ((0.0, 0.0, 0.0), (0.25, 0.25, 0.25)),
    "white": ((0.68, 0.68, 0.68), (1.0, 1.0, 1.0)),
}
# x0, y0, x1, y1 of the part of the frame that a position means
_REGIONS = {
    "left": (0.0, 0.04, 0.5, 0.96),
    "right": (0.5, 0.04, 1.0, 0.96),
    "top": (0.04, 0.0, 0.96, 0.5),
    "bottom": (0.04, 0.5, 0.96, 1.0),
    "center": (0.22, 0.22, 0.78, 0.78),
}


@cache
def _font(path: Path) -> ImageFont.FreeTypeFont:
    if not path.is_file():
        raise ModelError(
            f"no colour emoji font at {path}: install the Debian package {FONT_PACKAGE}"
        )
    return ImageFont.truetype(str(path), _STRIKE)


@cache
def _glyph(text: str) -> Image.Image:
    """The glyph centred in a transparent square of 128 pixels, premultiplied by its alpha."""
    canvas = Image.new("RGBA", (176, 176))
    ImageDraw.Draw(canvas).text((16, 16), text, font=_font(FONT), embedded_color=True)
    box = canvas.getbbox()
    if box is None:
        raise ModelError(f"the font at {FONT} has no glyph for {text!r}")
    cut = canvas.crop(box)
    scale = (_GLYPH - 4) / max(cut.size)
    cut = cut.resize((max(1, round(cut.width * scale)), max(1, round(cut.height * scale))))
    square = Image.new("RGBA", (_GLYPH, _GLYPH))
    square.paste(cut, ((_GLYPH - cut.width) // 2, (_GLYPH - cut.height) // 2))
    return square


@cache
def _tinted(text: str, colour: str) -> Image.Image:
    """The glyph drawn with shades of one colour; its own light and dark survive."""
    pixels = np.asarray(_glyph(text), np.float32) / 255
    light = pixels[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)
    inside = pixels[..., 3] > 0.5
    low, high = np.percentile(light[inside], (5, 95))
    ramp = np.clip((light - low) / max(high - low, 0.08), 0, 1)[..., None]
    dark, bright = (np.array(end, np.float32) for end in _RAMPS[colour])
    rgb = dark + ramp * (bright - dark)
    out = np.concatenate([rgb, pixels[..., 3:]], axis=-1)
    return Image.fromarray((out * 255).round().astype(np.uint8), "RGBA")


def _rng(*parts: object) -> np.random.Generator:
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest[:16], np.uint32))


def _background(rng: np.random.Generator, size: int, subject: F32, *, plain: bool) -> F32:
    """(size, size, 3) in 0..1, unlike the mean colour of the subject; grey-ish when `plain`."""
    for _ in range(8):
        base = rng.random(3)
        if plain:
            base = np.clip(rng.uniform(0.25, 0.85) + rng.uniform(-0.07, 0.07, 3), 0, 1)
        if np.abs(base - subject).mean() > 0.2:
            break
    kind = rng.integers(4)
    other = np.clip(base + rng.uniform(-0.25, 0.25, 3) * (0.4 if plain else 1.0), 0, 1)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    if kind == 0:
        mix: npt.NDArray[Any] = np.zeros((size, size), np.float32)
    elif kind == 1:
        angle = rng.uniform(0, 2 * np.pi)
        mix = np.clip(0.5 + (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle), 0, 1)
    elif kind == 2:
        angle, rate = rng.uniform(0, np.pi), rng.uniform(2, 9)
        wave = np.sin(2 * np.pi * rate * (x * np.cos(angle) + y * np.sin(angle)))
        mix = (0.5 + 0.35 * wave).astype(np.float32)
    else:
        blobs = Image.fromarray((rng.random((6, 6)) * 255).astype(np.uint8))
        mix = np.asarray(blobs.resize((size, size), Image.Resampling.BICUBIC), np.float32) / 255
    field: F32 = (base + mix[..., None] * (other - base)).astype(np.float32)
    return field


def _cells(
    rng: np.random.Generator, count: int, position: str | None
) -> list[tuple[float, float, float]]:
    """(centre x, centre y, side) of each object, in fractions of the frame."""
    if position is None:
        if count == 1:
            side = rng.uniform(0.42, 0.96)
            slack = (1 - side) / 2
            return [
                (0.5 + rng.uniform(-slack, slack), 0.5 + rng.uniform(-slack, slack), side),
            ]
        x0, y0, x1, y1 = 0.04, 0.04, 0.96, 0.96
    else:
        x0, y0, x1, y1 = _REGIONS[position]
    wide, tall = x1 - x0, y1 - y0
    if count == 1:
        rows, columns = 1, 1
    elif count == 4 or (count == 3 and wide == tall):
        rows, columns = 2, 2
    else:
        across = wide > tall or (wide == tall and bool(rng.integers(2)))
        rows, columns = (1, count) if across else (count, 1)
    slots = [(r, c) for r in range(rows) for c in range(columns)]
    if count < len(slots):
        slots.pop(int(rng.integers(len(slots))))
    height, width = tall / rows, wide / columns
    side = min(min(height, width) * rng.uniform(0.84, 1.0), 0.5)
    placed = []
    for r, c in slots:
        dx, dy = ((span - side) / 2 * rng.uniform(-0.5, 0.5) for span in (width, height))
        placed.append((x0 + (c + 0.5) * width + dx, y0 + (r + 0.5) * height + dy, side))
    return placed


def render_picture(
    concept: str | Concept,
    *,
    size: int = 80,
    seed: int = 0,
    colour: str | None = None,
    count: str | None = None,
    position: str | None = None,
) -> Rgb:
    """A picture of the concept, uint8 (size, size, 3); equal arguments give equal pixels.

    `colour`, `count` ("one" … "four") and `position` are values of concepts.AXES; None leaves the
    glyph's own colours, one object, anywhere. Raises InvalidInput for what cannot be drawn and
    ModelError when the font is not installed.
    """
    what = find(concept)
    check_attributes(Modality.IMAGE, {"colour": colour, "count": count, "position": position})
    if what.glyph is None:
        raise InvalidInput(f"the concept {what.name!r} cannot be pictured, it only sounds")
    if size < 16:
        raise InvalidInput(f"size must be at least 16 pixels, not {size}")
    rng = _rng("picture", what.name, colour, count, position, seed)
    glyph = _glyph(what.glyph) if colour is None else _tinted(what.glyph, colour)
    pixels = np.asarray(glyph, np.float32) / 255
    weight = pixels[..., 3:]
    subject: F32 = (pixels[..., :3] * weight).sum((0, 1)) / weight.sum()
    field = _background(rng, size, subject, plain=colour is not None)
    canvas = Image.fromarray((field * 255).astype(np.uint8))
    number = 1 if count is None else COUNTS.index(count) + 1
    for x, y, side in _cells(rng, number, position):
        pixel_side = max(6, round(side * size))
        stamp = glyph.rotate(rng.uniform(-14, 14), Image.Resampling.BILINEAR)
        stamp = stamp.resize((pixel_side, pixel_side), Image.Resampling.BOX)
        canvas.paste(
            stamp, (round(x * size - pixel_side / 2), round(y * size - pixel_side / 2)), stamp
        )
    if rng.random() < 0.25:
        canvas = canvas.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.7) * size / 80))
    out = np.asarray(canvas, np.float32)
    out = (out - 128) * rng.uniform(0.85, 1.15) + 128 + rng.uniform(-14, 14)
    out = out + rng.normal(0, rng.uniform(0, 9), out.shape).astype(np.float32)
    picture: npt.NDArray[np.uint8] = np.clip(out, 0, 255).astype(np.uint8)
    return picture
