"""Arrays in memory and in .npz files."""

import hashlib
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keensight.core.records import ImageInfo, Sample
from keensight.data.sources.readers import from_arrays, open_source
from keensight.errors import DataError, ImageError

GREY = np.arange(4 * 3 * 2, dtype=np.uint8).reshape(4, 3, 2)
COLOUR = np.arange(4 * 4 * 2 * 3, dtype=np.uint8).reshape(4, 4, 2, 3)


def test_grey_arrays() -> None:
    data = from_arrays(GREY, [1, 0, 1, 10])
    assert (data.kind, data.labels.names) == ("arrays", ("0", "1", "10"))
    assert [sample.label for sample in data.samples] == ["1", "0", "1", "10"]
    first = data.samples[0]
    assert first.info == ImageInfo("array", "L", 2, 3)
    assert first.size == 6
    assert first.digest == hashlib.sha256(b"3x2:" + GREY[0].tobytes()).hexdigest()
    assert len({sample.digest for sample in data.samples}) == 4
    loaded = data.load(2)
    assert isinstance(loaded, np.ndarray) and np.array_equal(loaded, GREY[2])


def test_equal_bytes_of_another_shape_are_another_image() -> None:
    flat = from_arrays(GREY.reshape(4, 2, 3), [0, 1, 0, 1])
    assert flat.samples[0].digest != from_arrays(GREY, [0, 1, 0, 1]).samples[0].digest


def test_colour_names_and_parts() -> None:
    data = from_arrays(
        COLOUR, np.array([[2], [0], [1], [2]]), class_names=["a", "b", "z"], splits=["train", "test", "train", None]
    )
    assert data.labels.names == ("a", "b", "z")
    assert [(s.path, s.label, s.split) for s in data.samples] == [
        ("train/00000", "z", "train"), ("test/00000", "a", "test"), ("train/00001", "b", "train"), ("00000", "z", None),
    ]  # fmt: skip
    assert data.samples[0].info == ImageInfo("array", "RGB", 2, 4)
    assert np.array_equal(np.asarray(data.load(2)), COLOUR[2])


def test_a_last_axis_of_one_is_grey() -> None:
    assert from_arrays(GREY[..., None], [0, 1, 0, 1]).samples[0] == from_arrays(GREY, [0, 1, 0, 1]).samples[0]


def test_a_foreign_sample_is_refused() -> None:
    with pytest.raises(ImageError):
        from_arrays(GREY, [0, 1, 0, 1]).reader.load(Sample("cat/1.png", "0", ""))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("images", "hint"),
    [
        (GREY.astype(np.uint16) * 100, r"\(images - 0\) \* \(255 / 2300\)"),
        (GREY - 12.0, "before normalization"),
        (np.where(GREY == 3, np.nan, 0.5), "remove"),
        (np.zeros((4, 3, 5, 3), np.uint8), r"transpose\(0, 2, 3, 1\)"),
        (np.zeros((8, 8, 3, 10), np.uint8), r"transpose\(3, 0, 1, 2\)"),
        (np.zeros((4, 9, 8, 4), np.uint8), "alpha"),
        (np.zeros((4, 784), np.uint8), "reshape"),
        (np.zeros((4, 0, 3), np.uint8), "array of images"),
        (np.array(["a", "b", "c", "d"]), "plain array"),
    ],
)
def test_images_of_a_wrong_kind_say_how_to_mend_them(images: Any, hint: str) -> None:
    with pytest.raises(DataError) as caught:
        from_arrays(images, [0, 1, 0, 1])
    assert caught.value.hint is not None
    assert re.search(hint, caught.value.hint)


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        ([0, 1, 0], None, "4 images but 3 labels"),
        (np.eye(4) / 2, None, "0 and 1 in one column"),
        (np.zeros((4, 2, 2)), None, "shape"),
        ([[0, 1], [1], [0], [1]], None, "differ in length"),
        ([0.5, 1, 0, 1], None, "label 0 of arrays is '0.5'"),
        ([float("inf"), 1, 0, 1], None, "label 0 of arrays is 'inf'"),
        (np.array([{}, 1, 0, 1], dtype=object), None, r"label 0 of arrays is '{}' \(dict\)"),
        (np.array(["2020-01-01"] * 4, dtype="M8[D]"), None, "datetime64"),
        ([None, None, float("nan"), ""], None, "no labeled images"),
        (np.eye(4), ["a", "b"], "4 columns, but 2 class names"),
        ([0, 1, 2, 1], ["a", "b"], "run from 0 to 2"),
        ([-1, 1, 0, 1], ["a", "b"], "run from -1 to 1"),
        (["a", "b", "c", "a"], ["a", "b"], "not in class_names: c"),
        ([1, 1, 1, 1], None, "only one class"),
    ],
)
def test_labels_that_do_not_fit(labels: Any, names: list[str] | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_arrays(GREY, labels, class_names=names)


def test_splits_that_do_not_fit() -> None:
    with pytest.raises(DataError, match="4 images but 1 splits"):
        from_arrays(GREY, [0, 1, 0, 1], splits=["train"])


@pytest.mark.parametrize(
    "keys",
    [("x_train", "y_train", "x_test", "y_test"), ("train_images", "train_labels", "test_images", "test_labels")],
)
def test_npz_with_parts(tmp_path: Path, keys: tuple[str, ...]) -> None:
    arrays = dict(zip(keys, (COLOUR, np.array([0, 1, 1, 0]), COLOUR[:2] + 100, np.array([1, 0])), strict=True))
    np.savez(tmp_path / "set.npz", **arrays, class_names=np.array(["no", "yes"]))  # type: ignore[arg-type]
    data = open_source(tmp_path / "set.npz")
    assert (data.name, data.labels.names, len(data)) == ("set", ("no", "yes"), 6)
    assert [sample.split for sample in data.samples] == ["train"] * 4 + ["test"] * 2
    assert np.array_equal(np.asarray(data.load(5)), COLOUR[1] + 100)


def test_npz_without_parts(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "set.npz", images=GREY, labels=np.array(["b", "a", "b", "a"]))
    data = open_source(tmp_path / "set.npz")
    assert data.labels.names == ("a", "b")
    assert all(sample.split is None for sample in data.samples)


def test_npz_whose_parts_differ_in_shape(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x_train=GREY, y_train=[0, 1, 0, 1], x_test=COLOUR, y_test=[0, 1, 0, 1])
    with pytest.raises(DataError, match="different shapes"):
        open_source(tmp_path / "s.npz")


def test_npz_with_pickled_objects_is_refused_unopened(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", images=np.array([{}, []], dtype=object), labels=[0, 1])
    with pytest.raises(DataError, match="pickled"):
        open_source(tmp_path / "s.npz")
    (tmp_path / "p.npz").write_bytes(pickle.dumps({"images": 1}))
    with pytest.raises(DataError):
        open_source(tmp_path / "p.npz")


def test_npz_under_unknown_names_lists_what_it_holds(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", a=GREY, b=[0, 1, 0, 1], c=[0, 1, 0, 1])
    with pytest.raises(DataError, match="a 4x3x2, b 4, c 4"):
        open_source(tmp_path / "s.npz")


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.9])
def test_a_cut_npz_is_an_error(tmp_path: Path, keep: float) -> None:
    np.savez_compressed(tmp_path / "s.npz", images=GREY, labels=[0, 1, 0, 1])
    whole = (tmp_path / "s.npz").read_bytes()
    (tmp_path / "s.npz").write_bytes(whole[: int(keep if keep > 1 else keep * len(whole))])
    with pytest.raises(DataError, match="cannot be read"):
        open_source(tmp_path / "s.npz")
