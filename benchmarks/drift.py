"""Drift: false alarms on random halves of real test sets and on simulated streams, and alarms on changed images.

python benchmarks/drift.py RUN=PHOTOS [RUN=PHOTOS ...]

Each RUN was trained on PHOTOS, which must still be there. Its test images are measured once; then random halves of them
are compared (false alarms), and one half is compared with the other after a change (alarms). A stream is simulated:
properties with a common factor, windows from the distribution of the reference.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter
from record import save

import keensight as ks
from keensight.assess.drift import LEVEL, WINDOW, compare, report, window_level
from keensight.core.drift import NUMBERS, Measured
from keensight.core.progress import Silent
from keensight.workflow.drift import measure_images

HALVES = 1000
STREAMS, WINDOWS = 1500, 30
MOST = 300
"""Test images that are measured at most."""


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(io.BytesIO(stream.getvalue()))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "none (stored again as PNG)": lambda image: image,
    "20% darker": lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    "20% brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "half the contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.5),
    "blurred (radius 2 px at 224 px)": lambda image: image.filter(ImageFilter.GaussianBlur(2 * max(image.size) / 224)),
    "JPEG quality 10": lambda image: jpeg(image, 10),
    "a quarter of the size": lambda image: image.resize([max(1, side // 4) for side in image.size]),
}


def encoded(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def rows(measured: Measured, places: np.ndarray) -> Measured:
    return Measured(measured.values[places], measured.classes[places])


def alarms(found: list[bool]) -> float:
    return float(np.mean(found))


def of_set(
    run_path: Path, source: Path, others: list[tuple[str, list[bytes]]]
) -> tuple[dict[str, object], list[bytes]]:
    run, data = ks.open_run(run_path), ks.open(source)
    model, labels = ks.load(run), ks.load(run).labels.names
    draw = np.random.default_rng(0)
    where = {sample.path: i for i, sample in enumerate(data.samples)}
    test = [where[run.dataset.samples[i].path] for i in run.split.test]
    chosen = [test[int(i)] for i in draw.permutation(len(test))[:MOST]]
    images = [Image.open(io.BytesIO(data.load(i))).convert("RGB") for i in chosen]
    original = [bytes(data.load(i)) for i in chosen]
    half = len(images) // 2
    measured, _ = measure_images(model, original, Silent())

    def differs(new: Measured, old: Measured, level: float = LEVEL) -> bool:
        return report(old, new, labels, level).differs

    found: dict[str, object] = {"test_images": len(images), "false_alarms": {}, "alarms": {}}
    splits = [draw.permutation(len(images)) for _ in range(HALVES)]
    for level in (0.01, 0.05):
        hits = [differs(rows(measured, one[:half]), rows(measured, one[half:]), level) for one in splits]
        found["false_alarms"][str(level)] = alarms(hits)
    new = {name: measure_images(model, [encoded(change(one)) for one in images], Silent())[0]
           for name, change in CHANGES.items()}  # fmt: skip
    new |= {f"images of {name}": measure_images(model, some, Silent())[0] for name, some in others}
    for name, changed in new.items():
        for n in (50, min(200, half)):
            some = [draw.permutation(len(changed))[:n] for _ in range(100)]
            hits = []
            for places in some:
                rest = np.setdiff1d(np.arange(len(measured)), places) if name in CHANGES else np.arange(len(measured))
                hits.append(differs(rows(changed, places), rows(measured, rest)))
            found["alarms"].setdefault(name, {})[str(n)] = alarms(hits)
    return found, original[:half]


def stream(draw: np.random.Generator, n: int) -> Measured:
    common = draw.normal(size=(n, 1))
    values = np.exp(0.5 * common + draw.normal(size=(n, len(NUMBERS)))).astype(np.float32)
    return Measured(values, draw.choice(5, n, p=(0.4, 0.3, 0.15, 0.1, 0.05)))


def streams() -> dict[str, float]:
    draw, names, hits = np.random.default_rng(1), tuple("abcde"), 0
    for _ in range(STREAMS):
        reference = stream(draw, 400)
        for number in range(1, WINDOWS + 1):
            shifts = compare(reference, stream(draw, WINDOW), names, window_level(number, 0.05))
            if any(shift.differs for shift in shifts):
                hits += 1
                break
    return {"streams": STREAMS, "windows": WINDOWS, "level": 0.05, "with_a_false_alarm": hits / STREAMS}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("sets", nargs="+", help="RUN=PHOTOS")
    asked = parser.parse_args()
    found: dict[str, dict[str, object]] = {}
    others: list[tuple[str, list[bytes]]] = []
    for one in asked.sets:
        run, source = map(Path, one.split("=", 1))
        found[source.name], some = of_set(run, source, others)
        others = [*others, (source.name, some)]
    count = sum(int(one["test_images"]) for one in found.values())
    figures = {"sets": found, "stream": streams(), "halves": HALVES, "window": WINDOW, "level": LEVEL}
    save("drift", count, figures, "false alarms at most the level; alarms on changed images and on other sets")


if __name__ == "__main__":
    main()
