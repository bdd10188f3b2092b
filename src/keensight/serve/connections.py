"""Connections whose client must send a request's head in time, which uvicorn does not check."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

_HEAD = 64 * 1024
"""Maximum number of bytes before a request begins."""


class Patient(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # chosen by uvicorn at run time
    """Closes a connection on which no request begins for ``seconds`` after it was made, or after the first bytes of the
    next head, or whose head is too long.
    """

    seconds = 30.0
    _timer: asyncio.TimerHandle | None = None
    _bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Stop waiting if a request has begun."""
        super().data_received(data)
        if not self._is_idle():
            self._disarm()
            return
        self._bytes += len(data)
        if self._bytes > _HEAD:
            self._close()
        elif self._timer is None and self.timeout_keep_alive_task is None:
            self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._disarm()
        super().connection_lost(exc)

    def _is_idle(self) -> bool:
        cycle: Any = self.cycle
        return cycle is None or cycle.response_complete

    def _arm(self) -> None:
        self._timer = self.loop.call_later(self.seconds, self._close)

    def _disarm(self) -> None:
        self._bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close(self) -> None:
        self._timer = None
        if self._is_idle() and not self.transport.is_closing():
            self.transport.close()


def patient(seconds: float) -> type[asyncio.Protocol]:
    """The protocol with this time limit."""
    made: type[asyncio.Protocol] = type("Patient", (Patient,), {"seconds": seconds})
    return made
