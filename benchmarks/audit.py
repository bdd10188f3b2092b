"""Findings of the audit on real datasets, and on shortcuts planted into one of them.

    python benchmarks/audit.py DATA [FOLDER ...]

DATA holds datasets as folders, `clothing_small` among them, into whose training pictures a colored corner a class
or a JPEG quality a class is planted (the first 150 of each class, at 200 px); the clean copy has the same pictures.
Further folders are audited as they are. Seconds are of the processor, with decoded pixels at hand.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from PIL import Image
from record import save

import keensight as ks
from keensight.core.progress import Silent

SETS = {
    "clothing_small": None, "chest_xray": "patient_id", "gtsrb43": "track_id", "plantvillage15": None,
    "deeppcb_crops": "board_group", "orl_faces": None,
}  # fmt: skip
A_CLASS, SIDE, CORNER = 150, 200, 14


def plant(source: Path, out: Path) -> None:
    """Three copies of some pictures: clean, with a colored corner a class, with a JPEG quality a class."""
    for number, folder in enumerate(sorted(path for path in source.iterdir() if path.is_dir())):
        for kind in ("clean", "corner", "quality"):
            (out / kind / folder.name).mkdir(parents=True)
        for path in sorted(folder.iterdir())[:A_CLASS]:
            with Image.open(path) as opened:
                image = opened.convert("RGB")
            image.thumbnail((SIDE, SIDE))
            image.save(out / "clean" / folder.name / path.name, quality=85)
            image.save(out / "quality" / folder.name / path.name, quality=60 + 3 * number)
            marked = np.array(image)
            marked[-CORNER:, -CORNER:] = np.array(colormaps["tab10"](number)[:3]) * 255
            Image.fromarray(marked).save(out / "corner" / folder.name / path.name, quality=85)


def audited(source: Path, group: str | None) -> tuple[int, dict[str, Any]]:
    """Size of the set, and what the audit finds in it: kinds with their counts, and the shortcuts in words."""
    data = ks.open(source, group=group, progress=Silent())
    pixels = ks.prepare(data, progress=Silent())
    started = time.process_time()
    report = ks.audit(data, pixels=pixels, progress=Silent())
    seconds = time.process_time() - started
    shortcuts = [finding.message for finding in report.findings if finding.kind == "shortcut"]
    findings = {f"{finding.kind} ({finding.severity})": finding.count for finding in report.findings}
    return len(data), {"n": len(data), "cpu_seconds": round(seconds, 1), "findings": findings, "shortcuts": shortcuts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("folders", type=Path, nargs="*")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    total = 0
    with tempfile.TemporaryDirectory() as scratch:
        plant(arguments.data / "clothing_small" / "train", Path(scratch))
        sources = [(path.name, path, None) for path in arguments.folders]
        sources += [(name, arguments.data / name, group) for name, group in SETS.items()]
        sources += [(f"planted: {kind}", Path(scratch) / kind, None) for kind in ("clean", "corner", "quality")]
        for name, source, group in sources:
            n, figures[name] = audited(source, group)
            total += n
            print(name, figures[name], file=sys.stderr, flush=True)
    save("audit", total, figures, "each planted shortcut is found, and none in the clean dataset")


if __name__ == "__main__":
    main()
