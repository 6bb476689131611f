"""Bytes -> text without surprises: one encoding, one kind of newline, no control characters."""

from __future__ import annotations

import re

from trichord.embedders.media.limits import DEFAULT_LIMITS, Limits
from trichord.embedders.media.sniff import byte_order_mark
from trichord.errors import MediaError

_CONTROLS = re.compile("[\x01-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff]")
_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")


def decode_text(data: bytes, limits: Limits = DEFAULT_LIMITS) -> str:
    """The text in `data`: UTF-8, or what its byte order mark says (UTF-8, UTF-16, UTF-32).

    Raises `MediaError` for any other encoding (guessing one yields wrong letters in silence) and
    as `clean_text` does.
    """
    if len(data) > limits.max_bytes:
        raise MediaError(f"{len(data)} bytes; the limit is {limits.max_bytes} (max_bytes)")
    codec = byte_order_mark(data) or "utf-8"
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        raise MediaError(
            f"not {codec.removesuffix('-sig').upper()} text: byte {error.start} cannot be decoded;"
            " save the file as UTF-8"
        ) from error
    return clean_text(text, limits)


def clean_text(text: str, limits: Limits = DEFAULT_LIMITS) -> str:
    """`text` as it is stored, the string that spans in characters refer to.

    Every kind of line end becomes one newline; control characters except tab, and stray byte
    order marks, are taken out. Nothing else is changed: no trimming, no Unicode normalization.
    Raises `MediaError` for NUL characters (binary content), lone surrogates, more than
    `limits.max_text_chars`, and text that holds nothing but white space.
    """
    if len(text) > limits.max_text_chars:
        raise MediaError(
            f"{len(text)} characters; the limit is {limits.max_text_chars} (max_text_chars)"
        )
    nul = text.find("\x00")
    if nul >= 0:
        raise MediaError(f"binary content: character {nul} is NUL")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise MediaError(f"character {error.start} is half of a surrogate pair") from error
    cleaned = _CONTROLS.sub("", _BREAKS.sub("\n", text))
    if not cleaned.strip():
        raise MediaError("empty text")
    return cleaned
