"""Size and time of the two installations: all of Keensight, and what prediction and serving need, without TensorFlow.

python benchmarks/install.py BUNDLE IMAGE

Each goes into a fresh environment, from the package index, with an empty pip cache; then it must predict an image. The
size is that of the environment's packages, without pip and setuptools.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import save

ROOT = Path(__file__).resolve().parent.parent
KINDS = {"runtime": "packaging/runtime", "runtime with server": "packaging/runtime[serve]", "all": "."}


def installed(requirement: str, place: Path, bundle: Path, image: Path) -> dict[str, float]:
    """Seconds of pip, megabytes, and seconds of the second prediction."""
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    packages = next(place.glob("lib/python3*/site-packages"))
    before = size(packages)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    started = time.perf_counter()
    subprocess.run(
        [str(place / "bin" / "pip"), "install", "--quiet", "--no-cache-dir", requirement], cwd=ROOT, check=True,
        env=environment, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    for _ in range(2):
        started = time.perf_counter()
        subprocess.run(
            [str(place / "bin" / "keensight"), "predict", str(bundle), str(image), "--quiet"], check=True,
            env=environment | {"KEENSIGHT_CACHE": str(place / "cache")}, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        predicting = time.perf_counter() - started
    return {
        "pip_seconds": round(seconds, 1),
        "megabytes": round((size(packages) - before) / 1e6),
        "predict_seconds": round(predicting, 2),
    }


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("image", type=Path)
    arguments = parser.parse_args()
    figures = {}
    for name, requirement in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "environment"
            figures[name] = installed(requirement, place, arguments.bundle.resolve(), arguments.image.resolve())
            shutil.rmtree(place)
    save("install", 1, figures)


if __name__ == "__main__":
    main()
