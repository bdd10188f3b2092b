"""`keensight tune` as a real process: trials without a test, one model tested, and a study that survives a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("optuna", reason="the extra `tune` is not installed")

import keensight as ks
from keensight.core.config import RunConfig
from keensight.store.study import Study, open_study

COMMAND = (sys.executable, "-m", "keensight")
OPTIONS = ("--trials", "2", "--model", "cnn", "--effort", "quick", "--space", "train.epochs=1,2", "--space",
           "model.dropout=0.1,0.4", "--set", "model.width=4", "--set", "train.batch_size=16", "--set",
           "train.threads=1")  # fmt: skip


def keensight(*arguments: object, cwd: Path) -> tuple[int, str, str]:
    done = subprocess.run([*COMMAND, *map(str, arguments)], cwd=cwd, capture_output=True, timeout=900, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set of two classes."""
    place = tmp_path_factory.mktemp("tune")
    rng = np.random.default_rng(0)
    for number, label in enumerate("ab"):
        (place / "photos" / label).mkdir(parents=True)
        for i in range(30):
            image = rng.integers(0, 200, (16, 16, 3)) + 15 * number
            Image.fromarray(image.astype(np.uint8)).save(place / "photos" / label / f"{i}.png")
    return place


def compared(study: Study) -> list[tuple[Any, ...]]:
    """What must be the same in a study that was killed."""
    digests = [ks.open_run(study.trial_path(one.number)).record.results.get("weights_digest") for one in study.trials]
    known = [(one.number, dict(one.settings), one.state, one.value) for one in study.trials]
    return [(*one, digest) for one, digest in zip(known, digests, strict=True)]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX systems do")
def test_a_study_tests_only_the_chosen_model_and_a_killed_one_ends_alike(place: Path) -> None:
    code, out, err = keensight(
        "tune",
        "photos",
        "--study",
        "alone",
        "--track",
        f"tensorboard={place / 'events'}",
        "--json",
        *OPTIONS,
        cwd=place,
    )
    assert code == 0, err
    said = json.loads(out)
    alone = open_study(place / "alone")
    assert said["schema"] == 1 and said["study"] == "alone" and said["trial"] == alone.record.chosen
    assert said["best_value"] == alone.record.best.value and said["chosen"]["trials"] == 2  # type: ignore[union-attr]
    assert [one["state"] for one in said["trials"]] == ["complete"] * 2
    assert said["test"] == alone.run.record.results["test"]
    assert [one.number for one in alone.trials] == [0, 1]
    assert alone.page_path.is_file() and alone.run.report_path.is_file()
    assert "was chosen among 2 trials" in alone.run.report_path.read_text(encoding="utf-8")
    assert len(list((place / "events").rglob("*.keensight"))) == 3

    untested = next(one for one in alone.trials if one.number != alone.record.chosen)
    run = ks.open_run(alone.trial_path(untested.number))
    assert run.state == "finished" and "test" not in run.record.results and not run.report_path.exists()
    assert (alone.run.bundle_path / "model.tflite").is_file() and not (run.bundle_path / "model.tflite").exists()
    assert run.record.message == "not tested: it was evaluated on the validation set only"
    assert {ks.open_run(alone.trial_path(one.number)).record.results["split_digest"] for one in alone.trials} == {
        alone.record.split_digest
    }
    for command in (("evaluate",), ("report",), ("review",), ("compare", alone.run.path)):
        code, out, err = keensight(*command, run.path, cwd=place)
        assert (code, out) == (1, "") and "was not tested: it was evaluated on the validation set only" in err
    code, out, _ = keensight("runs", "alone/trials", "--json", cwd=place)
    assert code == 0 and sorted(one["accuracy"] is None for one in json.loads(out)) == [False, True]

    with (place / "err").open("ab") as errors:
        process = subprocess.Popen(
            [*COMMAND, "tune", "photos", "--study", "killed", *OPTIONS],
            cwd=place,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        wait_for(place / "killed" / "trials" / "0001" / "run.json", process)
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    assert open_study(place / "killed").record.state == "running"
    code, _, err = keensight("tune", "--resume", "killed", cwd=place)
    assert code == 0, err
    assert compared(open_study(place / "killed")) == compared(alone)
    code, _, err = keensight("tune", "--resume", "killed", "--trials", "9", cwd=place)
    assert code == 2 and "--trials has no effect together with --resume" in err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX systems do")
def test_a_lost_process_costs_one_trial_and_ctrl_c_none(place: Path) -> None:
    study = place / "lost"
    with (place / "err").open("ab") as errors:
        process = subprocess.Popen(
            [*COMMAND, "tune", "photos", "--study", "lost", *OPTIONS],
            cwd=place, stdout=subprocess.DEVNULL, stderr=errors,
        )  # fmt: skip
        wait_for(study / "trials" / "0000" / "run.json", process)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        if not children.is_file():
            process.kill()
            pytest.skip("this system does not list the children of a process")
        os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
        wait_for(study / "trials" / "0001" / "run.json", process)
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 130
    found = open_study(study)
    assert found.record.state == "interrupted"
    assert [one.state for one in found.trials] == ["failed", "running"]
    assert found.trials[0].message == "its process ended with signal 9: probably out of memory"
    assert ks.open_run(found.trial_path(0)).record.message == found.trials[0].message
    code, out, err = keensight("tune", "--resume", "lost", cwd=place)
    assert code == 0, err
    assert [one.state for one in open_study(study).trials] == ["failed", "complete"]
    assert "1 complete, 1 failed" in out


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX systems do")
def test_a_study_killed_before_its_first_trial_keeps_what_was_given(place: Path) -> None:
    """Also a default that was given explicitly: it must not be searched after the resume."""
    study, default = place / "early", RunConfig().train.weight_decay
    options = ("--trials", "1", "--model", "cnn", "--effort", "quick", "--epochs", "1", "--set", "model.width=4",
               "--set", "train.threads=1", "--set", f"train.weight_decay={default}")  # fmt: skip
    with (place / "err").open("ab") as errors:
        process = subprocess.Popen(
            [*COMMAND, "tune", "photos", "--study", "early", *options],
            cwd=place, stdout=subprocess.DEVNULL, stderr=errors,
        )  # fmt: skip
        wait_for(study / "study.json", process)
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    assert not open_study(study).record.model
    code, _, err = keensight("tune", "--resume", "early", cwd=place)
    assert code == 0, err
    searched = {one.name for one in open_study(study).record.space}
    assert "model.dropout" in searched and "train.weight_decay" not in searched


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 600
    while process.poll() is None and not path.is_file() and time.monotonic() < until:
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos", "--space", "train.epoch=1,2"], "there is no setting 'train.epoch'"),
        (["photos", "--metric", "map"], "of one class per image there is no mAP"),
        (["photos", "--task", "anomaly"], "there is no option '--task'"),
        (["photos", "--set", "data.task=anomaly"], "tuning is for classifiers: anomaly detectors have no settings"),
        (["--resume", "photos"], "is not a study"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_written(
    arguments: list[str], message: str, place: Path
) -> None:
    code, out, err = keensight("tune", *arguments, cwd=place)
    assert code in (1, 2) and out == "" and message in err
    assert not (place / "studies").exists()


def test_images_in_memory_are_refused_with_what_to_do() -> None:
    images = np.zeros((20, 8, 8), np.uint8)
    with pytest.raises(ks.UsageError, match="in memory") as caught:
        ks.tune((images, ["a", "b"] * 10), 2)
    assert "save the images" in (caught.value.hint or "")
    assert os.environ["KEENSIGHT_CACHE"]
