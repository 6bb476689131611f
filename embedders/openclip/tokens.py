"""The tokenizers of open_clip's models, checked, deterministic and with offsets."""

from __future__ import annotations

import gzip
import hashlib
import html
import threading
from typing import Any, Protocol

import ftfy
import numpy as np
import numpy.typing as npt
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer, default_bpe

from trichord.embedders.hashing import sha256_of_files
from trichord.embedders.openclip.offsets import SLACK, Groups, WordOffsets
from trichord.embedders.openclip.source import TOKENIZER, Source
from trichord.errors import ModelError

Ids = npt.NDArray[np.int64]

_BPE_REMEMBERS = 200_000
_TWO = ("a dog barks", "rain on a window")


class Tokens(Protocol):
    """Text -> token ids, the way the model was trained, without anything random."""

    chunk_tokens: int
    """The longest chunk, in offsets, of which no token is cut off."""

    def ids(self, texts: list[str]) -> Ids:
        """int64 (n, context length); what is longer is cut off at its end."""
        ...

    def offsets(self, text: str) -> list[tuple[int, int]]: ...


def digest(source: Source) -> str:
    """What identifies the tokenizer: a sha256 over its vocabulary files and settings."""
    if source.tokenizer is not None:
        names = [name for name in TOKENIZER if (source.tokenizer / name).is_file()]
        return sha256_of_files(source.tokenizer, names)
    return _bpe_digest()


def _bpe_digest() -> str:
    with gzip.open(default_bpe(), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(source: Source) -> Tokens:
    """The model's tokenizer. Raises ModelError for one that is empty, of another vocabulary than
    the model, or that gives different texts the same tokens."""
    tokens: Tokens = BytePairs(source) if source.tokenizer is None else HubTokens(source)
    first, second = tokens.ids([*_TWO])
    if np.array_equal(first, second):
        raise ModelError(
            f"the tokenizer of {source.name} is empty: different texts get the same tokens;"
            " fetch its files again"
        )
    return tokens


def vocabulary(source: Source) -> int:
    """Rows of the text tower's embedding, as configured."""
    return int(source.text.get("vocab_size", 49_408))


class BytePairs:
    """The lower-case byte-pair encoding that open_clip brings along."""

    def __init__(self, source: Source) -> None:
        settings = dict(source.text.get("tokenizer_kwargs") or {})
        # A reduction mask leaves out tokens by chance: long text is cut at its end instead.
        settings.pop("reduction_mask", None)
        self._inner = SimpleTokenizer(context_length=source.context_length, **settings)
        if self._inner.vocab_size > vocabulary(source):
            raise ModelError(
                f"the text tower of {source.name} knows {vocabulary(source)} tokens, its tokenizer"
                f" {self._inner.vocab_size}: the configuration lacks hf_tokenizer_name or has a"
                " wrong vocab_size"
            )
        self._lock = threading.RLock()
        self._special = dict(self._inner.cache)
        self.chunk_tokens = max(1, source.context_length - 2 - SLACK)
        self._offsets = WordOffsets(self._groups, self._worst)

    def ids(self, texts: list[str]) -> Ids:
        with self._lock:
            self._forget()
            found: Ids = self._inner(texts).numpy()
        return found

    def offsets(self, text: str) -> list[tuple[int, int]]:
        with self._lock:
            self._forget()
            return self._offsets(text)

    def _forget(self) -> None:
        # open_clip remembers every word that it ever saw.
        if len(self._inner.cache) > _BPE_REMEMBERS:
            self._inner.cache = dict(self._special)

    def _groups(self, word: str) -> Groups:
        inner = self._inner
        cleaned = inner.clean_fn(word)
        if len(cleaned) == len(word) and cleaned.lower() == word.lower():
            # Letters, digits and signs are told apart before pairs are merged.
            return tuple(
                (match.start(), match.end(), self._pieces(match.group()))
                for match in inner.pat.finditer(cleaned)
            )
        # An encoding that is repaired in the word by itself may not be in the text around it.
        unrepaired = html.unescape(html.unescape(word)).lower()
        as_it_is = sum(self._pieces(match.group()) for match in inner.pat.finditer(unrepaired))
        return ((0, len(word), max(len(inner.encode(word)), as_it_is)),)

    def _pieces(self, token: str) -> int:
        return len(self._inner.bpe(self._bytes(token)).split(" "))

    def _bytes(self, token: str) -> str:
        return "".join(self._inner.byte_encoder[byte] for byte in _utf8(token))

    def _worst(self, letter: str) -> int:
        # Every token holds at least one byte.
        return max(len(_utf8(letter)), len(_utf8(ftfy.fix_text(letter).lower())))


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # a lone surrogate has no bytes of its own


class HubTokens:
    """A tokenizer of Hugging Face's, from a folder on this machine."""

    def __init__(self, source: Source) -> None:
        assert source.tokenizer is not None
        settings: dict[str, Any] = dict(source.text.get("tokenizer_kwargs") or {})
        try:
            self._inner = HFTokenizer(
                str(source.tokenizer),
                context_length=source.context_length,
                tokenizer_mode=source.text.get("tokenizer_mode"),
                local_files_only=True,
                trust_remote_code=False,
                **settings,
            )
        except Exception as error:  # transformers raises nearly every class here
            raise ModelError(
                f"the tokenizer of {source.name} cannot be loaded: {error}", path=source.tokenizer
            ) from error
        known, needed = len(self._inner.tokenizer), vocabulary(source)
        if known < needed // 2:
            raise ModelError(
                f"the tokenizer of {source.name} knows {known} tokens, its text tower {needed}:"
                " it is empty or another model's; fetch its files again",
                path=source.tokenizer,
            )
        if not self._inner.tokenizer.is_fast:
            raise ModelError(f"the tokenizer of {source.name} has no tokenizer.json")
        self._rows = max(known, needed)
        self._lock = threading.RLock()
        special = self._inner.tokenizer.num_special_tokens_to_add()
        if source.text.get("tokenizer_mode") == "clips":
            special = 3
        self.chunk_tokens = max(1, source.context_length - special - SLACK)
        self._one = self._length("a")
        self._offsets = WordOffsets(self._groups, self._worst)

    def ids(self, texts: list[str]) -> Ids:
        with self._lock:
            found: Ids = self._inner(texts).numpy().astype(np.int64, copy=False)
        return found

    def offsets(self, text: str) -> list[tuple[int, int]]:
        with self._lock:
            return self._offsets(text)

    def _length(self, cleaned: str) -> int:
        backend = self._inner.tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        return len(backend.encode(cleaned, add_special_tokens=False).ids)

    def _groups(self, word: str) -> Groups:
        cleaned = self._inner.clean_fn(word)
        if not cleaned:
            return ()
        # A word inside a text follows a space, the first one does not: whichever is more.
        count = max(self._length(cleaned), self._length(f"a {cleaned}") - self._one)
        return ((0, len(word), count),)

    def _worst(self, letter: str) -> int:
        return max([1, *(count for _, _, count in self._groups(letter))])
