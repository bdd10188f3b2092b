"""The running comparison of what comes in with the images that the model was tested on."""

from __future__ import annotations

import logging
from threading import Lock
from typing import Any

from keensight.assess.drift import LEVEL, WINDOW, measured, report, window_level
from keensight.core.drift import DriftReport, Measured
from keensight.core.predictions import Predictions
from keensight.core.records import LabelSet
from keensight.serve.logs import event
from keensight.serve.pool import Batch
from keensight.store.bundle import Bundle


class Watch:
    """Compares windows of :data:`WINDOW` images, each at its own level, so that the probability of a false alarm in the
    whole life of the server is at most ``level``. Its methods may be called from several threads.

    Args:
        reference: Of the test images.
        labels: The model's classes.
        threshold: Out-of-distribution score above which an image is out-of-distribution; None: there is none.
        level: Maximum probability of a false alarm.
    """

    def __init__(self, reference: Measured, labels: LabelSet, threshold: float | None, level: float = LEVEL) -> None:
        self._reference, self._labels, self._threshold, self._level = reference, labels, threshold, level
        self._parts: list[Measured] = []
        self._count = 0
        self._windows = self._alarms = 0
        self._last: DriftReport | None = None
        self._lock = Lock()

    def add(self, batch: Batch) -> DriftReport | None:
        """Add what a worker predicted; the result, if that completed a window."""
        if not isinstance(batch.found, Predictions):
            return None
        part = measured([one.read.image for one in batch.examined], [one.info for one in batch.examined], batch.found)
        with self._lock:
            self._parts.append(part)
            self._count += len(part)
            if self._count < WINDOW:
                return None
            window, self._parts, self._count = Measured.joined(self._parts), [], 0
            self._windows += 1
            found = report(
                self._reference, window, self._labels.names, window_level(self._windows, self._level), self._threshold
            )
            self._last = found
            self._alarms += found.differs
        if found.differs:
            event("drift", level=logging.WARNING, sentence=found.sentence(), n=found.n)
        return found

    def document(self) -> dict[str, Any]:
        """The state, and the last complete window."""
        with self._lock:
            last = self._last
            return {
                "level": self._level, "window": WINDOW, "windows": self._windows, "windows_that_differ": self._alarms,
                "images_in_next_window": self._count, "differs": last is not None and last.differs,
                "sentence": f"fewer than {WINDOW} images so far" if last is None else last.sentence(),
                "last": None if last is None else last.document(),
            }  # fmt: skip


def watch_of(bundle: Bundle) -> Watch | None:
    """What compares with the measurements in a bundle; None: it has none."""
    reference, subspace = bundle.reference(), bundle.subspace()
    if reference is None:
        return None
    return Watch(reference, bundle.manifest.labels, None if subspace is None else subspace.threshold)
