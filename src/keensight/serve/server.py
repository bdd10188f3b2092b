"""From a bundle to a running server, and to its end."""

from __future__ import annotations

import dataclasses
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from keensight.errors import UsageError
from keensight.serve.settings import Settings

if TYPE_CHECKING:
    from keensight.nets.classifier import Classifier
    from keensight.nets.detector import Detector
    from keensight.store.bundle import Bundle

_GRACE = 5.0
"""Seconds beyond two time limits after which what is still running at the end is given up."""
_BACKLOG = 1024


def check_installed() -> None:
    """Refuse to start without the packages of the extra.

    Raises:
        UsageError: one is missing.
    """
    try:
        import fastapi
        import prometheus_client
        import python_multipart
        import uvicorn
    except ImportError as error:
        raise UsageError(
            f"a server needs the package {error.name}, which is not installed", "pip install 'keensight[serve]'"
        ) from error
    del fastapi, prometheus_client, python_multipart, uvicorn


def serve(bundle: Path, settings: Settings, announce: Callable[[dict[str, Any]], None], quiet: bool = False) -> None:
    """Serve a bundle until SIGTERM, SIGINT or SIGHUP.

    The port is open while the model is loaded; ``/readyz`` turns true when it passed its self-test. After the signal
    ``/readyz`` is false, requests are still taken for ``settings.drain`` seconds on connections that then close, and
    what was accepted is finished.

    Args:
        bundle: A bundle, or a run.
        settings: The server's settings.
        announce: Called once with address and model when predictions can begin.
        quiet: Log only warnings and errors.

    Raises:
        UsageError: a package is missing, or the port is taken.
        StoreError: the bundle is damaged.
        GateError: the model fails its self-test.
        KeyboardInterrupt: a second signal ended the server by force.
    """
    check_installed()
    import uvicorn
    from prometheus_client import disable_created_metrics

    from keensight.serve.access import Access
    from keensight.serve.app import application
    from keensight.serve.connections import patient
    from keensight.serve.logs import event, write_as_json
    from keensight.serve.service import Service
    from keensight.serve.watch import watch_of
    from keensight.store.bundle import open_bundle

    opened = open_bundle(bundle)
    listener = _listen(settings)
    write_as_json(quiet)
    disable_created_metrics()  # type: ignore[no-untyped-call]
    service = Service(settings, opened.manifest, watch_of(opened))
    if settings.is_exposed:
        event("other computers can use this server without a token", level=logging.WARNING, host=settings.host)
    config = uvicorn.Config(
        Access(application(service), service), http=patient(settings.timeout), ws="none", lifespan="off",
        log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=round(2 * settings.timeout + _GRACE),
    )  # fmt: skip
    server = _server(config, service.stop, settings.drain)
    address = _address(listener)
    failure: list[BaseException] = []

    def load() -> None:
        try:
            service.page = _page(opened, settings)
            service.open(load_model(opened))
        except BaseException as error:
            failure.append(error)
            server.should_exit = True
            return
        event("ready", address=address, model=service.model)
        announce({"url": address, "model": service.model})

    if (
        hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    ):  # uvicorn handles the others
        signal.signal(signal.SIGHUP, server.handle_exit)
    threading.Thread(target=load, name="keensight-load", daemon=True).start()
    server.run([listener])
    if failure:
        raise failure[0]
    if server.force_exit:
        raise KeyboardInterrupt
    service.pool.stop()
    event("stopped", requests=server.server_state.total_requests)


def load_model(bundle: Bundle) -> Classifier | Detector:
    """The model of an open bundle after its self-test.

    Raises:
        GateError: it fails.
    """
    from keensight.workflow.engines import opened
    from keensight.workflow.self_test import self_test

    model = opened(bundle)
    self_test(bundle, model)
    return model


def _page(bundle: Bundle, settings: Settings) -> str:
    """The start page: that of the HTML export, which sends its images here. With a token, it shows no test images and
    no model card, because the page itself needs none.
    """
    from keensight.show.html_app import server_page
    from keensight.workflow.export_html import app_contents

    contents = app_contents(bundle)
    return server_page(contents if settings.token is None else dataclasses.replace(contents, samples=(), card=""))


def _server(config: Any, stop: Callable[[], None], drain: float) -> Any:
    import uvicorn

    class Draining(uvicorn.Server):
        """Keeps accepting for a while after the first signal, and ends with exit code 0."""

        _deadline: float | None = None

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            """Begin to stop; a second signal stops by force."""
            if self._deadline is None:
                stop()
                self._deadline = time.monotonic() + drain
            else:
                self.should_exit = self.force_exit = True

        async def on_tick(self, counter: int) -> bool:
            """Whether to stop accepting now."""
            over = self._deadline is not None and time.monotonic() >= self._deadline
            return await super().on_tick(counter) or over

    return Draining(config)


def _listen(settings: Settings) -> socket.socket:
    """The socket, before anything is loaded."""
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"cannot listen on {settings.host}, port {settings.port}: {reason}",
            "choose another --port (0: any that is free) or --host",
        ) from error


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
