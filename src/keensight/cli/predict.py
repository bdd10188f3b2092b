"""The command ``predict``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keensight.cli.invocation import Invocation, shared, table
from keensight.core.sanitize import visible
from keensight.errors import UsageError

if TYPE_CHECKING:
    from keensight.core.anomaly import AnomalyScores
    from keensight.core.predictions import Predictions
    from keensight.nets.network import Engine
    from keensight.workflow.prediction_tables import Written


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--out", type=click.Path(path_type=Path), help="Write a table: a .csv, .json or .parquet file.")
@click.option(
    "--embeddings",
    "vectors",
    type=click.Path(path_type=Path),
    help="Also write each image's embedding (penultimate-layer features): a .npz, .csv or .parquet file.",
)
@click.option(
    "--heatmaps", type=click.Path(path_type=Path, file_okay=False),
    help="Anomaly detectors only: directory for each image beside its anomaly heatmap.",
)  # fmt: skip
@click.option(
    "--top", type=click.IntRange(min=1), default=5, show_default=True, help="Number of top classes to list per image."
)
@click.option(
    "--engine", type=click.Choice(["auto", "litert", "keras"]), default="auto", show_default=True,
    help="What runs the model. litert: the bundle's light form, without TensorFlow; keras: its Keras model; auto: "
    "litert where there is a light form.",
)  # fmt: skip
@click.option(
    "--workers", type=click.IntRange(1, 65536),
    help="Predict on this many workers with one CPU each, through Ray, into a folder of Parquet files (default: in "
    "this process, on all CPUs).",
)  # fmt: skip
@click.option(
    "--address",
    help="Ray cluster of the workers: auto, host:port or ray://host:port (default: one started on this machine).",
)
@shared
@click.pass_context
def predict(
    context: click.Context,
    asked: Invocation,
    model: Path,
    paths: tuple[str, ...],
    out: Path | None,
    vectors: Path | None,
    heatmaps: Path | None,
    top: int,
    engine: Engine,
    workers: int | None,
    address: str | None,
) -> None:
    """Classify images: files, folders (searched recursively), patterns such as 'photos/*.jpg', or lists of files.

    MODEL is a run or a bundle. A list is a table (CSV, Parquet) with a column of paths, or a text file with one path
    per line. Without --out the result goes to standard output: a table on a terminal, CSV elsewhere. With --out, any
    number of images needs little memory, and a command that was stopped continues when it is given again. A file that
    cannot be read or has an unsupported format becomes a row with its error; the exit code is 1 only if every file
    fails. An image whose gray values do not fit the scale of the training images has a note in its row. Text files and
    tables next to images are skipped.

    With --workers, images may also be addresses such as s3://bucket/photos, and Parquet files with a column of paths or
    of encoded images. A worker that ends is replaced, and its images are predicted again.
    """
    from keensight import workflow

    _check_combination(workers, address, out, vectors, heatmaps)
    if workers is not None and out is not None:
        done = _spread(model, paths, out, workers=workers, address=address, top=top, engine=engine)
        asked.answer(_counts(done), lambda: _written(done.images, out))
    elif out is not None and out.suffix.lower() in (".csv", ".parquet") and not (asked.json or vectors or heatmaps):
        done = workflow.predict_to_file(model, paths, out, top=top, engine=engine)
        asked.answer(None, lambda: _written(done.images, out))
    else:
        found = _predicted(model, paths, vectors, heatmaps, engine)
        done = _kept(found, model, out, top)
        asked.answer(found.rows(top), lambda: _written(done.images, out) if out else _listed(found, model, top))
    _tell(done)
    context.exit(int(0 < done.images == done.unreadable))


def _check_combination(
    workers: int | None, address: str | None, out: Path | None, vectors: Path | None, heatmaps: Path | None
) -> None:
    """Refuse options that do not go together, and places that cannot be written, before any work."""
    from keensight import workflow

    if vectors is not None and heatmaps is not None:
        raise UsageError("--embeddings and --heatmaps are written by different commands", "give one of the two")
    if workers is None:
        if address is not None:
            raise UsageError("--address needs --workers", "give --workers N: how many CPUs of the cluster to use")
        if out is not None:
            workflow.check_predictions_place(out)
    elif out is None or vectors is not None or heatmaps is not None:
        raise UsageError(
            "several workers write predictions into a folder of Parquet files, and nothing else",
            "give --out NAME.parquet, without --embeddings and --heatmaps; or leave --workers out",
        )


def _spread(model: Path, paths: tuple[str, ...], out: Path, **options: Any) -> Written:
    from keensight.scale.predict import predict_with_workers

    return predict_with_workers(model, paths, out, **options)


def _counts(done: Written) -> dict[str, Any]:
    return {"out": str(done.path), "images": done.images, "unreadable": done.unreadable, "noted": done.noted}


def _predicted(
    model: Path, paths: tuple[str, ...], vectors: Path | None, heatmaps: Path | None, engine: Engine
) -> Predictions | AnomalyScores:
    """Predictions; embeddings and heatmaps are written if requested."""
    from keensight import workflow

    if vectors is not None:
        workflow.check_embeddings_place(vectors)
    if heatmaps is not None:
        return workflow.predict_with_heatmaps(model, paths, heatmaps, engine=engine)
    if vectors is None:
        return workflow.predict(model, paths, engine=engine)
    found, embeddings = workflow.predict_and_embed(model, paths, engine=engine)
    workflow.write_embeddings(embeddings, vectors)
    click.echo(visible(f"{len(embeddings):,} embeddings in {vectors}"), err=True)
    return found


def _kept(found: Predictions | AnomalyScores, model: Path, out: Path | None, top: int) -> Written:
    """Write predictions that are in memory, if requested."""
    from keensight import workflow

    if out is not None:
        workflow.write_predictions(found, out, top, workflow.named_model(model))
    return workflow.Written(out, len(found), len(found.errors), len(found.notes), next(iter(found.notes.values()), ""))


def _written(images: int, out: Path) -> str:
    return f"{images:,} predictions in {out}"


def _tell(done: Written) -> None:
    if done.noted:
        click.echo(f"note on {done.noted:,} of {done.images:,} images: {done.note}", err=True)
    if done.unreadable:
        click.echo(f"{done.unreadable:,} of {done.images:,} files could not be read", err=True)


def _listed(found: Predictions | AnomalyScores, model: Path, top: int) -> str:
    from keensight import workflow

    layout = workflow.Layout.of(found, top, workflow.named_model(model))
    rows = [_rounded(layout.cells(row)) for row in found.rows(top)]
    if sys.stdout.isatty():
        unused = {name for name in layout.columns if all(row[name] is None for row in rows)} | {"ood_score", "model"}
        unused |= {"decision"} if all(row["decision"] != "abstain" for row in rows) else set()
        return table(rows, [name for name in layout.columns if name not in unused])
    return workflow.as_csv(rows, layout.columns).removesuffix("\n")


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: f"{value:.4f}" if isinstance(value, float) else value for name, value in row.items()}
