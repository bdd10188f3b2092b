"""The task that the settings ask for, against what the images are labeled for."""

import pytest

from keensight.core.config import RunConfig
from keensight.core.progress import Silent
from keensight.core.task import Task
from keensight.errors import UsageError
from keensight.workflow.prepare import open_source
from multilabel_builders import write_shapes


@pytest.mark.parametrize("word", ["classify", "multilabel"])
def test_a_source_of_that_task_is_opened(tmp_path, word):
    config = RunConfig().with_values({"data.task": word})
    data, _ = open_source(write_shapes(tmp_path, n=12), config, Silent())
    assert data.task is Task.MULTILABEL


def test_a_source_of_another_task_is_refused(tmp_path):
    table = write_shapes(tmp_path, n=12)
    with pytest.raises(UsageError, match=r"data.task is multiclass, but .* is a multilabel set"):
        open_source(table, RunConfig().with_values({"data.task": "multiclass"}), Silent())
