"""The network inside an exported HTML file."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.prototypes import Prototypes, cosines, joined
from keensight.errors import StoreError

_NETWORK = re.compile(rb'<script type="text/plain" id="network">([A-Za-z0-9+/=]+)</script>')
_MODEL = re.compile(rb'<script type="application/json" id="model">(.*?)</script>', re.DOTALL)
_AGAIN = "export the model again"


def open_html(file: Path, outputs: tuple[str, ...]) -> Callable[[NDArray[np.uint8]], list[NDArray[np.float32]]]:
    """Run the network of an exported HTML file with LiteRT, one image at a time, as a browser does.

    Its probabilities are those of the page: with enrolled classes, if there are any.

    Raises:
        StoreError: the file contains no network, or it is damaged.
    """
    from keensight.nets.light import LightNetwork

    page = file.read_bytes()
    network, prototypes = LightNetwork(network_in(page, str(file)), 1), _prototypes_in(page, str(file))

    def run(images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        rows = [network(images[i : i + 1])[: len(outputs)] for i in range(len(images))]
        first, *vectors = (np.concatenate(columns) for columns in zip(*rows, strict=True))
        if prototypes is not None:
            first = joined(first, cosines(vectors[0], prototypes), prototypes.temperature)
        return [first, *vectors]

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
        raise StoreError(f"the network in {name} is damaged: {error}", _AGAIN) from error
    raise StoreError(f"{name} contains no network", _AGAIN)


def _prototypes_in(page: bytes, name: str) -> Prototypes | None:
    """The class means that a page with enrolled classes contains; None: it has none."""
    found = _MODEL.search(page)
    try:
        kept = json.loads(found[1])["prototypes"] if found else None
        return None if kept is None else _prototypes(kept)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"what {name} contains of the model is damaged: {error}", _AGAIN) from error


def _prototypes(kept: Mapping[str, Any]) -> Prototypes:
    centre = np.frombuffer(base64.b64decode(kept["centre"], validate=True), "<f4")
    means = np.frombuffer(base64.b64decode(kept["means"], validate=True), "<f4").reshape(-1, len(centre))
    counts = np.zeros(len(means), np.int64)  # a prediction does not need them
    return Prototypes(centre, means, counts, kept["threshold"], kept=0.0, temperature=kept["temperature"])
