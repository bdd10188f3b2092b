"""Write docs/benchmarks.md, and the results in docs/recipes.md and in the recipes, from benchmarks/results.

python benchmarks/tables.py
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tables_certainty as certainty
import tables_data as data
import tables_deploy as deploy
import tables_export as export
import tables_predict as predict
import tables_robustness as robustness
import tables_serving as serving
import tables_training as training
import tables_wide as wide
from tables_large import large_section

HERE = Path(__file__).parent
ROOT = HERE.parent
MARKS = ("<!-- figures: written by benchmarks/tables.py -->", "<!-- end of figures -->")

RENAMED = {
    "too sure": "overconfident",
    "accuracy of answers": "accuracy of predictions",
    "| answered": "| coverage",
    "are told by them and not by their subject": "may be recognized by them instead of their subject",
    "odd-colour (": "`odd-colour` (",
    "%, centre ": "%, center ",
    "80 % of the images": "80% of the images",
}
"""Words of earlier versions in recorded results, and today's."""

Section = Callable[[list[dict[str, Any]]], list[str]]


def load() -> dict[str, dict[str, Any]]:
    documents = (json.loads(path.read_text()) for path in sorted((HERE / "results").rglob("*.json")))
    return {document["name"]: document for document in documents}


def each(write: Callable[[dict[str, Any]], list[str]], heading: str = "") -> Section:
    """A part for each document, under a common heading if one is given."""
    head = [f"\n## {heading}"] if heading else []
    return lambda documents: head + [line for document in documents for line in write(document)]


SECTIONS: tuple[tuple[tuple[str, ...], Section], ...] = (
    (("clothing-small-", "fashion-mnist-"), training.accuracy_section),
    (("newcomer", "startup", "second-quick-run", "warm-start"), training.start_section),
    (("decoding-", "prepare-memory", "growth"), training.growth_section),
    (("open-sources",), each(data.sources_section)),
    (("large-sets",), each(large_section)),
    (("peers-",), training.peers_section),
    (("gpu-",), training.gpu_section),
    (("wide/",), wide.wide_section),
    (("head/",), wide.head_section),
    (("labels/",), wide.labels_section),
    (("wide-ood-",), wide.ood_section),
    (("copies-",), wide.copies_section),
    (("extraction",), each(training.extraction_section)),
    (("scratch-peers",), each(training.scratch_section)),
    (("port-",), training.port_section),
    (("coverage.",), each(certainty.coverage_section)),
    (("clusters",), each(certainty.clusters_section)),
    (("coverage-",), certainty.splits_section),
    (("calibration-",), certainty.calibration_section),
    (("temperature",), each(certainty.temperature_section)),
    (("export-",), export.export_section),
    (("ood-",), each(data.ood_section, "Out-of-distribution detection")),
    (("enrol-",), data.enrol_section),
    (("anomaly-",), each(data.anomaly_section)),
    (("multilabel-",), each(data.multilabel_section)),
    (("label-errors-",), data.label_errors_section),
    (("missing-labels-",), data.missing_labels_section),
    (("suggest-",), data.suggest_section),
    (("audit",), each(data.audit_section)),
    (("near-growth",), each(data.near_section)),
    (("near-",), each(data.planted_section, "Planted duplicates")),
    (("split-stability",), each(data.stability_section)),
    (("saliency-",), each(data.saliency_section, "Faithfulness of heatmaps")),
    (("interrupts",), each(training.interrupts_section)),
    (("kills",), each(training.kills_section)),
    (("worker-kills",), each(training.worker_kills_section)),
    (("fill-cache",), each(training.fill_cache_section)),
    (("scaling-",), training.scaling_section),
    (("checkpoints",), each(training.checkpoints_section)),
    (("predict-cold", "predict-batch", "install"), predict.predict_section),
    (("predict-cluster",), each(predict.cluster_section)),
    (("html-export",), each(deploy.html_section)),
    (("serve.", "serve-form"), serving.serve_section),
    (("serve-faults",), each(serving.faults_section)),
    (("drift",), each(serving.drift_section)),
    (("fuzz",), each(robustness.fuzz_section)),
    (("guided-fuzz",), each(robustness.guided_section)),
    (("mutants",), each(robustness.mutants_section)),
    (("recipe-",), lambda documents: []),  # docs/recipes.md has them
)
"""How the names of a section's results begin (a dot ends a name), and what writes the section."""


def page(results: dict[str, dict[str, Any]]) -> str:
    """The page: a section for every result, then the machines and the notes."""
    lines = [
        "# Benchmarks\n",
        "Every number above the notes was printed by a script in `benchmarks/`; `python benchmarks/tables.py` writes this page",
        "from `benchmarks/results`. Times depend on the machine, so run the commands on yours. A *target* was set before",
        "measuring. The image sets are linked in [Recipes](recipes.md); folders in the commands are named after them.",
    ]
    left = dict(results)
    for starts, write in SECTIONS:
        names = [name for name in left if f"{name}.".startswith(starts)]
        if names:
            lines += write([left.pop(name) for name in names])
    if left:
        raise ValueError(f"no section of the page shows {', '.join(left)}")
    machines = sorted({document["machine"] for document in results.values()})
    versions = sorted({f"{k} {v}" for document in results.values() for k, v in document["versions"].items()})
    lines += [
        "\n## Machines and versions\n",
        f"Machines: {'; '.join(machines)}.\n",
        f"Versions: {', '.join(versions)}.\n",
    ]
    text = "\n".join(lines)
    for recorded, today in RENAMED.items():
        text = text.replace(recorded, today)
    return text + "\n" + (HERE / "notes.md").read_text(encoding="utf-8")


def told(figure: list[float]) -> str:
    return "{:.3f} ({:.3f} to {:.3f})".format(*figure)


def expected(document: dict[str, Any]) -> list[str]:
    """What a recipe says of its own results, line by line."""
    rows = [(*name.partition(", n = ")[::2], told(figure)) for name, figure in document["figures"]["recipe"]]
    said = (
        f"**Expected results** with the real images (95% confidence intervals, `{document['command']}`); other "
        "versions or machines may differ by a few thousandths:"
    )
    lines = textwrap.wrap(said, 116, break_long_words=False, break_on_hyphens=False)
    return [*lines, "", "| metric | n | result |", "|---|---|---|"] + [
        f"| {name} | {n or document['n']} | {result} |" for name, n, result in rows
    ]


def recipes_table(results: dict[str, dict[str, Any]]) -> str:
    """Each result of a recipe, beside the baselines that have it."""
    lines = ["| recipe | metric | n | Keensight | baseline, same split |", "|---|---|---|---|---|"]
    for name, document in results.items():
        if not name.startswith("recipe-"):
            continue
        figures = document["figures"]
        trade = f"{name.removeprefix('recipe-')}, {training.duration(figures['seconds'])}"
        for full, figure in figures["recipe"]:
            what, _, n = full.partition(", n = ")
            rivals = [f"{told(dict(found)[what])}, {who}" for who, found in figures["baselines"] if what in dict(found)]
            lines.append(f"| {trade} | {what} | {n or document['n']} | {told(figure)} | {'; '.join(rivals) or '–'} |")
    return "\n".join(lines)


def between(path: Path, marks: tuple[str, str], text: str) -> None:
    """Put ``text`` between two marks of a file."""
    before, rest = path.read_text(encoding="utf-8").split(marks[0])
    path.write_text(f"{before}{marks[0]}\n{text}\n{marks[1]}{rest.split(marks[1])[1]}", encoding="utf-8")


def write_expectations(results: dict[str, dict[str, Any]]) -> None:
    """Write each recipe's own results into it; `python notebooks/build.py` then writes its notebook."""
    marks = ("# <!-- figures: written by benchmarks/tables.py -->", "# <!-- end of figures -->")
    for name, document in results.items():
        if name.startswith("recipe-"):
            path = ROOT / "recipes" / f"{name.removeprefix('recipe-')}.py"
            between(path, marks, "\n".join(f"# {line}".rstrip() for line in expected(document)))


def main() -> None:
    results = load()
    (ROOT / "docs" / "benchmarks.md").write_text(page(results), encoding="utf-8")
    between(ROOT / "docs" / "recipes.md", MARKS, recipes_table(results))
    exports = [document for name, document in results.items() if name.startswith("export-")]
    between(ROOT / "docs" / "export.md", MARKS, "\n".join(["", *export.table(exports), ""]))
    write_expectations(results)


if __name__ == "__main__":
    main()
