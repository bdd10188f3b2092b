"""How much peak memory grows with the number of images: `prepare` at 224 px, then every image read once.

python benchmarks/prepare_memory.py
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from record import save

CHILD = """
import sys, time
from pathlib import Path
import numpy as np
from keensight.core.files import sha256
from keensight.core.records import Dataset, ImageSpec, LabelSet, Sample
from keensight.data.cache import prepare

class Files:
    def load(self, sample):
        return Path(sample.path).read_bytes()

paths = sorted(map(str, Path(sys.argv[1]).iterdir()))
samples = tuple(Sample(path, "all", sha256(Path(path).read_bytes())) for path in paths)
dataset = Dataset("synthetic", "folder", LabelSet(("all",)), samples, reader=Files())
pixels = prepare(dataset, ImageSpec(224, 224), mode="always")
assert pixels.decoded == len(paths), pixels.decoded
order = np.random.default_rng(0).permutation(len(paths))
total = sum(int(pixels.take(order[i : i + 64])[:, ::32, ::32].sum()) for i in range(0, len(order), 64))
assert total > 0
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def make(folder: Path, n: int) -> None:
    """``n`` distinct JPEGs of 320×320: a few drawn images, each file with its own comment."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 180, 320)[None, :, None]
    bases = []
    for _ in range(16):
        rough = Image.fromarray(rng.integers(0, 76, (40, 40, 3), np.uint8)).resize((320, 320), Image.Resampling.BICUBIC)
        stream = io.BytesIO()
        Image.fromarray((np.asarray(rough) + ramp).clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=85)
        bases.append(stream.getvalue())
    for number in range(n):
        base = bases[number % len(bases)]
        comment = b"\xff\xfe\x00\x0a" + f"{number:08d}".encode()
        (folder / f"{number:06d}.jpg").write_bytes(base[:2] + comment + base[2:])


def peak_mb(n: int) -> float:
    """Peak resident memory of one fresh process, in MB."""
    with tempfile.TemporaryDirectory() as scratch:
        images = Path(scratch, "images")
        images.mkdir()
        make(images, n)
        environment = os.environ | {"KEENSIGHT_CACHE": f"{scratch}/cache"}
        command = [sys.executable, "-c", CHILD, str(images)]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout) * 1024 / 1e6


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
    save("prepare-memory", arguments.many, figures, "growth < 300 MB")


if __name__ == "__main__":
    main()
