"""The readers of ``fuzz.py`` again, with inputs that atheris (libFuzzer) chooses by the lines that they reach.

atheris is not among the development tools: ``pip install atheris`` (Linux and macOS). It ends at the first fault, and
says with which input.

python benchmarks/fuzz_guided.py --only manifest --seconds 120
"""

from __future__ import annotations

import argparse
import contextlib
import re
import subprocess
import sys
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
READERS = (
    "JPEG", "PNG", "TIFF", "GIF, BMP, WebP, PPM, ICO, TGA, JPEG 2000, AVIF", "DICOM", "tables", "records", "IDX",
    ".npz", "manifest", "export record", "settings", "arrays of a bundle", ".keras", ".pth", "corrections",
)  # fmt: skip
"""Those of which much is written in Python, where coverage can be seen."""


def work(name: str, seconds: int) -> None:
    """Fuzz one reader; libFuzzer ends the process."""
    import atheris

    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=["keensight"]):
        from fuzz_targets import session as begin
        from keensight.errors import KeensightError
    inputs, folder = begin(name)
    corpus = Path(folder.name) / "corpus"
    corpus.mkdir()
    for place, content in enumerate(inputs.contents()):
        (corpus / str(place)).write_bytes(bytes([place]) + content)

    def one(data: bytes) -> None:
        with contextlib.suppress(KeensightError):
            inputs.read_content(data[0] if data else 0, data[1:])

    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", "-max_len=65536", "-timeout=30", str(corpus)], one)
    atheris.Fuzz()


def tried(name: str, seconds: int) -> tuple[int, str]:
    """How many inputs a reader got, and its fault; empty: none."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        command = [sys.executable, str(Path(__file__).resolve()), "--worker", name, "--seconds", str(seconds)]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, errors="replace")
    counted = re.findall(r"Done (\d+) runs|^#(\d+)\s", done.stderr, re.MULTILINE)
    n = max((int(a or b) for a, b in counted), default=0)
    fault = re.search(r"Uncaught Python exception: ===\n(.*)", done.stderr)
    return n, fault[1] if fault else "" if not done.returncode else done.stderr[-300:]


def main() -> None:
    from record import save

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="for each reader")
    parser.add_argument("--only", action="append", default=[], help="name of a reader")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        return work(asked.worker, asked.seconds)
    figures = {}
    for name in asked.only or READERS:
        inputs, fault = tried(name, asked.seconds)
        figures[name] = {"inputs": inputs, "fault": fault}
        print(name, figures[name], flush=True)
    if not asked.only:
        save("guided-fuzz", sum(one["inputs"] for one in figures.values()), figures, "no fault: only a KeensightError",
             versions={"atheris": version("atheris")})  # fmt: skip
    return None


if __name__ == "__main__":
    main()
