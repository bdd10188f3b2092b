"""``keensight export`` as a process: what it writes, refuses and says; and what finds a changed export later."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import keensight as ks
from keensight.core.exports import digest_of

pytestmark = pytest.mark.slow
COMMAND = (sys.executable, "-m", "keensight")


def keensight(*arguments, cwd):
    done = subprocess.run([*COMMAND, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with photos and a run trained on them by the command line."""
    folder = tmp_path_factory.mktemp("export")
    rng = np.random.default_rng(0)
    for number, label in enumerate(("blue", "green", "red")):
        (folder / "photos" / label).mkdir(parents=True)
        for i in range(40):
            image = rng.integers(0, 160, (40, 50, 3))
            image[..., 2 - number] += 60
            Image.fromarray(image.astype(np.uint8)).save(folder / "photos" / label / f"{i}.png")
    code, _, err = keensight(
        "train", "photos", "--model", "cnn", "--epochs", "2", "--image-size", "24", "--run", "run", cwd=folder
    )
    assert code == 0, err
    return folder


def test_an_export_is_compared_on_the_test_set_and_says_what_it_is(place):
    code, out, err = keensight("export", "run", "--to", "litert", "--json", cwd=place)
    assert code == 0, err
    told = json.loads(out)
    assert told.keys() >= {"schema", "export", "format", "file", "bytes", "labels", "outputs", "parity"}
    assert told["export"] == "run/exports/litert" and told["labels"] == ["blue", "green", "red"]
    parity = told["parity"]
    assert parity["ok"] and parity["agreement"] == 1.0 and parity["largest"] < 1e-4
    assert parity["held_out"] == len(ks.open_run(place / "run").split.test) and parity["note"] == ""
    assert "largest difference of a probability" in err and "Traceback" not in err and "WARNING" not in err
    assert (place / told["file"]).stat().st_size == told["bytes"]
    about = json.loads((place / "run/exports/litert/export.json").read_text())
    test = ks.open_run(place / "run").record.results["test"]
    assert about["metrics"]["accuracy_ci"] == list(test["accuracy_ci"]) and "caveats" in about["metrics"]


def test_the_reader_predicts_as_the_command_does_without_keensight(place):
    photos = sorted((place / "photos").rglob("*.png"))[::10]
    reader = place / "run/exports/litert/reader.py"
    # -S leaves installed packages out; what is needed is put back, so that Keensight's sources cannot be imported.
    script = f"import sys, runpy; sys.modules['keensight'] = None; sys.argv[1:] = {list(map(str, photos))!r}; " + (
        f"sys.path.insert(0, {str(reader.parent)!r}); runpy.run_path({str(reader)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, cwd=place)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    expected = ks.predict(place / "run", photos).rows()
    assert [row["label"] for row in found] == [row["label"] for row in expected]
    assert [row["decision"] for row in found] == [row["decision"] for row in expected]
    assert max(abs(a["probability"] - b["probability"]) for a, b in zip(found, expected, strict=True)) < 1e-4


def test_a_place_that_is_taken_is_refused_before_any_work_and_replaced_if_asked(place):
    code, out, err = keensight("export", "run", "--to", "litert", cwd=place)
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "error: run/exports/litert already exists", "hint: add --replace, or choose another place with --out"
    ]  # fmt: skip
    before = (place / "run/exports/litert/export.json").stat().st_ino
    assert keensight("export", "run", "--to", "litert", "--replace", "--quiet", cwd=place)[0] == 0
    assert (place / "run/exports/litert/export.json").stat().st_ino != before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--to", "tflight"), "error: invalid value for '--to': 'tflight' is not one of 'keras', "),
        ((), "error: missing option '--to'. Choose from: keras, "),
    ],
)
def test_a_wrong_option_is_a_usage_error(place, arguments, told):
    code, out, err = keensight("export", "run", *arguments, cwd=place)
    assert (code, out) == (2, "")
    assert err.startswith(told), err


def test_int8_needs_images_and_says_so(place, tmp_path):
    shutil.copytree(place / "run" / "bundle", tmp_path / "bundle")
    code, out, err = keensight("export", "bundle", "--to", "litert-int8", "--json", cwd=tmp_path)
    assert code == 2 and "--data SOURCE" in err
    assert json.loads(out)["error"]["code"] == 2
    assert [item.name for item in tmp_path.iterdir()] == ["bundle"]


@pytest.fixture(scope="module")
def tiny(place):
    """A bundle of a network that is so small that the frame of its file outweighs the weights."""
    data = ks.open(place / "photos")
    split, spec = ks.split(data), ks.ImageSpec(24, 24)
    model = ks.Classifier(ks.build(data, spec, "cnn", width=2), data.labels, spec)
    return ks.bundle(model, data, split, place / "tiny", name="cnn").path


def test_what_the_gate_refuses_is_not_written_and_the_table_says_why(place, tiny):
    code, out, err = keensight(
        "export", tiny.name, "--to", "litert-int8", "--data", "photos", "--out", "made/int8", "--json", cwd=place
    )
    assert code == 3, err
    assert "FAILED  size of the file" in err and "Traceback" not in err and "Warning" not in err
    error = json.loads(out)["error"]
    assert error["code"] == 3 and "size of the file is" in error["message"] and "(allowed: 3x)" in error["message"]
    assert not list((place / "made").iterdir())


def test_without_its_images_an_export_is_compared_on_the_self_test_alone_and_says_so(place, tmp_path):
    shutil.copytree(place / "run" / "bundle", tmp_path / "bundle")
    code, out, err = keensight("export", "bundle", "--to", "litert-fp16", "--json", cwd=tmp_path)
    assert code == 0, err
    parity = json.loads(out)["parity"]
    assert (parity["held_out"], parity["self_test"]) == (0, 8) and "only the self-test was compared" in parity["note"]
    assert (tmp_path / "exports" / "litert-fp16" / "model.tflite").is_file()


def test_given_images_are_sorted_by_what_the_bundle_learned_from(place, tmp_path):
    shutil.copytree(place / "run" / "bundle", tmp_path / "bundle")
    made = ks.export(tmp_path / "bundle", to="litert", data=place / "photos")
    assert made.parity.held_out == len(ks.open_run(place / "run").split.test)


@pytest.fixture
def export(place, tmp_path):
    shutil.copytree(place / "run" / "exports" / "litert", tmp_path / "litert")
    return tmp_path / "litert"


def test_verify_takes_the_self_test_of_an_export_again(export):
    code, out, _ = keensight("verify", export.name, cwd=export.parent)
    assert code == 0
    *checks, verdict = out.splitlines()
    assert [line[:6] for line in checks] == ["ok    "] * 3 and verdict.endswith("predicts as when it was made")


def test_a_tampered_export_is_refused_by_name(export):
    (export / "model.tflite").write_bytes((export / "model.tflite").read_bytes() + b"x")
    code, out, err = keensight("verify", export.name, "--json", cwd=export.parent)
    assert (code, err) == (1, "")
    found = json.loads(out)
    assert not found["ok"] and "model.tflite was changed or is damaged" in found["checks"][-1]["message"]


def test_labels_in_another_order_fail_the_self_test_even_with_a_new_digest(export):
    path = Path(export / "export.json")
    plain = json.loads(path.read_text())
    plain["labels"] = [*plain["labels"][1:], plain["labels"][0]]
    path.write_text(json.dumps({**plain, "digest": digest_of(plain)}))
    found = ks.verify(export)
    assert not found.ok and not found.damaged and "disagree" in found.checks[-1].message


def test_predictions_that_changed_fail_the_self_test(export):
    path = Path(export / "export.json")
    plain = json.loads(path.read_text())
    plain["self_test"][0]["exported"] = plain["self_test"][0]["exported"][::-1]
    path.write_text(json.dumps({**plain, "digest": digest_of(plain)}))
    code, out, _ = keensight("verify", export.name, cwd=export.parent)
    assert code == 3 and "FAILED  self-test: its predictions differ" in out
    assert out.splitlines()[-1].endswith("does not predict as when it was made")


def test_an_older_bundle_gets_its_light_form(place, tmp_path):
    shutil.copytree(place / "run" / "bundle", tmp_path / "bundle")
    manifest = tmp_path / "bundle" / "manifest.json"
    plain = json.loads(manifest.read_text())
    del plain["files"]["model.tflite"]
    manifest.write_text(json.dumps(plain))
    (tmp_path / "bundle" / "model.tflite").unlink()
    code, out, err = keensight("export", "bundle", "--to", "bundle", "--out", "x", cwd=tmp_path)
    assert (code, out) == (2, "") and err.startswith("error: --to bundle changes the bundle itself\nhint: ")
    code, out, err = keensight("export", "bundle", "--to", "bundle", "--json", cwd=tmp_path)
    assert code == 0, err
    told = json.loads(out)
    assert (tmp_path / told["file"]).stat().st_size == told["bytes"]
    assert ks.open_bundle(tmp_path / "bundle").has_light
