"""What is known of the call being answered: gRPC runs every call in a context of its own."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter

from trichord.errors import TrichordError
from trichord.policy import LOCAL, Principal


@dataclass(slots=True)
class Call:
    """`refusal` is set where the call is answered without asking its method."""

    method: str
    request_id: str
    started: float
    principal: Principal = LOCAL
    refusal: TrichordError | None = None

    @property
    def elapsed_ms(self) -> float:
        return (perf_counter() - self.started) * 1e3


CALL: ContextVar[Call] = ContextVar("trichord_call")


def principal() -> Principal:
    """Who asks, as authentication established it."""
    return CALL.get().principal
