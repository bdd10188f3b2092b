"""How good a bundle is: the figures of one part of a dataset, and of each class."""

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
    """Area under the ROC curve of this class against the rest; None where all images are of it, or none."""
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    """Of ``precision``, ``recall``, ``f1`` and ``auroc``, where there are images to take them on."""


@dataclass(frozen=True, slots=True)
class LabelScore:
    """How well one label of a multi-label set is told; precision, recall and F1 stand in :class:`ClassScore`."""

    label: str
    threshold: float
    """Probability from which on the label counts as there."""
    base_rate: float
    """Share of the images that have it: the average precision that guessing would reach."""
    average_precision: float | None
    """None where no image has the label."""
    auroc: float | None
    """Area under the ROC curve; None where all images have the label, or none."""
    counts: tuple[int, int, int, int]
    """Images rightly without it, wrongly given it, wrongly without it, rightly given it (tn, fp, fn, tp)."""


@dataclass(frozen=True, slots=True)
class MultilabelScores:
    """What an evaluation of a multi-label model adds."""

    mean_average_precision: Interval
    """Mean over the labels that occur (macro); the interval is of a bootstrap over images."""
    micro_f1: Interval
    """F1 of all (image, label) pairs together; the interval is of the same bootstrap."""
    hamming_loss: float
    """Share of all (image, label) pairs that are wrong."""
    per_label: tuple[LabelScore, ...]
    together: tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]
    """How many images have both of two labels, as they are and as predicted; on the diagonal, one label."""


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
    """One reason why a result may be wrong."""

    kind: str
    """Stable name: ``leak``, ``likely-groups``, ``few-images``, ``absent-in-test``, ``validation-differs``,
    ``label-conflict``, or that of a finding of the audit."""
    message: str
    """One sentence: what it is, and what it does to the result."""
    advice: str
    """What to do; empty where the message says so."""

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".rstrip()

    def plain(self) -> dict[str, str]:
        """As plain values, for JSON."""
        return {"kind": self.kind, "message": self.message, "advice": self.advice}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good a bundle is on one part of a dataset.

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
    """k (as text) to the share of images whose true class is among the k most probable."""
    macro_f1: float
    weighted_f1: float
    ece: float
    """Expected calibration error, 15 equal-width bins of confidence (Guo et al. 2017)."""
    per_class: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Counts; row = true class, column = predicted class."""
    baseline_accuracy: float
    """What always naming the most frequent class (or set of labels) of this part would reach."""
    seconds: float = 0.0
    seen: int = 0
    """How many of the images have a copy or near copy in another part."""
    cleaned: Interval | None = None
    """Accuracy without these; None where there are none, or nothing else."""
    multilabel: MultilabelScores | None = None
    """What only a multi-label model has; else None."""
    brier: float | None = None
    """Mean Brier score, 0 to 2: the squared distance of the probabilities from the truth; None in older runs."""
    auroc: float | None = None
    """Mean over the classes of the area under the ROC curve, each against the rest (macro)."""
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    """Of ``loss``, ``brier``, ``ece``, ``macro_f1``, ``weighted_f1`` and ``auroc``, each with its method; and where a
    temperature other than 1 was used, ``loss_change``: the loss with it less that without, of the same images."""
    calibration: Calibration | None = None
    """What the temperature did; None in older runs and of a multi-label model."""
    abstention: Abstention | None = None
    """What the rule for answers did; None in older runs and of a multi-label model."""
    caveats: tuple[Caveat, ...] = ()
    """Whatever makes the result doubtful."""
    left_out: LeftOut | None = field(default=None, compare=False, repr=False)
    """On a further source: images that the model was trained on, which were not measured; not saved."""

    def __repr__(self) -> str:
        right = self.accuracy
        told = f"accuracy {right.value:.4f} (95 % interval {right.low:.4f} to {right.high:.4f}, n = {self.n:,})"
        return f"<Evaluation of the {self.part} part: {told}>"

    @property
    def task(self) -> Task:
        """Whether it is of a model of one class an image, or of any number of labels."""
        return Task.MULTICLASS if self.multilabel is None else Task.MULTILABEL

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
        """The figures that stand for the whole, as plain values: for JSON and for a bundle's manifest."""
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
        """How sure the figures are, and the answers."""
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
    """An evaluation together with what it was computed from, for pictures and tables; a file holds the figures alone.

    Its row ``i`` is ``dataset.samples[predictions.indices[i]]``, whose true label is ``predictions.true(i)``.

    Examples:
        >>> evaluation = ks.evaluate(run)
        >>> len(evaluation.predictions) == len(evaluation.samples) == evaluation.n
        True
    """

    predictions: Predictions = field(kw_only=True, compare=False, repr=False)
    """The probabilities behind the figures, with their ``indices`` and ``truth``."""
    dataset: Dataset = field(kw_only=True, compare=False, repr=False)
    """The image set that they are of."""

    @classmethod
    def of(cls, figures: Evaluation, predictions: Predictions, dataset: Dataset) -> Evaluated:
        """Figures with the predictions and the image set that they were computed from."""
        plain = {one.name: getattr(figures, one.name) for one in fields(Evaluation)}
        return cls(**plain, predictions=predictions, dataset=dataset)

    @property
    def figures(self) -> Evaluation:
        """The evaluation alone."""
        return Evaluation(**{one.name: getattr(self, one.name) for one in fields(Evaluation)})

    @property
    def rows(self) -> NDArray[np.int64]:
        """Indices of the measured images in ``dataset.samples``, shape (n,)."""
        assert self.predictions.indices is not None
        return self.predictions.indices

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The measured images, in the order of the predictions."""
        return tuple(self.dataset.samples[int(row)] for row in self.rows)


@dataclass(frozen=True, slots=True)
class SliceScore:
    """How good a model is on the images that share one value, or a range of values, of one column."""

    column: str
    """Name of a metadata column or of an image property."""
    value: str
    """The value, or the range of a numeric column."""
    n: int
    accuracy: Interval
    rest: float
    """Accuracy on all other images, 0 to 1."""
    expected: float
    """Accuracy that its mix of classes alone would give: each class' accuracy, weighted as in the slice."""
    p: float
    """One-sided p-value of "no worse than the rest"."""
    adjusted: float
    """The same, corrected for all slices looked at (Holm)."""
    weak: bool
    """The corrected p-value is at most ``Slices.alpha``."""


@dataclass(frozen=True, slots=True)
class SmallSlices:
    """Values of a column that too few images have to say anything of them."""

    column: str
    values: int
    """How many values."""
    images: int
    """How many images in all."""
    examples: tuple[str, ...]
    """The largest of them, five at most."""


@dataclass(frozen=True, slots=True)
class Slices:
    """Every slice of a part that was looked at."""

    part: str
    n: int
    accuracy: float
    scores: tuple[SliceScore, ...]
    """In the order of the columns."""
    small: tuple[SmallSlices, ...]
    smallest: int
    """Fewest images of a slice."""
    alpha: float
    """Chance, at most, that any slice is called weak where none is."""
    groups: int | None
    """How many groups of images there are, or None where each image stands for itself."""
    method: str
    """How the slices were tested, in words."""

    def weakest(self) -> tuple[SliceScore, ...]:
        """Slices that are weak beyond chance, the lowest accuracy first."""
        return tuple(sorted((score for score in self.scores if score.weak), key=lambda score: score.accuracy.value))


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """One class against all others, flagged from a probability on.

    The intervals are Wilson's; where images come in groups (patients, tracks), at the effective number of images.
    """

    label: str
    part: str
    """What the images are: ``val``, ``test``, ..."""
    n: int
    threshold: float
    """An image is flagged where the probability of ``label`` is at least this."""
    target: str
    """What the threshold was chosen for, in words."""
    reached: bool
    """Whether the target is held with the confidence asked for; else the threshold is the nearest to it."""
    counts: tuple[int, int, int, int]
    """Images rightly not flagged, wrongly flagged, wrongly not flagged, rightly flagged (tn, fp, fn, tp)."""
    sensitivity: Interval | None
    """Share of the images of ``label`` that are flagged (recall); None: there are none."""
    specificity: Interval | None
    """Share of the other images that are not flagged; None: there are none."""
    precision: Interval | None
    """Share of the flagged images that are of ``label``, in the mix of classes here; None: none is flagged."""
    negative_value: Interval | None
    """Share of the images not flagged that are not of ``label``; None: all are flagged."""
    flagged: Interval
    """Share of all images that are flagged."""
    auroc: Interval | None
    """Area under the ROC curve, which needs no threshold; None: only one side is there."""
    curve: tuple[tuple[float, float, float], ...]
    """The ROC curve: threshold, share of the others flagged, share of ``label`` flagged; from none to all flagged."""

    def sentence(self) -> str:
        """The point in one sentence."""
        told = [
            f"{name} {share}"
            for name, share in (
                ("sensitivity", self.sensitivity), ("specificity", self.specificity), ("precision", self.precision)
            ) if share is not None
        ]  # fmt: skip
        return f"{self.label} from {self.threshold:.3f} on, {self.n:,} images of {self.part}: " + ", ".join(told)
