"""The tokenizer of a folder, for cutting text: it must know words and tell texts apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trichord.errors import InvalidInput, ModelError

_PROBES = ("a red bird sings in the morning", "seven cold machines under the hill")
_FEWEST_TOKENS = 32


class Tokens:
    """(start, end) of the tokens of a text, special tokens left out. Thread-safe.

    Raises ModelError for a folder without a fast tokenizer and for one that is empty.
    """

    def __init__(self, folder: Path) -> None:
        self._tokenizer = check(_open(folder), folder)

    @property
    def special(self) -> int:
        """Tokens that the model adds around every text."""
        return int(self._tokenizer.num_special_tokens_to_add(False))

    def offsets(self, text: str) -> list[tuple[int, int]]:
        if not isinstance(text, str):
            raise InvalidInput(f"text must be a str, not {type(text).__name__}")
        try:
            found = self._tokenizer.encode(text, add_special_tokens=False)
        except UnicodeEncodeError as error:
            raise InvalidInput(
                "the text holds lone surrogates, which no tokenizer knows"
            ) from error
        # Bytes of one character may be several tokens, and some tokens stand for no character.
        return [(int(start), int(end)) for start, end in found.offsets if end > start]


def _open(folder: Path) -> Any:
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    try:
        if path.is_file():
            return Tokenizer.from_file(str(path))
        from transformers import AutoTokenizer

        slow_or_fast = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        return slow_or_fast.backend_tokenizer
    except Exception as error:  # the tokenizer's own errors have no common class
        raise ModelError(
            f"{folder} has no fast tokenizer that can be read ({error or type(error).__name__}):"
            " download the model again"
        ) from error


def check(tokenizer: Any, folder: Path) -> Any:
    """The tokenizer, without truncation and padding; raises ModelError for an empty one."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    size = tokenizer.get_vocab_size()
    first, second = (tokenizer.encode(text, add_special_tokens=False).ids for text in _PROBES)
    if size < _FEWEST_TOKENS or not first or not second or first == second:
        raise ModelError(
            f"the tokenizer in {folder} is empty or cannot tell texts apart ({size} tokens):"
            " its files are missing or damaged, download the model again"
        )
    return tokenizer
