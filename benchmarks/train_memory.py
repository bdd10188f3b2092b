"""How much the peak memory of a whole `keensight train` grows with the number of images, at 224 px.

python benchmarks/train_memory.py
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from prepare_memory import make
from record import save

# Runs the command line in a process of its own and prints its peak resident memory in kB.
CHILD = """
import resource, sys
from keensight.cli.main import main
code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
sys.exit(code)
"""


def peak_mb(n: int) -> float:
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("a", "b"):
            (Path(scratch) / "images" / name).mkdir(parents=True)
        make(Path(scratch) / "images" / "a", n)
        for number, path in enumerate(sorted((Path(scratch) / "images" / "a").iterdir())):
            if number % 2:
                path.rename(path.parent.parent / "b" / path.name)
        options = ["--image-size", "224", "--epochs", "1", "--model", "cnn", "--set", "model.width=4"]
        command = [sys.executable, "-c", CHILD, "train", "images", "--run", "run", *options]
        environment = os.environ | {"KEENSIGHT_CACHE": f"{scratch}/cache"}
        done = subprocess.run(command, cwd=scratch, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout.split()[-1]) * 1024 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--few", type=int, default=2_000)
    parser.add_argument("--many", type=int, default=20_000)
    arguments = parser.parse_args()
    few, many = peak_mb(arguments.few), peak_mb(arguments.many)
    figures = {
        f"peak_mb_{arguments.few}": round(few),
        f"peak_mb_{arguments.many}": round(many),
        "growth_mb": round(many - few),
    }
    save("train-memory", arguments.many, figures, "growth < 300 MB")


if __name__ == "__main__":
    main()
