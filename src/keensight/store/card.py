"""The model card: what a person should know before using a model, section by section as in Mitchell et al. 2019."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keensight.core.anomaly import TASK as ANOMALY
from keensight.core.anomaly import AnomalyEvaluation
from keensight.core.confidence import face_value
from keensight.core.evaluation import ClassScore, Evaluation, MultilabelScores
from keensight.core.interval import Interval
from keensight.core.records import BundleManifest

_ROWS = 200
_FEW = 20


def model_card(manifest: BundleManifest, evaluation: Evaluation | AnomalyEvaluation | None = None) -> str:
    """The card as Markdown.

    Args:
        manifest: The bundle's manifest.
        evaluation: What it reached; None: the card says that it has not been measured.
    """
    if manifest.task == ANOMALY:
        return _anomaly_card(manifest, evaluation if isinstance(evaluation, AnomalyEvaluation) else None)
    assert not isinstance(evaluation, AnomalyEvaluation)
    data, adopted = manifest.provenance.get("data"), bool(manifest.provenance.get("adopted"))
    parts = [
        f"# {_plain(manifest.name)}: image classifier ({_plain(manifest.model)})",
        _summary(manifest),
        "## Model details\n\n" + _details(manifest),
        "## Intended use\n\n" + _intended(manifest),
        "## Factors\n\n" + _FACTORS,
        "## Metrics\n\n" + _METRICS,
        "## Evaluation data\n\n" + _evaluated(data, evaluation, adopted),
        "## Training data\n\n" + (_ADOPTED if adopted else "") + _data(data),
        "## Quantitative analyses\n\n" + (_figures(evaluation, adopted) if evaluation else _UNMEASURED),
        "## Ethical considerations\n\n" + _ETHICS,
        "## Caveats and recommendations\n\n" + _limits(manifest, evaluation),
        "## How to load\n\n" + _USE,
        "## Origin\n\n" + _origin(manifest.provenance),
    ]
    return "\n\n".join(parts) + "\n"


_UNMEASURED = "Not measured yet: trust no answer."
_ADOPTED = (
    "It was trained elsewhere and taken in: what it learned from is not recorded here. What follows is the set that it "
    "was measured on, with its parts.\n\n"
)
_FACTORS = (
    "The figures below are given for all images together and class by class. How they differ between cameras, "
    "places, times or groups of people is known only as far as the run's report shows it."
)
_METRICS = (
    "Accuracy: the share of images put into the right class, with the interval in which the accuracy on more "
    "images like these would most likely lie. Precision: the share of images called by a name that are right. "
    "Recall: the share of a class that is found. F1: their harmonic mean. Calibration error (ECE): how far stated "
    "probabilities and shares of right answers lie apart on average."
)
_ETHICS = (
    "Nobody but whoever uses it can know whom its errors harm: say here who is affected, and who was asked. "
    "Images of people are personal data. Before it decides anything about a person's health, safety, money or "
    "rights, have a person look at each answer, and measure it anew on images from where it will work."
)
_USE = """```sh
keensight predict THIS_FOLDER photo.jpg
```

```python
import keensight as ks

model = ks.load("THIS_FOLDER")  # checks every file before anything is loaded
model.predict("photo.jpg")
```"""


def _anomaly_card(manifest: BundleManifest, evaluation: AnomalyEvaluation | None) -> str:
    image = manifest.image
    normal = ", ".join(_plain(str(name)) for name in manifest.decision.get("normal", ()))
    limits = [
        "It knows normal images only: whatever is unlike them is odd, another camera, light or place included.",
        "A fault that looks normal in patches of some 8 to 50 pixels, such as a missing part, may pass.",
        "A score says how odd an image is, not how likely it is to be faulty.",
    ]
    parts = [
        f"# {_plain(manifest.name)}: anomaly detector ({_plain(manifest.model)})",
        f"Scores how odd an image is, and where, having learned from normal images alone ({normal}). From a score of 1 "
        f"on an image is called anomalous.\n\nAny image is decoded to {image.width} × {image.height} px RGB "
        f"({image.fit}); in the model: {_plain(manifest.normalisation)}.",
        "## Data\n\n" + _data(manifest.provenance),
        "## How good it is\n\n" + (_anomaly_figures(evaluation) if evaluation else "Not measured yet."),
        "## Limits\n\n" + "\n".join(f"- {line}" for line in limits),
        "## Use\n\n" + _USE,
        "## Origin\n\n" + _origin(manifest.provenance),
    ]
    return "\n\n".join(parts) + "\n"


def _anomaly_figures(evaluation: AnomalyEvaluation) -> str:
    names = {"auroc": "Area under the ROC curve", "recall": "Anomalies found", "false_alarms": "False alarms"}
    lines = [
        f"On the {evaluation.part} part ({evaluation.normal:,} normal, {evaluation.anomalous:,} anomalous images):"
    ]
    for name, words in names.items():
        one = getattr(evaluation, name)
        if one is not None:
            ends = f"{one.level:.0%} interval {one.low:.3f} to {one.high:.3f}, {one.method}"
            lines.append(f"- {words}: **{one.value:.3f}** ({ends})")
    lines.append(f"- False alarms to be expected: {evaluation.limits.rate:.3f} of normal images at most")
    rows = [f"| {_plain(kind.kind)} | {kind.recall.value:.3f} | {kind.n:,} |" for kind in evaluation.kinds]
    return "\n".join([*lines, "", "| kind | found | images |", "|---|---:|---:|", *rows] if rows else lines)


def _summary(manifest: BundleManifest) -> str:
    names = manifest.labels.names
    listed = ", ".join(_plain(name) for name in names[:_ROWS]) + (", ..." if len(names) > _ROWS else "")
    what = f"Names one of {len(names)} classes for an image"
    if manifest.task == "multilabel":
        what = f"Says which of {len(names)} labels an image has, any number of them"
    return f"{what}: {listed}."


def _details(manifest: BundleManifest) -> str:
    image = manifest.image
    return _list(
        {
            "Architecture": manifest.model,
            "Task": f"{manifest.task}, {len(manifest.labels)} names",
            "Input": f"any image, decoded to {image.width} × {image.height} px RGB ({image.fit})",
            "Normalisation": manifest.normalisation,
            "Temperature": f"{manifest.temperature:.4g}",
            "Decision": manifest.decision.get("rule"),
            "Licence, contact": "not recorded: whoever publishes it adds them here",
        }
    )


def _intended(manifest: BundleManifest) -> str:
    lines = [
        f"For images like those of {_plain(manifest.name)}, taken in the same way; to sort, search or count them, or "
        "to suggest an answer to a person who decides.",
        "Not for images of anything else than its classes, and not where nobody sees its errors.",
        "What it was made for in particular is not recorded: whoever publishes it adds it here.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _data(data: object) -> str:
    if not isinstance(data, Mapping):
        return "Not recorded."
    counts = ", ".join(f"{data[part]:,} {part}" for part in ("train", "val", "test") if isinstance(data.get(part), int))
    lines = {"Set": data.get("name"), "Images": counts, "Split": data.get("split"), "SHA-256": data.get("digest")}
    return _list(lines)


def _evaluated(data: object, evaluation: Evaluation | None, adopted: bool) -> str:
    if evaluation is None:
        return _UNMEASURED
    name = f" of {_plain(str(data['name']))}" if isinstance(data, Mapping) and data.get("name") else ""
    seen = "took no part in training and was opened once" if evaluation.part == "test" else "was seen while training"
    seen = "is new to the model if whoever trained it kept it apart" if adopted else seen
    return f"The {evaluation.part} part{name}, {evaluation.n:,} images; it {seen}."


def _figures(evaluation: Evaluation, adopted: bool) -> str:
    seen = ", which took no part in training" if evaluation.part == "test" and not adopted else ""
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
    return (
        f"On the {evaluation.part} part{seen} (n = {evaluation.n:,}): "
        f"**accuracy {accuracy.value:.4f}**, {accuracy.level:.0%} interval {accuracy.low:.4f} to {accuracy.high:.4f} "
        f"({accuracy.method}). Always naming the most frequent class would reach {evaluation.baseline_accuracy:.4f}. "
        + ", ".join(
            _with_ends(words, getattr(evaluation, name), evaluation.intervals.get(name))
            for name, words in _FIGURES.items()
            if getattr(evaluation, name) is not None
        )
        + ".\n\n" + _confidence(evaluation) + _answers(evaluation) + "\n".join(table)
    )  # fmt: skip


_FIGURES = {
    "macro_f1": "Macro F1", "auroc": "area under the ROC curve (one class against the rest, macro)",
    "loss": "loss in nats", "brier": "Brier score", "ece": "calibration error (ECE)",
}  # fmt: skip


def _cell(score: ClassScore, name: str) -> str:
    """A figure of a class with its interval."""
    found = score.intervals.get(name)
    return f"{getattr(score, name):.3f}" + ("" if found is None else f" ({found.low:.2f} to {found.high:.2f})")


def _with_ends(words: str, value: float, found: Interval | None) -> str:
    return f"{words} {value:.4f}" + ("" if found is None else f" ({found.low:.4f} to {found.high:.4f})")


def _confidence(evaluation: Evaluation) -> str:
    """Whether its confidence can be believed, as a paragraph."""
    told = face_value(evaluation)
    return f"{told}\n\n" if told else ""


def _answers(evaluation: Evaluation) -> str:
    """What the rule for answers did, as a paragraph."""
    found = evaluation.abstention
    if found is None or found.accuracy is None:
        return ""
    told = (
        f"{found.answered.value:.4f} of the images got an answer, and {found.accuracy.value:.4f} of the answers "
        f"are right ({found.accuracy.low:.4f} to {found.accuracy.high:.4f})."
    )
    if found.set_coverage is not None:
        told += (
            f" Prediction sets made for {found.decision.set_level:.0%} held the true class for "
            f"{found.set_coverage.value:.4f} ({found.set_coverage.low:.4f} to {found.set_coverage.high:.4f}), with "
            f"{found.set_size:.2f} classes on average."
        )
    return told + "\n\n"


def _label_figures(evaluation: Evaluation, scores: MultilabelScores, seen: str) -> str:
    area, micro, exact = scores.mean_average_precision, scores.micro_f1, evaluation.accuracy
    rows = [
        f"| {_plain(row.label)} | {'-' if label.average_precision is None else f'{label.average_precision:.3f}'} "
        f"| {label.base_rate:.3f} | {label.threshold:.2f} | {row.precision:.3f} | {row.recall:.3f} | {row.f1:.3f} "
        f"| {row.support:,} |"
        for row, label in list(zip(evaluation.per_class, scores.per_label, strict=True))[:_ROWS]
    ]
    return (
        f"On the {evaluation.part} part{seen} (n = {evaluation.n:,}): **mean average precision {area.value:.4f}**, "
        f"{area.level:.0%} interval {area.low:.4f} to {area.high:.4f} ({area.method}). Micro F1 {micro.value:.4f} "
        f"({micro.low:.4f} to {micro.high:.4f}), macro F1 {evaluation.macro_f1:.4f}, Hamming loss "
        f"{scores.hamming_loss:.4f}. Every label is right for {exact.value:.4f} of the images ({exact.low:.4f} to "
        f"{exact.high:.4f}); the most frequent set of labels alone would reach {evaluation.baseline_accuracy:.4f}.\n\n"
        "| label | AP | share of images | threshold | precision | recall | F1 | images |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|\n" + "\n".join(rows)
    )


def _limits(manifest: BundleManifest, evaluation: Evaluation | None) -> str:
    lines = [
        *_enrolled(manifest),
        "The figures hold for images like those it was measured on; another camera, place or time can be worse.",
        "The interval takes the test images as independent of one another and says nothing of such a change.",
    ]
    few = [score.label for score in evaluation.per_class if score.support < _FEW] if evaluation else []
    if few:
        listed = ", ".join(_plain(name) for name in few[:_FEW]) + (", ..." if len(few) > _FEW else "")
        lines.append(f"Fewer than {_FEW} test images, so that their figures say little: {listed}.")
    return "\n".join(f"- {line}" for line in lines)


def _enrolled(manifest: BundleManifest) -> list[str]:
    if manifest.task == "multilabel":
        return ["It knows no other labels than these, and each was judged by a threshold chosen on validation images."]
    names = manifest.decision.get("enrolled")
    if not names:
        return [
            f"It always names one of its {len(manifest.labels)} classes, also for an image that shows none of them."
        ]
    listed = ", ".join(_plain(str(name)) for name in names)
    return [
        f"Enrolled after training, from a few images each, without training: {listed}. An image goes to one of them "
        "if that class' mean is the nearest (docs/embeddings.md); how often that is right has not been measured.",
        "An image that is like none of the classes is marked unknown (`abstain`); many such images still pass.",
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
    """Text that Markdown shows as it is: class names come from folders and may hold anything."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return "".join("\\" + sign if sign in "\\`*[]|#" else sign for sign in text)
