"""The self-test of a bundle: the loaded model must reproduce the trained model's predictions."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import PIL
from numpy.typing import NDArray

from keensight import __version__
from keensight.core.files import canonical_json, read_json, sha256_text, write_json
from keensight.core.verification import contract_digest
from keensight.errors import GateError, StoreError
from keensight.workflow.engines import engines_of, opened

if TYPE_CHECKING:
    from keensight.core.predictions import Predictions
    from keensight.nets.classifier import Classifier
    from keensight.nets.detector import Detector
    from keensight.nets.network import Engine
    from keensight.store.bundle import Bundle, SelfTest

M = TypeVar("M", bound="Classifier | Detector")
PROBABILITY_TOLERANCE = 1e-4
"""Maximum difference of a probability between the loaded and the trained model."""
SCORE_TOLERANCE = 1e-3
"""The same for a detector's score, as a fraction of it."""
_HINT = "the versions of Keras or Pillow may differ from those in its manifest, or the bundle was changed"


def run_self_test(model: Classifier | Detector, exam: SelfTest) -> float:
    """Predict the images of a self-test and compare, class by class by name.

    Returns:
        The largest difference of a probability; of an anomaly score, as a fraction of it.

    Raises:
        GateError: it is above ``PROBABILITY_TOLERANCE`` (of scores ``SCORE_TOLERANCE``), or an image cannot be read.
    """
    from keensight.core.anomaly import AnomalyScores
    from keensight.nets.runtime import full_float32

    # On Keras, a bundle made on a CPU must pass on a GPU.
    with full_float32() if model.engine == "keras" else nullcontext():
        predicted = model.predict(list(exam.images))
    if isinstance(predicted, AnomalyScores):
        scored, expected = predicted, exam.probabilities[:, 0]
        _check_read(scored.errors)
        worst = float((np.abs(scored.scores - expected) / np.maximum(expected, 1)).max())
        return _passed(worst, SCORE_TOLERANCE, f"{worst:.2g} of a score")
    _check_read(predicted.errors)
    worst = float(np.abs(_by_name(predicted, exam) - exam.probabilities).max())
    return _passed(worst, PROBABILITY_TOLERANCE, f"{worst:.2g}")


def _check_read(errors: Mapping[str, str]) -> None:
    for name, reason in errors.items():
        raise GateError(f"self-test failed: its {name} cannot be read: {reason}", _HINT)


def _by_name(found: Predictions, exam: SelfTest) -> NDArray[np.float32]:
    """Probabilities with columns in the order of the self-test's class names, if it has them."""
    if not exam.labels or exam.labels == found.labels.names:
        return found.probabilities
    if set(exam.labels) != set(found.labels.names):
        raise GateError("self-test failed: it was made with other classes than the model predicts", _HINT)
    return found.probabilities[:, [found.labels.names.index(name) for name in exam.labels]]


def _passed(worst: float, allowed: float, words: str) -> float:
    if not worst <= allowed:
        raise GateError(
            f"self-test failed: the saved model's predictions differ from the trained model's (by up to {words})", _HINT
        )
    return worst


def self_test(bundle: Bundle, model: Classifier | Detector) -> float:
    """Run the self-test of a loaded bundle, and remember that it passed (see :func:`run_self_test`)."""
    worst = run_self_test(model, bundle.exam())
    with suppress(StoreError):  # a full or read-only disk: it is run again next time
        write_json(_note(bundle, model.engine), {"worst": worst})
    return worst


def self_test_everywhere(bundle: Bundle, model: Classifier | Detector | None = None) -> None:
    """Run the self-test of a bundle on all that it can run on here.

    Args:
        bundle: A checked bundle.
        model: What it was opened as already; None: it was not.

    Raises:
        GateError: it fails.
    """
    for engine in engines_of(bundle):
        done = model is not None and model.engine == engine
        self_test(bundle, model if model is not None and done else opened(bundle, engine))


def tested(bundle: Bundle, model: M) -> M:
    """Return the model after its bundle has passed the self-test on this machine with these versions, now or earlier.

    Raises:
        GateError: it fails.
    """
    if not _remembered(_note(bundle, model.engine)):
        self_test(bundle, model)
    return model


def _remembered(note: Path) -> bool:
    try:
        return note.is_file() and isinstance(read_json(note)["worst"], float)
    except (StoreError, OSError, KeyError, TypeError):
        return False


def _note(bundle: Bundle, engine: Engine) -> Path:
    """The marker that this bundle passed on an engine, by all that the result depends on; the model card is not."""
    from keensight.data.shards import cache_directory
    from keensight.store.bundle import CARD

    manifest = bundle.manifest
    key = {
        "files": {name: digest for name, digest in manifest.files.items() if name != CARD},
        "contract": contract_digest(manifest),
        "versions": _versions(engine),
        "machine": [platform.node(), platform.machine()],
    }
    return cache_directory() / "self-tests" / f"{sha256_text(canonical_json(key))[:32]}.json"


def _versions(engine: Engine) -> dict[str, str]:
    """Versions of the packages that can change a prediction."""
    found = {"keensight": __version__, "numpy": np.__version__, "pillow": PIL.__version__}
    if engine == "litert":
        import ai_edge_litert

        return found | {"litert": ai_edge_litert.__version__}
    from keensight.nets.runtime import versions

    return found | versions()
