"""Check the port of the EfficientNet-Lite weights: top-1 and top-5 accuracy with the original 1,000-class classifier.

The images are one a class, their sorted file names in the order of the ImageNet classes (for example
github.com/EliSchwartz/imagenet-sample-images). Three ways to the network's square are measured: the decoder's
stretch and crop, and crop_middle, the usual ImageNet test; the figures say which of them reach the bar.

python benchmarks/port.py IMAGES --model efficientnet_lite0
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
from record import save

from keensight.core.parallel import ordered, processors
from keensight.core.pixels import decode
from keensight.core.records import ImageSpec
from keensight.nets.models.backbones import ARCHITECTURES
from keensight.nets.models.build import build
from keensight.nets.models.torch_weights import read_state
from keensight.nets.models.weights import packaged
from keensight.nets.runtime import framework

BATCH = 50


def classifier(name: str, spec: ImageSpec):
    _, tf = framework()
    file = ARCHITECTURES[name].embedded
    model = build(name, spec, 1000)
    logits = model.get_layer("logits")
    state = read_state(packaged(file), file.sha256)
    kernel, bias = state["_fc.weight"].T, state["_fc.bias"]
    # The original classifier sees the last map's means only, which stand last among our features.
    logits.set_weights([np.pad(kernel, ((logits.kernel.shape[0] - len(kernel), 0), (0, 0))), bias])
    return tf.function(lambda images: model(images, training=False))


def shares(forward, images: list[np.ndarray]) -> dict[str, float]:
    ranks = []
    started = time.perf_counter()
    for start in range(0, len(images), BATCH):
        logits = np.asarray(forward(np.stack(images[start : start + BATCH])))
        truth = np.arange(start, start + len(logits))
        ranks += list((logits > logits[np.arange(len(logits)), truth][:, None]).sum(axis=1))
    seconds = time.perf_counter() - started
    top_1, top_5 = (round(float(np.mean(np.array(ranks) < k)), 4) for k in (1, 5))
    return {"top_1": top_1, "top_5": top_5, "images_per_second": round(len(images) / seconds, 1)}


def middle(raw: bytes, side: int) -> np.ndarray:
    """The usual ImageNet test: the middle seven eighths of the shorter side."""
    large = round(side * 8 / 7)
    edge = (large - side) // 2
    return decode(raw, ImageSpec(large, large, "crop"))[edge : edge + side, edge : edge + side]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--side", type=int, help="left out: the side that the weights were trained at")
    parser.add_argument("--bar", default=">= 0.87 top-1")
    arguments = parser.parse_args()
    files = sorted(path for path in arguments.images.iterdir() if path.suffix.lower() in {".jpeg", ".jpg"})
    side = arguments.side or ARCHITECTURES[arguments.model].side
    figures = {"images": len(files), "side": side}
    forward = classifier(arguments.model, ImageSpec(side, side))
    ways = {fit: partial(decode, spec=ImageSpec(side, side, fit)) for fit in ("stretch", "crop")}
    for name, way in {**ways, "crop_middle": partial(middle, side=side)}.items():
        raw = [file.read_bytes() for file in files]
        figures[name] = shares(forward, list(ordered(way, raw, processors(), ahead=64)))
    figures["reach_0.87"] = [name for name in ("stretch", "crop", "crop_middle") if figures[name]["top_1"] >= 0.87]
    save(f"port-{arguments.model}", 1, figures, arguments.bar)


if __name__ == "__main__":
    main()
