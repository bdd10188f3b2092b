"""Groups of DICOM images by the patient in their headers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from keensight.core.audit import Finding
from keensight.core.decode_limits import reasons
from keensight.core.decoded import Pixels
from keensight.core.parallel import ordered, processors
from keensight.core.records import Dataset
from keensight.errors import DataError, ImageError

PATIENT = "dicom:PatientID"
"""The group, as a user names it."""
_LOOKED_AT = 500
"""Number of images whose patients are counted; those of one patient are usually next to each other."""


def grouped_by_patient(dataset: Dataset) -> Dataset:
    """The dataset with a group for each patient; the groups' names do not tell who that is.

    Raises:
        DataError: it has no DICOM image, or none names its patient.
    """
    rows = _rows(dataset)
    groups = dict(zip(rows, _patients(dataset, rows), strict=True))
    if not any(groups.values()):
        raise DataError(f"no DICOM header of {dataset.name} names a patient", "group by file names with --group-regex")
    samples = tuple(replace(sample, group=groups.get(i)) for i, sample in enumerate(dataset.samples))
    return replace(dataset, samples=samples)


def patients(dataset: Dataset, pixels: Pixels | None) -> list[Finding]:
    """Suggest the patient as the group, where several images are of one and no group is set."""
    rows = _rows(dataset)[:_LOOKED_AT]
    if dataset.reader is None or any(sample.group is not None for sample in dataset.samples):
        return []
    found = Counter(name for name in _patients(dataset, rows) if name)
    several = sum(n for n in found.values() if n > 1)
    if not several:
        return []
    looked_at = (
        f"Of the first {len(rows):,} DICOM images, {several:,}" if len(rows) == _LOOKED_AT else f"{several:,} images"
    )
    message = (
        f"{looked_at} are of a patient with several ({len(found):,} patients): re-run with --group {PATIENT} so that "
        "one patient is never in both training and test set."
    )
    return [Finding("suggested-groups", "warning", message, len(found), suggestion=f"--group {PATIENT}")]


def _rows(dataset: Dataset) -> list[int]:
    return [i for i, sample in enumerate(dataset.samples) if sample.info and sample.info.format == "DICOM"]


def _patients(dataset: Dataset, rows: list[int]) -> Iterable[str | None]:
    if not rows:
        return []
    try:
        from keensight.core.dicom import patient
    except ImportError:  # the headers are remembered from when the extra was installed
        return [None] * len(rows)

    def read(row: int) -> str | None:
        try:
            raw = dataset.load(row)
            with reasons("DICOM"):
                return patient(raw) if isinstance(raw, bytes) else None
        except ImageError:
            return None

    return list(ordered(read, rows, processors()))
