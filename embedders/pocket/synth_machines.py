"""Recipes of engines, sirens, bells and electronics."""

from __future__ import annotations

import numpy as np

from trichord.embedders.pocket.synth import (
    RATE,
    Recipe,
    Rng,
    Signal,
    add,
    contour,
    decay,
    noise,
    pulses,
    repeat,
    single,
    strike,
    swell,
    tone,
)
from trichord.embedders.pocket.synth_nature import metal, slow

SAW = tuple(1 / k for k in range(1, 16))
SQUARE = tuple((k % 2) / k for k in range(1, 16))


def _clockwise(rng: Rng, n: int) -> Signal:
    """Seconds since a random start."""
    return (np.arange(n) / RATE + rng.uniform(0, 3)).astype(np.float32)


def car(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    hz = slow(rng, n, 0.8, 32, 62) * pitch
    return 0.8 * pulses(rng, hz, 0.009, 0.15) + 0.25 * noise(rng, n, 80, 700)


def motorcycle(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    hz = slow(rng, n, 1.2 * tempo, 55, 170) * pitch
    return pulses(rng, hz, 0.0022, 0.5) + 0.1 * noise(rng, n, 300, 2500)


def tractor(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    hz = np.full(n, rng.uniform(9, 14) * tempo, np.float32)
    return pulses(rng, hz, 0.014, 0.5) + 0.08 * noise(rng, n, 100, 1200)


def chainsaw(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    hz = slow(rng, n, 1.5 * tempo, 75, 190) * pitch
    return pulses(rng, hz, 0.0008, 0.5) * slow(rng, n, 2, 0.6, 1) + 0.35 * noise(rng, n, 1500, 7000)


def helicopter(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    t = _clockwise(rng, n)
    rate = rng.uniform(10, 18) * tempo
    chop = np.exp(-((t * rate) % 1) * rng.uniform(3, 6))
    body = (
        noise(rng, n, 40, rng.uniform(300, 900) * pitch) * chop
        + 0.2 * noise(rng, n, 800, 3500) * chop
    )
    return single(body + 0.1 * noise(rng, n, 300, 2500))


def jet(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    whine = 0.12 * tone(slow(rng, n, 0.6, 2300, 2800) * pitch, (1, 0.4))
    return (noise(rng, n, 250, 3500) + whine) * slow(rng, n, 0.7, 0.5, 1)


def rocket(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    crackle = np.abs(noise(rng, n, 20, 60)) * 3
    return single(
        noise(rng, n, 25, 520 * pitch) * (0.6 + crackle) + 0.3 * noise(rng, n, 800, 6000) * crackle
    )


def train(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def chuff() -> Signal:
        m = int(0.2 / max(tempo, 0.7) * RATE)
        return noise(rng, m, 250, 2200) * decay(m, 0.06, 0.012) * 2

    out = repeat(rng, n, rng.uniform(0.24, 0.34) / tempo, chuff, 0.02)
    if rng.random() < 0.5:
        m = int(0.9 * RATE)
        chord = sum(tone(np.full(m, f * pitch, np.float32), (1, 0.3)) for f in (520, 655, 780))
        add(out, (0.25 * chord * swell(m)).astype(np.float32), rng.uniform(0, n * 0.6))
    return out


def ship(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def horn() -> Signal:
        m = int(rng.uniform(1.5, 2.1) * RATE)
        return tone(np.full(m, rng.uniform(85, 125) * pitch, np.float32), SAW) * swell(m, 0.12)

    return repeat(rng, n, 2.6 / tempo, horn)


def vacuum(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    hum = tone(
        np.full(n, rng.uniform(200, 260) * pitch, np.float32) * slow(rng, n, 1, 0.98, 1.02), SAW
    )
    return 0.25 * hum + noise(rng, n, 300, 5000) * slow(rng, n, 1, 0.7, 1)


def drill(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    hz = slow(rng, n, 2 * tempo, 480, 640) * pitch
    return 0.5 * tone(hz, SAW) * slow(rng, n, 4, 0.5, 1) + 0.4 * noise(rng, n, 1500, 6000)


def hum(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    return tone(
        np.full(n, rng.choice([50, 60]) * 2 * pitch, np.float32), (1, 0.6, 0.25, 0.4, 0.1, 0.2)
    )


def siren(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    t = _clockwise(rng, n)
    hz = 800 + 380 * np.sin(2 * np.pi * t * rng.uniform(0.22, 0.34) * tempo)
    return tone((hz * pitch).astype(np.float32), (1, 0.5, 0.35, 0.2, 0.1))


def police(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    t = _clockwise(rng, n)
    ramp = (t * rng.uniform(2.6, 3.6) * tempo) % 1
    return tone(((650 + 800 * ramp) * pitch).astype(np.float32), SQUARE)


def ambulance(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    t = _clockwise(rng, n)
    high = (t * rng.uniform(0.8, 1.2) * tempo) % 1 < 0.5
    base = rng.uniform(420, 470) * pitch
    return tone(np.where(high, base * 4 / 3, base).astype(np.float32), (1, 0.7, 0.6, 0.4, 0.3, 0.2))


def telephone(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    t = _clockwise(rng, n)
    on = (t * tempo / 1.5) % 1 < 0.62
    bell = sum(np.sin(2 * np.pi * f * pitch * t) for f in (1120, 1410, 2650))
    return single(bell * (0.5 + 0.5 * np.sign(np.sin(2 * np.pi * 22 * t))) * on)


def alarm(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    t = _clockwise(rng, n)
    quad = (t * tempo / 1.0) % 1 < 0.55
    beep = (t * 8 * tempo) % 1 < 0.55
    return (
        tone(np.full(n, rng.uniform(1900, 2300) * pitch, np.float32), SQUARE) * quad * beep
    ).astype(np.float32)


def bell(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    f = rng.uniform(260, 460) * pitch
    table = (
        (0.5, 0.6, 2.2),
        (1, 1, 1.6),
        (1.19, 0.7, 1.2),
        (1.56, 0.4, 0.9),
        (2, 0.8, 0.8),
        (2.66, 0.4, 0.5),
        (3.4, 0.3, 0.4),
    )
    return repeat(
        rng, n, 1.5 / tempo, lambda: strike(rng, 3.0, [(f * k, a, d) for k, a, d in table]), 0.05
    )


def bicycle(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    f = rng.uniform(2100, 2700) * pitch

    def ring() -> Signal:
        out = np.zeros(int(0.9 * RATE), np.float32)
        for k in range(6):
            add(
                out,
                strike(rng, 0.5, [(f, 1, 0.13), (f * 1.5, 0.6, 0.1), (f * 2.4, 0.5, 0.06)]),
                k * 0.055 * RATE,
                0.9,
            )
        return out

    return repeat(rng, n, 1.2 / tempo, ring, 0.15)


def kettle(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    hz = np.linspace(rng.uniform(1300, 1600), rng.uniform(2100, 2500), n).astype(np.float32) * pitch
    level = np.linspace(0.3, 1, n, dtype=np.float32)
    return tone(hz, (1, 0.3)) * level + 0.25 * noise(rng, n, 1500, 6500)


def radio(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    sweep = tone(np.abs(slow(rng, n, 3 * tempo, -2500, 2500)) * pitch + 150)
    gate = (slow(rng, n, 4, -1, 1) > 0).astype(np.float32)
    return 0.5 * noise(rng, n, 300, 3400) * (0.5 + 0.5 * gate) + 0.3 * sweep * (1 - 0.7 * gate)


def robot(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def bleep() -> Signal:
        m = int(rng.uniform(0.06, 0.14) * RATE)
        f = rng.uniform(300, 2400) * pitch
        return tone(contour(m, ((0, f), (1, f * rng.choice([0.6, 1, 1.5])))), SQUARE) * swell(
            m, 0.05
        )

    return repeat(rng, n, 0.15 / tempo, bleep, 0.3)


def ufo(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    t = _clockwise(rng, n)
    hz = (620 + 130 * np.sin(2 * np.pi * 7 * tempo * t)) * slow(rng, n, 1, 0.8, 1.25) * pitch
    return tone(hz.astype(np.float32), (1, 0.2))


def arcade(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    out = np.zeros(n, np.float32)
    root, step = rng.uniform(330, 520) * pitch, int(0.085 / tempo * RATE)
    chord = rng.choice([(0, 4, 7, 12), (0, 3, 7, 12), (0, 5, 9, 12)])
    for i, at in enumerate(range(0, n, step)):
        hz = np.full(step, root * 2 ** (chord[i % 4] / 12), np.float32)
        add(out, 0.6 * tone(hz, SQUARE) * swell(step, 0.05), at)

    def laser() -> Signal:
        m = int(0.3 * RATE)
        return tone(contour(m, ((0, 3200), (0.5, 900), (1, 200))), SQUARE) * decay(m, 0.15)

    return out + repeat(rng, n, 1.1, laser, 0.4)


def sonar(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    f = rng.uniform(850, 1250) * pitch
    return repeat(
        rng, n, 1.5 / tempo, lambda: strike(rng, 1.8, [(f, 1, 0.35), (f * 1.01, 0.5, 0.5)]), 0.03
    )


def dtmf(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def key() -> Signal:
        m = int(0.16 / tempo * RATE)
        low, high = rng.choice([697, 770, 852, 941]), rng.choice([1209, 1336, 1477])
        t = np.arange(m) / RATE
        both = np.sin(2 * np.pi * low * pitch * t) + np.sin(2 * np.pi * high * pitch * t)
        return single(0.5 * both * swell(m, 0.03))

    return repeat(rng, n, 0.24 / tempo, key, 0.02)


def morse(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    out, at = np.zeros(n, np.float32), 0.0
    hz, unit = rng.uniform(600, 800) * pitch, 0.075 / tempo
    while at < n / RATE:
        length = unit * int(rng.choice([1, 3]))
        m = int(length * RATE)
        add(out, tone(np.full(m, hz, np.float32)) * swell(m, 0.05), at * RATE)
        at += length + unit * int(rng.choice([1, 1, 1, 3]))
    return out


def reel(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def turn() -> Signal:
        out = np.zeros(int(0.7 * RATE), np.float32)
        for k in range(16):
            add(out, metal(rng, 2700 * pitch, 0.006, 3), k * 0.04 * RATE / tempo)
        return out

    return repeat(rng, n, 0.95 / tempo, turn, 0.08)


def printer(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def line() -> Signal:
        m = int(0.42 / tempo * RATE)
        needles = np.sign(np.sin(2 * np.pi * 125 * np.arange(m) / RATE)) * 0.5 + 0.5
        return (
            noise(rng, m, 700, 5000) * needles * 1.5
            + 0.2 * tone(np.full(m, 250 * pitch, np.float32), SAW)
        ).astype(np.float32)

    return repeat(rng, n, 0.58 / tempo, line, 0.03)


MACHINES: dict[str, Recipe] = {
    f.__name__: f
    for f in (
        car, motorcycle, tractor, chainsaw, helicopter, jet, rocket, train, ship, vacuum, drill,
        hum, siren, police, ambulance, telephone, alarm, bell, bicycle, kettle, radio, robot, ufo,
        arcade, sonar, dtmf, morse, reel, printer,
    )
}  # fmt: skip
