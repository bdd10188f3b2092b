import zipfile
from pathlib import Path

import pytest

from keensight.core.config import RunConfig
from keensight.errors import StoreError, UsageError
from keensight.workflow.steps import start_weights
from keensight.workflow.train import refuse_to_delete_inputs


@pytest.mark.parametrize("name", ["imagenet", "none"])
def test_a_word_is_handed_on(name):
    assert start_weights(name) == name


def test_a_file_that_is_not_there_is_refused_with_what_there_could_be():
    with pytest.raises(UsageError, match="cannot be 'imagnet'") as caught:
        start_weights("imagnet")
    assert "did you mean 'imagenet'" in caught.value.hint


def test_a_pytorch_file_is_handed_on(tmp_path):
    path = tmp_path / "lite.pth"
    path.write_bytes(b"looked into when it is read")
    assert start_weights(str(path)) == path


def test_a_keras_file_is_looked_through_first(tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", '{"class_name": "Lambda", "module": "keras.layers"}')
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(StoreError, match="not part of Keras"):
        start_weights(str(path))


def test_a_run_must_be_one(tmp_path):
    with pytest.raises(StoreError):
        start_weights(f"run:{tmp_path}")


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"data.corrections": "run/corrections.csv"}, "the file of corrections"),
        ({"data.val": "run/val.csv"}, "the table --val"),
        ({"model.weights": "run/first.pth"}, "the start weights"),
        ({}, "the images"),
    ],
)
def test_a_run_is_not_replaced_where_the_new_one_is_made_from_it(settings, what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "first.pth").write_bytes(b"looked into when it is read")
    config, source = RunConfig().with_values(settings), "photos" if settings else "run/images"
    with pytest.raises(UsageError, match=f"--replace would delete {what}, inside the run run"):
        refuse_to_delete_inputs(Path("run"), source, config)
    refuse_to_delete_inputs(Path("other"), source, config)


def test_start_weights_by_name_are_no_files_of_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refuse_to_delete_inputs(tmp_path, tmp_path.parent / "photos", RunConfig())
