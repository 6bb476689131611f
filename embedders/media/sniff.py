"""What kind of content some bytes are, by their first bytes.

The name of a file decides only between the kinds of text, which have no magic of their own: a
WebP called `photo.jpg` is a WebP.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import PurePath

from trichord.errors import MediaError
from trichord.types import Modality

HEAD_BYTES = 4096
"""How many first bytes are enough for `sniff`."""

SUPPORTED = (
    "WAV, FLAC, OGG Vorbis, Opus, MP3; JPEG, PNG, WebP, GIF, AVIF, TIFF; "
    "UTF-8 text, Markdown, SRT, WebVTT"
)


@dataclass(frozen=True)
class MediaType:
    """A supported kind of content: `format` is a short name ("png"), `mime` its media type."""

    modality: Modality
    format: str
    mime: str

    @property
    def timed(self) -> bool:
        """Text whose passages have milliseconds."""
        return self.format in ("srt", "vtt")


WAV = MediaType(Modality.AUDIO, "wav", "audio/wav")
FLAC = MediaType(Modality.AUDIO, "flac", "audio/flac")
OGG = MediaType(Modality.AUDIO, "ogg", "audio/ogg")
OPUS = MediaType(Modality.AUDIO, "opus", "audio/opus")
MP3 = MediaType(Modality.AUDIO, "mp3", "audio/mpeg")
JPEG = MediaType(Modality.IMAGE, "jpeg", "image/jpeg")
PNG = MediaType(Modality.IMAGE, "png", "image/png")
WEBP = MediaType(Modality.IMAGE, "webp", "image/webp")
GIF = MediaType(Modality.IMAGE, "gif", "image/gif")
AVIF = MediaType(Modality.IMAGE, "avif", "image/avif")
TIFF = MediaType(Modality.IMAGE, "tiff", "image/tiff")
PLAIN = MediaType(Modality.TEXT, "txt", "text/plain")
MARKDOWN = MediaType(Modality.TEXT, "md", "text/markdown")
SRT = MediaType(Modality.TEXT, "srt", "application/x-subrip")
VTT = MediaType(Modality.TEXT, "vtt", "text/vtt")

EXTENSIONS: dict[str, MediaType] = {
    ".wav": WAV,
    ".flac": FLAC,
    ".ogg": OGG,
    ".oga": OGG,
    ".opus": OPUS,
    ".mp3": MP3,
    ".jpg": JPEG,
    ".jpeg": JPEG,
    ".png": PNG,
    ".webp": WEBP,
    ".gif": GIF,
    ".avif": AVIF,
    ".tif": TIFF,
    ".tiff": TIFF,
    ".txt": PLAIN,
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".srt": SRT,
    ".vtt": VTT,
}
"""Files that a scan of a folder tries, by lower-case extension, and what they usually hold."""

_UNSUPPORTED: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\x1f\x8b", "gzip data"),
    (b"BM", "a BMP picture"),
    (b"8BPS", "a Photoshop picture"),
    (b"\x1aE\xdf\xa3", "Matroska or WebM"),
    (b"FORM", "AIFF"),
    (b"caff", "CAF"),
    (b"riff", "W64"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SRT_START = re.compile(
    r"\s*(?:[0-9]{1,9}[ \t]*\r?\n)?[ \t]*[0-9]{1,4}:[0-9]{2}:[0-9]{2}[,.][0-9]{1,3}[ \t]*-->"
)
_NOT_TEXT = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def sniff(head: bytes, name: str | None = None) -> MediaType:
    """The kind of content that starts with `head` (its first `HEAD_BYTES`, or all if shorter).

    `name` is a file name or path; its extension chooses between plain text, Markdown, SRT and
    WebVTT, and makes text under the name of a sound or a picture an error. Raises `MediaError`
    for nothing, for kinds that are not supported and for bytes of no known kind.
    """
    if not head:
        raise MediaError("the file is empty", seen="nothing")
    found = _binary(head)
    if found is not None:
        return found
    if head.startswith(b"%PDF-"):  # may be all ASCII
        raise MediaError(f"unsupported content: PDF; supported are {SUPPORTED}", seen="PDF")
    # Text before the other magics: some are two letters that a text may start with too.
    text = _as_text(head)
    if text is not None:
        return _text_kind(text, name)
    seen = next((what for magic, what in _UNSUPPORTED if head.startswith(magic)), None)
    if seen is None and head[4:8] == b"ftyp":
        seen = f"an MP4, M4A or HEIC file (brand {head[8:12].decode('ascii', 'replace')!r})"
    if seen is None and head[:4] == b"RIFF":
        seen = f"RIFF {head[8:12].decode('ascii', 'replace')!r}"
    if seen is None and head[:4] == b"OggS":
        seen = "an Ogg file that is neither Vorbis, Opus nor FLAC"
    if seen is None:
        seen = f"unknown bytes {head[:8].hex(' ')} (neither a known magic nor UTF-8 text)"
    raise MediaError(f"unsupported content: {seen}; supported are {SUPPORTED}", seen=seen)


def byte_order_mark(data: bytes) -> str | None:
    """The Python codec named by the byte order mark that `data` starts with, if any."""
    return next((codec for mark, codec in _BOMS if data.startswith(mark)), None)


def _binary(head: bytes) -> MediaType | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if head.startswith((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")):
        return TIFF
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return WEBP
    if head.startswith((b"RIFF", b"RIFX", b"RF64")) and head[8:12] == b"WAVE":
        return WAV
    if head[4:8] == b"ftyp" and _is_avif(head):
        return AVIF
    if head.startswith(b"fLaC"):
        return FLAC
    if head.startswith(b"OggS"):
        return _ogg(head)
    return _mp3(head)


def _is_avif(head: bytes) -> bool:
    # A box: its size, "ftyp", the major brand, a version, then brands that a reader may rely on.
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12], *(head[i : i + 4] for i in range(16, size - 3, 4))}
    return bool(brands & {b"avif", b"avis"})


def _ogg(head: bytes) -> MediaType | None:
    # The first page holds one packet, behind 27 bytes and the table of its segments.
    if len(head) < 28:
        return None
    packet = head[27 + head[26] :]
    if packet.startswith(b"OpusHead"):
        return OPUS
    return OGG if packet.startswith((b"\x01vorbis", b"\x7fFLAC")) else None


def _mp3(head: bytes) -> MediaType | None:
    if head.startswith(b"ID3") and len(head) >= 10 and head[3] in (2, 3, 4) and head[4] < 0xFF:
        size = 0  # of the tag behind its ten bytes, seven bits in each of four
        for byte in head[6:10]:
            size = size << 7 | byte & 0x7F
        return FLAC if head[10 + size : 14 + size] == b"fLaC" else MP3
    if len(head) < 4 or head[0] != 0xFF:
        return None
    sync, layer_three = head[1] & 0xE0 == 0xE0, head[1] & 0x06 == 0x02
    version, bitrate, rate = head[1] & 0x18, head[2] & 0xF0, head[2] & 0x0C
    return MP3 if sync and layer_three and version != 8 and bitrate != 0xF0 and rate != 12 else None


def _as_text(head: bytes) -> str | None:
    decoder = codecs.getincrementaldecoder(byte_order_mark(head) or "utf-8")()
    try:
        text = decoder.decode(head)  # a character that the cut splits at the end is no error
    except UnicodeDecodeError:
        return None
    return None if _NOT_TEXT.search(text) or not text else text


def _text_kind(text: str, name: str | None) -> MediaType:
    extension = PurePath(name).suffix.lower() if name else ""
    named = EXTENSIONS.get(extension)
    if named is not None and named.modality is not Modality.TEXT:
        raise MediaError(
            f"the name ends in {extension}, but the content is text and no {named.modality}",
            seen="text",
        )
    if re.match(r"WEBVTT(?:[ \t\r\n]|$)", text):
        return VTT
    if named in (None, PLAIN) and _SRT_START.match(text):
        return SRT
    return named or PLAIN
