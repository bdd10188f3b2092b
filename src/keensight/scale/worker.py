"""What runs in each worker process of a distributed training; :mod:`.train` starts it and reads what it writes."""

from __future__ import annotations

import json
import os
import platform
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keensight.core.codec import to_plain
from keensight.core.files import append_line, write_json
from keensight.core.records import Epoch
from keensight.errors import KeensightError, TrainingError
from keensight.nets.training.data_parallel import Rank, Report, joined, train

PROGRESS, FAULT = "progress.jsonl", "fault.json"
_SECONDS = 0.2
"""Between two reports of steps."""
_LOST = ("Gloo", "Connection", "coordination", "UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "CANCELLED")
"""Words of errors that follow from the loss of another worker."""


def work(setup: Mapping[str, Any]) -> None:
    """Be one worker: the function that Ray Train calls in each.

    Args:
        setup: ``folder`` with the job, ``workers`` (their number), ``variables`` of the environment, ``checkpoints``
            (folder) and ``minutes`` between them.
    """
    folder = Path(setup["folder"])
    if not folder.is_dir():  # the command was stopped, and Ray, which goes on, has started the workers again
        return
    from ray.train import get_context
    from ray.train.collective import broadcast_from_rank_zero

    os.environ.update(setup["variables"])
    context = get_context()
    rank = Rank(context.get_world_rank(), context.get_world_size())
    address = broadcast_from_rank_zero(free_address() if rank.first else None)
    try:
        if rank.count != setup["workers"]:
            raise TrainingError(f"{rank.count} workers were started, not {setup['workers']}", "train again")
        do(folder, address, rank, Path(setup["checkpoints"]), setup["minutes"])
    except KeensightError as error:
        _tell(folder, error)
        raise
    except Exception as error:
        # The connection to a worker that was lost ends in this one; Ray then starts all of them again.
        if not _lost_another(error):
            _tell(folder, TrainingError(f"worker {rank.number} on {platform.node()} failed: {_first_line(error)}"))
        raise


def do(folder: Path, address: str, rank: Rank, checkpoints: Path, minutes: float) -> None:
    """Do the job in a folder as one process of a group.

    Args:
        folder: From :func:`keensight.nets.training.job.write_job` and ``write_shared``; gets the outcome.
        address: Host and port of the first process.
        rank: Which process this is.
        checkpoints: Folder of checkpoints.
        minutes: Most minutes between two of them.
    """
    write_json(folder / f"worker-{rank.number}.json", {"pid": os.getpid(), "host": platform.node()})
    with joined(address, rank):
        from keensight.data.shared_pixels import read_shared
        from keensight.nets import runtime
        from keensight.nets.models.weights import open_model
        from keensight.nets.training.job import NETWORK, read_job, write_outcome
        from keensight.store.checkpoint import CheckpointFolder

        given = read_job(folder)
        runtime.configure(seed=given.plan.config.train.seed)
        pixels, told = read_shared(folder), Told(folder)
        done = train(
            open_model(folder / NETWORK), given, pixels, rank,
            checkpoints=CheckpointFolder(checkpoints, minutes, told.say if rank.first else lambda sentence: None),
            report=told,
        )  # fmt: skip
        if rank.first:
            write_outcome(done, folder)


class Told(Report):
    """Appends how far the training is to a file."""

    def __init__(self, folder: Path) -> None:
        self._path, self._last = folder / PROGRESS, 0.0

    def begin(self, number: int) -> None:
        """It begins after ``number`` steps."""
        self._write({"begun": number})

    def step(self, number: int, note: str) -> None:
        """``number`` steps are done; not each is worth a line."""
        if time.monotonic() - self._last >= _SECONDS:
            self._last = time.monotonic()
            self._write({"step": number, "note": note})

    def epoch(self, epoch: Epoch) -> None:
        """An epoch is finished."""
        self._write({"epoch": to_plain(epoch)})

    def say(self, sentence: str) -> None:
        """Something for the user."""
        self._write({"said": sentence})

    def _write(self, what: Mapping[str, Any]) -> None:
        append_line(self._path, json.dumps(what))


def free_address() -> str:
    """Address of this machine and a port that is free now."""
    with socket.socket() as found:
        found.bind(("", 0))
        return f"{_host()}:{found.getsockname()[1]}"


def _host() -> str:
    from ray.util import get_node_ip_address

    return str(get_node_ip_address())


def _tell(folder: Path, error: KeensightError) -> None:
    if not (folder / FAULT).exists():  # the others fail because of the first one
        write_json(folder / FAULT, {"kind": type(error).__name__, "message": error.message, "hint": error.hint})


def _lost_another(error: Exception) -> bool:
    """Whether an exchange with another worker failed; JAX has no special error for that."""
    return any(sign in str(error) for sign in _LOST)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}".rstrip(": ")
