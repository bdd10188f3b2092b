"""What checkpoints cost: the time of saving them as a fraction of the training's, at the default settings.

python benchmarks/checkpoints.py CLOTHING CIRCUITS

CLOTHING is a folder of clothing_small (train/validation/test), CIRCUITS deeppcb_crops. Both times are of one training,
so that the load of the machine is the same.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

from record import save

import keensight as ks
from keensight.store.checkpoint import CheckpointFolder

CASES = (
    ("circuits, cnn", "circuits", {"model": "cnn", "epochs": 6}),
    ("circuits, resnet", "circuits", {"model": "resnet", "epochs": 2, "image_size": 32}),
    ("clothing_small, efficientnet_lite0, fine-tuned", "clothing", {"epochs": 2, "image_size": 96}),
)


def measured(name: str, source: str, options: dict[str, Any]) -> dict[str, Any]:
    spent: list[float] = []
    sizes: list[int] = []
    original = CheckpointFolder.save

    def timed(folder: CheckpointFolder, state: Any, arrays: Any) -> None:
        begun = time.perf_counter()
        original(folder, state, arrays)
        spent.append(time.perf_counter() - begun)
        sizes.extend(path.stat().st_size for path in folder.folder.iterdir())

    with tempfile.TemporaryDirectory() as place, mock.patch.object(CheckpointFolder, "save", timed):
        run = ks.train(source, run=Path(place) / "run", label_check="no", **options)
        training = sum(epoch.seconds for epoch in run.history.epochs if epoch.phase != "head")
    return {
        "name": name, "training_seconds": training, "checkpoints": len(spent), "saving_seconds": sum(spent),
        "megabytes": max(sizes, default=0) / 1e6, "fraction": sum(spent) / (training + sum(spent)),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clothing")
    parser.add_argument("circuits")
    given = vars(parser.parse_args())
    rows = [measured(name, given[source], options) for name, source, options in CASES]
    save("checkpoints", len(rows), {"cases": rows}, "at most 3% of the time of training")


if __name__ == "__main__":
    main()
