"""Checkpoints of a training: a table of arrays in one file, with a digest, written as a whole.

A file has four parts: a line with the format's name, a line with the SHA-256 of what follows, a line of JSON (the
state, and name, dtype and shape of each array), and the arrays' bytes one after the other. Nothing in it can run code.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.codec import from_plain, to_plain
from keensight.core.files import storing, write_bytes
from keensight.core.training_state import Arrays, TrainingState
from keensight.errors import KeensightError, StoreError

FORMAT = b"keensight checkpoint 1\n"
SUFFIX = ".checkpoint"
KEPT = 2
"""The newest files that are kept: should the last one be damaged, there is another."""
_KINDS = frozenset("biuf")
"""Kinds of arrays that a file may contain: numbers and truth values."""
_PORTION = 0.02
"""Largest fraction of the time that saving at the end of epochs may take; what comes by the clock is rarer."""
_GUESS = 1.0
"""Seconds that saving is assumed to take until it was done once: a training of under a minute needs no checkpoint."""


class CheckpointFolder:
    """The checkpoints of one run.

    Args:
        folder: Where they are; created with the first one.
        minutes: Most minutes between two of them; 0: after each step.
        report: Gets a sentence about a checkpoint that was passed over.
    """

    def __init__(self, folder: Path, minutes: float, report: Callable[[str], None] = lambda sentence: None) -> None:
        self.folder, self._seconds, self._report = folder, 60.0 * minutes, report
        self._last, self._cost = time.monotonic(), _GUESS

    def newest(self, phase: str) -> tuple[TrainingState, Arrays] | None:
        """The last good state of a phase; damaged newer ones are deleted, and those that cannot be read are kept."""
        for path in reversed(self._files(phase)):
            try:
                return read_checkpoint(path)
            except StoreError as error:
                self._report(f"{error.message}: the one before it is used")
                if not isinstance(error.__cause__, OSError):  # it may be whole, and another time it can be read
                    with suppress(OSError):
                        path.unlink()
        return None

    def due(self, epoch_ended: bool) -> bool:
        """Whether the last checkpoint is long enough ago; at the end of an epoch, whether saving is cheap by now."""
        waited = time.monotonic() - self._last
        return waited >= self._seconds or (epoch_ended and waited >= self._cost / _PORTION)

    def save(self, state: TrainingState, arrays: Arrays) -> None:
        """Write a checkpoint, then delete all but the newest.

        Raises:
            StoreError: it cannot be written; the earlier ones are untouched.
        """
        begun = time.monotonic()
        if not self.folder.parent.is_dir():
            raise StoreError(f"the run {self.folder.parent} was removed while it was trained", "train again")
        path = self.folder / f"{state.phase}-{state.epoch:05d}-{state.step:07d}{SUFFIX}"
        write_checkpoint(path, state, arrays)
        earlier = [one for one in self._files(state.phase) if one < path]  # later ones could not be read
        for old in earlier[: max(len(earlier) + 1 - KEPT, 0)]:
            old.unlink(missing_ok=True)
        self._last = time.monotonic()
        self._cost = self._last - begun

    def drop(self, reason: str) -> None:
        """Delete all checkpoints."""
        self._report(reason)
        self.clear()

    def clear(self) -> None:
        """Delete all checkpoints, with those that a killed process has left half-written."""
        if not self.folder.is_dir():
            return
        with storing(self.folder):
            for path in self.folder.iterdir():
                if SUFFIX in path.name and not path.is_dir():
                    path.unlink(missing_ok=True)
            if not any(self.folder.iterdir()):
                self.folder.rmdir()

    def _files(self, phase: str) -> list[Path]:
        """The checkpoints of a phase, the oldest first; a folder of such a name is none."""
        return sorted(path for path in self.folder.glob(f"{phase}-*{SUFFIX}") if not path.is_dir())


def write_checkpoint(path: Path, state: TrainingState, arrays: Arrays) -> None:
    """Write a state and its arrays so that the file is complete or absent.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    plain = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    table = [[name, array.dtype.str, list(array.shape)] for name, array in plain.items()]
    header = json.dumps({"state": to_plain(state), "arrays": table}).encode() + b"\n"
    parts = [header, *(array.tobytes() for array in plain.values())]
    write_bytes(path, b"".join([FORMAT, _digest(parts), *parts]))


def read_checkpoint(path: Path) -> tuple[TrainingState, dict[str, NDArray[Any]]]:
    """Read what :func:`write_checkpoint` wrote.

    Raises:
        StoreError: it is missing, damaged, or of another format.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}", "resume from an earlier one") from error
    rest = data[len(FORMAT) + 65 :]
    if data[: len(FORMAT)] != FORMAT or data[len(FORMAT) : len(FORMAT) + 65] != _digest([rest]):
        raise StoreError(f"the checkpoint {path.name} is damaged or of another format", "resume from an earlier one")
    try:
        return _parsed(rest)
    except (KeensightError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"the checkpoint {path.name} is damaged: {error}", "resume from an earlier one") from error


def _parsed(data: bytes) -> tuple[TrainingState, dict[str, NDArray[Any]]]:
    end = data.index(b"\n") + 1
    header = json.loads(data[:end])
    arrays: dict[str, NDArray[Any]] = {}
    for name, kind, shape in header["arrays"]:
        dtype = np.dtype(kind)
        if dtype.kind not in _KINDS:
            raise ValueError(f"{name} is of type {kind}")
        size = dtype.itemsize * math.prod(shape)
        arrays[name] = np.frombuffer(data, dtype, math.prod(shape), end).reshape(shape)
        end += size
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes belong to no array")
    return from_plain(TrainingState, header["state"], "state"), arrays


def _digest(parts: Iterable[bytes | memoryview]) -> bytes:
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest().encode() + b"\n"
