"""The classifier as one HTML file: gather what it shows, and the engine that runs it in a browser."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from keensight.core.files import write_bytes
from keensight.core.progress import Progress
from keensight.errors import StoreError

if TYPE_CHECKING:
    from keensight.show.html_app import AppContents, BrowserEngine
    from keensight.store.browser_engine import Pin
    from keensight.store.bundle import Bundle

PACKAGE = "KEENSIGHT_BROWSER_ENGINE"
"""Environment variable: the npm package of the engine as a file, for computers without a network."""
_SAMPLES = 8
_SECONDS = 30


def page_maker(bundle: Bundle, progress: Progress) -> Callable[[bytes], bytes]:
    """What makes an HTML file of the bundle's network, a flatbuffer for one image, with the engine at its side.

    Raises:
        StoreError: the engine cannot be downloaded, or it is not the pinned version.
    """
    from keensight.show.html_app import html_app

    engine, contents = browser_engine(progress), app_contents(bundle)
    return lambda flatbuffer: html_app(contents, flatbuffer, engine)


def app_contents(bundle: Bundle) -> AppContents:
    """What the page shows of a bundle."""
    from keensight.show.html_app import AppContents

    exam = bundle.exam()
    tests = zip(exam.names, exam.images, exam.probabilities, strict=True)
    return AppContents(
        bundle.manifest,
        bundle.card_path.read_text(encoding="utf-8"),
        bundle.subspace(),
        bundle.prototypes() if bundle.manifest.decision.get("enrolled") else None,
        [(name, image, row.tolist()) for name, image, row in tests][:_SAMPLES],
    )


def browser_engine(progress: Progress) -> BrowserEngine:
    """LiteRT.js, from the file that ``KEENSIGHT_BROWSER_ENGINE`` names, else from the cache, else downloaded into it.

    Raises:
        StoreError: it cannot be downloaded, or it is not the pinned version.
    """
    from keensight.show.html_app import BrowserEngine
    from keensight.store.browser_engine import pinned, read_package

    pin = pinned()
    api, loader, wasm = read_package(_package(pin, progress))
    return BrowserEngine(pin.name, pin.version, api.decode(), loader.decode(), wasm)


def _package(pin: Pin, progress: Progress) -> Path:
    from keensight.data.shards import cache_directory

    given = os.environ.get(PACKAGE)
    kept = Path(given) if given else cache_directory() / "browser-engine" / pin.file_name
    if not given and not kept.is_file():
        size = f"{pin.size / 10**6:.1f} MB"
        progress.say(f"downloading {pin.name} {pin.version}, which runs the model in browsers ({size}, only once)")
        write_bytes(kept, _downloaded(pin))
    return kept


def _downloaded(pin: Pin) -> bytes:
    from urllib.request import urlopen

    from keensight.store.browser_engine import check_package

    try:
        with urlopen(pin.url, timeout=_SECONDS) as response:
            package: bytes = response.read(2 * pin.size)
    except OSError as error:
        raise StoreError(
            f"{pin.name} {pin.version}, which runs the model in browsers, cannot be downloaded from {pin.url}: {error}",
            f"run `{pin.command}` on a computer with a network, and set {PACKAGE} to the file",
        ) from error
    check_package(package, pin.url)
    return package
