"""Section of docs/benchmarks.md on sets of a million small images, for ``tables.py``."""

from __future__ import annotations

from typing import Any

STAGES = {
    "open": "open", "headers": "audit of headers", "decode": "decode", "duplicates": "duplicates",
    "audit": "rest of the audit", "split": "split", "tables": "tables of the run",
}  # fmt: skip
"""Name of a stage in the results, and in the table."""


def large_section(document: dict[str, Any]) -> list[str]:
    """Seconds and memory of each stage, duplicates found, kinds of sources, training batches, and Ctrl-C."""
    figures = document["figures"]
    return [
        "\n## Large sets\n",
        "Generated JPEG files of 32 px, some 900 bytes each, in up to 1,000 classes, in Parquet files of 100,000 images. "
        "Each stage runs in its own process, whose input was read before; matrices have one thread. "
        "`python benchmarks/large_sets.py stages`\n",
        *_stages(figures["stages"]),
        *_found(figures["stages"]),
        *_batches(figures["stages"]),
        *_formats(figures.get("formats", {})),
        *_interrupts(figures.get("interrupts", {})),
    ]


def _sizes(found: dict[str, Any]) -> list[str]:
    return sorted(found, key=int)


def _table(heading: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(heading)} |", "|---" * len(heading) + "|", *(f"| {' | '.join(row)} |" for row in rows), ""]


def _stages(found: dict[str, Any]) -> list[str]:
    seconds, memory = [], []
    for n in _sizes(found):
        ones = [found[n].get(stage) for stage in STAGES]
        seconds.append([f"{int(n):,}", *("–" if one is None else f"{one['seconds']:,.1f}" for one in ones)])
        memory.append([f"{int(n):,}", *("–" if one is None else f"{one['peak_mb']:,}" for one in ones)])
    names = ["images", *STAGES.values()]
    return [
        "Seconds, on two CPUs:\n", *_table(names, seconds),
        "Peak memory of the process in MB, with imports and input:\n", *_table(names, memory),
    ]  # fmt: skip


def _found(found: dict[str, Any]) -> list[str]:
    sizes = [n for n in _sizes(found) if "duplicates" in found[n]]
    if not sizes:
        return []
    kinds = [key for key in found[sizes[0]]["duplicates"] if key.startswith("recall ")]
    rows = []
    for n in sizes:
        one = found[n]["duplicates"]
        recalls = [f"{one[kind]:.4g}" for kind in kinds]
        rows.append([f"{int(n):,}", *recalls, f"{one['precision']:.4g}", f"{one['threshold']:.4g}"])
    return [
        "One image in 20 is a duplicate of another one, a fifth of these of each kind: recall of each kind, precision of "
        "all pairs found, and the threshold.\n",
        *_table(["images", *(kind.removeprefix("recall ") for kind in kinds), "precision", "threshold"], rows),
    ]


def _batches(found: dict[str, Any]) -> list[str]:
    told = [
        f"{int(n):,} images: {one['mb_after_a_tenth']:,} MB after 100 steps, {one['mb_at_the_end']:,} MB after 1,000"
        for n in _sizes(found)
        if (one := found[n].get("batches"))
    ]
    return [f"Memory in training batches of 128 from the cache: {'; '.join(told)}.\n"] if told else []


def _formats(found: dict[str, Any]) -> list[str]:
    lines = []
    for n in _sizes(found):
        lines += [
            f"The same {int(n):,} images in other sources: CPU seconds to open one, first and again, and the memory "
            "that takes. `python benchmarks/large_sets.py formats`\n",
            *_table(
                ["source", "first, s", "again, s", "memory, MB"],
                [[kind, *map(str, row)] for kind, row in found[n].items()],
            ),
        ]
    return lines


def _interrupts(found: dict[str, Any]) -> list[str]:
    lines = []
    for n in _sizes(found):
        told = ", ".join(f"{STAGES[stage]} {one['slowest']} s" for stage, one in found[n].items())
        times = next(iter(found[n].values()))["times"]
        lines.append(
            f"Ctrl-C with {int(n):,} images, {times} times in each stage, until the process has ended, at most: {told}. "
            "`python benchmarks/large_sets.py interrupts`\n"
        )
    return lines
