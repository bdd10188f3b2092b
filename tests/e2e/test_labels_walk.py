"""Wrong labels are found after a training, corrected in a table, and the next training takes them."""

import json

import numpy as np
import pytest
from PIL import Image

import keensight as ks
from keensight.cli.main import main
from keensight.core.labels import Correction, read_corrections, write_corrections
from keensight.core.progress import Silent
from keensight.errors import DataError
from keensight.workflow.review import open_session

pytestmark = pytest.mark.slow

SETTINGS = {"model.name": "efficientnet_lite0", "train.effort": "quick", "data.image_size": 64}
WRONG = ("across/0.png", "down/1.png")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Stripes across and down, 30 of each; two of them in the wrong folder."""
    root = tmp_path_factory.mktemp("set") / "photos"
    rng = np.random.default_rng(0)
    pattern = np.where(np.arange(64) // 6 % 2, 200, 60)[:, None] * np.ones(64)
    for name, stripes in {"across": pattern, "down": pattern.T}.items():
        (root / name).mkdir(parents=True)
        for i in range(30):
            turned = stripes.T if f"{name}/{i}.png" in WRONG else stripes
            noisy = turned[..., None] + rng.integers(-50, 50, (64, 64, 3))
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    settings = SETTINGS | {"train.label_check": "yes"}
    return ks.train(photos, run=tmp_path_factory.mktemp("runs") / "run", settings=settings, progress=Silent())


def test_the_run_names_the_wrong_labels(run):
    found = run.label_suspects
    assert sorted(suspect.path for suspect in found.suspects) == sorted(WRONG)
    assert run.record.results["label_check"]["suspects"] == 2
    assert (run.path / "suspects.csv").read_text(encoding="utf-8").count("\n") == 3
    page = run.report_path.read_text(encoding="utf-8")
    assert "Labels that look wrong" in page
    assert found.accuracy_range.low <= found.accuracy_range.measured <= found.accuracy_range.high


def test_quick_makes_no_check_unless_asked_and_review_makes_it_later(run, photos, tmp_path):
    later = ks.train(photos, run=tmp_path / "run", settings=SETTINGS, progress=Silent())
    assert later.label_suspects is None
    assert "label_check" not in later.record.results
    session = open_session(later, photos, progress=Silent())
    assert {q["path"] for q in session.state()["questions"]} >= set(WRONG)
    assert later.label_suspects == run.label_suspects


def test_a_training_takes_the_corrections_and_keeps_them(run, photos, tmp_path, capsys):
    session = open_session(run, photos, out=tmp_path / "corrections.csv", progress=Silent())
    for number, question in enumerate(session.state()["questions"]):
        action = ("relabel" if question["given"] == "across" else "drop") if question["path"] in WRONG else "keep"
        session.decide(number, action, question["suggested"])
    settings = [f"--set={name}={value}" for name, value in SETTINGS.items()]
    table = str(session.out)
    assert main(["train", str(photos), "--run", str(tmp_path / "run"), *settings, "--corrections", table]) == 0
    assert "1 relabeled, 1 dropped" in capsys.readouterr().err
    after = ks.open_run(tmp_path / "run")
    labels = {sample.path: sample.label for sample in after.dataset.samples}
    assert labels["across/0.png"] == "down"
    assert "down/1.png" not in labels
    assert after.applied_corrections == read_corrections(session.out)
    assert after.record.results["dataset_digest"] == after.dataset.digest != run.dataset.digest
    assert ks.changes_since(after, ks.open(photos)).same


def test_corrections_of_another_set_are_refused_before_anything_is_written(photos, tmp_path):
    write_corrections(tmp_path / "c.csv", [Correction("x.png", "ee", "across", "drop", "")])
    with pytest.raises(DataError, match="missing from photos"):
        ks.train(photos, run=tmp_path / "run", settings=SETTINGS, corrections=tmp_path / "c.csv", progress=Silent())
    assert not (tmp_path / "run").exists()


def test_inspect_says_what_changed_since_the_run(run, photos, capsys):
    assert main(["inspect", str(photos), "--against", str(run.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["against"]["same"] is True
    (photos / "down" / "0.png").rename(photos / "across" / "moved.png")
    try:
        assert main(["inspect", str(photos), "--against", str(run.path), "--json"]) == 0
        since = json.loads(capsys.readouterr().out)["against"]
        assert main(["inspect", str(photos), "--against", str(run.path)]) == 0
        assert "across/moved.png: down -> across" in " ".join(capsys.readouterr().out.split())
    finally:
        (photos / "across" / "moved.png").rename(photos / "down" / "0.png")
    assert since["relabelled"] == [{"path": "across/moved.png", "before": "down", "after": "across"}]
    assert since["moved"] == [{"path": "across/moved.png", "before": "down/0.png", "after": "across/moved.png"}]
    assert not since["same"]
