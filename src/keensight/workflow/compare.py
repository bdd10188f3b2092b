"""Compare two models on the same images, which neither was trained on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np

from keensight.core.comparison import Change, Comparison
from keensight.core.evaluation import Evaluated
from keensight.core.options import SourceOptions, with_options
from keensight.core.progress import Progress
from keensight.core.records import split_digest
from keensight.core.training_overlap import LeftOut
from keensight.errors import DataError
from keensight.workflow.evaluate import evaluate, finished, on_source
from keensight.workflow.progress import shown
from keensight.workflow.steps import Source, open

if TYPE_CHECKING:
    from keensight.store.run import Run

_GROUPS = 10
_FEW_GROUPS = (
    f"images come in fewer than {_GROUPS} groups, too few to resample: the p-value and intervals treat images as "
    f"independent, so they are too confident"
)


@with_options(SourceOptions)
def compare(
    first: str | Path | Run,
    second: str | Path | Run,
    source: Source | None = None,
    *,
    out: str | Path | None = None,
    progress: Progress | None = None,
    **options: Unpack[SourceOptions],
) -> Comparison:
    """Compare two models with a paired test on images that neither was trained on.

    Without a source, the test images that two runs have in common (by digest) are used. With one, its images (the test
    set, if it has splits). Images that one of the two was trained or validated on are excluded, as in :func:`evaluate`;
    notes list what could not be checked.

    Args:
        first: A run or a bundle.
        second: Another one with the same classes.
        source: An image set, or None.
        out: Folder for ``compare.html`` with the images that changed; None: none is written.
        progress: Where to report.
        **options: How ``source`` is read (see :func:`open`); a multi-label set is refused.

    Raises:
        DataError: the classes differ, or no image is left that neither has learned from.
        StoreError: without a source, one of the two is no finished run.

    Examples:
        >>> found = ks.compare("runs/first", "runs/second")
        >>> found.n
        17
    """
    progress = shown(progress)
    models = (first, second)
    if source is None:
        runs = [finished(model) for model in models]
        evaluations = [_on_test_set(run) for run in runs]
        seen = runs[0].learned_digests() | runs[1].learned_digests()
        notes = _other_splits(runs)
    else:
        dataset = open(source, progress=progress, **options)
        evaluations = [_classified(on_source(model, dataset, None, "test", progress)) for model in models]
        seen, notes = frozenset(), ()
    names = (_name(first), _name(second))
    _check_labels(names, evaluations)
    places = [_places(evaluation) for evaluation in evaluations]
    common = [digest for digest in places[0] if digest in places[1]]
    kept = [digest for digest in common if digest not in seen]
    unseen = _left_out(evaluations)
    left_out = len(set(places[0]) | set(places[1])) - len(kept) if source is None else len(unseen.rows)
    if not kept:
        raise DataError(
            "there are no images that both models can be evaluated on and neither was trained on",
            "train both on the same split (the same --seed), or give other labeled images as SOURCE",
        )
    found = _compared(names, evaluations, places, kept)
    found = dataclasses.replace(
        found, left_out=left_out, left_out_by=unseen.counts if source is not None else {},
        notes=(*found.notes, *notes, *unseen.sentences()),
    )  # fmt: skip
    if out is not None:
        _write_page(found, evaluations, Path(out))
    return found


def _other_splits(runs: list[Run]) -> tuple[str, ...]:
    """A note if two runs have different splits, so that few test images are new to both."""
    one, other = (split_digest(run.split, run.dataset) for run in runs)
    if one == other:
        return ()
    return (
        f"the two runs have different splits (digests {one} and {other}): only images in both test sets are compared",
    )


def _left_out(evaluations: list[Evaluated]) -> LeftOut:
    """The images of a source that one of the models was trained on; none without a source."""
    one, other = (evaluation.left_out or LeftOut() for evaluation in evaluations)
    return one.joined(other)


def _name(model: str | Path | Run) -> str:
    return (Path(model) if isinstance(model, (str, Path)) else model.path).resolve().name


def _on_test_set(run: Run) -> Evaluated:
    return _classified(evaluate(run))


def _classified(evaluation: object) -> Evaluated:
    if not isinstance(evaluation, Evaluated) or evaluation.multilabel is not None:
        raise DataError("only single-label classifiers can be compared", "give two such runs or bundles")
    return evaluation


def _check_labels(names: tuple[str, str], evaluations: list[Evaluated]) -> None:
    one, other = (set(evaluation.labels.names) for evaluation in evaluations)
    if one != other:
        differing = ", ".join(sorted(one ^ other)[:10])
        raise DataError(
            f"{names[0]} and {names[1]} have different classes: {differing}", "compare models of the same classes"
        )


def _places(evaluation: Evaluated) -> dict[str, int]:
    """Digest of each image to its row in the predictions; of duplicates one is used."""
    return {sample.digest: row for row, sample in enumerate(evaluation.samples)}


def _compared(
    names: tuple[str, str], evaluations: list[Evaluated], places: list[dict[str, int]], kept: list[str]
) -> Comparison:
    from keensight.assess import paired
    from keensight.assess.intervals import share

    labels = evaluations[0].labels
    order = np.array([evaluations[1].labels.names.index(name) for name in labels.names])
    rows = [np.array([place[digest] for digest in kept]) for place in places]
    first = evaluations[0].predictions.probabilities[rows[0]]
    second = evaluations[1].predictions.probabilities[rows[1]][:, order]
    samples = [evaluations[0].samples[int(row)] for row in rows[0]]
    targets = labels.encode([sample.label for sample in samples])
    clusters = evaluations[0].predictions.clusters
    groups = None if clusters is None else np.unique(clusters[rows[0]], return_inverse=True)[1].reshape(-1)
    few = groups is not None and int(groups.max()) + 1 < _GROUPS
    groups = None if few else groups
    right = (first.argmax(axis=1) == targets, second.argmax(axis=1) == targets)
    gains = paired.bootstrap(first, second, targets, groups)
    only_first, only_second = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    changes = tuple(
        Change(samples[i].path, samples[i].label, *(labels.names[int(p[i].argmax())] for p in (first, second)))
        for i in np.flatnonzero(right[0] != right[1])
    )
    return Comparison(
        *names, n=len(kept), left_out=0, groups=None if groups is None else int(groups.max()) + 1,
        accuracy=(share(right[0], groups), share(right[1], groups)),
        difference=paired.difference(*right) if groups is None else gains["accuracy"],
        p=paired.mcnemar(only_first, only_second) if groups is None else paired.flip_groups(*right, groups),
        test="McNemar's exact test" if groups is None else "sign-flip test of whole groups",
        macro_f1=gains["macro_f1"], loss=gains["loss"], changes=changes, notes=(_FEW_GROUPS,) if few else (),
    )  # fmt: skip


def _write_page(found: Comparison, evaluations: list[Evaluated], out: Path) -> None:
    """The page takes each picture from the run of the model that is wrong, which stores its mistakes."""
    from keensight.show.comparison import write_comparison

    write_comparison(out / "compare.html", found, evaluations[0].dataset, evaluations[1].dataset)
