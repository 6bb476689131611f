"""Who asks, and what they may see: the one hook that stands on every read and write path.

Today's only policy allows everything to everybody who got past the token check; a later one
narrows `permits` and `visible` without touching the paths that call them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from trichord.filters import Filter


class Action(StrEnum):
    SEARCH = "search"
    EMBED = "embed"
    GET = "get"
    INGEST = "ingest"
    DELETE = "delete"
    DESCRIBE = "describe"
    MANAGE = "manage"


@dataclass(frozen=True)
class Principal:
    """The caller, as the server's authentication established it."""

    name: str
    roles: frozenset[str] = field(default_factory=frozenset)


LOCAL = Principal("local")
"""Code in the same process, or a caller on the loopback address of a server without a token."""


class Policy(Protocol):
    def permits(self, principal: Principal, action: Action) -> None:
        """Returns if the action is allowed, else raises PermissionDenied."""
        ...

    def visible(self, principal: Principal) -> Filter | None:
        """A filter that every item shown to the principal must pass; None shows all."""
        ...


class AllowAll:
    """Every principal may do everything and see everything."""

    def permits(self, principal: Principal, action: Action) -> None:
        return None

    def visible(self, principal: Principal) -> Filter | None:
        return None
