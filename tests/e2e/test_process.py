"""The command line as its own process: exit code and both streams, whole."""

from __future__ import annotations

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

from keensight.store.run import open_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals and descriptors are those of POSIX systems"),
]
COMMAND = (sys.executable, "-m", "keensight")


def keensight(*arguments, cwd, **options):
    done = subprocess.run([*COMMAND, *map(str, arguments)], cwd=cwd, capture_output=True, timeout=300, **options)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def write_set(folder: Path, labels=("a", "b"), each=30, side=48) -> Path:
    rng = np.random.default_rng(0)
    for number, label in enumerate(labels):
        (folder / label).mkdir(parents=True)
        for i in range(each):
            image = rng.integers(0, 90, (side, side, 3)) + 60 * number
            Image.fromarray(image.astype(np.uint8)).save(folder / label / f"{i}.png")
    return folder


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda place: write_set(place / "one", ("a",)), "error: one has only one class (a); a classifier needs two"),
        (lambda place: "nowhere", "error: nowhere does not exist"),
        (lambda place: (place / "t.csv", (place / "t.csv").write_text("path,label\na.jpg,a\nb.jpg,b\n"))[0], "error: "),
    ],
)
def test_a_refused_source_is_a_sentence_and_a_hint_and_nothing_else(tmp_path, make, message):
    source = make(tmp_path)
    code, out, err = keensight("train", source, "--run", "run", cwd=tmp_path)
    assert code == 1
    assert out == ""
    told = [line for line in err.splitlines() if not line.startswith(("reading: ", "decoding: ", "read as: "))]
    assert len(told) == 2, err
    assert told[0].startswith(message)
    assert told[1].startswith("hint: ")
    assert not (tmp_path / "run").exists()


def cpu_seconds(process: subprocess.Popen) -> float:
    """CPU time of a process so far; infinite where the system does not tell."""
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("inf")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def interrupted(place: Path, after: float, number=signal.SIGINT, *options):
    """Train as a process, interrupt it, and give exit code, standard error and the seconds that it still took."""
    with (place / "err").open("wb") as errors:
        process = subprocess.Popen(
            [*COMMAND, "train", "set", "--run", "run", *options], cwd=place, stdout=subprocess.DEVNULL, stderr=errors
        )
        time.sleep(after)
        while process.poll() is None and cpu_seconds(process) < 0.3:  # Python itself is still starting
            time.sleep(0.01)
        process.send_signal(number)
        sent = time.monotonic()
        code = process.wait(60)
    return code, (place / "err").read_text(), time.monotonic() - sent


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("after", [0.5, 2.0, 6.0])
def test_an_interrupt_at_any_time_is_one_sentence_and_130(tmp_path, after, number):
    write_set(tmp_path / "set")
    code, err, _ = interrupted(tmp_path, after, number, "--model", "cnn", "--epochs", "500", "--image-size", "32")
    assert code == 130, err
    assert "Traceback" not in err
    assert sum(line.startswith("error: ") for line in err.splitlines()) == 1, err
    if (tmp_path / "run" / "run.json").exists():  # dead: between its creation and its first step
        assert open_run(tmp_path / "run").state in ("interrupted", "dead")


def test_an_interrupt_that_compiled_code_turns_into_another_error_is_an_interrupt():
    code = """
import os, signal, time
from keensight.cli import main, process

def parse(*_):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
    except KeyboardInterrupt:  # as in NumPy's reading of a buffer's format, under an import of scikit-learn
        raise ValueError("'T{d:val:q:i1:q:i2:}' is not a valid PEP 3118 buffer format string") from None

main._run = parse
process.run()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")


def test_closed_and_full_streams_are_no_bugs_of_ours(tmp_path):
    def told(redirection):
        shell = f"{' '.join(COMMAND)} models {redirection}"
        done = subprocess.run(["sh", "-c", shell], cwd=tmp_path, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    code, _, err = told(">&-")
    assert (code, err) == (0, "")
    code, out, err = told("2>&-")
    assert (code, err) == (0, "")
    assert "efficientnet_lite0" in out
    assert told(">&- 2>&-")[0] == 0
    if os.path.exists("/dev/full"):  # noqa: PTH110
        code, _, err = told("> /dev/full")
        assert code == 1
        assert (
            err
            == "error: the output cannot be written: No space left on device\nhint: free some space, or redirect it\n"
        )
        assert told("2> /dev/full")[0] == 0
    code, out, err = told("| head -1")
    assert (len(out.splitlines()), err) == (1, "")


def test_an_error_with_json_is_a_document_on_standard_output(tmp_path):
    code, out, err = keensight("train", "nowhere", "--json", cwd=tmp_path)
    document = json.loads(out)
    assert (code, document["error"]["code"], document["schema"]) == (1, 1, 1)
    assert err == f"error: {document['error']['message']}\nhint: {document['error']['hint']}\n"


@pytest.mark.parametrize(
    ("words", "backend"), [(("doctor",), "jax"), (("train", "photos", "--run", "run"), "torch"), (("doctor",), "mine")]
)
def test_another_backend_of_keras_is_refused_in_a_sentence_before_any_work(tmp_path, words, backend):
    write_set(tmp_path / "photos")
    code, out, err = keensight(*words, cwd=tmp_path, env={**os.environ, "KERAS_BACKEND": backend})
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        f"error: Keras' backend is {backend!r}, but Keensight works only with tensorflow",
        "hint: set the environment variable KERAS_BACKEND to tensorflow before Keras is imported, or unset it",
    ]
    assert not (tmp_path / "run").exists()
