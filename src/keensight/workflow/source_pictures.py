"""The pictures of ``ks.show`` that are of an image set: they open a source, and ``show`` draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from keensight.core.audit import AuditReport
from keensight.core.evaluation import Evaluation
from keensight.core.options import SourceOptions, with_options
from keensight.core.records import Split
from keensight.workflow.steps import Source, open

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@with_options(SourceOptions)
def samples(source: Source, n: int = 25, seed: int = 0, **options: Unpack[SourceOptions]) -> Figure:
    """A grid of images with their class names, drawn evenly over the classes.

    Args:
        source: An image set with its images available, or what :func:`keensight.open` takes; unreadable images are
            skipped.
        n: Maximum number of images.
        seed: Random seed of the selection.
        **options: How the source is read (see :func:`keensight.open`).

    Examples:
        >>> figure = ks.show.samples("photos/", n=12)
        >>> len(figure.axes)
        12
    """
    from keensight.show.figures import samples

    return samples(open(source, **options), n, seed)


@with_options(SourceOptions)
def class_balance(source: Source | AuditReport, split: Split | None = None, **options: Unpack[SourceOptions]) -> Figure:
    """Images per class, as bars; stacked by split where one is given.

    Args:
        source: An image set, what :func:`keensight.open` takes, or an audit.
        split: Show training, validation and test set separately; needs the image set, as an audit has only counts.
        **options: How the source is read (see :func:`keensight.open`).

    Raises:
        UsageError: a split was given with an audit.

    Examples:
        >>> figure = ks.show.class_balance("photos/")
        >>> figure.axes[0].get_title(loc="left")
        'Images per class'
    """
    from keensight.show.figures import class_balance

    return class_balance(source if isinstance(source, AuditReport) else open(source, **options), split)


@with_options(SourceOptions)
def browse(source: Source | Evaluation, **options: Unpack[SourceOptions]) -> Any:
    """Leaf through images by class in a notebook; of an evaluation, through its mistakes too.

    Args:
        source: An image set, what :func:`keensight.open` takes, or an evaluation with its predictions and images, as
            :func:`keensight.evaluate` gives it.
        **options: How the source is read (see :func:`keensight.open`).

    Returns:
        An ipywidgets box; without ipywidgets, something that shows the first page.

    Raises:
        UsageError: the images are not available.

    Examples:
        >>> box = ks.show.browse("photos/")
    """
    from keensight.show.notebook.widgets import browse

    return browse(source if isinstance(source, Evaluation) else open(source, **options))
