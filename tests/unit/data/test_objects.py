"""Python objects as image sets: stand-ins with what other libraries' datasets have."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import keensight as ks
from archive_builders import CLASSES, PNG
from keensight.core.records import Dataset

X = np.random.default_rng(0).integers(0, 256, (12, 9, 8, 3), np.uint8)
Y = np.arange(12) % 2
NAMES = ["cat" if label == 0 else "dog" for label in Y]


def same(data: Dataset, images: Sequence[Any] = X) -> None:
    assert [sample.label for sample in data] == NAMES
    assert all(np.array_equal(np.asarray(data.load(i)), images[i]) for i in range(12))


@dataclass
class Rows:
    """A PyTorch dataset: pairs of image and label."""

    images: Sequence[Any]
    targets: Sequence[Any]
    classes: Sequence[str] = CLASSES

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[Any, Any]:
        return self.images[row], self.targets[row]


@dataclass(frozen=True)
class ClassLabel:
    names: Sequence[str] = CLASSES


@dataclass(frozen=True)
class ImageFeature:
    decode: bool = True


ImageFeature.__name__ = "Image"


@dataclass
class Hub:
    """A Hugging Face dataset."""

    cells: Sequence[Any]
    labels: Sequence[Any]
    decode: bool = True

    @property
    def features(self) -> dict[str, Any]:
        return {"image": ImageFeature(self.decode), "label": ClassLabel()}

    column_names = ("image", "label")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> dict[str, Any]:
        if self.decode:
            raise AssertionError("decoding is not asked for")
        return {"image": self.cells[row], "label": self.labels[row]}

    def cast_column(self, name: str, feature: ImageFeature) -> "Hub":
        return replace(self, decode=feature.decode)


class Tensor:
    """What is asked of a PyTorch tensor, channels first and scaled to 0 to 1, as ToTensor gives it."""

    def __init__(self, image: np.ndarray) -> None:
        self.image = np.moveaxis(image, -1, 0) / np.float32(255)

    def detach(self) -> "Tensor":
        return self

    def cpu(self) -> "Tensor":
        return self

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.image


@pytest.mark.parametrize(
    "images", [X, list(X), [Image.fromarray(image) for image in X], [Tensor(image) for image in X]],
    ids=["array", "arrays", "Pillow", "tensors"],
)  # fmt: skip
def test_pairs_of_image_and_label(images: Any) -> None:
    data = ks.open(Rows(images, [np.int64(label) for label in Y]))
    same(data)
    assert data.reading is not None and data.reading.layout == "dataset Rows"


def test_images_of_several_sizes() -> None:
    images = [Image.fromarray(image[: 4 + i % 3]) for i, image in enumerate(X)]
    same(ks.open(Rows(images, Y)), [np.asarray(image) for image in images])
    with pytest.raises(ks.DataError, match="differ in size and are not uint8"):
        ks.open(Rows([Tensor(image[: 4 + i % 3]) for i, image in enumerate(X)], Y))


def test_files_of_an_image_folder_are_read_without_transforms(tmp_path: Path) -> None:
    rows = Rows([], Y)
    rows.samples = []  # type: ignore[attr-defined]
    for i, png in enumerate(PNG):
        (tmp_path / CLASSES[i % 2]).mkdir(exist_ok=True)
        (tmp_path / CLASSES[i % 2] / f"{i}.png").write_bytes(png)
        rows.samples.append((str(tmp_path / CLASSES[i % 2] / f"{i}.png"), i % 2))  # type: ignore[attr-defined]
    data = ks.open(rows)
    assert [data.load(i) for i in range(12)] == list(PNG) and data[1].path == "dog/1.png"


def test_arrays_of_a_dataset_and_its_subset() -> None:
    whole = Rows([], Y.tolist())
    whole.data = X  # type: ignore[attr-defined]
    same(ks.open(whole))
    subset = Rows(X, Y, classes=())
    subset.classes = None  # type: ignore[assignment]
    subset.dataset = whole  # type: ignore[attr-defined]
    same(ks.open(subset))


@pytest.mark.parametrize("cells", [[{"bytes": png, "path": None} for png in PNG], PNG])
def test_hugging_face_datasets_keep_the_encoded_bytes(cells: Any) -> None:
    data = ks.open(Hub(cells, Y.tolist()))
    assert [data.load(i) for i in range(12)] == list(PNG) and [sample.label for sample in data] == NAMES
    splits = ks.open({"train": Hub(cells[:8], Y[:8].tolist()), "test": Hub(cells[8:], [0, 1, -1, 1])})
    assert [sample.split for sample in splits] == ["train"] * 8 + ["test"] * 3
    assert splits[0].path == "train/00000" and splits.reading is not None
    assert splits.reading.warnings == ("1 of 12 images have no label and are not used",)


def test_more_than_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keensight.data.sources.objects.LIMIT", 1000)
    for source in (Hub(PNG, Y.tolist()), Rows(list(X), Y)):
        with pytest.raises(ks.DataError, match="too much for memory"):
            ks.open(source)


def test_two_pairs_are_training_and_test_set() -> None:
    data = ks.open(((X[:8], Y[:8]), (X[8:], Y[8:])), class_names=CLASSES)
    same(data)
    assert [sample.split for sample in data] == ["train"] * 8 + ["test"] * 4


def test_a_mapping_of_arrays() -> None:
    same(ks.open({"images": X, "target": Y, "target_names": np.array(CLASSES)}))


def test_lists_of_paths_and_of_bytes(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(12)]
    for path, png in zip(paths, PNG, strict=True):
        path.write_bytes(png)
    for images in (paths, [str(path) for path in paths], list(PNG), pd.Series([str(path) for path in paths])):
        data = ks.open((images, NAMES))
        assert [data.load(i) for i in range(12)] == list(PNG)


def test_a_table_of_encoded_images() -> None:
    frame = pd.DataFrame({"image": list(PNG), "label": NAMES, "camera": Y})
    data = ks.open(frame)
    assert [data.load(i) for i in range(12)] == list(PNG) and data[1].metadata == {"camera": 1}
    frame["image"] = [{"bytes": png, "path": f"{i}.png"} for i, png in enumerate(PNG)]
    assert ks.open(frame)[3].path == "3.png"


def test_a_table_of_missing_files_says_where_paths_start() -> None:
    with pytest.raises(ks.DataError) as caught:
        ks.open(pd.DataFrame({"path": ["a.jpg", "b.jpg"], "label": ["a", "b"]}))
    assert "ks.from_frame(frame, folder)" in str(caught.value.hint)


@pytest.mark.parametrize("source", [3, [1, 2], {"train": 3}, {}, object()])
def test_anything_else_is_a_sentence(source: Any) -> None:
    with pytest.raises(ks.UsageError, match="images cannot be read from a") as caught:
        ks.open(source)
    assert "Hugging Face" in str(caught.value.hint)


def test_a_dataset_whose_items_are_no_pairs() -> None:
    rows = Rows(X, Y)
    rows.__class__ = type("Singles", (Rows,), {"__getitem__": lambda self, row: X[row]})
    with pytest.raises(ks.DataError, match="item 0 of the dataset Singles is not a pair"):
        ks.open(rows)
