"""A Ray cluster for as long as it is needed: one that runs already, or one started on this machine."""

from __future__ import annotations

import logging
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from keensight import __version__
from keensight.core.files import storing
from keensight.core.parallel import processors
from keensight.errors import DataError, StoreError, UsageError
from keensight.nets.runtime import silenced

INSTALL = "pip install 'keensight[cluster]'"
_PATIENCE = 5.0
"""Seconds until an address without a cluster is given up; Ray itself tries for minutes."""
_PROBE = 60.0
"""Seconds in which each machine of a cluster must say what is installed there."""

_TOKEN = "if it asks for a token, set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN unless the token is in ~/.ray/auth_token"


@contextmanager
def connected(address: str | None, workers: int) -> Iterator[None]:
    """Be connected to a Ray cluster inside the ``with`` block, quietly.

    What is started here is stopped at the end, also on an error; a cluster that was joined goes on. A program that is
    connected to Ray already stays so, if no address or that of its cluster is given. Descriptor 2 is silenced, as Ray's
    C++ side writes to it past all loggers: a progress bar must begin inside the block.

    Args:
        address: ``auto``: the cluster of this machine; ``host:port`` or ``ray://host:port``: that one; None: a cluster
            on this machine with ``workers`` CPUs, for this block only.
        workers: CPUs that are needed, at least 1.

    Raises:
        UsageError: Ray is not installed; there are fewer CPUs than workers; or a machine of the cluster has no
            Keensight, or another version of it or of Python.
        DataError: there is no cluster at the address, or it asks for another token.

    Examples:
        >>> with connected(None, workers=2):
        ...     ...
    """
    ray = installed()
    if ray.is_initialized() and (address in (None, "auto") or address == ray.get_runtime_context().gcs_address):
        check_cpus(_cpus(ray), workers, "the cluster")
        with silenced():
            yield
        return
    if address is None:
        check_cpus(processors(), workers, "this machine")
    with silenced():
        if address is None:
            _start(ray, workers)
        else:
            _join(ray, address)
        try:
            if address is not None:
                check_cpus(_cpus(ray), workers, f"the cluster at {address}")
                _check_versions()
            yield
        finally:
            ray.shutdown()


def installed() -> Any:
    """The package ``ray``.

    Raises:
        UsageError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anyone, unless the user wants it
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")  # else it reports lost workers on standard output
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else a warning on machines without a GPU
    try:
        import ray
    except ImportError as error:
        raise UsageError(f"several workers need the package {error.name}, which is not installed", INSTALL) from error
    return ray


def check_cpus(there: int, workers: int, where: str) -> None:
    """Refuse more workers than CPUs.

    Args:
        there: CPUs that there are.
        workers: Workers with one CPU each.
        where: What has these CPUs, such as ``this machine``.

    Raises:
        UsageError: there are more workers.
    """
    if there < workers:
        raise UsageError(
            f"{where} has {there} CPU{'s' * (there != 1)}, and {workers} workers need one each",
            f"use --workers {max(1, there)}" + (", or a cluster (--address)" if where == "this machine" else ""),
        )


def _start(ray: Any, workers: int) -> None:
    for tries_left in (1, 0):  # on a busy machine one of its processes may take more than Ray's 30 seconds
        try:
            with _no_other_address():
                ray.init(address="local", num_cpus=workers, include_dashboard=False, **_QUIET)
            return
        except Exception as error:  # of no narrower class
            ray.shutdown()
            if not tries_left:
                raise DataError(
                    f"Ray does not start on this machine: {_first_line(error)}",
                    f"its log is in {tempfile.gettempdir()}/ray; without --workers, one process does the work",
                ) from error


_QUIET = {"log_to_driver": False, "logging_level": logging.ERROR}


@contextmanager
def _no_other_address() -> Iterator[None]:
    """Without RAY_ADDRESS, which Ray prefers to its arguments."""
    before = os.environ.pop("RAY_ADDRESS", None)
    try:
        yield
    finally:
        if before is not None:
            os.environ["RAY_ADDRESS"] = before


def _join(ray: Any, address: str) -> None:
    _check_reachable(address)
    try:
        ray.init(address=address, **_QUIET)
    except (ConnectionError, ray.exceptions.AuthenticationError) as error:
        raise _no_cluster(address, _first_line(error)) from error
    except (RuntimeError, ValueError) as error:  # another version of Ray or of Python there
        raise UsageError(
            f"the cluster at {address} cannot be used from here: {_first_line(error)}",
            "give the command on a machine of the cluster, or use ray://HOST:10001 from another one; both sides need "
            "the same versions of Python and Ray",
        ) from error


def _check_reachable(address: str) -> None:
    """Refuse an address that cannot be reached, before Ray tries for minutes."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(
            f"{address} is not an address of a cluster", "give auto, host:port (6379), or ray://host:port (10001)"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, str(error)) from error


def _no_cluster(address: str, reason: str) -> DataError:
    if address == "auto":
        return DataError(
            "no Ray cluster is running on this machine", "start one (ray start --head), or leave --address out"
        )
    return DataError(f"no Ray cluster at {address}: {reason}", f"check the address and the port; {_TOKEN}")


def _cpus(ray: Any) -> int:
    return int(ray.cluster_resources().get("CPU", 0))


def machines() -> int:
    """Number of machines with CPUs in the cluster that this process is connected to."""
    return len(_nodes(installed()))


def is_client() -> bool:
    """Whether this process is connected through Ray's client (``ray://``), which is not a part of the cluster."""
    return bool(installed().util.client.ray.is_connected())


def _nodes(ray: Any) -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]


def _check_versions() -> None:
    """Refuse a cluster on whose machines the work would fail, or give other results, by name."""

    def version() -> str:
        # Nested, so that it is sent by value: by its name it could not be read where Keensight is not installed.
        from importlib.metadata import PackageNotFoundError
        from importlib.metadata import version as of

        try:
            import keensight
        except ImportError:
            with suppress(PackageNotFoundError):
                return of("keensight-runtime")
            return "none"
        return keensight.__version__

    for host, found in on_each_machine(version):
        if found != __version__:
            raise UsageError(
                f"the machine {host} of the cluster has "
                + ("no Keensight" if found == "none" else f"Keensight {found}, and this one {__version__}"),
                f"install it there: pip install 'keensight[cluster]=={__version__}'",
            )


def on_each_machine(function: Callable[..., Any], *arguments: Any) -> Iterator[tuple[str, Any]]:
    """Call a function on each machine of the cluster; gives their names and what it returned there.

    Args:
        function: Of a package that is there, or nested in another function, so that it is sent by value.
        *arguments: What it is called with.

    Raises:
        DataError: a machine does not start a worker for it within a minute.
    """
    ray = installed()
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asking, nodes = ray.remote(num_cpus=0)(function), _nodes(ray)
    asked = [
        asking.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
        .remote(*arguments)
        for node in nodes
    ]  # fmt: skip
    for node, answer in zip(nodes, asked, strict=True):
        host = str(node["NodeManagerHostname"])
        try:
            yield host, ray.get(answer, timeout=_PROBE)
        except ray.exceptions.RayError as error:
            raise DataError(
                f"the machine {host} of the cluster does not start a worker: {_first_line(error)}",
                "see its log in /tmp/ray/session_latest/logs",
            ) from error


_MEETING = ".workers-"
"""How the name of a folder begins in which the machine that starts workers and these meet."""


@contextmanager
def meeting_folder(run: Path) -> Iterator[Path]:
    """A new folder inside a run, for files that workers read and write, removed at the end of the ``with`` block.

    Those that a command left when it was killed are removed: its workers write to another one.

    Raises:
        StoreError: it cannot be created.
    """
    for left in run.glob(f"{_MEETING}*"):
        shutil.rmtree(left, ignore_errors=True)
    with storing(run):
        place = Path(tempfile.mkdtemp(prefix=_MEETING, dir=run))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


SHARE_RUN = "give --run a folder on a file system that all machines share, and KEENSIGHT_CACHE too"


def check_shared(place: Path, what: str, hint: str) -> None:
    """Refuse a cluster with machines that do not see a new file or folder of this one, by name.

    Args:
        place: The new one.
        what: What it is in, in words.
        hint: What to do.

    Raises:
        StoreError: a machine does not see it.
    """
    if machines() < 2:
        return
    for host, seen in on_each_machine(os.path.exists, str(place.absolute())):
        if not seen:
            raise StoreError(f"the machine {host} of the cluster does not see {what}, {place.parent}", hint)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def cause(text: str) -> str:
    """Of the text of an error of Ray, many lines, the last that names an error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Died)\b", line)]
    return (named or lines or ["without a word"])[-1][:300]
