"""Drive headless Chromium by its DevTools protocol over a pipe: no port, no further package."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

COMMAND = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync", "--remote-debugging-pipe",
)  # fmt: skip
_LOUD = ("error", "warning", "assert")


class Chromium:
    """One page of a headless browser, for a ``with`` block.

    Args:
        width: Of the window, in CSS pixels.
        height: The same.
        dark: Whether the page sees a dark color scheme.
        mobile: Whether it is a touch screen.
    """

    def __init__(self, width: int = 1100, height: int = 900, *, dark: bool = False, mobile: bool = False) -> None:
        if COMMAND is None:
            raise FileNotFoundError("Chromium is not installed")
        self._profile = Path(tempfile.mkdtemp(prefix="keensight-chromium-"))
        (read_by_it, to_it), (from_it, written_by_it) = os.pipe(), os.pipe()
        # The browser reads descriptor 3 and writes 4.
        shell = f'exec 3<&{read_by_it} 4>&{written_by_it}; exec "$@"'
        command = ["bash", "-c", shell, "-", COMMAND, *_OPTIONS, f"--user-data-dir={self._profile}", "about:blank"]
        self._process = subprocess.Popen(
            command, pass_fds=(read_by_it, written_by_it), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(read_by_it)
        os.close(written_by_it)
        self._to, self._from = os.fdopen(to_it, "wb", 0), os.fdopen(from_it, "rb", 0)
        self._numbers, self._buffer, self._session = itertools.count(1), b"", ""
        self.events: list[dict[str, Any]] = []
        """All that it reported, oldest first."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self.call("Emulation.setTouchEmulationEnabled", enabled=mobile)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._session = ""
        with suppress(OSError):
            self.call("Browser.close")
        self._process.wait(20)
        self._to.close()
        self._from.close()
        shutil.rmtree(self._profile, ignore_errors=True)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        found = self._until(lambda event: event.get("id") == number)
        if "error" in found:
            raise RuntimeError(f"{method}: {found['error']}")
        result: dict[str, Any] = found["result"]
        return result

    def _until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while True:
            while b"\0" not in self._buffer:
                if not (piece := self._from.read(1 << 20)):
                    raise OSError("Chromium has ended")
                self._buffer += piece
            text, _, self._buffer = self._buffer.partition(b"\0")
            message: dict[str, Any] = json.loads(text)
            if "id" not in message:
                self.events.append(message)
            if wanted(message):
                return message

    def open(self, url: str) -> None:
        """Open a page, and wait until it is loaded."""
        self.call("Page.navigate", url=url)
        self._until(lambda event: event.get("method") == "Page.loadEventFired")

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return found["result"].get("value")

    def choose(self, selector: str, *files: Path) -> None:
        """Choose files in a file input, as a person does."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def complaints(self) -> list[str]:
        """Errors and warnings of the console, uncaught exceptions, and what the browser itself logged."""
        found = []
        for event in self.events:
            told = event.get("params", {})
            if event.get("method") == "Runtime.exceptionThrown":
                found.append(json.dumps(told["exceptionDetails"]))
            if event.get("method") == "Runtime.consoleAPICalled" and told["type"] in _LOUD:
                found.append(json.dumps(told["args"]))
            if event.get("method") == "Log.entryAdded" and told["entry"]["level"] in _LOUD:
                found.append(json.dumps(told["entry"]))
        return found

    def requests(self) -> list[str]:
        """Addresses of everything that was requested."""
        sent = (event for event in self.events if event.get("method") == "Network.requestWillBeSent")
        return [event["params"]["request"]["url"] for event in sent]

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))
