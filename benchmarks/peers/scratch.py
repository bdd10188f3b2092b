"""Training images a second of the `resnet` net, PyTorch against Keensight, and their share of the machine's peak.

PyTorch runs in channels_last with a fused optimizer, in float32, in bfloat16 (autocast) and compiled. Keensight's
step is what `keensight train` runs: Keras' `fit` on the same net, loss, optimizer and moving average of weights.
Batches are at hand: no decoding and no augmentation. Each contender is a process of its own; they take turns.

    python benchmarks/peers/scratch.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

SIDE, CLASSES, BATCH, WIDTH = 28, 10, 128, 32
MATMUL = 2048
WARM_UP = 3
THREADS = int(os.environ.get("PEER_THREADS", os.cpu_count() or 1))


def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (BATCH, SIDE, SIDE, 3), np.uint8), rng.integers(0, CLASSES, BATCH)


def rates(step: Callable[[], Any], seconds: float, block: int = 5) -> dict[str, float]:
    """Images a second: median over blocks of steps, after some that warm up."""
    clock = Clock(seconds, block)
    while not clock.done:
        step()
        clock.tick()
    return clock.figures()


class Clock:
    """Called after every step; tells when it is enough."""

    def __init__(self, seconds: float, block: int = 5) -> None:
        self.seconds, self.block, self.steps, self.done = seconds, block, 0, False
        self.found: list[float] = []
        self.start = self.began = time.perf_counter()

    def tick(self) -> None:
        now, self.steps = time.perf_counter(), self.steps + 1
        if self.steps == WARM_UP:
            self.start, self.warm_up, self.cpu = now, now - self.start, time.process_time()
            self.began = now
        elif self.steps > WARM_UP and (self.steps - WARM_UP) % self.block == 0:
            self.found.append(self.block * BATCH / (now - self.began))
            self.began, self.done = now, now > self.start + self.seconds and len(self.found) > 1

    def figures(self) -> dict[str, float]:
        images = (self.steps - WARM_UP) * BATCH
        return {
            "images_per_second": statistics.median(self.found),
            "fastest": max(self.found),
            # Tells the contenders apart even on a machine that has other work, with one thread each.
            "images_per_cpu_second": images / (time.process_time() - self.cpu),
            "warm_up_seconds": self.warm_up,
        }


def gflops(multiply: Callable[[], Any], operations: int) -> float:
    """Best of some repetitions, in thousand million operations a second."""
    multiply()
    best = float("inf")
    for _ in range(20):
        began = time.perf_counter()
        multiply()
        best = min(best, time.perf_counter() - began)
    return operations / best / 1e9


# PyTorch


def torch_net() -> Any:
    """The net of ``keensight.nets.models.build.resnet`` for 28 px."""
    from torch import nn

    def conv(inputs: int, outputs: int, pool: bool = False) -> nn.Sequential:
        layers = [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)]
        if pool:
            layers.append(nn.MaxPool2d(2))
        return nn.Sequential(*layers, nn.BatchNorm2d(outputs, eps=1e-5, momentum=0.1), nn.ReLU(inplace=True))

    class Residual(nn.Sequential):
        def forward(self, x: Any) -> Any:
            return x + super().forward(x)

    stages, channels = [nn.Conv2d(3, WIDTH, 3, padding=1), nn.ReLU(inplace=True)], WIDTH
    for stage in range(3):
        wider = WIDTH * 2 ** (stage + 1)
        stages += [conv(channels, wider, pool=True), Residual(conv(wider, wider), conv(wider, wider))]
        channels = wider
    head = [nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(channels, CLASSES)]
    return nn.Sequential(*stages, *head)


def torch_step(bf16: bool, compiled: bool) -> Callable[[], Any]:
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    torch.set_flush_denormal(True)
    net = torch_net().to(memory_format=torch.channels_last).train()
    kernels = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim == 1]
    groups = [{"params": kernels, "weight_decay": 5e-4}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.9, nesterov=True, fused=True)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    weights = [p.data for p in net.parameters()]
    averages = [w.clone() for w in weights]
    images, targets = (torch.from_numpy(array) for array in batch())
    images = images.permute(0, 3, 1, 2)  # channels_last, as the pixels lie

    def forward(pixels: Any) -> Any:
        return net(pixels.float() / 127.5 - 1)

    run = torch.compile(forward) if compiled else forward

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = run(images)
        loss_of(logits.float(), targets).backward()
        optimizer.step()
        torch._foreach_lerp_(averages, weights, 0.005)

    return step


def torch_matmul(bf16: bool) -> float:
    import torch

    torch.set_num_threads(THREADS)
    a, b = (torch.randn(MATMUL, MATMUL).to(torch.bfloat16 if bf16 else torch.float32) for _ in range(2))
    return gflops(lambda: a @ b, 2 * MATMUL**3)


def torch_convolution(bf16: bool) -> float:
    """A large 3x3 convolution: some libraries' matrix products stay below what the processor can do."""
    import torch

    torch.set_num_threads(THREADS)
    kind = torch.bfloat16 if bf16 else torch.float32
    images = torch.randn(64, 128, 14, 14).to(kind).to(memory_format=torch.channels_last)
    kernel = torch.randn(128, 128, 3, 3).to(kind).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        return gflops(lambda: torch.conv2d(images, kernel, padding=1), 2 * 64 * 14**2 * 9 * 128**2)


# Keensight


def keras_net() -> Any:
    from keensight.core.records import ImageSpec
    from keensight.nets import runtime
    from keensight.nets.models.build import build

    runtime.use_threads(THREADS)
    runtime.configure(seed=0)
    return build("resnet", ImageSpec(SIDE, SIDE), CLASSES, width=WIDTH)


def keras_rates(precision: str, seconds: float) -> dict[str, float]:
    """The same figures from inside Keras' ``fit``."""
    from keensight.core.config import RunConfig
    from keensight.nets.runtime import framework
    from keensight.nets.training import fit
    from keensight.nets.training.losses import objective_of
    from keensight.nets.training.training_copy import training_form

    keras, tf = framework()
    model = training_form(keras_net(), precision)
    config = RunConfig().with_values({"model.name": "resnet", "train.batch_size": BATCH})
    images, targets = batch()
    fit._compile(model, config, fit.schedule(config.train, "resnet", 54_000), objective_of(targets, balanced=False))
    one_hot = np.eye(CLASSES, dtype=np.float32)[targets]
    feed = tf.data.Dataset.from_tensors((images, one_hot, np.ones(BATCH, np.float32))).repeat()

    clock = Clock(seconds)

    class Enough(Exception):
        pass

    class Tick(keras.callbacks.Callback):
        def on_train_batch_end(self, step: int, logs: Any = None) -> None:
            clock.tick()
            if clock.done:
                raise Enough  # `fit` looks at stop_training at the end of an epoch only

    with suppress(Enough):
        model.fit(feed, steps_per_epoch=1_000_000, verbose=0, callbacks=[Tick()])
    return clock.figures()


def keras_matmul(bf16: bool) -> float:
    from keensight.nets.runtime import framework, use_threads

    use_threads(THREADS)
    _, tf = framework()
    a, b = (tf.cast(tf.random.normal((MATMUL, MATMUL)), tf.bfloat16 if bf16 else tf.float32) for _ in range(2))
    multiply = tf.function(lambda: tf.matmul(a, b))
    return gflops(lambda: multiply().shape, 2 * MATMUL**3)


def multiply_adds() -> int:
    """Of a forward pass of one image, counted over convolutions and dense layers."""
    total = 0
    for layer in keras_net().layers:
        kind = type(layer).__name__
        if kind == "Conv2D":
            _, height, width, channels = layer.output.shape
            total += height * width * channels * int(np.prod(layer.kernel.shape[:3]))
        elif kind == "Dense":
            total += int(np.prod(layer.kernel.shape))
    return total


CONTENDERS: dict[str, Callable[[float], dict[str, float]]] = {
    "torch float32": lambda seconds: rates(torch_step(False, False), seconds),
    "torch bfloat16": lambda seconds: rates(torch_step(True, False), seconds),
    "torch float32 compiled": lambda seconds: rates(torch_step(False, True), seconds),
    "torch bfloat16 compiled": lambda seconds: rates(torch_step(True, True), seconds),
    "keensight float32": lambda seconds: keras_rates("float32", seconds),
    "keensight bfloat16": lambda seconds: keras_rates("bfloat16", seconds),
    "torch matmul": lambda _: {"float32_gflops": torch_matmul(False), "bfloat16_gflops": torch_matmul(True)},
    "torch convolution": lambda _: {
        "float32_gflops": torch_convolution(False),
        "bfloat16_gflops": torch_convolution(True),
    },
    "tensorflow matmul": lambda _: {"float32_gflops": keras_matmul(False), "bfloat16_gflops": keras_matmul(True)},
    "net": lambda _: {"multiply_adds": multiply_adds()},
}


def turn(name: str, seconds: float) -> dict[str, float]:
    """One contender in a fresh process."""
    command = [sys.executable, __file__, "--contender", name, "--seconds", str(seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if done.returncode:
        print(f"{name}: failed", file=sys.stderr)
        return {}
    return json.loads(done.stdout.splitlines()[-1])


def summary(turns: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Medians over the rounds, and each rate as a share of the peak of its arithmetic."""
    medians: dict[str, Any] = {
        name: {key: round(statistics.median(one[key] for one in found), 2) for key in found[0]}
        for name, found in turns.items()
        if found
    }
    work = 3 * 2 * medians["net"]["multiply_adds"]  # backward costs two forwards; a multiply-add is two operations
    for name, figures in medians.items():
        if "images_per_second" in figures:
            kind = "bfloat16" if "bfloat16" in name else "float32"
            peak = max(one[f"{kind}_gflops"] for one in medians.values() if f"{kind}_gflops" in one)
            figures["share_of_peak"] = round(figures["images_per_second"] * work / 1e9 / peak, 3)
    return medians


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10, help="measured time of a contender in a round")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--only", nargs="*", choices=CONTENDERS, default=list(CONTENDERS))
    arguments = parser.parse_args()
    if arguments.contender:
        print(json.dumps(CONTENDERS[arguments.contender](arguments.seconds)))
        return
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in arguments.only}
    for _ in range(arguments.rounds):
        for name, found in turns.items():
            result = turn(name, arguments.seconds)
            if result:
                found.append(result)
                print(name, json.dumps(result), file=sys.stderr, flush=True)
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from importlib.metadata import version

    from record import save

    save("scratch-peers", arguments.rounds, summary(turns), versions={"torch": version("torch")})


if __name__ == "__main__":
    main()
