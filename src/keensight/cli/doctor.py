"""The command ``doctor``, and its checks: versions, CPUs, memory, disk, devices, sample datasets."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import click

from keensight.cli.invocation import Invocation, shared, size

GIB = 2**30
LOW_DISK, LOW_MEMORY = 2 * GIB, 2 * GIB
"""Below this much free disk or total memory, in bytes, training is likely to fail."""


_TIMED = ", whichever is faster for a network: timed at its first use"


@click.command()
@click.argument("run", required=False, type=click.Path(path_type=Path))
@shared
@click.pass_context
def doctor(context: click.Context, asked: Invocation, run: Path | None) -> None:
    """Check the installation and the machine: versions, CPUs, memory, disk, devices, sample datasets.

    It says whether TensorFlow uses a GPU, and if not, why. With RUN, show instead what is not as it was when RUN was
    trained, and what that means for the results of resuming or repeating it.
    """
    if run is not None:
        unlike = unlike_run(run)
        return asked.answer(unlike, lambda: unlike_described(unlike))
    found = examine()
    asked.answer(found, lambda: described(found))
    context.exit(int(bool(found["problems"])))


def unlike_run(path: Path) -> dict[str, Any]:
    """What of this machine and its versions is not as in a run, as plain values.

    Raises:
        StoreError: it is not a run, or records nothing of this.
    """
    from keensight.core.codec import to_plain
    from keensight.nets.runtime import devices
    from keensight.store.run import open_run
    from keensight.workflow.decide import settings_of
    from keensight.workflow.environment import differences
    from keensight.workflow.resume import decisions_of

    run = open_run(path)
    known = decisions_of(run)
    found = differences(known, settings_of(run, known), ",".join(devices()))
    kept = ("model", "precision", "threads", "engine", "device")
    return {
        "run": str(path),
        "decisions": {name: getattr(known, name) for name in kept},
        "environment": dict(known.environment),
        "differences": to_plain(found),
    }


def unlike_described(unlike: dict[str, Any]) -> str:
    """The same as lines of text."""
    decided = ", ".join(f"{name} {value}" for name, value in unlike["decisions"].items() if value is not None)
    lines = [f"decided in the run, and used again: {decided or 'nothing yet'}", ""]
    for one in unlike["differences"]:
        lines.append(f"{one['what']}: {one['recorded'] or 'not there'} in the run, {one['here'] or 'not there'} here")
        lines.append(f"    {one['consequence']}")
    return "\n".join(lines if unlike["differences"] else [*lines, "everything else is as it was in the run"])


def examine() -> dict[str, Any]:
    """Information about the installation and the machine, as plain values.

    Sizes are in bytes. ``problems`` has one sentence for each problem.
    """
    from keensight.core.codec import to_plain
    from keensight.core.parallel import processors
    from keensight.data.cache import cache_directory
    from keensight.nets import engines, gpu
    from keensight.workflow import versions

    machine = gpu.this_machine()
    found: dict[str, Any] = {
        "versions": versions(),
        "processors": processors(),
        "memory": memory(),
        "cache": str(cache_directory()),
        "disk_free": disk_free(cache_directory()),
        "devices": list(machine.devices),
        "gpu": to_plain(gpu.verdict(machine)),
        "engines": [engine.name for engine in engines.available(machine.devices)],
        "sample_sets": sample_sets(),
    }
    return found | {"problems": problems(found)}


def memory() -> int | None:
    """Memory of the machine in bytes, or None if unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def disk_free(folder: Path) -> int:
    """Free bytes on the disk where ``folder`` is, or will be."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return shutil.disk_usage(existing).free


def sample_sets() -> dict[str, int | str]:
    """Sample dataset to its number of images (one of them is decoded as a check), or to an error."""
    from keensight.core.pixels import decode
    from keensight.core.records import ImageSpec
    from keensight.data.sources import samples
    from keensight.errors import KeensightError

    found: dict[str, int | str] = {}
    for entry in samples.list_samples():
        try:
            dataset = samples.load(entry.name)
            decode(dataset.load(0), ImageSpec(8, 8))
            found[entry.name] = len(dataset)
        except (KeensightError, ImportError, OSError) as error:
            found[entry.name] = f"cannot be loaded: {error}"
    return found


def problems(found: dict[str, Any]) -> list[str]:
    """Problems in the results of :func:`examine`, one sentence each."""
    wrong = [
        f"the sample dataset {name} {state}" for name, state in found["sample_sets"].items() if isinstance(state, str)
    ]
    if found["disk_free"] < LOW_DISK:
        wrong.append(f"only {size(found['disk_free'])} free on the disk of {found['cache']}")
    if found["memory"] is not None and found["memory"] < LOW_MEMORY:
        wrong.append(f"{size(found['memory'])} of memory is low for TensorFlow")
    return wrong


def described(found: dict[str, Any]) -> str:
    """The findings as lines of text."""
    facts = {
        **found["versions"],
        "CPUs": found["processors"],
        "memory": size(found["memory"]) if found["memory"] else "unknown",
        "cache": f"{found['cache']} ({size(found['disk_free'])} free)",
        "devices": ", ".join(found["devices"]),
        "GPU": "; to use it: ".join(filter(None, (found["gpu"]["text"], found["gpu"]["hint"]))),
        "frozen layers": " or ".join(found["engines"]) + (_TIMED if len(found["engines"]) > 1 else ""),
        "sample datasets": ", ".join(f"{name} {state}" for name, state in found["sample_sets"].items()),
    }
    lines = [f"{name:<17}{value}" for name, value in facts.items()]
    verdict = [f"problem: {text}" for text in found["problems"]] or ["no problems found"]
    return "\n".join([*lines, "", *verdict])
