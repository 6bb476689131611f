"""Pictures as canonical arrays: 8-bit sRGB, upright, opaque, one frame."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from trichord.embedders.media.limits import DEFAULT_LIMITS, Limits
from trichord.embedders.media.sniff import HEAD_BYTES, sniff
from trichord.errors import InvalidInput, MediaError
from trichord.types import Modality, Rgb

_PILLOW_FORMATS = {name: name.upper() for name in ("jpeg", "png", "webp", "gif", "avif", "tiff")}

REDUCTION = "jpeg-draft-1.5,box-2,schema-1"
"""How pictures are reduced for a tower of known `side` before it resizes them itself. It changes
pixels slightly, so it belongs into the facts of image encoders that are fed this way."""

DRAFT_SHARE, BOX_SHARE = 1.5, 2.0
"""How many times the tower's side the shorter side of a picture keeps: when a JPEG is decoded at a
half, a quarter or an eighth, and when pixels are averaged over whole-numbered squares."""

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0


def decode_image(
    data: bytes,
    limits: Limits = DEFAULT_LIMITS,
    *,
    longest: int | None = None,
    side: int | None = None,
) -> Rgb:
    """The picture in `data` as uint8 (height, width, 3), a fresh array.

    EXIF orientation is applied, transparency is laid on white, 16-bit grey is scaled (not cut
    off), CMYK and palettes are converted, an embedded ICC profile that can be read is converted
    to sRGB, and of an animation the first frame is taken. With `longest` a picture whose longer
    side exceeds it is reduced to it, keeping its proportions; a large JPEG is then decoded at a
    fraction of its size. With `side`, the square that a tower sees, a picture is reduced cheaply
    as far as that costs the tower nothing (`DRAFT_SHARE`, `BOX_SHARE`); its proportions stay and
    its shorter side is never below `side` because of that.

    Raises `MediaError` for anything that is not a whole picture of a supported format within
    `limits`. Pillow's own process-wide `Image.MAX_IMAGE_PIXELS` holds besides: a larger
    `max_pixels` needs that raised too.
    """
    for name, length in (("longest", longest), ("side", side)):
        if length is not None and length < 1:
            raise InvalidInput(f"{name} must be at least 1 pixel, not {length}")
    if len(data) > limits.max_bytes:
        raise MediaError(f"{len(data)} bytes; the limit is {limits.max_bytes} (max_bytes)")
    kind = sniff(data[:HEAD_BYTES])
    if kind.modality is not Modality.IMAGE:
        raise MediaError(f"this is {kind.mime}, not a picture")
    try:
        with Image.open(io.BytesIO(data), formats=[_PILLOW_FORMATS[kind.format]]) as picture:
            _check_size(picture, limits)
            if longest is not None:
                _draft(picture, longest)
            elif side is not None:
                _draft_for(picture, side)
            picture.load()
            return _canonical(picture, longest, side)
    except MediaError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MediaError(f"{kind.mime} with too many pixels: {error}") from error
    except UnidentifiedImageError as error:
        raise MediaError(f"damaged or cut off {kind.mime}: its header cannot be read") from error
    except Exception as error:  # Pillow's decoders raise nearly every class on damaged input
        raise MediaError(
            f"damaged or cut off {kind.mime}: {error or type(error).__name__}"
        ) from error


def _check_size(picture: Image.Image, limits: Limits) -> None:
    width, height = picture.size
    if width < 1 or height < 1:
        raise MediaError(f"a picture of {width} x {height} pixels holds nothing")
    if width * height > limits.max_pixels:
        raise MediaError(
            f"{width} x {height} pixels; the limit is {limits.max_pixels} (max_pixels)"
        )


def _draft(picture: Image.Image, longest: int) -> None:
    # The decoder may halve up to three times while both sides stay at least this large.
    side = max(picture.size)
    if side > longest:
        target = [max(1, -(-length * longest // side)) for length in picture.size]
        picture.draft(None, (target[0], target[1]))


def _draft_for(picture: Image.Image, side: int) -> None:
    shorter = min(picture.size)
    for scale in (8, 4, 2):
        if shorter // scale >= DRAFT_SHARE * side:
            picture.draft(None, (picture.width // scale, picture.height // scale))
            return


def _canonical(picture: Image.Image, longest: int | None, side: int | None) -> Rgb:
    orientation, profile = _orientation(picture), picture.info.get("icc_profile")
    flat = _opaque(_eight_bit(picture), profile if isinstance(profile, bytes) else None)
    if longest is not None and max(flat.size) > longest:
        flat.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    if side is not None and (factor := int(min(flat.size) / (BOX_SHARE * side))) > 1:
        flat = flat.reduce(factor)
    if orientation in _UPRIGHT:
        flat = flat.transpose(_UPRIGHT[orientation])
    return np.array(flat, dtype=np.uint8)


def _orientation(picture: Image.Image) -> int:
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # a damaged EXIF block does not spoil the pixels beside it
        return 1
    return value if isinstance(value, int) else 1


def _eight_bit(picture: Image.Image) -> Image.Image:
    """16-bit grey as 8-bit grey, with alpha if one grey value means transparent."""
    if picture.mode in ("I", "F"):
        raise MediaError(
            "signed, 32-bit and floating-point pictures have no defined white; convert to 8 or"
            " 16 bits"
        )
    if not picture.mode.startswith("I;16"):
        return picture
    values = np.asarray(picture).astype(np.uint32)
    tags = getattr(picture, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
    white = (1 << bits) - 1
    scaled = ((values * 255 + white // 2) // white).clip(0, 255).astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        scaled = 255 - scaled
    grey = Image.fromarray(scaled)
    clear = picture.info.get("transparency")
    if isinstance(clear, int):
        alpha = np.where(values == clear, 0, 255).astype(np.uint8)
        grey = Image.merge("LA", (grey, Image.fromarray(alpha)))
    return grey


def _opaque(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB on white, in sRGB."""
    alpha = None
    if picture.has_transparency_data:
        # Grey stays grey, so that a grey profile still fits.
        grey = picture.mode in ("LA", "La")
        picture = picture.convert("LA" if grey else "RGBA")
        alpha = picture.getchannel("A")
        picture = picture.convert("L" if grey else "RGB")
    elif picture.mode in ("P", "YCbCr", "RGBX"):
        picture = picture.convert("RGB")
    elif picture.mode == "1":
        picture = picture.convert("L")
    colour = _to_srgb(picture, profile)
    if alpha is None:
        return colour
    white = Image.new("RGB", colour.size, (255, 255, 255))
    white.paste(colour, mask=alpha)
    return white


def _to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    if picture.mode == "LAB":
        made = ImageCms.profileToProfile(
            picture, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
        assert made is not None
        return made
    if profile is None:
        return picture.convert("RGB")
    try:
        embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = embedded.profile.xcolor_space.strip()
        if space != {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}.get(picture.mode):
            return picture.convert("RGB")
        if ImageCms.getProfileDescription(embedded).startswith("sRGB"):
            return picture.convert("RGB")
        made = ImageCms.profileToProfile(
            picture, embedded, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):  # not a readable profile: as if none
        return picture.convert("RGB")
    assert made is not None
    return made
