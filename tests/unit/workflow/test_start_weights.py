import zipfile

import pytest

from keensight.errors import StoreError, UsageError
from keensight.workflow.steps import start_weights


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
