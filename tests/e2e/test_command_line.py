"""Whole commands as a user types them, each in its own process."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "keensight"]
KINDS = ("näcken", "sjöjungfru ✓")
PER_KIND = 24


def environment(cache, **more):
    return {**os.environ, "KEENSIGHT_CACHE": str(cache), "PYTHONIOENCODING": "utf-8", **more}


def keensight(*arguments, cwd, cache, **more):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd, env=environment(cache, **more), capture_output=True, text=True, encoding="utf-8",
        errors="replace", timeout=300, check=False,
    )  # fmt: skip


def draw(kind, rng):
    """A 24 px image, noisy; dark with a bright left half for kind 0, a bright top half for kind 1."""
    pixels = rng.integers(0, 90, (24, 24, 3), dtype=np.uint8)
    if kind == 0:
        pixels[:, :12] += 150
    else:
        pixels[:12] += 150
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with ``photos`` (two classes and one broken file), ``new`` images, and a cache."""
    root = tmp_path_factory.mktemp("walk")
    rng = np.random.default_rng(0)
    for number, kind in enumerate(KINDS):
        (root / "photos" / kind).mkdir(parents=True)
        for i in range(PER_KIND):
            draw(number, rng).save(root / "photos" / kind / f"{i:02}.png")
    (root / "photos" / KINDS[0] / "broken.png").write_bytes(b"no image at all")
    (root / "new").mkdir()
    for i in range(4):
        draw(i % 2, rng).save(root / "new" / f"new {i}.png")
    (root / "new" / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def trained(place, cache):
    """One trained run, and what the command printed."""
    done = keensight(
        "train", "photos", "--run", "run", "--model", "cnn", "--epochs", 1, "--image-size", 16, "--set",
        "train.batch_size=8", "--json", cwd=place, cache=cache,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return place / "run", done


def test_train_prints_one_document_and_nothing_else(trained):
    document = json.loads(trained[1].stdout)
    assert Path(document["run"]).name == "run"
    assert document["labels"] == list(KINDS)
    assert document["model"] == "cnn"
    assert document["data"]["quarantined"] == 1
    assert sum(document["data"][part] for part in ("train", "val", "test")) == 2 * PER_KIND
    test = document["test"]
    assert test["n"] == document["data"]["test"]
    assert test["accuracy_ci"][0] <= test["accuracy"] <= test["accuracy_ci"][1]
    assert {"loss", "macro_f1", "ece"} <= set(test)
    assert document["seconds"] > 0


def test_progress_goes_to_standard_error(trained):
    assert "epoch" in trained[1].stderr.lower() or "training" in trained[1].stderr.lower()
    assert "Traceback" not in trained[1].stderr


def test_the_run_holds_what_the_plan_says(trained):
    record = json.loads((trained[0] / "run.json").read_text(encoding="utf-8"))
    assert record["state"] == "finished"
    assert record["command"].startswith("keensight train photos --run run")
    for name in ("config.toml", "dataset.parquet", "audit.json", "split.csv", "history.jsonl", "report.html",
                 "bundle/manifest.json", "bundle/model.keras", "bundle/MODEL_CARD.md",
                 "evaluation/predictions.csv"):  # fmt: skip
        assert (trained[0] / name).is_file(), name


def test_evaluate_repeats_the_figures(trained, place, cache):
    done = keensight("evaluate", "run", "--json", cwd=place, cache=cache)
    assert done.returncode == 0, done.stderr
    trained_document = json.loads(trained[1].stdout)
    del trained_document["reading"]  # an evaluation of a run reads no source
    assert json.loads(done.stdout) == trained_document


def test_evaluate_in_words(trained, place, cache):
    done = keensight("evaluate", "run", cwd=place, cache=cache)
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout


def test_evaluate_on_other_images(trained, place, cache):
    rng = np.random.default_rng(7)
    for number, kind in enumerate(KINDS):
        (place / "others" / kind).mkdir(parents=True)
        for i in range(3):
            draw(number, rng).save(place / "others" / kind / f"{i}.png")
    for model in ("run", "run/bundle"):
        done = keensight("evaluate", model, "others", "--json", cwd=place, cache=cache)
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert document["test"]["n"] == 6
        assert document["source"] == "others"
        assert document["labels"] == list(KINDS)


def test_explain_writes_a_picture_of_each_image_and_a_row_of_each_bad_file(trained, place, cache):
    done = keensight("explain", "run", "new", "--out", "why", "--json", cwd=place, cache=cache)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["error"] is None for row in rows] == [True] * 4 + [False]
    assert sorted(path.name for path in (place / "why").iterdir()) == [f"new {i}.png" for i in range(4)]
    for row in rows[:4]:
        assert row["explained"] == row["label"] in KINDS and 0 < row["probability"] <= 1
        with Image.open(place / row["picture"]) as picture:
            assert picture.width > 400
    assert rows[4]["picture"] is None and "torn.jpg" in done.stderr


def test_explain_takes_a_class_and_says_which_there_are(trained, place, cache):
    one = keensight("explain", "run", "new/new 0.png", "--out", "other", "--class", KINDS[1], cwd=place, cache=cache)
    assert one.returncode == 0 and KINDS[1] in one.stdout, one.stderr
    wrong = keensight("explain", "run", "new/new 0.png", "--out", "wrong", "--class", "nix", cwd=place, cache=cache)
    assert wrong.returncode == 2 and KINDS[0] in wrong.stderr and not (place / "wrong").exists()
    torn = keensight("explain", "run", "new/torn.jpg", "--out", "torn", cwd=place, cache=cache)
    assert torn.returncode == 1 and not (place / "torn").exists()


def test_predict_json_keeps_a_bad_file_as_a_row(trained, place, cache):
    done = keensight("predict", "run", "new", "--json", "--top", 1, cwd=place, cache=cache)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [Path(row["path"]).name for row in rows] == ["new 0.png", "new 1.png", "new 2.png", "new 3.png", "torn.jpg"]
    assert [row["error"] is None for row in rows] == [True] * 4 + [False]
    assert all(len(row["top"]) == 1 for row in rows[:4])
    assert all(row["label"] in KINDS and 0 <= row["probability"] <= 1 for row in rows[:4])
    assert "1 of 5 files could not be read" in done.stderr


def test_predict_prints_the_same_csv_as_it_writes(trained, place, cache):
    printed = keensight("predict", "run", "new", cwd=place, cache=cache)
    written = keensight("predict", "run", "new", "--out", "out.csv", cwd=place, cache=cache)
    assert printed.returncode == written.returncode == 0, printed.stderr
    with (place / "out.csv").open(encoding="utf-8", newline="") as stream:
        from_file = list(csv.DictReader(stream))
    on_screen = list(csv.DictReader(io.StringIO(printed.stdout)))
    assert list(on_screen[0]) == list(from_file[0])
    assert [row["label"] for row in on_screen] == [row["label"] for row in from_file]
    assert [row["error"] for row in on_screen] == [row["error"] for row in from_file]
    for ours, theirs in zip(on_screen[:4], from_file[:4], strict=True):
        assert float(ours["probability"]) == pytest.approx(float(theirs["probability"]), abs=5e-5)


@pytest.mark.parametrize("name", ["out.json", "out.parquet"])
def test_predict_writes_other_tables(trained, place, cache, name):
    done = keensight("predict", "run/bundle", "new/*.png", "--out", name, cwd=place, cache=cache)
    assert done.returncode == 0, done.stderr
    assert name in done.stdout
    if name.endswith(".json"):
        assert len(json.loads((place / name).read_text(encoding="utf-8"))) == 4
    else:
        import pandas as pd

        assert list(pd.read_parquet(place / name)["label"].notna()) == [True] * 4


def test_predict_fails_only_where_every_image_fails(trained, place, cache):
    done = keensight("predict", "run", "new/torn.jpg", "--json", cwd=place, cache=cache)
    assert done.returncode == 1
    assert json.loads(done.stdout)[0]["error"]


def test_predict_survives_an_old_console(trained, place, cache):
    done = subprocess.run(
        [*COMMAND, "predict", "run", "new"], cwd=place, env=environment(cache, PYTHONIOENCODING="ascii"),
        capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"?" in done.stdout


def test_report_is_written_again(trained, place, cache):
    report = trained[0] / "report.html"
    report.unlink()
    done = keensight("report", "run", "--json", cwd=place, cache=cache)
    assert done.returncode == 0, done.stderr
    assert Path(json.loads(done.stdout)["report"]).name == "report.html"
    assert report.stat().st_size > 10_000


def test_runs_lists_the_run(trained, place, cache):
    done = keensight("runs", ".", "--json", cwd=place, cache=cache)
    assert done.returncode == 0, done.stderr
    found = [row for row in json.loads(done.stdout) if Path(row["run"]).name == "run"]
    assert found[0]["state"] == "finished"
    assert 0 <= found[0]["accuracy"] <= 1
    assert "finished" in keensight("runs", ".", cwd=place, cache=cache).stdout


def test_a_run_is_never_written_over(trained, place, cache):
    done = keensight("train", "photos", "--run", "run", "--epochs", 1, cwd=place, cache=cache)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") or "\nerror: " in done.stderr
    assert json.loads((trained[0] / "run.json").read_text(encoding="utf-8"))["state"] == "finished"


def test_cache_is_shown_and_cleared(trained, place, cache):
    held = json.loads(keensight("cache", "show", "--json", cwd=place, cache=cache).stdout)
    assert held["bytes"] > 0
    assert Path(held["directory"]) == cache
    cleared = keensight("cache", "clear", "--yes", "--json", cwd=place, cache=cache)
    assert cleared.returncode == 0, cleared.stderr
    assert json.loads(keensight("cache", "--json", cwd=place, cache=cache).stdout)["bytes"] == 0


def test_doctor_finds_this_machine_well(place, cache):
    done = keensight("doctor", "--json", cwd=place, cache=cache)
    document = json.loads(done.stdout)
    assert done.returncode == bool(document["problems"]), done.stderr
    assert any("CPU" in device for device in document["devices"])
    assert document["sample_sets"]["mnist"] == 5000
    assert document["versions"]["keensight"]


def test_ctrl_c_while_training_leaves_an_interrupted_run(place, cache):
    if os.name == "nt":
        pytest.skip("a process cannot be sent Ctrl-C alone on Windows")
    process = subprocess.Popen(
        [*COMMAND, "train", "photos", "--run", "stopped", "--model", "cnn", "--epochs", "500", "--image-size", "16",
         "--set", "train.patience=500", "--json"],
        cwd=place, env=environment(cache), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip
    history = place / "stopped" / "history.jsonl"
    until = time.monotonic() + 120
    while not (history.exists() and history.stat().st_size) and time.monotonic() < until and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert json.loads(out)["error"]["code"] == 130
    assert "Traceback" not in err
    assert "error: " in err
    record = json.loads((place / "stopped" / "run.json").read_text(encoding="utf-8"))
    assert record["state"] == "interrupted"


def test_a_reader_that_leaves_early_is_no_drama(trained, place, cache):
    process = subprocess.Popen(
        [*COMMAND, "predict", "run", *["new"] * 2000], cwd=place, env=environment(cache),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.stdout.close()
    err = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(timeout=300) == 1
    assert "Traceback" not in err
    assert "BrokenPipe" not in err


def test_predict_reads_within_bounds_and_leaves_no_file_out_in_silence(trained, place, cache):
    album = place / "album"
    album.mkdir()
    (album / "good.png").write_bytes((place / "new" / "new 0.png").read_bytes())
    (album / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    for name in ("Thumbs.db", ".hidden.png", "notes.txt"):
        (album / name).write_bytes(b"x")
    unread = {"IMG_1.HEIC": "damaged HEIC: it cannot be decoded"}
    if hasattr(os, "mkfifo"):
        os.mkfifo(album / "pipe.png")
        (album / "zero.png").symlink_to("/dev/zero")
        unread |= {"pipe.png": "not a regular file (a named pipe)", "zero.png": "not a regular file (a device)"}
    done = keensight("predict", "run", "album", "--json", cwd=place, cache=cache)
    assert done.returncode == 0, done.stderr
    rows = {Path(row["path"]).name: row["error"] for row in json.loads(done.stdout)}
    rows["IMG_1.HEIC"] = rows["IMG_1.HEIC"].partition(" (")[0]  # what follows are the library's words
    assert rows == {"good.png": None, **unread}
    assert f"{len(unread)} of {len(rows)} files could not be read" in done.stderr
    assert "skipped: 1 file is not an image (.txt)" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["predict", "run", "new", "--out", "a.xlsx"], 2, "cannot write predictions as .xlsx"),
        (["predict", "run", "new", "--embeddings", "a.json"], 2, "cannot write embeddings as .json"),
        (["predict", "run", "new", "--out", "new/torn.jpg/a.csv"], 1, "torn.jpg is not a folder"),
        (["predict", "run", "new", "--embeddings", "new.npz"], 1, "new.npz: it is a folder"),
        (["explain", "run", "new", "--out", "new/torn.jpg/why"], 1, "torn.jpg is not a folder"),
    ],
)
def test_a_place_for_the_answer_is_checked_before_any_work(trained, place, cache, arguments, code, message):
    (place / "new.npz").mkdir(exist_ok=True)
    done = keensight(*arguments, cwd=place, cache=cache)
    assert done.returncode == code and message in done.stderr, done.stderr
    assert "predicting" not in done.stderr and "explaining" not in done.stderr
    assert done.stdout == ""


def test_evaluate_on_images_of_one_class_says_what_they_can_tell(trained, place, cache):
    rng = np.random.default_rng(8)
    (place / "one" / KINDS[0]).mkdir(parents=True)
    for i in range(5):
        draw(0, rng).save(place / "one" / KINDS[0] / f"{i}.png")
    done = keensight("evaluate", "run", "one", "--json", cwd=place, cache=cache)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["test"]["n"] == 5
    refused = keensight("train", "one", cwd=place, cache=cache)
    assert refused.returncode == 1 and "only one class" in refused.stderr
