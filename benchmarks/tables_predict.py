"""The section of docs/benchmarks.md on prediction without TensorFlow, for ``tables.py``."""

from __future__ import annotations

from typing import Any

from tables_training import commands


def predict_section(documents: list[dict[str, Any]]) -> list[str]:
    """One image as a process, many images into a file, and the size of the installations."""
    found = {document["name"]: document for document in documents}
    cold, batch, install = (found[name] for name in ("predict-cold", "predict-batch", "install"))
    light, keras = cold["figures"]["litert"], cold["figures"]["keras"]
    rates, memory = batch["figures"]["images_per_second"], batch["figures"]["memory"]
    sizes = install["figures"]
    return [
        "\n## Prediction without TensorFlow\n",
        f"**One image**, `keensight predict BUNDLE IMAGE` as a process (EfficientNet-Lite0, 224 px), with LiteRT and Keras in "
        f"turn; median of {cold['n']}. Target: {cold['bar']}. "
        f"Keras takes {cold['figures']['ratio']:.1f} times as long.\n",
        "| engine | seconds (lowest to highest) | CPU seconds | peak memory, MB |",
        "|---|---|---|---|",
        *(
            f"| {name} | {one['median_seconds']:.2f} ({one['min_seconds']:.2f} to {one['max_seconds']:.2f}) | "
            f"{one['median_cpu_seconds']:.2f} | {one['peak_mb']:,} |"
            for name, one in (("LiteRT", light), ("Keras", keras))
        ),
        f"\n**Many images** into a CSV file, {batch['figures']['threads']} threads, {batch['n']:,} photos of "
        f"{batch['figures']['photos']}: {rates['predict']:.0f} images per second; decoding alone {rates['decoding']:.0f}, "
        f"LiteRT on decoded images {rates['engine']:.0f}, both one after the other {rates['bare']:.0f}. In the same run that is "
        f"a ratio of {rates['ratio']:.2f} (target: at least 0.9). Peak memory of the command on lists of paths, with a small "
        f"network on {batch['figures']['small']}: "
        + ", ".join(f"{one['peak_mb']:,} MB for {int(count):,} images" for count, one in memory.items())
        + ".\n",
        "**Installations** into a fresh environment from a nearby package index, without pip and setuptools; a first "
        "prediction takes the self-test, this is the second.\n",
        "| installation | MB | pip, s | `keensight predict`, s |",
        "|---|---|---|---|",
        *(
            f"| `{kind}` | {sizes[name]['megabytes']:,} | {sizes[name]['pip_seconds']:.0f} | "
            f"{sizes[name]['predict_seconds']:.2f} |"
            for name, kind in (
                ("runtime", "keensight-runtime"),
                ("runtime with server", "keensight-runtime[serve]"),
                ("all", "keensight"),
            )
        ),
        *commands([cold, batch, install]),
    ]


def cluster_section(document: dict[str, Any]) -> list[str]:
    """The same work in one process and in several workers on Ray Data."""
    figures = document["figures"]
    seconds, rates = figures["seconds"], figures["images_per_second"]
    several = figures["workers"]
    rows = {
        "plain": f"one process, {figures['threads']} threads",
        "one": "1 worker",
        "all": f"{several} workers",
    }
    return [
        "\n## Prediction on several workers\n",
        f"`keensight predict --workers` beside the same work in one process, {document['n']:,} photos of {figures['photos']} (with "
        f"repetitions) into Parquet, all on one machine; in {figures['turns']} turn{'s' * (figures['turns'] > 1)}. At work: from the first part to "
        f"the last, without the start of Ray. All tables were equal, bit for bit. `{document['command']}`\n",
        "| | seconds in all | images per second at work |",
        "|---|---|---|",
        *(f"| {name} | {seconds[key]:.1f} | {rates[key]:.1f} |" for key, name in rows.items()),
        f"\n{several} workers against one process: {figures['ratio_at_work']:.2f} at work (target: {document['bar']}), "
        f"{figures['ratio_in_all']:.2f} with start and end; against one worker: {figures['speedup']:.2f} times its rate.\n",
    ]
