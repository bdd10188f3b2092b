"""Sections of docs/benchmarks.md on data quality, anomalies, labels and heatmaps, for ``tables.py``."""

from __future__ import annotations

import statistics
from typing import Any

from tables_training import commands, duration
from tables_wide import planted

METHODS = {
    "precision_in_top_5_percent": "the label check",
    "top_5_percent_plain_regression_confidence": "plain regression, confidence",
    "top_5_percent_plain_regression_margin": "plain regression, margin",
    "top_5_percent_10_neighbours": "10 neighbors",
}


def sources_section(document: dict[str, Any]) -> list[str]:
    """One row a kind of source: seconds to open it, first and again, and the memory that it takes."""
    lines = [
        "\n## Opening a source\n",
        f"The same {document['n']:,} images of 8×8 pixels, in each kind of source that holds them: CPU seconds of all "
        "threads to open it (every file is read once, to identify it and to read its header) and to open it again (from "
        "the cached index, where there is one), and peak memory beyond that of the imports.\n",
        "| source | first, s | again, s | memory, MB |",
        "|---|---|---|---|",
    ]
    rows = document["figures"]["rows"]
    return [*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows), *commands([document])]


def label_errors_section(documents: list[dict[str, Any]]) -> list[str]:
    """One row a dataset: how many planted errors each method ranks among the most suspicious 5%."""
    lines = [
        "\n## Planted label errors\n",
        "5% of the labels are changed at random. For each method: the fraction of wrong labels among the most suspicious "
        "5% of the images (precision and recall are equal there), mean over some draws. All methods use the same "
        "features; the plain ones are scikit-learn's logistic regression with its defaults, cross-validated, and the "
        f"labels of the ten nearest images. Target for the label check: {documents[0]['bar'].split()[-1]} or more.\n",
        f"| {' | '.join(['dataset', 'n', *METHODS.values()])} |",
        "|---" * (2 + len(METHODS)) + "|",
    ]
    for document in documents:
        figures = document["figures"]
        shares = [figures[name] for name in METHODS]
        cells = [document["name"].removeprefix("label-errors-"), document["n"], *(f"{share:.3f}" for share in shares)]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines + suspects_table(documents) + commands(documents)


SUSPECTS = ("precision_of_suspects", "estimated_precision", "recall_of_suspects")


def suspects_table(documents: list[dict[str, Any]]) -> list[str]:
    lines = [
        "\nThe labels that the check calls suspicious: with the original labels, with 5% changed at random, and with 5% "
        "changed to similar classes. Measured before the check expected unusual images among the correct labels: "
        "[many kinds of sets](#planted-label-errors-on-many-kinds-of-sets) has the present rule.\n",
        "| dataset | classes | original labels: suspicious | random: precision | estimated | recall "
        "| similar: precision | estimated | recall |",
        "|---" * 9 + "|",
    ]
    for document in documents:
        figures = document["figures"]
        shares = [
            f"{figures[prefix + name]:.3f}" if figures[f"{prefix}suspects"] else "none"
            for prefix in ("", "alike_")
            for name in SUSPECTS
        ]
        cells = [document["name"].removeprefix("label-errors-"), figures["classes"], figures["suspects_as_given"]]
        lines.append(f"| {' | '.join(map(str, cells))} | {' | '.join(shares)} |")
    return lines


def missing_labels_section(documents: list[dict[str, Any]]) -> list[str]:
    lines = [
        "\n## Planted errors in multi-label sets\n",
        "5% of the labels that are present are removed (*missing*), or as many others are added as well (*mixed*); two "
        "draws. Cells: precision / estimated precision / recall of the suspicious labels.\n",
        "| dataset | n | labels | original labels: suspicious | missing | mixed |",
        "|---|---|---|---|---|---|",
    ]
    for document in documents:
        one, name = document["figures"], document["name"].removeprefix("missing-labels-")
        cells = [name, document["n"], one["labels"], one["as_given"], planted(one["missing"]), planted(one["mixed"])]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines + commands(documents)


def suggest_section(documents: list[dict[str, Any]]) -> list[str]:
    """Accuracy and macro F1 before and after labeling suggested or random images."""
    lines = [
        "\n## Active learning\n",
        "A random 15% of the training and validation images are labeled; `keensight suggest` chooses as many of the others. "
        "`quick` is trained on the first, and on both, with suggested or random images, and always tested on the same test "
        "set. Mean accuracy / macro F1 of the repeats, each with other first images; none of these sets chose the "
        "method.\n",
        "| set | test images | repeats | first labels | before | suggested | random |",
        "|---|---|---|---|---|---|---|",
    ]
    for document in documents:
        one = document["figures"]
        means = [
            f"{statistics.mean(one[name]['accuracy']):.3f} / {statistics.mean(one[name]['macro_f1']):.3f}"
            for name in ("before", "suggested", "random")
        ]
        cells = [document["name"].removeprefix("suggest-"), document["n"], len(one["before"]["accuracy"]), one["first"]]
        lines.append(f"| {' | '.join(map(str, [*cells, *means]))} |")
    return [*lines, "\n`python benchmarks/suggest.py SET/metadata.csv`"]


def near_section(document: dict[str, Any]) -> list[str]:
    lines = [
        "\n## Search for near-duplicates: growth with the dataset\n",
        "Generated images of 64 px, drawn as they are read (included in the times); every tenth is a recolored duplicate "
        f"of the one before. `{document['command']}`\n",
        "| images | CPU seconds | peak MB | recall | precision |",
        "|---|---|---|---|---|",
    ]
    for n, one in sorted(document["figures"].items(), key=lambda item: int(item[0])):
        lines.append(f"| {int(n):,} | {one['cpu_seconds']} | {one['peak_mb']} | {one['recall']} | {one['precision']} |")
    return lines


def planted_section(document: dict[str, Any]) -> list[str]:
    """How many planted duplicates were found: one table a dataset."""
    figures = document["figures"]
    kinds = [key.removeprefix("recall_") for key in figures if key.startswith("recall_")]
    kinds.sort(key=["exact", "resized", "mirrored", "cropped", "recoloured", "turned", "tilted"].index)
    return [
        f"\n### {document['name'].removeprefix('near-')}\n",
        f"{document['n']} of each kind; target: {document['bar']} (recall / precision). {figures['pairs_of_its_own']} "
        f"pairs that the dataset already contains are not counted. Threshold {figures['threshold']}; "
        f"{figures['cpu_seconds']} CPU seconds without decoding. `{document['command']}`\n",
        f"| | {' | '.join(kinds).replace('coloured', 'colored')} |",
        "|---" * (len(kinds) + 1) + "|",
        f"| recall | {' | '.join(str(figures[f'recall_{kind}']) for kind in kinds)} |",
        f"\nPrecision: exact duplicates {figures['precision_exact']}, near-duplicates {figures['precision_near']}.",
    ]


def audit_section(document: dict[str, Any]) -> list[str]:
    lines = [
        "\n## Findings of the audit\n",
        "On real datasets, and on one dataset with planted shortcuts; CPU seconds with shortcut probes, without decoding. "
        f"Target: {document['bar']}. Messages are those of the version that was measured. `{document['command']}`\n",
        "| dataset | images | seconds | findings | shortcuts |",
        "|---|---|---|---|---|",
    ]
    for name, one in document["figures"].items():
        findings = ", ".join(f"{kind}: {count:,}" for kind, count in one["findings"].items()) or "none"
        shortcuts = " ".join(one["shortcuts"]) or "–"
        lines.append(f"| {name} | {one['n']:,} | {one['cpu_seconds']} | {findings} | {shortcuts} |")
    return lines


def stability_section(document: dict[str, Any]) -> list[str]:
    """How many images change splits when others are removed."""
    lines = [
        "\n## How stable a split is\n",
        "A random 5% of the images is removed, several times; the rest is audited and split with the same seed. Counted "
        "over all draws are the remaining images that change splits; adding the 5% again moves the same ones back. "
        f"`{document['command']}`\n",
        "| dataset | remaining images | in another split | training to test | test to training |",
        "|---|---|---|---|---|",
    ]
    for name, one in document["figures"].items():
        moved = f"{one['moved']} ({one['moved_fraction']:.2%})"
        lines.append(f"| {name} | {one['stayed']:,} | {moved} | {one['train_to_test']} | {one['test_to_train']} |")
    return lines


def anomaly_section(document: dict[str, Any]) -> list[str]:
    """The detector and its baselines: mean over the splits, lowest and highest."""
    figures = document["figures"]
    rows = {
        "`--task anomaly`": "detector",
        "five nearest normal embeddings": "nearest_embeddings",
        "distance to the mean normal image": "mean_image",
    }
    cells = {name: "{:.3f} ({:.3f} to {:.3f})".format(*figures[key]) for name, key in rows.items()}
    learned, tested = figures["seconds_to_learn"][0], figures["seconds_to_test"][0]
    return [
        f"\n## {document['name'].removeprefix('anomaly-')}: anomalies from normal images alone\n",
        f"Area under the ROC curve (AUROC) over {document['n']} splits by group: mean, lowest, highest. "
        f"{figures['normal_training_images'][0]:.0f} normal training and {figures['test_images'][0]:.0f} test images a "
        f"split; {learned:.0f} s to learn, {tested:.0f} s to test. At its threshold the detector finds "
        f"{figures['recall_at_threshold'][0]:.1%} of the anomalies, with {figures['false_alarms_at_threshold'][0]:.1%} "
        f"false alarms where at most {figures['false_alarms_expected_at_most'][0]:.1%} are expected. Its features were "
        f"chosen on splits of the same set. `{document['command']}`\n",
        "| method | AUROC |",
        "|---|---|",
        *(f"| {name} | {text} |" for name, text in cells.items()),
    ]


def saliency_section(document: dict[str, Any]) -> list[str]:
    lines = [
        f"\n### {document['name'].removeprefix('saliency-')}\n",
        f"Deletion curves of {document['n']} test images: the fraction on which the probability falls faster than in "
        f"random order, and the mean areas under the curves. Target: {document['bar']}. `{document['command']}`\n",
        "| method | beats random blocks (95% CI) | beats random pixels | area | of blocks | of pixels |",
        "|---|---|---|---|---|---|",
    ]
    for method, one in document["figures"].items():
        low, high = one["interval_95"]
        lines.append(
            f"| {method} | {one['beats_random_blocks']:.2f} ({low:.2f} to {high:.2f}) "
            f"| {one['beats_random_pixels']:.2f} | {one['area']:.3f} | {one['area_blocks']:.3f} "
            f"| {one['area_pixels']:.3f} |"
        )
    return lines


def multilabel_section(document: dict[str, Any]) -> list[str]:
    lines = [
        f"\n## {document['name'].removeprefix('multilabel-')} as a multi-label set\n",
        "Parentheses: 95% confidence intervals. The baselines use the features of `--effort quick`, and 0.5 as threshold. "
        f"Target: {document['bar']}. `{document['command']}`\n",
        "| method | mAP | micro F1 | macro F1 | subset accuracy | time |",
        "|---|---|---|---|---|---|",
    ]
    for who, one in document["figures"].items():
        area, f1 = (
            f"{one[key]:.3f} ({one[f'{key}_95'][0]:.3f} to {one[f'{key}_95'][1]:.3f})" for key in ("map", "micro_f1")
        )
        rest = f"{one['macro_f1']:.3f} | {one['every_label_right']:.3f} | {duration(one['seconds'])}"
        lines.append(f"| {who} | {area} | {f1} | {rest} |")
    return lines


def ood_section(document: dict[str, Any]) -> list[str]:
    """How well out-of-distribution images are found: one row each other dataset."""
    figures = document["figures"]

    def text(key: str, name: str | None = None) -> str:
        return "{:.3f} ({:.3f} to {:.3f})".format(*(figures[key] if name is None else figures[key][name]))

    lines = [
        f"\n### Model {document['name'].removeprefix('ood-')}\n",
        f"{document['n']} test images against images of something else. Accuracy on the test images: "
        f"{text('test_accuracy')}; fraction of them refused: {text('own_refused')}, where at most "
        f"{figures['own_refused_expected_at_most']} is expected. Parentheses: 95% confidence intervals for independent "
        f"images. Target: {document['bar']}. The score and its threshold were chosen with networks trained on "
        "clothing_small, on such images, so these results are optimistic; unknown people had no influence. "
        f"`{document['command']}`\n",
        "| images of | n | AUROC of the OOD score | of the nearest class mean | of the confidence | refused |",
        "|---|---|---|---|---|---|",
    ]
    for name, n in figures["n_others"].items():
        cells = [text(key, name) for key in ("area", "area_of_nearest_mean", "area_of_probability", "refused")]
        lines.append(f"| {name} | {n} | {' | '.join(cells)} |")
    return lines


def enrol_section(documents: list[dict[str, Any]]) -> list[str]:
    """One column a number of photos."""
    rows = {
        "photos of new classes recognized": "new_named_rightly",
        "... and not refused as unknown": "new_named_rightly_and_not_refused",
        "accuracy on known classes, before": "known_accuracy_before",
        "accuracy on known classes, after": "known_accuracy_after",
        "photos of known classes mistaken for a new one": "known_taken_for_new",
        "photos of known classes not refused": "known_not_refused",
        "photos of unknown people refused": "strangers_refused",
    }
    shots = [document["name"].split("-")[1] for document in documents]
    lines = [
        "\n## Adding a class without training\n",
        f"Faces of {documents[0]['figures']['people']} people; mean over {documents[0]['n']} draws, lowest and highest. "
        f"[Embeddings](embeddings.md#what-to-expect) describes the experiment. `{documents[0]['command']}`\n",
        f"| photos of each new person | {' | '.join(shots)} |",
        "|---" * (len(shots) + 1) + "|",
    ]
    for words, key in rows.items():
        cells = ["{:.3f} ({:.3f} to {:.3f})".format(*document["figures"][key]) for document in documents]
        lines.append(f"| {words} | {' | '.join(cells)} |")
    return lines
