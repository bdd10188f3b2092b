"""Scaling of a distributed training from scratch: 1 and 2 workers, bytes a step, and larger groups on paper.

python benchmarks/scaling.py [--model resnet] [--side 32] [--batch 128] [--steps 40] [--rounds 3]

Each worker is a process on a CPU of its own (`sched_setaffinity`) and runs what ``keensight train --workers`` runs in
each, without Ray, on generated images with the default augmentation. Steps are timed after the first ten. Three
settings, in turn: one worker; two workers that share each batch; and two workers that exchange nothing, each with half
of the batch. The last one is what these two CPUs can do at all: if they are two threads of one core, less than twice
as much as one. Bytes are those of the loopback interface (Linux).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from record import save

from keensight.core.codec import to_plain
from keensight.core.config import RunConfig
from keensight.core.files import write_json
from keensight.core.records import ImageSpec
from keensight.nets.training.data_parallel import Rank, Report, joined, train
from keensight.scale.worker import free_address

WARM = 10
CLASSES = 10
BANDWIDTH, LATENCY = 10e9 / 8, 50e-6
"""Assumed of a network: bytes a second (10 Gbit/s), and seconds of a message."""
SIZES = (8, 64, 512)


class NoCheckpoints:
    def newest(self, phase: str) -> None:
        return None

    def due(self, epoch_ended: bool) -> bool:
        return False


def loopback() -> int:
    """Bytes that the loopback interface has received so far."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, counts = line.partition(":")
        if name.strip() == "lo":
            return int(counts.split()[0])
    raise SystemExit("no loopback interface in /proc/net/dev")


def prepare(place: Path, model: str, side: int, batch: int, steps: int) -> dict[str, Any]:
    """Write a job of one epoch; the network's sizes."""
    from keensight.nets import runtime
    from keensight.nets.models.build import build
    from keensight.nets.training.fit import schedule
    from keensight.nets.training.job import Job, Plan, write_job

    n = batch * (WARM + steps)
    rng = np.random.default_rng(0)
    targets = rng.integers(0, CLASSES, n + 16)
    config = RunConfig().with_values(
        {"model.name": model, "train.batch_size": batch, "train.epochs": 1, "train.precision": "float32",
         "augment.flip": "horizontal", "augment.color": "light", "augment.crop": 1.0, "augment.erase": 0.25}
    )  # fmt: skip
    runtime.configure(seed=0)
    network = build(model, ImageSpec(side, side), CLASSES, weights="none")
    plan = Plan(config, schedule(config.train, model, n), "train", CLASSES)
    write_job(Job(network, np.arange(n), np.arange(n, n + 16), targets, plan), place)
    np.save(place / "pixels.npy", rng.integers(0, 256, (n + 16, side, side, 3), np.uint8))
    write_json(place / "spec.json", to_plain(ImageSpec(side, side)))
    norms = [layer for layer in network.layers if type(layer).__name__ == "BatchNormalization"]
    trained = sum(int(np.prod(one.shape)) for one in network.trainable_variables)
    return {"parameters": trained, "norms": len(norms), "channels": sum(int(one.gamma.shape[0]) for one in norms)}


def reduced_bytes(sizes: dict[str, Any]) -> int:
    """What the workers add up in a step: gradients and loss; mean and variance of each batch normalization and their
    gradients, as XLA divides them (6 values a channel); the accuracy."""
    return 4 * (sizes["parameters"] + 6 * sizes["channels"] + 2)


def messages(sizes: dict[str, Any]) -> int:
    """Collective operations of a step: four of each batch normalization, the gradients, loss and accuracy."""
    return 4 * int(sizes["norms"]) + 2


def worker(place: Path, address: str, number: int, count: int, cpu: int) -> None:
    """One worker on one CPU; writes seconds and bytes of the steps after the first ones."""
    os.sched_setaffinity(0, {cpu})
    marks: dict[int, tuple[float, float, int]] = {}

    def follow(step: int) -> None:
        marks[step] = (time.perf_counter(), time.process_time(), loopback())

    with joined(address, Rank(number, count)):
        from keensight.data.shared_pixels import read_shared
        from keensight.nets import runtime
        from keensight.nets.models.weights import open_model
        from keensight.nets.training.job import read_job

        runtime.configure(seed=0)
        train(open_model(place / "network.keras"), read_job(place), read_shared(place), Rank(number, count),
              checkpoints=NoCheckpoints(), report=Report(), followed=follow)  # type: ignore[arg-type]  # fmt: skip
    steps = max(marks) - WARM
    seconds, cpu_seconds, sent = (last - first for last, first in zip(marks[max(marks)], marks[WARM], strict=True))
    found = {"step": seconds / steps, "cpu": cpu_seconds / steps, "bytes": sent / steps}
    (place / f"measured-{cpu}.json").write_text(json.dumps(found))


def together(groups: list[tuple[Path, int]]) -> list[dict[str, float]]:
    """Run groups of workers at the same time, each worker on the next CPU; what each has measured."""
    started, places, cpu = [], [], 0
    for place, count in groups:
        address = free_address()
        for number in range(count):
            words = [sys.executable, __file__, "--worker", str(place), address, str(number), str(count), str(cpu)]
            started.append(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))
            places.append(place / f"measured-{cpu}.json")
            cpu += 1
    for process in started:
        _, errors = process.communicate()
        if process.returncode:
            raise SystemExit(errors.decode(errors="replace")[-2000:])
    return [json.loads(path.read_text()) for path in places]


def on_paper(step: float, sizes: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Predicted seconds and efficiency of larger groups whose workers each keep their part of a batch.

    A ring: each worker sends 2 (N - 1) / N times the bytes, and each operation takes 2 (N - 1) messages.
    """
    found = {}
    for count in SIZES:
        moving = 2 * (count - 1) / count * reduced_bytes(sizes) / BANDWIDTH
        waiting = messages(sizes) * 2 * (count - 1) * LATENCY
        found[str(count)] = {"moving": moving, "waiting": waiting, "efficiency": step / (step + moving + waiting)}
    return found


def measure(given: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        whole, halves = Path(folder, "whole"), [Path(folder, "first"), Path(folder, "second")]
        sizes = prepare(whole, given.model, given.side, given.batch, given.steps)
        for half in halves:
            prepare(half, given.model, given.side, given.batch // 2, given.steps)
        rounds = []
        for number in range(given.rounds):
            one = together([(whole, 1)])[0]
            two = together([(whole, 2)])
            apart = together([(half, 1) for half in halves])
            rounds.append({
                "one": given.batch / one["step"], "two": given.batch / max(one["step"] for one in two),
                "apart": sum(given.batch / 2 / one["step"] for one in apart),
                "bytes": two[0]["bytes"], "half_step_cpu": statistics.mean(one["cpu"] for one in apart),
            })  # fmt: skip
            print(number, rounds[-1], flush=True)
    middle = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    theory = 2 * reduced_bytes(sizes)  # two workers: each sends as many bytes as are added up
    return {
        **sizes, "batch": given.batch, "side": given.side, "rounds": rounds,
        "images_per_second": {name: middle[name] for name in ("one", "two", "apart")},
        "efficiency": middle["two"] / (2 * middle["one"]),
        "efficiency_apart": middle["apart"] / (2 * middle["one"]),
        "of_apart": middle["two"] / middle["apart"],
        "bytes": middle["bytes"], "bytes_theory": theory, "messages": messages(sizes),
        "paper": on_paper(given.batch / 2 / (middle["apart"] / 2), sizes),
        "assumed": {"bytes_per_second": BANDWIDTH, "latency": LATENCY},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet", choices=["cnn", "resnet"])
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker is not None:
        place, address, *numbers = given.worker
        return worker(Path(place), address, *map(int, numbers))
    figures = measure(given)
    save(f"scaling-{given.model}", given.batch * given.steps, figures, "efficiency 0.8 of two workers",
         versions={name: version(name) for name in ("jax", "ray")})  # fmt: skip
    return None


if __name__ == "__main__":
    main()
