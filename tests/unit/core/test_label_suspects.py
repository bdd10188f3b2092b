"""What a label check says about itself, and the file of decisions about its suspects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keensight.core.labels import (
    AccuracyRange,
    ClassNoise,
    Correction,
    LabelSuspects,
    Suspect,
    read_corrections,
    write_corrections,
)
from keensight.errors import DataError

SUSPECT = Suspect("a.png", "ab", "test", "cat", "dog", 0.01, 0.97)
CLASSES = (ClassNoise("cat", 1000, 1, 0.02, "dog"), ClassNoise("dog", 500, 0, 0.0, ""))
HEADER = "path,digest,given,action,label\n"


def checked(*suspects: Suspect, **more: Any) -> LabelSuspects:
    return LabelSuspects(1500, "by hand", 0.9, 0.02, suspects, **({"classes": CLASSES} | more))


@pytest.mark.parametrize(("detectable", "alike"), [(0.59, True), (0.6, False), (0.9, False), (None, False)])
def test_classes_are_too_similar_if_less_than_60_percent_of_errors_could_be_told(
    detectable: float | None, alike: bool
) -> None:
    assert LabelSuspects(60, "by hand", 0.9, 0.02, (), (), detectable=detectable).too_alike is alike


def test_suspects_are_counted_with_what_they_mean_for_the_test_accuracy() -> None:
    assert checked(SUSPECT).sentence() == "1 of 1,500 labels are suspicious"
    found = AccuracyRange(200, 3, 0.9, 0.885, 0.915, 0.91)
    assert checked(*[SUSPECT] * 4, precision=0.754, accuracy_range=found).sentence() == (
        "4 of 1,500 labels are suspicious (estimated: 75% of them wrong); 3 of them in the test set: if they are "
        "wrong, its accuracy is 0.885 to 0.915"
    )
    elsewhere = AccuracyRange(200, 0, 0.9, 0.9, 0.9, 0.9)
    assert checked(SUSPECT, accuracy_range=elsewhere).sentence() == "1 of 1,500 labels are suspicious"
    assert checked(SUSPECT, precision=0.0).sentence().endswith("(estimated: 0% of them wrong)")


def test_several_labels_are_counted_as_pairs_of_image_and_label() -> None:
    assert checked().pairs is None
    assert checked(classes=CLASSES[:1]).pairs is None
    several = checked(SUSPECT, classes=CLASSES + CLASSES)
    assert several.pairs == 3000
    assert several.sentence() == "1 of 3,000 pairs of image and label are suspicious"


def test_without_suspects_it_says_why_there_may_be_none() -> None:
    assert checked().sentence() == "none of 1,500 labels is suspicious"
    assert checked(detectable=0.3).sentence() == (
        "none of 1,500 labels is suspicious: the 2 classes are too similar to tell label errors from genuine confusions"
    )
    several = checked(detectable=0.3, classes=CLASSES + CLASSES, doubtful=(SUSPECT,))
    assert several.sentence() == (
        "none of 3,000 pairs of image and label is suspicious: the labels are too uncertain to tell label errors from "
        "genuine confusions; the 1 least probable are listed for review only"
    )


def test_the_main_figures_of_a_check_are_plain_values() -> None:
    found = AccuracyRange(200, 3, 0.9, 0.885, 0.915, 0.91)
    assert checked(SUSPECT, precision=0.5, accuracy_range=found).headline() == {
        "n": 1500, "suspects": 1, "precision": 0.5, "noise": 0.02, "test_accuracy_range": [0.885, 0.915]
    }  # fmt: skip
    assert checked().headline()["test_accuracy_range"] is None


def test_a_file_of_decisions_is_read_as_it_was_written_or_as_people_write_it(tmp_path: Path) -> None:
    path = tmp_path / "corrections.csv"
    decisions = (
        Correction("=a.png", "ab", "cat", "relabel", "dog"),
        Correction("b.png", "cd", "cat", "drop", ""),
        Correction("c.png", "ef", "dog", "keep", "dog"),
    )
    write_corrections(path, decisions)
    assert read_corrections(path) == decisions
    assert path.read_text(encoding="utf-8").startswith(f"{HEADER}'=a.png,ab,cat,relabel,dog\n")
    path.write_text(
        "note;path;digest;given;action;label\nx;b.png;CD;cat; Drop ;dog\n\n;c.png;EF;dog;KEEP;cat\n", encoding="utf-8"
    )
    assert read_corrections(path) == decisions[1:]


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        ("", "has no column 'path'", "has the columns path, digest, given, action, label"),
        ("path,digest,given,label\n", "has no column 'action'", "`keensight review` writes one"),
        (HEADER + "a.png,ab,cat,erase,\n", "line 2: the action is 'erase'", "write one of keep, relabel, drop"),
        (HEADER + "\na.png,ab,cat,relabel,\n", "line 3: a.png has no label", "write it in the column label"),
        (HEADER + '"a.png\n', "cannot be read: a quotation mark", "give a CSV file"),
    ],
)
def test_a_file_that_holds_no_decisions_is_refused_with_its_line(
    content: str, message: str, hint: str, tmp_path: Path
) -> None:
    path = tmp_path / "corrections.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as refused:
        read_corrections(path)
    assert message in str(refused.value) and hint in (refused.value.hint or "")


def test_a_missing_file_and_a_folder_are_no_file_of_decisions(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no corrections file") as refused:
        read_corrections(tmp_path / "none.csv")
    assert "`keensight review RUN` writes one" in (refused.value.hint or "")
    with pytest.raises(DataError, match="cannot be read"):
        read_corrections(tmp_path)
