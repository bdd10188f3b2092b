"""``keensight inspect``, run in this process."""

import json
from pathlib import Path

import pytest
from PIL import Image


def test_inspect_counts_and_finds(document, photos):
    found = document("inspect", "photos")
    assert found["counts"] == {"cat": 5, "dög": 5}
    assert found["quarantined"][0]["path"] == "cat/bad.jpg"
    assert {"unreadable", "label-conflict"} <= {finding["kind"] for finding in found["findings"]}
    assert found["figures"] == []


def test_inspect_says_how_the_source_was_read(answer, document, photos):
    (photos / "notes.txt").write_text("x")
    line = "read as: folder per class, 2 classes, 10 images; 1 file not used: 1 .txt"
    assert line in answer("inspect", "photos").err
    assert "read as" not in answer("inspect", "photos", "--quiet").err
    assert document("inspect", "photos")["reading"]["sentence"] == line


def test_quiet_leaves_the_warnings_of_the_reading(answer, document, photos):
    (photos / "stray.png").write_bytes((photos / "cat" / "0.png").read_bytes())
    warning = "1 image next to the class folders not used"
    assert f"warning: {warning}" in answer("inspect", "photos", "--quiet").err
    assert warning in document("inspect", "photos")["reading"]["warnings"][0]


def test_inspect_takes_the_class_from_the_path(document, photos):
    named = document("inspect", "photos", "--label-regex", r"/(.)[^/]*$")
    assert named["counts"].keys() == {"0", "1", "2", "3", "b", "c"}
    leaf = document("inspect", "photos", "--label-level", "leaf")
    assert leaf["reading"]["cue"] == "classes are the innermost folders"


def test_a_run_that_does_not_exist_is_refused_before_any_work(answer, photos):
    told = answer("inspect", "photos", "--against", "runs/typo", code=1).err
    assert told == "error: there is no run runs/typo\nhint: `keensight runs` lists the runs there are\n"


def test_inspect_draws_where_asked(document, photos):
    found = document("inspect", "photos", "--out", "seen")
    assert [Path(path).name for path in found["figures"]] == ["samples.png", "classes.png", "audit.html", "audit.json"]
    assert "cat/0.png" in Path("seen/audit.html").read_text(encoding="utf-8").replace("<wbr>", "")
    for path in found["figures"][:2]:
        with Image.open(path) as picture:
            assert min(picture.size) > 100


def test_strict_ends_with_3_after_the_answer(answer, photos):
    printed = answer("inspect", "photos", "--strict", "--json", code=3)
    assert json.loads(printed.out)["n"] == 10
    assert "label conflict" in printed.err or "unreadable" in printed.err


def test_groups_by_a_pattern(answer, document, photos):
    assert document("inspect", "photos", "--group-regex", r"/(\d)\.png")["n"] == 10
    assert "not a valid regular expression" in answer("inspect", "photos", "--group-regex", "(", code=2).err
    assert "matches no path" in answer("inspect", "photos", "--group-regex", "fox", code=1).err


def test_inspect_in_words_goes_to_standard_output(answer, photos):
    printed = answer("inspect", "photos")
    assert "cat/bad.jpg" in printed.out
    assert "dög" in printed.out


def test_inspect_reads_the_columns_of_a_table(document, photos):
    rows = [f"photos/{kind}/{i}.png,{kind},{i % 2}" for kind in ("cat", "dög") for i in range(4)]
    Path("table.csv").write_text("\n".join(["where,what,side", *rows]), encoding="utf-8")
    found = document("inspect", "table.csv", "--path", "where", "--label", "side")
    assert found["counts"] == {"0": 4, "1": 4}


@pytest.mark.parametrize("source", ["nowhere", "empty"])
def test_inspect_of_nothing_is_a_data_error(answer, place, source):
    (place / "empty").mkdir()
    printed = answer("inspect", source, "--json", code=1)
    assert json.loads(printed.out)["error"]["message"] in printed.err
    assert "error: " in printed.err
    assert "hint: " in printed.err
