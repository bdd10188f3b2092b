"""Every error that Keensight raises on purpose.

Each carries one sentence on what was wrong, a ``hint`` on how to fix it, and the exit code
with which the command line ends::

    KeensightError            1
    ├── DataError             1   the images, labels or tables given
    │   └── ImageError        1   one image that cannot be decoded
    ├── StoreError            1   runs, bundles, cache, disk
    ├── TrainingError         1   training went wrong (for example a loss that is NaN)
    ├── UsageError            2   a setting, name or option that does not exist or fit
    ├── GateError             3   a check refused to let the work through
    └── InterruptedRun      130   Ctrl-C; what was finished is kept
"""

from __future__ import annotations


class KeensightError(Exception):
    """Root of the tree: a message, an optional hint, and an exit code.

    Examples:
        >>> try:
        ...     ks.open("nowhere/")
        ... except ks.KeensightError as error:
        ...     print(error.message)
        nowhere/ does not exist
    """

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback, which would hide the sentence and leave out the hint."""
        told = [f"{type(self).__name__}: {self.message}"]
        return [*told, f"hint: {self.hint}"] if self.hint else told


class DataError(KeensightError):
    """The images, labels or tables given cannot be used as they are.

    Examples:
        >>> try:
        ...     ks.open("nowhere/")
        ... except ks.DataError as error:
        ...     print(error.message)
        nowhere/ does not exist
    """


class ImageError(DataError):
    """One image cannot be decoded; the message is the reason, fit for a quarantine list.

    Examples:
        >>> issubclass(ks.ImageError, ks.DataError)
        True
    """


class StoreError(KeensightError):
    """A run, a bundle or the cache cannot be read or written.

    Examples:
        >>> try:
        ...     ks.open_run("photos/")
        ... except ks.StoreError as error:
        ...     print("hint:" if error.hint else "no hint")
        hint:
    """


class TrainingError(KeensightError):
    """Training cannot go on, for example because the loss is NaN.

    Examples:
        >>> issubclass(ks.TrainingError, ks.KeensightError)
        True
    """


class UsageError(KeensightError):
    """A setting, name or option does not exist or does not fit.

    Examples:
        >>> try:
        ...     ks.train("photos/", epoch=5)
        ... except ks.UsageError as error:
        ...     print(error.message, "-", error.hint)
        there is no option 'epoch' - did you mean 'epochs'?
    """

    exit_code = 2


class GateError(KeensightError):
    """A gate (audit, parity, quality) refused.

    Examples:
        >>> ks.GateError("the audit found leaks", "make the split again").exit_code
        3
    """

    exit_code = 3


class InterruptedRun(KeensightError):
    """The user stopped the work; whatever was complete is kept.

    Examples:
        >>> ks.InterruptedRun("stopped after epoch 3").exit_code
        130
    """

    exit_code = 130
