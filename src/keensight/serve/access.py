"""What happens around every request: the token, the log, the metrics, and the end of a connection."""

from __future__ import annotations

import hmac
import logging
import re
import secrets
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keensight.serve.app import refusal
from keensight.serve.logs import LOGGER, event
from keensight.serve.rejection import Problem, Reason
from keensight.serve.service import Service, State

_FREE = frozenset({"/", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"})
"""Addresses that need no token: an orchestrator asks them, and the page asks its user for the token."""
_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_GONE = 499
"""Status of a request whose client left, in log and metrics."""


class Access:
    """Wraps the application; a plain ASGI callable, as frameworks' middleware costs more than the rest of a request."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, status, headers = time.perf_counter(), _GONE, dict(scope["headers"])
        identity = _identity(headers)

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *self._added(identity)]
            await send(message)

        try:
            if self._allowed(scope["path"], headers):
                await self._app(scope, receive, sending)
            else:
                problem = Problem(Reason.NO_TOKEN, "the token is missing or wrong", "send Authorization: Bearer TOKEN")
                self._service.count(problem)
                await refusal(problem)(scope, receive, sending)
        except Exception:  # the response was sent by the application
            LOGGER.exception("a request failed", extra={"fields": {"id": identity.decode()}})
        finally:
            self._note(scope, _GONE if scope.get("reason") == Reason.GONE else status, begin, identity)

    def _allowed(self, path: str, headers: MutableMapping[bytes, bytes]) -> bool:
        token = self._service.settings.token
        if token is None or path in _FREE:
            return True
        kind, _, given = headers.get(b"authorization", b"").partition(b" ")
        # Compared in constant time: a client must not be able to find the token letter by letter.
        return hmac.compare_digest(given.strip(), token.encode()) and kind.lower() == b"bearer"

    def _added(self, identity: bytes) -> list[tuple[bytes, bytes]]:
        added = [(b"x-request-id", identity), (b"x-content-type-options", b"nosniff")]
        return [*added, (b"connection", b"close")] if self._service.state == State.STOPPING else added

    def _note(self, scope: Scope, status: int, begin: float, identity: bytes) -> None:
        seconds = time.perf_counter() - begin
        path = getattr(scope.get("route"), "path", "other")
        self._service.metrics.request(path, status, seconds)
        fields: dict[str, Any] = {
            "id": identity.decode(), "method": scope["method"], "path": path, "status": status,
            "ms": round(seconds * 1000, 2),
        }  # fmt: skip
        fields |= {key: scope[key] for key in ("images", "bytes", "names", "reason") if key in scope}
        if "queued" in scope:
            fields["queue_ms"] = round(scope["queued"] * 1000, 2)
        event("request", level=logging.INFO if status < 500 else logging.WARNING, **fields)


def _identity(headers: MutableMapping[bytes, bytes]) -> bytes:
    """The request's ID: the client's, if it is harmless."""
    given = headers.get(b"x-request-id", b"")
    return given if _ID.fullmatch(given) else secrets.token_hex(8).encode()
