"""A finished model at work: load, predict and embed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keensight.core.anomaly import TASK as ANOMALY
from keensight.core.anomaly import Oddities
from keensight.core.answers import Embeddings, Predictions
from keensight.core.certainty import Decision
from keensight.core.files import write_bytes, write_json, write_text
from keensight.core.progress import Progress
from keensight.core.records import SEPARATOR
from keensight.errors import DataError, UsageError
from keensight.workflow.selftest import tested
from keensight.workflow.steps import shown

if TYPE_CHECKING:
    from keensight.core.similar import Similar
    from keensight.nets.detector import Detector
    from keensight.nets.infer import Classifier
    from keensight.store.bundle import Bundle
    from keensight.store.run import Run


Image = str | Path | bytes | NDArray[np.uint8]
Images = Image | Sequence[Image]


def predict(
    model: str | Path | Run | Classifier | Detector, paths: Images, *, progress: Progress | None = None
) -> Predictions | Oddities:
    """Predict images, folders or globs.

    Args:
        model: A run, a bundle, or a loaded classifier.
        paths: One or several of: image files, folders (searched through), patterns such as ``photos/*.jpg``,
            encoded bytes, and uint8 arrays (height, width[, 3]); or one array (n, height, width, 3).
        progress: Where to report.

    Returns:
        One row an image, in the order given; a file that cannot be read has its reason in ``errors``. An anomaly
        detector gives scores in place of probabilities.

    Raises:
        DataError: nothing was given, or a folder or pattern holds no image.
    """
    from keensight.nets.detector import Detector
    from keensight.nets.infer import Classifier

    if isinstance(model, (Classifier, Detector)):
        return model.predict(find(paths), progress=shown(progress))
    package = _opened(model)
    opened = detector_of(package) if package.manifest.task == ANOMALY else classifier_of(package)
    return tested(package, opened).predict(find(paths), progress=shown(progress))


def embed(model: str | Path | Run | Classifier, images: Images, *, progress: Progress | None = None) -> Embeddings:
    """Embed images, folders or globs, for search, clustering and few-shot learning.

    An embedding is what the network's last layer, ``logits``, takes in: like images have near embeddings.

    Args:
        model: A run, a bundle, or a loaded classifier.
        images: As for :func:`predict`.
        progress: Where to report.

    Returns:
        One float32 row (d,) an image, in the order given; a file that cannot be read has NaN and its reason in
        ``errors``.

    Raises:
        DataError: nothing was given, a folder or pattern holds no image, or the network has no layer ``logits``.
    """
    return load(model).embed(find(images), progress=shown(progress))


def similar(queries: Embeddings, album: Embeddings, n: int = 5) -> Similar:
    """Find the images of an album that are most like each query, by the cosine of their standardised embeddings.

    Args:
        queries: Of what is looked for, as :func:`embed` gives them.
        album: Of what is searched, by the same model; an image is not found for itself.
        n: How many to find.

    Returns:
        Places in the album and cosines, the nearest first; ``ks.show.similar`` shows them.

    Raises:
        DataError: the album has not ``n`` such images, or the models differ.
    """
    from keensight.core.similar import search

    return search(queries, album, n)


def predict_and_embed(
    model: str | Path | Run | Classifier, images: Images, *, progress: Progress | None = None
) -> tuple[Predictions, Embeddings]:
    """What :func:`predict` and :func:`embed` give, of one pass through the network."""
    return load(model).predict_and_embed(find(images), progress=shown(progress))


def find(images: Images) -> list[Image]:
    """Single images from what a user gives (see :func:`predict`).

    Raises:
        DataError: there are none.
    """
    from keensight.data.inputs import find_images

    if isinstance(images, (str, Path, bytes)) or (isinstance(images, np.ndarray) and images.ndim < 4):
        images = [images]
    found: list[Image] = []
    for image in images:
        found += find_images(image) if isinstance(image, (str, Path)) else [image]
    if not found:
        raise DataError("no image was given", "give image files, folders or patterns such as photos/*.jpg")
    return found


def load(model: str | Path | Run | Classifier) -> Classifier:
    """Open a run or bundle, checked file by file, as a classifier ready to predict.

    The first time on a machine it takes its self-test.

    Raises:
        StoreError: it is no bundle, is damaged, or is of a newer version.
        GateError: it fails its self-test.
    """
    from keensight.nets.infer import Classifier

    if isinstance(model, Classifier):
        return model
    package = _opened(model)
    if package.manifest.task == ANOMALY:
        raise UsageError(
            f"{package.path} is an anomaly detector: it scores images and knows no classes",
            "keensight predict, or ks.load_detector(...) in Python",
        )
    return tested(package, classifier_of(package))


def load_detector(model: str | Path | Run) -> Detector:
    """Open a run or bundle, checked file by file, as an anomaly detector ready to predict.

    The first time on a machine it takes its self-test.

    Raises:
        StoreError: it is no bundle, is damaged, or is of a newer version.
        GateError: it fails its self-test.
        UsageError: it is a classifier.
    """
    package = _opened(model)
    if package.manifest.task != ANOMALY:
        raise UsageError(f"{package.path} is a classifier, not an anomaly detector", "use ks.load(...)")
    return tested(package, detector_of(package))


def _opened(model: str | Path | Run) -> Bundle:
    from keensight.store.bundle import open_bundle

    return open_bundle(model if isinstance(model, (str, Path)) else model.path)


def detector_of(bundle: Bundle) -> Detector:
    """The anomaly detector in an open bundle."""
    from keensight.nets.detector import Detector
    from keensight.store.bundle import limits_of

    return Detector.open(bundle.model_path, bundle.manifest.image, limits_of(bundle.manifest))


def classifier_of(bundle: Bundle) -> Classifier:
    """The classifier in an open bundle."""
    from keensight.nets.infer import Classifier

    manifest, several = bundle.manifest, bundle.manifest.task == "multilabel"
    return Classifier.open(
        bundle.model_path,
        manifest.labels,
        manifest.image,
        temperature=manifest.temperature,
        prototypes=bundle.prototypes(),
        mirror=bool(manifest.decision.get("mirror", False)),
        thresholds=tuple(manifest.decision["thresholds"]) if several else None,
        decision=None if several else Decision.from_manifest(manifest.decision),
        subspace=bundle.subspace(),
    )


def predict_with_heatmaps(
    model: str | Path | Run | Detector, images: Images, directory: Path, *, progress: Progress | None = None
) -> Oddities:
    """Score images, and write each beside its heatmap of what is odd, as ``NUMBER-NAME.png``.

    Args:
        model: An anomaly detector, its run or its bundle.
        images: As for :func:`predict`.
        directory: Where to; made where it does not exist.
        progress: Where to report.

    Raises:
        UsageError: the model is a classifier.
        StoreError: a file cannot be written.
    """
    from keensight.core.pixels import encode_png
    from keensight.nets.detector import Detector
    from keensight.nets.infer import read_image
    from keensight.show.oddities import overlay

    detector = model if isinstance(model, Detector) else load_detector(model)
    sources = find(images)
    found = detector.predict(sources, progress=shown(progress))
    for place, source in enumerate(sources):
        image = read_image(source, detector.spec)
        if not isinstance(image, str) and found.maps is not None:
            name = f"{place:04d}-{Path(found.paths[place]).stem}.png"
            write_bytes(directory / name, encode_png(overlay(image, found.maps[place])))
    return found


def write_predictions(predictions: Predictions | Oddities, path: Path, top: int = 5) -> None:
    """Write predictions as a CSV, JSON or Parquet table, by the file's ending.

    CSV and Parquet have one row an image: path, label, probability, decision, error, then the ``top`` classes as
    ``label_2``, ``probability_2`` and so on, then reason, set (its classes with ``|`` between) and ood_score. Of a
    multi-label model ``label`` is a list such as ``cat|dog``, empty where no label reaches its threshold, and the most
    probable labels begin with ``label_1``.

    Raises:
        UsageError: the ending is none of the three.
        StoreError: the file cannot be written.
    """
    rows = predictions.rows(top)
    ending = path.suffix.lower()
    if ending == ".json":
        write_json(path, rows)
        return
    import pandas as pd

    table = pd.DataFrame([flat(row) for row in rows])
    if ending == ".csv":
        write_text(path, table.to_csv(index=False))
    elif ending == ".parquet":
        write_bytes(path, table.to_parquet(index=False))
    else:
        raise UsageError(
            f"cannot write predictions as {ending or 'a file without ending'}", "use .csv, .json or .parquet"
        )


def write_embeddings(embeddings: Embeddings, path: Path) -> None:
    """Write embeddings as NumPy's ``.npz`` or as a CSV or Parquet table, by the file's ending.

    ``.npz``: ``paths`` (n,), ``vectors`` float32 (n, d) and ``errors`` (n,), empty where an image was read.
    Tables: one row an image with path, e0, e1 and so on, error; without numbers where it could not be read.

    Raises:
        UsageError: the ending is none of the three.
        StoreError: the file cannot be written.
    """
    ending = path.suffix.lower()
    check_embeddings_name(path)
    if ending == ".npz":
        write_bytes(path, _as_npz(embeddings))
        return
    import pandas as pd

    columns = [f"e{i}" for i in range(embeddings.vectors.shape[1])]
    table = pd.DataFrame(embeddings.vectors, columns=columns)
    table.insert(0, "path", list(embeddings.paths))
    table["error"] = [embeddings.errors.get(name) for name in embeddings.paths]
    if ending == ".csv":
        write_text(path, table.to_csv(index=False))
    else:
        write_bytes(path, table.to_parquet(index=False))


def check_embeddings_name(path: Path) -> None:
    """Refuse an ending that embeddings cannot be written as, before they are computed.

    Raises:
        UsageError: it is none of ``.npz``, ``.csv`` and ``.parquet``.
    """
    ending = path.suffix.lower()
    if ending not in (".npz", ".csv", ".parquet"):
        raise UsageError(
            f"cannot write embeddings as {ending or 'a file without ending'}", "use .npz, .csv or .parquet"
        )


def _as_npz(embeddings: Embeddings) -> bytes:
    sink = io.BytesIO()
    np.savez(
        sink,
        paths=np.array(embeddings.paths, dtype=np.str_),
        vectors=embeddings.vectors,
        errors=np.array([embeddings.errors.get(name, "") for name in embeddings.paths], dtype=np.str_),
    )
    return sink.getvalue()


def flat(row: dict[str, Any]) -> dict[str, Any]:
    """A row of :meth:`Predictions.rows` as columns of a table (see :func:`write_predictions`)."""
    flat: dict[str, Any] = {
        key: row[key] for key in ("path", "label", "probability", "score", "decision", "error") if key in row
    }
    skipped = 0 if "labels" in row else 1  # the most probable class is the label; of several labels it need not be
    for rank, (label, probability) in enumerate(row["top"][skipped:], start=skipped + 1):
        flat[f"label_{rank}"], flat[f"probability_{rank}"] = label, probability
    flat |= {key: row[key] for key in ("reason", "set", "ood_score") if key in row}
    if flat.get("set") is not None:
        flat["set"] = SEPARATOR.join(flat["set"])
    return flat
