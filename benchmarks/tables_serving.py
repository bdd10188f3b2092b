"""The sections of docs/benchmarks.md about the server and about drift."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


def serve_section(documents: list[Document]) -> list[str]:
    lines = ["\n## Server\n", f"*Target*: {documents[0]['bar']}. Photos of clothing_small; batch prediction, server and client are "
             "processes of one machine, and the client's work is on the same CPUs.\n",
             "| | " + " | ".join(f"`{document['command'].split(' --note')[0]}`" for document in documents) + " |",
             "|---|" + "---|" * len(documents)]  # fmt: skip

    def row(what: str, *cells: str) -> None:
        lines.append(f"| {what} | " + " | ".join(cells) + " |")

    found = [document["figures"] for document in documents]
    row(
        "connections, workers, seconds",
        *(f"{one['connections']}, {one['workers']}, {one['seconds']:.0f}" for one in found),
    )
    row("batch prediction, images per second (before and after)",
        *(f"{one['batch_rate']:.1f} ({one['batch_rates'][0]:.1f}, {one['batch_rates'][1]:.1f})" for one in found))  # fmt: skip
    row("server, images per second", *(f"{one['rate']:.1f}" for one in found))
    row("**ratio**", *(f"**{one['ratio']:.2f}**" for one in found))
    row("CPU time per image: batch, server, client (ms)",
        *(f"{one['batch_cpu_ms']:.1f}, {one['server_cpu_ms']:.1f}, {one['client_cpu_ms']:.2f}" for one in found))  # fmt: skip
    row("ratio by CPU time: batch / server", *(f"{one['cpu_ratio']:.2f}" for one in found))
    row("a lone request, median (ms)", *(f"{one['lone_ms']:.0f}" for one in found))
    row("median and p99 (ms), bound of the p99",
        *(f"{one['p50_ms']:.0f}, {one['p99_ms']:.0f}, {one['p99_bound_ms']:.0f}" for one in found))  # fmt: skip
    row("responses; wrong; failed", *(f"{one['requests']:,}; {one['wrong']}; {one['failed']}" for one in found))
    row("largest difference of a probability", *(f"{one['largest_difference']:.1g}" for one in found))
    row("memory at the beginning and the end (MiB)",
        *(f"{one['memory_mib'][0]:.0f}, {one['memory_mib'][1]:.0f} ({one['memory_growth']:+.1%})" for one in found))  # fmt: skip
    return lines + [f"\n{note}" for note in dict.fromkeys(one["note"] for one in found if one.get("note"))]


def faults_section(document: Document) -> list[str]:
    one = document["figures"]
    return [
        "\n## Server, bad images among good ones\n",
        f"{one['good']:,} photos and {one['bad']:,} requests that must be refused, in random order on {one['connections']} "
        f"connections. `{document['command']}`\n",
        "| | |", "|---|---|",
        f"| photos with the prediction of `predict` | {one['right']:,} of {one['good']:,} |",
        f"| bad requests refused with the right status | {one['refused']:,} of {one['bad']:,} |",
        f"| responses with a status of 5xx, connections lost | {one['failed']}, {one['lost']} |",
        "| kinds of bad requests | " + ", ".join(f"{kind} ({status})" for kind, status in one["kinds"].items()) + " |",
    ]  # fmt: skip


def drift_section(document: Document) -> list[str]:
    found, stream = document["figures"], document["figures"]["stream"]
    sets = found["sets"]
    lines = [
        "\n## Drift\n",
        f"False alarms: {found['halves']:,} random halves of real test sets, one compared with the other. Alarms: changed test images, "
        f"or images of another set, compared with the (other) test images at the level {found['level']:.0%}, in samples of n. "
        f"*Target*: {document['bar']}. `{document['command']}`\n",
        "| | " + " | ".join(f"{name} ({one['test_images']} test images)" for name, one in sets.items()) + " |",
        "|---|" + "---|" * len(sets),
    ]
    for level in next(iter(sets.values()))["false_alarms"]:
        rates = [f"{one['false_alarms'][level]:.1%}" for one in sets.values()]
        lines.append(f"| false alarms at the level {float(level):.0%} | " + " | ".join(rates) + " |")
    for change in dict.fromkeys(name for one in sets.values() for name in one["alarms"]):
        cells = [
            ", ".join(f"{rate:.0%} (n = {n})" for n, rate in one["alarms"][change].items())
            if change in one["alarms"]
            else "–"
            for one in sets.values()
        ]
        lines.append(f"| alarms: {change} | " + " | ".join(cells) + " |")
    lines.append(
        f"\nSimulated streams of {stream['windows']} windows of {found['window']} images like the reference, at the level "
        f"{stream['level']:.0%}: {stream['with_a_false_alarm']:.1%} of {stream['streams']:,} streams had a false alarm."
    )
    return lines
