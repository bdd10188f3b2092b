"""Explain predictions: heatmaps over images, and pictures of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core import pixels
from keensight.core.deprecation import renamed
from keensight.core.evaluation import Evaluated
from keensight.core.files import check_writable
from keensight.core.predictions import Explanation
from keensight.core.progress import Progress
from keensight.core.records import Fit, Sample
from keensight.core.registry import did_you_mean
from keensight.core.sources import Images, Source, name_of, read_source
from keensight.errors import ImageError, UsageError
from keensight.workflow.predict import find, load
from keensight.workflow.progress import shown

if TYPE_CHECKING:
    from keensight.core.decoded import Pixels
    from keensight.nets.classifier import Classifier
    from keensight.nets.gradcam import Explainer
    from keensight.store.run import Run

_CHUNK = 32
_HEAT_SIDE = 32
"""Longer side of a stored heatmap in pixels; heatmaps are smooth."""
_SIDE = 640
"""Maximum longer side of the picture under a heatmap, in pixels."""


@renamed(label="class_name")
def explain(
    model: str | Path | Run | Classifier,
    images: Images,
    *,
    class_name: str | None = None,
    progress: Progress | None = None,
) -> list[Explanation]:
    """Compute which regions of each image contribute to a class.

    Heatmaps by HiResCAM (Draelos and Carin 2020), a Grad-CAM whose values add up to the class's logit.

    Args:
        model: A run, a bundle, or a loaded classifier, flat or nested.
        images: As for :func:`keensight.predict`.
        class_name: The class to explain; None: each image's predicted class.
        progress: Where to report.

    Returns:
        One entry per image, in the given order; a file that cannot be read has its reason in ``error``.

    Raises:
        DataError: nothing was given, or a folder or pattern holds no image.
        UsageError: there is no such class, or the network has no maps to explain by.

    Examples:
        >>> found, = ks.explain(run, "photos/day/000.bmp", class_name="night")
        >>> found.label, found.heat.min() >= 0
        ('night', np.True_)
    """
    return list(explanations(model, images, class_name=class_name, progress=progress))


def explanations(
    model: str | Path | Run | Classifier,
    images: Images,
    *,
    class_name: str | None = None,
    progress: Progress | None = None,
) -> Iterator[Explanation]:
    """Yield the results of :func:`explain` one by one, so that any number of images fits into memory."""
    from keensight.nets.gradcam import Explainer

    classifier = load(model)
    if class_name is not None and class_name not in classifier.labels.names:
        raise UsageError(f"there is no class {class_name!r}", did_you_mean(class_name, list(classifier.labels.names)))
    progress = shown(progress)
    explainer, found = Explainer(classifier), find(images, progress)
    with progress.task("explaining", len(found)) as task:
        for begin in range(0, len(found), _CHUNK):
            for item in _explained(classifier, explainer, found[begin : begin + _CHUNK], begin, class_name):
                yield item
                task.advance()


def _explained(
    classifier: Classifier, explainer: Explainer, images: list[Source], first: int, label: str | None
) -> Iterator[Explanation]:
    names = [name_of(image, first + i) for i, image in enumerate(images)]
    read = [_read(image, classifier) for image in images]
    good = [item for item in read if not isinstance(item, str)]
    if good:
        inputs = np.stack([item[0] for item in good])
        probabilities = classifier.predict_array(inputs)
        targets = probabilities.argmax(axis=1) if label is None else classifier.labels.encode([label] * len(good))
        heats = iter(zip(probabilities, targets, explainer.heatmaps(inputs, targets), strict=True))
    for name, item in zip(names, read, strict=True):
        if isinstance(item, str):
            yield Explanation(name, error=item)
        else:
            yield _explanation(name, item[1], classifier, *next(heats))


def _explanation(
    name: str,
    picture: NDArray[np.uint8],
    classifier: Classifier,
    probabilities: NDArray[np.float32],
    target: int,
    heat: NDArray[np.float32],
) -> Explanation:
    from keensight.show.heatmap import placed

    labels, best = classifier.labels.names, int(probabilities.argmax())
    height, width = picture.shape[:2]
    return Explanation(
        path=name,
        label=labels[target],
        probability=float(probabilities[target]),
        predicted=labels[best],
        predicted_probability=float(probabilities[best]),
        image=picture,
        heat=placed(heat, height, width, classifier.spec.fit),
    )


def _read(image: Source, classifier: Classifier) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | str:
    """The model's input and a picture for display, or an error."""
    from keensight.show.thumbnails import shrunk

    try:
        raw = read_source(image, classifier.spec)
        return pixels.decode(raw, classifier.spec), shrunk(raw, _SIDE)
    except ImageError as error:
        return error.message


def keep_heatmaps(
    run: Run, classifier: Classifier, evaluation: Evaluated, images: Pixels, n: int, progress: Progress
) -> None:
    """Save heatmaps of the ``n`` most confident mistakes for the report, for the wrongly predicted class.

    Each is a small gray image over the picture, so that the report can be rewritten without model and source.
    """
    from keensight.nets.gradcam import Explainer
    from keensight.show.misclassified import find_mistakes, worth_showing
    from keensight.show.report import GALLERY
    from keensight.store.pictures import save_pictures

    dataset = evaluation.dataset
    shown_ones = worth_showing(find_mistakes(evaluation), GALLERY)
    # A multi-label prediction has no single class to explain.
    found = [mistake for mistake in shown_ones if mistake.predicted in classifier.labels.names][:n]
    if not found:
        return
    inputs = images.take(np.array([mistake.index for mistake in found]))
    targets = classifier.labels.encode([mistake.predicted for mistake in found])
    heats = Explainer(classifier).heatmaps(inputs, targets, progress=progress)
    kept = {
        mistake.path: _gray_png(heat, dataset.samples[mistake.index], classifier.spec.fit)
        for mistake, heat in zip(found, heats, strict=True)
    }
    save_pictures(run.heatmaps_path, kept)


def _gray_png(heat: NDArray[np.float32], sample: Sample, fit: Fit) -> bytes:
    """A heatmap over a sample's whole image, as a small PNG file."""
    from keensight.show.heatmap import placed

    height, width = heat.shape
    if sample.info is not None:
        sides = (sample.info.height, sample.info.width)
        height, width = (
            sides if sample.info.orientation < 5 else sides[::-1]
        )  # EXIF orientations 5 to 8 are rotated by 90 degrees
    shrink = _HEAT_SIDE / max(height, width)
    small = placed(heat, max(1, round(height * shrink)), max(1, round(width * shrink)), fit)
    return pixels.encode_png((255 * small).round().astype(np.uint8))


def write_explanations(found: Iterable[Explanation], folder: str | Path) -> list[dict[str, Any]]:
    """Write each explanation as a PNG picture.

    Args:
        found: From :func:`explain`.
        folder: The folder of the pictures; created if necessary. A picture has the name of its image, with a number if
            two images have the same name; an older picture is replaced.

    Returns:
        One plain dictionary an image: path, label, probability, explained, explained_probability, error, picture
        (None where the image could not be read).

    Raises:
        StoreError: the folder cannot be written.

    Examples:
        >>> rows = ks.write_explanations(ks.explain(run, "photos/day/000.bmp"), "heatmaps")
        >>> rows[0]["explained"]
        'day'
    """
    from keensight.show.figures import save
    from keensight.show.heatmap import explanation

    folder = Path(folder)
    check_writable(folder, folder=True)
    rows: list[dict[str, Any]] = []
    taken: set[str] = set()
    for item in found:
        path = None
        if item.error is None:
            path = save(explanation(item), folder / _free_name(item.path, taken))
        rows.append({**item.row(), "picture": None if path is None else str(path)})
    return rows


def _free_name(path: str, taken: set[str]) -> str:
    stem = Path(path).stem
    name, number = f"{stem}.png", 1
    while name.lower() in taken:  # some file systems are case-insensitive
        number += 1
        name = f"{stem}-{number}.png"
    taken.add(name.lower())
    return name
