"""Verify that a bundle or an export is undamaged and predicts as when it was made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from keensight.core.verification import SELF_TEST, Check, Verification
from keensight.errors import GateError, StoreError
from keensight.workflow.engines import engines_of, opened
from keensight.workflow.parity import export_outputs, judged
from keensight.workflow.self_test import self_test

if TYPE_CHECKING:
    from keensight.store.bundle import Bundle
    from keensight.store.run import Run

LOADING = "loading"
_ON = {"keras": "", "litert": " on LiteRT"}


def verify(model: str | Path | Run) -> Verification:
    """Check a bundle's files, digests, labels, preprocessing and decision rule, then run its self-test on Keras and, if
    it has the light form, on LiteRT. Without TensorFlow only LiteRT is checked.

    An export is checked the same way: its record, the digests of its files, and that its runtime gives the predictions
    of the model for the images of the self-test.

    Digests detect damage and mix-ups. They do not authenticate a bundle: consistent changes by an attacker are not
    detected.

    Args:
        model: A run, a bundle or an export.

    Returns:
        Every check with its outcome; the first failed check is the last.

    Raises:
        StoreError: there is no run, bundle or export.

    Examples:
        >>> ks.verify(run).ok
        True
    """
    from keensight.store.bundle import CHECKS, bundle_folder, open_bundle
    from keensight.store.export import is_export

    if isinstance(model, (str, Path)) and is_export(model):
        return _export_verified(Path(model))
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
    """The self-test on everything that the bundle can run on here; the largest difference is the result."""
    place, largest = str(bundle.path), 0.0
    for engine in engines_of(bundle):
        loading, passing = (f"{name}{_ON[engine]}" for name in (LOADING, SELF_TEST))
        try:
            model = opened(bundle, engine)
        except StoreError as error:
            return Verification(place, (*checks, Check(loading, False, error.message)))
        try:
            worst = self_test(bundle, model)
        except GateError as error:
            return Verification(place, (*checks, Check(loading, True), Check(passing, False, error.message)))
        told = f"largest difference from the stored predictions: {worst:.1g}"
        checks, largest = (*checks, Check(loading, True), Check(passing, True, told)), max(largest, worst)
    return Verification(place, checks, largest)


def _export_verified(folder: Path) -> Verification:
    """Check an export (see :func:`verify`)."""
    from keensight.store.export import CHECK, read_export

    place = str(folder)
    try:
        made = read_export(folder)
    except StoreError as error:
        return Verification(place, (Check(CHECK, False, error.message),))
    checks: tuple[Check, ...] = (Check(CHECK, True),)
    try:
        found = export_outputs(made)
    except StoreError as error:
        return Verification(place, (*checks, Check(LOADING, False, error.message)))
    checks = (*checks, Check(LOADING, True))
    worst, problem = judged(made.record, found)
    told = problem or f"largest difference from the stored predictions: {worst:.1g}"
    self_test = Check(SELF_TEST, not problem, told)
    return Verification(place, (*checks, self_test), None if problem else worst, event="made")
