"""What the functions of ``ks.show`` are given: an evaluation, or what has one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keensight.core.evaluation import Evaluation
from keensight.errors import UsageError


def evaluation_of(given: Any) -> Evaluation:
    """The evaluation itself, or that of a run.

    Args:
        given: An ``Evaluation``, or anything with ``.evaluation`` such as a run.

    Raises:
        UsageError: it is neither, such as the path of a run.
    """
    found = getattr(given, "evaluation", given)
    if isinstance(found, Evaluation):
        return found
    refuse_path(given)
    raise UsageError(
        f"a {type(given).__name__} has no evaluation of a classifier", "give a run, or what ks.evaluate returns"
    )


def refuse_path(given: Any) -> None:
    """Refuse the path of a run, which has to be opened first.

    Raises:
        UsageError: it is a path.
    """
    if isinstance(given, (str, Path)):
        raise UsageError(
            f"{str(given)!r} is a path, not a run or its results", f"open the run: ks.open_run({str(given)!r})"
        )
