"""Reading and writing small TOML files: every mistake is collected, none hides another."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from trichord.errors import InvalidInput

_KINDS = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    dict: "a table",
    list: "a list",
}


class Mistakes:
    """What is wrong with a file. `refuse` raises it all as one InvalidInput."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._found: list[str] = []

    def add(self, mistake: str) -> None:
        self._found.append(mistake)

    def unknown(self, what: str, name: str, known: Iterable[str]) -> None:
        """Adds that there is no such key, backend …, with the nearest one that there is."""
        names = list(known)
        near = get_close_matches(name, names, 1, 0.6)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
        self.add(f"{what} {name!r} is unknown: {hint}")

    def refuse(self) -> None:
        """Raises InvalidInput if anything was added."""
        if not self._found:
            return
        if len(self._found) == 1:
            raise InvalidInput(f"{self._origin}: {self._found[0]}")
        listed = "; ".join(f"({n}) {mistake}" for n, mistake in enumerate(self._found, 1))
        raise InvalidInput(f"{self._origin}: {len(self._found)} mistakes: {listed}")


def of_kind(value: object, kind: type) -> bool:
    """Whether a TOML value is of the kind; true and false are no whole numbers."""
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


def take(
    table: Mapping[str, Any],
    known: Mapping[str, type],
    where: str,
    mistakes: Mistakes,
    *,
    required: Collection[str] = (),
) -> dict[str, Any]:
    """The values of `table` under the keys `known`, those of a wrong kind left out; unknown keys,
    wrong kinds and missing keys are noted."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            mistakes.unknown(f"{where} key", key, known)
        elif not of_kind(value, known[key]):
            mistakes.add(f"{where} {key} must be {_KINDS[known[key]]}, not {value!r}")
        else:
            found[key] = value
    for key in required:
        if key not in table:
            mistakes.add(f"{where} {key} is missing")
    return found


def dumps(table: Mapping[str, Any]) -> str:
    """TOML of texts, whole numbers, booleans and tables of them; None is left out."""
    return "\n".join(_lines(table, ())) + "\n"


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    plain = {k: v for k, v in table.items() if not isinstance(v, Mapping) and v is not None}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    for key, inner in table.items():
        if isinstance(inner, Mapping):
            inside = (*path, _key(key))
            lines += ["", f"[{'.'.join(inside)}]", *_lines(inner, inside)]
    return lines


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if bare else _text(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _text(value)
    raise TypeError(f"{type(value).__name__} has no TOML here")


def _text(text: str) -> str:
    """A basic string: control characters, quotes and backslashes are escaped."""
    escaped = (
        f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else f"\\{c}" if c in '"\\' else c
        for c in text
    )
    return f'"{"".join(escaped)}"'
