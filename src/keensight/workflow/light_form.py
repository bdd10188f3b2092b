"""Make the light form of a model, which predicts without TensorFlow, and check that it gives what the model gives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keensight.core.progress import Progress
from keensight.errors import GateError, KeensightError
from keensight.workflow.engines import opened
from keensight.workflow.parity import by_model, self_test_pixels
from keensight.workflow.self_test import self_test

if TYPE_CHECKING:
    from keensight.core.decoded import Pixels
    from keensight.core.records import ImageSpec
    from keensight.nets.classifier import Classifier
    from keensight.nets.detector import Detector
    from keensight.store.bundle import Bundle, SelfTest
    from keensight.store.run import Run

Images = NDArray[np.uint8]
_MOST, _FEWEST, _PIXELS = 500, 32, 100 * 224 * 224
"""Images besides those of the self-test on which both forms are compared: these bounds, and about this many pixels."""


def light_form(model: Classifier | Detector, images: Images, progress: Progress) -> bytes | None:
    """The light form of a model; None, with the reason in one line, if it has none.

    Args:
        model: A classifier or detector on Keras.
        images: Images of its size, on which the light form must give the same: uint8 (n, height, width, 3).
        progress: Where to report.
    """
    try:
        return converted(model, images)
    except KeensightError as error:
        progress.say(f"no light form, so that predicting needs TensorFlow: {error.message}")
        return None


def converted(model: Classifier | Detector, images: Images) -> bytes:
    """The light form of a model; for the arguments see :func:`light_form`.

    Raises:
        StoreError: LiteRT does not support one of its operations.
        GateError: it does not give what the model gives.
    """
    from keensight.assess.parity import Outputs, compare
    from keensight.nets.classifier import Classifier
    from keensight.nets.export.graph import serving_graph
    from keensight.nets.export.tflite import to_tflite
    from keensight.nets.light import LightNetwork

    flatbuffer = to_tflite(serving_graph(model))
    light = model.on_light(LightNetwork(flatbuffer))
    thresholds = model.thresholds if isinstance(model, Classifier) else None
    first, second = by_model(model, images).outputs, by_model(light, images).outputs
    parity = compare(Outputs(first, second, len(images), thresholds=thresholds), "float32", 1.0)
    if not parity.ok:
        raise GateError(f"the light form does not predict as the model does: {parity.refusal()}", "use --engine keras")
    return flatbuffer


def compared_images(exam: SelfTest, spec: ImageSpec, rows: NDArray[np.int64], pixels: Pixels | None = None) -> Images:
    """The images that both forms of a model are compared on: those of the self-test, and some held-out ones.

    Args:
        exam: The self-test.
        spec: The model's input.
        rows: Samples that the model did not learn from.
        pixels: The decoded images; None: those of the self-test alone.
    """
    found = self_test_pixels(exam.images, spec)
    if pixels is None:
        return found
    rows = np.array([row for row in rows if int(row) not in pixels.errors], np.int64)
    count = min(_MOST, max(_FEWEST, _PIXELS // (spec.height * spec.width)), len(rows))
    chosen = rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)]
    return np.concatenate([found, pixels.take(chosen)])


def add_light_form(model: str | Path | Run | Bundle) -> Bundle:
    """Add the light form to a bundle that has none, such as one of an older version, or make it again.

    Args:
        model: A run or a bundle.

    Returns:
        The bundle with ``model.tflite``, in the same folder; all else is unchanged.

    Raises:
        StoreError: LiteRT does not support one of the network's operations, or the bundle cannot be written.
        GateError: the bundle fails its self-test, or the light form does not give what the model gives.

    Examples:
        >>> from keensight.workflow import add_light_form
        >>> add_light_form(run).light() is not None
        True
    """
    from keensight.store.bundle import Bundle, add_light, open_bundle

    bundle = (
        model if isinstance(model, Bundle) else open_bundle(model if isinstance(model, (str, Path)) else model.path)
    )
    exam, network = bundle.exam(), opened(bundle, "keras")
    self_test(bundle, network)
    rows = np.zeros(0, np.int64)
    made = add_light(bundle, converted(network, compared_images(exam, bundle.manifest.image, rows)))
    self_test(made, opened(made, "litert"))
    return made
