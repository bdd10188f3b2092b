"""Write the table of figures in README.md, and docs/benchmarks.md, from benchmarks/results.

python benchmarks/tables.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
MARKS = ("<!-- figures: written by benchmarks/tables.py -->", "<!-- end of figures -->")
README = {
    "fashion-mnist-cnn": ("Fashion-MNIST, `--model cnn`", "test accuracy {test_accuracy} in {minutes} minutes"),
    "fashion-mnist-resnet": ("Fashion-MNIST, `--model resnet`", "test accuracy {test_accuracy} in {minutes} minutes"),
    "warm-start": ("second training on the same images: first step", "{warm_seconds_median} s after the command"),
    "decoding-clothing_small-224": ("decoding photographs to 224 px", "{ratio_to_the_faster} × bare Pillow's rate"),
    "prepare-memory": ("memory for 20,000 instead of 2,000 images of 224 px, decoded and read", "{growth_mb} MB more"),
    "startup": ("`keensight --help`", "{median_seconds} s"),
}


def load() -> dict[str, dict[str, Any]]:
    documents = (json.loads(path.read_text()) for path in sorted((HERE / "results").glob("*.json")))
    return {document["name"]: document for document in documents}


def readme_table(results: dict[str, dict[str, Any]]) -> str:
    lines = ["| on two processor cores | measured |", "|---|---|"]
    for name, (what, text) in README.items():
        if name in results:
            lines.append(f"| {what} | {text.format(**results[name]['figures'])} |")
    lines.append("\nHow, on what and how often: [docs/benchmarks.md](docs/benchmarks.md).")
    return "\n".join(lines)


def page(results: dict[str, dict[str, Any]]) -> str:
    lines = [
        "# Measured figures\n",
        "Each row is what one script in `benchmarks/` printed; `python benchmarks/tables.py` writes this page from",
        "`benchmarks/results`. Times depend on the machine, so run the commands on yours.\n",
        "| what | bar | measured | n | command |",
        "|---|---|---|---|---|",
    ]
    for name, document in results.items():
        figures = "; ".join(f"{key.replace('_', ' ')}: {value}" for key, value in document["figures"].items())
        lines.append(f"| {name} | {document['bar']} | {figures} | {document['n']} | `{document['command']}` |")
    machines = sorted({document["machine"] for document in results.values()})
    versions = sorted({", ".join(f"{k} {v}" for k, v in d["versions"].items()) for d in results.values()})
    lines += [f"\nMachine: {'; '.join(machines)}.\n", f"Versions: {'; '.join(versions)}.\n"]
    notes = HERE / "notes.md"
    return "\n".join(lines) + "\n" + (notes.read_text() if notes.exists() else "")


def main() -> None:
    results = load()
    (ROOT / "docs" / "benchmarks.md").write_text(page(results))
    readme = ROOT / "README.md"
    before, rest = readme.read_text().split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    readme.write_text(f"{before}{MARKS[0]}\n{readme_table(results)}\n{MARKS[1]}{after}")


if __name__ == "__main__":
    main()
