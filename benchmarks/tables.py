"""Write the figures in README.md, docs/recipes.md and the recipes, and docs/benchmarks.md, from benchmarks/results.

python benchmarks/tables.py
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tables_certainty import calibration_section, clusters_section, coverage_section, splits_section

HERE = Path(__file__).parent
ROOT = HERE.parent
MARKS = ("<!-- figures: written by benchmarks/tables.py -->", "<!-- end of figures -->")
README = {
    "fashion-mnist-cnn": ("Fashion-MNIST, `--model cnn`", "test accuracy {test_accuracy} in {minutes} minutes"),
    "fashion-mnist-resnet": ("Fashion-MNIST, `--model resnet`", "test accuracy {test_accuracy} in {minutes} minutes"),
    "clothing-small-quick": (
        "3,781 photographs of clothes in 10 classes, `--effort quick`",
        "test accuracy {test_accuracy} in {minutes} minutes",
    ),
    "clothing-small-standard": ("the same, standard", "test accuracy {test_accuracy} in {minutes} minutes"),
    "warm-start": ("second training on the same images: first step", "{warm_seconds_median} s after the command"),
    "decoding-clothing_small-224": ("decoding photographs to 224 px", "{ratio_to_the_faster} × bare Pillow's rate"),
    "prepare-memory": ("memory for 20,000 instead of 2,000 images of 224 px, decoded and read", "{growth_mb} MB more"),
    "startup": ("`keensight --help`", "{median_seconds} s"),
}


def load() -> dict[str, dict[str, Any]]:
    documents = (json.loads(path.read_text()) for path in sorted((HERE / "results").glob("*.json")))
    return {document["name"]: document for document in documents}


def readme_table(results: dict[str, dict[str, Any]]) -> str:
    lines = ["| on two processor cores | measured |", "|---|---|"]
    for name, (what, text) in README.items():
        if name in results:
            lines.append(f"| {what} | {text.format(**results[name]['figures'])} |")
    lines.append("\nHow, on what and how often: [docs/benchmarks.md](docs/benchmarks.md).")
    return "\n".join(lines)


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def peers_section(document: dict[str, Any]) -> list[str]:
    """Keensight and peers on one image set, and how long each took to some test accuracies."""
    figures = document["figures"]
    targets = [
        target
        for target in next(iter(figures.values()))["seconds_to"]
        if any(one["seconds_to"][target] is not None for one in figures.values())
    ][-7:]
    lines = [
        f"\n## {document['name'].removeprefix('peers-')}: Keensight and its peers\n",
        "The same images in each part, the same weights file, one after the other; seconds from the start of the "
        "process. A peer's time to an accuracy is its first epoch that would have tested so well; Keensight's is "
        f"that of the whole command. `{document['command']}`\n",
        f"| {' | '.join(['who', 'validation', 'test (95 % interval)', 'n', 'time', *(f'to {t}' for t in targets)])} |",
        "|---" * (5 + len(targets)) + "|",
    ]
    for who, one in figures.items():
        low, high = one["interval_95"]
        cells = [
            who,
            f"{one['val_accuracy']:.3f}",
            f"{one['test_accuracy']:.3f} ({low:.3f} to {high:.3f})",
            str(one["n_test"]),
            duration(one["seconds"]),
            *(duration(one["seconds_to"][target]) for target in targets),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def extraction_section(document: dict[str, Any]) -> list[str]:
    lines = [
        "\n## Frozen features, engine by engine\n",
        f"EfficientNet-Lite0, 224 px, float32, from decoded pixels; the best of several batches. "
        f"`{document['command']}`\n",
        "| engine | images a second | processor in use | batch |",
        "|---|---|---|---|",
    ]
    for who, one in sorted(document["figures"].items(), key=lambda item: -item[1]["images_per_second"]):
        batch = f"{one['batch']} {one['mode']}".strip()
        lines.append(f"| {who} | {one['images_per_second']} | {one['cpu_share']:.0%} | {batch} |")
    return lines


def scratch_section(document: dict[str, Any]) -> list[str]:
    lines = [
        "\n## A training step of `resnet`\n",
        f"28 px, batches of 128, no augmentation; the share is of the fastest product or convolution measured. "
        f"`{document['command']}`\n",
        "| who | images a second | share of the peak |",
        "|---|---|---|",
    ]
    for who, one in document["figures"].items():
        if "images_per_second" in one:
            lines.append(f"| {who} | {one['images_per_second']:.0f} | {one['share_of_peak']:.0%} |")
    return lines


METHODS = {
    "precision_in_top_5_percent": "the label check",
    "top_5_percent_plain_regression_confidence": "plain regression, confidence",
    "top_5_percent_plain_regression_margin": "plain regression, margin",
    "top_5_percent_10_neighbours": "10 neighbours",
}


def label_errors_section(documents: list[dict[str, Any]]) -> list[str]:
    """One row an image set: how many planted errors each method ranks among the most suspicious 5 %."""
    lines = [
        "\n## Planted label errors\n",
        "5 % of the labels changed, each to another class at random. By method: the share of wrong ones among the most "
        "suspicious 5 % of the images, the mean of some draws; it is precision and recall in one. All methods have the "
        "same features; the plain ones are scikit-learn's logistic regression with its defaults, out of fold, and the "
        f"labels of the nearest images. Bar: {documents[0]['bar']}. The second table is about the suspects: with the "
        "labels as they are, with those 5 %, and with 5 % changed to classes that look alike.\n",
        f"| {' | '.join(['set', 'n', *METHODS.values(), 'command'])} |",
        "|---" * (3 + len(METHODS)) + "|",
    ]
    for document in documents:
        figures = document["figures"]
        shares = [figures[name] for name in METHODS]
        cells = [document["name"].removeprefix("label-errors-"), document["n"], *(f"{share:.3f}" for share in shares)]
        lines.append(f"| {' | '.join(map(str, cells))} | `{document['command']}` |")
    return lines + suspects_table(documents)


SUSPECTS = ("precision_of_suspects", "estimated_precision", "recall_of_suspects")


def suspects_table(documents: list[dict[str, Any]]) -> list[str]:
    lines = [
        "\n| set | classes | suspects, labels as they are | random: precision | estimated | recall "
        "| alike: precision | estimated | recall |",
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


def near_section(document: dict[str, Any]) -> list[str]:
    lines = [
        "\n## Growth of the search for near copies\n",
        "Synthetic pictures of 64 px, drawn as they are read, which is in the figures; every tenth is a recoloured "
        f"copy of the one before. Seconds of one processor. `{document['command']}`\n",
        "| images | processor seconds | peak MB | recall | precision |",
        "|---|---|---|---|---|",
    ]
    for n, one in sorted(document["figures"].items(), key=lambda item: int(item[0])):
        lines.append(f"| {int(n):,} | {one['cpu_seconds']} | {one['peak_mb']} | {one['recall']} | {one['precision']} |")
    return lines


def planted_section(document: dict[str, Any]) -> list[str]:
    """What was found of planted copies: one table a set."""
    figures = document["figures"]
    kinds = [key.removeprefix("recall_") for key in figures if key.startswith("recall_")]
    kinds.sort(key=["exact", "resized", "mirrored", "cropped", "recoloured"].index)
    return [
        f"\n## Planted copies in {document['name'].removeprefix('near-')}\n",
        f"{document['n']} of each kind; bar: {document['bar']} (recall / precision). {figures['pairs_of_its_own']} "
        f"pairs are the set's own and count neither way. Threshold {figures['threshold']}; {figures['cpu_seconds']} s "
        f"of one processor without decoding. `{document['command']}`\n",
        f"| | {' | '.join(kinds)} |",
        "|---" * (len(kinds) + 1) + "|",
        f"| recall | {' | '.join(str(figures[f'recall_{kind}']) for kind in kinds)} |",
        f"\nPrecision: exact {figures['precision_exact']}, near {figures['precision_near']}.",
    ]


def audit_section(document: dict[str, Any]) -> list[str]:
    lines = [
        "\n## What the audit says\n",
        f"Of real sets, and of copies of one with a planted shortcut; seconds of the processor with shortcut probes, "
        f"decoding aside. Bar: {document['bar']}. `{document['command']}`\n",
        "| set | images | seconds | findings | shortcuts |",
        "|---|---|---|---|---|",
    ]
    for name, one in document["figures"].items():
        findings = ", ".join(f"{kind}: {count:,}" for kind, count in one["findings"].items()) or "none"
        shortcuts = " ".join(one["shortcuts"]) or "–"
        lines.append(f"| {name} | {one['n']:,} | {one['cpu_seconds']} | {findings} | {shortcuts} |")
    return lines


def stability_section(document: dict[str, Any]) -> list[str]:
    """How many images change splits when others are taken away."""
    lines = [
        "\n## How stable a split is\n",
        "Of each set a random 5% of the images is taken away, several times; what is left is audited and split "
        "with the same seed. Counted over all draws are the images that stay and change splits; adding 5% moves the "
        f"same ones back. `{document['command']}`\n",
        "| set | images that stay | in another split | training to test | test to training |",
        "|---|---|---|---|---|",
    ]
    for name, one in document["figures"].items():
        moved = f"{one['moved']} ({one['moved_fraction']:.2%})"
        lines.append(f"| {name} | {one['stayed']:,} | {moved} | {one['train_to_test']} | {one['test_to_train']} |")
    return lines


def anomaly_section(document: dict[str, Any]) -> list[str]:
    """The detector beside its baselines: mean over the splits, lowest and highest."""
    figures = document["figures"]
    rows = {
        "`--task anomaly`": "detector",
        "five nearest normal embeddings": "nearest_embeddings",
        "distance to the mean normal image": "mean_image",
    }
    told = {name: "{:.3f} ({:.3f} to {:.3f})".format(*figures[key]) for name, key in rows.items()}
    learned, tested = figures["seconds_to_learn"][0], figures["seconds_to_test"][0]
    return [
        f"\n## {document['name'].removeprefix('anomaly-')}: anomalies from normal images alone\n",
        f"Area under the ROC curve over {document['n']} splits by group: mean, lowest, highest. "
        f"{figures['normal_training_images'][0]:.0f} normal training and {figures['test_images'][0]:.0f} test images a "
        f"split; {learned:.0f} s to learn, {tested:.0f} s to test. At its threshold the detector finds "
        f"{figures['recall_at_threshold'][0]:.1%} of the anomalies, with {figures['false_alarms_at_threshold'][0]:.1%} "
        f"false alarms where at most {figures['false_alarms_expected_at_most'][0]:.1%} are expected. Its features were "
        f"chosen on splits of the same set. `{document['command']}`\n",
        "| who | area under the ROC curve |",
        "|---|---|",
        *(f"| {name} | {text} |" for name, text in told.items()),
    ]


def saliency_section(document: dict[str, Any]) -> list[str]:
    lines = [
        f"\n## Heatmaps, {document['name'].removeprefix('saliency-')}\n",
        f"Deletion curves of {document['n']} test images: the share on which the probability falls faster than in "
        f"random order, and mean areas under the curves. Bar: {document['bar']}. `{document['command']}`\n",
        "| method | beats random blocks (95 % interval) | beats random pixels | area | of blocks | of pixels |",
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
        f"Brackets: 95 % intervals. The baselines have the features of `--effort quick` and every threshold at 0.5. "
        f"Bar: {document['bar']}. `{document['command']}`\n",
        "| who | mAP | micro F1 | macro F1 | every label right | time |",
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
    """How well pictures of something else are told: one row each other set."""
    figures = document["figures"]

    def text(key: str, name: str | None = None) -> str:
        return "{:.3f} ({:.3f} to {:.3f})".format(*(figures[key] if name is None else figures[key][name]))

    lines = [
        f"\n## {document['name'].removeprefix('ood-')}: pictures of something else\n",
        f"{document['n']} test images against pictures of something else. Accuracy on the former: "
        f"{text('test_accuracy')}; share of them refused: {text('own_refused')}, where at most "
        f"{figures['own_refused_expected_at_most']} is expected. Brackets: 95 % intervals, as if images were "
        f"independent. Bar: {document['bar']}. The "
        "score and the share that its threshold keeps were chosen with networks trained on clothing_small, on such "
        "pictures, so that its figures flatter; unknown people had no say. "
        f"`{document['command']}`\n",
        "| something else | n | area under the ROC curve | of the nearest class mean | of the probability | refused |",
        "|---|---|---|---|---|---|",
    ]
    for name, n in figures["n_others"].items():
        cells = [text(key, name) for key in ("area", "area_of_nearest_mean", "area_of_probability", "refused")]
        lines.append(f"| {name} | {n} | {' | '.join(cells)} |")
    return lines


TOGETHER: dict[str, Callable[[list[dict[str, Any]]], list[str]]] = {
    "label-errors-": label_errors_section, "coverage-": splits_section, "calibration-": calibration_section,
}  # fmt: skip
"""How the names of results begin that share a section, and what writes it."""


def told(figure: list[float]) -> str:
    return "{:.3f} ({:.3f} to {:.3f})".format(*figure)


def expected(document: dict[str, Any]) -> str:
    """What a recipe says of its own result."""
    figures = "; ".join(f"{name} {told(figure)}" for name, figure in document["figures"]["recipe"])
    return (
        f"**To expect** (95 % intervals, n = {document['n']:,} test images where no other n is given, "
        f"`{document['command']}`): {figures}. Other versions or machines may differ by a few thousandths."
    )


def recipes_table(results: dict[str, dict[str, Any]]) -> str:
    """Each figure of a recipe, beside the baselines that have it."""
    lines = ["| recipe | figure | n | Keensight | plain baseline, same split |", "|---|---|---|---|---|"]
    for name, document in results.items():
        if not name.startswith("recipe-"):
            continue
        figures = document["figures"]
        trade = f"{name.removeprefix('recipe-')}, {duration(figures['seconds'])}"
        for full, figure in figures["recipe"]:
            what, _, n = full.partition(", n = ")
            rivals = [f"{told(dict(found)[what])}, {who}" for who, found in figures["baselines"] if what in dict(found)]
            lines.append(f"| {trade} | {what} | {n or document['n']} | {told(figure)} | {'; '.join(rivals) or '–'} |")
    return "\n".join(lines)


def newcomer_section(document: dict[str, Any]) -> list[str]:
    figures = document["figures"]
    steps = ", ".join(f"{step} {duration(seconds)}" for step, seconds in figures["seconds"].items())
    return [
        "\n## A newcomer's path\n",
        f"From an empty environment to the first prediction, {document['n']:,} images to train on: {steps}; in all "
        f"{duration(figures['in_all'])}. The installation depends on the network. `{document['command']}`",
    ]


SECTIONS: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    **{start: lambda document: [] for start in TOGETHER},
    "anomaly-": anomaly_section, "audit": audit_section, "clusters": clusters_section, "coverage": coverage_section,
    "extraction": extraction_section,
    "multilabel-": multilabel_section, "newcomer": newcomer_section, "near-growth": near_section,
    "near-": planted_section, "ood-": ood_section,
    "peers-": peers_section, "recipe-": lambda document: [],  # docs/recipes.md has them
    "saliency-": saliency_section, "scratch-peers": scratch_section, "split-stability": stability_section,
}  # fmt: skip
"""How the name of a result begins, and what writes a section of its own for it."""


def section(document: dict[str, Any]) -> list[str] | None:
    """Results of many rows have a section of their own; None: the result is a row of the first table."""
    write = next((write for start, write in SECTIONS.items() if document["name"].startswith(start)), None)
    return None if write is None else write(document)


def page(results: dict[str, dict[str, Any]]) -> str:
    lines = [
        "# Measured figures\n",
        "Each row is what one script in `benchmarks/` printed; `python benchmarks/tables.py` writes this page from",
        "`benchmarks/results`. Times depend on the machine, so run the commands on yours.\n",
        "| what | bar | measured | n | command |",
        "|---|---|---|---|---|",
    ]
    sections = {name: section(document) for name, document in results.items()}
    for name, document in results.items():
        if sections[name] is not None:
            continue
        figures = "; ".join(f"{key.replace('_', ' ')}: {value}" for key, value in document["figures"].items())
        lines.append(f"| {name} | {document['bar']} | {figures} | {document['n']} | `{document['command']}` |")
    for rows in sections.values():
        lines += rows or []
    for start, write in TOGETHER.items():
        documents = [document for name, document in results.items() if name.startswith(start)]
        lines += write(documents) if documents else []
    if (ROOT / "docs" / "images" / "growth.png").exists():
        lines.append("\n![Time and disk against the number of images](images/growth.png)")
    machines = sorted({document["machine"] for document in results.values()})
    versions = sorted({", ".join(f"{k} {v}" for k, v in d["versions"].items()) for d in results.values()})
    lines += [f"\nMachine: {'; '.join(machines)}.\n", f"Versions: {'; '.join(versions)}.\n"]
    notes = HERE / "notes.md"
    return "\n".join(lines) + "\n" + (notes.read_text() if notes.exists() else "")


def between(path: Path, marks: tuple[str, str], text: str) -> None:
    """Put ``text`` between two marks of a file."""
    before, rest = path.read_text(encoding="utf-8").split(marks[0])
    path.write_text(f"{before}{marks[0]}\n{text}\n{marks[1]}{rest.split(marks[1])[1]}", encoding="utf-8")


def write_expectations(results: dict[str, dict[str, Any]]) -> None:
    """Tell each recipe its own figures; `python docs/generate.py` then writes the notebooks."""
    marks = ("# <!-- figures: written by benchmarks/tables.py -->", "# <!-- end of figures -->")
    for name, document in results.items():
        if name.startswith("recipe-"):
            lines = textwrap.wrap(expected(document), 116, break_long_words=False, break_on_hyphens=False)
            path = ROOT / "recipes" / f"{name.removeprefix('recipe-')}.py"
            between(path, marks, "\n".join(f"# {line}" for line in lines))


def main() -> None:
    results = load()
    (ROOT / "docs" / "benchmarks.md").write_text(page(results))
    between(ROOT / "README.md", MARKS, readme_table(results))
    between(ROOT / "docs" / "recipes.md", MARKS, recipes_table(results))
    write_expectations(results)


if __name__ == "__main__":
    main()
