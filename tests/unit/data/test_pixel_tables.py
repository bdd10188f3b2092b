"""Tables that contain the pixels themselves."""

import numpy as np
import pytest

import keensight as ks
from keensight.core.progress import Silent
from keensight.errors import DataError


def write(path, values, labels, *, header=True, last=False):
    rows = [[*row, label] if last else [label, *row] for row, label in zip(values.tolist(), labels, strict=True)]
    names = [f"pixel{i}" for i in range(values.shape[1])]
    first = [[*names, "label"] if last else ["label", *names]] if header else []
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in [*first, *rows]))
    return path


@pytest.fixture
def values():
    found = np.random.default_rng(0).integers(0, 256, (12, 64))
    found[:, [0, -1]] = 0  # as at the corners of digits
    return found


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("last", [True, False])
def test_pixels_are_read_as_they_are_written(tmp_path, values, header, last):
    data = ks.open(write(tmp_path / "t.csv", values, [i % 3 for i in range(12)], header=header, last=last))
    assert (data.class_names, data.kind) == (("0", "1", "2"), "table")
    for sample, row in zip(data, values, strict=True):
        np.testing.assert_array_equal(np.asarray(data.reader.load(sample)).reshape(-1), row)


def test_an_image_in_one_cell_with_its_split(tmp_path):
    usage = ["Training", "PublicTest", "PrivateTest", "Training"]
    lines = [f"{i % 2},{' '.join([str(i)] * 49)},{usage[i % 4]}" for i in range(8)]
    (tmp_path / "faces.csv").write_text("\n".join(["emotion,pixels,Usage", *lines]))
    data = ks.open(tmp_path / "faces.csv", progress=Silent())
    assert sorted(str(sample.split) for sample in data) == ["test"] * 2 + ["train"] * 4 + ["val"] * 2
    assert data.reading.cue == "column pixels contains images of 7 × 7 pixels"


def test_tables_of_training_and_test_images(tmp_path, values):
    train = write(tmp_path / "train.csv", values, [0, 1] * 6)
    test = write(tmp_path / "test.csv", 255 - values, [1, 0] * 6)
    data = ks.open(train, test=test, progress=Silent())
    assert [sample.split for sample in data] == [None] * 12 + ["test"] * 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values[:, :60], "not the number of pixels of a square image"),
        (lambda values: np.tile(values, 3), "three colors in an unknown order"),
        (lambda values: values / 255, "whole numbers from 0 to 255"),
        (lambda values: values + 300, "whole numbers from 0 to 255"),
    ],
)
def test_what_is_no_square_gray_image_is_refused_in_few_words(tmp_path, values, change, message):
    with pytest.raises(DataError, match=message) as caught:
        ks.open(write(tmp_path / "t.csv", change(values), [0, 1] * 6), progress=Silent())
    assert len(f"{caught.value.message} {caught.value.hint}") < 300


def test_rows_without_label_are_left_out_with_a_warning(tmp_path, values):
    labels = ["a", "", "b", ""] + ["a", "b"] * 4
    data = ks.open(write(tmp_path / "t.csv", values, labels), progress=Silent())
    assert (len(data), data.reading.warnings) == (10, ("2 of 12 images have no label and are left out",))
    np.testing.assert_array_equal(np.asarray(data.reader.load(data[1])).reshape(-1), values[2])


def test_an_unknown_label_column_is_named(tmp_path, values):
    with pytest.raises(DataError, match="no column 'digit'"):
        ks.open(write(tmp_path / "t.csv", values, [0, 1] * 6), label="digit", progress=Silent())


def test_a_table_of_pixels_in_which_the_label_may_be_first_or_last_is_refused(tmp_path, values):
    values[:, -1] = [i % 2 for i in range(12)]
    with pytest.raises(DataError, match="first or the last column"):
        ks.open(write(tmp_path / "t.csv", values, [0, 1] * 6, header=False), progress=Silent())
