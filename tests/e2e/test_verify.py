"""A bundle that is whole, edited or mixed up: what ``verify`` and the first use say of it."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import keensight as ks
from keensight.cli.main import main
from keensight.core.files import sha256_file
from keensight.errors import GateError, StoreError
from keensight.store.npz import read_self_test, write_self_test
from keensight.workflow import self_test

pytestmark = pytest.mark.slow
SIDE = 16


def draw(kind, n, seed):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 90, (n, SIDE, SIDE, 3), dtype=np.uint8)
    images[..., ("blue", "green").index(kind)] += 120
    return images


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A bundle of an untrained network: what it predicts does not matter here, only that it predicts it again."""
    images = np.concatenate([draw("blue", 20, 1), draw("green", 20, 1)])
    data = ks.from_arrays(images, np.repeat(("blue", "green"), 20))
    rows = tuple(range(40))
    split = ks.Split(rows[::2], rows[1::4], rows[3::4], "by number")
    model = ks.build(data, ks.ImageSpec(SIDE, SIDE), "cnn", width=4)
    classifier = ks.Classifier(model, data.labels, ks.ImageSpec(SIDE, SIDE), temperature=1.5)
    return ks.bundle(classifier, data, split, tmp_path_factory.mktemp("made") / "bundle", name="cnn")


@pytest.fixture
def bundle(made, tmp_path):
    shutil.copytree(made.path, tmp_path / "bundle")
    return ks.open_bundle(tmp_path / "bundle")


def edit(bundle, **changes):
    path = bundle.path / "manifest.json"
    plain = json.loads(path.read_text(encoding="utf-8"))
    there = [name for name in plain["files"] if (bundle.path / name).is_file()]
    plain["files"] = {name: sha256_file(bundle.path / name) for name in there}
    path.write_text(json.dumps(plain | changes), encoding="utf-8")


def as_schema_3(bundle, **changes):
    """The bundle as an older version wrote it: no contract anywhere, and no light form."""
    (bundle.path / "model.tflite").unlink()
    with np.load(bundle.path / "exam.npz") as stored:
        arrays = {name: stored[name] for name in stored.files if name != "contract"}
    np.savez(bundle.path / "exam.npz", **arrays)
    edit(bundle, schema=3, contract="", **changes)
    return bundle.path


def with_other_predictions(bundle):
    exam = read_self_test(bundle.path / "exam.npz", 2)
    write_self_test(
        bundle.path / "exam.npz", type(exam)(exam.names, exam.images, exam.probabilities[:, ::-1], exam.contract)
    )
    edit(bundle)


def test_a_whole_bundle_is_verified_as_a_process(bundle):
    done = subprocess.run(
        [sys.executable, "-m", "keensight", "verify", str(bundle.path)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    *checks, verdict = done.stdout.splitlines()
    assert len(checks) == 12 and all(line.startswith("ok ") for line in checks)
    assert "self-test: largest difference from the stored predictions" in checks[9]
    assert "self-test on LiteRT: largest difference from the stored predictions" in checks[11]
    assert verdict == f"{bundle.path} is undamaged and predicts as when it was trained"


def test_a_damaged_bundle_ends_with_1_as_a_process(bundle):
    with (bundle.path / "model.keras").open("r+b") as stream:
        stream.seek(5000)
        stream.write(b"damage")
    done = subprocess.run(
        [sys.executable, "-m", "keensight", "verify", str(bundle.path), "--json"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["schema"] == 1 and document["ok"] is False and document["worst"] is None
    assert [check["ok"] for check in document["checks"]] == [True, False]
    assert "model.keras" in document["checks"][-1]["message"]


def test_the_document_of_a_whole_bundle(bundle, capsys):
    assert main(["verify", str(bundle.path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document.keys() == {"schema", "bundle", "checks", "worst", "ok"}
    assert document["ok"] is True and 0 <= document["worst"] < 1e-5
    assert {check["ok"] for check in document["checks"]} == {True}


def test_reversed_labels_are_refused_by_verify_and_by_use(bundle, capsys):
    edit(bundle, labels={"names": ["green", "blue"]})
    assert main(["verify", str(bundle.path)]) == 1
    told = capsys.readouterr().out
    assert "FAILED  labels, preprocessing and decision rule: " in told and "self-test: labels" in told
    assert told.endswith("is damaged or was changed\n")
    for use in (ks.load, lambda path: ks.predict(path, draw("blue", 1, 0))):
        with pytest.raises(StoreError, match="self-test: labels"):
            use(bundle.path)


def test_other_predictions_fail_the_self_test_with_3(bundle, capsys):
    with_other_predictions(bundle)
    assert main(["verify", str(bundle.path)]) == 3
    told = capsys.readouterr().out
    assert "FAILED  self-test: self-test failed: the saved model's predictions differ" in told
    for use in (ks.load, lambda path: ks.predict(path, draw("blue", 1, 0))):
        with pytest.raises(GateError, match="predictions differ from the trained model's"):
            use(bundle.path)


def test_what_is_no_bundle_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="there is no run or bundle"):
        ks.verify(tmp_path / "nowhere")


def test_an_older_bundle_opens_and_its_temperature_is_found_by_the_self_test(bundle):
    path = as_schema_3(bundle)
    assert ks.verify(path).ok
    edit(bundle, schema=3, contract="", temperature=1.0)
    found = ks.verify(path)
    assert not found.ok and not found.damaged
    with pytest.raises(GateError, match="self-test failed"):
        ks.load(path)


def test_an_older_bundle_of_another_size_is_refused(bundle):
    path = as_schema_3(bundle, image={"height": SIDE, "width": 2 * SIDE, "fit": "stretch", "decoder": 1})
    with pytest.raises(StoreError, match="the network takes images of shape"):
        ks.load(path)
    assert ks.verify(path).damaged


def counted(monkeypatch):
    taken = []
    sit = self_test.run_self_test
    monkeypatch.setattr(self_test, "run_self_test", lambda *given: taken.append(1) or sit(*given))
    return taken


def test_the_first_use_takes_the_self_test_and_the_next_does_not(bundle, cache_folder, monkeypatch):
    taken = counted(monkeypatch)
    ks.load(bundle.path)
    ks.predict(bundle.path, draw("blue", 1, 0))
    assert len(taken) == 1
    (note,) = (cache_folder / "self-tests").iterdir()
    assert json.loads(note.read_text())["worst"] < 1e-5
    note.write_text("{")
    ks.load(bundle.path)
    assert len(taken) == 2
    ks.load(bundle.path, engine="keras")
    assert len(taken) == 3
    monkeypatch.setattr("PIL.__version__", "0.1")
    ks.load(bundle.path)
    assert len(taken) == 4


def test_verify_takes_it_in_any_case(bundle, monkeypatch):
    taken = counted(monkeypatch)
    assert ks.verify(bundle.path).ok and ks.verify(bundle.path).ok
    assert len(taken) == 4  # twice on Keras, twice on LiteRT


def test_a_changed_bundle_takes_it_again(bundle):
    ks.load(bundle.path)
    with_other_predictions(bundle)
    with pytest.raises(GateError):
        ks.load(bundle.path)


def test_without_a_cache_it_is_taken_each_time(bundle, cache_folder, monkeypatch):
    taken = counted(monkeypatch)
    cache_folder.write_text("a file where the folder would be")
    ks.load(bundle.path)
    ks.load(bundle.path)
    assert len(taken) == 2


def test_an_image_of_the_self_test_that_cannot_be_read_here_fails_it(bundle):
    exam = bundle.exam()
    broken = type(exam)(exam.names, (b"no image", *exam.images[1:]), exam.probabilities, exam.contract)
    with pytest.raises(GateError, match="cannot be read"):
        self_test.run_self_test(ks.load(bundle.path), broken)


def test_probabilities_are_compared_by_the_names_of_classes(bundle):
    classifier, exam = ks.load(bundle.path), bundle.exam()
    turned = classifier.changed(labels=ks.LabelSet(classifier.labels.names[::-1]))
    with pytest.raises(GateError, match="predictions differ"):
        self_test.run_self_test(turned, exam)
    with pytest.raises(GateError, match="other classes"):
        self_test.run_self_test(classifier.changed(labels=ks.LabelSet(("red", "blue"))), exam)


def test_weights_that_declare_more_than_they_store_are_not_loaded(bundle):
    """A dataset of HDF5 may have any shape and store nothing."""
    import io

    import h5py

    path = bundle.model_path
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights = io.BytesIO(members["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        file.create_dataset("layers/bomb/vars/0", shape=(1 << 33,), dtype="f4", chunks=True)
    members["model.weights.h5"] = weights.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    edit(bundle)
    with pytest.raises(StoreError, match="its weights would take 34,"):
        ks.load(path.parent, engine="keras")
    with pytest.raises(StoreError, match="its weights would take 34,"):
        _ = ks.load(path.parent).keras_model


@pytest.mark.skipif(os.name != "posix" or not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
def test_a_small_file_that_asks_for_gigabytes_costs_no_memory(bundle):
    """36 GB asked for by some hundred bytes: refused before Keras is even imported."""
    config = {
        "module": "keras", "class_name": "Sequential", "registered_name": None,
        "config": {"name": "s", "layers": [
            {"module": "keras.layers", "class_name": "InputLayer", "registered_name": None,
             "config": {"batch_shape": [None, SIDE, SIDE, 3], "dtype": "uint8", "name": "image"}},
            {"module": "keras.layers", "class_name": "Dense", "registered_name": None,
             "config": {"name": "logits", "units": 3_000_000_000}, "build_config": {"input_shape": [None, 3]}},
        ]},
    }  # fmt: skip
    with zipfile.ZipFile(bundle.model_path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", bytes(1500))
    assert bundle.model_path.stat().st_size < 3000
    edit(bundle)
    code = (
        "import sys; from pathlib import Path; from keensight.cli.main import main\n"
        f"code = main(['predict', {str(bundle.path)!r}, {str(bundle.path)!r}])\n"
        "peak = next(line for line in Path('/proc/self/status').read_text().splitlines() if line.startswith('VmHWM'))\n"
        "print(code, peak.split()[1], 'keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ended, peak, loaded = done.stdout.split()
    assert ended == "1" and int(peak) < 500_000 and loaded == "False"
    assert "bytes of memory for its weights, but its file has 1,500" in done.stderr
