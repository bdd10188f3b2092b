"""The command ``train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keensight.cli.invocation import Invocation, shared
from keensight.cli.options import (
    flag_option,
    run_option,
    setting_option,
    settings_options,
    table_options,
    tables_options,
)

if TYPE_CHECKING:
    from keensight.core.comparison import Spread
    from keensight.store.run import Run


@click.command()
@click.argument("source")
@run_option
@setting_option("--model", "model.name")
@setting_option("--effort", "train.effort")
@setting_option("--epochs", "train.epochs")
@setting_option("--image-size", "data.image_size")
@setting_option("--seed", "train.seed")
@setting_option("--group", "data.group")
@setting_option("--group-regex", "data.group_regex")
@flag_option("--strict", "data.strict")
@setting_option("--corrections", "data.corrections")
@click.option(
    "--seeds",
    type=click.IntRange(min=2),
    help="Train N times with different seeds and report mean and standard deviation.",
)
@table_options
@tables_options
@setting_option("--target-precision", "decision.target_precision")
@setting_option("--target-coverage", "decision.target_coverage")
@setting_option("--task", "data.task")
@setting_option("--normal", "data.normal")
@settings_options
@shared
def train(
    asked: Invocation, source: str, run: Path | None, settings: dict[str, Any], seeds: int | None, **shortcuts: Any
) -> None:
    """Train a classifier on SOURCE, test it on held-out images, and write a report.

    SOURCE is a folder with one sub-folder per class; a folder holding train/, val/ and test/ of such; a table of
    paths and labels (CSV, Excel, JSON lines, Parquet); a zip or tar archive of these; arrays (.npz, .npy, HDF5, IDX);
    Parquet with images, WebDataset or TFRecord files; or the name of a sample set (see `keensight samples`). Options
    win over --set, and --set over --config.

    With --task anomaly it is trained on normal images only (--normal CLASS) and tested on all.
    """
    from keensight import workflow

    if seeds is not None:
        options = {"run": run, "settings": settings, "command": asked.command, **shortcuts}
        return spread(asked, *workflow.train_seeds(source, seeds, **options))
    finished = workflow.train(source, run=run, settings=settings, command=asked.command, **shortcuts)
    return asked.answer(workflow.document(finished), lambda: summary(finished))


def spread(asked: Invocation, runs: list[Run], figures: tuple[Spread, ...]) -> None:
    """The output of ``train --seeds``: mean and standard deviation, and each run."""
    from keensight import workflow
    from keensight.core.codec import to_plain
    from keensight.show.comparison import spread_in_words

    document = {"runs": [workflow.document(run) for run in runs], "spread": to_plain(figures)}
    asked.answer(document, lambda: "\n".join([spread_in_words(figures), *(f"run     {run.path}" for run in runs)]))


def summary(run: Run) -> str:
    """What the terminal shows of a finished run."""
    from keensight import workflow
    from keensight.show import terminal

    told = terminal.result(workflow.evaluate(run), str(run.report_path), labels=run.label_suspects, slices=run.slices)
    return f"{told}\nrun     {run.path}"
