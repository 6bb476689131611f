"""Files -> decode -> batch -> model -> store, beside the bare model on tensors that are ready.

  bare        the library's own forward pass (open_clip, transformers, sentence-transformers), in
              batches of the same size, on inputs that lie decoded and preprocessed in memory
  to store    `Catalog.ingest` of the files into a new store: read, hash, decode, cut, batch, embed,
              commit
Weights are random, except MiniLM's: speed does not depend on them. Besides: bfloat16 against
float32, many texts against one by one, and our decoding of sound against soundfile and soxr.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import torch

from benchmarks import files
from benchmarks.context import Context
from benchmarks.measure import Clock, Result, Times, interleaved, ratio, share_verdict
from benchmarks.models import OneModel, clap_folder, open_clip_folder
from trichord.catalog import Catalog
from trichord.embedders.backend import Runtime
from trichord.embedders.media.pieces import Cutting, pieces
from trichord.embedders.media.sniff import HEAD_BYTES, sniff
from trichord.embedders.pocket.text import find_minilm
from trichord.embedders.running import cpu_has_bf16
from trichord.types import Modality

IMAGES, SOUNDS, TEXTS, MIXED = 192, 24, 512, 128
IMAGE_BATCH, SOUND_BATCH, TEXT_BATCH = 32, 8, 64
CPU = {"device": "cpu", "offline": True}
Seconds = tuple[float, float]
Action = Callable[[], Seconds | None]


def run(context: Context) -> Result:
    result = Result(
        "embedding",
        {
            "images": IMAGES,
            "sounds": SOUNDS,
            "texts": TEXTS,
            "torch threads": torch.get_num_threads(),
        },
    )
    _sound_decoding(context, result)
    _texts(context, result)
    _sounds(context, result)
    _images(context, result)
    return result


def _to_store(context: Context, joint: OneModel, source: Path, count: int) -> Action:
    """Times the ingest alone: the model is loaded and the empty store is open."""

    def action() -> Seconds:
        with Catalog.open(context.cleared("store"), space=joint) as catalog:
            clock = Clock()
            report = catalog.ingest(source)
            took = clock.read()
        if report.added != count:
            raise AssertionError(f"{report.added} of {count} items: {report.errors[:1]}")
        return took

    return action


def _bare(run: Callable[[Any], Any], batches: list[Any]) -> Action:
    def action() -> None:
        with torch.inference_mode():
            for batch in batches:
                run(batch)

    return action


def _judge(result: Result, times: dict[str, Times], bare: str, ours: str, what: str) -> None:
    shares = ratio(times[bare], times[ours])
    bar = f"{what} from files to the store, of the bare model"
    result.judge(share_verdict(bar, shares, 0.85, at_least=True))
    # What the model's own work is of all work: says the same where others keep the cores busy.
    spent = ratio(Times(times[bare].cpu), Times(times[ours].cpu))
    result.figure(f"{bar}, by processor time", spent.median)


def _rates(result: Result, times: dict[str, Times], counts: dict[str, int]) -> None:
    result.add(times)
    for label, count in counts.items():
        result.figure(f"{label}, items/s", count / times[label].median)


def _images(context: Context, result: Result) -> None:
    from trichord.embedders.openclip.backend import OpenClip

    source = files.photographs(context.work / "photographs", IMAGES)
    folder = context.cleared("open_clip")
    bare = open_clip_folder(folder).visual
    ready = torch.rand(IMAGE_BATCH, 3, 224, 224) * 4 - 2
    batches = [ready] * (IMAGES // IMAGE_BATCH)

    def joint(precision: str) -> OneModel:
        runtime = Runtime(precision=precision, **CPU)  # type: ignore[arg-type]
        model = OneModel(f"clip-{precision}", OpenClip(f"local-dir:{folder}", runtime=runtime))
        model.embedder(Modality.IMAGE).embed([np.zeros((300, 400, 3), np.uint8)] * 8)
        return model

    actions: dict[str, Action] = {
        "images, bare, fp32": _bare(bare, batches),
        "images, to store, fp32": _to_store(context, joint("fp32"), source, IMAGES),
    }
    if cpu_has_bf16():
        import copy

        low = copy.deepcopy(bare).to(torch.bfloat16)
        halves = [batch.to(torch.bfloat16) for batch in batches]
        actions["images, bare, bf16"] = _bare(low, halves)
        actions["images, to store, bf16"] = _to_store(context, joint("bf16"), source, IMAGES)
    actions["images, bare, fp32"]()
    times = interleaved(context.rounds, actions)
    _rates(result, times, dict.fromkeys(actions, IMAGES))
    _judge(result, times, "images, bare, fp32", "images, to store, fp32", "images (ViT-B-32, fp32)")
    if cpu_has_bf16():
        _judge(
            result, times, "images, bare, bf16", "images, to store, bf16", "images (ViT-B-32, bf16)"
        )
        for where in ("bare", "to store"):
            faster = ratio(times[f"images, {where}, fp32"], times[f"images, {where}, bf16"])
            bar = f"images in bf16, times faster than fp32, {where}"
            result.judge(share_verdict(bar, faster, 1.8, at_least=True))


def _sounds(context: Context, result: Result) -> None:
    from trichord.embedders.clap.backend import Clap

    source = files.recordings(context.work / "recordings", SOUNDS)
    folder = context.cleared("clap")
    model = clap_folder(folder)
    joint = OneModel("clap", Clap(str(folder), runtime=Runtime(**CPU)))  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    ready = torch.randn(SOUND_BATCH, 1, 1001, 64, generator=generator) * 20 - 40
    batches = [ready] * (SOUNDS // SOUND_BATCH)

    def forward(batch: torch.Tensor) -> Any:
        return model.get_audio_features(input_features=batch)

    actions = {
        "sounds, bare": _bare(forward, batches),
        "sounds, to store": _to_store(context, joint, source, SOUNDS),
    }
    for action in actions.values():
        action()
    times = interleaved(context.rounds, actions)
    _rates(result, times, dict.fromkeys(actions, SOUNDS))
    _judge(result, times, "sounds, bare", "sounds, to store", "sounds (CLAP HTSAT-tiny, fp32)")


def _texts(context: Context, result: Result) -> None:
    from sentence_transformers import SentenceTransformer

    from trichord.embedders.sentence.backend import SentenceModel

    folder = str(find_minilm())
    joint = OneModel("minilm", SentenceModel(folder, runtime=Runtime(**CPU)))  # type: ignore[arg-type]
    theirs = SentenceTransformer(folder, device="cpu", local_files_only=True).eval()
    source = files.texts(context.work / "texts.csv", TEXTS)
    texts = sorted((files.text(number) for number in range(TEXTS)), key=len)
    batches = [
        dict(theirs.preprocess(texts[start : start + TEXT_BATCH]))
        for start in range(0, TEXTS, TEXT_BATCH)
    ]
    embedder = joint.embedder(Modality.TEXT)
    generator = np.random.default_rng(0)
    lengths = {
        "titles of 10 to 60 characters": generator.integers(10, 60, MIXED),
        "texts of 200 characters": np.full(MIXED, 200),
        "texts of 8 to 400 characters": np.exp(generator.uniform(np.log(8), np.log(400), MIXED)),
    }

    def one_by_one(some: list[str]) -> Action:
        def action() -> None:
            for text in some:
                embedder.embed([text])

        return action

    def together(some: list[str]) -> Action:
        def action() -> None:
            embedder.embed(some)

        return action

    actions: dict[str, Action] = {
        "texts, bare": _bare(lambda batch: theirs.forward(dict(batch)), batches),
        "texts, to store": _to_store(context, joint, source, TEXTS),
    }
    for name, wanted in lengths.items():
        some = [files.text(10_000 + n, int(length)) for n, length in enumerate(wanted)]
        actions[f"{MIXED} {name}, one by one"] = one_by_one(some)
        actions[f"{MIXED} {name}, together"] = together(some)
    for action in actions.values():
        action()
    times = interleaved(context.rounds, actions)
    _rates(result, times, {name: TEXTS if name[:5] == "texts" else MIXED for name in actions})
    _judge(result, times, "texts, bare", "texts, to store", "texts (MiniLM, fp32)")
    for name in lengths:
        label = f"{MIXED} {name}"
        faster = ratio(times[f"{label}, one by one"], times[f"{label}, together"])
        bar = f"{name}, batched and sorted, times faster than one by one"
        # Long texts keep a core busy by themselves: what batching gains there is only measured.
        if name.startswith("titles"):
            result.judge(share_verdict(bar, faster, 4.0, at_least=True))
        else:
            result.figure(bar, faster.median)


def _sound_decoding(context: Context, result: Result) -> None:
    """Ten seconds of stereo at 48 kHz to mono at 44.1 kHz, from bytes in memory."""
    rate, repeat = 44_100, 10
    cutting = Cutting(audio_rate=rate)
    actions: dict[str, Action] = {}
    for container in ("WAV", "FLAC", "MP3"):
        data = files.encoded(files.recording(1), container)
        media = sniff(data[:HEAD_BYTES])

        def plain(data: bytes = data) -> None:
            for _ in range(repeat):
                samples, own = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
                soxr.resample(samples.mean(axis=1), own, rate, quality="HQ")

        def ours(data: bytes = data, media: Any = media) -> None:
            for _ in range(repeat):
                list(pieces(media, data, cutting).pieces)

        actions[f"10 × {container}, soundfile and soxr"] = plain
        actions[f"10 × {container}, ours"] = ours
    for action in actions.values():
        action()
    times = interleaved(max(context.rounds, 9), actions)
    result.add(times)
    for container in ("WAV", "FLAC", "MP3"):
        label = f"10 × {container}"
        shares = ratio(times[f"{label}, ours"], times[f"{label}, soundfile and soxr"])
        bar = f"decoding and resampling {container}, time relative to soundfile and soxr"
        result.judge(share_verdict(bar, shares, 1.15, at_least=False))
