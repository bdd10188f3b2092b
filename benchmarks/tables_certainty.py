"""Sections of docs/benchmarks.md on intervals, calibration and answers that are withheld, for ``tables.py``."""

from __future__ import annotations

from typing import Any

COVERED = (
    "accuracy", "loss", "brier", "ece", "macro_f1", "weighted_f1", "auroc",
    "class precision", "class recall", "class f1", "class auroc",
)  # fmt: skip


def range_text(found: list[float] | None, digits: int = 3) -> str:
    """A value, and its interval or range in brackets; a dash for none."""
    return "–" if found is None else "{:.{d}f} ({:.{d}f} to {:.{d}f})".format(*found, d=digits)


def coverage_section(document: dict[str, Any]) -> list[str]:
    """How often intervals hold the truth, simulated: one row a figure, one column a kind of draw."""
    lines = [
        "\n## How often intervals hold the truth: simulated\n",
        f"{document['n']:,} draws a row from a population of five classes with known figures; each column is the share "
        "of 95 % intervals that hold the true figure, those of the classes together. Prediction sets were asked for "
        "90 %: the mean share that holds the true class. A precision of 90 % was asked for; what was promised, with a "
        "confidence of 90 %, is compared with the population. In groups, three in five images of four are the same on "
        f"average. Bar: {document['bar']}. `{document['command']}`\n",
        f"| {' | '.join(['', *(name.replace('_', ' ') for name in COVERED), 'sets', 'precision kept'])} |",
        "|---" * (len(COVERED) + 3) + "|",
    ]
    for name, one in sorted(document["figures"].items(), key=_order):
        shares = [one["intervals"][figure]["coverage"] for figure in COVERED]
        cells = [f"{share:.3f}" for share in (*shares, one["set_coverage"][0], one["precision_kept"])]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def clusters_section(document: dict[str, Any]) -> list[str]:
    """The same where images come in clusters of uneven size: one row a metric, one column a number of clusters."""
    figures: dict[str, Any] = dict(sorted(document["figures"].items(), key=lambda item: int(item[0])))
    heads = [f"{clusters} clusters, {one['images']:.0f} images" for clusters, one in figures.items()]
    ways = (("stated", ""), ("bootstrap", ", plain cluster bootstrap"), ("independent", ", clusters ignored"))
    rows = [(name, way, f"{name.replace('_', ' ')}{words}") for way, words in ways
            for name in next(iter(figures.values()))[way]]  # fmt: skip
    lines = [
        "\n## How often intervals are right where images come in clusters\n",
        f"{document['n']:,} draws a column, from the same population: cluster sizes follow a power law from 1 to 30, "
        "and four in five images of a cluster are the same picture. Each cell is the fraction of 95% confidence "
        f"intervals that contain the true value, and their mean width. Bar: {document['bar']}. "
        f"`{document['command']}`\n",
        f"| | {' | '.join(heads)} |",
        "|---" * (len(heads) + 1) + "|",
    ]
    for name, way, words in rows:
        cells = [one[way][name] for one in figures.values()]
        lines.append(f"| {words} | {' | '.join('{coverage:.3f}, {width:.3f}'.format(**cell) for cell in cells)} |")
    return lines


def _order(item: tuple[str, Any]) -> tuple[str, bool, int]:
    """Calibrated before too sure, single images before groups, few before many."""
    return item[0].split(", ")[1], "groups" in item[0], int(item[0].split()[0])


def splits_section(documents: list[dict[str, Any]]) -> list[str]:
    """The same on real sets that were split again and again: one column a set."""
    names = [document["name"].removeprefix("coverage-") for document in documents]
    figures = [document["figures"] for document in documents]

    def covered(one: dict[str, Any], name: str) -> str:
        return f"{one['intervals'][name]['coverage']:.3f} of {one['intervals'][name]['n']:,}"

    rows = {name.replace("_", " "): [covered(one, name) for one in figures] for name in COVERED}
    for name, key in (
        ("sets hold the true class", "set_coverage"), ("classes in a set", "set_size"),
        ("ECE before temperature", "ece_before"), ("ECE after", "ece_after"),
    ):  # fmt: skip
        rows[name] = [range_text(one[key]) for one in figures]
    rows["promised precision kept"] = [f"{one['precision_kept']:.3f}" for one in figures]
    rows["images to learn, choose, be measured, compare"] = [", ".join(map(str, one["images"])) for one in figures]
    commands = " and ".join(f"`{document['command']}`" for document in documents)
    return [
        "\n## How often intervals hold the truth: real images, split again and again\n",
        f"{documents[0]['n']} splits of each set, whole groups where there are such; a logistic head on frozen "
        "features is learned anew for each. The truth is the figure on a large rest, whose own interval counts too "
        "(Zou and Donner 2008). Intervals of one split rise and fall together: few splits say little of one row. "
        f"Brackets: the middle nine tenths of the splits. Bar: {documents[0]['bar']}. {commands}\n",
        f"| | {' | '.join(names)} |",
        "|---" * (len(names) + 1) + "|",
        *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()),
    ]


def calibration_section(documents: list[dict[str, Any]]) -> list[str]:
    """Loss, Brier score and calibration error before and after the temperature: two rows a run."""
    lines = [
        "\n## Calibration: before and after the temperature\n",
        "Of the test part, which chose nothing; brackets: 95 % intervals. The interval of a calibration error (ECE) "
        f"reaches 0 where sampling alone would often give as much. Bar: {documents[0]['bar']}.\n",
        "| run | n | temperature | accuracy | loss | Brier | ECE | command |",
        "|---" * 8 + "|",
    ]
    for document in documents:
        figures, name = document["figures"], document["name"].removeprefix("calibration-")
        for when, shown, told in (("before", 1, ""), ("after", figures["temperature"], f"`{document['command']}`")):
            cells = [f"{name}, {when}", document["n"], f"{shown:.2f}", range_text(figures["accuracy"])]
            cells += [range_text(figures[when][key]) for key in ("loss", "brier", "ece")]
            lines.append(f"| {' | '.join(map(str, cells))} | {told} |")
    lines += [
        "\nWhat the rule for answers and the prediction sets of the same runs do on the same images:\n",
        "| run | asked for | answered | right answers | unlike | sets hold the true class | classes in a set |",
        "|---" * 7 + "|",
    ]
    for document in documents:
        figures = document["figures"]
        asked = "–" if figures["asked"] is None else "{} {:.0%}".format(*figures["asked"])
        keys = ("answered", "accuracy_of_answers", "unlike", "set_coverage")
        size = "–" if figures["set_size"] is None else f"{figures['set_size']:.2f}"
        cells = [
            document["name"].removeprefix("calibration-"),
            asked,
            *(range_text(figures[key]) for key in keys),
            size,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines
