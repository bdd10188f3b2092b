"""The one word for what is learned, as it is read from and written to files."""

import json

import pytest

from keensight.core.codec import from_plain, to_plain
from keensight.core.config import RunConfig
from keensight.core.records import BundleManifest
from keensight.core.task import Task
from keensight.core.verification import plain_manifest
from keensight.errors import StoreError, UsageError
from store_builders import manifest


def plain(word):
    return plain_manifest(manifest()) | {"task": word}


def test_manifests_keep_the_word_that_older_versions_read():
    found = from_plain(BundleManifest, plain("single-label"))
    assert found.task is Task.MULTICLASS
    assert json.loads(json.dumps(plain_manifest(found)))["task"] == "single-label"
    assert from_plain(BundleManifest, to_plain(found)) == found


@pytest.mark.parametrize("task", Task)
def test_every_task_survives_a_manifest(task):
    found = from_plain(BundleManifest, plain(task.value))
    assert from_plain(BundleManifest, plain_manifest(found)).task is task


@pytest.mark.parametrize("word", ["multi-label", "", 3, ["anomaly"]])
def test_another_word_is_refused(word):
    with pytest.raises(StoreError):
        from_plain(BundleManifest, plain(word))


def test_a_class_and_a_label_are_called_so():
    assert [(task.noun, task.nouns) for task in Task] == [
        ("class", "classes"),
        ("label", "labels"),
        ("class", "classes"),
    ]


@pytest.mark.parametrize("word", ["classify", *Task])
def test_the_setting_takes_each_task_and_the_word_for_both_kinds_of_classes(word):
    assert RunConfig().with_values({"data.task": word}).data.task == word


def test_the_setting_takes_no_other_word():
    with pytest.raises(UsageError) as refused:
        RunConfig().with_values({"data.task": "single"})
    assert "one of classify, multiclass, multilabel, anomaly" in refused.value.hint
