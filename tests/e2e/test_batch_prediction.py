"""Predictions of many images into a file: the same rows as of a few, in parts, continued after a stop."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

import keensight as ks
from keensight.cli.main import main
from keensight.core.pixels import encode_png
from keensight.errors import StoreError, UsageError
from keensight.nets.classifier import Classifier
from keensight.workflow import prediction_tables

pytestmark = pytest.mark.slow
SPEC = ks.ImageSpec(16, 16)
FIRST = ["path", "label", "probability", "decision", "reason", "error", "note", "set", "ood_score", "model"]


def draw(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 16, 16, 3), np.uint8)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    data = ks.from_arrays(draw(60), np.repeat(("blue", "green", "red"), 20))
    model = ks.Classifier(ks.build(data, SPEC, "cnn", width=4), data.labels, SPEC)
    return ks.bundle(model, data, ks.split(data), tmp_path_factory.mktemp("batch") / "bundle")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for place, image in enumerate(draw(22, 1)):
        (folder / f"{place}.png").write_bytes(encode_png(image))
    (folder / "=5.png").write_bytes(b"no image")
    return folder


def rows(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(prediction_tables, "_PART", 5)
    monkeypatch.setattr("keensight.nets.light._TAKEN", 0)  # one image at a time


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("top", [1, 2, 9])
def test_the_file_has_the_rows_of_predict_and_the_same_first_columns_whatever_top_is(bundle, photos, tmp_path, top):
    done = ks.predict_to_file(bundle.path, photos, tmp_path / "found.csv", top=top)
    assert (done.images, done.unreadable) == (23, 1)
    found, expected = rows(tmp_path / "found.csv"), ks.predict(bundle.path, photos).rows(top)
    assert list(found[0])[:10] == FIRST
    ranked = [f"{name}_{k}" for k in range(2, min(top, 3) + 1) for name in ("label", "probability")]
    assert list(found[0])[10:] == ranked
    for one, other in zip(found, expected, strict=True):
        assert one["path"] == other["path"] and one["model"].startswith("arrays@") and len(one["model"]) == 19
        assert (one["label"] or None, one["error"] or None) == (other["label"], other["error"])
        if other["error"] is None:
            assert float(one["probability"]) == pytest.approx(other["probability"], abs=1e-6)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".found")] == []


@pytest.mark.usefixtures("small_parts")
def test_parquet_has_the_same_rows_as_csv(bundle, photos, tmp_path):
    ks.predict_to_file(bundle.path, photos, tmp_path / "found.csv")
    ks.predict_to_file(bundle.path, photos, tmp_path / "found.parquet")
    table, text = pd.read_parquet(tmp_path / "found.parquet"), pd.read_csv(tmp_path / "found.csv")
    assert list(table.columns) == list(text.columns) and len(table) == len(text) == 23
    assert list(table["label"].dropna()) == list(text["label"].dropna())
    np.testing.assert_allclose(table["probability"].dropna(), text["probability"].dropna())
    assert table["error"].notna().sum() == 1


@pytest.mark.usefixtures("small_parts")
def test_a_second_call_continues_where_the_first_stopped(bundle, photos, tmp_path, monkeypatch):
    out, asked, real = tmp_path / "found.csv", [], Classifier.stream

    def stopping(self, images, first=0):
        asked.append((len(images), first))
        for count, part in enumerate(real(self, images, first)):
            if len(asked) == 1 and count == 12:
                raise KeyboardInterrupt
            yield part

    monkeypatch.setattr(Classifier, "stream", stopping)
    with pytest.raises(KeyboardInterrupt):
        ks.predict_to_file(bundle.path, photos, out)
    assert not out.exists()
    assert json.loads((tmp_path / ".found.csv.parts" / "state.json").read_text())["rows"] == 10
    done = ks.predict_to_file(bundle.path, photos, out)
    assert asked == [(23, 0), (13, 10)]
    assert (done.images, done.unreadable) == (23, 1)
    assert [row["path"] for row in rows(out)] == list(ks.predict(bundle.path, photos).paths)
    ks.predict_to_file(bundle.path, photos, out)
    assert asked[-1] == (23, 0)  # what is finished is done again


@pytest.mark.usefixtures("small_parts")
def test_other_images_begin_again(bundle, photos, tmp_path):
    out = tmp_path / "found.csv"
    folder = tmp_path / ".found.csv.parts"
    folder.mkdir()
    (folder / "state.json").write_text(json.dumps({"key": "another", "parts": 3, "rows": 15}))
    assert ks.predict_to_file(bundle.path, photos, out).images == 23
    folder.mkdir()
    (folder / "mine.txt").write_text("not Keensight's")
    with pytest.raises(StoreError, match="is in the way"):
        ks.predict_to_file(bundle.path, photos, out)
    assert (folder / "mine.txt").is_file()


def test_images_in_memory_keep_their_numbers(bundle, tmp_path):
    ks.predict_to_file(bundle.path, draw(3), tmp_path / "found.csv")
    assert [row["path"] for row in rows(tmp_path / "found.csv")] == ["image 0", "image 1", "image 2"]


def test_the_place_is_checked_before_any_work(tmp_path):
    with pytest.raises(UsageError, match=r"cannot write predictions as \.json"):
        ks.predict_to_file(tmp_path / "no bundle", tmp_path, tmp_path / "found.json")
    with pytest.raises(StoreError, match="is not a folder"):
        (tmp_path / "file").write_text("")
        ks.predict_to_file(tmp_path / "no bundle", tmp_path, tmp_path / "file" / "found.csv")


def test_lists_of_files_and_the_exit_code(bundle, photos, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [f"photos/{place}.png" for place in range(22)]
    (tmp_path / "list.txt").write_text("\n".join(names))
    pd.DataFrame({"path": [str(tmp_path / name) for name in names]}).to_parquet(tmp_path / "list.parquet")
    for given in ("list.txt", "list.parquet", "photos/*.png"):
        assert main(["predict", str(bundle.path), given, "--out", "found.csv"]) == 0
        assert len(rows(tmp_path / "found.csv")) == (23 if "*" in given else 22)
    assert "23 predictions in found.csv" in capsys.readouterr().out
    assert main(["predict", str(bundle.path), "photos/=5.png", "--out", "found.csv"]) == 1
    assert "1 of 1 files could not be read" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="sends SIGTERM")
def test_a_stopped_process_continues_as_a_process(bundle, photos, tmp_path):
    names = [str(photos / f"{place % 22}.png") for place in range(30_000)]
    (tmp_path / "list.txt").write_text("\n".join(names))
    command = [sys.executable, "-m", "keensight", "predict", str(bundle.path), "list.txt", "--out", "found.csv"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    state, ends = tmp_path / ".found.csv.parts" / "state.json", time.monotonic() + 120
    while time.monotonic() < ends and not (state.is_file() and json.loads(state.read_text())["parts"] >= 2):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130 and told.splitlines()[-1] == "error: interrupted"
    kept = json.loads(state.read_text())["rows"]
    assert 2000 <= kept < 30_000 and not (tmp_path / "found.csv").exists()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout == "30,000 predictions in found.csv\n"
    assert f"continuing: {kept:,} of 30,000 images are done" in done.stderr
    assert [row["path"] for row in rows(tmp_path / "found.csv")] == names
