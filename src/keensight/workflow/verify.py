"""Verify that a bundle is undamaged and predicts as when it was trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from keensight.core.verification import SELF_TEST, Check, Verification
from keensight.errors import GateError, StoreError
from keensight.workflow.self_test import self_test
from keensight.workflow.tasks import opened

if TYPE_CHECKING:
    from keensight.store.bundle import Bundle
    from keensight.store.run import Run

_LOADING = "loading"


def verify(model: str | Path | Run) -> Verification:
    """Check a bundle's files, digests, labels, preprocessing and decision rule, then run its self-test.

    Digests detect damage and mix-ups. They do not authenticate a bundle: consistent changes by an attacker are not
    detected.

    Args:
        model: A run or a bundle.

    Returns:
        Every check with its outcome; the first failed check is the last.

    Raises:
        StoreError: there is no run or bundle.

    Examples:
        >>> ks.verify(run).ok
        True
    """
    from keensight.store.bundle import CHECKS, bundle_folder, open_bundle

    folder = bundle_folder(model if isinstance(model, (str, Path)) else model.path)
    passed: list[str] = []
    try:
        bundle = open_bundle(folder, passed.append)
    except StoreError as error:
        return Verification(str(folder), (*_good(passed), Check(CHECKS[len(passed)], False, error.message)))
    return _loaded(bundle, _good(passed))


def _good(names: list[str]) -> tuple[Check, ...]:
    return tuple(Check(name, True) for name in names)


def _loaded(bundle: Bundle, checks: tuple[Check, ...]) -> Verification:
    place = str(bundle.path)
    try:
        model = opened(bundle)
    except StoreError as error:
        return Verification(place, (*checks, Check(_LOADING, False, error.message)))
    checks = (*checks, Check(_LOADING, True))
    try:
        worst = self_test(bundle, model)
    except GateError as error:
        return Verification(place, (*checks, Check(SELF_TEST, False, error.message)))
    told = f"largest difference from the stored predictions: {worst:.1g}"
    return Verification(place, (*checks, Check(SELF_TEST, True, told)), worst)
