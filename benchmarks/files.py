"""Files as a catalogue has them: photographs, stereo recordings, short texts. Made by code."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from trichord.types import F32

RATE = 48_000
SECONDS = 10
WORDS = (
    *("rain", "harbour", "organ", "violet", "desk", "river", "lantern", "copper", "winter"),
    *("choir", "meadow", "glass", "signal", "orchard", "velvet", "engine", "thunder", "market"),
    *("candle", "bridge", "feather", "marble", "station", "window", "garden", "whistle"),
)


def photograph(seed: int, width: int = 1024, height: int = 768) -> bytes:
    """A JPEG of quality 90 with detail at all sizes and a little grain, some 130 KB."""
    generator = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3), np.float32)
    for octave in range(3, 9):
        columns, rows = 2**octave, 2**octave * 3 // 4 + 1
        noise = generator.integers(0, 256, (rows, columns, 3), np.uint8)
        layer = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
        pixels += np.asarray(layer, np.float32) / 1.6 ** (octave - 2)
    pixels += generator.normal(0, 4, pixels.shape)
    pixels = (pixels - pixels.min()) / (pixels.max() - pixels.min()) * 255
    out = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(out, "JPEG", quality=90)
    return out.getvalue()


def recording(seed: int) -> F32:
    """Ten seconds of stereo at 48 kHz, float32 (480000, 2): a gliding tone in noise."""
    generator = np.random.default_rng(seed)
    time = np.arange(RATE * SECONDS) / RATE
    glide = 200 + 100 * generator.random() + 50 * np.sin(2 * np.pi * 0.1 * time)
    left = 0.3 * np.sin(2 * np.pi * np.cumsum(glide) / RATE)
    right = 0.3 * np.sin(2 * np.pi * (150 + 400 * generator.random()) * time)
    both = np.stack([left, right], 1) + 0.05 * generator.standard_normal((len(time), 2))
    return both.astype(np.float32)


def encoded(samples: F32, container: str) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, RATE, format=container)
    return out.getvalue()


def text(seed: int, characters: int = 200) -> str:
    generator = np.random.default_rng(seed)
    made = ""
    while len(made) < characters:
        made += str(generator.choice(WORDS)) + " "
    return made[:characters].strip()


def photographs(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number:04d}.jpg").write_bytes(photograph(number))
    return folder


def recordings(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number:04d}.flac").write_bytes(encoded(recording(number), "FLAC"))
    return folder


def texts(path: Path, count: int) -> Path:
    """A table of item_id and text."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["item_id", "text"])
        rows.writerows([f"text-{number}", text(number)] for number in range(count))
    return path
