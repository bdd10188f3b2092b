"""From a trained network to a bundle with its self-test."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight import __version__
from keensight.core import pixels as decoder
from keensight.core.prototypes import Prototypes
from keensight.core.records import PARTS, BundleManifest, Dataset, Split
from keensight.core.sanitize import without_place
from keensight.errors import ImageError
from keensight.nets.classifier import Classifier
from keensight.workflow.light_form import compared_images, light_form
from keensight.workflow.progress import shown
from keensight.workflow.steps import Source, open, prepare
from keensight.workflow.training_overlap import learned_of

if TYPE_CHECKING:
    from keensight.core.decoded import Pixels
    from keensight.core.progress import Progress
    from keensight.store.bundle import Bundle, SelfTest


_SELF_TEST_IMAGES, _SELF_TEST_BYTES = 6, 300_000


def bundle(  # noqa: PLR0913 - public options, by keyword
    model: Classifier,
    data: Source,
    split: Split,
    directory: str | Path,
    *,
    name: str | None = None,
    provenance: Mapping[str, Any] | None = None,
    prototypes: Prototypes | None = None,
    normalisation: str | None = None,
    pixels: Pixels | None = None,
    quick: bool = False,
    light: bool = True,
    progress: Progress | None = None,
) -> Bundle:
    """Write a bundle: model, labels, preprocessing, decision rule, and a self-test.

    Of a network that LiteRT can run, the bundle also contains the light form, which predicts without TensorFlow; it has
    given the same predictions for up to 500 test images.

    The self-test is a few images with the model's predictions, labels, preprocessing and decision rule. Digests and
    fingerprints of the training and validation images are included, so that an evaluation of the bundle recognizes them
    (:mod:`keensight.core.fingerprints`).

    Args:
        model: The trained network with its labels and preprocessing.
        data: The image set, or what :func:`open` takes; a few of its test images become the self-test.
        split: Its split.
        directory: Where the bundle goes; must not exist.
        name: Name of the architecture; None: the Keras model's.
        provenance: What is known of its making besides versions and data.
        prototypes: Its class means (:func:`prototypes_of`); None: no class can be enrolled later.
        normalisation: What the graph does to its pixels, in words; None: as the architecture of that name does.
        pixels: The decoded images; None: they are taken from the cache, or decoded.
        quick: Leave out what takes seconds: the light form, and the fingerprints of the training images.
        light: Make the light form.
        progress: Where to report.

    Raises:
        StoreError: the directory exists or cannot be written.

    Examples:
        >>> made = ks.bundle(model, data, split, "bundles/first")
        >>> made.model_path.is_file(), ks.load("bundles/first").class_names
        (True, ('day', 'night'))
    """
    from keensight.nets.models.backbones import normalisation_of
    from keensight.store.bundle import SCHEMA, write_bundle

    data = open(data)
    manifest = BundleManifest(
        schema=SCHEMA,
        name=data.name,
        task=model.task,
        labels=model.labels,
        image=model.spec,
        model=name or model.keras_model.name,
        normalisation=normalisation or normalisation_of(name or model.keras_model.name),
        temperature=model.temperature,
        decision=_decision(model),
        provenance={"versions": versions(), "data": origin(data, split), **(provenance or {})},
        files={},
    )
    seen = pixels if pixels is not None and pixels.spec == model.spec else prepare(data, model.spec)
    exam = _make_self_test(model, data, split, seen)
    learned = None if quick else learned_of(data, split, seen)
    flatbuffer = None
    if light and not quick:
        compared = compared_images(exam, model.spec, split.part("test"), seen)
        flatbuffer = light_form(model, compared, shown(progress))
    return write_bundle(
        Path(directory), manifest=manifest, save_model=model.keras_model.save, exam=exam, prototypes=prototypes,
        subspace=model.subspace, learned=learned, light=flatbuffer,
    )  # fmt: skip


def _decision(model: Classifier) -> dict[str, Any]:
    if model.thresholds is None:
        answers = {} if model.decision is None else model.decision.to_manifest()
        return {"rule": "most probable class", "mirror": model.mirror, **answers}
    return {
        "rule": "labels at or above their thresholds", "mirror": model.mirror, "thresholds": list(model.thresholds)
    }  # fmt: skip


def origin(dataset: Dataset, split: Split) -> dict[str, Any]:
    """Description of the image set and its split, for a manifest."""
    counts: dict[str, Any] = {part: len(split.part(part)) for part in PARTS}
    return {"name": dataset.name, "digest": dataset.digest, "split": split.method, **counts}


def _make_self_test(model: Classifier, dataset: Dataset, split: Split, pixels: Pixels) -> SelfTest:
    from keensight.store.bundle import SelfTest

    names, images = self_test_images(dataset, split, pixels)
    return SelfTest(names, images, model.predict(images).probabilities)


def self_test_images(dataset: Dataset, split: Split, pixels: Pixels) -> tuple[tuple[str, ...], tuple[bytes, ...]]:
    """Names and bytes of a few encoded test images, and a gray and an EXIF-rotated copy of the first.

    Images whose files were deleted during the training are left out; the copies come from the decoded ones.
    """
    names: list[str] = []
    images: list[bytes] = []
    for index in split.test:
        encoded = _encoded(dataset, index)
        if encoded is not None and len(encoded) <= _SELF_TEST_BYTES:
            names.append(without_place(dataset.samples[index].path))
            images.append(encoded)
        if len(images) == _SELF_TEST_IMAGES:
            break
    first = pixels.take([split.test[0]])[0]
    gray: NDArray[np.uint8] = np.repeat(first.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    names += ["gray copy", "EXIF-rotated copy"]
    images += [decoder.encode_png(gray), decoder.encode_png(first, orientation=6)]
    return tuple(names), tuple(images)


def _encoded(dataset: Dataset, index: int) -> bytes | None:
    try:
        raw = dataset.load(index)
    except ImageError:
        return None
    return raw if isinstance(raw, bytes) else decoder.encode_png(raw)


_PACKAGES = ("keras", "tensorflow", "numpy", "pillow", "scikit-learn", "openvino")


def versions() -> dict[str, str]:
    """Package name to version, with Python and the operating system; imports none of them."""
    found = {"python": platform.python_version(), "platform": platform.platform(), "keensight": __version__}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
