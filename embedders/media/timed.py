"""Subtitles (SRT, WebVTT) -> plain text, and cues that tie its characters to milliseconds.

Tolerated: missing hours, `,` or `.` before the milliseconds, missing numbers, positions and
settings behind the times, markup in the text (taken out), overlapping cues. Refused, naming the
line: times that cannot be read, cues that end before they start or start before their
predecessor: in such a file a hit would jump to a wrong moment.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from trichord.errors import InvalidInput, MediaError


@dataclass(frozen=True)
class Cue:
    """Characters [start_char, end_char) of the text are spoken in [start_ms, end_ms)."""

    start_ms: int
    end_ms: int
    start_char: int
    end_char: int


@dataclass(frozen=True)
class Timed:
    """The plain `text` (one line per cue) and its cues, in order of characters and starts."""

    text: str
    cues: tuple[Cue, ...]


# Repetitions are bounded, so that no input makes a match take more than linear time.
_TIME = r"(?:([0-9]{1,4}):)?([0-9]{1,2}):([0-9]{2})(?:[,.]([0-9]{1,3}))?"
_TIMING = re.compile(rf"[ \t]{{0,16}}{_TIME}[ \t]{{0,16}}-->[ \t]{{0,16}}{_TIME}(?:[ \t]|$)")
_LOOKS_TIMED = re.compile(r"[ \t]{0,16}[0-9][0-9:.,]{0,32}[ \t]{0,16}-->")
_VTT_TAG = re.compile(r"<[^<>]{0,500}>")
_SRT_TAG = re.compile(
    r"</?(?:b|i|u|s|font)(?:[ \t][^<>]{0,500})?>|\{\\[^{}]{0,500}\}", re.IGNORECASE
)
_REFERENCE = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,8});")
_NUMBER = re.compile(r"[ \t]{0,16}[0-9]{1,9}[ \t]{0,16}")

_Raw = tuple[int, int, str]


def parse_timed(text: str, format: str) -> Timed:
    """Parse `text` (as `clean_text` gives it) as "srt" or "vtt".

    Cues without text are left out; one without duration lasts a millisecond. Raises `MediaError`
    for what the module refuses and for a file in which nothing is said.
    """
    if format not in ("srt", "vtt"):
        raise InvalidInput(f"timed text is srt or vtt, not {format!r}")
    lines = text.split("\n")
    parts: list[str] = []
    cues: list[Cue] = []
    position = 0
    for start, end, spoken in _srt(lines) if format == "srt" else _vtt(lines):
        if spoken:
            cues.append(Cue(start, max(end, start + 1), position, position + len(spoken)))
            parts.append(spoken)
            position += len(spoken) + 1
    if not cues:
        raise MediaError("empty text: no cue holds a word")
    return Timed("\n".join(parts), tuple(cues))


def _srt(lines: Sequence[str]) -> Iterator[_Raw]:
    """A cue is a line with times and all that follows, up to the number of the next one: blank
    lines within a cue occur."""
    timings = [i for i, line in enumerate(lines) if _is_timing(line, i)]
    first = timings[0] if timings else len(lines)
    for i, line in enumerate(lines[:first]):
        if line.strip() and not (i == first - 1 and _NUMBER.fullmatch(line)):
            raise MediaError(f"line {i + 1}: text before the first cue; is this SRT?")
    latest = 0
    for at, following in pairwise([*timings, len(lines)]):
        start, end = _times(lines[at], at, latest)
        latest = start
        last = following
        if following < len(lines) and last - 1 > at and _NUMBER.fullmatch(lines[last - 1]):
            last -= 1
        yield start, end, _words(_SRT_TAG.sub("", "\n".join(lines[at + 1 : last])))


def _vtt(lines: Sequence[str]) -> Iterator[_Raw]:
    """Blocks between blank lines: the header, notes, styles, regions, cues; what is none of
    these is no part of what is said (https://www.w3.org/TR/webvtt1/#file-parsing)."""
    if not re.match(r"WEBVTT(?:[ \t]|$)", lines[0]):
        raise MediaError("line 1: a WebVTT file starts with WEBVTT")
    latest, at, count = 0, 1, len(lines)
    while at < count and lines[at].strip() and "-->" not in lines[at]:
        at += 1
    while at < count:
        if not lines[at].strip():
            at += 1
            continue
        end_of_block = at
        while end_of_block < count and lines[end_of_block].strip():
            end_of_block += 1
        block = range(at, end_of_block)
        at = end_of_block
        if re.match(r"(?:NOTE|STYLE|REGION)(?:[ \t]|$)", lines[block.start]):
            continue
        timing = next((i for i in block[:2] if "-->" in lines[i]), None)
        if timing is None:
            continue
        start, end = _times(lines[timing], timing, latest)
        latest = start
        spoken = _VTT_TAG.sub("", "\n".join(lines[timing + 1 : end_of_block]))
        yield start, end, _words(_REFERENCE.sub(lambda found: html.unescape(found[0]), spoken))


def _is_timing(line: str, at: int) -> bool:
    if "-->" not in line:
        return False
    if _TIMING.match(line):
        return True
    if _LOOKS_TIMED.match(line):
        raise MediaError(f"line {at + 1}: times that cannot be read: {line[:80]!r}")
    return False


def _times(line: str, at: int, latest: int) -> tuple[int, int]:
    found = _TIMING.match(line)
    if found is None:
        raise MediaError(f"line {at + 1}: times that cannot be read: {line[:80]!r}")
    start, end = (_milliseconds(found.groups()[i : i + 4], at) for i in (0, 4))
    if end < start:
        raise MediaError(f"line {at + 1}: the cue ends before it starts")
    if start < latest:
        raise MediaError(f"line {at + 1}: the cue starts before the one above it")
    return start, end


def _milliseconds(parts: Sequence[str | None], at: int) -> int:
    hours, minutes, seconds, fraction = parts
    if int(minutes or 0) > 59 or int(seconds or 0) > 59:
        raise MediaError(f"line {at + 1}: minutes and seconds go to 59")
    whole = (int(hours or 0) * 60 + int(minutes or 0)) * 60 + int(seconds or 0)
    return whole * 1000 + int((fraction or "").ljust(3, "0"))


def _words(spoken: str) -> str:
    return " ".join(spoken.replace("\x00", " ").split())
