"""What a bridge reaches, measured: `python -m trichord.embedders.bridge.proof`.

Sounds of the duet model are projected into the pocket frame, by projectors fitted on captions
alone, and searched there. Beside them stand the pocket's own audio encoder (the natively trained
pair) and the duet model searched in its own frame, on the same clips and the same sentences. The
control fits the same projectors with the captions of one side shuffled.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from trichord.embedders.bridge import captions, fitting, world
from trichord.embedders.bridge.captions import Captions
from trichord.embedders.bridge.fitting import FitReport
from trichord.embedders.bridge.measuring import HEAD, Pair, Row, Searched, rows
from trichord.embedders.bridge.projector import KINDS, Projector
from trichord.embedders.bridge.texts import embed_texts
from trichord.embedders.bridge.world import Labelled, Vectors
from trichord.embedders.duet.backend import Duet
from trichord.embedders.pocket import concepts
from trichord.embedders.pocket.space import PocketSpace
from trichord.types import F32, Modality

SEEDS = (0, 1, 2)
SHUFFLES: Mapping[str, int] = {"procrustes": 20, "ridge": 20, "mlp": 10}
SPARE = 2


@dataclass(frozen=True)
class Texts:
    """Captions and their vectors in both frames."""

    lines: Captions
    duet: F32
    pocket: F32

    def shuffled(self, seed: int) -> Texts:
        """Every caption's duet vector goes to another caption."""
        order = np.random.default_rng([seed, 13]).permutation(len(self.duet))
        return replace(self, duet=self.duet[order])

    def without(self, phrases: list[str]) -> Texts:
        """Only the captions that name none of the phrases."""
        kept = self.lines.without(phrases)
        wanted = set(kept.lines)
        rows = np.array([line in wanted for line in self.lines.lines])
        return Texts(kept, self.duet[rows], self.pocket[rows])


class Proof:
    """Both models' vectors of the test, made once. `every` > 1 takes each n-th concept."""

    def __init__(self, pocket: PocketSpace, duet: Duet, *, every: int = 1) -> None:
        self.pocket, self.duet, self.every = pocket, duet, every
        self.chosen = concepts.of(Modality.AUDIO)[::every]
        pictured = [c for c in concepts.shared() if c in self.chosen]
        sounds, asked = world.sounds(self.chosen), world.questions(self.chosen)
        self.native = self._searched(pocket, asked, sounds, world.pictures(pictured))
        self.own = self._searched(duet, asked, sounds, None)
        spare = world.sounds(self.chosen, SPARE, first_seed=world.SPARE_SEED)
        self.spare = spare.embed(duet.embedder(Modality.AUDIO)).rows

    def _searched(
        self,
        model: PocketSpace | Duet,
        asked: Labelled,
        sounds: Labelled,
        pictures: Labelled | None,
    ) -> Searched:
        questions = asked.embed(model.embedder(Modality.TEXT))
        first = np.arange(len(questions.rows)) < len(self.chosen)
        return Searched(
            questions,
            questions.only(first),
            sounds.embed(model.embedder(Modality.AUDIO)),
            None if pictures is None else pictures.embed(model.embedder(Modality.IMAGE)),
        )

    def bridged(self, projector: Projector) -> Searched:
        """The composed space: texts and pictures of the pocket, sounds of duet."""
        moved = moved_by(projector, self.own.sounds)
        return Searched(self.native.questions, self.native.tags, moved, self.native.pictures)

    def texts(self, lines: Captions) -> Texts:
        duet = embed_texts(self.duet.embedder(Modality.TEXT), lines.lines)
        return Texts(lines, duet, embed_texts(self.pocket.embedder(Modality.TEXT), lines.lines))

    def fit(self, texts: Texts, seed: int, kinds: tuple[str, ...] = KINDS) -> FitReport:
        return fitting.fit(
            texts.duet,
            texts.pocket,
            source=self.duet.frame,
            target=self.pocket.frame,
            kinds=kinds,
            groups=texts.lines.groups,
            seed=seed,
        )


def moved_by(projector: Projector, sounds: Vectors) -> Vectors:
    return Vectors(projector.apply(sounds.rows), sounds.label, sounds.concept)


def main_table(proof: Proof, reports: list[FitReport]) -> list[Row]:
    """The native pair, duet in its own frame, and every kind of bridge over the fitting seeds."""
    out = rows("main", "pocket's own audio encoder (native)", [proof.native.pairs()])
    out += rows("main", "duet in its own frame", [proof.own.pairs()])
    for kind in KINDS:
        made = [report.candidate(kind).projector for report in reports]
        out += rows("main", f"bridge, {kind}", [proof.bridged(p).pairs() for p in made])
        centred = [p.centred_on(proof.spare) for p in made]
        name = f"bridge, {kind}, centred on sounds"
        out += rows("main", name, [proof.bridged(p).pairs() for p in centred])
    return out


def control(proof: Proof, texts: Texts) -> list[Row]:
    """The captions of one side shuffled before anything is fitted."""
    out = []
    for kind, count in SHUFFLES.items():
        runs = []
        for shuffle in range(count):
            report = proof.fit(texts.shuffled(shuffle), shuffle, (kind,))
            runs.append(proof.bridged(report.chosen).pairs())
        out += rows("control", f"{kind}, captions shuffled", runs)
    return out


def unnamed(proof: Proof, texts: Texts) -> list[Row]:
    """Sounds of concepts that no caption of the fit names, beside the same with all captions.

    Half of the concepts are left out, another half for every seed; every sound is searched, the
    queries are those of the concepts left out.
    """
    out = []
    for kind in KINDS:
        for left_out in (True, False):
            runs = []
            for seed in SEEDS:
                rng = np.random.default_rng([seed, 29])
                half = rng.permutation(len(proof.chosen))[: len(proof.chosen) // 2]
                away = [proof.chosen[int(i)] for i in half]
                named = [p for c in away for p in (c.name, *c.also, *c.heard)]
                used = texts.without(named) if left_out else texts
                report = proof.fit(used, seed, (kind,))
                runs.append(_asked_of(proof.bridged(report.chosen), world.numbers(away)))
            name = "no caption names them" if left_out else "captions name them"
            out += rows("unnamed", f"{kind}, {name}", runs)
    return out


def _asked_of(found: Searched, wanted: np.ndarray[Any, np.dtype[np.int64]]) -> list[Pair]:
    return [
        Pair("text→audio", found.questions.among(wanted), found.sounds),
        Pair("audio→text", found.sounds.among(wanted), found.tags),
    ]


def finer(proof: Proof, reports: list[FitReport]) -> list[Row]:
    """Attributes (one sound per instrument and held-out combination) and free wordings."""
    sounds, lines = world.attributes(every=proof.every)
    texts = {m: lines.embed(m.embedder(Modality.TEXT)) for m in (proof.pocket, proof.duet)}
    heard = {m: sounds.embed(m.embedder(Modality.AUDIO)) for m in (proof.pocket, proof.duet)}
    free = world.paraphrases()
    known = world.numbers(proof.chosen)
    said = {
        m: free.embed(m.embedder(Modality.TEXT)).among(known) for m in (proof.pocket, proof.duet)
    }

    def both(model: PocketSpace | Duet, searched: Searched, clips: Vectors) -> list[Pair]:
        return [
            Pair("attributes: text→audio", texts[model], clips),
            Pair("free wordings: text→audio", said[model], searched.sounds),
        ]

    native = both(proof.pocket, proof.native, heard[proof.pocket])
    out = rows("finer", "pocket's own audio encoder (native)", [native])
    own = both(proof.duet, proof.own, heard[proof.duet])
    out += rows("finer", "duet in its own frame", [own])
    for kind in KINDS:
        runs = []
        for report in reports:
            p = report.candidate(kind).projector
            runs.append(both(proof.pocket, proof.bridged(p), moved_by(p, heard[proof.duet])))
        out += rows("finer", f"bridge, {kind}", runs)
    return out


def prove(proof: Proof, *, count: int = captions.COUNT) -> tuple[list[FitReport], list[Row]]:
    """All tables. Every fitting seed also draws its own captions and its own split."""
    sets = [captions.generate(count, seed=seed) for seed in SEEDS]
    texts = [proof.texts(lines) for lines in sets]
    reports = [proof.fit(each, seed) for seed, each in zip(SEEDS, texts, strict=True)]
    found = main_table(proof, reports)
    found += finer(proof, reports) + control(proof, texts[0]) + unnamed(proof, texts[0])
    return reports, found


def render(reports: list[FitReport], found: list[Row]) -> str:
    """The tables of docs/bridging.md."""
    lines = [
        "| fitting seed | kind | settings | R@1 | R@5 | R@10 | MRR |",
        "|---|---|---|---|---|---|---|",
    ]
    for seed, report in zip(SEEDS, reports, strict=True):
        for c in report.candidates:
            s, mark = c.scores, ", chosen" if c.projector is report.chosen else ""
            settings = ", ".join(f"{k} {v:g}" for k, v in c.settings.items())
            lines.append(
                f"| {seed} | {c.kind}{mark} | {settings} | {s.r1} | {s.r5} | {s.r10} | {s.mrr} |"
            )
    lines.append(
        f"\n{reports[0].fitted} fitted, {reports[0].tuned} tuned, {reports[0].scored} scored"
    )
    for table in dict.fromkeys(row.table for row in found):
        lines += [f"\n{table}\n", HEAD, *(row.render() for row in found if row.table == table)]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--every", type=int, default=1, help="each n-th concept only")
    parser.add_argument("--duet", type=Path, help="folder of duet weights (default: bundled)")
    given = parser.parse_args()
    duet = Duet(given.duet) if given.duet else Duet()
    reports, found = prove(Proof(PocketSpace(), duet, every=given.every))
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in found], indent=1) + "\n", "utf-8")
    sys.stdout.write(render(reports, found) + "\n")


if __name__ == "__main__":
    main()
