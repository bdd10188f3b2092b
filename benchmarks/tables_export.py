"""The section of docs/benchmarks.md on exports, and the table of docs/export.md, for ``tables.py``."""

from __future__ import annotations

from typing import Any

from tables_training import commands

MIB = 2**20


def export_section(documents: list[dict[str, Any]]) -> list[str]:
    """One row a format and image set: size, speed, and how closely it predicts what the model predicts."""
    lines = [
        "\n## Exports\n",
        "Models trained with `--effort quick`, exported to each format and run by the reader that is written beside the "
        "export: one process on one CPU, one image at a time, the decoded test images of the run. Times are CPU seconds, "
        "because other programs ran on the machine; loading includes importing the runtime. Target for int8: at least 3 "
        "times smaller, and the parity gate passed on four sets.\n",
    ]
    return [*lines, *table(documents), *commands(documents)]


def table(documents: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| image set | format | MiB | load, s | images/s | largest difference | agreement | accuracy (95% CI) | change (95% CI) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for document in documents:
        name = f"{document['name'].removeprefix('export-')}, n = {document['n']}"
        for row in document["figures"]["rows"]:
            if "refused" in row:
                lines.append(f"| {name} | `{row['format']}` | refused: {row['refused']} |||||||")
                continue
            lines.append(
                f"| {name} | `{row['format']}` | {row['bytes'] / MIB:.1f} | {row['load_seconds']:.2f} "
                f"| {row['images_per_second']:.0f} | {row['largest']:.2g} | {row['agreement']:.4f} "
                f"| {span(row['accuracy'])} | {span(row['difference'], '+')} |"
            )
    return lines


def span(found: list[float], sign: str = "") -> str:
    return "{:{s}.3f} ({:{s}.3f} to {:{s}.3f})".format(*found, s=sign)
