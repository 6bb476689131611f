"""space fit: a projector between two frames, fitted on captions alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trichord.commands.common import json_option, print_json
from trichord.commands.machine import home_option, registry, runtime, runtime_options

if TYPE_CHECKING:
    from trichord.embedders.bridge.captions import Captions
    from trichord.embedders.bridge.fitting import FitReport

KINDS = ("auto", "procrustes", "ridge", "mlp")


@click.command("fit")
@click.option(
    "--source",
    required=True,
    metavar="MODEL",
    help="Whose vectors are projected: duet, clap:MODEL, another family's, or a space.",
)
@click.option(
    "--target",
    required=True,
    metavar="MODEL",
    help="Whose frame they are projected into: pocket, openclip:MODEL:TAG, …",
)
@click.option(
    "--captions",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Your captions, one per line, at least 500. Default: our own.",
)
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default="auto",
    show_default=True,
    help="auto: procrustes, unless held-out captions favour another kind clearly.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of the projector (safetensors).",
)
@runtime_options
@home_option
@json_option
def fit(
    source: str,
    target: str,
    file: Path | None,
    kind: str,
    seed: int,
    out: Path,
    device: str,
    precision: str,
    offline: bool,
    home: Path | None,
    as_json: bool,
) -> None:
    """Fit a projector from one model's frame into another's on captions alone.

    A model is a space ("pocket") or one of a family: duet, clap:MODEL (a .pt file is LAION's own
    layout), sentence:MODEL, openclip:MODEL:PRETRAINED, openclip:hf-hub:ORG/NAME. Both embed the
    same captions as documents; part of the captions is held out and decides between the kinds.
    """
    from trichord.embedders.bridge import captions, fitting
    from trichord.embedders.bridge.projector import KINDS as EVERY
    from trichord.embedders.bridge.texts import distinct_frames, embed_texts, open_texts

    lines = captions.generate(seed=seed) if file is None else captions.read(file)
    running = runtime(device, precision, offline)
    embedders = [open_texts(name, running, registry(home)) for name in (source, target)]
    distinct_frames(embedders[0].frame, embedders[1].frame)
    x, y = (embed_texts(embedder, lines.lines) for embedder in embedders)
    report = fitting.fit(
        x,
        y,
        source=embedders[0].frame,
        target=embedders[1].frame,
        kinds=EVERY if kind == "auto" else (kind,),
        groups=lines.groups,
        seed=seed,
        about={
            "captions": {
                "sha256": lines.sha256, "count": len(lines.lines), "origin": lines.origin
            },
            "source_model": source,
            "target_model": target,
        },
    )  # fmt: skip
    report.chosen.save(out)
    if as_json:
        print_json(_described(report, lines, out))
    else:
        _show(report, lines, out)


def _show(report: FitReport, lines: Captions, out: Path) -> None:
    chosen = report.chosen
    click.echo(
        f"{chosen.source.id} -> {chosen.target.id}: {len(lines.lines)} captions ({lines.origin}), "
        f"{report.fitted} fitted on, {report.tuned} to tune, {report.scored} to decide"
    )
    click.echo("a projected caption finds itself among those held out (95 % intervals):")
    head = ("R@1", "R@5", "R@10", "MRR")
    click.echo(f"  {'kind':<12}{'settings':<16}" + "".join(f"{name:<24}" for name in head).rstrip())
    for c in report.candidates:
        mark = "*" if c.projector is chosen else " "
        settings = ", ".join(f"{name} {value:g}" for name, value in c.settings.items())
        s = c.scores
        figures = "".join(f"{x!s:<24}" for x in (s.r1, s.r5, s.r10, s.mrr)).rstrip()
        click.echo(f"{mark} {c.kind:<12}{settings:<16}{figures}")
    click.echo(f"chosen: {chosen.kind}, because {report.reason}")
    click.echo(f"written: {out} (sha256 {chosen.sha256[:16]})")


def _described(report: FitReport, lines: Captions, out: Path) -> dict[str, Any]:
    from dataclasses import asdict

    chosen = report.chosen
    return {
        "source": chosen.source.id,
        "target": chosen.target.id,
        "captions": {"sha256": lines.sha256, "count": len(lines.lines), "origin": lines.origin},
        "fitted": report.fitted,
        "tuned": report.tuned,
        "scored": report.scored,
        "candidates": [
            {"kind": c.kind, "settings": dict(c.settings), "scores": asdict(c.scores)}
            for c in report.candidates
        ],
        "chosen": chosen.kind,
        "reason": report.reason,
        "sha256": chosen.sha256,
        "path": str(out),
    }
