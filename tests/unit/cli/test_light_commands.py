"""Commands that train nothing, run in this process on real data."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keensight.cli.main import main


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEENSIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def photos(place):
    """Two classes of four images; one file is no image, one image is there twice."""
    rng = np.random.default_rng(0)
    for kind in ("cat", "dög"):
        (place / "photos" / kind).mkdir(parents=True)
        for i in range(4):
            Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(
                place / "photos" / kind / f"{i}.png"
            )
    (place / "photos" / "cat" / "bad.jpg").write_bytes(b"text, not a photo")
    copy = (place / "photos" / "cat" / "0.png").read_bytes()
    (place / "photos" / "dög" / "copy.png").write_bytes(copy)
    return place / "photos"


def answer(capsys, *arguments, code=0):
    assert main(list(arguments)) == code
    return capsys.readouterr()


def document(capsys, *arguments):
    return json.loads(answer(capsys, *arguments, "--json").out)


def test_samples_are_listed(capsys):
    rows = document(capsys, "samples")
    assert {row["name"]: row["images"] for row in rows} == {"mnist": 5000, "digits": 1797}
    assert "mnist" in answer(capsys, "samples").out


@pytest.mark.slow
def test_a_sample_set_is_written_as_folders(capsys):
    assert document(capsys, "samples", "digits", "out") == {"name": "digits", "directory": "out", "images": 1797}
    assert len(list(Path("out").glob("*/*.png"))) == 1797
    again = answer(capsys, "samples", "digits", "out", code=1)
    assert "not empty" in again.err


def test_models_are_listed(capsys):
    assert {"cnn", "resnet"} <= {row["name"] for row in document(capsys, "models")}
    assert answer(capsys, "models").out.splitlines()[0].split() == [
        "name",
        "weights",
        "side",
        "parameters_millions",
        "description",
    ]


def test_inspect_counts_and_finds(capsys, photos):
    found = document(capsys, "inspect", "photos")
    assert found["counts"] == {"cat": 5, "dög": 5}
    assert found["quarantined"][0]["path"] == "cat/bad.jpg"
    assert {"unreadable", "label-conflict"} <= {finding["kind"] for finding in found["findings"]}
    assert found["figures"] == []


def test_inspect_draws_where_asked(capsys, photos):
    found = document(capsys, "inspect", "photos", "--out", "seen")
    assert [Path(path).name for path in found["figures"]] == ["samples.png", "classes.png", "audit.html", "audit.json"]
    assert "cat/0.png" in Path("seen/audit.html").read_text(encoding="utf-8").replace("<wbr>", "")
    for path in found["figures"][:2]:
        with Image.open(path) as picture:
            assert min(picture.size) > 100


def test_strict_ends_with_3_after_the_answer(capsys, photos):
    printed = answer(capsys, "inspect", "photos", "--strict", "--json", code=3)
    assert json.loads(printed.out)["n"] == 10
    assert "label-conflict" in printed.err or "unreadable" in printed.err


@pytest.mark.slow
def test_strict_training_is_refused_before_it_begins(capsys, photos):
    printed = answer(capsys, "train", "photos", "--strict", "--run", "run", code=3)
    assert "severe finding" in printed.err
    record = json.loads(Path("run/run.json").read_text(encoding="utf-8"))
    assert record["state"] == "failed"
    assert "severe finding" in record["message"]
    assert not Path("run/bundle").exists()


def test_groups_by_a_pattern(capsys, photos):
    assert document(capsys, "inspect", "photos", "--group-regex", r"/(\d)\.png")["n"] == 10
    assert "no regular expression" in answer(capsys, "inspect", "photos", "--group-regex", "(", code=2).err
    assert "matches no path" in answer(capsys, "inspect", "photos", "--group-regex", "fox", code=1).err


def test_inspect_in_words_goes_to_standard_output(capsys, photos):
    printed = answer(capsys, "inspect", "photos")
    assert "cat/bad.jpg" in printed.out
    assert "dög" in printed.out


def test_inspect_reads_the_columns_of_a_table(capsys, photos):
    rows = [f"photos/{kind}/{i}.png,{kind},{i % 2}" for kind in ("cat", "dög") for i in range(4)]
    Path("table.csv").write_text("\n".join(["where,what,side", *rows]), encoding="utf-8")
    found = document(capsys, "inspect", "table.csv", "--path", "where", "--label", "side")
    assert found["counts"] == {"0": 4, "1": 4}


@pytest.mark.parametrize("source", ["nowhere", "empty"])
def test_inspect_of_nothing_is_a_data_error(capsys, place, source):
    (place / "empty").mkdir()
    printed = answer(capsys, "inspect", source, "--json", code=1)
    assert json.loads(printed.out)["error"]["message"] in printed.err
    assert "error: " in printed.err
    assert "hint: " in printed.err


def test_runs_of_a_folder_that_is_not_there_is_an_error(capsys, place):
    assert answer(capsys, "runs").out == "no runs in runs\n"
    assert answer(capsys, "runs", "nowhere", code=1).err.startswith("error: nowhere does not exist\n")


def test_cache_grows_and_is_cleared(capsys, photos, place):
    document(capsys, "inspect", "photos")
    held = document(capsys, "cache")
    assert held == document(capsys, "cache", "show")
    assert held["images"] == 8
    assert held["bytes"] > 0
    assert document(capsys, "cache", "clear") == {"directory": str(place / "cache"), "bytes": held["bytes"]}
    assert document(capsys, "cache")["bytes"] == 0
    assert "0 bytes" in answer(capsys, "cache").out


def test_no_runs_is_no_error(capsys):
    assert document(capsys, "runs") == []
    assert answer(capsys, "runs").out == "no runs in runs\n"


def test_a_model_that_is_none(capsys, place):
    (place / "nothing").mkdir()
    for line in (["predict", "nothing", "x.png"], ["evaluate", "nothing"], ["report", "nothing"]):
        printed = answer(capsys, *line, code=1)
        assert printed.err.splitlines()[-2].startswith("error: ")
        assert "unexpected" not in printed.err


def sources(path):
    cells = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_the_tour_is_written_for_a_folder_and_never_over_a_file(photos, capsys):
    assert document(capsys, "notebook", "photos", "--group-regex", r"(\d+)") == {
        "notebook": "photos.ipynb", "source": "photos",
    }  # fmt: skip
    assert any('ks.open("photos", group_regex=' in text for text in sources("photos.ipynb"))
    before = Path("photos.ipynb").read_bytes()
    again = answer(capsys, "notebook", "photos", code=2)
    assert "photos.ipynb is there already" in again.err
    assert Path("photos.ipynb").read_bytes() == before


def test_a_tour_elsewhere_finds_the_images_from_there(photos, capsys):
    answer(capsys, "notebook", "photos", "--out", "deep/er/tour.ipynb")
    assert any('ks.open("../../photos")' in text for text in sources("deep/er/tour.ipynb"))


def test_a_tour_needs_images_and_the_ending_of_a_notebook(photos, capsys):
    assert "no name for a notebook" in answer(capsys, "notebook", "photos", "--out", "tour.py", code=2).err
    answer(capsys, "notebook", "phtoos", code=1)
    assert not list(Path().glob("*.ipynb"))
