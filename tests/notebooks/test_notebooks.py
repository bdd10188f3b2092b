"""Every notebook runs from top to bottom in a fresh kernel, and its pictures and figures are there."""

import json
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from PIL import Image

import keensight as ks
from keensight.cli.main import main

TOUR = Path(__file__).parents[2] / "notebooks" / "image_classification.ipynb"

pytestmark = [
    pytest.mark.slow,
    # The kernel's client library warns of its own event loop and sockets.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:zmq"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def run(path, folder):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return notebook


def cards(notebook):
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [output["data"]["text/html"] for output in outputs if "text/html" in output.get("data", {})]


def test_the_guided_notebook_runs_and_ends_with_a_good_classifier(tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    notebook = run(TOUR, folder)
    pictures = [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 7  # classes, augmented, confusion, reliability, three explanations
    figures = next(html for html in cards(notebook) if "Evaluation on the test" in html)
    accuracy = float(figures.split("accuracy</th>")[1].split(" (95")[0].split(">")[-1])
    assert accuracy > 0.95
    assert any("Training</strong>" in html and "data:image/png" in html for html in cards(notebook))  # the last curves
    assert len(json.dumps(notebook)) < 3_000_000
    assert not list(folder.iterdir())


@pytest.fixture
def photos(tmp_path):
    """Two classes of 40 small images, in a folder with a name that needs quoting."""
    root = tmp_path / "my 'photos'"
    rng = np.random.default_rng(0)
    for kind, name in enumerate(("red", "green")):
        (root / name).mkdir(parents=True)
        for i in range(40):
            image = rng.integers(0, 150, (24, 20, 3), dtype=np.uint8)
            image[..., kind] += 100
            Image.fromarray(image).save(root / name / f"{i}.png")
    return root


def test_the_tour_of_ones_own_images_runs(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["notebook", photos.name, "--out", "work/tour.ipynb"]) == 0
    notebook = run(tmp_path / "work" / "tour.ipynb", tmp_path / "work")
    shown = "".join(cards(notebook))
    assert "80 images, 2 classes" in shown
    assert "Evaluation on the test" in shown
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["tour.ipynb"]


def test_the_tour_of_several_labels_runs(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [f"{path.relative_to(tmp_path)},{path.parent.name}|{'odd' if int(path.stem) % 2 else 'even'}"
             for path in sorted(photos.glob("*/*.png"))]  # fmt: skip
    (tmp_path / "table.csv").write_text("\n".join(["path,label", *lines]) + "\n", encoding="utf-8")
    assert main(["notebook", "table.csv"]) == 0
    shown = "".join(cards(run(tmp_path / "table.ipynb", tmp_path)))
    assert "80 images, 4 labels" in shown
    assert "all labels correct" in shown


STOPPED = """
import keensight as ks
ks.train("digits", run="stopped", settings={"model.name": "cnn", "model.width": 4, "train.epochs": 1000})
"""


@pytest.fixture
def kernel(tmp_path):
    """A kernel that works in the test's folder, and its client."""
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_the_stop_button_leaves_a_usable_run_and_a_plain_message(kernel, tmp_path):
    manager, client = kernel
    client.execute(STOPPED)
    epochs = tmp_path / "stopped" / "history.jsonl"
    deadline = time.monotonic() + 300
    while not (epochs.exists() and epochs.read_text().count("\n") >= 2):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    manager.interrupt_kernel()
    message = {"msg_type": ""}
    while message["msg_type"] != "error":
        message = client.get_iopub_msg(timeout=120)
    told = message["content"]["traceback"]
    assert len(told) == 2
    assert told[0].startswith("InterruptedRun: stopped; completed steps are saved in the run stopped")
    assert "best model so far" in told[1]
    stopped = ks.open_run(tmp_path / "stopped")
    assert stopped.record.state == "interrupted"
    assert len(ks.load(stopped).labels) == 10
