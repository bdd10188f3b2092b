"""How fast `keensight predict --workers` (Ray Data, on this machine) is beside the same work in one plain process.

python benchmarks/predict_cluster.py BUNDLE FOLDER [--images 50000] [--workers 2] [--turns 3]

Photos of FOLDER (with repetitions, if there are fewer) are predicted into Parquet by one process with a thread for each
CPU, by one worker, and by all workers; these take turns. The rate at work is that from the first part that is done to
the last, the start of Ray and of its workers left out. The tables must be equal, bit for bit.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from pyarrow import parquet
from record import save

import keensight as ks
from keensight.core.parallel import processors
from keensight.core.progress import Silent
from keensight.scale.predict import predict_with_workers


class Clock(Silent):
    """Progress that only takes down when how many images were done."""

    def __init__(self) -> None:
        self.done: list[tuple[float, int]] = []

    @contextmanager
    def task(self, label: str, total: int, unit: str = "images") -> Iterator[Any]:
        yield self

    def advance(self, amount: int = 1, note: str | None = None) -> None:
        self.done.append((time.perf_counter(), amount))

    def rate(self) -> float:
        """Images per second from the first advance to the last."""
        return sum(amount for _, amount in self.done[1:]) / (self.done[-1][0] - self.done[0][0])


def timed(work: Callable[[Clock], object]) -> tuple[float, float]:
    """Seconds of the whole work, and images per second at work."""
    clock, started = Clock(), time.perf_counter()
    work(clock)
    return time.perf_counter() - started, clock.rate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    kinds = (".jpg", ".jpeg", ".png")
    found = sorted(path.resolve() for path in arguments.folder.rglob("*") if path.suffix.lower() in kinds)
    turns: list[dict[str, tuple[float, float]]] = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        listed = scratch / "list.txt"
        listed.write_text("\n".join(map(str, islice(cycle(found), arguments.images))))

        def plain(clock: Clock) -> None:
            ks.predict_to_file(arguments.bundle, listed, scratch / "plain.parquet", progress=clock)

        def spread(workers: int) -> Callable[[Clock], object]:
            out = scratch / f"{len(turns)}-{workers}.parquet"
            return lambda clock: predict_with_workers(arguments.bundle, listed, out, workers=workers, progress=clock)

        for _ in range(arguments.turns):
            one, all_of_them = spread(1), spread(arguments.workers)
            turns.append({"plain": timed(plain), "one": timed(one), "all": timed(all_of_them)})
        expected = parquet.read_table(scratch / "plain.parquet")
        tables = [parquet.read_table(path) for path in scratch.glob("[0-9]*.parquet")]
        assert len(tables) == 2 * arguments.turns and all(table.equals(expected) for table in tables)

    def middle(numbers: Iterator[float]) -> float:
        return round(statistics.median(numbers), 3)

    figures = {
        "photos": arguments.folder.name,
        "workers": arguments.workers,
        "threads": processors(),
        "turns": arguments.turns,
        "seconds": {name: middle(turn[name][0] for turn in turns) for name in turns[0]},
        "images_per_second": {name: middle(turn[name][1] for turn in turns) for name in turns[0]},
        "ratio_at_work": middle(turn["all"][1] / turn["plain"][1] for turn in turns),
        "ratio_in_all": middle(turn["plain"][0] / turn["all"][0] for turn in turns),
        "speedup": middle(turn["all"][1] / turn["one"][1] for turn in turns),
    }
    save(
        "predict-cluster", arguments.images, figures, "at work >= 0.8 x one process with as many threads",
        versions={name: version(name) for name in ("ray", "ai-edge-litert", "pyarrow")},
    )  # fmt: skip


if __name__ == "__main__":
    main()
