"""The experiment trackers that are built in, and how those of other packages are found.

Each module has a class that is made from a place (a text, possibly empty) and is a
:class:`~keensight.core.trackers.Tracker`; its package is imported when one is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec

from keensight.core.registry import did_you_mean
from keensight.core.trackers import Track, Tracker, Tracking
from keensight.errors import KeensightError, UsageError

GROUP = "keensight.trackers"
"""The entry-point group of trackers."""
_BUILT_IN = {"mlflow": "MlflowTracker", "wandb": "WandbTracker", "tensorboard": "TensorboardTracker"}
"""Module of this package, which is also the name of the tracker, to class."""


def tracking(track: Track, warn: Callable[[str], None]) -> Tracking:
    """Open trackers.

    Args:
        track: Names such as ``mlflow`` or ``mlflow=http://localhost:5000``, or trackers.
        warn: Shows one line, if one of them fails later.

    Raises:
        UsageError: there is no such tracker, it is named twice, or its package is not installed.
    """
    given: Iterable[str | Tracker] = [track] if isinstance(track, (str, Tracker)) else track or ()
    found: dict[str, Tracker] = {}
    for one in given:
        name = one.partition("=")[0].strip() if isinstance(one, str) else type(one).__name__
        if name in found:
            raise UsageError(f"the tracker {name!r} is given twice", "give each tracker once")
        found[name] = opened(one) if isinstance(one, str) else one
    return Tracking(found, warn)


def opened(text: str) -> Tracker:
    """Open the tracker ``NAME`` or ``NAME=PLACE``.

    Raises:
        UsageError: there is no such tracker, or its package is not installed.
    """
    name, _, place = (piece.strip() for piece in text.partition("="))
    added = {point.name: point for point in entry_points(group=GROUP)}
    if name in _BUILT_IN:
        make = getattr(import_module(f"{__name__}.{name}"), _BUILT_IN[name])
    elif name in added:
        try:
            make = added[name].load()
        except Exception as error:
            raise UsageError(
                f"the tracker {name!r} cannot be loaded: {error}", f"reinstall the package {_package(added[name])}"
            ) from error
    else:
        raise UsageError(f"there is no tracker {name!r}", did_you_mean(name, sorted({*_BUILT_IN, *added})))
    try:
        tracker: Tracker = make(place)
    except KeensightError:
        raise
    except Exception as error:  # of no narrower class: it is anyone's code
        raise UsageError(f"the tracker {name!r} does not start: {error}", f"check {text!r}, or leave it out") from error
    return tracker


def _package(point: EntryPoint) -> str:
    return "that provides it" if point.dist is None else point.dist.name


def require(package: str, install: str) -> None:
    """Refuse a built-in tracker whose package is not installed.

    Args:
        package: Its name, also that of the tracker.
        install: What pip is to install.

    Raises:
        UsageError: it is not installed.
    """
    if find_spec(package) is None:
        raise UsageError(f"the tracker {package} needs a package that is not installed", f"pip install {install}")
