"""The record that is stored beside an exported network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from keensight.core.codec import to_plain
from keensight.core.files import canonical_json, sha256_text
from keensight.core.parity import Parity
from keensight.core.records import ImageSpec
from keensight.core.task import Task

SIDECAR, READER, DECODER, SUBSPACE = "export.json", "reader.py", "pixels.py", "subspace.npz"
SELF_TEST = "self_test"
"""Folder with the images of the self-test."""
SCHEMA = 1
"""Number of the layout of ``export.json``."""


@dataclass(frozen=True, slots=True)
class Output:
    """An output of an exported network, float32."""

    name: str
    """``probabilities``, ``embedding``, or of an anomaly detector ``levels``."""
    shape: tuple[int, ...]
    """Of one image."""


@dataclass(frozen=True, slots=True)
class ExampleImage:
    """An image of the self-test and what the model, and its export, gave for it."""

    file: str
    label: str
    """The most probable class, the labels with ``|`` between, or ``anomalous`` or ``normal``."""
    original: tuple[float, ...]
    """Probabilities by the model that was evaluated, in the order of the labels; of a detector its score."""
    exported: tuple[float, ...]
    """The same by the export, when it was made."""


@dataclass(frozen=True, slots=True)
class ExportRecord:
    """``export.json``: everything besides the network that a prediction needs, and how well it is known to work."""

    schema: int
    format: str
    file: str
    """The network, relative to the folder of the export."""
    name: str
    """Name of the image set that the model was trained on."""
    model: str
    """Name of the architecture."""
    task: Task
    labels: tuple[str, ...]
    """Class names in the order of the probabilities."""
    image: ImageSpec
    """How an image becomes the input."""
    outputs: tuple[Output, ...]
    """In the order in which the runtime gives them, if it does not know names. The input is called ``images``: uint8
    (n, height, width, 3), RGB."""
    decision: Mapping[str, Any]
    """The decision rule: thresholds, abstention, prediction sets."""
    out_of_distribution: str | None
    """File with the rule for out-of-distribution images; None: there is no rule."""
    fractions: tuple[float, ...]
    """Of an anomaly detector: which fraction of the patches is averaged, by level; else empty."""
    self_test: tuple[ExampleImage, ...]
    parity: Parity
    metrics: Mapping[str, Any]
    """Test results of the model that was exported, with confidence intervals and ``caveats``."""
    versions: Mapping[str, str]
    contract: str
    """SHA-256 of labels, preprocessing and decision rule in the bundle."""
    files: Mapping[str, str]
    """Each other file of the export and its SHA-256."""
    digest: str = ""
    """SHA-256 of this record without this field."""

    def sealed(self) -> ExportRecord:
        """The record with its digest."""
        return replace(self, digest=digest_of(to_plain(self)))


def digest_of(plain: Mapping[str, Any]) -> str:
    """SHA-256 of the plain values of a record, without its digest."""
    return sha256_text(canonical_json({name: value for name, value in plain.items() if name != "digest"}))


@dataclass(frozen=True, slots=True)
class Exported:
    """An export on disk.

    Examples:
        >>> made = ks.export(run, to="litert", out="exports/first")
        >>> made.file.name, made.parity.ok
        ('model.tflite', True)
    """

    path: Path
    """Its folder."""
    record: ExportRecord = field(repr=False)
    size: int = 0
    """Size of the network in bytes."""

    @property
    def file(self) -> Path:
        """The network."""
        return self.path / self.record.file

    @property
    def parity(self) -> Parity:
        """How closely it reproduces the model."""
        return self.record.parity

    def sentence(self) -> str:
        """The result in one sentence."""
        found = self.parity
        compared = f"{found.self_test} self-test and {found.held_out:,} test images"
        told = (
            f"{self.path}: {self.record.format}, {self.size / 2**20:.1f} MiB; on {compared} the largest difference of "
            f"an output is {found.largest:.2g}, agreement of predictions {found.agreement:.4f}"
        )
        return "; ".join(part for part in (told, found.doubt()) if part)
