"""Use a model: load, predict and embed."""

from __future__ import annotations

import io
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np

from keensight.core.deprecation import renamed
from keensight.core.files import check_writable, write_bytes, write_text
from keensight.core.predictions import Embeddings, Predictions
from keensight.core.progress import Progress
from keensight.core.sanitize import guarded
from keensight.core.sources import Images, Source
from keensight.core.task import Task
from keensight.errors import UsageError
from keensight.workflow.engines import classifier_of, detector_of, opened, suited
from keensight.workflow.progress import shown
from keensight.workflow.self_test import tested

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from keensight.core.anomaly import AnomalyScores
    from keensight.core.similar import Similar
    from keensight.nets.classifier import Classifier
    from keensight.nets.detector import Detector
    from keensight.nets.network import Engine
    from keensight.store.bundle import Bundle
    from keensight.store.run import Run


@overload
def predict(
    model: Detector, images: Images, *, engine: Engine = "auto", progress: Progress | None = None
) -> AnomalyScores: ...


@overload
def predict(
    model: str | Path | Run | Classifier,
    images: Images,
    *,
    engine: Engine = "auto",
    progress: Progress | None = None,
) -> Predictions: ...


@renamed(paths="images")
def predict(
    model: str | Path | Run | Classifier | Detector,
    images: Images,
    *,
    engine: Engine = "auto",
    progress: Progress | None = None,
) -> Predictions | AnomalyScores:
    """Predict images, folders or globs.

    Args:
        model: A run, a bundle, or a loaded classifier.
        images: One or several of: image files, folders (searched through), patterns such as ``photos/*.jpg``,
            encoded bytes, open binary files, Pillow images, uint8 arrays (height, width[, 1, 3 or 4]) and batches of
            such (n, height, width[, 1, 3 or 4]), tensors of TensorFlow and PyTorch (also with channels first), arrays
            and pandas Series of paths; or a pandas table with a column of paths. What is not a path is called
            ``image 0`` and so on in the result.
        engine: What a run or bundle is opened on (see :func:`load`).
        progress: Where to report.

    Returns:
        One row an image, in the order given; a file that cannot be read has its reason in ``errors``, also one of a
        folder that is of no image format. An anomaly detector gives scores in place of probabilities, as
        :class:`~keensight.AnomalyScores`; where ``model`` is its run or bundle, tell type checkers by ``isinstance``.

    Raises:
        DataError: nothing was given, or a folder or pattern holds no image; or what was given is something else, such
            as pixels that are not uint8.

    Examples:
        >>> found = ks.predict(run, "photos/")
        >>> len(found), found.rows(top=1)[0]["label"]
        (120, 'day')
    """
    progress = shown(progress)
    found = find(images, progress)
    if _is_open(model):
        return model.predict(found, progress=progress)
    package = _opened(model)
    engine = suited(package, engine, len(found), progress)
    return tested(package, opened(package, engine)).predict(found, progress=progress)


def _is_open(model: str | Path | Run | Classifier | Detector) -> TypeIs[Classifier | Detector]:
    return hasattr(type(model), "stream")


def embed(model: str | Path | Run | Classifier, images: Images, *, progress: Progress | None = None) -> Embeddings:
    """Embed images, folders or globs, for search, clustering and few-shot learning.

    An embedding is what the network's last layer, ``logits``, takes in: similar images have similar embeddings.

    Args:
        model: A run, a bundle, or a loaded classifier.
        images: As for :func:`predict`.
        progress: Where to report.

    Returns:
        One float32 row (d,) an image, in the order given; a file that cannot be read has NaN and its reason in
        ``errors``.

    Raises:
        DataError: nothing was given, a folder or pattern holds no image, or the network has no embedding.

    Examples:
        >>> found = ks.embed(run, ["photos/day/000.bmp", "photos/night/000.bmp"])
        >>> found.vectors.shape == (2, model.embedding_size)
        True
    """
    progress = shown(progress)
    return load(model).embed(find(images, progress), progress=progress)


def similar(queries: Embeddings, album: Embeddings, n: int = 5) -> Similar:
    """Find the most similar images of a collection for each query, by the cosine of their standardized embeddings.

    Args:
        queries: Embeddings of the query images, from :func:`embed`.
        album: Embeddings of the images to search, from the same model; an image never matches itself.
        n: Number of matches per query.

    Returns:
        Positions in the album and cosines, the nearest first; ``ks.show.similar`` shows them.

    Raises:
        DataError: the album has not ``n`` such images, or the models differ.

    Examples:
        >>> album = ks.embed(run, "photos/")
        >>> found = ks.similar(ks.embed(run, "photos/day/000.bmp"), album, n=3)
        >>> found.rows.shape
        (1, 3)
    """
    from keensight.core.similar import search

    return search(queries, album, n)


def predict_and_embed(
    model: str | Path | Run | Classifier,
    images: Images,
    *,
    engine: Engine = "auto",
    progress: Progress | None = None,
) -> tuple[Predictions, Embeddings]:
    """The results of :func:`predict` and :func:`embed` from one pass through the network."""
    progress = shown(progress)
    return load(model, engine).predict_and_embed(find(images, progress), progress=progress)


def find(images: Images, progress: Progress | None = None) -> list[Source]:
    """Split a user's input into single images (see :func:`predict`), and report skipped files.

    Raises:
        DataError: there are none, or the input has another type.
    """
    from keensight.data.sources.prediction_inputs import find_inputs, in_words

    inputs = find_inputs(images)
    if progress is not None and inputs.companions:
        progress.say(f"skipped: {in_words(inputs.companions)}")
    return inputs.images


def load(model: str | Path | Run | Classifier, engine: Engine = "auto") -> Classifier:
    """Open a run or bundle, checked file by file, as a classifier ready to predict.

    The first time on a machine, the self-test is run.

    Args:
        model: A run, a bundle, or a loaded classifier, which is returned as it is.
        engine: ``litert`` predicts on the bundle's light form, without TensorFlow; ``keras`` on its Keras model;
            ``auto``: on the light form if the bundle has one. ``keras_model`` is there in any case, and loaded on first
            use.

    Raises:
        StoreError: it is not a bundle, is damaged, is of a newer version, or has no light form.
        GateError: it fails its self-test.

    Examples:
        >>> model = ks.load("runs/first")
        >>> model.class_names
        ('day', 'night')
    """
    from keensight.nets.classifier import Classifier

    if isinstance(model, Classifier):
        return model
    package = _opened(model)
    if package.manifest.task == Task.ANOMALY:
        raise UsageError(
            f"{package.path} is an anomaly detector: it scores images and has no classes",
            "keensight predict, or ks.load_detector(...) in Python",
        )
    return tested(package, classifier_of(package, engine))


def engine_for(model: str | Path | Run | Classifier, images: int, progress: Progress) -> Engine:
    """What to :func:`load` a model on for so many images (:func:`keensight.workflow.engines.suited`)."""
    return "auto" if _is_open(model) else suited(_opened(model), "auto", images, progress)


def load_detector(model: str | Path | Run, engine: Engine = "auto") -> Detector:
    """Open a run or bundle, checked file by file, as an anomaly detector ready to predict.

    The first time on a machine, the self-test is run.

    Args:
        model: A run or a bundle.
        engine: As for :func:`load`.

    Raises:
        StoreError: it is not a bundle, is damaged, is of a newer version, or has no light form.
        GateError: it fails its self-test.
        UsageError: it is a classifier.

    Examples:
        >>> found = ks.load_detector(detector).predict(["parts/broken/00.bmp"])
        >>> found.scores[0] > 1
        np.True_
    """
    package = _opened(model)
    if package.manifest.task != Task.ANOMALY:
        raise UsageError(f"{package.path} is a classifier, not an anomaly detector", "use ks.load(...)")
    return tested(package, detector_of(package, engine))


def _opened(model: str | Path | Run) -> Bundle:
    from keensight.store.bundle import open_bundle

    return open_bundle(model if isinstance(model, (str, Path)) else model.path)


def predict_with_heatmaps(
    model: str | Path | Run | Detector,
    images: Images,
    directory: Path,
    *,
    engine: Engine = "auto",
    progress: Progress | None = None,
) -> AnomalyScores:
    """Score images, and write each with its anomaly heatmap, as ``NUMBER-NAME.png``.

    Args:
        model: An anomaly detector, or its run or bundle.
        images: As for :func:`predict`.
        directory: Output folder; created if necessary.
        engine: What a run or bundle is opened on (see :func:`load`).
        progress: Where to report.

    Raises:
        UsageError: the model is a classifier.
        StoreError: a file cannot be written.
    """
    from keensight.core.pixels import encode_png
    from keensight.nets.detector import Detector
    from keensight.nets.inputs import read_image
    from keensight.show.anomaly import overlay

    check_writable(directory, folder=True)
    detector = model if isinstance(model, Detector) else _detector_for_heatmaps(model, directory, engine)
    progress = shown(progress)
    sources = find(images, progress)
    found = detector.predict(sources, progress=progress)
    for place, source in enumerate(sources):
        image = read_image(source, detector.spec).image
        if image is not None and found.maps is not None:
            name = f"{place:04d}-{Path(found.paths[place]).stem}.png"
            write_bytes(directory / name, encode_png(overlay(image, found.maps[place], found.scores[place] >= 1)))
    return found


def _detector_for_heatmaps(model: str | Path | Run, directory: Path, engine: Engine) -> Detector:
    package, place = _opened(model), getattr(model, "path", model)
    if package.manifest.task != Task.ANOMALY:
        given = f"{shlex.quote(str(place))} IMAGE --out {shlex.quote(str(directory))}"
        raise UsageError(
            f"{place} is a classifier, and only anomaly detectors have anomaly heatmaps",
            f"`keensight explain {given}` shows which regions drove a prediction",
        )
    return tested(package, detector_of(package, engine))


def write_embeddings(embeddings: Embeddings, path: str | Path) -> None:
    """Write embeddings as NumPy's ``.npz`` or as a CSV or Parquet table, by the file's ending.

    ``.npz``: ``paths`` (n,), ``vectors`` float32 (n, d) and ``errors`` (n,), empty where an image was read.
    Tables: one row an image with path, e0, e1 and so on, error; without numbers where it could not be read.

    Raises:
        UsageError: the ending is none of the three.
        StoreError: the file cannot be written.

    Examples:
        >>> ks.write_embeddings(ks.embed(run, "photos/"), "embeddings.npz")
        >>> sorted(np.load("embeddings.npz").files)
        ['errors', 'paths', 'vectors']
    """
    path = Path(path)
    check_embeddings_place(path)
    ending = path.suffix.lower()
    if ending == ".npz":
        write_bytes(path, _as_npz(embeddings))
        return
    import pandas as pd

    columns = [f"e{i}" for i in range(embeddings.vectors.shape[1])]
    table = pd.DataFrame(embeddings.vectors, columns=columns)
    table.insert(0, "path", list(embeddings.paths))
    table["error"] = [embeddings.errors.get(name) for name in embeddings.paths]
    if ending == ".csv":
        texts = table.select_dtypes(exclude="number")
        table = table.assign(**{str(name): texts[name].map(guarded) for name in texts})
        write_text(path, table.to_csv(index=False))
    else:
        write_bytes(path, table.to_parquet(index=False))


def check_embeddings_place(path: Path) -> None:
    """Refuse a file that embeddings cannot be written to, before they are computed.

    Raises:
        UsageError: its ending is none of ``.npz``, ``.csv`` and ``.parquet``.
        StoreError: it cannot be written.
    """
    check_ending(path, "embeddings", (".npz", ".csv", ".parquet"))
    check_writable(path)


def check_ending(path: Path, what: str, endings: tuple[str, ...]) -> None:
    """Refuse a file whose ending is not among those that ``what`` can be written as.

    Raises:
        UsageError: it is not.
    """
    if path.suffix.lower() not in endings:
        raise UsageError(
            f"cannot write {what} as {path.suffix.lower() or 'a file without an extension'}",
            f"use {', '.join(endings[:-1])} or {endings[-1]}",
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
