"""The network inside an exported HTML file."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keensight.errors import StoreError

_NETWORK = re.compile(rb'<script type="text/plain" id="network">([A-Za-z0-9+/=]+)</script>')


def open_html(file: Path, outputs: tuple[str, ...]) -> Callable[[NDArray[np.uint8]], list[NDArray[np.float32]]]:
    """Run the network of an exported HTML file with LiteRT, one image at a time, as a browser does.

    Raises:
        StoreError: the file contains no network, or it is damaged.
    """
    from keensight.nets.light import LightNetwork

    network = LightNetwork(network_in(file.read_bytes(), str(file)), 1)

    def run(images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        rows = [network(images[i : i + 1])[: len(outputs)] for i in range(len(images))]
        return [np.concatenate(columns) for columns in zip(*rows, strict=True)]

    return run


def network_in(page: bytes, name: str) -> bytes:
    """The flatbuffer inside an exported HTML file.

    Raises:
        StoreError: there is none.
    """
    found = _NETWORK.search(page)
    try:
        if found is not None:
            return zlib.decompress(base64.b64decode(found[1], validate=True), zlib.MAX_WBITS | 16)
    except (ValueError, zlib.error) as error:
        raise StoreError(f"the network in {name} is damaged: {error}", "export the model again") from error
    raise StoreError(f"{name} contains no network", "export the model again")
