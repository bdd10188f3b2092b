"""Reporting and keeping what a classifier made: of one class an image, or of any number of labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from keensight.core.evaluation import Evaluated

if TYPE_CHECKING:
    from keensight.store.run import Run


def stored(run: Run) -> Evaluated:
    """The stored evaluation, with its predictions and the run's thumbnails."""
    from keensight.store.pictures import KeptPictures

    dataset = dataclasses.replace(run.dataset, reader=KeptPictures(run.pictures_path))
    return Evaluated.of(run.evaluation, run.predictions, dataset)


def report(run: Run, evaluation: Evaluated) -> Path:
    """Write the report of a classifier's run, with the pictures that it keeps."""
    from keensight.show.report import ReportData, write_report
    from keensight.store.bundle import CARD, open_bundle
    from keensight.store.pictures import KeptPictures

    card = run.bundle_path / CARD
    data = ReportData(
        record=run.record,
        audit=run.audit,
        split=run.split,
        history=run.history,
        evaluation=evaluation,
        manifest=open_bundle(run.path).manifest,
        config=run.config_path.read_text(encoding="utf-8"),
        labels=run.label_suspects,
        slices=run.slices,
        heatmaps=KeptPictures(run.heatmaps_path),
        card=card.read_text(encoding="utf-8") if card.is_file() else "",
        dataset=evaluation.dataset,
    )
    write_report(run.report_path, data)
    return run.report_path


def keep_pictures(run: Run, evaluation: Evaluated, suspects: Iterable[str] = ()) -> None:
    """Save thumbnails of the images for report and review, so that neither needs the source.

    Args:
        run: Where to keep them.
        evaluation: Its mistakes are saved, and some samples of its dataset.
        suspects: Paths of additional images, the most important first.
    """
    from keensight.show.misclassified import find_mistakes, spread, worth_showing
    from keensight.show.report import GALLERY
    from keensight.show.thumbnails import encode, thumbnail
    from keensight.store.pictures import save_pictures

    dataset = evaluation.dataset
    places = {sample.path: index for index, sample in enumerate(dataset.samples)}
    wanted = dict.fromkeys(
        [mistake.index for mistake in worth_showing(find_mistakes(evaluation), GALLERY)]
        + [places[path] for path in islice(suspects, _SUSPECTS)]
        + spread(dataset, _SAMPLES)
    )
    images = ((dataset.samples[index].path, thumbnail(dataset, index)) for index in wanted)
    save_pictures(run.pictures_path, {path: encode(image) for path, image in images if image is not None})


_SUSPECTS, _SAMPLES = 200, 100
