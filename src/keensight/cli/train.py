"""The command ``train``."""

from __future__ import annotations

import shlex
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
    track_option,
)
from keensight.errors import UsageError

if TYPE_CHECKING:
    from keensight.core.comparison import Spread
    from keensight.scale.train import RayWorkers
    from keensight.store.run import Run


@click.command()
@click.argument("source", required=False)
@run_option
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Continue a run that was stopped, with its own settings; SOURCE: where its images are now, if they "
    "were moved.",
)
@click.option(
    "--take-over",
    is_flag=True,
    help="With --resume, also a run that was started on another computer or in a program that is still open, and that "
    "nothing works on any more.",
)
@click.option("--replace", is_flag=True, help="Delete an earlier run in the directory of --run first.")
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
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Train the network by N worker processes together, with one CPU each, through Ray (needs the extra cluster).",
)
@click.option(
    "--address",
    help="Ray cluster of the workers: auto, host:port or ray://host:port (default: one started on this machine).",
)
@table_options
@tables_options
@setting_option("--target-precision", "decision.target_precision")
@setting_option("--target-coverage", "decision.target_coverage")
@setting_option("--task", "data.task")
@setting_option("--normal", "data.normal")
@track_option
@settings_options
@shared
def train(
    asked: Invocation,
    source: str | None,
    run: Path | None,
    settings: dict[str, Any],
    seeds: int | None,
    resume: Path | None,
    take_over: bool,
    replace: bool,
    track: tuple[str, ...],
    workers: int | None,
    address: str | None,
    **shortcuts: Any,
) -> None:
    """Train a classifier on SOURCE, test it on held-out images, and write a report.

    SOURCE is a folder with one sub-folder per class; a folder holding train/, val/ and test/ of such; a table of
    paths and labels (CSV, Excel, JSON lines, Parquet); a zip or tar archive of these; arrays (.npz, .npy, HDF5, IDX);
    Parquet with images, WebDataset or TFRecord files; or the name of a sample set (see `keensight samples`). Options
    win over --set, and --set over --config.

    With --task anomaly it is trained on normal images only (--normal CLASS) and tested on all.

    With --resume RUN, a training that was killed, interrupted or failed continues from its last checkpoint, with the
    same result as if it had never stopped. A run that several workers train is continued by as many.
    """
    from keensight import workflow

    if resume is not None:
        _refuse_others(resume, run=run, replace=replace, seeds=seeds, workers=workers, **shortcuts)
        group = recorded_workers(resume, address)
        finished = workflow.resume(resume, source, take_over=take_over, track=track, workers=group)
        return asked.answer(workflow.document(finished), lambda: summary(finished))
    if source is None:
        raise click.MissingParameter(ctx=click.get_current_context(), param_hint="'SOURCE'", param_type="argument")
    _refuse_alone(take_over, replace and run is None, seeds=seeds, workers=workers, address=address)
    options: dict[str, Any] = {"run": run, "settings": settings, "command": asked.command, "track": track, **shortcuts}
    if seeds is not None:
        return spread(asked, *workflow.train_seeds(source, seeds, replace=replace, **options))
    finished = workflow.train(source, replace=replace, workers=chosen_workers(workers, address), **options)
    return asked.answer(workflow.document(finished), lambda: summary(finished))


def _refuse_alone(
    take_over: bool, replace: bool, *, seeds: int | None, workers: int | None, address: str | None
) -> None:
    """Options that have an effect only together with another one, or without it."""
    if take_over:
        raise UsageError("--take-over is for --resume, which is not given", "add --resume RUN")
    if replace:
        raise UsageError("--replace deletes the run in the directory of --run, which is not given", "add --run DIR")
    if address is not None and workers is None:
        raise UsageError("--address needs --workers", "give --workers N: how many CPUs of the cluster to use")
    if seeds is not None and workers is not None:
        raise UsageError("--seeds does not work together with --workers", "train once per seed with --seed")


def chosen_workers(count: int | None, address: str | None) -> RayWorkers | None:
    """The workers that were asked for."""
    if count is None:
        return None
    from keensight.scale.train import RayWorkers

    return RayWorkers(count, address)


def recorded_workers(run: Path, address: str | None) -> RayWorkers | None:
    """The workers that a run was started with."""
    from keensight.scale.train import workers_of

    return workers_of(run, address)


def _refuse_others(resume: Path, **options: Any) -> None:
    """A resumed run keeps its settings."""
    given = click.get_current_context().params  # of the settings, it has the option that each was given with
    for name, value in {**options, "config": given["config"], "set": given["assignments"]}.items():
        if value:
            raise UsageError(
                f"--{name.replace('_', '-')} has no effect together with --resume: a run keeps its own settings",
                f"leave it out: keensight train --resume {shlex.quote(str(resume))}",
            )


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
    from keensight.show.study import scores_in_words

    results = run.record.results
    if "test" not in results and "validation" in results:
        told = scores_in_words("validation", results["validation"])
        return f"{told}; the test set was not used (train.evaluate_on)\nrun     {run.path}"
    told = terminal.result(workflow.evaluate(run), str(run.report_path), labels=run.label_suspects, slices=run.slices)
    return f"{told}\nrun     {run.path}"
