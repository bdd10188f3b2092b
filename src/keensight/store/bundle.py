"""The bundle: the artefact that is measured and shipped. Looked through before anything in it is loaded.

A bundle is a folder of ``manifest.json`` (labels, preprocessing, origin, SHA-256 of the other files),
``model.keras``, ``exam.npz``, ``MODEL_CARD.md`` and, where it can tell images unlike the training images,
``subspace.npz``, where classes can be enrolled, ``prototypes.npz``, and where it is known what the model learned from,
``learned.npz``. Digests find damage and mix-ups; they do not prove who made the bundle, so what could harm (pickles,
foreign code, zip bombs) is refused whatever they say.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keensight.core.anomaly import TASK as ANOMALY
from keensight.core.anomaly import AnomalyEvaluation, Limits
from keensight.core.certainty import Decision
from keensight.core.codec import from_plain, to_plain
from keensight.core.evaluation import Evaluation
from keensight.core.files import sha256_file, storing, write_json, write_text
from keensight.core.learned import LearnedFrom
from keensight.core.nearest import RULE
from keensight.core.ood import Subspace
from keensight.core.places import command_without_places
from keensight.core.records import BundleManifest, ImageSpec, Prototypes
from keensight.errors import StoreError
from keensight.store.archive import check_model
from keensight.store.card import model_card
from keensight.store.exam import Exam, read_exam, write_exam
from keensight.store.learned import read_learned, write_learned
from keensight.store.ood import read_subspace, write_subspace
from keensight.store.opening import read_versioned
from keensight.store.prototypes import read_prototypes, write_prototypes

__all__ = [
    "CARD",
    "SCHEMA",
    "Bundle",
    "Exam",
    "add_evaluation",
    "limits_of",
    "open_bundle",
    "read_manifest",
    "write_bundle",
]

SCHEMA = 5
"""Number of the layout of a bundle that this version writes; 2: there may be class means and enrolled classes; 3: and a
rule for answers (``decision["answers"]``) and ``subspace.npz``; 4: and ``learned.npz``; 5: and in ``image``
the intensity scale of images of more than 8 bits."""
_MANIFEST, _MODEL, _EXAM = "manifest.json", "model.keras", "exam.npz"
CARD = "MODEL_CARD.md"
"""Name of the model card."""
_PROTOTYPES, _SUBSPACE, _LEARNED = "prototypes.npz", "subspace.npz", "learned.npz"
_TASKS = ("single-label", "multilabel", ANOMALY)
_REQUIRED = (_MODEL, _EXAM, CARD)
_LIMITS = {
    _MANIFEST: 8 << 20, _EXAM: 64 << 20, CARD: 8 << 20, _PROTOTYPES: 256 << 20, _SUBSPACE: 256 << 20,
    _LEARNED: 1 << 30,
}  # fmt: skip
_LIMIT = 4 << 30
_LITTER = frozenset({"Thumbs.db", "desktop.ini"})
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_AGAIN = "the bundle is damaged or was changed: get it again from where it was made"
_TRAIN = "train it with Keensight, or export it from a run"
_REFUSED = {
    ".h5": "an old Keras HDF5 file, which can run code when it is loaded and names no labels",
    ".hdf5": "an old Keras HDF5 file, which can run code when it is loaded and names no labels",
    ".pkl": "a pickle, which runs whatever code it likes when it is loaded",
    ".pickle": "a pickle, which runs whatever code it likes when it is loaded",
    ".joblib": "a pickle (joblib), which runs whatever code it likes when it is loaded",
    ".pt": "a PyTorch file, which may hold a pickle that runs code when it is loaded",
    ".pth": "a PyTorch file, which may hold a pickle that runs code when it is loaded",
    ".pb": "a TensorFlow graph, which can read and write files when it runs and names no labels",
    ".keras": "a model without its labels and preprocessing, which come from a bundle's manifest",
}


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle's folder and its manifest, once they have been checked."""

    path: Path
    manifest: BundleManifest

    @property
    def model_path(self) -> Path:
        """The model, in Keras' own format."""
        return self.path / _MODEL

    @property
    def card_path(self) -> Path:
        """The model card, for people."""
        return self.path / CARD

    def exam(self) -> Exam:
        """The images and answers that the model must reproduce.

        Raises:
            StoreError: the file is damaged.
        """
        return read_exam(self.path / _EXAM, _answers(self.manifest))

    def prototypes(self) -> Prototypes | None:
        """The class means, or None where the bundle has none (those of schema 1 never have).

        Raises:
            StoreError: the file is damaged.
        """
        return _prototypes(self.path, self.manifest)

    def subspace(self) -> Subspace | None:
        """Where training embeddings lie, or None where the bundle cannot tell (those before schema 3 never can).

        Raises:
            StoreError: the file is damaged.
        """
        return _subspace(self.path, self.manifest)

    def learned(self) -> LearnedFrom | None:
        """Marks of the images that the model learned from; None: the bundle does not record them (before schema 4).

        Raises:
            StoreError: the file is damaged.
        """
        return _learned(self.path, self.manifest)

    def __repr__(self) -> str:
        manifest = self.manifest
        return f"<Bundle {self.path}: {manifest.model} on {manifest.name}, {len(manifest.labels)} classes>"


def write_bundle(
    directory: Path,
    *,
    manifest: BundleManifest,
    save_model: Callable[[Path], object],
    exam: Exam,
    prototypes: Prototypes | None = None,
    subspace: Subspace | None = None,
    learned: LearnedFrom | None = None,
    card: str | None = None,
) -> Bundle:
    """Write a bundle beside its place, look it through, and only then move it there: it is whole or absent.

    Args:
        directory: Its folder; must not exist, or be empty.
        manifest: What it says of itself; ``files`` is filled in here.
        save_model: Writes the model to the path it gets (``keras_model.save``).
        exam: Images and the answers that the model gave.
        prototypes: Class means; None: no class can be enrolled.
        subspace: Where training embeddings lie; None: no image is refused as unlike them.
        learned: Marks of the images that the model learned from; None: not known.
        card: Text of ``MODEL_CARD.md``; None: made from the manifest.

    Raises:
        StoreError: the folder is taken, the disk refuses, or what was written is no valid bundle.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise StoreError(f"{directory} exists already", "choose another folder; nothing is ever overwritten")
    manifest = _without_places(manifest)
    with _beside(directory) as folder:
        save_model(folder / _MODEL)
        write_exam(folder / _EXAM, exam)
        if prototypes is not None:
            write_prototypes(folder / _PROTOTYPES, prototypes)
        if subspace is not None:
            write_subspace(folder / _SUBSPACE, subspace)
        if learned is not None:
            write_learned(folder / _LEARNED, learned)
        _describe(folder, manifest, card or model_card(manifest, refuses=subspace is not None))
        checked = open_bundle(folder)
        if directory.exists():
            directory.rmdir()
        folder.rename(directory)
    return Bundle(directory, checked.manifest)


def _without_places(manifest: BundleManifest) -> BundleManifest:
    """A manifest whose command names no place on this machine."""
    command = manifest.provenance.get("command")
    if not isinstance(command, str):
        return manifest
    provenance = {**manifest.provenance, "command": command_without_places(command)}
    return dataclasses.replace(manifest, provenance=provenance)


def add_evaluation(bundle: Bundle, evaluation: Evaluation | AnomalyEvaluation) -> Bundle:
    """Put the figures that a bundle reached into its manifest (``provenance["metrics"]``) and its model card.

    Returns:
        The bundle with its new manifest; model and exam are as they were.

    Raises:
        StoreError: the bundle cannot be read or written.
    """
    provenance = {**bundle.manifest.provenance, "metrics": {"part": evaluation.part, **evaluation.headline()}}
    manifest = dataclasses.replace(bundle.manifest, provenance=provenance)
    place = bundle.path.resolve()
    with _beside(place) as folder:
        for name in bundle.manifest.files:
            shutil.copy2(place / name, folder / name)
        _describe(folder, manifest, model_card(manifest, evaluation, refuses=_SUBSPACE in bundle.manifest.files))
        checked = open_bundle(folder)
        _swap(folder, place)
    return Bundle(bundle.path, checked.manifest)


def open_bundle(path: str | Path) -> Bundle:
    """Open a bundle, or the bundle of a run, after checking all of it; nothing is loaded.

    In this order: manifest, schema, labels and preprocessing, list of files, sizes, SHA-256, the model's
    archive and what its configuration names, the exam, the class means, the subspace, what it learned from.

    Args:
        path: The folder of a bundle or of a run.

    Raises:
        StoreError: it is no bundle, is damaged, is of a newer version, or could do harm.
    """
    folder = _folder(Path(path))
    manifest = read_manifest(folder / _MANIFEST)
    _check_files(folder, manifest)
    check_model(folder / _MODEL)
    read_exam(folder / _EXAM, _answers(manifest))
    _prototypes(folder, manifest)
    _subspace(folder, manifest)
    _learned(folder, manifest)
    return Bundle(folder, manifest)


def read_manifest(path: Path) -> BundleManifest:
    """Read and check a ``manifest.json`` by itself.

    Raises:
        StoreError: it is missing, damaged, of a newer schema, or says what cannot be.
    """
    manifest = read_versioned(path, BundleManifest, newest=SCHEMA, limit=_LIMITS[_MANIFEST])
    image = manifest.image
    newest = ImageSpec(1, 1).decoder
    problems = {
        f"its task is {manifest.task!r}, which this version does not know": manifest.task not in _TASKS,
        f"it names {len(manifest.labels)} classes, fewer than 2": len(manifest.labels) < 2,
        "a class has no name": not all(manifest.labels.names),
        f"its images are {image.width} by {image.height} px": not (
            1 <= image.width <= 4096 and 1 <= image.height <= 4096
        ),
        f"its decoder is version {image.decoder}, this one is {newest}": not 1 <= image.decoder <= newest,
        f"its intensity scale runs from {image.black} to {image.intensity}": not (
            image.intensity is None or -math.inf < image.black < image.intensity < math.inf
        ),
        f"its temperature is {manifest.temperature}": not 0 < manifest.temperature < math.inf,
        "it does not give each label a threshold from 0 to 1": (
            manifest.task == "multilabel" and not _are_thresholds(manifest.decision.get("thresholds"), manifest)
        ),
        "its rule for answers holds what cannot be": not _is_rule(manifest),
        "it does not say from where on an image is anomalous": manifest.task == ANOMALY and not _has_limits(manifest),
        f"its rule is {RULE!r}, but it lists no {_PROTOTYPES}": (
            manifest.decision.get("rule") == RULE and _PROTOTYPES not in manifest.files
        ),
        "its list of files holds something else than names and SHA-256": not all(
            _NAME.fullmatch(name) and _DIGEST.fullmatch(digest) for name, digest in manifest.files.items()
        ),
        f"it does not list {', '.join(_REQUIRED)}": not set(_REQUIRED) <= manifest.files.keys(),
    }
    for problem, found in problems.items():
        if found:
            raise StoreError(f"{path} is no valid manifest: {problem}", _AGAIN)
    return manifest


def _are_thresholds(found: Any, manifest: BundleManifest) -> bool:
    return (
        isinstance(found, list)
        and len(found) == len(manifest.labels)
        and all(isinstance(value, float) and 0 <= value <= 1 for value in found)
    )


def _is_rule(manifest: BundleManifest) -> bool:
    try:
        return Decision.from_manifest(manifest.decision).valid()
    except (StoreError, AttributeError):
        return False


def _folder(path: Path) -> Path:
    if not path.exists():
        raise StoreError(f"there is no run or bundle {path}", "`keensight runs` lists the runs there are")
    if path.is_file():
        kind = _REFUSED.get(path.suffix.lower(), "a file, not the folder of a run or a bundle")
        hint = "give the folder that holds it" if (path.parent / _MANIFEST).is_file() else _TRAIN
        raise StoreError(f"{path} is {kind}", hint)
    if (path / _MANIFEST).is_file():
        return path
    if (path / "run.json").is_file():
        if (path / "bundle" / _MANIFEST).is_file():
            return path / "bundle"
        raise StoreError(f"the run {path} has no bundle: it did not get that far", "wait until it is finished")
    if (path / "saved_model.pb").is_file():
        raise StoreError(f"{path} is a TensorFlow SavedModel, which names no labels", _TRAIN)
    raise StoreError(f"{path} is neither a run nor a bundle", "give a folder that holds run.json or manifest.json")


def _answers(manifest: BundleManifest) -> int:
    """Numbers that the model gives for an image: a probability a class, or one score."""
    return 1 if manifest.task == ANOMALY else len(manifest.labels)


def limits_of(manifest: BundleManifest) -> Limits:
    """From where on an image is anomalous, as the manifest of such a bundle says.

    Raises:
        StoreError: it does not.
    """
    return from_plain(Limits, manifest.decision.get("limits"))


def _has_limits(manifest: BundleManifest) -> bool:
    try:
        found = limits_of(manifest)
        return all(0 < value < math.inf for value in (found.threshold, found.patch))
    except (StoreError, AttributeError, TypeError):
        return False


def _prototypes(folder: Path, manifest: BundleManifest) -> Prototypes | None:
    if _PROTOTYPES not in manifest.files:
        return None
    return read_prototypes(folder / _PROTOTYPES, len(manifest.labels))


def _subspace(folder: Path, manifest: BundleManifest) -> Subspace | None:
    return read_subspace(folder / _SUBSPACE) if _SUBSPACE in manifest.files else None


def _learned(folder: Path, manifest: BundleManifest) -> LearnedFrom | None:
    return read_learned(folder / _LEARNED) if _LEARNED in manifest.files else None


def _check_files(folder: Path, manifest: BundleManifest) -> None:
    try:
        present = {item.name for item in folder.iterdir() if not _is_litter(item.name)} - {_MANIFEST}
        _check_list(folder, present, set(manifest.files))
        for name, digest in manifest.files.items():
            _check_file(folder / name, digest)
    except OSError as error:
        raise StoreError(f"{folder} cannot be read: {error.strerror or error}", "check its permissions") from error


def _check_list(folder: Path, present: set[str], listed: set[str]) -> None:
    if missing := sorted(listed - present):
        raise StoreError(f"{folder} lacks {', '.join(missing)}", _AGAIN)
    if extra := sorted(present - listed):
        raise StoreError(
            f"{folder} holds files that its manifest does not list: {', '.join(map(repr, extra[:5]))}", _AGAIN
        )


def _check_file(path: Path, digest: str) -> None:
    if path.suffix.lower() in _REFUSED and path.name != _MODEL:
        raise StoreError(f"{path} is {_REFUSED[path.suffix.lower()]}", _AGAIN)
    if not path.is_file():  # a device or a pipe would be read forever
        raise StoreError(f"{path} is no regular file", _AGAIN)
    size, limit = path.stat().st_size, _LIMITS.get(path.name, _LIMIT)
    if size > limit:
        raise StoreError(f"{path} has {size:,} bytes, more than {limit:,}", _AGAIN)
    if sha256_file(path) != digest:
        raise StoreError(f"{path} is not the file that the manifest describes: its SHA-256 differs", _AGAIN)


def _is_litter(name: str) -> bool:
    """Files that systems leave in folders; nothing ever reads them."""
    return name.startswith(".") or name in _LITTER


def _describe(folder: Path, manifest: BundleManifest, card: str) -> None:
    """Write the card, and the manifest last: it describes every other file."""
    write_text(folder / CARD, card)
    files = {item.name: sha256_file(item) for item in sorted(folder.iterdir()) if item.name != _MANIFEST}
    write_json(folder / _MANIFEST, to_plain(dataclasses.replace(manifest, schema=SCHEMA, files=files)))


def _swap(new: Path, place: Path) -> None:
    """Put ``new`` in the place of an older folder; if that fails, the older one is back."""
    old = new.with_name(f"{new.name}.old")
    place.rename(old)
    try:
        new.rename(place)
    except BaseException:
        old.rename(place)
        raise
    shutil.rmtree(old)


@contextmanager
def _beside(directory: Path) -> Iterator[Path]:
    """A new folder next to ``directory``, removed unless it has been moved away."""
    directory = Path(os.path.abspath(directory))  # noqa: PTH100 - keeps symbolic links, as Path.resolve would not
    folder = directory.with_name(f".{directory.name}.{secrets.token_hex(4)}")
    with storing(directory):
        try:
            folder.mkdir(parents=True)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
