"""kill -9 at chosen and random moments, as real processes: a resumed run ends as one that was left alone."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keensight.core.codec import to_plain
from keensight.store.bundle import open_bundle
from keensight.store.run import open_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX systems do"),
]
COMMAND = (sys.executable, "-m", "keensight")
# The number of threads is measured by default: two runs from two caches need not begin with the same one.
OPTIONS = ("--model", "cnn", "--effort", "quick", "--epochs", "4", "--set", "model.width=4",
           "--set", "train.batch_size=16", "--set", "train.checkpoint_minutes=0.005",
           "--set", "train.threads=1")  # fmt: skip


def keensight(*arguments: object, cwd: Path) -> tuple[int, str, str]:
    done = subprocess.run([*COMMAND, *map(str, arguments)], cwd=cwd, capture_output=True, timeout=900, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def killed(*arguments: object, cwd: Path, when: Callable[[], bool], at_most: float = 600) -> bool:
    """Start a command, and kill it when a condition holds; whether it was still running then."""
    with (cwd / "err").open("ab") as errors:
        process = subprocess.Popen([*COMMAND, *map(str, arguments)], cwd=cwd, stdout=subprocess.DEVNULL, stderr=errors)
        until = time.monotonic() + at_most
        while process.poll() is None and not when() and time.monotonic() < until:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        return process.wait(60) == -signal.SIGKILL


def outcome(path: Path) -> dict[str, Any]:
    """All that must be the same."""
    run = open_run(path)
    history = run.history
    timeless = [dataclasses.replace(epoch, seconds=0.0) for epoch in history.epochs]
    manifest = open_bundle(path).manifest
    kept = ("weights_digest", "split_digest", "dataset_digest", "test")
    return {
        **{name: run.record.results[name] for name in kept},
        "history": to_plain(dataclasses.replace(history, epochs=tuple(timeless))),
        "temperature": manifest.temperature,
        "decision": to_plain(manifest.decision),
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set of three classes, and a run that was left alone."""
    place = tmp_path_factory.mktemp("resume")
    rng = np.random.default_rng(0)
    for number, label in enumerate("abc"):
        (place / "photos" / label).mkdir(parents=True)
        for i in range(30):
            image = rng.integers(0, 150, (24, 24, 3)) + 15 * number
            Image.fromarray(image.astype(np.uint8)).save(place / "photos" / label / f"{i}.png")
    code, _, err = keensight("train", "photos", "--run", "alone", *OPTIONS, cwd=place)
    assert code == 0, err
    return place


MOMENTS = {
    "before it is trained": lambda run: (run / "split.csv").exists(),
    "in an epoch": lambda run: len(list(run.glob("checkpoints/train-0000[12]-*"))) > 1,
    "after the training": lambda run: (run / "history.json").exists(),
    "with a bundle": lambda run: (run / "bundle").exists(),
    "while results are written": lambda run: (run / "evaluation").exists(),
    "before the report": lambda run: "finished" in (run / "run.json").read_text() if (run / "run.json").exists() else 0,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_that_is_killed_then_ends_with_the_same_bits(
    place: Path, tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEENSIGHT_CACHE", str(tmp_path / "cache"))
    run = tmp_path / "run"
    if not killed("train", "photos", "--run", run, *OPTIONS, cwd=place, when=lambda: MOMENTS[moment](run)):
        pytest.skip("it was faster than the kill")
    code, out, err = keensight("train", "--resume", run, "--json", cwd=place)
    assert code == 0, err
    assert json.loads(out)["weights_digest"] == outcome(place / "alone")["weights_digest"]
    assert outcome(run) == outcome(place / "alone")
    assert open_run(run).state == "finished"
    assert (run / "report.html").is_file() and not (run / "checkpoints").exists()
    assert not [path.name for path in run.iterdir() if path.name.startswith(".")]


def test_a_chain_of_kills_at_random_moments(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short, seeded version of benchmarks/kills.py."""
    monkeypatch.setenv("KEENSIGHT_CACHE", str(tmp_path / "cache"))
    draw, run = random.Random(int(os.environ.get("KEENSIGHT_KILL_SEED", "0"))), tmp_path / "run"
    for _ in range(4):
        begun = (run / "run.json").exists()
        command = ("train", "--resume", run) if begun else ("train", "photos", "--run", run, *OPTIONS)
        until = time.monotonic() + draw.uniform(0.2, 12)
        killed(*command, cwd=place, when=lambda until=until: time.monotonic() > until)
    begun = (run / "run.json").exists()
    code, _, err = keensight(
        *(("train", "--resume", run) if begun else ("train", "photos", "--run", run, *OPTIONS)), cwd=place
    )
    assert code == 0, err
    assert outcome(run) == outcome(place / "alone")


def test_what_is_refused_and_what_is_offered(place: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(place / "photos", tmp_path / "photos")
    assert killed(
        "train", "photos", "--run", "run", *OPTIONS, cwd=tmp_path, when=lambda: (run / "checkpoints").exists()
    )
    code, out, err = keensight("train", "photos", "--run", "run", *OPTIONS, cwd=tmp_path)
    assert (code, out) == (1, "")
    told = [line for line in err.splitlines() if line.startswith(("error: ", "hint: "))]
    assert told[0] == "error: run contains a run already, which is dead"
    assert told[1].startswith("hint: continue it with `keensight train --resume run`, or start over with --replace")
    code, _, err = keensight("train", "--resume", "run", "--epochs", "9", cwd=tmp_path)
    assert code == 2 and "error: --epochs has no effect together with --resume" in err
    (tmp_path / "photos" / "a" / "0.png").write_bytes((tmp_path / "photos" / "a" / "1.png").read_bytes())
    code, _, err = keensight("train", "--resume", "run", cwd=tmp_path)
    assert code == 1 and "error: the images are not those that the run run was started with: 1 changed" in err
    assert open_run(run).state == "dead"
    known = json.loads((run / "decisions.json").read_text())
    (tmp_path / "first.pth").write_bytes(b"others")
    (run / "decisions.json").write_text(json.dumps(known | {
        "settings": known["settings"] | {"model.weights": "first.pth"},
        "environment": known["environment"] | {"start weights": "0" * 64},
    }))  # fmt: skip
    code, _, err = keensight("train", place / "photos", "--resume", "run", cwd=tmp_path)
    assert code == 1 and "error: the weights that the run run starts from have changed: first.pth" in err
    (run / "decisions.json").write_text(json.dumps(known))
    code, _, err = keensight("train", place / "photos", "--resume", "run", cwd=tmp_path)
    assert code == 0, err
    assert outcome(run) == outcome(place / "alone")
    code, _, err = keensight("train", "--resume", "run", cwd=tmp_path)
    assert code == 0 and "the run run is finished already" in err
    code, _, err = keensight("train", "photos", "--run", "run", "--replace", *OPTIONS, cwd=tmp_path)
    assert code == 0, err
    assert outcome(run)["dataset_digest"] != outcome(place / "alone")["dataset_digest"]


def test_a_rerun_compares_and_doctor_tells_what_is_different(place: Path, tmp_path: Path) -> None:
    code, out, err = keensight("rerun", "alone", "--run", tmp_path / "again", "--json", cwd=place)
    assert code == 0, err
    document = json.loads(out)
    assert document["same"] and document["differences"] == []
    assert [check["what"] for check in document["checks"]] == [
        "split", "weights", "test metrics", "history", "decision"
    ]  # fmt: skip
    decisions = json.loads((place / "alone" / "decisions.json").read_text())
    decisions["environment"]["numpy"] = "1.0"
    other = shutil.copytree(place / "alone", tmp_path / "other")
    (other / "decisions.json").write_text(json.dumps(decisions))
    code, out, err = keensight("doctor", other, "--json", cwd=place)
    assert code == 0, err
    (found,) = json.loads(out)["differences"]
    assert (found["what"], found["recorded"]) == ("numpy", "1.0")
    code, out, _ = keensight("doctor", "alone", cwd=place)
    assert code == 0 and "everything else is as it was in the run" in out
