"""Read and validate a bundle's ``manifest.json``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keensight.core.anomaly import GAUSSIAN, PATCH_MEMORY, Limits
from keensight.core.codec import from_plain
from keensight.core.files import canonical_json, sha256_text
from keensight.core.predictions import Decision
from keensight.core.prototypes import RULE
from keensight.core.records import BundleManifest, ImageSpec
from keensight.core.task import Task
from keensight.core.verification import contract_digest
from keensight.errors import KeensightError, StoreError
from keensight.store.json_records import read_versioned

SCHEMA = 6
"""Number of the layout of a bundle that this version writes; 2: there may be class means and enrolled classes; 3: and a
decision rule (``decision["answers"]``) and ``subspace.npz``; 4: and ``learned.npz``; 5: and a contract, and in
``image`` the intensity scale of images of more than 8 bits; 6: and ``model.tflite`` and ``reference.npz``."""
CONTRACTED = 5
"""The first schema with a contract (:mod:`keensight.core.verification`)."""
MANIFEST, MODEL, EXAM, CARD = "manifest.json", "model.keras", "exam.npz", "MODEL_CARD.md"
LIGHT = "model.tflite"
PROTOTYPES, SUBSPACE, LEARNED = "prototypes.npz", "subspace.npz", "learned.npz"
REFERENCE = "reference.npz"
AGAIN = "the bundle is damaged or was changed: get it again from its source"
_REQUIRED = (MODEL, EXAM, CARD)
_LIMIT = 8 << 20
_LARGEST = 4096
_TEMPERATURES = (0.01, 100.0)
"""Ten and five times the range of calibration."""
_RULES = {
    Task.MULTICLASS: ("most probable class", RULE),
    Task.MULTILABEL: ("labels at or above their thresholds",),
    Task.ANOMALY: (PATCH_MEMORY, GAUSSIAN),
}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def read_manifest(path: Path) -> BundleManifest:
    """Read and check a ``manifest.json`` by itself.

    Raises:
        StoreError: it is missing, damaged, of a newer schema, or invalid.
    """
    manifest = read_versioned(path, BundleManifest, newest=SCHEMA, limit=_LIMIT)
    if problem := _problem(manifest):
        raise StoreError(f"{path} is not a valid manifest: {problem}", AGAIN)
    return manifest


def model_digest(manifest: BundleManifest) -> str:
    """SHA-256 of what predictions depend on: network, class means, subspace, labels, preprocessing, decision rule."""
    files = {name: digest for name, digest in manifest.files.items() if name in (MODEL, PROTOTYPES, SUBSPACE)}
    return sha256_text(canonical_json({"files": files, "contract": contract_digest(manifest)}))


def limits_of(manifest: BundleManifest) -> Limits:
    """The anomaly thresholds in a manifest.

    Raises:
        StoreError: they are missing or invalid.
    """
    return from_plain(Limits, manifest.decision.get("limits"), "decision.limits")


def _problem(manifest: BundleManifest) -> str | None:
    image, low, high = manifest.image, *_TEMPERATURES
    newest = ImageSpec(1, 1).decoder
    problems = {
        f"it names {len(manifest.labels)} classes, fewer than 2": len(manifest.labels) < 2,
        "a class has no name": not all(name.strip() for name in manifest.labels.names),
        f"the class names {manifest.labels.controls()!r} contain control characters": bool(manifest.labels.controls()),
        f"its images are {image.width} by {image.height} px": not (
            1 <= image.width <= _LARGEST and 1 <= image.height <= _LARGEST
        ),
        f"its decoder is version {image.decoder}, this one is {newest}": not 1 <= image.decoder <= newest,
        f"its intensity scale runs from {image.black} to {image.intensity}": not (
            image.intensity is None or -math.inf < image.black < image.intensity < math.inf
        ),
        f"its temperature is {manifest.temperature}, not from {low} to {high:g}": not low
        <= manifest.temperature
        <= high,
        "its list of files contains something other than names and SHA-256": not all(
            _NAME.fullmatch(name) and _DIGEST.fullmatch(digest) for name, digest in manifest.files.items()
        ),
        f"it does not list {', '.join(_REQUIRED)}": not set(_REQUIRED) <= manifest.files.keys(),
    }
    return next((problem for problem, found in problems.items() if found), None) or _rule_problem(manifest)


def _rule_problem(manifest: BundleManifest) -> str | None:
    decision = manifest.decision
    rule, mirror = decision.get("rule"), decision.get("mirror", False)
    problems = {
        f"its rule is {rule!r}, which this version does not support": rule not in _RULES[manifest.task],
        f"mirror is {mirror!r}, neither true nor false": not isinstance(mirror, bool),
        "it does not give each label a threshold from 0 to 1": (
            manifest.task == Task.MULTILABEL and not _are_thresholds(decision.get("thresholds"), len(manifest.labels))
        ),
        "its decision rule is not valid": not _is_rule(decision),
        "it has no threshold for anomalies": manifest.task == Task.ANOMALY and not _has_limits(manifest),
        f"its rule is {RULE!r}, but it lists no {PROTOTYPES}": rule == RULE and PROTOTYPES not in manifest.files,
        "its enrolled classes are not the last of its labels": rule == RULE and not _enrolled_fit(manifest),
    }
    return next((problem for problem, found in problems.items() if found), None)


def _are_thresholds(found: Any, labels: int) -> bool:
    return (
        isinstance(found, list)
        and len(found) == labels
        and all(isinstance(value, float) and 0 <= value <= 1 for value in found)
    )


def _is_rule(decision: Mapping[str, Any]) -> bool:
    try:
        rule = from_plain(Decision, decision.get("answers", {}), "decision.answers")
    except KeensightError:
        return False
    return rule.valid()


def _has_limits(manifest: BundleManifest) -> bool:
    try:
        found = limits_of(manifest)
    except KeensightError:
        return False
    return found.threshold > 0 and found.patch > 0 and 0 <= found.rate <= 1 and found.images >= 0


def _enrolled_fit(manifest: BundleManifest) -> bool:
    trained, names = manifest.decision.get("trained"), manifest.decision.get("enrolled")
    return (
        isinstance(trained, int)
        and not isinstance(trained, bool)
        and 1 <= trained < len(manifest.labels)
        and names == list(manifest.labels.names[trained:])
    )
