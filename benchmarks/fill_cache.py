"""Scaling of decoding and of frozen features on a Ray cluster: 1 and 2 workers with a CPU each.

python benchmarks/fill_cache.py FOLDER [--workers 2] [--rounds 3] [--model efficientnet_lite0]

FOLDER is an image set. A cluster of this machine is started for the benchmark. One worker and all of them take turns,
each time with an empty cache. The rate is that after each worker's first part, the start of workers left out; pixels
and features must be the same, bit for bit.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from predict_cluster import Clock
from record import save

import keensight as ks
from keensight.core.records import Dataset, ImageSpec
from keensight.data.feature_cache import FeatureCache
from keensight.data.shards import cache_directory
from keensight.nets.training.images import wanted
from keensight.scale.fill_cache import decode, extract
from keensight.scale.train import RayWorkers
from keensight.store.create_run import create_run
from keensight.workflow.features import caches, images_of


def rate(clock: Clock, workers: int) -> float:
    """Images per second after as many parts as there are workers."""
    (began, _), *after = clock.done[workers - 1 :]
    return sum(images for _, images in after) / (after[-1][0] - began)


def once(data: Dataset, spec: ImageSpec, model: str, workers: RayWorkers, place: Path) -> dict[str, Any]:
    """Rates of one turn, and what it computed."""
    shutil.rmtree(cache_directory(), ignore_errors=True)
    decoding, computing = Clock(), Clock()
    decode(data, spec, workers, decoding)
    pixels = ks.prepare(data, spec)
    rows = np.array([row for row in range(len(data)) if row not in pixels.errors])
    images = images_of(data, ks.split(data), pixels)
    asked = wanted(ks.build(data, spec, model), images, rows, caches(computing))
    run = create_run(
        place, name="bench", source="", model=model, command="", seed=0, versions={}, config_toml="", decisions=None
    )
    extract(run, asked, data, pixels, workers, computing)
    found, known = FeatureCache(asked.key, asked.values).read(asked.digests)
    assert known.all()
    rates = {"decoding": rate(decoding, workers.count), "features": rate(computing, workers.count)}
    return {**rates, "found": (pixels.take(rows[:64]), found)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="efficientnet_lite0")
    given = parser.parse_args()
    import ray

    with tempfile.TemporaryDirectory() as folder:
        os.environ["KEENSIGHT_CACHE"] = str(Path(folder, "cache"))
        data = ks.open(given.folder)
        spec = ks.image_spec(data, model=given.model)
        address = ray.init("local", num_cpus=given.workers, include_dashboard=False, log_to_driver=False).address_info[
            "address"
        ]
        turns: list[dict[int, dict[str, Any]]] = []
        for number in range(given.rounds):
            turns.append({
                count: once(data, spec, given.model, RayWorkers(count, address), Path(folder, f"{number}-{count}"))
                for count in (1, given.workers)
            })  # fmt: skip
            print({count: {"decoding": one["decoding"], "features": one["features"]}
                   for count, one in turns[-1].items()}, flush=True)  # fmt: skip
        every = [one["found"] for turn in turns for one in turn.values()]
        assert all(np.array_equal(a, b) for one in every for a, b in zip(one, every[0], strict=True))

    def middle(name: str, count: int) -> float:
        return round(statistics.median(turn[count][name] for turn in turns), 1)

    figures: dict[str, Any] = {
        "images": given.folder.name, "model": given.model, "side": spec.width, "workers": given.workers,
        "rounds": given.rounds,
    }  # fmt: skip
    for name in ("decoding", "features"):
        one, all_of_them = middle(name, 1), middle(name, given.workers)
        efficiency = statistics.median(turn[given.workers][name] / turn[1][name] / given.workers for turn in turns)
        figures[name] = {"one": one, "all": all_of_them, "efficiency": round(efficiency, 3)}
    save("fill-cache", len(data), figures, "efficiency 0.8 of two workers",
         versions={name: version(name) for name in ("ray", "ai-edge-litert")})  # fmt: skip


if __name__ == "__main__":
    main()
