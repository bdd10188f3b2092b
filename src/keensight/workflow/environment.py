"""What a training's bits depend on beside its settings and images: versions, CPU, environment variables."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from keensight.core.config import RunConfig
from keensight.core.decisions import Decisions, Difference
from keensight.core.files import sha256_file
from keensight.core.parallel import processors
from keensight.errors import KeensightError
from keensight.workflow.bundle import versions
from keensight.workflow.steps import start_weights

_OF_WORKERS = ("jax", "jaxlib")
"""Packages that compute only where several workers train."""
_PACKAGES = ("ai-edge-litert", "scipy", "h5py", "threadpoolctl", *_OF_WORKERS)
_VARIABLES = (
    "CUDA_VISIBLE_DEVICES", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS", "TF_DETERMINISTIC_OPS", "TF_ENABLE_ONEDNN_OPTS", "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS", "TF_XLA_FLAGS", "XLA_FLAGS",
)  # fmt: skip
"""Variables by which libraries choose other routines."""
_INSTRUCTIONS = ("avx", "avx2", "fma", "f16c", "avx_vnni", "asimd", "sve")
START_WEIGHTS = "start weights"
_CPUINFO = Path("/proc/cpuinfo")

_MAY = "the results may differ in their last digits"
_NOTHING = "no consequence for the results is known"


def environment(config: RunConfig | None = None) -> dict[str, str]:
    """What a training's bits depend on, name to value; nothing heavy is imported.

    Args:
        config: Its settings, for the weights that it starts from if they are a file; None: these are not looked at.
    """
    found = versions()
    with suppress(KeensightError):  # a file that is gone is refused where it is read
        weights = None if config is None else start_weights(config.model.weights)
        if isinstance(weights, Path):
            found[START_WEIGHTS] = sha256_file(weights)
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    model, flags = _cpu()
    found |= {"machine": platform.machine(), "CPU": model, "instructions": flags, "CPU count": str(processors())}
    return found | {f"${name}": os.environ[name] for name in _VARIABLES if name in os.environ}


def _cpu() -> tuple[str, str]:
    """Name of the CPU, and the vector instructions that libraries choose their routines by."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor(), ""
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = facts.get("flags", facts.get("Features", "")).split()
    kept = sorted(flag for flag in flags if flag in _INSTRUCTIONS or flag.startswith(("avx512", "amx")))
    return facts.get("model name", platform.processor()), " ".join(kept)


def differences(
    recorded: Decisions, config: RunConfig | None = None, device: str | None = None
) -> tuple[Difference, ...]:
    """What of this process is not as it was in a run, and what that means.

    Args:
        recorded: The run's record.
        config: Its settings, as for :func:`environment`.
        device: What TensorFlow computes on here; None: not asked, as that takes an import of seconds.
    """
    then, here = dict(recorded.environment), environment(config)
    if config is None or START_WEIGHTS not in then:  # earlier versions did not record them
        then.pop(START_WEIGHTS, None), here.pop(START_WEIGHTS, None)
    if device is not None and recorded.device is not None:
        then["device"], here["device"] = recorded.device, device
    names = sorted({*then, *here}, key=lambda name: (name.startswith("$"), name.lower()))
    return tuple(
        Difference(name, then.get(name, ""), here.get(name, ""), _consequence(name, recorded))
        for name in names
        if then.get(name) != here.get(name)
    )


def _consequence(name: str, recorded: Decisions) -> str:
    if name == "openvino" and (recorded.engine or "").startswith("LiteRT"):
        return f"{_NOTHING}: the run used {recorded.engine}, which is used again"
    if name in _OF_WORKERS and recorded.workers is None:
        return f"{_NOTHING}: no workers have trained it"
    if name == "platform":
        return _NOTHING
    if name == START_WEIGHTS:
        return "the training starts from other weights, so the results are others"
    if name == "keensight":
        return "another version may decide otherwise or train differently"
    return _MAY


def in_words(found: tuple[Difference, ...]) -> list[str]:
    """One line for each difference that may change the results."""
    return [
        f"{one.what}: {one.recorded or 'not set'} in the run, {one.here or 'not set'} here"
        for one in found
        if not one.consequence.startswith(_NOTHING)
    ]
