"""Sections of docs/benchmarks.md on confidence intervals, calibration and abstention, for ``tables.py``."""

from __future__ import annotations

from typing import Any

from tables_training import commands

COVERED = (
    "accuracy", "loss", "brier", "ece", "macro_f1", "weighted_f1", "auroc",
    "class precision", "class recall", "class f1", "class auroc",
)  # fmt: skip


def range_text(found: list[float] | None, digits: int = 3) -> str:
    """A value, and its interval or range in parentheses; a dash for none."""
    return "–" if found is None else "{:.{d}f} ({:.{d}f} to {:.{d}f})".format(*found, d=digits)


def coverage_section(document: dict[str, Any]) -> list[str]:
    """How often intervals contain the true value, simulated: one row a kind of draw, one column a metric."""
    lines = [
        "\n## Coverage of confidence intervals: simulated\n",
        f"{document['n']:,} draws per row from a population of five classes with known metrics. Each column is the "
        "fraction of 95% confidence intervals that contain the true value (the classes together). Prediction sets: mean "
        "fraction that contain the true class, for a level of 90%. Precision kept: how often a minimum precision of 90%, "
        "guaranteed with 90% confidence, holds in the population. Groups: of four images, three in five the same on "
        f"average. Target: {document['bar']}. `{document['command']}`\n",
        f"| {' | '.join(['', *(name.replace('_', ' ') for name in COVERED), 'prediction sets', 'precision kept'])} |",
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
        "\n## Coverage of confidence intervals: images in clusters\n",
        f"{document['n']:,} draws per column, from the same population: cluster sizes follow a power law from 1 to 30, "
        "and four in five images of a cluster are the same picture. Each cell is the fraction of 95% confidence "
        f"intervals that contain the true value, and their mean width. Target: {document['bar']}. "
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
    """The same on real datasets that were split many times: one column a dataset."""
    names = [document["name"].removeprefix("coverage-") for document in documents]
    figures = [document["figures"] for document in documents]

    def covered(one: dict[str, Any], name: str) -> str:
        return f"{one['intervals'][name]['coverage']:.3f} of {one['intervals'][name]['n']:,}"

    rows = {name.replace("_", " "): [covered(one, name) for one in figures] for name in COVERED}
    for name, key in (
        ("prediction sets with the true class", "set_coverage"), ("classes per set", "set_size"),
        ("ECE before calibration", "ece_before"), ("ECE after", "ece_after"),
    ):  # fmt: skip
        rows[name] = [range_text(one[key]) for one in figures]
    rows["minimum precision kept"] = [f"{one['precision_kept']:.3f}" for one in figures]
    rows["training, validation, test and reference images"] = [", ".join(map(str, one["images"])) for one in figures]
    commands = " and ".join(f"`{document['command']}`" for document in documents)
    return [
        "\n## Coverage of confidence intervals: real images, split many times\n",
        f"{documents[0]['n']} splits of each dataset, by group where it has groups; a logistic head on frozen features is "
        "trained for each. The true value is the metric on a large reference set, whose own interval is taken into account "
        "(Zou and Donner 2008). The intervals of one split rise and fall together, so one row of few splits says little. "
        f"Parentheses: the middle 90% of the splits. Target: {documents[0]['bar']}. {commands}\n",
        f"| | {' | '.join(names)} |",
        "|---" * (len(names) + 1) + "|",
        *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()),
    ]


def calibration_section(documents: list[dict[str, Any]]) -> list[str]:
    """Loss, Brier score and calibration error before and after temperature scaling: two rows a run."""
    lines = [
        "\n## Calibration: before and after temperature scaling\n",
        "On the test set. Parentheses: 95% confidence intervals. The interval of the calibration error (ECE) contains 0 if "
        f"sampling alone would often give as much. Target: {documents[0]['bar']}.\n",
        "| run | n | temperature | accuracy | loss | Brier | ECE |",
        "|---" * 7 + "|",
    ]
    for document in documents:
        figures, name = document["figures"], document["name"].removeprefix("calibration-")
        for when, temperature in (("before", 1), ("after", figures["temperature"])):
            cells = [f"{name}, {when}", document["n"], f"{temperature:.2f}", range_text(figures["accuracy"])]
            cells += [range_text(figures[when][key]) for key in ("loss", "brier", "ece")]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += commands(documents)
    lines += [
        "\nAbstention and prediction sets of the same runs on the same images:\n",
        "| run | minimum | predicted | accuracy of these | OOD | prediction sets with the true class | classes per set |",
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


MODELS = {
    "chest-head": "chest_xray (by patient), logistic head", "clothing-head": "clothing_small, logistic head",
    "digits-cnn": "digits, cnn", "digits-head": "digits, logistic head", "fashion-cnn": "Fashion-MNIST, cnn",
    "orl-head": "orl_faces, logistic head", "caltech-head": "Caltech-101 (25 classes), logistic head",
    "gtsrb-head": "gtsrb43 (by track), logistic head", "mnist-cnn": "MNIST, cnn", "mnist-head": "MNIST, logistic head",
    "plant-head": "plantvillage15, logistic head", "sign-cnn": "sign-language digits, cnn",
    "sign-head": "sign-language digits, logistic head",
}  # fmt: skip
CHOSEN_ON = ("chest-head", "clothing-head", "digits-cnn", "digits-head", "fashion-cnn", "orl-head")


def temperature_section(document: dict[str, Any]) -> list[str]:
    """The temperature in use beside that of the lowest validation loss and none: one row a model."""
    draws = sum(one["draws"] for one in document["figures"].values())
    lines = [
        "\n## Temperature scaling compared with none\n",
        f"{draws} draws of 34 to 300 validation images from ten datasets. The *change* is that of the test loss against no "
        "temperature; below 0 is better. *Lowest loss*: the temperature with the lowest validation loss. *In use*: with "
        "the prior and the evidence that [Calibration](calibration.md#temperature-scaling) describes. *Logistic head*: "
        "trained again for each draw. *cnn*: one network trained with label smoothing, with new validation and test images "
        "for each draw. Parentheses: paired 95% confidence intervals (by group where there are groups) for one draw of "
        "about 70 validation images; mean and worst are over all draws. The method was chosen on the models marked with "
        f"an asterisk; the others had no influence. Target: {document['bar']}. `{document['command']}`\n",
        "| model | validation, test | loss without | lowest loss: change | in use: change | ECE: without | lowest loss "
        "| in use | lowest loss: mean, worst change | in use: mean, worst |",
        "|---" * 10 + "|",
    ]
    for key, name in MODELS.items():
        one = document["figures"][key]
        shown = one["shown"]
        cells = [
            name + ("\\*" if key in CHOSEN_ON else ""),
            f"{shown['n_val']}, {shown['n_test']:,}",
            f"{shown['loss']:.3f}",
        ]
        for way in ("least loss", "used"):
            temperature = shown[way]["temperature"]
            change = "{:+.3f} ({:+.3f} to {:+.3f})".format(*shown[way]["change"])
            cells.append(f"T = {temperature:.2f}: {change}" if temperature != 1 else "T = 1: none")
        cells += [range_text(shown[way]["ece"]) for way in ("none", "least loss", "used")]
        cells += [f"{one[way]['mean']:+.4f}, {one[way]['worst']:+.3f}" for way in ("least loss", "used")]
        lines.append(f"| {' | '.join(cells)} |")
    return lines
