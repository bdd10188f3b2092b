"""The sections of docs/benchmarks.md about fuzzing and mutation testing."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


def fuzz_section(document: Document) -> list[str]:
    found = document["figures"]
    faults = sum(len(row["faults"]) for row in found.values())
    lines = [
        "\n## Fuzzing\n",
        f"*Target*: {document['bar']}. Valid files with random changes (bits, numbers, cuts, splices, words of the format, values of JSON), "
        f"{document['n']:,} inputs; faults: {faults}. `{document['command']}`, on {document['machine']}.\n",
        "| reader | inputs | read | refused | faults | slowest (s of CPU time) | largest (MB) |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    return lines + [
        f"| {name} | {row['inputs']:,} | {row['read']:,} | {row['refused']:,} | {len(row['faults'])} | {row['slowest']:.2f} | "
        f"{row['largest_mb']:.0f} |"
        for name, row in found.items()
    ]  # fmt: skip


def mutants_section(document: Document) -> list[str]:
    found = document["figures"]
    lines = [
        "\n## Mutation testing\n",
        f"*Target*: {document['bar']}. A random sample of {document['n']:,} mutants of `core`, `assess`, `store` and `data/splits`: "
        f"{found['killed']:,} killed ({found['fraction']:.1%}). `{document['command']}`\n",
        "| layer | killed | mutants |", "|---|---|---|",
    ]  # fmt: skip
    return lines + [f"| {name} | {killed} | {total} |" for name, (killed, total) in sorted(found["packages"].items())]
