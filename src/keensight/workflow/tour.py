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
"""What the tour shows where no images are given."""
_PIXELS, _LEAST, _MOST = 33e6, 12, 40
"""What is trained on in all, which takes a minute or two on two cores; and epochs, at least and at most."""


def write_tour(
    source: str | Path | None = None,
    out: str | Path | None = None,
    *,
    label: str | None = None,
    labels: str | None = None,
    path: str | None = None,
    group: str | None = None,
    group_regex: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the guided tour for an image set as a Jupyter notebook, without outputs.

    Args:
        source: See :func:`open`; None: an embedded sample set.
        out: The notebook, ``.ipynb``; None: in the working directory, called after the image set.
        label: Table column with the class.
        labels: Table columns of 0 and 1, one a label, separated by commas.
        path: Table column with the image path.
        group: Table column whose equal values never straddle a split.
        group_regex: In its place, a pattern in the relative file path.
        progress: Where to report.

    Returns:
        The notebook's path.

    Raises:
        DataError: the images cannot be used.
        UsageError: ``out`` is there already, or has another ending.
        StoreError: it cannot be written.
    """
    from keensight.show.notebook.tour import notebook

    given = {"label": label, "labels": labels, "path": path, "group": group, "group_regex": group_regex}
    options = {name: value for name, value in given.items() if value is not None}
    wanted = str(source or SAMPLE)
    place = Path(out) if out is not None else Path(f"{Path(wanted).resolve().stem or 'images'}.ipynb")
    _check(place)
    tour = tour_of(wanted, place.parent, options, progress)
    text = json.dumps(notebook(tour), ensure_ascii=False, indent=1) + "\n"
    _check(place)  # reading many images takes a while
    write_text(place, text)
    return place


def tour_of(source: str, folder: Path, options: Mapping[str, Any], progress: Progress | None = None) -> Tour:
    """What the tour says of an image set; it is opened, and refused where it cannot be split.

    Args:
        source: See :func:`open`.
        folder: Where the notebook will lie.
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
    """A relative path as the notebook's kernel will see it, which runs in the notebook's folder; others as given."""
    if Path(source).is_absolute() or folder.resolve() == Path.cwd().resolve():
        return source
    return Path(os.path.relpath(source, folder)).as_posix()


def _check(place: Path) -> None:
    if place.suffix.lower() != ".ipynb":
        raise UsageError(f"{place} is no name for a notebook", "let it end in .ipynb")
    if place.exists():
        raise UsageError(f"{place} is there already", "choose another --out; nothing is ever overwritten")
