"""The guided tour for the user's own images, as a notebook that is ready to run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keensight.core.files import write_text
from keensight.core.progress import Progress
from keensight.errors import UsageError
from keensight.workflow.prepare import split
from keensight.workflow.steps import image_spec, open

if TYPE_CHECKING:
    from keensight.show.notebook.tour import Tour

SAMPLE = "mnist"
"""What the tour uses if no images are given."""
_PIXELS, _LEAST, _MOST = 33e6, 12, 40
"""Pixels to train on in total, which takes a minute or two on two cores; and the range of epochs."""


def write_tour(  # noqa: PLR0913 - public options, by keyword
    source: str | Path | None = None,
    out: str | Path | None = None,
    *,
    label: str | None = None,
    labels: str | None = None,
    path: str | None = None,
    group: str | None = None,
    group_regex: str | None = None,
    label_regex: str | None = None,
    label_level: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the guided tour for an image set as a Jupyter notebook, without outputs.

    Args:
        source: See :func:`open`; default: a built-in sample dataset.
        out: The notebook, ``.ipynb``; default: in the working directory, named after the image set.
        label: Table column with the class.
        labels: Comma-separated names of 0/1 table columns, one per label.
        path: Table column with the image path.
        group: Table column with a group ID; images with the same ID are kept in the same split.
        group_regex: Instead, a regular expression searched in each relative path.
        label_regex: In a folder, a regular expression that finds the class in each relative path.
        label_level: Which of nested folders is the class: ``top``, ``leaf`` or ``path``.
        progress: Where to report.

    Returns:
        The notebook's path.

    Raises:
        DataError: the images cannot be used.
        UsageError: ``out`` already exists, or does not end in ``.ipynb``.
        StoreError: it cannot be written.
    """
    from keensight.show.notebook.tour import notebook

    given = {
        "label": label, "labels": labels, "path": path, "group": group, "group_regex": group_regex,
        "label_regex": label_regex, "label_level": label_level,
    }  # fmt: skip
    options = {name: value for name, value in given.items() if value is not None}
    wanted = str(source or SAMPLE)
    place = Path(out) if out is not None else Path(f"{Path(wanted).resolve().stem or 'images'}.ipynb")
    _check(place)
    tour = tour_of(wanted, place.parent, options, progress)
    text = json.dumps(notebook(tour), ensure_ascii=False, indent=1) + "\n"
    _check(place)  # reading many images takes time
    write_text(place, text)
    return place


def tour_of(source: str, folder: Path, options: Mapping[str, Any], progress: Progress | None = None) -> Tour:
    """What the tour needs to know of an image set, which is opened, and rejected if it cannot be split.

    Args:
        source: See :func:`open`.
        folder: The notebook's folder.
        options: Keywords of :func:`open`.
        progress: Where to report.
    """
    from keensight.show.notebook.tour import Tour

    dataset = open(source, progress=progress, **options)
    spec = image_spec(dataset)
    wanted = _PIXELS / (len(split(dataset).train) * spec.height * spec.width)
    here = Path(source).exists()
    return Tour(
        _seen_from(folder, source) if here else source,
        min(spec.height, spec.width),
        round(min(max(wanted, _LEAST), _MOST)),
        options,
        sample=not here,
        task=dataset.task,
    )


def _seen_from(folder: Path, source: str) -> str:
    """A relative path as seen by the kernel, which runs in the notebook's folder; absolute paths stay as given."""
    if Path(source).is_absolute() or folder.resolve() == Path.cwd().resolve():
        return source
    return Path(os.path.relpath(source, folder)).as_posix()


def _check(place: Path) -> None:
    if place.suffix.lower() != ".ipynb":
        raise UsageError(f"{place} is not a notebook file name", "end it in .ipynb")
    if place.exists():
        raise UsageError(f"{place} already exists", "choose another --out; files are never overwritten")
