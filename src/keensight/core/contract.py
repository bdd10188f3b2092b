"""What a model was measured with: labels in order, preprocessing and decision rule, as one text and one digest.

The text goes into the self-test file and its digest into the manifest, so that neither can change without the other.
That finds damage and mix-ups; whoever changes all of it consistently is not found out.
"""

from __future__ import annotations

import json
from typing import Any

from keensight.core.codec import from_plain, to_plain
from keensight.core.files import canonical_json, sha256
from keensight.core.records import BundleManifest
from keensight.errors import KeensightError

_TERMS = {
    "labels": "labels", "task": "task", "image": "image size and fit", "normalisation": "normalisation",
    "temperature": "temperature", "decision": "decision rule",
}  # fmt: skip
"""Fields of a manifest, and what they are called in messages."""


def contract_text(manifest: BundleManifest) -> str:
    """Canonical JSON of what decides how an image becomes a prediction; equal for equal terms."""
    return canonical_json({name: to_plain(getattr(manifest, name)) for name in _TERMS})


def contract_digest(manifest: BundleManifest) -> str:
    """SHA-256 of :func:`contract_text`."""
    return digest_of(contract_text(manifest))


def digest_of(text: str) -> str:
    """SHA-256 of a contract's text."""
    return sha256(text.encode("utf-8", "backslashreplace"))


def differing(manifest: BundleManifest, text: str) -> list[str]:
    """What of a manifest is not as a contract says, in words: nothing where the two agree.

    Records are compared, not texts: a field that a later version adds, with its default, changes nothing.
    """
    terms = _terms(text)
    try:
        other = from_plain(BundleManifest, to_plain(manifest) | terms)
    except KeensightError:
        return list(_TERMS.values())
    return [
        words for name, words in _TERMS.items() if name not in terms or getattr(other, name) != getattr(manifest, name)
    ]


def labels_of(text: str) -> tuple[str, ...]:
    """Class names in a contract, in order; empty where it is none."""
    labels = _terms(text).get("labels")
    names = labels.get("names") if isinstance(labels, dict) else None
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _terms(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
