"""``ks.show`` on what has no evaluation: one sentence with the way out."""

from pathlib import Path
from typing import Any

import pytest

from keensight import show
from keensight.errors import UsageError

SHOWN = (show.confusion, show.mistakes, show.reliability, show.risk_coverage, show.average_precision,
         show.label_counts, show.co_occurrence, show.curves)  # fmt: skip


@pytest.mark.parametrize("given", ["runs/first", Path("runs", "first")])
@pytest.mark.parametrize("function", SHOWN)
def test_a_path_is_answered_with_how_to_open_the_run(function: Any, given: str | Path) -> None:
    with pytest.raises(UsageError, match="is a path, not a run") as caught:
        function(given)
    assert caught.value.hint == "open the run: ks.open_run('runs/first')"


@pytest.mark.parametrize("function", SHOWN)
def test_anything_else_is_refused_by_its_kind(function: Any) -> None:
    with pytest.raises(UsageError, match="a dict has no "):
        function({})
