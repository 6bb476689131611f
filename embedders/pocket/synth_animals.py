"""Recipes of animal and human voices."""

from __future__ import annotations

from dataclasses import dataclass

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
    swell,
    tone,
    voice,
)


@dataclass(frozen=True)
class Call:
    """One call and how often it comes: seconds, (fraction, Hz) contour, (Hz, width) formants."""

    period: float
    seconds: float
    hz: tuple[tuple[float, float], ...]
    formants: tuple[tuple[float, float], ...]
    breath: float = 0.0
    shake: tuple[float, float] = (0.0, 0.0)  # rate in Hz, depth of amplitude modulation
    vibrato: tuple[float, float] = (0.0, 0.0)  # rate in Hz, depth as a fraction
    group: int = 1  # calls in quick succession
    edge: float = 0.15

    def once(self, rng: Rng, pitch: float) -> Signal:
        n = int(self.seconds * rng.uniform(0.8, 1.25) * RATE)
        hz = contour(n, self.hz, pitch * rng.uniform(0.88, 1.14))
        t = np.arange(n) / RATE
        rate, depth = self.vibrato
        hz = (hz * (1 + depth * np.sin(2 * np.pi * rate * t))).astype(np.float32)
        shift = rng.uniform(0.9, 1.1)
        out = voice(rng, hz, [(c * shift, w) for c, w in self.formants], self.breath)
        rate, depth = self.shake
        if depth:
            rate *= rng.uniform(0.9, 1.1)
            out = out * (1 - depth * (0.5 + 0.5 * np.sin(2 * np.pi * rate * t)))
        return (out * swell(n, self.edge)).astype(np.float32)

    def __call__(self, rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
        def make() -> Signal:
            calls = [self.once(rng, pitch) for _ in range(self.group)]
            gap = np.zeros(int(0.06 * RATE), np.float32)
            return np.concatenate([part for call in calls for part in (call, gap)])

        return repeat(rng, n, self.period / tempo * rng.uniform(0.85, 1.2), make, 0.15)


CALLS: dict[str, Call] = {
    "cat": Call(1.3, 0.7, ((0, 430), (0.3, 760), (0.7, 640), (1, 400)), ((900, 350), (2300, 600))),
    "dog": Call(0.75, 0.15, ((0, 380), (0.3, 620), (1, 280)), ((750, 450), (1600, 600)), 0.45,
                group=2, edge=0.1),
    "cow": Call(2.2, 1.5, ((0, 105), (0.4, 165), (1, 115)), ((420, 180), (950, 250))),
    "sheep": Call(1.3, 0.85, ((0, 330), (1, 300)), ((750, 300), (1600, 400)), 0.1, (9, 0.7),
                  (9, 0.04)),
    "pig": Call(0.55, 0.26, ((0, 95), (1, 75)), ((600, 300), (1300, 400)), 0.65, (35, 0.8)),
    "rooster": Call(2.6, 1.7, ((0, 560), (0.12, 850), (0.2, 640), (0.35, 950), (0.42, 800),
                               (0.5, 1250), (0.75, 1300), (1, 650)),
                    ((1300, 500), (2700, 700)), 0.08),
    "chick": Call(0.28, 0.08, ((0, 4600), (1, 3200)), ((4000, 1500),), edge=0.2),
    "duck": Call(0.42, 0.2, ((0, 270), (1, 230)), ((1300, 350), (2500, 450)), 0.3, edge=0.08),
    "turkey": Call(1.7, 0.9, ((0, 950), (1, 480)), ((1000, 500), (2000, 500)), 0.15, (14, 1.0)),
    "owl": Call(1.5, 0.34, ((0, 360), (0.5, 390), (1, 350)), ((380, 80),), 0.04, group=2,
                edge=0.25),
    "parrot": Call(0.95, 0.42, ((0, 1500), (0.4, 2300), (1, 1700)), ((2200, 700), (4200, 900)),
                   0.4, (42, 0.6)),
    "eagle": Call(1.4, 0.85, ((0, 3300), (0.2, 2900), (1, 1700)), ((2800, 900),), 0.15),
    "wolf": Call(3.2, 2.4, ((0, 330), (0.2, 640), (0.75, 600), (1, 330)), ((620, 250),), 0.03,
                 vibrato=(5, 0.01), edge=0.2),
    "lion": Call(2.1, 1.5, ((0, 85), (0.3, 100), (1, 60)), ((350, 180), (750, 250)), 0.6,
                 (26, 0.7)),
    "bear": Call(1.25, 0.95, ((0, 58), (1, 48)), ((240, 120), (520, 150)), 0.35, (18, 0.8)),
    "elephant": Call(1.9, 1.1, ((0, 330), (0.25, 720), (0.8, 660), (1, 380)),
                     ((1300, 600), (2700, 700), (4300, 600)), 0.3),
    "monkey": Call(0.75, 0.13, ((0, 560), (1, 1450)), ((1000, 500), (2000, 500)), 0.15, group=3),
    "mouse": Call(0.35, 0.07, ((0, 5000), (0.5, 6600), (1, 5600)), ((5800, 1500),)),
    "frog": Call(0.85, 0.36, ((0, 175), (1, 230)), ((700, 250), (1900, 300)), 0.1, (28, 1.0)),
    "whale": Call(2.8, 2.2, ((0, 170), (0.4, 330), (0.7, 140), (1, 240)), ((240, 200),), 0.05,
                  vibrato=(3, 0.04), edge=0.3),
    "baby": Call(1.35, 1.0, ((0, 370), (0.25, 530), (0.8, 480), (1, 340)),
                 ((1150, 300), (2900, 500), (3700, 500)), 0.12, vibrato=(6, 0.02)),
    "ghost": Call(2.6, 2.3, ((0, 300), (0.4, 620), (0.7, 420), (1, 280)), ((450, 200),), 0.3,
                  vibrato=(5, 0.05), edge=0.35),
    "laugh": Call(1.4, 0.11, ((0, 310), (1, 230)), ((850, 300), (1400, 350)), 0.35, group=5),
}  # fmt: skip


def bird(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def phrase() -> Signal:
        parts: list[Signal] = []
        base = rng.uniform(2400, 3800) * pitch
        shape = rng.uniform(0.75, 1.4, 3)
        for _ in range(int(rng.integers(3, 7))):
            length = int(rng.uniform(0.06, 0.13) * RATE)
            hz = contour(
                length, ((0, base * shape[0]), (0.5, base * shape[1]), (1, base * shape[2]))
            )
            parts += [
                tone(hz, (1, 0.1)) * swell(length, 0.3),
                np.zeros(int(0.04 * RATE), np.float32),
            ]
        return np.concatenate(parts)

    return repeat(rng, n, 0.95 / tempo, phrase, 0.25)


def snake(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def hiss() -> Signal:
        m = int(rng.uniform(0.6, 1.1) * RATE)
        return noise(rng, m, 3800 * pitch, 7800) * swell(m, 0.3)

    return repeat(rng, n, 1.4 / tempo, hiss)


def dolphin(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    out = np.zeros(n, np.float32)

    def whistle() -> Signal:
        m = int(rng.uniform(0.3, 0.5) * RATE)
        up = rng.uniform(5000, 6500) * pitch
        return tone(contour(m, ((0, up), (0.5, up * 1.15), (1, up * 0.75)))) * swell(m, 0.2)

    def rattle() -> Signal:
        m = int(0.45 * RATE)
        train = np.zeros(m, np.float32)
        step = int(RATE / rng.uniform(35, 60))
        for at in range(0, m, step):
            add(train, noise(rng, 40, 2500, 7000), at, 2.0)
        return train

    out += repeat(rng, n, 1.1 / tempo, whistle, 0.3) + repeat(rng, n, 0.9 / tempo, rattle, 0.3)
    return out


def _insect(rng: Rng, n: int, hz: float, drift: float, partials: tuple[float, ...]) -> Signal:
    t = np.arange(n) / RATE
    wander = np.interp(t, np.linspace(0, t[-1] + 1e-6, 8), rng.uniform(1 - drift, 1 + drift, 8))
    near = np.interp(t, np.linspace(0, t[-1] + 1e-6, 6), rng.uniform(0.35, 1, 6))
    return (tone((hz * wander).astype(np.float32), partials) * near).astype(np.float32)


def bee(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    out = _insect(rng, n, rng.uniform(190, 250) * pitch, 0.08, tuple(1 / k for k in range(1, 14)))
    return out + 0.2 * noise(rng, n, 200, 1500)


def mosquito(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    return _insect(rng, n, rng.uniform(560, 720) * pitch, 0.1, (1, 0.6, 0.5, 0.3, 0.2, 0.1))


def cricket(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    hz = rng.uniform(4200, 5000) * pitch

    def chirp() -> Signal:
        m = int(0.16 * RATE)
        t = np.arange(m) / RATE
        beat = np.clip(np.sin(2 * np.pi * 3 * t / 0.16), 0, 1)
        return single(np.sin(2 * np.pi * hz * t) * beat)

    return repeat(rng, n, rng.uniform(0.35, 0.55) / tempo, chirp, 0.03)


def sneeze(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def achoo() -> Signal:
        m = int(rng.uniform(0.3, 0.5) * RATE)
        inhale = 0.35 * voice(rng, contour(m, ((0, 240), (1, 330)), pitch), ((850, 300),), 0.6)
        inhale *= np.linspace(0, 1, m, dtype=np.float32) ** 2
        k = int(rng.uniform(0.3, 0.45) * RATE)
        burst = noise(rng, k, 900, 7000) * decay(k, 0.1, 0.01) * 2.5
        tail = voice(rng, contour(k, ((0, 330), (1, 190)), pitch), ((500, 250), (1100, 300)), 0.4)
        return np.concatenate([inhale, burst + 0.6 * tail * decay(k, 0.14, 0.03)])

    return repeat(rng, n, 2.4 / tempo, achoo, 0.2)


def snore(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    def breath() -> Signal:
        m = int(rng.uniform(0.8, 1.1) * RATE)
        rasp = pulses_of_breath(rng, m, rng.uniform(28, 40) * pitch)
        k = int(0.7 * RATE)
        out = 0.18 * noise(rng, k, 900, 3500) * swell(k, 0.4)
        return np.concatenate([rasp, np.zeros(int(0.2 * RATE), np.float32), out])

    return repeat(rng, n, 2.1 / tempo, breath)


def pulses_of_breath(rng: Rng, n: int, rate: float) -> Signal:
    t = np.arange(n) / RATE
    flutter = np.clip(np.sin(2 * np.pi * rate * t), 0, 1) ** 2
    return single(noise(rng, n, 120, 700) * flutter * swell(n, 0.3) * 2)


def whistle(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    base = rng.uniform(850, 1250) * pitch

    def one() -> Signal:
        m = int(rng.uniform(0.2, 0.5) / tempo * RATE)
        hz = base * 2 ** (rng.choice([0, 2, 4, 5, 7, 9, 12]) / 12)
        t = np.arange(m) / RATE
        track = (hz * (1 + 0.012 * np.sin(2 * np.pi * 5.5 * t))).astype(np.float32)
        return (tone(track, (1, 0.05)) + 0.05 * noise(rng, m, 1500, 5000)) * swell(m, 0.12)

    return repeat(rng, n, 0.42 / tempo, one, 0.15)


def applause(rng: Rng, n: int, pitch: float, tempo: float) -> Signal:
    out = np.zeros(n, np.float32)
    for _ in range(5):
        centre = rng.uniform(900, 2200) * pitch
        out += clicks(rng, n, rng.uniform(14, 30) * tempo, centre * 0.6, centre * 1.7, 0.008)
    return out


ANIMALS: dict[str, Recipe] = {
    **CALLS,
    "bird": bird,
    "snake": snake,
    "dolphin": dolphin,
    "bee": bee,
    "mosquito": mosquito,
    "cricket": cricket,
    "sneeze": sneeze,
    "snore": snore,
    "whistle": whistle,
    "applause": applause,
}
