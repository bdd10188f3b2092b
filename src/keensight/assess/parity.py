"""The parity gate: may an export be used in place of the model that was evaluated?

A float32 export must give the same numbers, a float16 export nearly the same. An int8 export gives other numbers by
design; it must be as accurate: its accuracy on test images must not be significantly lower (the 95% confidence interval
of the paired difference, :mod:`keensight.assess.paired`), no class may lose more than 10 points of recall, and the file
must be worth it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from keensight.assess import paired
from keensight.assess.intervals import share
from keensight.core.interval import Interval
from keensight.core.parity import Limit, Parity, Precision

TOLERANCE: dict[Precision, float] = {"float32": 1e-4, "float16": 0.03}
"""Largest allowed difference of a probability."""
SCORE_TOLERANCE: dict[Precision, float] = {"float32": 1e-3, "float16": 0.03}
"""The same for an anomaly score, as a fraction of it (of 1, if it is lower)."""
AGREEMENT: dict[Precision, float] = {"float32": 1.0, "float16": 0.995}
"""Smallest fraction of images with the same prediction; below 1, a single image may differ whatever their number."""
RECALL = 0.10
"""Largest recall that a class may lose in int8, unless it is a single image."""
SMALLER = 3.0
"""How many times smaller than float32 an int8 file must be."""
REFUSED = 0.05
"""Largest fraction of the images that are out-of-distribution for an int8 export alone, or for its model alone."""
_EASE = 1e-9

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """What a model and its export gave for the same images: first those of the self-test, then test images."""

    original: Floats
    """Probabilities (n, classes), or anomaly scores (n, 1) of which 1 is the threshold."""
    exported: Floats
    self_test: int
    """Number of images of the self-test."""
    truth: NDArray[np.int64] | NDArray[np.uint8] | None = None
    """Class numbers (m,) or indicators (m, labels) of the test images; None: there are none."""
    labels: tuple[str, ...] = ()
    thresholds: tuple[float, ...] | None = None
    """Of a multi-label model."""
    groups: NDArray[np.int64] | None = None
    """Shape (m,): test images with the same number are not independent."""
    refused: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None
    """Which images are out-of-distribution for the model and for the export, shape (n,) each; None: there is no
    rule."""

    @property
    def scores(self) -> bool:
        """Whether the outputs are anomaly scores."""
        return bool(self.original.shape[1] == 1)

    def fractions_refused(self) -> tuple[float, float] | None:
        """Fraction of the images that are out-of-distribution for the model and for the export."""
        if self.refused is None:
            return None
        first, second = self.refused
        return float(first.mean()), float(second.mean())

    def predicted(self, outputs: Floats) -> NDArray[np.bool_]:
        """The predictions, shape (n, classes): one class, all labels at or above their threshold, or anomalous."""
        if self.scores or self.thresholds is not None:
            found: NDArray[np.bool_] = outputs >= np.array(self.thresholds or (1.0,), np.float32)
            return found
        return np.asarray(np.arange(outputs.shape[1]) == outputs.argmax(axis=1)[:, None])

    def true(self) -> NDArray[np.bool_]:
        """The true classes of the test images, shape (m, classes)."""
        assert self.truth is not None
        return self.truth > 0 if self.truth.ndim == 2 else np.arange(len(self.labels)) == self.truth[:, None]


def compare(outputs: Outputs, precision: Precision, smaller: float, note: str = "") -> Parity:
    """Compare an export with its model.

    Args:
        outputs: What both gave.
        precision: Of the export; it decides which limits apply.
        smaller: Size of the float32 network over that of the export.
        note: What could not be compared, in a sentence.
    """
    first, second = outputs.predicted(outputs.original), outputs.predicted(outputs.exported)
    change = np.abs(outputs.exported.astype(np.float64) - outputs.original)
    if outputs.scores:
        change = change / np.maximum(outputs.original, 1)
    accuracies, worst = _accuracies(outputs, first, second), _worst(outputs, first, second)
    found = Parity(
        precision=precision,
        self_test=outputs.self_test,
        held_out=len(first) - outputs.self_test,
        largest=float(change.max()),
        agreement=float((first == second).all(axis=1).mean()),
        smaller=smaller,
        original=accuracies[0],
        accuracy=accuracies[1],
        difference=accuracies[2],
        worst_class=worst.label,
        worst_drop=worst.drop,
        refused=outputs.fractions_refused(),
        note=note,
    )
    tolerance = (SCORE_TOLERANCE if outputs.scores else TOLERANCE).get(precision)
    same = (first == second).all(axis=1)
    limits = _exact(found, tolerance, same, outputs.scores) if tolerance is not None else _as_good(found, worst)
    return replace(found, limits=(*limits, *_same_refused(outputs, precision)))


def _accuracies(
    outputs: Outputs, first: NDArray[np.bool_], second: NDArray[np.bool_]
) -> tuple[Interval | None, Interval | None, Interval | None]:
    """Accuracy of the model, of the export, and their difference."""
    if outputs.truth is None or not len(outputs.truth):
        return None, None, None
    true = outputs.true()
    right = [(found[outputs.self_test :] == true).all(axis=1) for found in (first, second)]
    if outputs.groups is None:
        gain = paired.difference(right[0], right[1])
    else:
        gain = paired.group_difference(right[0], right[1], outputs.groups)
    return share(right[0], outputs.groups), share(right[1], outputs.groups), gain


@dataclass(frozen=True, slots=True)
class _Worst:
    label: str = ""
    drop: float = 0.0
    images: int = 0
    """Images of the class that the export no longer recognizes, less those that only it does."""


def _worst(outputs: Outputs, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> _Worst:
    """The class whose recall decreases most."""
    if outputs.truth is None or not len(outputs.truth):
        return _Worst()
    true = outputs.true()
    lost = ((first[outputs.self_test :] & true).sum(axis=0) - (second[outputs.self_test :] & true).sum(axis=0)).astype(
        int
    )
    drops = lost / np.maximum(true.sum(axis=0), 1)
    place = int(drops.argmax())
    return _Worst(outputs.labels[place], float(drops[place]), int(lost[place])) if lost[place] > 0 else _Worst()


def _exact(found: Parity, tolerance: float, same: NDArray[np.bool_], scores: bool) -> tuple[Limit, ...]:
    subject = "score (relative)" if scores else "probability"
    return (
        Limit(
            f"largest difference of a {subject}", f"{found.largest:.2g}", f"{tolerance:g}", found.largest <= tolerance
        ),
        _agreement("agreement of predictions", same, AGREEMENT[found.precision]),
    )


def _agreement(name: str, same: NDArray[np.bool_], least: float) -> Limit:
    """The condition that a fraction of the images gets the same."""
    wrong = int((~same).sum())
    allowed = 0 if least == 1 else max(1, int((1 - least) * len(same) + _EASE))
    told = f"{least:g}" if least == 1 else f"{least:g}, or all but one"
    return Limit(name, f"{same.mean():.4f}", told, wrong <= allowed)


def _as_good(found: Parity, worst: _Worst) -> tuple[Limit, ...]:
    size = Limit("size of the file", f"{found.smaller:.2f}x smaller", f"{SMALLER:g}x", found.smaller >= SMALLER)
    if found.difference is None:
        return (size, Limit("accuracy", "not measured", "test images with labels", False))
    gain = found.difference
    told = f"{gain.value:+.4f} (95% CI {gain.low:+.4f} to {gain.high:+.4f})"
    dropped = f"{worst.drop:.3f} of {worst.label}" if worst.label else "0"
    kept = worst.drop <= RECALL + _EASE or worst.images <= 1
    return (
        Limit("change of accuracy", told, "not significantly below 0", gain.high >= 0),
        Limit("largest loss of recall of a class", dropped, f"{RECALL:.2f}, or a single image", kept),
        size,
    )


def _same_refused(outputs: Outputs, precision: Precision) -> tuple[Limit, ...]:
    """The condition on the embedding: the out-of-distribution rule, which is based on it, must still work."""
    if outputs.refused is None:
        return ()
    first, second = outputs.refused
    return (_agreement("agreement on out-of-distribution", first == second, AGREEMENT.get(precision, 1 - REFUSED)),)
