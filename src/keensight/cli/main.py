"""The entry point: the table of commands, and the handling of errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

import click

from keensight import __version__
from keensight.cli.errors import explain
from keensight.cli.invocation import Invocation, tolerate_any_console, verbosity_options
from keensight.cli.lazy import LazyGroup

COMMANDS = {
    "demo": "Train, test and report on a built-in sample dataset.",
    "samples": "List the built-in sample datasets, or export one.",
    "inspect": "Explore and audit an image set.",
    "train": "Train and test a classifier, and write a report.",
    "tune": "Search settings, and test the model chosen on the validation set.",
    "evaluate": "Show a model's test results, or evaluate it on other images.",
    "review": "Review suspicious labels and mistakes in the browser.",
    "predict": "Classify images.",
    "serve": "Serve a model over HTTP.",
    "drift": "Check whether new images are like the test images.",
    "suggest": "Suggest which unlabeled images to label next.",
    "export": "Export a model to ONNX, LiteRT (TFLite), OpenVINO or SavedModel.",
    "verify": "Check a saved model or an export: checksums and self-test.",
    "explain": "Show which image regions drove a prediction (heatmap).",
    "enrol": "Add a class to a model from a few images, without training.",
    "compare": "Compare two models with a paired test.",
    "learning-curve": "Estimate the accuracy with more data (learning curve).",
    "report": "Rewrite a run's HTML report.",
    "notebook": "Write a Jupyter notebook for your images.",
    "models": "List the available architectures.",
    "rerun": "Repeat a run from its own settings and images, and compare.",
    "runs": "List, delete and rename runs.",
    "cache": "Show, limit or clear the cache of decoded images and features.",
    "doctor": "Check the installation and the machine.",
}
"""Command to what it does, so that the root help imports none of them; each is in the module of its name."""


@click.group(cls=LazyGroup, commands_table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@verbosity_options
@click.version_option(__version__, message="%(prog)s %(version)s")
def root() -> None:
    """Train, test and explain an image classifier from a folder of labeled images."""


def main(arguments: Sequence[str] | None = None, on_end: Callable[[], bool] = lambda: False) -> int:
    """Run one command line.

    Args:
        arguments: The arguments after ``keensight``; None: those of this process.
        on_end: Called when the command has ended, before an error is printed; returns whether an interrupt came.

    Returns:
        The exit code: 0 done; 1 data, store or training error; 2 usage; 3 a gate refused; 130 interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    asked = Invocation(arguments=tuple(given), json="--json" in given)
    tolerate_any_console(sys.stdout, sys.stderr)
    try:
        code = _run(given, asked)
        if sys.stdout is not None:
            sys.stdout.flush()
        on_end()
        return code
    except BrokenPipeError:
        return _reader_gone()
    except (Exception, KeyboardInterrupt) as error:
        return explain(error, asked, interrupted=on_end())


def _run(arguments: list[str], asked: Invocation) -> int:
    try:
        result = root.main(arguments, prog_name="keensight", standalone_mode=False, obj=asked)
    except SystemExit as stop:  # click's reaction to a closed pipe
        if isinstance(stop.__context__, BrokenPipeError):
            raise BrokenPipeError from stop
        raise
    return result if isinstance(result, int) else 0


def _reader_gone() -> int:
    # The reader of our output (such as `head`) has left. Python would report it again when it flushes at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 1
