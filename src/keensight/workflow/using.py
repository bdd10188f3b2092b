"""A finished model at work: load and predict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keensight.core.files import write_bytes, write_json, write_text
from keensight.core.progress import Progress
from keensight.core.records import Predictions
from keensight.errors import DataError, UsageError
from keensight.workflow.steps import shown

if TYPE_CHECKING:
    from keensight.nets.infer import Classifier
    from keensight.store.bundle import Bundle
    from keensight.store.run import Run


def predict(
    model: str | Path | Run | Classifier, paths: Sequence[str | Path], *, progress: Progress | None = None
) -> Predictions:
    """Predict images, folders or globs.

    Args:
        model: A run, a bundle, or a loaded classifier.
        paths: Image files, folders (searched through), or patterns such as ``photos/*.jpg``.
        progress: Where to report.

    Returns:
        One row an image, in the order given; a file that cannot be read has its reason in ``errors``.

    Raises:
        DataError: nothing was given, or a folder or pattern holds no image.
    """
    from keensight.data.inputs import find_images

    files = [file for path in paths for file in find_images(path)]
    if not files:
        raise DataError("there is no image to predict", "give image files, folders or patterns such as photos/*.jpg")
    return load(model).predict(files, progress=shown(progress))


def load(model: str | Path | Run | Classifier) -> Classifier:
    """Open a run or bundle, checked file by file, as a classifier ready to predict.

    Raises:
        StoreError: it is no bundle, is damaged, or is of a newer version.
    """
    from keensight.nets.infer import Classifier

    if isinstance(model, Classifier):
        return model
    from keensight.store.bundle import open_bundle

    return classifier_of(open_bundle(model if isinstance(model, (str, Path)) else model.path))


def classifier_of(bundle: Bundle) -> Classifier:
    """The classifier in an open bundle."""
    from keensight.nets.infer import Classifier

    manifest = bundle.manifest
    return Classifier.open(bundle.model_path, manifest.labels, manifest.image, manifest.temperature)


def write_predictions(predictions: Predictions, path: Path, top: int = 5) -> None:
    """Write predictions as a CSV, JSON or Parquet table, by the file's ending.

    CSV and Parquet have one row an image: path, label, probability, decision, error, then the ``top``
    classes as ``label_2``, ``probability_2`` and so on.

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

    table = pd.DataFrame([_flat(row) for row in rows])
    if ending == ".csv":
        write_text(path, table.to_csv(index=False))
    elif ending == ".parquet":
        write_bytes(path, table.to_parquet(index=False))
    else:
        raise UsageError(
            f"cannot write predictions as {ending or 'a file without ending'}", "use .csv, .json or .parquet"
        )


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat = {key: row[key] for key in ("path", "label", "probability", "decision", "error")}
    for rank, (label, probability) in enumerate(row["top"][1:], start=2):
        flat[f"label_{rank}"], flat[f"probability_{rank}"] = label, probability
    return flat
