"""The sections of docs/benchmarks.md about fuzzing and mutation testing."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


FOUND = (
    "headers of NumPy arrays that are no Python (`SyntaxError`, `TokenError`), in image sets and in bundles",
    "members of an `.npz` that are no arrays",
    "layers of a `.keras` file whose class is a list or an object",
    "encrypted PyTorch files",
    "a history that is not UTF-8, and half a surrogate pair in the record of an export",
)
"""By fuzzing; each has a test since."""
LOOKED_FOR = (
    "settings, JSON tables and files of the cache nested too deep, an index of the cache without its number",
    "IDX files, arrays, HDF5 files and Excel tables that expand to far more than their size",
)


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
    rows = [
        f"| {name} | {row['inputs']:,} | {row['read']:,} | {row['refused']:,} | {len(row['faults'])} | {row['slowest']:.2f} | "
        f"{row['largest_mb']:.0f} |"
        for name, row in found.items()
    ]  # fmt: skip
    told = [
        f"\nReaders with a fault were tried again after it was fixed. Found by fuzzing and fixed: {'; '.join(FOUND)}. Found by looking for it: {'; '.join(LOOKED_FOR)}."
    ]
    return lines + rows + told


def guided_section(document: Document) -> list[str]:
    found = document["figures"]
    lines = [
        "\n## Fuzzing guided by coverage\n",
        f"*Target*: {document['bar']}. atheris {document['versions']['atheris']} chooses the inputs by the lines of Keensight that they "
        f"reach; {document['n']:,} inputs. `{document['command']}`\n",
        "| reader | inputs | fault |", "|---|---|---|",
    ]  # fmt: skip
    return lines + [f"| {name} | {row['inputs']:,} | {row['fault'] or 'none'} |" for name, row in found.items()]


def mutants_section(document: Document) -> list[str]:
    found = document["figures"]
    lines = [
        "\n## Mutation testing\n",
        f"*Target*: {document['bar']}. A random sample of {document['n']:,} mutants of {len(found['modules'])} modules of `core`, "
        f"`assess`, `store` and `data/splits`: "
        f"{found['killed']:,} killed ({found['fraction']:.1%}). `{document['command']}`\n",
        "| layer | killed | mutants |", "|---|---|---|",
    ]  # fmt: skip
    return lines + [f"| {name} | {killed} | {total} |" for name, (killed, total) in sorted(found["packages"].items())]
