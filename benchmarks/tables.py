"""Write docs/benchmarks.md from benchmarks/results; run it after any benchmark (``make bench-docs``)."""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).parent
HEAD = """# Measured figures

Each row is the output of one script in `benchmarks/`, written by `python benchmarks/tables.py`.
Run the command yourself to check it; times depend on the machine named.

| what | bar | measured | n | command |
|---|---|---|---|---|
"""


def row(document: dict) -> str:
    figures = "; ".join(f"{key.replace('_', ' ')} {value}" for key, value in document["figures"].items())
    return f"| {document['name']} | {document['bar']} | {figures} | {document['n']} | `{document['command']}` |\n"


def main() -> None:
    documents = [json.loads(path.read_text()) for path in sorted((HERE / "results").glob("*.json"))]
    machines = sorted({document["machine"] for document in documents})
    versions = sorted({", ".join(f"{k} {v}" for k, v in document["versions"].items()) for document in documents})
    text = HEAD + "".join(map(row, documents))
    text += f"\nMachine: {'; '.join(machines)}.\n\nVersions: {'; '.join(versions)}.\n"
    (HERE.parent / "docs" / "benchmarks.md").write_text(text)


if __name__ == "__main__":
    main()
