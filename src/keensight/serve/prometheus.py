"""The server's Prometheus metrics."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from keensight.core.drift import DriftReport
from keensight.core.predictions import UNLIKE
from keensight.serve.pool import AT_ONCE, Batch
from keensight.serve.rejection import Reason

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
RECENT = 1000
"""Number of images over which the out-of-distribution fraction is computed."""
_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counters and histograms with a registry per server, so that several can be in one process.

    Args:
        name: Name of the model.
        digest: Its digest.
        unfinished: Gives the number of images in the queue or being predicted.
        uploading: Gives the number of bytes of all request bodies in memory.
    """

    def __init__(self, name: str, digest: str, unfinished: Callable[[], float], uploading: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        info = Gauge("keensight_model_info", "The model that is served.", ("name", "digest"), registry=self.registry)
        info.labels(name, digest).set(1)
        self.ready = Gauge("keensight_ready", "1: ready; 0: starting or stopping.", registry=self.registry)
        self._requests = self._counter("requests", "Requests by path and HTTP status.", "path", "status")
        self._rejected = self._counter("rejected", "Refused requests and images by reason.", "reason")
        self._images = self._counter("images", "Images by decision: accept, abstain or error.", "decision")
        self._request_seconds = self._histogram("request", "Seconds from a request's head to its response.")
        self._queue_seconds = self._histogram("queue", "Seconds of an image in the queue.")
        self._decode_seconds = self._histogram("decode", "Seconds for decoding a batch.")
        self._predict_seconds = self._histogram("predict", "Seconds for predicting a batch.")
        self._batch = Histogram(
            "keensight_batch_size", "Images that a worker took at once.", buckets=range(1, AT_ONCE + 1),
            registry=self.registry,
        )  # fmt: skip
        waiting = Gauge(
            "keensight_images_unfinished", "Images that wait or are being predicted.", registry=self.registry
        )
        waiting.set_function(unfinished)
        text = "Bytes of request bodies in memory."
        Gauge("keensight_upload_bytes", text, registry=self.registry).set_function(uploading)
        ood = Gauge(
            "keensight_out_of_distribution_ratio", f"Fraction out-of-distribution of the last {RECENT} images.",
            registry=self.registry,
        )  # fmt: skip
        ood.set_function(self._unlike_ratio)
        self._drift = Gauge(
            "keensight_drift", "1: the last window of images was not like the test images.", registry=self.registry
        )
        self._windows = self._counter("drift_windows", "Windows of images compared with the test images.", "differs")
        self._unlike: deque[bool] = deque(maxlen=RECENT)
        self._lock = Lock()
        for reason in Reason:
            self._rejected.labels(reason.value)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(path, str(status)).inc()
        self._request_seconds.observe(seconds)

    def rejected(self, reason: Reason) -> None:
        """Count a refused request or image."""
        self._rejected.labels(reason.value).inc()

    def batch(self, batch: Batch) -> None:
        """Count what a worker did at once."""
        self._batch.observe(len(batch.outcomes))
        self._decode_seconds.observe(batch.decoding)
        self._predict_seconds.observe(batch.predicting)
        for outcome in batch.outcomes:
            self._queue_seconds.observe(outcome.queued)
            self._images.labels("error" if outcome.problem else outcome.row["decision"]).inc()
        seen = [outcome.row.get("reason") == UNLIKE for outcome in batch.outcomes if outcome.problem is None]
        with self._lock:
            self._unlike.extend(seen)

    def window(self, found: DriftReport) -> None:
        """Count a window of images that was compared with the test images."""
        self._drift.set(found.differs)
        self._windows.labels(str(found.differs).lower()).inc()

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _unlike_ratio(self) -> float:
        with self._lock:
            return sum(self._unlike) / len(self._unlike) if self._unlike else 0.0

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"keensight_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(f"keensight_{name}_seconds", text, buckets=_SECONDS, registry=self.registry)
