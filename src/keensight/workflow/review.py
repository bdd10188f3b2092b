"""Review label suspects and mistakes one by one; each decision is saved immediately."""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keensight.core.evaluation import Evaluated
from keensight.core.labels import Correction, LabelSuspects, Suspect, read_corrections, write_corrections
from keensight.core.progress import Progress
from keensight.core.records import Dataset
from keensight.core.task import Task
from keensight.errors import DataError, UsageError
from keensight.workflow.evaluate import tested
from keensight.workflow.label_errors import check_labels
from keensight.workflow.progress import shown
from keensight.workflow.run_images import Unchanged, config_of, with_images
from keensight.workflow.steps import Source

if TYPE_CHECKING:
    from keensight.store.run import Run

_SIDE = 900
"""Longer side of the image on the page, in pixels."""


@dataclass(frozen=True, slots=True)
class Question:
    """One image whose label is to be reviewed."""

    index: int
    """Index into ``Dataset.samples``."""
    path: str
    digest: str
    part: str
    given: str
    suggested: str
    given_probability: float
    """Probability of the given class, 0 to 1."""
    probability: float
    """Probability of the suggested class."""
    reason: str
    """``suspect``, ``doubtful`` (for review only) or ``mistake``, the last only in the test set."""

    @property
    def key(self) -> str:
        """Identifies the image: its digest, or its path if it has none."""
        return self.digest or self.path


class ReviewSession:
    """The questions of one review and the file of decisions.

    Args:
        name: Name of the run.
        data: The images, with a reader.
        questions: The most suspicious first.
        out: The table; existing decisions are kept.
        applied: Corrections already applied to the data: they are included, so that the file replaces the earlier one.

    Raises:
        DataError: the table cannot be read.
    """

    def __init__(
        self, name: str, dataset: Dataset, questions: Sequence[Question], out: Path, applied: Sequence[Correction] = ()
    ) -> None:
        self.name, self.labels, self.out = name, dataset.labels.names, out
        self._data, self._questions, self._lock = dataset, questions, threading.Lock()
        # The label in the source, which the corrections refer to, if an earlier correction changed it.
        self._source_label = {(c.digest or c.path, c.label): c.given for c in applied if c.action == "relabel"}
        known = read_corrections(out) if out.is_file() else applied
        self._decided = {(c.digest or c.path, c.given): c for c in known}

    def state(self) -> dict[str, Any]:
        """The page's contents as plain values."""
        return {
            "name": self.name,
            "out": self.out.name,
            "labels": list(self.labels),
            "questions": [self._described(question) for question in self._questions],
        }

    def decide(self, number: int, action: str, label: str = "") -> dict[str, Any]:
        """Record a decision and save the file.

        Args:
            number: Number of the question.
            action: ``keep`` (the label is right), ``relabel``, ``drop`` or ``undo``.
            label: The new class, for ``relabel``.

        Returns:
            The updated question.

        Raises:
            UsageError: there is no such question, action or class.
            StoreError: the file cannot be written; the decision is not recorded.
        """
        if not 0 <= number < len(self._questions):
            raise UsageError(f"there is no question {number}", f"there are {len(self._questions)}")
        question = self._questions[number]
        with self._lock:
            decided = dict(self._decided)
            if action == "undo":
                decided.pop(self._place(question), None)
            else:
                decided[self._place(question)] = self._correction(question, action, label)
            write_corrections(self.out, decided.values())
            self._decided = decided
        return self._described(question)

    def picture(self, number: int) -> bytes | None:
        """The image of a question as PNG or JPEG, upright and of moderate size; None: not available."""
        from keensight.show.thumbnails import encode, thumbnail

        if not 0 <= number < len(self._questions):
            return None
        image = thumbnail(self._data, self._questions[number].index, _SIDE)
        return None if image is None else encode(image)

    def counts(self) -> dict[str, int]:
        """Number of questions, and of each kind of decision."""
        found = Counter(c.action for q in self._questions if (c := self._decided.get(self._place(q))))
        return {
            "questions": len(self._questions),
            "kept": found["keep"],
            "relabelled": found["relabel"],
            "dropped": found["drop"],
        }

    def _place(self, question: Question) -> tuple[str, str]:
        return question.key, self._source_label.get((question.key, question.given), question.given)

    def _correction(self, question: Question, action: str, label: str) -> Correction:
        given = self._place(question)[1]
        if action == "drop":
            return Correction(question.path, question.digest, given, "drop", "")
        if action not in ("keep", "relabel"):
            raise UsageError(f"there is no action {action!r}", "available: keep, relabel, drop, undo")
        wanted = question.given if action == "keep" else label
        if wanted not in self.labels:
            raise UsageError(f"{label!r} is not one of the classes", "choose one from the list")
        return Correction(question.path, question.digest, given, "keep" if wanted == given else "relabel", wanted)

    def _described(self, question: Question) -> dict[str, Any]:
        decision = self._decided.get(self._place(question))
        return {
            "path": question.path,
            "part": question.part,
            "given": question.given,
            "suggested": question.suggested,
            "given_probability": round(question.given_probability, 4),
            "probability": round(question.probability, 4),
            "reason": question.reason,
            "decision": None if decision is None else {"action": decision.action, "label": decision.label},
        }


def review(
    run: str | Path | Run,
    source: Source | None = None,
    *,
    out: str | Path | None = None,
    port: int = 0,
    browser: bool = True,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Open a local page to review label suspects and mistakes, and wait until it is closed.

    Args:
        run: A finished run.
        source: Its image set, for large images and if the run has no label check; None: the run's thumbnails.
        out: The CSV file of decisions; resumed if it exists; None: ``corrections.csv`` in the run.
        port: Port of the page; 0: any free one.
        browser: Open it in the browser.
        progress: Where to report.

    Returns:
        The file's path, and the number of each kind of decision.

    Raises:
        DataError: there is nothing to review, or the source is not that of the run.
        StoreError: the run is not finished.
        UsageError: the port is taken.

    Examples:
        >>> ks.review(run, browser=False)  # doctest: +SKIP
    """
    from keensight.show.review import ReviewServer

    progress = shown(progress)
    session = open_session(run, source, out=out, progress=progress)
    with ReviewServer(session, port) as server:
        progress.say(f"open {server.url} to review")
        progress.say(f"decisions go to {session.out}; close with the page's button or Ctrl-C")
        server.run(open_browser=browser)
    return {"corrections": str(session.out), **session.counts()}


def open_session(
    run: str | Path | Run, source: Source | None = None, *, out: str | Path | None = None, progress: Progress
) -> ReviewSession:
    """The questions that a run raises (see :func:`review`)."""
    handle = tested(run)
    _refuse_unreviewable(handle)
    dataset = _with_images(handle, source, progress)
    suspects = handle.label_suspects
    if suspects is None and source is not None:
        suspects = _checked(handle, dataset, progress)
    elif suspects is None:
        progress.say("this run has no label check; to run one, give its image set: keensight review RUN SOURCE")
    questions = _questions(handle, dataset, suspects)
    if not questions:
        raise DataError(
            f"nothing to review in {handle.path}: no suspicious labels and no misclassified test images",
            "no action is needed",
        )
    table = handle.path / "corrections.csv" if out is None else Path(out)
    return ReviewSession(handle.record.name, dataset, questions, table, handle.applied_corrections)


def _refuse_unreviewable(run: Run) -> None:
    """Refuse a run whose images do not have one class each.

    Raises:
        DataError: it is an anomaly detector's, or a multi-label one.
    """
    if run.record.results.get("task") == Task.ANOMALY:
        raise DataError(
            f"{run.path} is the run of an anomaly detector: it has no label check and cannot be reviewed",
            f"its mistakes are in {run.path / 'report.html'}",
        )
    if run.dataset.task == Task.MULTILABEL:
        listed = "" if run.label_suspects is None else f"the suspicious labels in {run.path / 'suspects.csv'} and "
        raise DataError(
            f"{run.path} is a multi-label run, but a review assigns one class per image",
            f"check {listed}the mistakes in {run.path / 'report.html'}, and correct the table by hand",
        )


def _with_images(run: Run, source: Source | None, progress: Progress) -> Dataset:
    """The run's dataset, with images from the source, or the run's thumbnails."""
    from keensight.store.pictures import KeptPictures

    if source is None:
        return dataclasses.replace(run.dataset, reader=KeptPictures(run.pictures_path))
    return with_images(run, source, progress)


def _checked(run: Run, dataset: Dataset, progress: Progress) -> LabelSuspects:
    """A label check that training skipped, saved in the run."""
    evaluation = Evaluated.of(run.evaluation, run.predictions, dataset)
    here = dataset.reader.paths if isinstance(dataset.reader, Unchanged) else frozenset()
    split = run.split
    train, val, test = (
        tuple(i for i in part if dataset.samples[i].path in here) for part in (split.train, split.val, split.test)
    )
    left = dataclasses.replace(split, train=train, val=val, test=test)
    found = check_labels(
        dataset, left, config=config_of(run), audit=run.audit, evaluation=evaluation, progress=progress
    )
    run.save_label_suspects(found)
    progress.say(found.sentence())
    return found


def _questions(run: Run, dataset: Dataset, suspects: LabelSuspects | None) -> list[Question]:
    """Suspects, the most suspicious first, mistakes in the test set, the most confident first, then doubtful labels."""
    from keensight.show.misclassified import find_mistakes

    places = {(sample.path, sample.digest, sample.label): i for i, sample in enumerate(dataset.samples)}
    found: dict[int, Question] = {}
    _ask(found, suspects.suspects if suspects else (), places, "suspect")
    evaluation = Evaluated.of(run.evaluation, run.predictions, dataset)
    row_of = {int(index): row for row, index in enumerate(evaluation.rows)}
    for m in find_mistakes(evaluation):
        digest = dataset.samples[m.index].digest
        given = evaluation.predictions.probabilities[row_of[m.index], dataset.labels.names.index(m.truth)]
        question = Question(
            m.index, m.path, digest, evaluation.part, m.truth, m.predicted, float(given), m.confidence, "mistake"
        )
        found.setdefault(m.index, question)
    _ask(found, suspects.doubtful if suspects else (), places, "doubtful")
    distinct: dict[tuple[str, str], Question] = {}
    for question in found.values():
        distinct.setdefault((question.key, question.given), question)
    return list(distinct.values())


def _ask(
    found: dict[int, Question], labels: Iterable[Suspect], places: dict[tuple[str, str, str], int], reason: str
) -> None:
    """Add a question for each available image without one."""
    for s in labels:
        index = places.get((s.path, s.digest, s.given))
        if index is not None:
            question = Question(index, s.path, s.digest, s.part, s.given, s.suggested, s.score, s.probability, reason)
            found.setdefault(index, question)
