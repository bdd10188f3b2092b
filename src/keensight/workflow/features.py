"""Features of a run's images, each computed once, and their caches."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from keensight.core.files import derived_digest, temporary_folder
from keensight.core.progress import Progress
from keensight.core.records import Dataset, Epoch, Split

if TYPE_CHECKING:
    from keensight.core.decoded import Pixels
    from keensight.nets.classifier import Classifier
    from keensight.nets.training.hooks import Hooks
    from keensight.nets.training.images import Caches, Images

Ties = Sequence[Sequence[int]]


def images_of(dataset: Dataset, split: Split, pixels: Pixels, tied: Ties = ()) -> Images:
    """The images for transfer learning.

    Args:
        dataset: The image set.
        split: Its split.
        pixels: Its decoded images.
        tied: Groups of duplicates, as indices, which a cross-validation keeps in one fold, as it does groups and
            identical files.
    """
    from keensight.data.units import unit_numbers
    from keensight.nets.training.images import Images

    # The same file gives different pixels, and so different features, with another fit.
    names = [derived_digest(sample.digest, pixels.spec.key) for sample in dataset.samples]
    units = unit_numbers(dataset.samples, np.arange(len(dataset)), tied)
    return Images(pixels, dataset.truth(), names, units, split)


class Features(Protocol):
    """Faster access to features than through the classifier."""

    def __call__(self, model: Classifier, rows: NDArray[np.int64], *, mirror: bool = False) -> NDArray[np.float32]:
        """Features (n, d) of samples, by dataset index, or of their mirror images."""
        ...


@contextmanager
def features_of(
    dataset: Dataset, split: Split, pixels: Pixels, progress: Progress, *, trained: bool
) -> Iterator[Features]:
    """Features from frozen networks, each computed once.

    Args:
        dataset: The image set.
        split: Its split.
        pixels: Its decoded images.
        progress: Where to report.
        trained: The network itself was trained: its features are not needed again, and not cached.
    """
    from keensight.nets.training.images import features

    images = images_of(dataset, split, pixels)
    with caches_of_a_run(progress) if trained else nullcontext(caches(progress)) as shop:

        def find(model: Classifier, rows: NDArray[np.int64], *, mirror: bool = False) -> NDArray[np.float32]:
            return features(model.keras_model, images.mirrored() if mirror else images, rows, shop)

        yield find


@contextmanager
def caches_of_a_run(progress: Progress) -> Iterator[Caches]:
    """Caches for a network that this run has trained: nobody asks for its features again, so they are forgotten."""
    from keensight.nets.training.features import Remembered

    with temporary_folder() as folder:
        remembered = Remembered()
        yield dataclasses.replace(caches(progress), known=lambda network, values: remembered, networks=folder)


def caches(
    progress: Progress, on_epoch: Callable[[Epoch], None] = lambda epoch: None, hooks: Hooks | None = None
) -> Caches:
    """The caches of features and converted networks, and where to report."""
    from keensight.data.feature_cache import FeatureCache
    from keensight.data.shards import cache_directory
    from keensight.nets.training.images import Caches

    place = cache_directory()
    return Caches(FeatureCache, place / "networks", on_epoch, progress, hooks, rates=place / "engines.json")
