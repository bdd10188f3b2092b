"""The images of a transfer learning, their features, and the caches of both."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keensight.core.decoded import IndexedImages
from keensight.core.files import derived_digest, sha256
from keensight.core.progress import Progress
from keensight.core.records import Epoch, Split
from keensight.core.training_state import Checkpoints
from keensight.nets.engines import choose
from keensight.nets.litert import digest
from keensight.nets.runtime import framework
from keensight.nets.training.features import Known, Wanted, extract

if TYPE_CHECKING:
    import keras

    from keensight.nets.training.hooks import Hooks
    from keensight.nets.training.job import Before, Team


@dataclass(frozen=True)
class Images:
    """The images for transfer learning."""

    pixels: IndexedImages
    targets: NDArray[Any]
    """Class number of every sample of the dataset, shape (n,), or its labels as 0 and 1, (n, classes)."""
    digests: Sequence[str]
    """Digest of the pixels of every sample."""
    units: NDArray[np.int64]
    """Number of every sample's unit, shape (n,): its images are never on both sides of a cross-validation."""
    split: Split

    def part(self, name: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Dataset indices and targets of a split."""
        rows = self.split.part(name)  # type: ignore[arg-type]
        return rows, self.targets[rows]

    def mirrored(self) -> Images:
        """The mirrored images."""
        names = [derived_digest(digest, "mirrored") for digest in self.digests]
        return dataclasses.replace(self, pixels=_Mirrored(self.pixels), digests=names)


@dataclass(frozen=True)
class _Mirrored:
    images: IndexedImages

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.images.shape

    def take(self, indices: ArrayLike) -> NDArray[np.uint8]:
        return np.ascontiguousarray(self.images.take(indices)[:, :, ::-1])


@dataclass(frozen=True)
class Caches:
    """Caches of transfer learning, and where it reports."""

    known: Callable[[str, int], Known]
    """Network digest and length of a row to the cached features."""
    networks: Path | None
    """Folder of converted networks."""
    on_epoch: Callable[[Epoch], None]
    progress: Progress
    hooks: Hooks | None = None
    """The user's callbacks."""
    hopeless: Callable[[list[float], int], bool] = lambda reached, epochs: False
    """Whether to leave a phase, given the accuracy (or mAP) after each epoch so far and the planned epochs."""
    checkpoints: Checkpoints | None = None
    """Where the state of fine-tuning is kept; None: nowhere."""
    team: Team | None = None
    """Workers that fine-tune; None: this process does."""
    before: Before | None = None
    """What fine-tuning has to improve on."""
    rates: Path | None = None
    """File that keeps the measured rates of engines; None: they are measured each time."""


def features_of(model: keras.Model) -> keras.Model:
    """The network up to ``features``, sharing its layers."""
    keras, _ = framework()
    return keras.Model(model.input, model.get_layer("features").output, name="features")


def wanted(model: keras.Model, images: Images, rows: NDArray[np.int64], caches: Caches) -> Wanted:
    """What :func:`features` computes, and on which engine."""
    lower = features_of(model)
    engine = choose(lower, caches.networks, caches.rates).engine
    # Another engine gives other last digits: a run must not depend on which one was used first.
    key = sha256(f"{digest(lower)} {engine.identity}".encode())
    return Wanted(lower, engine, rows, [images.digests[int(row)] for row in rows], key, int(lower.output_shape[-1]))


def features(model: keras.Model, images: Images, rows: NDArray[np.int64], caches: Caches) -> NDArray[np.float32]:
    """Features of samples, float32 (n, d), cached or computed now."""
    asked = wanted(model, images, rows, caches)
    return extract(
        lambda: asked.engine.freeze(asked.network, caches.networks), images.pixels, rows, asked.digests,
        caches.known(asked.key, asked.values), progress=caches.progress,
    )  # fmt: skip


def levels_of(model: keras.Model) -> list[int]:
    """Number of features from each map of the network."""
    layer = model.get_layer("features")
    inputs = layer.input if isinstance(layer.input, list) else [layer.output]
    return [int(tensor.shape[-1]) for tensor in inputs]
