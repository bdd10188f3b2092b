"""The web page of ``keensight review``, on a local HTTP server."""

from __future__ import annotations

import hmac
import json
import secrets
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Protocol

from keensight.errors import KeensightError, UsageError
from keensight.show.page import environment

_HOST = "127.0.0.1"
_LONGEST = 4096
"""Bytes of a decision, at most."""
_DIGITS = 12
"""Digits of the number of a question, at most."""


class ReviewSession(Protocol):
    """The review session behind the page."""

    def state(self) -> dict[str, Any]:
        """All questions and decisions, as plain values."""
        ...

    def decide(self, number: int, action: str, label: str = "") -> dict[str, Any]:
        """Store a decision; returns the updated question."""
        ...

    def picture(self, number: int) -> bytes | None:
        """The image of a question as PNG or JPEG; None: not available."""
        ...


class ReviewServer:
    """Serves one review session until it is closed.

    It is reachable only from this machine and only with the random token in its URL. Images are requested by number,
    so that no other file can be read.

    Args:
        session: The review session.
        port: 0: any free port.

    Raises:
        UsageError: the port is in use.
    """

    def __init__(self, session: ReviewSession, port: int = 0) -> None:
        self._token = secrets.token_urlsafe(16)
        try:
            self._server = ThreadingHTTPServer((_HOST, port), _handler(session, self._token))
        except (OSError, OverflowError) as error:
            raise UsageError(f"the port {port} cannot be used: {error}", "omit --port to use any free port") from error
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """The URL of the page."""
        return f"http://{_HOST}:{self._server.server_address[1]}/{self._token}/"

    def run(self, *, open_browser: bool = False) -> None:
        """Serve until the page's Finish button or Ctrl-C."""
        if open_browser:
            webbrowser.open(self.url)
        with suppress(KeyboardInterrupt):
            self._server.serve_forever(poll_interval=0.1)

    def __enter__(self) -> ReviewServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.server_close()


def _handler(session: ReviewSession, token: str) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        pass

    Handler.session, Handler.token = session, token
    return Handler


class _Handler(BaseHTTPRequestHandler):
    session: ReviewSession
    token: str
    server_version, sys_version = "keensight", ""
    timeout = 30

    def do_GET(self) -> None:
        """Send the page, its state, or an image."""
        self._answer({"": self._page, "state": self._state, "image": self._image})

    def do_POST(self) -> None:
        """Store a decision, or close."""
        if self.headers.get("Content-Type", "") != "application/json":  # a form on another site cannot send this
            return self._send(415, b"", "text/plain")
        self._answer({"decide": self._decide, "close": self._close})

    def _answer(self, known: dict[str, Callable[[str], None]]) -> None:
        parts = self.path.split("?", 1)[0].split("/")
        if parts[0] or len(parts) < 2:  # a path begins with a slash
            return self._send(400, b"", "text/plain")
        name, rest = (parts[2], parts[3] if len(parts) > 3 else "") if len(parts) > 2 else (None, "")
        trusted = hmac.compare_digest(parts[1].encode(), self.token.encode()) and self._of_this_machine()
        if not trusted or name not in known or len(parts) > 4:
            return self._send(404, b"", "text/plain")
        known[name](rest)

    def _of_this_machine(self) -> bool:
        """Whether the host name is this machine's: another site's name may be made to resolve to it (DNS rebinding)."""
        return (self.headers.get("Host") or "").rsplit(":", 1)[0] in (_HOST, "localhost")

    def _page(self, _: str) -> None:
        nonce = secrets.token_urlsafe(12)
        html = environment().get_template("review.html").render(nonce=nonce)
        policy = (
            f"default-src 'none'; img-src 'self' data:; connect-src 'self'; script-src 'nonce-{nonce}'; "
            f"style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        self._send(200, html.encode(), "text/html; charset=utf-8", policy)

    def _state(self, _: str) -> None:
        self._json(200, self.session.state())

    def _image(self, number: str) -> None:
        if number.isdigit() and len(number) > _DIGITS:
            return self._send(400, b"", "text/plain")
        data = self.session.picture(int(number)) if number.isascii() and number.isdigit() else None
        if data is None:
            return self._send(404, b"", "text/plain")
        kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
        self._send(200, data, f"image/{kind}", cache="private, max-age=3600")

    def _decide(self, _: str) -> None:
        try:
            asked = self._body()
            answer = self.session.decide(int(asked["number"]), str(asked["action"]), str(asked.get("label", "")))
        except KeensightError as error:
            return self._json(400, {"error": error.message})
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            return self._json(400, {"error": "this is not a decision"})
        self._json(200, answer)

    def _close(self, _: str) -> None:
        self._json(200, {})
        # Requests run in their own threads, so this does not wait for itself.
        self.server.shutdown()

    def _body(self) -> Any:
        length = int(self.headers.get("Content-Length", "0"))
        if not 0 < length <= _LONGEST:
            raise ValueError(length)
        return json.loads(self.rfile.read(length))

    def _json(self, status: int, value: Any) -> None:
        self._send(status, json.dumps(value).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str, policy: str = "", cache: str = "no-store") -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": cache}
        headers |= {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
        for name, value in (headers | ({"Content-Security-Policy": policy} if policy else {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Print no line per request."""
