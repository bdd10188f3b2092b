"""Evaluation results of a model: metrics on one split of a dataset, and for each class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.interval import Interval
from keensight.core.predictions import Abstention, Calibration, Predictions
from keensight.core.records import Dataset, LabelSet, Sample
from keensight.core.task import Task
from keensight.core.training_overlap import LeftOut


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One row of the classification report; each score is between 0 and 1."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    auroc: float | None = None
    """Area under the ROC curve of this class against the rest; None if all images have this class, or none has."""
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    """Of ``precision``, ``recall``, ``f1`` and ``auroc``, where they are defined."""


@dataclass(frozen=True, slots=True)
class LabelScore:
    """How well one label of a multi-label set is predicted; precision, recall and F1 are in :class:`ClassScore`."""

    label: str
    threshold: float
    """The label is predicted if its probability is at least this."""
    base_rate: float
    """Fraction of the images with this label (prevalence): the average precision of random guessing."""
    average_precision: float | None
    """None if no image has the label."""
    auroc: float | None
    """Area under the ROC curve; None if all images have the label, or none has."""
    counts: tuple[int, int, int, int]
    """True negatives, false positives, false negatives, true positives."""


@dataclass(frozen=True, slots=True)
class MultilabelScores:
    """Additional results of a multi-label model."""

    mean_average_precision: Interval
    """Macro mean over the labels that occur, with a bootstrap interval over images (Wilson's if it is 1)."""
    micro_f1: Interval
    """F1 of all (image, label) pairs together (micro), with an interval from the same bootstrap."""
    hamming_loss: float
    """Fraction of all (image, label) pairs that are wrong (Hamming loss)."""
    per_label: tuple[LabelScore, ...]
    together: tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]
    """Number of images with both of two labels, true and predicted; with one label on the diagonal."""


@dataclass(frozen=True, slots=True)
class BinaryScores:
    """Sensitivity, specificity, PPV and NPV of two classes, each image counted as its most probable class.

    Each is a recall or precision of :class:`ClassScore` under the name that medicine and inspection know it by, with
    the same confidence interval; the other class as the positive one swaps sensitivity with specificity and PPV with
    NPV. None where there is no image to take it on.
    """

    positive: str
    """The class to be detected."""
    negative: str
    reason: str
    """Why this class is the positive one, in words."""
    counts: tuple[int, int, int, int]
    """True negatives, false positives, false negatives, true positives."""
    sensitivity: Interval | None
    """Fraction of the positive images that are predicted positive."""
    specificity: Interval | None
    """Fraction of the negative images that are predicted negative."""
    ppv: Interval | None
    """Positive predictive value: fraction of the positive predictions that are right."""
    npv: Interval | None
    """Negative predictive value: fraction of the negative predictions that are right."""

    @classmethod
    def of(
        cls, labels: LabelSet, per_class: tuple[ClassScore, ...], confusion: tuple[tuple[int, ...], ...]
    ) -> BinaryScores | None:
        """From the figures of two classes; None for more classes, several labels and runs without intervals.

        Positive is the class beside one that is called normal (:meth:`LabelSet.normal`); where no name decides it, the
        rarer one; of two equally frequent ones the second, as in scikit-learn.
        """
        if len(confusion) != 2 or not any(row.intervals for row in per_class):
            return None
        normal, (first, second) = labels.normal(), (row.support for row in per_class)
        yes, reason = int(second <= first), "the rarer class"
        if len(normal) == 1:
            yes, reason = 1 - labels.names.index(normal[0]), f"the other class is called {normal[0]}"
        elif first == second:
            reason = "the second of two equally frequent classes"
        no = 1 - yes
        return cls(
            positive=labels.names[yes], negative=labels.names[no], reason=reason,
            counts=(confusion[no][no], confusion[no][yes], confusion[yes][no], confusion[yes][yes]),
            sensitivity=per_class[yes].intervals.get("recall"), specificity=per_class[no].intervals.get("recall"),
            ppv=per_class[yes].intervals.get("precision"), npv=per_class[no].intervals.get("precision"),
        )  # fmt: skip

    def rows(self) -> tuple[tuple[str, Interval, int, int, str], ...]:
        """Of each that there is: name, value, and how many of how many images did what."""
        return tuple((name, one, hits, n, words) for name, one, hits, n, words in self._all() if one is not None)

    def _all(self) -> tuple[tuple[str, Interval | None, int, int, str], ...]:
        tn, fp, fn, tp = self.counts
        return (
            ("sensitivity", self.sensitivity, tp, tp + fn, f"images of {self.positive} were detected"),
            ("specificity", self.specificity, tn, tn + fp, f"images of {self.negative} were predicted as such"),
            ("PPV", self.ppv, tp, tp + fp, f"predictions of {self.positive} were right"),
            ("NPV", self.npv, tn, tn + fn, f"predictions of {self.negative} were right"),
        )

    def plain(self) -> dict[str, Any]:
        """As plain values, for JSON: each with its interval and number of images, null where there is none."""
        found: dict[str, Any] = {"positive": self.positive}
        for name, one, _, n, _ in self._all():
            key = name.lower()
            found |= {key: one and one.value, f"{key}_ci": one and [one.low, one.high], f"{key}_n": n}
        return found


@dataclass(frozen=True, slots=True)
class Caveat:
    """One reason to doubt a result."""

    kind: str
    """Stable name: ``leak``, ``validation-leak``, ``likely-groups``, ``few-images``, ``absent-in-test``,
    ``validation-differs``, ``label-conflict``, ``guessing``, or that of a finding of the audit."""
    message: str
    """One sentence: what the problem is, and how it affects the result."""
    advice: str
    """What to do; empty if the message already says it."""

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".rstrip()

    def plain(self) -> dict[str, str]:
        """Return it as plain values, for JSON."""
        return {"kind": self.kind, "message": self.message, "advice": self.advice}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Evaluation results of a model on one split of a dataset.

    Of a multi-label model ``accuracy`` is the subset accuracy (every label of an image right), ``loss`` the mean
    binary cross-entropy over images and labels, ``ece`` that of all (image, label) pairs; ``top_k`` and ``confusion``
    are empty.

    Examples:
        >>> evaluation = ks.evaluate(run)
        >>> evaluation.n, evaluation.accuracy.value > 0.8, len(evaluation.confusion)
        (17, True, 2)
    """

    part: str
    n: int
    labels: LabelSet
    loss: float
    """Mean cross-entropy in nats."""
    accuracy: Interval
    top_k: Mapping[str, float]
    """Top-k accuracy: k (as text) to the fraction of images whose true class is among the k most
    probable."""
    macro_f1: float
    weighted_f1: float
    ece: float
    """Expected calibration error, 15 equal-width bins of confidence (Guo et al. 2017)."""
    per_class: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Counts; row = true class, column = predicted class."""
    baseline_accuracy: float
    """Accuracy of always predicting the most common class (or set of labels) of this split."""
    seconds: float = 0.0
    seen: int = 0
    """Number of images with a duplicate or near-duplicate in another split."""
    cleaned: Interval | None = None
    """Accuracy without these; None if there are none, or no others."""
    multilabel: MultilabelScores | None = None
    """Results that only a multi-label model has; else None."""
    brier: float | None = None
    """Mean Brier score, 0 to 2: the squared distance of the probabilities from the truth; None in older runs."""
    auroc: float | None = None
    """Mean over the classes of the area under the ROC curve, each against the rest (macro)."""
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    """Of ``loss``, ``brier``, ``ece``, ``macro_f1``, ``weighted_f1`` and ``auroc``, each with its method; with a
    temperature other than 1 also ``loss_change``: the loss with the temperature minus the loss without it, on the same
    images."""
    calibration: Calibration | None = None
    """The effect of the temperature; None in older runs and for a multi-label model."""
    abstention: Abstention | None = None
    """The effect of the decision rule; None in older runs and for a multi-label model."""
    caveats: tuple[Caveat, ...] = ()
    """Reasons to doubt the result."""
    left_out: LeftOut | None = field(default=None, compare=False, repr=False)
    """For a new source: the images that the model was trained on, which were not evaluated; not saved."""

    def __repr__(self) -> str:
        right = self.accuracy
        told = f"accuracy {right.value:.4f} (95% CI {right.low:.4f} to {right.high:.4f}, n = {self.n:,})"
        return f"<Evaluation on the {self.part} set: {told}>"

    @property
    def task(self) -> Task:
        """Whether it is of a model of one class an image, or of any number of labels."""
        return Task.MULTICLASS if self.multilabel is None else Task.MULTILABEL

    @property
    def all_seen(self) -> bool:
        """Whether all images have a duplicate in another split: the result then says nothing about new images."""
        return self.seen >= self.n

    @property
    def binary(self) -> BinaryScores | None:
        """Sensitivity, specificity, PPV and NPV of two classes; None for more classes and for several labels."""
        return BinaryScores.of(self.labels, self.per_class, self.confusion)

    def weak_classes(self) -> tuple[ClassScore, ...]:
        """Classes whose whole confidence interval of the F1 is below the mean F1 of all classes, lowest F1 first.

        Of two classes none: one is always below the mean of both.
        """
        if len(self.per_class) < 3:
            return ()
        weak = [row for row in self.per_class if "f1" in row.intervals and row.intervals["f1"].high < self.macro_f1]
        return tuple(sorted(weak, key=lambda row: row.f1))

    def headline(self) -> dict[str, Any]:
        """The main metrics as plain values, for JSON and for a bundle's manifest."""
        cleaned: dict[str, Any] = {}
        if self.seen:
            kept = self.cleaned
            cleaned = {
                "cleaned_n": self.n - self.seen,
                "cleaned_accuracy": None if kept is None else kept.value,
                "cleaned_accuracy_ci": None if kept is None else [kept.low, kept.high],
            }
        found: dict[str, Any] = {
            "n": self.n,
            "loss": self.loss,
            "accuracy": self.accuracy.value,
            "accuracy_ci": [self.accuracy.low, self.accuracy.high],
            "baseline_accuracy": self.baseline_accuracy,
            "macro_f1": self.macro_f1,
            "weighted_f1": self.weighted_f1,
            "ece": self.ece,
            "top_k": dict(self.top_k),
            **({} if self.binary is None else self.binary.plain()),
            **cleaned,
            **self._certainty(),
            "caveats": [one.plain() for one in self.caveats],
        }
        if self.multilabel is not None:
            area, f1 = self.multilabel.mean_average_precision, self.multilabel.micro_f1
            found |= {
                "map": area.value,
                "map_ci": [area.low, area.high],
                "micro_f1": f1.value,
                "micro_f1_ci": [f1.low, f1.high],
                "hamming_loss": self.multilabel.hamming_loss,
            }
        return found

    def _certainty(self) -> dict[str, Any]:
        """The uncertainty of the metrics, and of the predictions."""
        found: dict[str, Any] = {name: getattr(self, name) for name in ("brier", "auroc") if name in self.intervals}
        found |= {f"{name}_ci": [one.low, one.high] for name, one in sorted(self.intervals.items())}
        if self.calibration is not None:
            before = self.calibration
            found |= {"temperature": before.temperature, "ece_before": before.ece_before,
                      "brier_before": before.brier_before, "loss_before": before.loss_before}  # fmt: skip
        if self.abstention is not None:
            rule, right, held = self.abstention, self.abstention.accuracy, self.abstention.set_coverage
            found |= {
                "answered": rule.answered.value,
                "answered_accuracy": None if right is None else right.value,
                "answered_accuracy_ci": None if right is None else [right.low, right.high],
                "unlike": None if rule.unlike is None else rule.unlike.value,
                "aurc": rule.aurc,
                "set_coverage": None if held is None else held.value,
                "set_coverage_ci": None if held is None else [held.low, held.high],
                "set_size": rule.set_size,
            }
        return found


@dataclass(frozen=True, slots=True, repr=False)
class Evaluated(Evaluation):
    """An evaluation together with the predictions it was computed from, for plots and tables. A file contains the
    metrics only.

    Its row ``i`` is ``dataset.samples[predictions.indices[i]]``, whose true label is ``predictions.true(i)``.

    Examples:
        >>> evaluation = ks.evaluate(run)
        >>> len(evaluation.predictions) == len(evaluation.samples) == evaluation.n
        True
    """

    predictions: Predictions = field(kw_only=True, compare=False, repr=False)
    """The predictions that the metrics were computed from, with their ``indices`` and ``truth``."""
    dataset: Dataset = field(kw_only=True, compare=False, repr=False)
    """The image set."""

    @classmethod
    def of(cls, figures: Evaluation, predictions: Predictions, dataset: Dataset) -> Evaluated:
        """Combine metrics with the predictions and the image set that they were computed from."""
        plain = {one.name: getattr(figures, one.name) for one in fields(Evaluation)}
        return cls(**plain, predictions=predictions, dataset=dataset)

    @property
    def figures(self) -> Evaluation:
        """The evaluation without predictions."""
        return Evaluation(**{one.name: getattr(self, one.name) for one in fields(Evaluation)})

    @property
    def rows(self) -> NDArray[np.int64]:
        """Indices of the evaluated images in ``dataset.samples``, shape (n,)."""
        assert self.predictions.indices is not None
        return self.predictions.indices

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The evaluated images, in the order of the predictions."""
        return tuple(self.dataset.samples[int(row)] for row in self.rows)


@dataclass(frozen=True, slots=True)
class SliceScore:
    """Results of a model on the images with one value, or a range of values, of one column."""

    column: str
    """A metadata column or an image property."""
    value: str
    """The value, or the range of a numeric column."""
    n: int
    accuracy: Interval
    rest: float
    """Accuracy on all other images, 0 to 1."""
    expected: float
    """Accuracy expected from its class mix alone: each class's accuracy, weighted as in the slice."""
    p: float
    """One-sided p-value of "no worse than the rest"."""
    adjusted: float
    """The same, corrected for the number of slices tested (Holm)."""
    weak: bool
    """The corrected p-value is at most ``Slices.alpha``."""


@dataclass(frozen=True, slots=True)
class SmallSlices:
    """Values of a column with too few images to test."""

    column: str
    values: int
    """Number of values."""
    images: int
    """Number of images in all."""
    examples: tuple[str, ...]
    """The most common of them, at most five."""


@dataclass(frozen=True, slots=True)
class Slices:
    """All slices of a split that were tested."""

    part: str
    n: int
    accuracy: float
    scores: tuple[SliceScore, ...]
    """In column order."""
    small: tuple[SmallSlices, ...]
    smallest: int
    """Minimum number of images in a slice."""
    alpha: float
    """Significance level: maximum probability of reporting a weak slice where there is none."""
    groups: int | None
    """Number of image groups, or None if the images are independent."""
    method: str
    """How the slices were tested, in words."""

    def weakest(self) -> tuple[SliceScore, ...]:
        """Slices that are significantly worse than the rest, the lowest accuracy first."""
        return tuple(sorted((score for score in self.scores if score.weak), key=lambda score: score.accuracy.value))


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """One class against all others, at a probability threshold.

    The intervals are Wilson's; where images come in groups (patients, tracks), at the effective number of images.
    """

    label: str
    part: str
    """The split that the images are from: ``val``, ``test``, ..."""
    n: int
    threshold: float
    """An image is flagged if the probability of ``label`` is at least this."""
    target: str
    """What the threshold was chosen for, in words."""
    reached: bool
    """Whether the target is reached with the required confidence; if not, the threshold is the closest to it."""
    counts: tuple[int, int, int, int]
    """True negatives, false positives, false negatives, true positives."""
    sensitivity: Interval | None
    """Sensitivity (recall): fraction of the images of ``label`` that are flagged; None: there are none."""
    specificity: Interval | None
    """Specificity: fraction of the other images that are not flagged; None: there are none."""
    precision: Interval | None
    """Positive predictive value (precision) with this class mix; None: no image is flagged."""
    negative_value: Interval | None
    """Negative predictive value with this class mix; None: all images are flagged."""
    flagged: Interval
    """Fraction of all images that are flagged."""
    auroc: Interval | None
    """Area under the ROC curve, independent of the threshold; None: one of the two classes is missing."""
    curve: tuple[tuple[float, float, float], ...]
    """The ROC curve as rows of threshold, false positive rate, true positive rate; from none to all flagged."""

    def sentence(self) -> str:
        """Describe the operating point in one sentence."""
        told = [
            f"{name} {share}"
            for name, share in (
                ("sensitivity", self.sensitivity), ("specificity", self.specificity), ("precision", self.precision)
            ) if share is not None
        ]  # fmt: skip
        return f"{self.label} from {self.threshold:.3f} on, {self.n:,} images of {self.part}: " + ", ".join(told)
