"""LiteRT (TensorFlow Lite): one file that runs without TensorFlow, with one interpreter per thread."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from keensight.errors import StoreError
from keensight.nets.runtime import framework, silenced

if TYPE_CHECKING:
    from keensight.nets.export.graph import ServingGraph

_UNSUPPORTED = re.compile(r"^(?:TF Select|Custom) ops: (.+)$", re.MULTILINE)
"""Of the converter's message of many lines, the one that names the operations."""


def to_tflite(graph: ServingGraph, batch: int | None = None) -> bytes:
    """Convert a serving graph in float32.

    Args:
        graph: The graph.
        batch: Number of images that it takes; None: any.

    Returns:
        A flatbuffer with one input, uint8 (n, height, width, 3), whose ``n`` is set with ``resize_tensor_input``, and
        the graph's outputs in their order.

    Raises:
        StoreError: LiteRT does not support one of its operations.
    """
    try:
        return convert(graph.concrete(batch))
    except Exception as error:  # the converter raises its private error, and for some operations others
        named = _UNSUPPORTED.search(str(error))
        found = f"it has no {named[1].strip()}" if named else str(error).strip().splitlines()[0][:200]
        raise StoreError(f"LiteRT cannot run the network: {found}", "predict with --engine keras") from error


def convert(concrete: Any) -> bytes:
    """A concrete function as a flatbuffer, in float32; its outputs keep their order."""
    _, tf = framework()
    with silenced(), uncomplaining():
        # Straight from the traced graph: an intermediate SavedModel would be written and read for nothing.
        flatbuffer: bytes = tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()
    return flatbuffer


@contextmanager
def uncomplaining() -> Iterator[None]:
    """TensorFlow warns that converting a traced graph is deprecated; the new way writes a SavedModel first."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
