"""The bundle: the model with everything it needs, verified before anything in it is loaded.

A bundle is a folder of ``manifest.json`` (labels, preprocessing, origin, SHA-256 of the other files),
``model.keras``, ``exam.npz``, ``MODEL_CARD.md``, optionally ``model.tflite`` (the light form, which predicts without
TensorFlow), ``subspace.npz`` (OOD detection), ``prototypes.npz`` (for enrolled classes), ``learned.npz`` (fingerprints
of the training images) and ``reference.npz`` (measurements of test images, to notice drift). Digests detect damage and
mix-ups; they do not prove who made the bundle, so what could harm (pickles, foreign code, zip bombs, links) is refused
whatever they say.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keensight.core.drift import Measured
from keensight.core.files import sha256_file, write_bytes, write_json, write_text
from keensight.core.fingerprints import LearnedFrom
from keensight.core.ood import Subspace
from keensight.core.prototypes import Prototypes
from keensight.core.records import BundleManifest
from keensight.core.sanitize import command_without_places
from keensight.core.task import Task
from keensight.core.verification import contract_digest, contract_text, differing, digest_of, plain_manifest
from keensight.core.whole_folders import whole_folder
from keensight.errors import StoreError
from keensight.store.manifest import (
    AGAIN,
    CARD,
    CONTRACTED,
    EXAM,
    LEARNED,
    LIGHT,
    MANIFEST,
    MODEL,
    PROTOTYPES,
    REFERENCE,
    SCHEMA,
    SUBSPACE,
    limits_of,
    read_manifest,
)
from keensight.store.npz import (
    SelfTest,
    read_learned,
    read_prototypes,
    read_reference,
    read_self_test,
    read_subspace,
    write_learned,
    write_prototypes,
    write_reference,
    write_self_test,
    write_subspace,
)
from keensight.store.run import is_run, open_run
from keensight.store.safety import check_model, inside

if TYPE_CHECKING:
    from keensight.core.anomaly_evaluation import AnomalyEvaluation
    from keensight.core.evaluation import Evaluation

__all__ = [
    "CARD",
    "CHECKS",
    "SCHEMA",
    "Bundle",
    "SelfTest",
    "add_evaluation",
    "add_light",
    "bundle_folder",
    "limits_of",
    "open_bundle",
    "read_manifest",
    "write_bundle",
]

_LIMITS = {
    EXAM: 64 << 20,
    CARD: 8 << 20,
    PROTOTYPES: 256 << 20,
    SUBSPACE: 256 << 20,
    LEARNED: 1 << 30,
    LIGHT: 1 << 30,
    REFERENCE: 64 << 20,
}
_LIMIT = 4 << 30
_LITTER = frozenset({"Thumbs.db", "desktop.ini"})
_TRAIN = "train it with Keensight, or export it from a run"
_REFUSED = {
    ".h5": "an old Keras HDF5 file, which can run code when loaded and has no labels",
    ".hdf5": "an old Keras HDF5 file, which can run code when loaded and has no labels",
    ".pkl": "a pickle, which can run any code when loaded",
    ".pickle": "a pickle, which can run any code when loaded",
    ".joblib": "a pickle (joblib), which can run any code when loaded",
    ".pt": "a PyTorch file, which may contain a pickle that runs code when loaded",
    ".pth": "a PyTorch file, which may contain a pickle that runs code when loaded",
    ".pb": "a TensorFlow graph, which can read and write files when run and has no labels",
    ".keras": "a model without its labels and preprocessing, which are in a bundle's manifest",
}


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle's folder and its manifest, after verification.

    Examples:
        >>> bundle = ks.open_bundle(run.bundle_path)
        >>> bundle.manifest.labels.names, bundle.model_path.name
        (('day', 'night'), 'model.keras')
    """

    path: Path
    manifest: BundleManifest

    @property
    def model_path(self) -> Path:
        """The model, in Keras' own format."""
        return self.path / MODEL

    def light(self) -> bytes | None:
        """The light form, which LiteRT runs without TensorFlow; None: the bundle has none (as before schema 6).

        Raises:
            StoreError: the file cannot be read.
        """
        if not self.has_light:
            return None
        try:
            return (self.path / LIGHT).read_bytes()
        except OSError as error:
            raise StoreError(f"{self.path / LIGHT} cannot be read: {error.strerror or error}", AGAIN) from error

    @property
    def has_light(self) -> bool:
        """Whether there is a light form."""
        return LIGHT in self.manifest.files

    @property
    def card_path(self) -> Path:
        """The model card, for people."""
        return self.path / CARD

    def exam(self) -> SelfTest:
        """The images and predictions that the model must reproduce.

        Raises:
            StoreError: the file is damaged.
        """
        return read_self_test(self.path / EXAM, _answers(self.manifest))

    def prototypes(self) -> Prototypes | None:
        """The class means, or None if the bundle has none (as with schema 1).

        Raises:
            StoreError: the file is damaged.
        """
        return _prototypes(self.path, self.manifest)

    def subspace(self) -> Subspace | None:
        """The subspace of training embeddings, or None without OOD detection (as before schema 3).

        Raises:
            StoreError: the file is damaged.
        """
        return _subspace(self.path, self.manifest)

    def learned(self) -> LearnedFrom | None:
        """Fingerprints of the training images; None: not recorded (before schema 4).

        Raises:
            StoreError: the file is damaged.
        """
        return _learned(self.path, self.manifest)

    def reference(self) -> Measured | None:
        """Measurements of test images, to compare new images with; None: there are none (before schema 6).

        Raises:
            StoreError: the file is damaged.
        """
        return _reference(self.path, self.manifest)

    def __repr__(self) -> str:
        manifest = self.manifest
        return f"<Bundle {self.path}: {manifest.model} on {manifest.name}, {len(manifest.labels)} classes>"


def write_bundle(  # noqa: PLR0913 - one a file of the bundle
    directory: Path,
    *,
    manifest: BundleManifest,
    save_model: Callable[[Path], object],
    exam: SelfTest,
    prototypes: Prototypes | None = None,
    subspace: Subspace | None = None,
    learned: LearnedFrom | None = None,
    card: str | None = None,
    light: bytes | None = None,
) -> Bundle:
    """Write a bundle to a temporary folder, check it, and then move it into place: it is complete or absent.

    Args:
        directory: Its folder; must not exist, or be empty.
        manifest: The manifest; ``files`` and ``contract`` are filled in.
        save_model: Writes the model to the path it gets (``keras_model.save``).
        exam: Images and the model's predictions.
        prototypes: Class means; None: no class can be added.
        subspace: The subspace of training embeddings; None: no image is rejected as unlike them.
        learned: Marks of the images that the model learned from; None: not known.
        card: Text of ``MODEL_CARD.md``; None: made from the manifest.
        light: The light form; None: the model runs on Keras alone.

    Raises:
        StoreError: the folder is taken, the disk refuses, or what was written is no valid bundle.
    """
    from keensight.store.model_card import model_card

    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise StoreError(f"{directory} already exists", "choose another folder; nothing is ever overwritten")
    manifest = _without_places(manifest)
    manifest = dataclasses.replace(manifest, schema=SCHEMA, contract=contract_digest(manifest))
    with whole_folder(directory) as folder:
        save_model(folder / MODEL)
        write_self_test(folder / EXAM, dataclasses.replace(exam, contract=contract_text(manifest)))
        if prototypes is not None:
            write_prototypes(folder / PROTOTYPES, prototypes)
        if subspace is not None:
            write_subspace(folder / SUBSPACE, subspace)
        if learned is not None:
            write_learned(folder / LEARNED, learned)
        if light is not None:
            write_bytes(folder / LIGHT, light)
        _describe(folder, manifest, card or model_card(manifest, refuses=subspace is not None))
        checked = open_bundle(folder)
    return Bundle(directory, checked.manifest)


def _without_places(manifest: BundleManifest) -> BundleManifest:
    """The manifest without absolute paths in its command."""
    command = manifest.provenance.get("command")
    if not isinstance(command, str):
        return manifest
    provenance = {**manifest.provenance, "command": command_without_places(command)}
    return dataclasses.replace(manifest, provenance=provenance)


def add_evaluation(
    bundle: Bundle, evaluation: Evaluation | AnomalyEvaluation, reference: Measured | None = None
) -> Bundle:
    """Add the evaluation to a bundle's manifest (``provenance["metrics"]``) and model card.

    Args:
        bundle: The bundle.
        evaluation: On its test set.
        reference: Measurements of its test images, which new images can be compared with; None: there are none.

    Returns:
        The bundle with its new manifest; model and self-test are unchanged.

    Raises:
        StoreError: the bundle cannot be read or written.
    """
    from keensight.store.model_card import model_card

    provenance = {**bundle.manifest.provenance, "metrics": {"part": evaluation.part, **evaluation.headline()}}
    manifest = dataclasses.replace(bundle.manifest, provenance=provenance)
    card = model_card(manifest, evaluation, refuses=SUBSPACE in manifest.files)

    def add(folder: Path) -> None:
        if reference is not None:
            write_reference(folder / REFERENCE, reference)
        _describe(folder, manifest, card)

    return _rewritten(bundle, add)


def add_light(bundle: Bundle, light: bytes) -> Bundle:
    """Add a light form to a bundle, or replace the one that it has; the bundle is then of the current schema.

    Raises:
        StoreError: the bundle cannot be read or written.
    """
    manifest = bundle.manifest
    manifest = dataclasses.replace(manifest, schema=SCHEMA, contract=contract_digest(manifest))

    def add(folder: Path) -> None:
        write_bytes(folder / LIGHT, light)
        write_self_test(folder / EXAM, dataclasses.replace(bundle.exam(), contract=contract_text(manifest)))
        _describe(folder, manifest, bundle.card_path.read_text(encoding="utf-8"))

    return _rewritten(bundle, add)


def _rewritten(bundle: Bundle, change: Callable[[Path], None]) -> Bundle:
    """A copy of a bundle's folder, changed and checked, in its place."""
    place = bundle.path.resolve()
    with whole_folder(place, replace=True) as folder:
        for name in bundle.manifest.files:
            shutil.copy2(place / name, folder / name)
        change(folder)
        checked = open_bundle(folder)
    return Bundle(bundle.path, checked.manifest)


def open_bundle(path: str | Path, passed: Callable[[str], object] = lambda check: None) -> Bundle:
    """Open a bundle, or the bundle of a run, after checking all of it; nothing is loaded.

    In this order: manifest, schema, labels and preprocessing, list of files, sizes, SHA-256, the model's archive and
    configuration, the self-test and its contract, the class means, the subspace, the fingerprints.

    Args:
        path: The folder of a bundle or of a run.
        passed: Called with the name of each of ``CHECKS`` that passed.

    Raises:
        StoreError: it is not a bundle, is damaged, is of a newer version, or could do harm.

    Examples:
        >>> ks.open_bundle("runs/first").manifest.image.shape
        (16, 16, 3)
    """
    folder = bundle_folder(path)
    manifest = read_manifest(folder / MANIFEST)
    passed(CHECKS[0])
    for name, check in _CHECKS.items():
        check(folder, manifest)
        passed(name)
    return Bundle(folder, manifest)


def bundle_folder(path: str | Path) -> Path:
    """The bundle's folder, given that folder or that of its run.

    Raises:
        StoreError: there is none, or it is a link to somewhere else.
    """
    path = Path(path)
    if not path.exists():
        raise StoreError(f"there is no run or bundle {path}", "`keensight runs` lists the runs there are")
    if path.is_file():
        kind = _REFUSED.get(path.suffix.lower(), "a file, not the folder of a run or bundle")
        hint = "give its folder" if (path.parent / MANIFEST).is_file() else _TRAIN
        raise StoreError(f"{path} is {kind}", hint)
    if (path / MANIFEST).is_file():
        return path
    if is_run(path):
        if (path / "bundle" / MANIFEST).is_file():
            return inside(path, "bundle")
        run = open_run(path)
        why = f": {run.record.message}" if run.record.message else ""
        raise StoreError(f"the run {path} has no bundle: its state is {run.state}{why}", run.next_step or "train again")
    if (path / "saved_model.pb").is_file():
        raise StoreError(f"{path} is a TensorFlow SavedModel, which has no labels", _TRAIN)
    raise StoreError(f"{path} is neither a run nor a bundle", "give a folder with run.json or manifest.json")


def _answers(manifest: BundleManifest) -> int:
    """Number of outputs per image: one probability per class, or one score."""
    return 1 if manifest.task == Task.ANOMALY else len(manifest.labels)


def _prototypes(folder: Path, manifest: BundleManifest) -> Prototypes | None:
    if PROTOTYPES not in manifest.files:
        return None
    return read_prototypes(folder / PROTOTYPES, len(manifest.labels))


def _subspace(folder: Path, manifest: BundleManifest) -> Subspace | None:
    return read_subspace(folder / SUBSPACE) if SUBSPACE in manifest.files else None


def _learned(folder: Path, manifest: BundleManifest) -> LearnedFrom | None:
    return read_learned(folder / LEARNED) if LEARNED in manifest.files else None


def _reference(folder: Path, manifest: BundleManifest) -> Measured | None:
    return read_reference(folder / REFERENCE, len(manifest.labels)) if REFERENCE in manifest.files else None


def _check_contract(folder: Path, manifest: BundleManifest) -> None:
    """Compare the manifest with the contract of the self-test."""
    tested = read_self_test(folder / EXAM, _answers(manifest)).contract
    if not tested and manifest.schema < CONTRACTED:
        return
    problem = ", ".join(differing(manifest, tested)) if tested else "the self-test has none"
    if not problem and manifest.contract != digest_of(tested):
        problem = "their digest differs"
    if problem:
        raise StoreError(
            f"the labels, preprocessing or decision rule in {folder / MANIFEST} differ from those of the self-test: "
            f"{problem}",
            AGAIN,
        )


def _check_files(folder: Path, manifest: BundleManifest) -> None:
    try:
        present = {item.name for item in folder.iterdir() if not _is_litter(item.name)} - {MANIFEST}
        _check_list(folder, present, set(manifest.files))
        for name in (MANIFEST, *manifest.files):
            if (folder / name).is_symlink():
                raise StoreError(f"{folder / name} is a link, but a bundle must contain its files", AGAIN)
        for name, digest in manifest.files.items():
            _check_file(folder / name, digest)
    except OSError as error:
        raise StoreError(f"{folder} cannot be read: {error.strerror or error}", "check its permissions") from error


_CHECKS: dict[str, Callable[[Path, BundleManifest], object]] = {
    "files and SHA-256": _check_files,
    "model file": lambda folder, _: check_model(folder / MODEL),
    "labels, preprocessing and decision rule": _check_contract,
    "class means": _prototypes,
    "out-of-distribution rule": _subspace,
    "training fingerprints": _learned,
    "reference measurements": _reference,
}
CHECKS = ("manifest", *_CHECKS)
"""The checks of :func:`open_bundle`, in order."""


def _check_list(folder: Path, present: set[str], listed: set[str]) -> None:
    if missing := sorted(listed - present):
        raise StoreError(f"{folder} lacks {', '.join(missing)}", AGAIN)
    if extra := sorted(present - listed):
        raise StoreError(
            f"{folder} contains files that its manifest does not list: {', '.join(map(repr, extra[:5]))}", AGAIN
        )


def _check_file(path: Path, digest: str) -> None:
    if path.suffix.lower() in _REFUSED and path.name != MODEL:
        raise StoreError(f"{path} is {_REFUSED[path.suffix.lower()]}", AGAIN)
    if not path.is_file():  # a device or a pipe would be read forever
        raise StoreError(f"{path} is not a regular file", AGAIN)
    size, limit = path.stat().st_size, _LIMITS.get(path.name, _LIMIT)
    if size > limit:
        raise StoreError(f"{path} has {size:,} bytes, more than {limit:,}", AGAIN)
    if sha256_file(path) != digest:
        raise StoreError(f"{path} was changed or is damaged: checksum mismatch (SHA-256)", AGAIN)


def _is_litter(name: str) -> bool:
    """Files that operating systems leave in folders; they are ignored."""
    return name.startswith(".") or name in _LITTER


def _describe(folder: Path, manifest: BundleManifest, card: str) -> None:
    """Write the card, and the manifest last: it describes every other file."""
    write_text(folder / CARD, card)
    files = {item.name: sha256_file(item) for item in sorted(folder.iterdir()) if item.name != MANIFEST}
    write_json(folder / MANIFEST, plain_manifest(dataclasses.replace(manifest, files=files)))
