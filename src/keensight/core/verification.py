"""Result of verifying a bundle."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from keensight.core.codec import from_plain, to_plain
from keensight.core.files import canonical_json, sha256
from keensight.core.records import BundleManifest
from keensight.errors import KeensightError

SELF_TEST = "self-test"


@dataclass(frozen=True, slots=True)
class Check:
    """One check."""

    name: str
    ok: bool
    message: str = ""
    """The problem, or the measured value, in one sentence."""


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether a bundle is undamaged and predicts as when it was trained; the first failed check ends the
    verification."""

    bundle: str
    """The bundle's folder."""
    checks: tuple[Check, ...]
    worst: float | None = None
    """Largest difference of a probability in the self-test (of an anomaly score, as a fraction of it); None: it was not
    run, or failed."""
    event: str = "trained"
    """When the stored predictions are from; an export was ``made``."""

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return all(check.ok for check in self.checks)

    @property
    def damaged(self) -> bool:
        """Whether a file is damaged or changed, so that nothing was loaded."""
        return any(not check.ok and not check.name.startswith(SELF_TEST) for check in self.checks)

    def sentence(self) -> str:
        """The verdict."""
        if self.ok:
            return f"{self.bundle} is undamaged and predicts as when it was {self.event}"
        what = "is damaged or was changed" if self.damaged else f"does not predict as when it was {self.event}"
        return f"{self.bundle} {what}"

    def __repr__(self) -> str:
        return f"<Verification {self.sentence()}>"


_TERMS = {
    "labels": "labels", "task": "task", "image": "image size and fit", "normalisation": "normalisation",
    "temperature": "temperature", "decision": "decision rule",
}  # fmt: skip
"""Fields of a manifest and their names in messages."""


def plain_manifest(manifest: BundleManifest) -> dict[str, Any]:
    """A manifest as its file has it: plain values, and the task by the word that every version of the schema knows.

    A white background is left out, so that manifest and contract of schema 5 stay as they are.
    """
    plain = {**to_plain(manifest), "task": manifest.task.in_manifest}
    if manifest.image.background == "white":
        del plain["image"]["background"]
    return plain


def contract_text(manifest: BundleManifest) -> str:
    """Canonical JSON of everything that determines a prediction besides the weights."""
    plain = plain_manifest(manifest)
    return canonical_json({name: plain[name] for name in _TERMS})


def contract_digest(manifest: BundleManifest) -> str:
    """SHA-256 of :func:`contract_text`."""
    return digest_of(contract_text(manifest))


def digest_of(text: str) -> str:
    """SHA-256 of a contract's text."""
    return sha256(text.encode("utf-8", "backslashreplace"))


def differing(manifest: BundleManifest, text: str) -> list[str]:
    """Describe where a manifest differs from a contract; empty if they agree.

    Records are compared, not texts, so a field that a later version adds, with its default, changes nothing.
    """
    terms = _terms(text)
    try:
        other = from_plain(BundleManifest, plain_manifest(manifest) | terms)
    except KeensightError:
        return list(_TERMS.values())
    return [
        words for name, words in _TERMS.items() if name not in terms or getattr(other, name) != getattr(manifest, name)
    ]


def labels_of(text: str) -> tuple[str, ...]:
    """Class names in a contract, in order; empty if it has none."""
    labels = _terms(text).get("labels")
    names = labels.get("names") if isinstance(labels, dict) else None
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _terms(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
