"""Text -> token ids, with the checks that a tokenizer which loaded empty does not pass."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trichord.embedders.clap.files import tokenizer_sha256
from trichord.errors import InvalidInput, ModelError

LONGEST = 77
"""CLAP was trained on texts of at most 77 tokens, start and end included; more positions exist
in its text tower, but none of them ever saw a sound."""

_PROBES = ("a dog barks in the rain", "slow piano music, a quiet evening")


@dataclass(frozen=True)
class Vocabulary:
    """What the text tower expects of its tokenizer."""

    size: int
    pad: int
    positions: int

    @property
    def longest(self) -> int:
        """Tokens of the longest text; RoBERTa counts positions from behind its padding's id."""
        return min(LONGEST, self.positions - self.pad - 1)


class Tokens:
    """The tokenizer of one model, opened at its first use. Thread-safe."""

    def __init__(self, folder: Path, vocabulary: Vocabulary) -> None:
        self.folder = folder
        self.vocabulary = vocabulary
        self.sha256 = tokenizer_sha256(folder)
        self._lock = threading.RLock()

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        # AutoTokenizer raises where RobertaTokenizer would come up empty.
        try:
            found = AutoTokenizer.from_pretrained(
                str(self.folder), local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # the library's errors have no common class
            raise ModelError(
                f"the tokenizer in {self.folder} does not load: {str(error).splitlines()[0][:300]}",
                path=self.folder,
            ) from error
        self._check(found)
        return found

    def _check(self, tokenizer: Any) -> None:
        def refuse(why: str) -> ModelError:
            return ModelError(
                f"the tokenizer in {self.folder} does not fit the model: {why}", path=self.folder
            )

        size, expected = len(tokenizer), self.vocabulary.size
        if not expected // 2 < size <= expected:
            raise refuse(f"it knows {size} tokens, the text tower {expected}")
        if not getattr(tokenizer, "is_fast", False):
            raise refuse("it tells no offsets; a tokenizer.json is needed")
        if tokenizer.pad_token_id != self.vocabulary.pad:
            raise refuse(f"it pads with {tokenizer.pad_token_id}, not {self.vocabulary.pad}")
        plain = [
            tokenizer(probe, add_special_tokens=False)["input_ids"] for probe in _PROBES
        ]  # fmt: skip
        told = [[token for token in ids if token != tokenizer.unk_token_id] for ids in plain]
        if not all(told) or told[0] == told[1]:
            raise refuse("plain English texts all become the same tokens; is its vocabulary there?")
        whole = tokenizer(_PROBES[0])["input_ids"]
        if len(whole) - len(plain[0]) != 2 or whole[1:-1] != plain[0]:
            raise refuse("it does not put one start and one end around a text")

    def open(self) -> None:
        """Raises ModelError when the tokenizer does not load or does not fit."""
        with self._lock:
            _ = self._tokenizer

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of every text with start and end, cut behind `vocabulary.longest` tokens."""
        with self._lock:
            found = self._tokenizer(
                list(texts), truncation=True, max_length=self.vocabulary.longest, padding=False
            )
        return [list(ids) for ids in found["input_ids"]]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """(start, end) in characters of every token of the whole text, start and end left out.

        Raises InvalidInput for what is not a string.
        """
        if not isinstance(text, str):
            raise InvalidInput(f"text must be a str, not {type(text).__name__}")
        with self._lock:
            found = self._tokenizer(
                text,
                add_special_tokens=False,
                return_offsets_mapping=True,
                truncation=False,
                verbose=False,
            )
        return [(int(start), int(end)) for start, end in found["offset_mapping"]]
