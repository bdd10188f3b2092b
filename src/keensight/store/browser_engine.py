"""The engine that runs a network in a browser: LiteRT.js, from its npm package, whose digest is pinned.

It is not part of Keensight: its WebAssembly takes 1.9 MB at best, more than a source repository should hold. The
package is downloaded once and kept in the cache, or given as a file; only the pinned version is used. The variant for
one thread and without relaxed SIMD runs in every current browser, also from a file.
"""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from keensight.core.files import read_bounded, sha256
from keensight.errors import ImageError, StoreError

_PACKAGE = "@litertjs/core"


@dataclass(frozen=True, slots=True)
class Pin:
    """The version that is used, and what must be in it."""

    name: str
    version: str
    license: str
    url: str
    size: int
    """Bytes of the package."""
    sha256: str
    """Of the package."""
    files: tuple[str, str, str]
    """Paths in the package: the JavaScript module, the loader of the WebAssembly, the WebAssembly."""

    @property
    def file_name(self) -> str:
        """What ``npm pack`` calls the package."""
        return f"litertjs-core-{self.version}.tgz"

    @property
    def command(self) -> str:
        """How to get the package with npm."""
        return f"npm pack {_PACKAGE}@{self.version}"


@cache
def pinned() -> Pin:
    """The pinned version, from ``browser_engine.json``, which ``docs/pin_browser_engine.py`` writes."""
    found = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return Pin(**{**found, "files": tuple(found["files"])})


def check_package(package: bytes, origin: str) -> None:
    """Refuse anything but the pinned package.

    Args:
        package: Its bytes.
        origin: Where they are from, for the message.

    Raises:
        StoreError: its digest is another.
    """
    pin = pinned()
    if sha256(package) != pin.sha256:
        raise StoreError(
            f"{origin} is not the package of {pin.name} {pin.version}: its checksum differs",
            f"get it again: {pin.command}",
        )


def read_package(path: Path) -> tuple[bytes, ...]:
    """The three files of the engine, in the order of :attr:`Pin.files`.

    Args:
        path: The package, a ``.tgz`` of npm.

    Raises:
        StoreError: it cannot be read, or is not the pinned version.
    """
    pin = pinned()
    try:
        package = read_bounded(path, 2 * pin.size)
    except ImageError as error:
        raise StoreError(f"the package {path} cannot be read: {error}", f"get it again: {pin.command}") from error
    check_package(package, str(path))
    with tarfile.open(fileobj=io.BytesIO(package), mode="r:gz") as archive:
        members = [archive.extractfile(name) for name in pin.files]
        return tuple(member.read() for member in members if member is not None)
