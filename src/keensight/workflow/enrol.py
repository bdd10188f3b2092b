"""Add a class to a model from a few images, without training."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keensight.core import pixels as decoder
from keensight.core import prototypes
from keensight.core.deprecation import renamed
from keensight.core.files import sha256
from keensight.core.fingerprints import LearnedFrom
from keensight.core.predictions import Decision, Embeddings
from keensight.core.progress import Progress
from keensight.core.prototypes import Prototypes
from keensight.core.records import BundleManifest, ImageSpec, LabelSet
from keensight.core.sources import Images, Source, read_source
from keensight.core.task import Task
from keensight.errors import DataError, StoreError, UsageError
from keensight.workflow.engines import classifier_of
from keensight.workflow.predict import find
from keensight.workflow.progress import shown
from keensight.workflow.self_test import self_test, self_test_everywhere
from keensight.workflow.training_overlap import extended

if TYPE_CHECKING:
    from keensight.nets.classifier import Classifier
    from keensight.store.bundle import Bundle, SelfTest
    from keensight.store.run import Run

RECOMMENDED = 5
"""A mean of fewer images depends strongly on the choice of images."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """An added class, and the bundle with it."""

    bundle: Bundle
    label: str
    index: int
    """Its class number."""
    images: int
    """Number of images behind its mean, including earlier ones."""
    errors: Mapping[str, str]
    """Path to reason, for images that could not be read and were skipped."""


@renamed(label="class_name")
def enrol(
    model: str | Path | Run | Bundle,
    class_name: str,
    images: Images,
    out: str | Path,
    *,
    progress: Progress | None = None,
) -> Enrolment:
    """Write a new bundle that also knows ``class_name``, from a few images; nothing is trained, the old bundle stays.

    The network is the old one and so are the numbers of its classes; the new class comes last. An enrolled class is
    predicted if its mean is the nearest of all by cosine (nearest class mean, Mensink et al. 2013; Snell et al. 2017),
    else the network decides among its own classes; an image that is nearer to no mean than the bundle's threshold is
    unknown (decision ``abstain``). ``core.prototypes`` and docs/embeddings.md state the rule.

    Args:
        model: A run or a bundle; it must have class means, as every one trained since schema 2 has.
        class_name: The new class; or a class enrolled earlier, which then gets further images.
        images: At least one image, as for :func:`predict`; five or more are better.
        out: Folder of the new bundle; must not exist.
        progress: Where to report.

    Raises:
        UsageError: the model is a multi-label one or an anomaly detector; or the name is empty, or that of a class
            that the network was trained on.
        DataError: no image could be read.
        StoreError: the bundle has no class means, or the new one cannot be written.
        GateError: the old or the new bundle fails its self-test.

    Examples:
        >>> images = np.random.default_rng(0).integers(0, 255, (5, 16, 16, 3), np.uint8)
        >>> done = ks.enrol(run, "noise", images, "bundles/wider")
        >>> ks.load("bundles/wider").class_names
        ('day', 'night', 'noise')
    """
    from keensight.store.bundle import Bundle, open_bundle, write_bundle

    progress = shown(progress)
    old = model if isinstance(model, Bundle) else open_bundle(model if isinstance(model, (str, Path)) else model.path)
    if old.manifest.task == Task.MULTILABEL:
        raise UsageError(
            f"{old.path} is a multi-label model, to which no label can be added",
            "train again with the new label, or use a single-label model",
        )
    if old.manifest.task == Task.ANOMALY:
        raise UsageError(
            f"{old.path} is an anomaly detector without classes, so none can be added", "train a classifier"
        )
    known = old.prototypes()
    if known is None:
        raise StoreError(f"{old.path} has no class means, so no class can be added", "train again with this version")
    classifier = classifier_of(old)
    exam = old.exam()
    self_test(old, classifier)
    index = _place(class_name, classifier)
    sources = _distinct(find(images, progress))
    found = classifier.embed(sources, progress=progress)
    good = _readable(found)
    for path, reason in found.errors.items():
        progress.say(f"not used: {path}: {reason}")
    means = prototypes.enrolled(known, found.vectors[good], index)
    if means.counts[index] < RECOMMENDED:
        progress.say(f"{class_name!r} has {means.counts[index]} images; {RECOMMENDED} or more are recommended")
    manifest = _manifest(old.manifest, class_name, means, len(classifier.labels) - classifier.enrolled)
    rule = Decision.from_manifest(manifest.decision)
    wider = classifier.changed(labels=manifest.labels, prototypes=means, decision=rule)
    first = sources[int(good[0])]
    bundle = write_bundle(
        Path(out),
        manifest=manifest,
        save_model=lambda path: shutil.copyfile(old.model_path, path),
        exam=_make_self_test(exam, class_name, _picture(first, classifier.spec), wider),
        prototypes=means,
        subspace=old.subspace(),
        learned=_learned(old, [sources[int(row)] for row in good]),
        light=old.light(),  # the network is the same
    )
    self_test_everywhere(bundle)
    return Enrolment(bundle, class_name, index, int(means.counts[index]), found.errors)


def _learned(old: Bundle, images: list[Source]) -> LearnedFrom | None:
    """The fingerprints of the old bundle, and those of the new class's images."""
    learned = old.learned()
    if learned is None:
        return None
    files = [sha256(raw) for raw in map(read_source, images) if isinstance(raw, bytes)]
    spec = old.manifest.image
    return extended(learned, files, np.stack([decoder.decode(read_source(image, spec), spec) for image in images]))


def _place(label: str, classifier: Classifier) -> int:
    """The new class's number, or its number if it was enrolled earlier."""
    names = classifier.labels.names
    if not label.strip() or label != label.strip():
        raise UsageError(f"a class cannot be called {label!r}", "give it a name without leading or trailing spaces")
    if label not in names:
        return len(names)
    index = names.index(label)
    if index < len(names) - classifier.enrolled:
        raise UsageError(
            f"the network was already trained on a class {label!r}",
            "choose another name; to use more images of that class, train again",
        )
    return index


def _distinct(sources: list[Source]) -> list[Source]:
    """Sources without repeated paths."""
    seen = {str(source): source for source in sources if isinstance(source, (str, Path))}
    return [*seen.values(), *(source for source in sources if not isinstance(source, (str, Path)))]


def _readable(found: Embeddings) -> Any:
    good = np.flatnonzero(np.isfinite(found.vectors).all(axis=1))
    if not len(good):
        reason = next(iter(found.errors.values()), "the network gives no finite embedding")
        raise DataError(
            f"none of the images of the new class can be used: {reason}", "give at least one readable image"
        )
    return good


def _manifest(old: BundleManifest, label: str, means: Prototypes, trained: int) -> BundleManifest:
    names = old.labels.names if label in old.labels.names else (*old.labels.names, label)
    provenance = dict(old.provenance)
    # The metrics are from before the class was added, so they do not apply to this bundle.
    metrics = provenance.pop("metrics", None)
    before = {} if metrics is None else {"metrics_before_enrolment": metrics}
    counts = {name: int(count) for name, count in zip(names[trained:], means.counts[trained:], strict=True)}
    return dataclasses.replace(
        old,
        labels=LabelSet(names),
        decision={
            "rule": prototypes.RULE,
            "mirror": bool(old.decision.get("mirror", False)),
            "trained": trained,
            "enrolled": list(names[trained:]),
            **_without_sets(old),
        },
        provenance={**provenance, **before, "enrolled_images": counts},
        files={},
    )


def _without_sets(old: BundleManifest) -> dict[str, Any]:
    """The decision rule, if any; prediction sets are only valid for the original classes."""
    if "answers" not in old.decision:
        return {}
    rule = Decision.from_manifest(old.decision)
    return dataclasses.replace(rule, set_level=None, set_threshold=None).to_manifest()


def _picture(source: Source, spec: ImageSpec) -> bytes:
    return decoder.encode_png(decoder.decode(read_source(source, spec), spec))


def _make_self_test(old: SelfTest, label: str, picture: bytes, classifier: Classifier) -> SelfTest:
    """The old self-test's images and one of the new class, with the predictions of the extended classifier."""
    name = f"enrolled: {label}"
    asked = {key: image for key, image in zip(old.names, old.images, strict=True) if key != name} | {name: picture}
    return type(old)(tuple(asked), tuple(asked.values()), classifier.predict(list(asked.values())).probabilities)
