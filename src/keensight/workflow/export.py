"""Export a model to another format, and let nothing through that does not predict as the model does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.anomaly import FRACTIONS
from keensight.core.codec import to_plain
from keensight.core.export_formats import FORMATS, ExportFormat
from keensight.core.exports import (
    SCHEMA,
    SELF_TEST,
    SUBSPACE,
    ExampleImage,
    Exported,
    ExportRecord,
    Output,
)
from keensight.core.files import check_writable, write_bytes
from keensight.core.parity import Parity
from keensight.core.pixels import probe
from keensight.core.predictions import Decision
from keensight.core.progress import Progress
from keensight.core.records import BundleManifest
from keensight.core.task import Task
from keensight.errors import GateError, UsageError
from keensight.workflow.engines import opened
from keensight.workflow.export_html import page_maker
from keensight.workflow.export_images import Material, material
from keensight.workflow.parity import Found, by_export, by_model, label_of, self_test_pixels, table
from keensight.workflow.progress import shown
from keensight.workflow.steps import Source

if TYPE_CHECKING:
    from keensight.nets.classifier import Classifier
    from keensight.nets.detector import Detector
    from keensight.store.bundle import Bundle, SelfTest
    from keensight.store.run import Run

HTML = "html"


def export(
    model: str | Path | Run,
    to: str,
    *,
    out: str | Path | None = None,
    data: Source | None = None,
    replace: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write a model in another format, with a record, a self-test and a reader that needs no Keensight.

    The network takes raw pixels, uint8 (n, height, width, 3), and gives calibrated probabilities and the embedding (of
    a detector, the scores of patches); scaling, temperature, softmax or sigmoid and test-time augmentation are inside.
    What was written is opened with the format's own runtime and must predict as the model does, on the self-test and up
    to 500 test images (:mod:`keensight.assess.parity`); otherwise nothing is written.

    Args:
        model: A run or a bundle.
        to: ``keras``, ``savedmodel``, ``onnx``, ``litert``, ``litert-fp16``, ``litert-int8``, ``openvino`` or ``html``
            (one file that predicts in a browser).
        out: Folder of the export; None: ``exports/FORMAT`` in the run, or beside the bundle.
        data: The image set that the model was trained on; None: where the run was trained on it, if it is still there.
        replace: Replace an export that is already there.
        progress: Where to report.

    Raises:
        UsageError: there is no such format, its packages are missing, or the model cannot be exported to it.
        StoreError: the place is taken or cannot be written, or the format lacks an operation of the network.
        GateError: the export does not predict as the model does; nothing was written.

    Examples:
        >>> made = ks.export(run, to="litert", out="exports/phone")
        >>> made.file.name, made.parity.agreement
        ('model.tflite', 1.0)
    """
    from keensight.nets.export.formats import check_packages
    from keensight.store.bundle import open_bundle
    from keensight.store.export import check_place, write_export

    kind, path = FORMATS[to], model if isinstance(model, (str, Path)) else model.path
    bundle = open_bundle(path)
    check_packages(kind)
    _check_exportable(kind, bundle)
    place = Path(out) if out is not None else bundle.path.parent / "exports" / kind.name
    check_place(place, replace)
    check_writable(place, folder=True)
    progress = shown(progress)
    page = page_maker(bundle, progress) if kind.name == HTML else None
    work = _Work(kind, bundle, material(kind, bundle, Path(path), data, progress), progress, page)
    return write_export(place, work.fill, work.files)


def _check_exportable(kind: ExportFormat, bundle: Bundle) -> None:
    """Refuse what a format cannot hold."""
    manifest = bundle.manifest
    if manifest.decision.get("enrolled") and kind.name != HTML:
        raise UsageError(
            f"{bundle.path} has classes that were added without training: they are outside the network",
            "use the bundle itself or --to html, or train with those classes and export that model",
        )
    if kind.precision == "int8" and manifest.task == Task.ANOMALY:
        raise UsageError(
            f"an anomaly detector cannot be exported as {kind.name}: its distances need floating point",
            "use litert or litert-fp16",
        )


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """One export being made."""

    kind: ExportFormat
    bundle: Bundle
    material: Material
    progress: Progress
    page: Callable[[bytes], bytes] | None = None
    """Makes an HTML file of a network."""

    def fill(self, folder: Path) -> ExportRecord:
        """Write the network into a folder and compare it.

        Raises:
            GateError: it may not be used.
        """
        from keensight.nets.export.formats import open_network, write_network
        from keensight.store.export import network_size

        manifest, file = self.bundle.manifest, folder / self.kind.file
        model = opened(self.bundle, "keras")
        self.progress.say(f"exporting to {self.kind.name}")
        names = write_network(self.kind, model, file, self.material.calibration)
        if self.page is not None:
            write_bytes(file, self.page(file.read_bytes()))
        run = open_network(self.kind, file, names)
        exam = self.bundle.exam()
        images = np.concatenate([self_test_pixels(exam.images, manifest.image), self.material.held_out])
        original, exported = by_model(model, images), by_export(run, images, manifest, self.bundle.subspace())
        parity = self._compared(
            original, exported, len(exam.images), _float_size(self.bundle, model) / network_size(file)
        )
        for line in table(parity):
            self.progress.say(line)
        if not parity.ok:
            raise GateError(
                f"the {self.kind.name} export was not written, because it does not predict as the model does: "
                f"{parity.refusal()}",
                "export to another format; docs/export.md compares them",
            )
        outputs = tuple(Output(name, one.shape[1:]) for name, one in zip(names, run(images[:1]), strict=True))
        return self._record(parity, outputs, exam, exported.outputs)

    def _compared(self, original: Found, exported: Found, self_test: int, smaller: float) -> Parity:
        from keensight.assess.parity import Outputs, compare

        manifest, material = self.bundle.manifest, self.material
        thresholds = manifest.decision.get("thresholds")
        outputs = Outputs(
            original.outputs, exported.outputs, self_test, material.truth, manifest.labels.names,
            tuple(thresholds) if thresholds else None, material.groups,
            None if original.refused is None or exported.refused is None else (original.refused, exported.refused),
        )  # fmt: skip
        return compare(outputs, self.kind.precision, smaller, material.note)

    def _record(
        self, parity: Parity, outputs: tuple[Output, ...], exam: SelfTest, exported: NDArray[np.float32]
    ) -> ExportRecord:
        from keensight.workflow.bundle import versions

        manifest = self.bundle.manifest
        anomaly = manifest.task == Task.ANOMALY
        levels = outputs[0].shape[-1] if anomaly else 0
        return ExportRecord(
            schema=SCHEMA,
            format=self.kind.name,
            file=self.kind.file,
            name=manifest.name,
            model=manifest.model,
            task=manifest.task,
            labels=manifest.labels.names,
            image=manifest.image,
            outputs=outputs,
            decision=_rule(manifest),
            out_of_distribution=SUBSPACE if self.bundle.subspace() is not None else None,
            fractions=FRACTIONS[:levels],
            self_test=tuple(
                ExampleImage(_file_name(place, image), label_of(row, manifest), _floats(row), _floats(exported[place]))
                for place, (image, row) in enumerate(zip(exam.images, exam.probabilities, strict=True))
            ),
            parity=parity,
            metrics=manifest.provenance.get("metrics", {}),
            versions=versions(),
            contract=manifest.contract,
            files={},
        )

    def files(self, record: ExportRecord) -> Mapping[str, bytes]:
        """The other files of the export: name to content."""
        from keensight.nets.export.reader import reader_files

        readers = {} if self.page is not None else reader_files(self.kind, record.task)
        found = {name: text.encode() for name, text in readers.items()}
        for test, image in zip(record.self_test, self.bundle.exam().images, strict=True):
            found[f"{SELF_TEST}/{test.file}"] = image
        if record.out_of_distribution is not None:
            found[SUBSPACE] = (self.bundle.path / SUBSPACE).read_bytes()
        return found


def _rule(manifest: BundleManifest) -> dict[str, Any]:
    """The decision rule; that of a classifier with ``answers``, which older bundles lack."""
    decision = dict(manifest.decision)
    if manifest.task == Task.MULTICLASS:
        decision["answers"] = to_plain(Decision.from_manifest(decision))
    return decision


def _floats(row: NDArray[np.float32]) -> tuple[float, ...]:
    return tuple(float(value) for value in row)


def _file_name(place: int, image: bytes) -> str:
    kind = probe(image).format.lower()
    return f"{place}.{'jpg' if kind == 'jpeg' else kind}"


def _float_size(bundle: Bundle, model: Classifier | Detector) -> int:
    """Bytes of the network in float32: of its light form, else of its weights."""
    light = bundle.light()
    return len(light) if light is not None else 4 * int(model.keras_model.count_params())
