"""Images a second of frozen EfficientNet-Lite0 features (float32, 224 px, both cores), engine by engine.

What counts is from decoded uint8 images to float32 features (n, 1280). Each engine lives in a process of its own
and works while the others wait; they take turns at several batch sizes, so that the noise of the machine is shared,
and the best setting of each counts.

    python benchmarks/peers/extraction.py [--rounds 5]
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIDE = 224
PACKAGES = ("torch", "onnxruntime", "openvino", "ai-edge-litert")
THREADS = int(os.environ.get("PEER_THREADS", os.cpu_count() or 1))
BATCHES = (1, 8, 32, 128)
N = 128
"""Images of a turn."""

Extract = Callable[[np.ndarray], Any]
"""A uint8 batch to its features."""
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (N, SIDE, SIDE, 3), np.uint8)


def keras_model() -> Any:
    from keras_lite0 import features

    return features(SIDE, "uint8")


def export(folder: Path) -> None:
    """The Keras model in the forms that the engines read."""
    model = keras_model()
    model(pixels()[:1])  # an export wants a model that has been called
    for kind, name in (("onnx", "model.onnx"), ("openvino", "model.xml"), ("litert", "model.tflite")):
        model.export(str(folder / name), format=kind, verbose=False)


# One function an engine: (folder, batch size, mode) -> a function from a uint8 batch to features.


def tensorflow(folder: Path, batch: int, mode: str) -> Extract:
    import tensorflow as tf

    model = keras_model()

    @tf.function(input_signature=[tf.TensorSpec((batch, SIDE, SIDE, 3), tf.uint8)], autograph=False)
    def run(images: Any) -> Any:
        return model(images, training=False)

    return lambda images: run(images).numpy()


def onnxruntime(folder: Path, batch: int, mode: str) -> Extract:
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads = THREADS
    session = ort.InferenceSession(folder / "model.onnx", settings, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


def openvino(folder: Path, batch: int, mode: str) -> Extract:
    """``latency``: all threads on one batch; ``streams``: the batch in halves, a thread each."""
    import openvino as ov

    streams = THREADS if mode == "streams" else 1
    model = ov.Core().read_model(folder / "model.xml")
    model.reshape([max(1, batch // streams), SIDE, SIDE, 3])
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": THREADS, "NUM_STREAMS": streams}
    compiled = ov.Core().compile_model(model, "CPU", settings)
    if mode == "latency":
        return lambda images: compiled(images)[0].copy()
    queue = ov.AsyncInferQueue(compiled, streams)
    found: dict[int, np.ndarray] = {}
    queue.set_callback(lambda request, place: found.__setitem__(place, request.get_output_tensor().data.copy()))

    def run(images: np.ndarray) -> np.ndarray:
        for place, part in enumerate(np.split(images, len(images) // max(1, batch // streams))):
            queue.start_async([part], place)
        queue.wait_all()
        return np.concatenate([found[place] for place in sorted(found)])

    return run


def litert(folder: Path, batch: int, mode: str) -> Extract:
    from ai_edge_litert.interpreter import Interpreter

    engine = Interpreter(str(folder / "model.tflite"), num_threads=THREADS)
    entry, result = engine.get_input_details()[0]["index"], engine.get_output_details()[0]["index"]
    engine.resize_tensor_input(entry, (batch, SIDE, SIDE, 3))
    engine.allocate_tensors()

    def run(images: np.ndarray) -> np.ndarray:
        engine.set_tensor(entry, images)
        engine.invoke()
        return engine.get_tensor(result)

    return run


def torch(folder: Path, batch: int, mode: str) -> Extract:
    """``eager``; ``frozen``: traced, batch normalization folded into the convolutions; ``compiled``: by Inductor."""
    import common
    import torch
    import torch._inductor.config

    torch.set_num_threads(THREADS)
    net = common.torch_lite0(2).eval().to(memory_format=torch.channels_last)
    net._fc = net._dropout = torch.nn.Identity()
    if mode == "frozen":
        like = torch.zeros(batch, 3, SIDE, SIDE).to(memory_format=torch.channels_last)
        with torch.inference_mode():
            net = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, like)))
    elif mode == "compiled":
        torch._inductor.config.freezing = True
        net = torch.compile(net)

    @torch.inference_mode()
    def run(images: np.ndarray) -> np.ndarray:
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).float().sub_(127).div_(128)
        return net(batch).numpy()

    return run


def keensight(folder: Path, batch: int, mode: str) -> Extract:
    """Keensight's own extraction, with the batches and threads that it chooses; four maps' means, not one's.

    It takes OpenVINO, which is installed here; with the mode ``default`` LiteRT, as where the extra is not.
    """
    from keensight.core.progress import Silent
    from keensight.core.records import ImageSpec
    from keensight.nets import engines
    from keensight.nets.models.build import build
    from keensight.nets.training import features
    from keensight.nets.training.images import features_of

    with engines.using("LiteRT" if mode == "default" else "OpenVINO"):
        net = engines.freeze(features_of(build("efficientnet_lite0", ImageSpec(SIDE, SIDE), 2)))

    class Rows:
        def __init__(self, images: np.ndarray) -> None:
            self.images, self.shape = images, images.shape[1:]

        def take(self, indices: np.ndarray) -> np.ndarray:
            return self.images[indices]

    def run(images: np.ndarray) -> np.ndarray:
        with Silent().task("", len(images)) as task:
            # The last map's means, which are what the peers compute.
            return features.run(net, Rows(images), np.arange(len(images)), task)[:, -1280:]

    return run


def settings(*modes: str) -> list[tuple[int, str]]:
    return [(batch, mode) for mode in modes for batch in BATCHES]


ENGINES: dict[str, tuple[Callable[[Path, int, str], Extract], list[tuple[int, str]]]] = {
    "tensorflow": (tensorflow, settings("")),
    "onnxruntime": (onnxruntime, settings("")),
    "openvino": (openvino, settings("latency", "streams")),
    "litert": (litert, settings("")),
    "torch": (torch, [*settings("eager", "frozen"), (8, "compiled"), (32, "compiled")]),
    "keensight": (keensight, [(N, "default")]),
    "keensight with its extra openvino": (keensight, [(N, "")]),
}


def serve(name: str, folder: Path) -> None:
    """In the engine's process: a line in asks for a turn, a line out tells its figures."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    make, _ = ENGINES[name]
    images = pixels()
    ready: dict[tuple[int, str], Extract] = {}
    for line in sys.stdin:
        batch, mode = json.loads(line)
        if (batch, mode) not in ready:
            ready[batch, mode] = make(folder, batch, mode)
            ready[batch, mode](images[:batch])
        run = ready[batch, mode]
        cpu, began = time.process_time(), time.perf_counter()
        done = [run(images[start : start + batch]) for start in range(0, N, batch)]
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        total = float(np.concatenate([np.asarray(part) for part in done])[:8].sum())
        answers.write(json.dumps({"rate": N / wall, "cpu": cpu / wall / THREADS, "checksum": total}) + "\n")


class Engine:
    """An engine's process, seen from here."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.settings = name, list(ENGINES[name][1])
        self.turns: dict[tuple[int, str], list[dict[str, float]]] = {setting: [] for setting in self.settings}
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--engine", name, "--folder", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def turn(self, setting: tuple[int, str]) -> bool:
        """False: the engine is not there, or failed."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(setting) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return False
        answer = self.process.stdout.readline()
        if answer:
            self.turns[setting].append(json.loads(answer))
        return bool(answer)

    def best(self) -> dict[str, Any]:
        def rate(setting: tuple[int, str]) -> float:
            return statistics.median(turn["rate"] for turn in self.turns[setting])

        batch, mode = best = max((setting for setting in self.settings if self.turns[setting]), key=rate)
        return {
            "images_per_second": round(rate(best), 1),
            "cpu_share": round(statistics.median(turn["cpu"] for turn in self.turns[best]), 2),
            "batch": batch,
            "mode": mode,
            "all": {f"{b} {m}".strip(): round(rate((b, m)), 1) for b, m in self.settings if self.turns[b, m]},
            "checksum": round(self.turns[best][0]["checksum"], 2),
        }

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def compare(names: list[str], batches: list[int] | None, rounds: int) -> dict[str, Any]:
    """All engines, in turns."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([sys.executable, __file__, "--engine", "export", "--folder", scratch], check=True)
        litert = [Engine(name, Path(scratch)) for name in names]
        for engine in litert:
            if batches and not engine.name.startswith("keensight"):
                engine.settings = [one for one in engine.settings if one[0] in batches]
        for number in range(rounds):
            for engine in list(litert):
                if not all(engine.turn(setting) for setting in engine.settings):
                    print(f"{engine.name}: not there", file=sys.stderr)
                    litert.remove(engine)
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        for engine in litert:
            engine.close()
    return {engine.name: engine.best() for engine in litert}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--batches", nargs="*", type=int, help="try only these")
    parser.add_argument("--engine", choices=[*ENGINES, "export"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engine == "export":
        return export(arguments.folder)
    if arguments.engine:
        return serve(arguments.engine, arguments.folder)
    figures = compare(arguments.only, arguments.batches, arguments.rounds)
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from importlib.metadata import version

    from record import save

    save("extraction", N, figures, versions={name: version(name) for name in PACKAGES})


if __name__ == "__main__":
    main()
