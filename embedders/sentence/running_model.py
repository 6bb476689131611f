"""The loaded model behind `SentenceModel`: checked, cast, and run under one lock."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from trichord.embedders.backend import AudioCut, Runtime
from trichord.embedders.running import pick_device, pick_dtype
from trichord.embedders.sentence.description import Description
from trichord.embedders.sentence.inputs import audio_input, image_input, text_input
from trichord.embedders.sentence.loading import load
from trichord.embedders.sentence.tokens import check
from trichord.errors import InvalidInput, ModelError, TrichordError
from trichord.types import F32, Modality, Role

_PROBES = ("a red bird sings in the morning", "seven cold machines under the hill")


class RunningModel:
    """What the loaded model knows of itself, and `runner`s that embed ready inputs."""

    def __init__(
        self,
        folder: Path,
        runtime: Runtime,
        *,
        described: Description,
        prompts: Mapping[Role, str],
        truncate_dim: int | None,
        trust_remote_code: bool,
    ) -> None:
        self._folder = folder
        self._described = described
        self._prompts = prompts
        self._truncate_dim = truncate_dim
        self._lock = threading.RLock()
        device = pick_device(runtime)
        self.on_cpu = device.type == "cpu"
        self._model: SentenceTransformer = load(
            folder, device=device, trust_remote_code=trust_remote_code, offline=runtime.offline
        )
        self.modalities = frozenset(
            Modality(name) for name in self._model.modalities if name in set(Modality)
        )
        self.max_tokens = self._model.max_seq_length
        dim = self._model.get_embedding_dimension()
        if dim is None:
            dim = len(self._probe_rows(_PROBES[:1])[0]) if Modality.TEXT in self.modalities else 0
        if dim < 1:
            raise ModelError(f"the model in {folder} does not say how many dimensions it has")
        self.dim = dim
        self.audio_rate = self._sampling_rate()
        self._check_text()
        dtype = pick_dtype(runtime, device, self._measure)
        self._model.to(dtype)
        self.dtype = dtype

    def verify(self, about: Description) -> None:
        """Raises ModelError where the model is not what its configuration says."""
        if about.dim != self.dim:
            raise ModelError(
                f"the model in {self._folder} has {self.dim} dimensions, its configuration says"
                f" {about.dim}"
            )
        lacking = (about.modalities or frozenset()) - self.modalities
        if lacking:
            raise ModelError(f"the model in {self._folder} takes no {sorted(lacking)[0]}")
        most = self.max_tokens
        if about.max_tokens and most and most < about.max_tokens:
            raise ModelError(
                f"the model in {self._folder} takes {most} tokens, its configuration says"
                f" {about.max_tokens}: longer texts would be cut off silently"
            )

    def runner(self, modality: Modality, cut: AudioCut | None) -> Callable[[list[Any], Role], F32]:
        """Ready inputs of one modality -> rows float32 (n, dim), not normalised."""
        options: dict[str, Any] = {}
        if modality is Modality.AUDIO and cut is not None and self._takes_processing():
            options["processing_kwargs"] = {"audio": {"sampling_rate": cut.rate}}

        def run(items: list[Any], role: Role) -> F32:
            task = {"task": str(role)} if self._described.tasks else {}
            return self._encode(items, prompt=self._prompts[role], **options, **task)

        return run

    def _encode(
        self, items: list[Any], model: SentenceTransformer | None = None, **options: Any
    ) -> F32:
        with self._lock:
            try:
                found = (model or self._model).encode(
                    items,
                    batch_size=len(items),
                    show_progress_bar=False,
                    convert_to_numpy=True,
                    truncate_dim=self._truncate_dim,
                    **options,
                )
            except (TrichordError, torch.OutOfMemoryError, MemoryError, RuntimeError):
                raise
            except Exception as error:  # what a model's own processing raises
                raise ModelError(
                    f"the model in {self._folder} failed: {error or type(error).__name__}"
                ) from error
        return np.asarray(found, np.float32)

    def _takes_processing(self) -> bool:
        """Whether what takes sound is transformers' own processor, which checks the rate."""
        from sentence_transformers.base.modules import Router, Transformer

        first: Any = self._model[0]
        if isinstance(first, Router):
            routes = [route[0] for route in first.sub_modules.values()]
            takers = [m for m in routes if "audio" in getattr(m, "modalities", ())]
            return bool(takers) and all(isinstance(module, Transformer) for module in takers)
        return isinstance(first, Transformer)

    def _sampling_rate(self) -> int | None:
        if Modality.AUDIO not in self.modalities:
            return None
        for module in self._model.modules():
            processor = getattr(module, "processor", None)
            for holder in (getattr(processor, "feature_extractor", None), processor, module):
                rate = getattr(holder, "sampling_rate", None)
                if isinstance(rate, int):
                    return rate
        return None

    def _check_text(self) -> None:
        """An empty tokenizer gives every text the same vector, silently."""
        if Modality.TEXT not in self.modalities:
            return
        tokenizer = getattr(self._model, "tokenizer", None)
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is not None:
            from tokenizers import Tokenizer

            check(Tokenizer.from_str(backend.to_str()), self._folder)
        first, second = self._probe_rows(_PROBES)
        if np.isfinite(first).all() and np.array_equal(first, second):
            raise ModelError(
                f"the model in {self._folder} gives different texts the same vector: its tokenizer"
                " or its weights are damaged"
            )

    def _probe_rows(self, texts: tuple[str, ...]) -> F32:
        items = [text_input(text, wrapped=self._described.wrapped) for text in texts]
        options = {"task": "document"} if self._described.tasks else {}
        return self._encode(items, prompt="", **options)

    def _measure(self, dtype: torch.dtype) -> float:
        """Seconds of a fixed amount of work in that precision, best of three."""
        # On a copy: weights rounded to bfloat16 do not get their digits back.
        model = self._model if dtype == torch.float32 else copy.deepcopy(self._model).to(dtype)
        if Modality.IMAGE in self.modalities:
            grey = np.full((256, 256, 3), 128, np.uint8)
            items: list[Any] = [image_input(grey)] * 8
        elif Modality.TEXT in self.modalities:
            text = " ".join(_PROBES * 4)
            items = [text_input(text, wrapped=self._described.wrapped)] * 16
        else:
            return 0.0
        options = {"task": "document"} if self._described.tasks else {}
        took = []
        for _ in range(4):
            began = time.perf_counter()
            self._encode(items, model, prompt="", **options)
            took.append(time.perf_counter() - began)
        return min(took[1:])


def converter(modality: Modality, wrapped: bool, cut: AudioCut | None) -> Callable[[object], Any]:
    """What makes of one decoded item what the model takes."""
    if modality is Modality.TEXT:
        return lambda item: text_input(item, wrapped=wrapped)
    if modality is Modality.IMAGE:
        return image_input
    if cut is None:
        raise InvalidInput("this model takes no sound")
    return lambda item: audio_input(item, rate=cut.rate, window_ms=cut.window_ms)
