"""The model card: what a person should know before using a model, section by section as in Mitchell et al. 2019."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keensight.core.anomaly_evaluation import AnomalyEvaluation
from keensight.core.evaluation import ClassScore, Evaluation, MultilabelScores
from keensight.core.interval import Interval
from keensight.core.predictions import Decision
from keensight.core.records import BundleManifest
from keensight.core.statements import face_value, independence, rule_in_words, set_name
from keensight.core.task import Task

_ROWS = 200
_FEW = 20


def model_card(
    manifest: BundleManifest, evaluation: Evaluation | AnomalyEvaluation | None = None, *, refuses: bool = False
) -> str:
    """The card as Markdown.

    Args:
        manifest: The bundle's manifest.
        evaluation: Its results; None: the card says that it has not been evaluated.
        refuses: Whether the bundle abstains on images that are out-of-distribution.
    """
    if manifest.task == Task.ANOMALY:
        return _anomaly_card(manifest, evaluation if isinstance(evaluation, AnomalyEvaluation) else None)
    assert not isinstance(evaluation, AnomalyEvaluation)
    data, adopted = manifest.provenance.get("data"), bool(manifest.provenance.get("adopted"))
    parts = [
        f"# {_plain(manifest.name)}: image classifier ({_plain(manifest.model)})",
        _summary(manifest),
        "## Model details\n\n" + _details(manifest, refuses),
        "## Intended use\n\n" + _intended(manifest),
        "## Factors\n\n" + (_factors(manifest) if evaluation else _UNMEASURED),
        "## Metrics\n\n" + (_LABEL_METRICS if manifest.task == Task.MULTILABEL else _METRICS),
        "## Evaluation data\n\n" + _evaluated(data, evaluation, adopted),
        "## Training data\n\n" + (_ADOPTED if adopted else "") + _data(data),
        "## Quantitative analyses\n\n"
        + (_figures(evaluation, adopted) + _doubts(evaluation) if evaluation else _UNMEASURED),
        "## Ethical considerations\n\n" + _ETHICS,
        "## Caveats and recommendations\n\n" + _limits(manifest, evaluation, refuses),
        "## How to load\n\n" + _USE,
        "## Origin\n\n" + _origin(manifest.provenance),
    ]
    return "\n\n".join(parts) + "\n"


_UNMEASURED = "Not evaluated yet: do not rely on any prediction."
_ADOPTED = (
    "It was trained elsewhere: its training images are not recorded here. What follows is the dataset that it was "
    "adopted with, and its splits.\n\n"
)
_METRICS = (
    "Accuracy: the fraction of images that are classified correctly; its 95% confidence interval (CI) most likely "
    "contains the accuracy on new images. Precision (PPV of the positive class): the fraction of predictions of "
    "a class that are right. Recall (sensitivity): the fraction of the images of a class that are detected. F1: "
    "their harmonic mean. Calibration error (ECE): the mean difference between confidence and accuracy."
)
_LABEL_METRICS = (
    "Average precision (AP): how well the images with a label are ranked above all others; guessing reaches the "
    "label's prevalence. Precision: the fraction of predictions of a label that are right. Recall: the fraction of "
    "its images that are detected. F1: their harmonic mean. Hamming loss: the fraction of all "
    "(image, label) pairs that are wrong. CI: 95% confidence interval."
)
_ETHICS = (
    "To be completed by the user: who is affected by errors, and who was consulted? "
    "Images of people are personal data. Before it decides anything about a person's health, safety, money or "
    "rights, have a person check each prediction, and evaluate it again on images from where it will be used."
)
_USE = """```sh
keensight predict THIS_FOLDER photo.jpg
```

```python
import keensight as ks

model = ks.load("THIS_FOLDER")  # checks every file before loading
model.predict("photo.jpg")
```"""


def _anomaly_card(manifest: BundleManifest, evaluation: AnomalyEvaluation | None) -> str:
    image = manifest.image
    normal = ", ".join(_plain(str(name)) for name in manifest.decision.get("normal", ()))
    limits = [
        "It was trained on normal images only: whatever differs from them counts as anomalous, including "
        "another camera, lighting or location.",
        "A defect that looks normal in patches of 8 to 50 pixels, such as a missing piece, may be missed.",
        "The anomaly score is not the probability of a defect.",
    ]
    parts = [
        f"# {_plain(manifest.name)}: anomaly detector ({_plain(manifest.model)})",
        f"Computes an anomaly score and an anomaly heatmap per image, trained on normal images only ({normal}). From "
        f"a score of 1 on, an image is anomalous.\n\nAny image is decoded to {image.width} × {image.height} px "
        f"RGB ({image.fit}); in the model: {_plain(manifest.normalisation)}.",
        "## Data\n\n" + _data(manifest.provenance.get("data")),
        "## Quantitative analyses\n\n"
        + (_anomaly_figures(evaluation) + _doubts(evaluation) if evaluation else _UNMEASURED),
        "## Caveats and recommendations\n\n" + "\n".join(f"- {line}" for line in limits),
        "## How to load\n\n" + _USE,
        "## Origin\n\n" + _origin(manifest.provenance),
    ]
    return "\n\n".join(parts) + "\n"


def _anomaly_figures(evaluation: AnomalyEvaluation) -> str:
    names = {
        "auroc": "Area under the ROC curve",
        "recall": "Anomalies detected (sensitivity)",
        "false_alarms": "False alarms",
    }
    lines = [
        f"On the {set_name(evaluation.part)} ({evaluation.normal:,} normal, {evaluation.anomalous:,} anomalous images):"
    ]
    for name, words in names.items():
        one = getattr(evaluation, name)
        if one is not None:
            ends = f"{one.level:.0%} CI {one.low:.3f} to {one.high:.3f}, {one.method}"
            lines.append(f"- {words}: **{one.value:.3f}** ({ends})")
    lines.append(f"- Expected false alarms: at most {evaluation.limits.rate:.3f} of normal images")
    rows = [f"| {_plain(kind.kind)} | {kind.recall.value:.3f} | {kind.n:,} |" for kind in evaluation.kinds]
    return "\n".join([*lines, "", "| kind | detected | images |", "|---|---:|---:|", *rows] if rows else lines)


def _summary(manifest: BundleManifest) -> str:
    names = manifest.labels.names
    listed = ", ".join(_plain(name) for name in names[:_ROWS]) + (", ..." if len(names) > _ROWS else "")
    what = f"Classifies an image as one of {len(names)} classes"
    if manifest.task == Task.MULTILABEL:
        what = f"Predicts which of {len(names)} labels an image has, any number of them"
    return f"{what}: {listed}."


def _factors(manifest: BundleManifest) -> str:
    noun = manifest.task.noun
    return (
        f"The results below are for all images and for each {noun}. How they differ between cameras, places, times or "
        "groups of people is known only as far as the report of the run shows it."
    )


def _details(manifest: BundleManifest, refuses: bool) -> str:
    image = manifest.image
    task = "multi-label" if manifest.task == Task.MULTILABEL else "single-label"
    return _list(
        {
            "Architecture": manifest.model,
            "Task": f"{task} classification, {len(manifest.labels)} {manifest.task.nouns}",
            "Input": f"any image, decoded to {image.width} × {image.height} px RGB ({image.fit})",
            "Normalization": manifest.normalisation,
            "Temperature": f"{manifest.temperature:.4g}",
            "Decision": _rule(manifest, refuses),
            "License, contact": "to be completed by the publisher",
        }
    )


def _intended(manifest: BundleManifest) -> str:
    lines = [
        f"For images like those of {_plain(manifest.name)}, taken in the same way: to sort, search or count them, or "
        "to support the decision of a person.",
        "Not for images of anything other than its classes, and not where nobody notices its errors.",
        "Specific purpose: to be completed by the publisher.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _data(data: object) -> str:
    if not isinstance(data, Mapping):
        return "Not recorded."
    names = {"train": "training", "val": "validation", "test": "test"}
    counts = ", ".join(f"{data[part]:,} {word}" for part, word in names.items() if isinstance(data.get(part), int))
    lines = {"Dataset": data.get("name"), "Images": counts, "Split": data.get("split"), "SHA-256": data.get("digest")}
    return _list(lines)


def _evaluated(data: object, evaluation: Evaluation | None, adopted: bool) -> str:
    if evaluation is None:
        return _UNMEASURED
    name = f" of {_plain(str(data['name']))}" if isinstance(data, Mapping) and data.get("name") else ""
    told = f"The {set_name(evaluation.part)}{name}, {evaluation.n:,} images"
    if adopted:
        told += ", which are new to the model only if it was not trained on them"
    elif words := independence(evaluation, adopted=False):
        told += f", {words}"
    return f"{told}.{_seen(evaluation)}"


def _seen(evaluation: Evaluation) -> str:
    """What duplicates in other splits do to the result, as a sentence."""
    if not evaluation.seen:
        return ""
    have = "has" if evaluation.seen == 1 else "have"
    told = f" {evaluation.seen:,} of them {have} a duplicate or near-duplicate in another split"
    if (clean := evaluation.cleaned) is None:
        return f"{told}, so the result says nothing about new images."
    return f"{told}: on the others the accuracy is {clean.value:.1%} (95% CI {clean.low:.1%} to {clean.high:.1%})."


def _rule(manifest: BundleManifest, refuses: bool) -> str:
    if manifest.task == Task.MULTILABEL:
        told = "It predicts each label whose probability reaches the label's threshold"
        return f"{told}, and abstains on images that are out-of-distribution." if refuses else f"{told}."
    rule = Decision.from_manifest(manifest.decision)
    if not manifest.decision.get("enrolled"):
        return rule_in_words(rule, refuses=refuses)
    below = f", below a probability of {rule.threshold:.1%}" if rule.target else ""
    unlike = ", out-of-distribution" if refuses else ""
    return f"{manifest.decision.get('rule')}. It abstains on images that are not near any class mean{below}{unlike}."


def _figures(evaluation: Evaluation, adopted: bool) -> str:
    words = independence(evaluation, adopted=adopted)
    seen = f", {words}," if words else ""
    if evaluation.multilabel is not None:
        return _label_figures(evaluation, evaluation.multilabel, seen)
    accuracy = evaluation.accuracy
    table = [
        "| class | precision | recall | F1 | images |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {_plain(s.label)} | {_cell(s, 'precision')} | {_cell(s, 'recall')} | {_cell(s, 'f1')} | {s.support:,} |"
            for s in evaluation.per_class[:_ROWS]
        ),
    ]
    others = ", ".join(
        _with_ends(words, getattr(evaluation, name), evaluation.intervals.get(name))
        for name, words in _FIGURES.items()
        if getattr(evaluation, name) is not None
    )
    return (
        f"On the {set_name(evaluation.part)}{seen} (n = {evaluation.n:,}): **accuracy {accuracy.value:.1%}** "
        f"({accuracy.level:.0%} CI {accuracy.low:.1%} to {accuracy.high:.1%}; {accuracy.method}). Always predicting "
        f"the most common class reaches {evaluation.baseline_accuracy:.1%}.\n\n{others} (brackets: 95% CI).\n\n"
        + _binary(evaluation) + _confidence(evaluation) + _decisions(evaluation) + "\n".join(table)
    )  # fmt: skip


_FIGURES = {
    "macro_f1": "Macro F1", "auroc": "area under the ROC curve (one class against the rest, macro)",
    "loss": "loss (nats)", "brier": "Brier score", "ece": "calibration error (ECE)",
}  # fmt: skip


def _doubts(evaluation: Evaluation | AnomalyEvaluation) -> str:
    """Why the results may be wrong, right below them."""
    if not evaluation.caveats:
        return ""
    return "\n\nThis result may be wrong:\n\n" + "\n".join(f"- {_plain(str(one))}" for one in evaluation.caveats)


def _cell(score: ClassScore, name: str) -> str:
    """A metric of a class with its confidence interval."""
    found = score.intervals.get(name)
    return f"{getattr(score, name):.3f}" + ("" if found is None else f" ({found.low:.2f} to {found.high:.2f})")


def _with_ends(words: str, value: float, found: Interval | None) -> str:
    return f"{words} {value:.4f}" + ("" if found is None else f" ({found.low:.4f} to {found.high:.4f})")


def _binary(evaluation: Evaluation) -> str:
    """Sensitivity, specificity, PPV and NPV of two classes, as a paragraph and a table."""
    found = evaluation.binary
    if found is None:
        return ""
    rows = [
        f"| {name} | {one.value:.1%} | {one.low:.1%} to {one.high:.1%} | {hits:,} of {n:,} {_plain(words)} |"
        for name, one, hits, n, words in found.rows()
    ]
    return (
        f"Positive class: {_plain(found.positive)} ({_plain(found.reason)}). The PPV and NPV hold only where the "
        "classes are as frequent as in this set.\n\n| metric | value | 95% CI | images |\n|---|---:|---:|---|\n"
    ) + "\n".join(rows) + "\n\n"  # fmt: skip


def _confidence(evaluation: Evaluation) -> str:
    """Whether its confidence can be trusted, as a paragraph."""
    told = face_value(evaluation)
    return f"{told}\n\n" if told else ""


def _decisions(evaluation: Evaluation) -> str:
    """What the decision rule did, as a paragraph; empty where it predicted every image and each set has one class."""
    found, told = evaluation.abstention, ""
    if found is None or found.accuracy is None:
        return ""
    if found.answered.value < 1:
        told = (
            f"The model predicted {found.answered.value:.1%} of the images and abstained on the rest; "
            f"{found.accuracy.value:.1%} of its predictions are right (95% CI {found.accuracy.low:.1%} to "
            f"{found.accuracy.high:.1%}). "
        )
    if found.set_coverage is not None and found.set_singles != 1:
        told += (
            f"Of its prediction sets, made to contain the true class for at least {found.decision.set_level:.0%} of "
            f"images, {found.set_coverage.value:.1%} do (95% CI {found.set_coverage.low:.1%} to "
            f"{found.set_coverage.high:.1%}), with {found.set_size:.2f} classes on average."
        )
    return f"{told.strip()}\n\n" if told else ""


def _label_figures(evaluation: Evaluation, scores: MultilabelScores, seen: str) -> str:
    area, micro, exact = scores.mean_average_precision, scores.micro_f1, evaluation.accuracy
    rows = [
        f"| {_plain(row.label)} | {'-' if label.average_precision is None else f'{label.average_precision:.3f}'} "
        f"| {label.base_rate:.3f} | {label.threshold:.2f} | {row.precision:.3f} | {row.recall:.3f} | {row.f1:.3f} "
        f"| {row.support:,} |"
        for row, label in list(zip(evaluation.per_class, scores.per_label, strict=True))[:_ROWS]
    ]
    return (
        f"On the {set_name(evaluation.part)}{seen} (n = {evaluation.n:,}): **mean average precision {area.value:.4f}** "
        f"({area.level:.0%} CI {area.low:.4f} to {area.high:.4f}; {area.method}). Micro F1 {micro.value:.4f} "
        f"({micro.low:.4f} to {micro.high:.4f}), macro F1 {evaluation.macro_f1:.4f}, Hamming loss "
        f"{scores.hamming_loss:.4f}. All labels are correct for {exact.value:.1%} of the images ({exact.low:.1%} to "
        f"{exact.high:.1%}); always predicting the most common set of labels reaches "
        f"{evaluation.baseline_accuracy:.1%}.\n\n"
        "| label | AP | prevalence | threshold | precision | recall | F1 | images |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|\n" + "\n".join(rows)
    )


def _limits(manifest: BundleManifest, evaluation: Evaluation | None, refuses: bool) -> str:
    lines = [
        *_foreign(manifest, refuses),
        *_enrolled(manifest, evaluation),
        "Results hold for images like those of the evaluation; images from another camera, place or time can be worse.",
        *_intervals(evaluation),
    ]
    few = [score.label for score in evaluation.per_class if score.support < _FEW] if evaluation else []
    if few:
        listed = ", ".join(_plain(name) for name in few[:_FEW]) + (", ..." if len(few) > _FEW else "")
        lines.append(f"Fewer than {_FEW} test images, too few for a reliable result: {listed}.")
    return "\n".join(f"- {line}" for line in lines)


def _foreign(manifest: BundleManifest, refuses: bool) -> list[str]:
    """What happens to an image that shows none of the classes."""
    if refuses:
        return ["It abstains on many images that show none of its classes, but not on all."]
    if manifest.task == Task.MULTILABEL:
        return ["It knows no other labels than these."]
    if manifest.decision.get("enrolled") or Decision.from_manifest(manifest.decision).target is not None:
        return ["An image that shows none of its classes can still get one of them."]
    return [f"It always predicts one of its {len(manifest.labels)} classes, also for an image that shows none of them."]


def _intervals(evaluation: Evaluation | None) -> list[str]:
    if evaluation is None:
        return []
    alone = evaluation.accuracy.method == "wilson"
    how = "treats the images as independent" if alone else "accounts for groups of related images"
    return [f"The confidence interval of the accuracy {how}; it says nothing about another camera, place or time."]


def _enrolled(manifest: BundleManifest, evaluation: Evaluation | None) -> list[str]:
    names = manifest.decision.get("enrolled")
    if not names:
        return []
    listed = ", ".join(_plain(str(name)) for name in names)
    unmeasured = "" if evaluation else "; how often that is right has not been evaluated"
    return [
        f"Added after training, from a few images each (enrolled): {listed}. An image is assigned to one of them "
        f"if the mean of that class is the nearest (docs/embeddings.md){unmeasured}.",
        "An image that is not similar to any class is marked unknown (`abstain`); some such images are not noticed.",
    ]


def _origin(provenance: Mapping[str, Any]) -> str:
    versions = provenance.get("versions")
    text = ", ".join(f"{name} {number}" for name, number in versions.items()) if isinstance(versions, Mapping) else None
    origin = {"Run": provenance.get("run"), "Command": provenance.get("command"), "Seed": provenance.get("seed")}
    return _list({**origin, "Versions": text})


def _list(values: Mapping[str, Any]) -> str:
    lines = [f"- {name}: {_plain(str(value))}" for name, value in values.items() if value not in (None, "")]
    return "\n".join(lines) or "Not recorded."


def _plain(text: str) -> str:
    """Text escaped for Markdown: class names come from folders and may contain anything."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return "".join("\\" + sign if sign in "\\`*[]|#" else sign for sign in text)
