"""Tokens -> principals, before a call takes a thread."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from trichord.errors import Unauthenticated
from trichord.policy import LOCAL, Principal
from trichord.server.calls import CALL
from trichord.server.handlers import HEALTH, Handler, Interceptor, refusing

HEADER = "authorization"


class Authentication(Interceptor):
    """Takes `authorization: Bearer TOKEN`; with no token configured everybody is `local` (settings
    allow that on loopback addresses only). Health calls need no token."""

    def __init__(self, tokens: Mapping[str, str], control: ThreadPoolExecutor) -> None:
        super().__init__()
        self._known = [(f"Bearer {token}".encode(), Principal(n)) for n, token in tokens.items()]
        self._control = control

    def wrap(self, handler: Handler) -> Handler:
        return refusing(handler, self._control)

    def intercept_service(
        self, continuation: Callable[[Any], Handler | None], details: Any
    ) -> Handler | None:
        handler = continuation(details)
        if handler is None or details.method.startswith(HEALTH):
            return handler
        call = CALL.get()
        known = self._principal(details.invocation_metadata) if self._known else LOCAL
        if known is not None:
            call.principal = known
            return handler
        call.principal = Principal("nobody")
        call.refusal = Unauthenticated(
            "this server needs a token that it knows: give the client token=…, or send the "
            f"metadata `{HEADER}: Bearer TOKEN`"
        )
        return self._wrapper(details.method, handler)

    def _principal(self, metadata: Any) -> Principal | None:
        given = dict(metadata).get(HEADER, "").encode()
        found = None
        for expected, principal in self._known:  # always all of them: no telling by time
            if hmac.compare_digest(given, expected):
                found = principal
        return found
