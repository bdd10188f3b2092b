"""A server's state: the model, the queue in front of it, and what is counted."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from keensight.core.records import BundleManifest
from keensight.serve.pool import Batch, Model, Pool
from keensight.serve.prometheus import Metrics
from keensight.serve.rejection import Problem, Reason, Rejected
from keensight.serve.settings import Settings
from keensight.serve.uploads import Room
from keensight.serve.watch import Watch
from keensight.store.manifest import model_digest


class State(StrEnum):
    """What the server is doing."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


class Service:
    """What the handlers of requests share.

    Args:
        settings: The server's settings.
        manifest: The manifest of the bundle that is served.
        watch: Compares what comes in with the test images; None: the bundle has no measurements of them.
    """

    def __init__(self, settings: Settings, manifest: BundleManifest, watch: Watch | None = None) -> None:
        self.settings = settings
        self.manifest = manifest
        self.digest = model_digest(manifest)
        self.state = State.STARTING
        self.room = Room(settings.memory)
        self.pool = Pool(settings.workers, settings.queue, settings.max_pixels, self._done)
        self.metrics = Metrics(settings.name, self.digest, lambda: self.pool.unfinished, lambda: self.room.held)
        self.watch = watch
        self.page: str | None = None
        """The start page; None: the model is being loaded."""

    @property
    def model(self) -> dict[str, str]:
        """What responses say of the model."""
        return {"name": self.settings.name, "digest": self.digest}

    def open(self, model: Model) -> None:
        """Begin to predict with a model that passed its self-test."""
        self.pool.start(model)
        if self.state == State.STARTING:
            self.state = State.READY
            self.metrics.ready.set(1)

    def stop(self) -> None:
        """Show that the server will stop; what was accepted and what still comes is predicted."""
        self.state = State.STOPPING
        self.metrics.ready.set(0)

    def check_open(self) -> None:
        """Refuse a prediction before the model is there.

        Raises:
            Rejected: it is not.
        """
        if not self.pool.is_running:
            raise Rejected(Problem(Reason.STARTING, "the model is being loaded", "try again later", retry_after=1))

    def count(self, problem: Problem) -> None:
        """Count a refused request or image."""
        self.metrics.rejected(problem.reason)

    def description(self) -> dict[str, Any]:
        """The model's labels, input and decision rule."""
        manifest = self.manifest
        return {
            "model": self.model,
            "task": manifest.task.value,
            "labels": list(manifest.labels.names),
            "image": {"height": manifest.image.height, "width": manifest.image.width, "fit": manifest.image.fit},
            "decision": dict(manifest.decision),
        }

    def _done(self, batch: Batch) -> None:
        self.metrics.batch(batch)
        found = None if self.watch is None else self.watch.add(batch)
        if found is not None:
            self.metrics.window(found)
