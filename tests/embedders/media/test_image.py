from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from trichord.embedders.media.image import decode_image
from trichord.embedders.media.limits import Limits
from trichord.errors import InvalidInput, MediaError
from trichord.types import Rgb

from .helpers import gradient, picture, sound, tone


def far(a: Rgb, b: npt.NDArray[Any]) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


@pytest.mark.parametrize(
    ("kind", "options", "worst"),
    [
        ("PNG", {}, 0.0),
        ("WEBP", {"lossless": True}, 0.0),
        ("TIFF", {}, 0.0),
        ("TIFF", {"compression": "tiff_lzw"}, 0.0),
        ("TIFF", {"compression": "tiff_adobe_deflate"}, 0.0),
        ("JPEG", {"quality": 95, "subsampling": 0}, 1.5),
        ("JPEG", {"quality": 95, "progressive": True}, 1.5),
        ("WEBP", {"quality": 95}, 3.0),
        ("AVIF", {"quality": 95}, 3.0),
        ("GIF", {}, 12.0),
    ],
)
def test_round_trip(kind: str, options: dict[str, Any], worst: float) -> None:
    known = gradient()
    made = decode_image(picture(Image.fromarray(known), kind, **options))
    assert made.shape == known.shape and made.dtype == np.uint8
    assert made.flags.writeable and made.flags.c_contiguous
    assert far(made, known) <= worst


def by_hand(upright: Rgb, orientation: int) -> Rgb:
    """The stored array that a camera tags with `orientation`, so that it shows `upright`."""
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    return np.ascontiguousarray(turned)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_orientations(kind: str, orientation: int) -> None:
    upright = gradient(40, 24)
    options: dict[str, Any] = {"quality": 95} if kind in ("JPEG", "AVIF") else {}
    if kind == "WEBP":
        options = {"lossless": True}
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = picture(
        Image.fromarray(by_hand(upright, orientation)), kind, exif=exif.tobytes(), **options
    )
    made = decode_image(data)
    assert made.shape == upright.shape
    assert far(made, upright) < 4


def test_orientation_with_longest() -> None:
    upright = gradient(40, 24)
    exif = Image.Exif()
    exif[0x0112] = 6
    data = picture(Image.fromarray(by_hand(upright, 6)), "PNG", exif=exif.tobytes())
    assert decode_image(data, longest=20).shape == (20, 12, 3)


def test_damaged_exif_does_not_spoil_the_pixels() -> None:
    data = picture(Image.fromarray(gradient()), "PNG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff")
    assert np.array_equal(decode_image(data), gradient())


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled(kind: str) -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    made = decode_image(picture(Image.fromarray(values), kind))
    exact = np.rint(values / 257.0).astype(int)
    assert np.array_equal(made, np.stack([exact] * 3, -1))


def tiff(pixels: bytes, tags: dict[int, tuple[int, tuple[int, ...]]]) -> bytes:
    """A little-endian TIFF with one strip, written by hand: {tag: (type, values)}."""
    sizes = {3: ("H", 2), 4: ("I", 4)}
    tags = {**tags, 273: (4, (8,)), 279: (4, (len(pixels),))}
    extra = b""
    directory = struct.pack("<H", len(tags))
    after = 8 + len(pixels) + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in sorted(tags.items()):
        packed = b"".join(struct.pack("<" + sizes[kind][0], value) for value in values)
        directory += struct.pack("<HHI", tag, kind, len(values))
        if len(packed) <= 4:
            directory += packed.ljust(4, b"\x00")
        else:
            directory += struct.pack("<I", after + len(extra))
            extra += packed
    head = b"II*\x00" + struct.pack("<I", 8 + len(pixels))
    return head + pixels + directory + struct.pack("<I", 0) + extra


def tags_of(width: int, height: int, bits: tuple[int, ...], photometric: int) -> dict[int, Any]:
    return {
        256: (3, (width,)),
        257: (3, (height,)),
        258: (3, bits),
        259: (3, (1,)),
        262: (3, (photometric,)),
        277: (3, (len(bits),)),
        278: (3, (height,)),
    }


def test_16_bit_white_is_zero() -> None:
    values = np.array([[0, 65535, 32768]], "<u2")
    made = decode_image(tiff(values.tobytes(), tags_of(3, 1, (16,), 0)))
    assert made[0, :, 0].tolist() == [255, 0, 127]


def test_16_bit_colour_tiff() -> None:
    values = np.arange(0, 65536, 257, dtype="<u2")  # 256 values that are exact in 8 bits
    rgb = np.stack([values, values[::-1], values], -1)
    made = decode_image(tiff(rgb.tobytes(), tags_of(256, 1, (16, 16, 16), 2)))
    assert np.array_equal(made[0], rgb // 257)


def test_premultiplied_alpha() -> None:
    # Half-transparent red, stored multiplied by its alpha: on white it is (255, 127, 127).
    pixels = bytes([128, 0, 0, 128, 0, 0, 0, 0, 10, 20, 30, 255])
    tags = {**tags_of(3, 1, (8, 8, 8, 8), 2), 338: (3, (1,))}
    made = decode_image(tiff(pixels, tags))
    assert np.abs(made[0].astype(int) - [[255, 127, 127], [255, 255, 255], [10, 20, 30]]).max() <= 1


def test_floating_point_and_32_bit_have_no_defined_white() -> None:
    for values in (np.ones((4, 4), np.float32), np.full((4, 4), 70000, np.int32)):
        with pytest.raises(MediaError, match="no defined white"):
            decode_image(picture(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_laid_on_white(kind: str) -> None:
    rng = np.random.default_rng(1)
    rgba = rng.integers(0, 256, (20, 30, 4)).astype(np.uint8)
    rgba[0, 0] = (200, 10, 10, 0)  # a hidden colour
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    made = decode_image(picture(Image.fromarray(rgba), kind, **options))
    share = rgba[..., 3:].astype(float) / 255
    exact = rgba[..., :3] * share + 255 * (1 - share)
    assert np.abs(made - exact).max() <= 1
    assert made[0, 0].tolist() == [255, 255, 255]


def test_grey_with_alpha() -> None:
    pair = np.array([[[0, 255], [0, 0], [0, 51]]], np.uint8)
    made = decode_image(picture(Image.fromarray(pair, "LA"), "PNG"))
    assert made[0].tolist() == [[0, 0, 0], [255, 255, 255], [204, 204, 204]]


def test_palettes_with_transparency() -> None:
    indexed = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    indexed.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    for kind, clear in (("PNG", 1), ("GIF", 1), ("PNG", b"\xff\x00\xff")):
        made = decode_image(picture(indexed, kind, transparency=clear))
        assert made[0].tolist() == [[255, 0, 0], [255, 255, 255], [0, 0, 255]]
    assert decode_image(picture(indexed, "PNG"))[0, 1].tolist() == [0, 255, 0]


def test_one_grey_value_that_means_transparent() -> None:
    for mode, clear in (("L", 7), ("I;16", 7 * 257)):
        narrow = np.array([[7, 100]], np.uint8)
        grey = Image.fromarray(narrow if mode == "L" else narrow.astype(np.uint16) * 257)
        data = picture(grey, "PNG", transparency=clear)
        assert decode_image(data)[0].tolist() == [[255] * 3, [100] * 3]


def test_bilevel() -> None:
    bits = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("1")
    for kind in ("PNG", "TIFF"):
        assert decode_image(picture(bits, kind))[..., 0].tolist() == [[0, 255], [255, 0]]


def test_cmyk_jpeg() -> None:
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[:, :8] = (0, 255, 255, 0)  # red
    inks[:, 8:] = (0, 0, 0, 128)  # half black
    made = decode_image(picture(Image.fromarray(inks, "CMYK"), "JPEG", quality=100))
    assert np.abs(made[8, 3].astype(int) - [255, 0, 0]).max() <= 4
    assert np.abs(made[8, 12].astype(int) - [127, 127, 127]).max() <= 4


def test_the_first_frame_of_animations() -> None:
    frames = [Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (10, 120, 240)]
    for kind, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})):
        data = picture(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        with Image.open(io.BytesIO(data)) as opened:
            assert getattr(opened, "n_frames", 1) == 3
        assert np.unique(decode_image(data)).tolist() == [10], kind


def profile_of(swap: bool) -> bytes:
    """An RGB profile: the one of sRGB, renamed; with `swap` its red and blue change places."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    if swap:
        count = struct.unpack(">I", data[128:132])[0]
        at = {data[132 + 12 * i : 136 + 12 * i].decode(): 132 + 12 * i for i in range(count)}
        red, blue = at["rXYZ"], at["bXYZ"]
        data[red : red + 4], data[blue : blue + 4] = b"bXYZ", b"rXYZ"
        name = data.find("sRGB".encode("utf-16-be"))
        data[name : name + 8] = "XRGB".encode("utf-16-be")
    return bytes(data)


def test_an_embedded_profile_is_converted() -> None:
    known = np.array([[[255, 0, 0], [0, 0, 255], [90, 90, 90]]], np.uint8)
    data = picture(Image.fromarray(known), "PNG", icc_profile=profile_of(swap=True))
    made = decode_image(data)[0].astype(int)
    assert np.abs(made - [[0, 0, 255], [255, 0, 0], [90, 90, 90]]).max() <= 3
    rgba = np.dstack([known, np.array([[255, 0, 255]], np.uint8)])
    data = picture(Image.fromarray(rgba), "PNG", icc_profile=profile_of(swap=True))
    made = decode_image(data)[0].astype(int)
    assert np.abs(made - [[0, 0, 255], [255, 255, 255], [90, 90, 90]]).max() <= 3


@pytest.mark.parametrize("profile", [b"rubbish", profile_of(swap=False), profile_of(True)[:300]])
def test_srgb_and_unreadable_profiles_change_nothing(profile: bytes) -> None:
    data = picture(Image.fromarray(gradient()), "PNG", icc_profile=profile)
    assert np.array_equal(decode_image(data), gradient())


def test_a_profile_of_another_colour_space_is_ignored() -> None:
    grey = picture(Image.fromarray(gradient()[..., 0]), "PNG", icc_profile=profile_of(True))
    assert np.array_equal(decode_image(grey)[..., 1], gradient()[..., 0])


def bomb(width: int, height: int) -> bytes:
    """A valid black 1-bit PNG, of almost nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    body = b"".join([packer.compress(row) for _ in range(height)] + [packer.flush()])
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


# Pillow itself refuses more than 178 956 970 pixels and only warns above 89 478 485.
@pytest.mark.parametrize(("width", "height"), [(8001, 8000), (10_000, 10_000), (20_000, 20_000)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_bombs(width: int, height: int) -> None:
    data = bomb(width, height)
    assert len(data) < 100_000
    with pytest.raises(MediaError, match="pixels"):
        decode_image(data)


def test_the_limits_are_exact() -> None:
    data = picture(Image.fromarray(gradient(10, 20)), "PNG")
    assert decode_image(data, Limits(max_pixels=200)).shape == (10, 20, 3)
    with pytest.raises(MediaError, match="20 x 10 pixels; the limit is 199"):
        decode_image(data, Limits(max_pixels=199))
    with pytest.raises(MediaError, match="max_bytes"):
        decode_image(data, Limits(max_bytes=len(data) - 1))


def test_longest() -> None:
    known = gradient(300, 1200)
    for kind, options in (("PNG", {}), ("JPEG", {"quality": 95})):
        data = picture(Image.fromarray(known), kind, **options)
        made = decode_image(data, longest=100)
        exact = np.asarray(Image.fromarray(known).resize((100, 25), Image.Resampling.LANCZOS))
        assert made.shape == (25, 100, 3) and far(made, exact) < 2.5
        assert decode_image(data, longest=400).shape == (100, 400, 3)
        assert decode_image(data, longest=1200).shape == known.shape
    with pytest.raises(InvalidInput):
        decode_image(data, longest=0)


def test_a_thin_picture_keeps_a_pixel() -> None:
    data = picture(Image.fromarray(gradient(1, 2000)), "JPEG")
    assert decode_image(data, longest=10).shape == (1, 10, 3)


def test_other_content() -> None:
    with pytest.raises(MediaError, match="audio/wav, not a picture"):
        decode_image(sound(tone(0.1, 8000), 8000))
    with pytest.raises(MediaError, match="not a picture"):
        decode_image(b"words")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("WEBP", {}),
        ("GIF", {}),
        ("AVIF", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
@pytest.mark.filterwarnings("ignore")  # Pillow warns of some damage before it raises
def test_truncated_is_an_error_or_nothing_is_missing(kind: str, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    data = picture(Image.fromarray(rng.integers(0, 256, (60, 80, 3)).astype(np.uint8)), kind,
                   **options)  # fmt: skip
    whole = decode_image(data)
    refused = 0
    cuts = sorted({*range(1, 40), *range(40, len(data), max(1, len(data) // 60))})
    for cut in cuts:
        try:
            made = decode_image(data[: len(data) - cut])
        except MediaError:
            refused += 1
        else:
            assert np.array_equal(made, whole), cut
    assert refused > 0.7 * len(cuts)
