"""The command ``tune``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keensight.cli.invocation import Invocation, shared
from keensight.cli.options import (
    flag_option,
    setting_option,
    settings_options,
    table_options,
    tables_options,
    track_option,
)
from keensight.errors import UsageError

if TYPE_CHECKING:
    from keensight.store.study import Study


@click.command()
@click.argument("source", required=False)
@click.option("--trials", type=click.IntRange(min=1), help="Number of trials; default: 20.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Trials at a time, each with one CPU thread; default: 1, with all CPU threads.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="After this time no trial begins, and those under way are stopped if one was completed.",
)
@click.option(
    "--metric",
    help="What trials are chosen by, on the validation set: accuracy, macro-f1, loss or (multi-label) map; default: "
    "accuracy, or map.",
)
@click.option(
    "--space",
    multiple=True,
    metavar="NAME=VALUES",
    help="Search this setting, in a range (train.learning_rate=1e-4..1e-2) or among values "
    "(train.optimizer=sgd,adamw); repeatable. Default: a space that fits the model and --effort.",
)
@click.option(
    "--study", type=click.Path(path_type=Path), help="Directory of the study; default: a new one under studies/."
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="STUDY",
    help="Continue a study that was stopped, with its own settings; SOURCE: where its images are now, if they were "
    "moved.",
)
@setting_option("--model", "model.name")
@setting_option("--effort", "train.effort")
@setting_option("--epochs", "train.epochs")
@setting_option("--image-size", "data.image_size")
@setting_option("--seed", "train.seed")
@setting_option("--group", "data.group")
@setting_option("--group-regex", "data.group_regex")
@flag_option("--strict", "data.strict")
@setting_option("--corrections", "data.corrections")
@table_options
@tables_options
@track_option
@settings_options
@shared
def tune(
    asked: Invocation,
    source: str | None,
    space: tuple[str, ...],
    settings: dict[str, Any],
    resume: Path | None,
    track: tuple[str, ...],
    **options: Any,
) -> None:
    """Search settings: train on SOURCE several times, choose by the validation set, and test the chosen model.

    Trials share the split, decoded images and features of frozen networks; each is a run in the study's directory. The
    first one has the default settings, the next ones are drawn by Optuna (TPE), and those that fall behind are stopped
    early (ASHA). No trial is evaluated on the test set: that is done once, for the chosen one.

    With --resume STUDY, a study that was killed or interrupted continues; trials under way continue from their last
    checkpoint.
    """
    from keensight import workflow
    from keensight.workflow.search_space import parse_assignments

    if resume is not None:
        _refuse_others(resume, space=space, settings=settings, **options)
        return _answer(asked, workflow.resume_study(resume, source, track=track))
    if source is None:
        raise click.MissingParameter(ctx=click.get_current_context(), param_hint="'SOURCE'", param_type="argument")
    given = {name: value for name, value in options.items() if value is not None}
    searched = parse_assignments(space)
    _answer(
        asked, workflow.tune(source, space=searched, settings=settings, command=asked.command, track=track, **given)
    )


def _refuse_others(resume: Path, **options: Any) -> None:
    for name, value in options.items():
        if value:
            raise UsageError(
                f"--{name.replace('_', '-')} has no effect together with --resume: a study keeps its own settings",
                f"leave it out: keensight tune --resume {shlex.quote(str(resume))}",
            )


def _answer(asked: Invocation, study: Study) -> None:
    from keensight import workflow
    from keensight.core.codec import to_plain
    from keensight.show.study import in_words

    plain = to_plain(study.record)
    kept = ("metric", "kind", "space", "trials", "importance", "spent")
    best, run = study.record.best, study.run
    document = {
        "study": str(study.path), "page": str(study.page_path), "trial": study.record.chosen,
        "best_value": None if best is None else best.value, **{name: plain[name] for name in kept},
        **workflow.document(run),
    }  # fmt: skip
    asked.answer(document, lambda: in_words(study.record, str(run.path), str(study.page_path)))
