"""Which arrays are images and which are labels, and what their values mean."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keensight.core.records import Reading
from keensight.data.sources.containers.array_names import ArrayShape, pair_arrays
from keensight.data.sources.readers import from_arrays, open_source
from keensight.errors import DataError

R = np.random.default_rng(0)
X = R.integers(0, 256, (6, 9, 8, 3), np.uint8)
X[0, 0, 0] = (0, 255, 128)
Y = np.array([0, 1, 0, 1, 1, 0])


def told(data: Any) -> Reading:
    assert data.reading is not None
    return data.reading


IMAGES, LABELS, TEXTS = ArrayShape((6, 9, 8, 3), "u"), ArrayShape((6,), "i"), ArrayShape((2,), "U")


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        ("x_train y_train x_test y_test", {"train": "x_train y_train", "test": "x_test y_test"}),
        ("train_images train_labels val_images val_labels",
         {"train": "train_images train_labels", "val": "val_images val_labels"}),
        ("Xtr Ytr Xte Yte", {"train": "Xtr Ytr", "test": "Xte Yte"}),
        ("trainX trainY", {None: "trainX trainY"}),
        ("images labels", {None: "images labels"}),
        ("data target", {None: "data target"}),
        ("X y", {None: "X y"}),
        ("arr_0 arr_1", {None: "arr_0 arr_1"}),
        ("train/images train/image_labels test/images test/image_labels",
         {"train": "train/images train/image_labels", "test": "test/images test/image_labels"}),
        ("pictures answers", {None: "pictures answers"}),
    ],
)  # fmt: skip
def test_usual_names(names: str, pairs: dict[Any, str]) -> None:
    arrays = {name: (IMAGES if i % 2 == 0 else LABELS) for i, name in enumerate(names.split())}
    found = pair_arrays(arrays, "s.npz")
    assert {part: " ".join(pair) for part, pair in found.pairs.items()} == pairs
    assert found.class_names is None and not found.unused


def test_class_names_and_arrays_not_used() -> None:
    arrays = {"x": IMAGES, "y": LABELS, "label_names": TEXTS, "weights": LABELS}
    found = pair_arrays(arrays, "s.npz")
    assert (found.class_names, found.unused) == ("label_names", ("weights",))


def test_several_labels_are_a_choice() -> None:
    arrays = {"data": IMAGES, "fine_labels": LABELS, "coarse_labels": LABELS}
    with pytest.raises(DataError, match="2 arrays that could be the labels: fine_labels, coarse_labels"):
        pair_arrays(arrays, "s.npz")
    assert pair_arrays(arrays, "s.npz", "coarse_labels").pairs == {None: ("data", "coarse_labels")}
    with pytest.raises(DataError, match="no array 'fine'"):
        pair_arrays(arrays, "s.npz", "fine")


def test_several_pairs_without_names_are_refused() -> None:
    arrays = {"arr_0": IMAGES, "arr_1": LABELS, "arr_2": IMAGES, "arr_3": LABELS}
    with pytest.raises(DataError, match="several arrays that could be images and labels"):
        pair_arrays(arrays, "s.npz")


@pytest.mark.parametrize(
    ("given", "note"),
    [
        (X.astype(np.int64), None),
        (X.astype(np.float32), "floats from 0 to 255, rounded"),
        (X / 255, "floats from 0 to 1, times 255"),
        (X / np.float32(127.5) - 1, "floats from -1 to 1, scaled to 0 to 255"),
        (X.transpose(0, 3, 1, 2), "channels moved last"),
    ],
)
def test_pixels_of_any_scale_are_the_same_images(given: Any, note: str | None) -> None:
    data = from_arrays(given, Y)
    assert data.samples == from_arrays(X, Y).samples
    assert told(data).notes == ((note,) if note else ())


def test_truth_values_are_black_and_white() -> None:
    data = from_arrays(X[..., 0] > 99, Y)
    assert set(np.unique(np.asarray(data.load(0)))) == {0, 255}


def test_pixels_of_0_and_1_are_a_warning() -> None:
    (warning,) = told(from_arrays((X[..., 0] > 99).astype(np.uint8), Y)).warnings
    assert "no pixel is above 1 of 255" in warning


def test_splits_of_different_scales_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x_train=X / 255, y_train=Y, x_test=X, y_test=Y)
    with pytest.raises(DataError, match="scaled differently"):
        open_source(tmp_path / "s.npz")


def test_one_hot_labels() -> None:
    data = from_arrays(X, np.eye(3)[Y])
    assert data.class_names == ("0", "1", "2") and list(data.targets()) == list(Y)
    assert told(data).notes == ("one-hot labels",)


def test_multi_hot_labels() -> None:
    rows = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1], [0, 1, 1], [1, 0, 0]])
    data = from_arrays(X, rows, class_names=["a", "b", "c"])
    assert np.array_equal(data.indicators(), rows)
    assert data.samples[0].label == "a|c"


@pytest.mark.parametrize("gap", [None, float("nan"), "", " "])
def test_missing_labels_are_rows_without_a_label(gap: Any) -> None:
    labels = ["a", gap, "b", "a", "b", gap]
    for given in (labels, np.array(labels, dtype=object)):
        data = from_arrays(X, given)
        assert (data.class_names, [sample.path[-1] for sample in data]) == (("a", "b"), ["0", "2", "3", "4"])
        assert np.array_equal(np.asarray(data.load(1)), X[2])
        assert told(data).warnings == ("2 of 6 images have no label and are not used",)
        assert [item.path[-1] for item in data.skipped] == ["1", "5"]


def test_numbers_with_gaps_stay_whole_numbers() -> None:
    assert from_arrays(X, [0, 1, float("nan"), 1, 0, 1]).class_names == ("0", "1")


@pytest.mark.parametrize("images", [[X[0], X[1, :5]], [X[0].tolist(), X[1, :5].tolist()], np.array([{}, 1])])
def test_ragged_lists_and_objects_are_a_sentence(images: Any) -> None:
    with pytest.raises(DataError, match=r"differ in shape|Python objects"):
        from_arrays(images, [0, 1])


def test_a_folder_of_npy_files(tmp_path: Path) -> None:
    for name, array in {"X_train": X, "y_train": Y, "X_test": X[:2] // 2, "y_test": Y[:2]}.items():
        np.save(tmp_path / f"{name}.npy", array)
    data = open_source(tmp_path)
    assert [sample.split for sample in data] == ["train"] * 6 + ["test"] * 2
    assert np.array_equal(np.asarray(data.load(7)), X[1] // 2)
    assert told(data).layout == ".npy arrays"
    assert told(data).cue == "X_train with y_train, X_test with y_test, by the names of the arrays"


def test_npy_of_objects_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", X)
    np.save(tmp_path / "labels.npy", np.array([{}, 1]), allow_pickle=True)
    with pytest.raises(DataError, match="pickled"):
        open_source(tmp_path)


def test_hdf5(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["train/images"], file["train/labels"] = X, Y
        file["class_names"] = ["cat", "dog"]
    data = open_source(tmp_path / "s.h5")
    assert (data.class_names, len(data), told(data).layout) == (("cat", "dog"), 6, "HDF5 arrays")
    whole = (tmp_path / "s.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cannot be read as \.h5"):
        open_source(tmp_path / "cut.h5")


def test_an_npz_that_claims_more_than_memory_is_refused(tmp_path: Path) -> None:
    import io
    import zipfile

    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 500, 500)})
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as file:
        file.writestr("images.npy", head.getvalue())
        np.save(labels := io.BytesIO(), Y)
        file.writestr("labels.npy", labels.getvalue())
    with pytest.raises(DataError, match="as bombs do"):
        open_source(tmp_path / "bomb.npz")


def test_other_pickled_arrays_of_an_npz_are_left_alone(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", images=X, labels=Y, notes=np.array([{}], dtype=object))
    assert len(open_source(tmp_path / "s.npz")) == 6


def test_hdf5_that_takes_data_from_another_file_is_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    (tmp_path / "secret").write_bytes(bytes(600))
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file.create_dataset("images", (6, 10, 10), "u1", external=[(tmp_path / "secret", 0, 600)])
        file["labels"] = Y
    with pytest.raises(DataError, match="takes /images from another file"):
        open_source(tmp_path / "s.h5")
