"""Notes of General MIDI instruments and drums, rendered once by fluidsynth.

Needs the Debian packages fluidsynth and fluid-soundfont-gm (Fluid R3, MIT licence).
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from trichord.errors import ModelError
from trichord.types import F32

SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
RATE = 16000
KEYS = tuple(range(36, 88, 3))
"""Keys that are rendered; those between are made by resampling."""

_HELD_MS = 1500
_SLOT_MS = 2200


def _variable_length(number: int) -> bytes:
    out = [number & 127]
    while number := number >> 7:
        out.append((number & 127) | 128)
    return bytes(reversed(out))


def midi_file(events: list[tuple[int, bytes]]) -> bytes:
    """A one-track Standard MIDI File at 1000 ticks a second from (tick, message) pairs."""
    body, now = bytearray(), 0
    tempo = (0, b"\xff\x51\x03" + (1_000_000).to_bytes(3, "big"))
    for tick, message in [tempo, *sorted(events, key=lambda event: event[0])]:
        body += _variable_length(tick - now) + message
        now = tick
    body += b"\x00\xff\x2f\x00"
    head = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 1000)
    return head + b"MTrk" + struct.pack(">I", len(body)) + bytes(body)


def _render(events: list[tuple[int, bytes]], slots: int) -> F32:
    """(slots, samples of one slot) float32 mono at 16 kHz."""
    program = shutil.which("fluidsynth")
    if program is None:
        raise ModelError("fluidsynth is not installed: install the Debian package fluidsynth")
    if not SOUNDFONT.is_file():
        raise ModelError(
            f"no soundfont at {SOUNDFONT}: install the Debian package fluid-soundfont-gm"
        )
    with tempfile.TemporaryDirectory() as folder:
        score, sound = Path(folder, "notes.mid"), Path(folder, "notes.raw")
        score.write_bytes(midi_file(events))
        flags = ["-ni", "-R", "0", "-C", "0", "-g", "0.6", "-r", str(RATE), "-O", "float"]
        done = subprocess.run(
            [program, *flags, "-T", "raw", "-F", str(sound), str(SOUNDFONT), str(score)],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0 or not sound.is_file():
            raise ModelError(f"fluidsynth failed: {done.stderr.strip()[-300:]}")
        stereo = np.fromfile(sound, "<f4").reshape(-1, 2)
    width = _SLOT_MS * RATE // 1000
    mono = stereo.mean(axis=1)[: slots * width]
    return np.pad(mono, (0, slots * width - len(mono))).reshape(slots, width)


@cache
def _notes(program: int) -> F32:
    events = [(0, bytes([0xC0, program]))]
    for slot, key in enumerate(KEYS):
        start = slot * _SLOT_MS + 2
        events.append((start, bytes([0x90, key, 100])))
        events.append((start + _HELD_MS, bytes([0x80, key, 0])))
    return _render(events, len(KEYS))


@cache
def drum(key: int) -> F32:
    """One stroke on General MIDI drum `key`, float32 (n,) at 16 kHz, peak 1."""
    start = [(2, bytes([0x99, key, 110])), (300, bytes([0x89, key, 0]))]
    return _peak(_render(start, 1)[0])


def _peak(samples: F32) -> F32:
    top = float(np.abs(samples).max())
    return samples / top if top > 1e-4 else samples


def note(program: int, key: float, seconds: float) -> F32:
    """A note of at most 1.5 s on a General MIDI program, float32 at 16 kHz, peak 1, faded out."""
    nearest = min(range(len(KEYS)), key=lambda i: abs(KEYS[i] - key))
    bank = _notes(program)
    while nearest > 0 and np.abs(bank[nearest]).max() < 1e-3:  # beyond the instrument's range
        nearest -= 1
    source = bank[nearest]
    ratio = 2 ** ((key - KEYS[nearest]) / 12)
    length = min(int(seconds * RATE), int(len(source) / ratio) - 1)
    wanted = np.arange(length) * ratio
    samples = np.interp(wanted, np.arange(len(source)), source).astype(np.float32)
    fade = min(800, length)
    samples[length - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return _peak(samples)
