"""Recipes of weather, water, fire and of household things that rub, knock and rattle."""

from __future__ import annotations

import numpy as np

from trichord.embedders.pocket.synth import (
    RATE,
    Recipe,
    Rng,
    Signal,
    add,
    clicks,
    contour,
    decay,
    noise,
    repeat,
    single,
    strike,
    swell,
    times,
    tone,
)


def slow(rng: Rng, n: int, knots_per_second: float, low: float, high: float) -> Signal:
    """A random smooth control curve between `low` and `high`."""
    knots = max(4, int(n / RATE * knots_per_second) + 3)
    x = np.linspace(0, knots - 1, n)
    return np.interp(x, np.arange(knots), rng.uniform(low, high, knots)).astype(np.float32)


def chirp(hz0: float, hz1: float, seconds: float, fall: float) -> Signal:
    n = int(seconds * RATE)
    return tone(contour(n, ((0, hz0), (1, hz1)))) * decay(n, fall)


def rain(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    bed = noise(rng, n, 900 * pitch, 6500) * rng.uniform(0.3, 0.9) * slow(rng, n, 1, 0.8, 1.0)
    return bed + clicks(rng, n, rng.uniform(50, 120) * tempo, 1500 * pitch, 6000, 0.004) * 0.8


def thunder(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    out = 0.12 * noise(rng, n, 1500, 6000)
    for at in times(rng, n, 1.9 / tempo, 0.3):
        m = int(2.5 * RATE)
        add(
            out,
            3 * noise(rng, m, 25, 160 * pitch) * decay(m, 0.9, 0.06) * slow(rng, m, 9, 0.3, 1),
            at,
        )
        add(out, 1.2 * noise(rng, m, 300, 2500) * decay(m, 0.12, 0.005), at)
    return out


def wind(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    low = noise(rng, n, 180 * pitch, 450 * pitch) * slow(rng, n, 1.3 * tempo, 0.1, 1)
    high = noise(rng, n, 500 * pitch, 900 * pitch) * slow(rng, n, 1.3 * tempo, 0, 1) ** 2
    return low + high


def tornado(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    t = np.arange(n) / RATE
    whirl = 0.6 + 0.4 * np.sin(2 * np.pi * rng.uniform(2.5, 3.5) * tempo * t)
    return (
        noise(rng, n, 60, 520 * pitch) * whirl + 0.25 * noise(rng, n, 700, 2500) * whirl**3
    ).astype(np.float32)


def waves(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    t = np.arange(n) / RATE + rng.uniform(0, 4)
    phase = (t * tempo / rng.uniform(2.4, 4.0)) % 1
    swash = np.where(phase < 0.4, (phase / 0.4) ** 2, np.exp(-(phase - 0.4) * 4))
    body = (
        noise(rng, n, 150, 1300 * pitch) * (0.25 + swash)
        + 0.7 * noise(rng, n, 1300, 4500) * swash**2
    )
    return single(body)


def fire(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    out = 0.25 * noise(rng, n, 60, 350) * slow(rng, n, 5, 0.5, 1) + 0.08 * noise(rng, n, 400, 3000)
    out += clicks(rng, n, rng.uniform(12, 28) * tempo, 1200 * pitch, 7000, 0.0025) * 1.3
    return single(out + clicks(rng, n, 3, 400, 2500, 0.008) * 1.5)


def volcano(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    out = 1.2 * noise(rng, n, 20, 90 * pitch) * slow(rng, n, 6, 0.5, 1)

    def burst() -> Signal:
        m = int(0.5 * RATE)
        return 2 * noise(rng, m, 60, 700) * decay(m, 0.12, 0.02)

    return out + repeat(rng, n, 0.45 / tempo, burst, 0.6)


def drip(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    hz = rng.uniform(900, 1600) * pitch

    def one() -> Signal:
        f = hz * rng.uniform(0.9, 1.1)
        return chirp(f, f * 1.5, 0.12, 0.03) + 0.4 * np.pad(
            chirp(f * 1.3, f * 2, 0.08, 0.02), (640, 0)
        )

    return repeat(rng, n, rng.uniform(0.45, 0.75) / tempo, one, 0.12)


def bubbles(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    out = np.zeros(n, np.float32)
    for at in rng.uniform(0, n, int(16 * tempo * n / RATE) + 1):
        f = rng.uniform(250, 800) * pitch
        add(out, chirp(f, f * 2, 0.09, 0.04), at, rng.uniform(0.3, 1))
    return out


def shower(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    return noise(rng, n, 2200 * pitch, 7600) + 0.35 * noise(rng, n, 350, 900) * slow(
        rng, n, 14, 0.4, 1
    )


def flush(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    fade = np.linspace(1, 0, n, dtype=np.float32)
    out = noise(rng, n, 250, 2800 * pitch) * (0.25 + fade) + bubbles(rng, n, 0.7 * pitch, 1.2) * (
        1.1 - fade
    )
    return out.astype(np.float32)


def whitenoise(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    return (0.3 * rng.normal(size=n)).astype(np.float32)


def explosion(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    out = np.zeros(n, np.float32)
    for at in times(rng, n, 2.4 / tempo, 0.2):
        m = int(2.2 * RATE)
        add(out, 3 * noise(rng, m, 30, 420 * pitch) * decay(m, 0.5, 0.004), at)
        add(out, 2 * noise(rng, m, 400, 6000) * decay(m, 0.15, 0.002), at)
    return out


def fireworks(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def one() -> Signal:
        m = int(0.55 * RATE)
        rise = 0.35 * tone(contour(m, ((0, 1300), (1, 3600)), pitch)) * swell(m, 0.3)
        k = int(1.0 * RATE)
        bang = 2.2 * noise(rng, k, 80, 2500) * decay(k, 0.09)
        return np.concatenate(
            [rise, bang + clicks(rng, k, 60, 3000, 7500, 0.002) * decay(k, 0.4, 0.1) * 2]
        )

    return repeat(rng, n, 1.6 / tempo, one, 0.2)


def popcorn(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    out = np.zeros(n, np.float32)
    for at in rng.uniform(0, n, max(2, rng.poisson(7 * tempo * n / RATE))):
        f = rng.uniform(380, 700) * pitch
        add(out, chirp(f * 1.6, f, 0.05, 0.012), at, rng.uniform(0.4, 1))
    return out + 0.03 * noise(rng, n, 2000, 6000)


def _body(rng: Rng, hz: float, fall: float, spread: float = 0.2) -> Signal:
    partials = [
        (hz * k * rng.uniform(1 - spread / 3, 1 + spread / 3), 1 / k, fall / k)
        for k in (1, 1.6, 2.4, 3.7)
    ]
    return strike(rng, fall * 6, partials)


def metal(rng: Rng, hz: float, fall: float, count: int = 7) -> Signal:
    partials = [
        (hz * rng.uniform(0.9, 1.1) * k, rng.uniform(0.3, 1), fall * rng.uniform(0.5, 1))
        for k in np.linspace(1, 3.6, count)
    ]
    return strike(rng, fall * 5, partials)


def knock(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def group() -> Signal:
        out = np.zeros(int(0.95 * RATE), np.float32)
        for k in range(int(rng.integers(3, 5))):
            add(
                out,
                _body(rng, 210 * pitch, 0.035)
                + 0.3 * noise(rng, 3360, 300, 1500) * decay(3360, 0.01),
                k * 0.2 * RATE / tempo,
            )
        return out

    return repeat(rng, n, 1.35 / tempo, group)


def hammer(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def hit() -> Signal:
        ring = metal(rng, 1500 * pitch, 0.05)
        add(ring, _body(rng, 320 * pitch, 0.03), 0, 1.5)
        return ring

    return repeat(rng, n, rng.uniform(0.45, 0.65) / tempo, hit, 0.05)


def steps(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def step() -> Signal:
        m = int(0.2 * RATE)
        out = 0.8 * noise(rng, m, 700, 4500) * swell(m, 0.4) * slow(rng, m, 120, 0, 1)
        add(out, _body(rng, 95 * pitch, 0.03), 0, 1.0)
        return out.astype(np.float32)

    return repeat(rng, n, rng.uniform(0.5, 0.62) / tempo, step, 0.04)


def horse(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def stride() -> Signal:
        out = np.zeros(int(0.5 * RATE), np.float32)
        for k, level in ((0, 0.8), (0.1, 0.9), (0.2, 1.0)):
            add(out, _body(rng, rng.uniform(480, 640) * pitch, 0.022), k * RATE, level)
        return out

    return repeat(rng, n, rng.uniform(0.45, 0.55) / tempo, stride, 0.03)


def heartbeat(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def beat() -> Signal:
        out = np.zeros(int(0.6 * RATE), np.float32)
        add(out, chirp(70 * pitch, 45 * pitch, 0.2, 0.06), 0)
        add(out, chirp(85 * pitch, 55 * pitch, 0.18, 0.05), 0.26 * RATE, 0.8)
        return out

    return repeat(rng, n, rng.uniform(0.75, 0.95) / tempo, beat, 0.03)


def bounce(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def hit() -> Signal:
        out = chirp(170 * pitch, 120 * pitch, 0.25, 0.05)
        add(out, 0.5 * metal(rng, 620 * pitch, 0.03, 4), 0)
        return out

    return repeat(rng, n, rng.uniform(0.36, 0.5) / tempo, hit, 0.04)


def pingpong(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def hit() -> Signal:
        return strike(
            rng, 0.08, [(rng.choice([1050, 1350]) * pitch, 1, 0.012), (2900 * pitch, 0.4, 0.006)]
        )

    return repeat(rng, n, rng.uniform(0.3, 0.42) / tempo, hit, 0.12)


def dice(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def roll() -> Signal:
        out, at, gap = np.zeros(int(1.0 * RATE), np.float32), 0.0, 0.03
        while at < 0.85:
            add(
                out,
                _body(rng, rng.uniform(1700, 2600) * pitch, 0.006),
                at * RATE,
                rng.uniform(0.4, 1),
            )
            at, gap = at + gap * rng.uniform(0.6, 1.4), gap * 1.18
        return out

    return repeat(rng, n, 1.4 / tempo, roll)


def clink(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def one() -> Signal:
        f = rng.uniform(2300, 2900) * pitch
        return strike(rng, 1.0, [(f, 1, 0.3), (f * 1.07, 0.6, 0.25), (f * 2.3, 0.5, 0.12)])

    return repeat(rng, n, 1.3 / tempo, one, 0.2)


def coins(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    out = np.zeros(n, np.float32)
    for at in rng.uniform(0, n, int(13 * tempo * n / RATE) + 1):
        add(out, metal(rng, rng.uniform(3300, 4700) * pitch, 0.03, 3), at, rng.uniform(0.3, 1))
    return out


def chain(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    out = np.zeros(n, np.float32)
    swing = slow(rng, n, 4, 0, 1) ** 2
    for at in rng.uniform(0, n, int(42 * tempo * n / RATE) + 1):
        add(
            out,
            metal(rng, rng.uniform(900, 2200) * pitch, 0.018, 4),
            at,
            float(swing[int(at)]) + 0.1,
        )
    return out


def swords(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def clash() -> Signal:
        ring = metal(rng, 1900 * pitch, 0.22, 9)
        m = int(0.12 * RATE)
        add(ring, 2 * noise(rng, m, 3000, 7500) * decay(m, 0.03), 0)
        return ring

    return repeat(rng, n, 0.85 / tempo, clash, 0.35)


def saw(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def stroke() -> Signal:
        m = int(0.36 / tempo * RATE)
        t = np.arange(m) / RATE
        teeth = 0.5 + 0.5 * np.sign(np.sin(2 * np.pi * rng.uniform(55, 75) * t))
        return (noise(rng, m, 900 * pitch, 3800 * pitch) * teeth * swell(m, 0.25)).astype(
            np.float32
        )

    return repeat(rng, n, 0.46 / tempo, stroke, 0.03)


def sweep(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def stroke() -> Signal:
        m = int(0.4 / tempo * RATE)
        return noise(rng, m, 1800 * pitch, 6500) * swell(m, 0.5) ** 2

    return repeat(rng, n, 0.8 / tempo, stroke, 0.08)


def scissors(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def snip() -> Signal:
        m = int(0.17 * RATE)
        out = 0.35 * noise(rng, m, 3500, 7500) * np.linspace(0.2, 1, m, dtype=np.float32)
        add(out, metal(rng, 4200 * pitch, 0.012, 4), m - 900, 1.2)
        return out

    return repeat(rng, n, 0.5 / tempo, snip, 0.12)


def typing(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def key() -> Signal:
        m = int(0.05 * RATE)
        out = noise(rng, m, 1500 * pitch, 5000) * decay(m, 0.004)
        add(out, 0.6 * noise(rng, m, 800, 3000) * decay(m, 0.004), 0.03 * RATE)
        return out

    return repeat(rng, n, 0.16 / tempo, key, 0.5)


def clock(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    hz = rng.uniform(1900, 2700) * pitch
    state = [0]

    def tick() -> Signal:
        state[0] ^= 1
        f = hz * (1.0 if state[0] else 0.72)
        return strike(rng, 0.06, [(f, 1, 0.008), (f * 1.9, 0.6, 0.005), (f * 0.35, 0.4, 0.012)])

    return repeat(rng, n, rng.choice([0.5, 0.5, 1.0, 0.25]) / tempo, tick, 0.005)


def camera(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def shot() -> Signal:
        out = np.zeros(int(0.5 * RATE), np.float32)
        for at, level in ((0, 1.0), (0.07, 0.8)):
            m = int(0.05 * RATE)
            add(out, 1.5 * noise(rng, m, 1800, 6000) * decay(m, 0.008), at * RATE, level)
        m = int(0.28 * RATE)
        add(
            out,
            0.25 * tone(contour(m, ((0, 500), (1, 800)), pitch), (1, 0.6, 0.5, 0.3)) * swell(m),
            0.15 * RATE,
        )
        return out

    return repeat(rng, n, 1.05 / tempo, shot, 0.2)


NATURE: dict[str, Recipe] = {
    f.__name__: f
    for f in (
        rain, thunder, wind, tornado, waves, fire, volcano, drip, bubbles, shower, flush,
        whitenoise, explosion, fireworks, popcorn, knock, hammer, steps, horse, heartbeat,
        bounce, pingpong, dice, clink, coins, chain, swords, saw, sweep, scissors, typing,
        clock, camera,
    )
}  # fmt: skip
