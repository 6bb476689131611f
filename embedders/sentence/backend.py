"""Any sentence-transformers model as a `Backend`: text, CLIP-like, or text, images and sound."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from trichord.embedders.backend import AudioCut, Runtime, TextCut
from trichord.embedders.sentence import folder as folders
from trichord.embedders.sentence.description import WINDOW_MS, Description, describe
from trichord.embedders.sentence.tokens import Tokens
from trichord.errors import InvalidInput, ModelError
from trichord.types import Embedder, Encoder, Frame, Modality, Role

if TYPE_CHECKING:
    from trichord.embedders.sentence.running_model import RunningModel

SCHEMA = 1
CHUNK_TOKENS, OVERLAP_TOKENS = 200, 32
NO_LIMIT = 1_000_000
_DEFAULT_RUNTIME = Runtime()


class SentenceModel:
    """`model`: a folder that SentenceTransformer.save wrote, or the id of a hub.

    `prompts` ("query" and "document") replace the model's own; `truncate_dim` keeps the first
    values of Matryoshka models; `trust_remote_code` runs Python files of the model, which is
    refused otherwise. Constructing one finds the folder (asking the hub unless `runtime.offline`)
    and reads its configuration and checksums. Thread-safe. Raises ModelError and InvalidInput.
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        prompts: Mapping[str, str] | None = None,
        truncate_dim: int | None = None,
        trust_remote_code: bool = False,
        runtime: Runtime = _DEFAULT_RUNTIME,
    ) -> None:
        unknown = set(prompts or {}) - set(Role)
        if unknown:
            raise InvalidInput(f"prompts are for {', '.join(Role)}, not for {sorted(unknown)[0]!r}")
        self.model = model
        self.revision = revision
        self.runtime = runtime
        self.trust_remote_code = trust_remote_code
        self.folder = folders.locate(model, revision, runtime)
        self.name = folders.model_name(model, self.folder)
        self._described = describe(self.folder)
        if self._described.own_code and not trust_remote_code:
            raise ModelError(
                f"{model} needs code of its own ({', '.join(self._described.own_code)}), which is"
                " only run with trust_remote_code=True: read it first",
                model=model,
            )
        self.sha256 = folders.checksum(self.folder, code=trust_remote_code)
        self._prompts = {
            role: (prompts or {}).get(role, self._described.prompt(role)) for role in Role
        }
        self._truncate_dim = truncate_dim
        if truncate_dim is not None and truncate_dim < 1:
            raise InvalidInput(f"truncate_dim must be at least 1, not {truncate_dim}")
        if truncate_dim is not None and (full := self._about.dim) and truncate_dim > full:
            raise InvalidInput(f"truncate_dim is {truncate_dim}, but {model} has {full} dimensions")
        self._lock = threading.RLock()
        self._embedders: dict[Modality, Embedder] = {}

    @cached_property
    def _about(self) -> Description:
        """The configuration, and what only the loaded model can say."""
        about = self._described
        if about.modalities is not None and about.dim is not None:
            return about
        found = self._running
        return replace(
            about,
            modalities=about.modalities or found.modalities,
            dim=found.dim,
            max_tokens=about.max_tokens or found.max_tokens,
            audio_rate=about.audio_rate or found.audio_rate,
        )

    @property
    def frame(self) -> Frame:
        """ "sentence-transformers/<name>@<12 hex of all its files>", and its dimension."""
        dim = self._about.dim
        assert dim is not None
        short = self._truncate_dim or dim
        return Frame(f"sentence-transformers/{self.name}@{self.sha256[:12]}", min(short, dim))

    @property
    def modalities(self) -> frozenset[Modality]:
        found = self._about.modalities
        if not found:
            raise ModelError(f"{self.model} embeds neither text nor images nor sound")
        return found

    @cached_property
    def _tokens(self) -> Tokens:
        if Modality.TEXT not in self.modalities:
            raise InvalidInput(f"{self.model} takes no text")
        return Tokens(self._about.text_folder or self.folder)

    @property
    def text(self) -> TextCut | None:
        """Chunks that fit into the model with its special tokens and its longest prompt."""
        if Modality.TEXT not in self.modalities:
            return None
        added = max(len(self._tokens.offsets(prompt)) for prompt in self._prompts.values())
        # A model that knows no limit (bags of words, relative positions) has none.
        most = self._about.max_tokens or NO_LIMIT
        room = most - self._tokens.special - added
        if room < 1:
            raise InvalidInput(f"the prompts fill all {most} tokens that {self.model} takes")
        chunk = min(CHUNK_TOKENS, room)
        return TextCut(chunk, chunk * OVERLAP_TOKENS // CHUNK_TOKENS)

    @property
    def audio(self) -> AudioCut | None:
        if Modality.AUDIO not in self.modalities:
            return None
        rate = self._about.audio_rate
        if rate is None:
            raise ModelError(f"{self.model} does not say at which rate it takes sound")
        window = min(WINDOW_MS, self._about.longest_ms or WINDOW_MS)
        return AudioCut(rate, window, window)

    @property
    def image_side(self) -> int | None:
        return self._about.image_side if Modality.IMAGE in self.modalities else None

    def facts(self, modality: Modality) -> Mapping[str, Any]:
        if modality not in self.modalities:
            raise InvalidInput(f"{self.model} has no encoder for {modality}")
        facts: dict[str, Any] = {
            "backend": "sentence-transformers",
            "model": self.name,
            "revision": self.revision,
            "files": self.sha256,
            "prompts": {str(role): text for role, text in self._prompts.items()},
            "truncate_dim": self._truncate_dim,
            "schema": SCHEMA,
        }
        if modality is Modality.TEXT and self.text is not None:
            facts["max_tokens"] = self._about.max_tokens
            facts["chunk_tokens"] = self.text.chunk_tokens
            facts["overlap_tokens"] = self.text.overlap_tokens
        elif modality is Modality.AUDIO and self.audio is not None:
            facts["rate"] = self.audio.rate
            facts["window_ms"] = self.audio.window_ms
            facts["hop_ms"] = self.audio.hop_ms
        return facts

    def token_offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """Needs the tokenizer only. Raises InvalidInput for what is not a string."""
        return self._tokens.offsets(text)

    @cached_property
    def _running(self) -> RunningModel:
        """The loaded model."""
        from trichord.embedders.sentence.running_model import RunningModel

        return RunningModel(
            self.folder,
            self.runtime,
            described=self._described,
            prompts=self._prompts,
            truncate_dim=self._truncate_dim,
            trust_remote_code=self.trust_remote_code,
        )

    def embedder(self, modality: Modality) -> Embedder:
        """Loads the model when it is the first one. Raises ModelError for what is missing, damaged
        or random, InvalidInput for a modality that the model does not take."""
        from trichord.embedders.sentence.embedder import SentenceEmbedder
        from trichord.embedders.sentence.running_model import converter

        facts = self.facts(modality)
        with self._lock:
            if modality not in self._embedders:
                running = self._running
                running.verify(self._about)
                self._embedders[modality] = SentenceEmbedder(
                    modality,
                    self.frame,
                    Encoder(modality, facts),
                    convert=converter(modality, self._about.wrapped, self.audio),
                    run=running.runner(modality, self.audio),
                    batch=self.runtime.batch,
                    on_cpu=running.on_cpu,
                    what=f"the {modality} model {self.name}",
                )
            return self._embedders[modality]
