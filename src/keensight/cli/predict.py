"""The command ``predict``."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keensight.cli.invocation import Invocation, shared, table
from keensight.core.sanitize import guarded, visible

if TYPE_CHECKING:
    from keensight.core.anomaly import AnomalyScores
    from keensight.core.predictions import Predictions
    from keensight.nets.network import Engine


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
) -> None:
    """Classify images: files, folders (searched recursively) or patterns such as 'photos/*.jpg'.

    MODEL is a run or a bundle. Without --out the result goes to standard output: a table on a terminal, CSV
    elsewhere. A file that cannot be read or has an unsupported format becomes a row with its error; the exit code is 1
    only if every file fails. An image whose gray values do not fit the scale of the training images has a note in its
    row. Text files and tables next to images are skipped.
    """
    from keensight import workflow

    if out is not None:
        workflow.check_predictions_place(out)
    found = _predicted(model, paths, vectors, heatmaps, engine)
    if out:
        workflow.write_predictions(found, out, top)
    asked.answer(found.rows(top), lambda: _written(found, out) if out else _listed(found, top, sys.stdout.isatty()))
    if found.notes:
        click.echo(
            f"note on {len(found.notes):,} of {len(found):,} images: {next(iter(found.notes.values()))}", err=True
        )
    if found.errors:
        click.echo(f"{len(found.errors):,} of {len(found):,} files could not be read", err=True)
        context.exit(int(len(found.errors) == len(found)))


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


def _written(found: Predictions | AnomalyScores, out: Path) -> str:
    return f"{len(found):,} predictions in {out}"


def _listed(found: Predictions | AnomalyScores, top: int, on_terminal: bool) -> str:
    rows = [_flat(row) for row in found.rows(top)]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if on_terminal:
        unused = {name for name in columns if all(row.get(name) is None for row in rows)} | {"ood_score"}
        unused |= {"decision"} if all(row["decision"] != "abstain" for row in rows) else set()
        return table(rows, [name for name in columns if name not in unused])
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: guarded(cell) for name, cell in row.items()} for row in rows)
    return text.getvalue().removesuffix("\n")


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """One row as text: the same columns as in a CSV file of ``--out``."""
    from keensight.workflow.predict import flat

    return {name: f"{value:.4f}" if isinstance(value, float) else value for name, value in flat(row).items()}
