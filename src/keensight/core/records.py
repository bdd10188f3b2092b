"""Records that the layers exchange: frozen, with plain fields and a JSON round trip.

No record holds an absolute path or a live model. A record that needs bytes (a dataset's images) has a *reader*, which
is neither compared nor saved.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from keensight.core.files import sha256
from keensight.core.task import Task
from keensight.errors import DataError

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")
Fit = Literal["stretch", "crop", "pad"]
Background = Literal["white", "gray", "black"]
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
NORMAL_NAMES = ("good", "normal", "ok", "healthy", "negative", "no_defect", "defect_free")
"""What the class of normal images is often called."""
SEPARATOR = "|"
"""Separates the labels of an image in a multi-label set: ``cat|dog``."""


class Reader(Protocol):
    """Loads a sample's image from disk or memory."""

    def load(self, sample: Sample) -> bytes | NDArray[np.uint8]:
        """Encoded bytes of an image file, or a uint8 array (H, W) or (H, W, 3).

        Raises:
            ImageError: the file cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Class names, in the order of their integer labels.

    Raises:
        DataError: a name occurs twice.

    Examples:
        >>> labels = ks.LabelSet(("cat", "dog"))
        >>> labels.encode(["dog", "cat"])
        array([1, 0])
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise DataError("two classes have the same name", "give each class its own name")

    def __len__(self) -> int:
        return len(self.names)

    def controls(self) -> tuple[str, ...]:
        """Names with a control character or a line break, which a bundle cannot store."""
        return tuple(name for name in self.names if _CONTROL.search(name))

    def normal(self) -> tuple[str, ...]:
        """Classes whose name says that their images are normal: ``good``, ``NORMAL``, ``no-defect`` and the like."""
        return tuple(name for name in self.names if name.lower().replace("-", "_").replace(" ", "_") in NORMAL_NAMES)

    def encode(self, labels: Sequence[str]) -> NDArray[np.int64]:
        """Convert names to integers, shape (n,).

        Raises:
            DataError: a label is not one of the names.
        """
        index = {name: number for number, name in enumerate(self.names)}
        try:
            return np.array([index[label] for label in labels], dtype=np.int64)
        except KeyError as error:
            raise DataError(
                f"the label {error.args[0]!r} is not one of the classes",
                f"known classes: {', '.join(self.names[:20])}",
            ) from error

    def decode(self, indices: Sequence[int] | NDArray[np.int64]) -> list[str]:
        """Convert integers to names."""
        return [self.names[int(i)] for i in indices]


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """How an image becomes a model's input: uint8 (height, width, 3), RGB.

    ``fit`` defines what happens to another aspect ratio: ``stretch`` ignores it, ``crop`` scales to cover and crops the
    center, ``pad`` scales to fit and fills with black.

    Examples:
        >>> ks.ImageSpec(64, 96, fit="pad").shape
        (64, 96, 3)
    """

    height: int
    width: int
    fit: Fit = "stretch"
    decoder: int = 3
    """Version of the decoder; it changes with the decoded pixels, which renews every cache. 2: an image of more than 8
    bits whose set has no intensity scale is scaled by its own values (1: white was 65,535). 3: embedded color profiles
    are converted to sRGB (before, ignored)."""
    intensity: float | None = None
    """The gray value that becomes white in images of more than 8 bits (4095, 65535, 1.0), the same for a whole set;
    None: each such image is scaled by its own values."""
    black: float = 0.0
    """The gray value that becomes black, if ``intensity`` is set."""
    background: Background = "white"
    """What transparent pixels become, the same for a whole set."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image."""
        return (self.height, self.width, 3)

    @property
    def key(self) -> str:
        """A short name, fit for a folder: ``224x224-stretch-3``, or with a scale ``224x224-stretch-3-0-4095``, or with
        a background other than white ``224x224-stretch-3-black``."""
        scale = "" if self.intensity is None else f"-{self.black:.9g}-{self.intensity:.9g}"
        ground = "" if self.background == "white" else f"-{self.background}"
        return f"{self.height}x{self.width}-{self.fit}-{self.decoder}{scale}{ground}"


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """The contents of an image's header."""

    format: str
    mode: str
    """Pillow's name; ``RGB;16``: of colors of 16 bits, of which the upper 8 are read."""
    width: int
    height: int
    frames: int = 1
    orientation: int = 1
    """EXIF orientation, 1 to 8."""


NO_METADATA: Mapping[str, Any] = {}
"""The same for all samples without: a dictionary each would take 64 bytes."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of a dataset.

    ``path`` is relative to the source, with ``/``; ``digest`` is the SHA-256 of the encoded file
    (of shape and pixels for arrays), empty if the file could not be read (see ``error``).

    Examples:
        >>> sample = ks.open("photos/")[0]
        >>> sample.path, sample.label, sample.info.format
        ('day/000.bmp', 'day', 'BMP')
    """

    path: str
    label: str
    digest: str
    size: int = 0
    """Encoded size in bytes."""
    group: str | None = None
    """Images of one group (patient, track, product) are kept in the same split."""
    split: Part | None = None
    """The predefined split."""
    metadata: Mapping[str, Any] = field(default_factory=lambda: NO_METADATA)
    """Other columns of the source's table."""
    info: ImageInfo | None = None
    """The header; None if it could not be read."""
    error: str | None = None
    """Why the file could not be read (missing, empty, not an image), else None."""
    labels: tuple[str, ...] = ()
    """In a multi-label set the image's labels, possibly none; ``label`` is the same as text, ``cat|dog``."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes or labels of the image."""
        return self.labels or ((self.label,) if self.label else ())


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something in the source that is not an image of the set, with the reason."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """How a source was understood, which users see before any work begins (:mod:`keensight.core.reading`).

    Numbers of images, classes and splits are not in it: they follow from the dataset.
    """

    layout: str
    """``folder per class``, ``CSV table``, ``zip archive: folder per class``, ``.npz arrays``."""
    cue: str = ""
    """What decided: ``train/ and test/ contain the same 10 folders``."""
    override: str = ""
    """How to read it otherwise: ``--label-level top``."""
    notes: tuple[str, ...] = ()
    """Further facts: ``encoding cp1252``, ``column is_valid read as split``."""
    warnings: tuple[str, ...] = ()
    """What was left out that may have been meant as images of the set, with numbers."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A labeled image set: samples and labels, without pixels.

    Examples:
        >>> data = ks.open("photos/")
        >>> len(data), data[0].label, data.class_names
        (120, 'day', ('day', 'night'))
        >>> sum(sample.label == "night" for sample in data)
        60
    """

    name: str
    kind: str
    """The kind of source: ``folder``, ``split folders``, ``table``, ``idx``, ``arrays``, ``records`` or
    ``sample set``."""
    labels: LabelSet
    samples: tuple[Sample, ...]
    skipped: tuple[Skipped, ...] = ()
    reader: Reader | None = field(default=None, compare=False, repr=False)
    task: Task = Task.MULTICLASS
    """Whether images have one class each, or any number of labels."""
    reading: Reading | None = None
    """How the source was understood; None in runs of earlier versions."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "task", Task(self.task))  # a plain word from a caller

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes or labels, in the order of their numbers."""
        return self.labels.names

    @property
    def digest(self) -> str:
        """SHA-256 over all paths, labels and image digests, independent of their order."""
        lines = sorted(f"{sample.digest} {sample.label} {sample.path}" for sample in self.samples)
        if self.task != Task.MULTICLASS:
            lines.append(self.task)
        return sha256("\n".join(lines).encode("utf-8", "surrogateescape"))

    def targets(self) -> NDArray[np.int64]:
        """Class numbers of all samples, shape (n,).

        Raises:
            DataError: it is a multi-label set.
        """
        if self.task == Task.MULTILABEL:
            raise DataError(
                f"{self.name} is a multi-label set: its images do not have one class each",
                "use indicators(), one 0/1 column per label",
            )
        return self.labels.encode([sample.label for sample in self.samples])

    def indicators(self) -> NDArray[np.uint8]:
        """Indicators, shape (n, classes): 1 if a sample has a class or label, else 0."""
        held = [(i, name) for i, sample in enumerate(self.samples) for name in sample.classes]
        table = np.zeros((len(self), len(self.labels)), dtype=np.uint8)
        table[[i for i, _ in held], self.labels.encode([name for _, name in held])] = 1
        return table

    def truth(self) -> NDArray[Any]:
        """The training targets: :meth:`targets`, or :meth:`indicators` of a multi-label set."""
        return self.indicators() if self.task == Task.MULTILABEL else self.targets()

    def combinations(self) -> NDArray[np.int64]:
        """Class numbers, shape (n,); in a multi-label set one number for each combination of labels."""
        if self.task == Task.MULTICLASS:
            return self.targets()
        found: NDArray[np.int64] = np.unique(self.indicators(), axis=0, return_inverse=True)[1].reshape(-1)
        return found

    def counts(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """Number of images of each class or label among ``rows`` (None: all), shape (classes,)."""
        truth = self.truth() if rows is None else self.truth()[rows]
        if truth.ndim == 2:
            return np.asarray(truth.sum(axis=0, dtype=np.int64))
        return np.bincount(truth, minlength=len(self.labels))

    def load(self, index: int) -> bytes | NDArray[np.uint8]:
        """The image of sample ``index`` as stored (see :class:`Reader`).

        Raises:
            DataError: the dataset came from a file and its images are not available.
        """
        if self.reader is None:
            raise DataError("this dataset's images are not available", "open its source again with ks.open(...)")
        return self.reader.load(self.samples[index])

    def __repr__(self) -> str:
        kind = "classes" if self.task == Task.MULTICLASS else "labels"
        return f"<Dataset {self.name}: {len(self):,} images, {len(self.labels):,} {kind}>"


@dataclass(frozen=True, slots=True)
class Split:
    """Training, validation and test set as indices into ``Dataset.samples``, without quarantined samples.

    Examples:
        >>> split = ks.split("photos/")
        >>> split.part("test").shape, split.part("test").dtype
        ((17,), dtype('int64'))
    """

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    method: str
    """How it was made, in words, for the report."""

    def part(self, name: Part) -> NDArray[np.int64]:
        """Indices of one split, shape (n,)."""
        return np.array({"train": self.train, "val": self.val, "test": self.test}[name], dtype=np.int64)

    def __repr__(self) -> str:
        return f"<Split {', '.join(f'{part} {len(self.part(part)):,}' for part in PARTS)}>"


def split_digest(split: Split, dataset: Dataset) -> str:
    """Identify a split: equal if the same contents are in the same splits, whatever the order and names of the files.

    Returns:
        The first 16 hexadecimal digits of a SHA-256 over all pairs of image digest and split.
    """
    lines = sorted(f"{dataset.samples[i].digest} {part}" for part in PARTS for i in split.part(part))
    return sha256("\n".join(lines).encode())[:16]


@dataclass(frozen=True, slots=True)
class Epoch:
    """Metrics of one epoch. Losses are mean cross-entropy in nats; ``seconds`` is wall time.

    In a multi-label set, losses are means over images and labels, and accuracy is the fraction of all (image, label)
    pairs that are right at a threshold of 0.5.
    """

    epoch: int
    """Counted from 1 through all phases."""
    phase: str
    steps: int
    seconds: float
    learning_rate: float
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    val_map: float | None = None
    """Mean average precision of the validation set; multi-label sets only."""

    @property
    def reached(self) -> float:
        """The metric that trainings are compared by: accuracy, or mean average precision, on the validation set."""
        return self.val_accuracy if self.val_map is None else self.val_map


@dataclass(frozen=True, slots=True)
class History:
    """The training history.

    Examples:
        >>> run.history.epoch, sorted(run.history.history)
        ([0, 1, 2, 3], ['accuracy', 'loss', 'val_accuracy', 'val_loss'])
    """

    epochs: tuple[Epoch, ...]
    best_epoch: int
    """The epoch whose weights the model has."""
    stopped: str = "completed"
    """``completed``, ``early`` (no more improvement), ``callback`` (a Keras callback stopped it), ``interrupted`` or
    ``trained elsewhere``."""

    def __repr__(self) -> str:
        best = next((epoch for epoch in self.epochs if epoch.epoch == self.best_epoch), None)
        if best is None:
            return "<History of no epoch>"
        kept = f"val loss {best.val_loss:.4f}, val accuracy {best.val_accuracy:.4f}"
        return f"<History of {len(self.epochs)} epochs ({self.stopped}); kept epoch {best.epoch}: {kept}>"

    @property
    def epoch(self) -> list[int]:
        """Numbers of the epochs from 0, as Keras' ``History`` has them."""
        return [one.epoch - 1 for one in self.epochs]

    @property
    def history(self) -> dict[str, list[float]]:
        """What was measured, epoch by epoch, by Keras' names: ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy``.

        Of a multi-label set ``val_map`` too.
        """
        names = ["loss", "accuracy", "val_loss", "val_accuracy"]
        if self.epochs and self.epochs[0].val_map is not None:
            names.append("val_map")
        return {name: [getattr(one, name) for one in self.epochs] for name in names}

    @property
    def tuned(self) -> bool:
        """Whether the network itself was fine-tuned, not only its head."""
        return self.epochs[self.best_epoch - 1].phase != "head"


@dataclass(frozen=True, slots=True)
class BundleManifest:
    """Description of a bundle, and the only source of labels and preprocessing."""

    schema: int
    name: str
    task: Task
    labels: LabelSet
    image: ImageSpec
    model: str
    """Name of the architecture, such as ``resnet``."""
    normalisation: str
    """What the first layers do to uint8 pixels, and why."""
    temperature: float
    decision: Mapping[str, Any]
    provenance: Mapping[str, Any]
    """Data digest, versions, metrics, seed."""
    files: Mapping[str, str]
    """File name to SHA-256."""
    contract: str = ""
    """SHA-256 over labels, task, preprocessing, temperature and decision rule (``core.verification``); empty
    before schema 4."""


@dataclass(frozen=True, slots=True)
class Process:
    """The process that writes a run, to detect whether it is still alive."""

    id: int
    host: str
    """Name of the computer."""
    started: str
    """Its start time in the system's units, to distinguish it from a later process with the same number; may be
    empty."""
    boot: str = ""
    """Identifier of the time since the computer was started; empty: the system has none, or schema 4 and earlier, where
    it is in ``started``."""
    namespace: str = ""
    """Identifier of the container in which ``id`` is unique; may be empty."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """``run.json``: description and state of a run."""

    schema: int
    name: str
    state: Literal["created", "training", "finished", "failed", "interrupted"]
    created: str
    """ISO 8601, UTC."""
    updated: str
    source: str
    """Name of the dataset (not its path)."""
    model: str
    command: str
    seed: int
    versions: Mapping[str, str]
    message: str = ""
    """Why it failed or stopped, in one sentence."""
    results: Mapping[str, Any] = field(default_factory=dict)
    """The results that ``train --json`` prints."""
    process: Process | None = None
    """The process that writes the run, or wrote it last; None: not recorded."""
    resumed: tuple[str, ...] = ()
    """When it was resumed, ISO 8601, UTC; empty: never, or before schema 5."""


def group_numbers(names: Sequence[str | None]) -> NDArray[np.int64] | None:
    """The number of each image's group, shape (n,); an image without one is its own group. None if no image has a
    group.
    """
    if all(name is None for name in names):
        return None
    keys = [f"image {place}" if name is None else f"group {name}" for place, name in enumerate(names)]
    return np.unique(np.array(keys), return_inverse=True)[1].reshape(-1)
