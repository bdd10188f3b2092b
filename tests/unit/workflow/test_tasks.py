"""The table of what depends on a task."""

import pytest

from keensight.core.task import Task
from keensight.workflow import anomaly, classification
from keensight.workflow.tasks import STEPS, is_detector, of_run
from store_builders import make_bundle, make_run


def test_every_task_has_its_steps():
    assert list(STEPS) == list(Task)


@pytest.mark.parametrize(
    ("results", "module"),
    [
        ({}, classification),
        ({"task": "multilabel"}, classification),
        ({"task": "anomaly"}, anomaly),
    ],
)
def test_a_run_says_its_task_and_is_a_classifiers_where_it_does_not(tmp_path, results, module):
    run = make_run(tmp_path / "run").update(state="finished", results=results)
    assert of_run(run).report is module.report


def test_a_bundle_says_whether_it_is_a_detectors(tmp_path):
    assert not is_detector(make_bundle(tmp_path / "bundle"))
