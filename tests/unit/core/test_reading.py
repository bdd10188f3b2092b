"""The line that says how a source was read."""

import pytest

from keensight.core.progress import listening, tell
from keensight.core.reading import EMPTY_CLASS, reading_document, reading_lines, reading_sentence
from keensight.core.records import Dataset, LabelSet, Reading, Sample, Skipped


def dataset(*, splits=(None,), skipped=(), reading=None, task="multiclass"):
    samples = tuple(Sample(f"{i}.png", "cat", str(i), split=part) for i, part in enumerate(splits))
    return Dataset("photos", "folder", LabelSet(("cat", "dog")), samples, skipped, task=task, reading=reading)


FILES = (
    Skipped("notes.txt", "not an image type that can be read (.txt)"), Skipped("more.txt", "..."),
    Skipped("README", "..."), Skipped(".x.png", "hidden"), Skipped("Thumbs.db", "put there by the operating system"),
    Skipped("emu", EMPTY_CLASS),
)  # fmt: skip


def test_the_sentence_has_layout_splits_classes_images_and_unused_files_by_type():
    data = dataset(splits=("train", "val", "test"), skipped=FILES, reading=Reading("folder per class"))
    assert reading_sentence(data) == (
        "read as: folder per class, 3 predefined splits, 2 classes, 3 images; 5 files not used: 2 .txt, "
        "1 without extension, 1 hidden, 1 of the operating system; 1 folder without images"
    )


def test_rows_of_a_table_are_counted_by_reason():
    rows = (Skipped("1.png", "no label"), Skipped("2.png", "no label"), Skipped("line 7", "no path"))
    assert "1 image; 3 rows not used: 2 no label, 1 no path" in reading_sentence(dataset(skipped=rows))


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        ((None, None), "folder, 2 classes, 2 images"),
        (("train", "test"), "2 predefined splits (train, test), 2 classes"),
    ],
)
def test_only_predefined_splits_are_mentioned(splits, said):
    assert said in reading_sentence(dataset(splits=splits))


def test_many_kinds_of_files_are_cut_short():
    files = tuple(Skipped(f"a.{'x' * n}", "...") for n in range(1, 10))
    assert reading_sentence(dataset(skipped=files)).endswith(".xxxxxx, 3 others")


def test_cue_override_and_warnings_follow():
    reading = Reading("CSV table", "labels.csv lists the images", "--label kind", ("encoding cp1252",), ("3 lost",))
    line, warning = reading_lines(dataset(reading=reading))
    assert line.endswith("1 image; encoding cp1252; labels.csv lists the images; to read it otherwise: --label kind")
    assert warning == "warning: 3 lost"
    assert reading_document(dataset(reading=reading)) == {
        "sentence": line, "layout": "CSV table", "cue": "labels.csv lists the images", "override": "--label kind",
        "notes": ["encoding cp1252"], "warnings": ["3 lost"],
    }  # fmt: skip


def test_a_dataset_of_an_earlier_version_has_its_kind():
    assert reading_document(dataset())["layout"] == "folder"


def test_who_listens_hears_of_each_dataset():
    heard = []
    with listening(heard.append):
        tell(dataset())
    tell(dataset())
    assert heard == [dataset()]
