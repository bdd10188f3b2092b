"""First use: from `pip install` in an empty environment to the first prediction for a new image.

python benchmarks/newcomer.py FOLDER IMAGE [--note TEXT]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import save

ROOT = Path(__file__).resolve().parent.parent


def timed(command: list[str], environment: dict[str, str], place: Path) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, env=environment, cwd=place, stdout=subprocess.DEVNULL)
    return round(time.perf_counter() - started, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="images, one folder per class")
    parser.add_argument("image", type=Path, help="an image to predict")
    parser.add_argument("--note", default="", help="what else ran on the machine, kept with the result")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment["KEENSIGHT_CACHE"] = str(place / "cache")
        # --without-pip, then pip from outside: works where ensurepip is missing.
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place / "env")], check=True)
        python = str(place / "env" / "bin" / "python")
        keensight = [python, "-m", "keensight"]
        run = str(place / "run")
        seconds = {
            "install": timed([sys.executable, "-m", "pip", "--python", python, "install", "-q", str(ROOT)], environment,
                             place),
            "train, quick": timed(
                [*keensight, "train", str(arguments.folder.resolve()), "--effort", "quick", "--run", run], environment,
                place,
            ),
            "first prediction": timed([*keensight, "predict", run, str(arguments.image.resolve())], environment, place),
        }  # fmt: skip
    images = sum(1 for path in arguments.folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    save("newcomer", images, {"seconds": seconds, "in_all": round(sum(seconds.values()), 1), "note": arguments.note})


if __name__ == "__main__":
    main()
