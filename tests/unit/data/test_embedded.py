"""Tables whose cells are images."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keensight.core.pixels import encode_png
from keensight.core.records import Dataset
from keensight.data.sources.readers import open_source
from keensight.errors import DataError

R = np.random.default_rng(0)
PNG = [encode_png(R.integers(0, 255, (6, 5, 3), np.uint8)) for _ in range(6)]
LABELS = ["cat", "dog", "cat", "dog", "cat", "dog"]


def write(
    path: Path, label: list[Any], *, features: dict[str, Any] | None = None, paths: Any = None, **more: Any
) -> Path:
    cells = [{"bytes": png, "path": paths and paths[i]} for i, png in enumerate(PNG[: len(label)])]
    table = pa.table(
        {"image": pa.array(cells, pa.struct({"bytes": pa.binary(), "path": pa.string()})), "label": label, **more}
    )
    if features:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=2)
    return path


CLASSES = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}


def loaded(data: Dataset) -> list[Any]:
    return [data.load(i) for i in range(len(data))]


def test_structs_of_bytes_and_path(tmp_path: Path) -> None:
    names = [f"{i}.png" for i in range(6)]
    data = open_source(write(tmp_path / "t.parquet", LABELS, paths=names, camera=[1, 1, 2, 2, 1, 1]))
    assert [sample.path for sample in data] == names
    assert [sample.label for sample in data] == LABELS
    assert loaded(data) == PNG and data[0].info.format == "PNG" and data[0].size == len(PNG[0])  # type: ignore[union-attr]
    assert data[2].metadata == {"camera": 2}
    assert data.reading.layout == "Parquet with images"  # type: ignore[union-attr]


def test_bare_bytes_as_pandas_writes_them(tmp_path: Path) -> None:
    pd.DataFrame({"image": PNG, "label": LABELS}).to_parquet(tmp_path / "t.parquet")
    data = open_source(tmp_path / "t.parquet")
    assert [sample.path for sample in data][:2] == ["00000", "00001"]
    assert loaded(data) == PNG


def test_shards_of_a_hugging_face_dataset(tmp_path: Path) -> None:
    write(tmp_path / "data/train-00000-of-00002.parquet", [0, 1, 0, 1], features=CLASSES)
    write(tmp_path / "data/train-00001-of-00002.parquet", [1, 0], features=CLASSES)
    write(tmp_path / "data/test-00000-of-00001.parquet", [1, -1, 0], features=CLASSES)
    (tmp_path / "README.md").write_text("card")
    data = open_source(tmp_path)
    assert data.class_names == ("cat", "dog")
    assert [(s.path, s.split, s.label) for s in data][1:4] == [
        ("test/00002", "test", "cat"), ("train/00003", "train", "cat"), ("train/00004", "train", "dog")]  # fmt: skip
    assert data.load(6) == PNG[0]
    assert data.reading.warnings == ("1 of 9 images have no label and are not used",)  # type: ignore[union-attr]


def test_lists_of_class_numbers_are_several_labels(tmp_path: Path) -> None:
    features = {"label": {"_type": "Sequence", "feature": CLASSES["label"]}}
    data = open_source(write(tmp_path / "t.parquet", [[0], [0, 1], [1], [0], [1], [0]], features=features))
    assert data.indicators().tolist() == [[1, 0], [1, 1], [0, 1], [1, 0], [0, 1], [1, 0]]


def test_missing_and_damaged_cells_are_errors_of_their_image(tmp_path: Path) -> None:
    cells = [*PNG[:4], None, b"no image"]
    pd.DataFrame({"image": cells, "label": LABELS}).to_parquet(tmp_path / "t.parquet")
    data = open_source(tmp_path / "t.parquet")
    assert [sample.error is not None for sample in data] == [False] * 4 + [True] * 2
    assert "empty" in str(data[4].error)


def test_a_truncated_file_is_a_sentence(tmp_path: Path) -> None:
    whole = write(tmp_path / "t.parquet", LABELS).read_bytes()
    (tmp_path / "t.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read"):
        open_source(tmp_path / "t.parquet")
    (tmp_path / "t.parquet").write_bytes(bytes(len(whole) // 2) + whole[len(whole) // 2 :])
    with pytest.raises(DataError):
        open_source(tmp_path / "t.parquet")


def test_binary_cells_that_are_no_images_are_metadata_of_a_plain_table(tmp_path: Path) -> None:
    for i, png in enumerate(PNG):
        (tmp_path / f"{i}.png").write_bytes(png)
    frame = pd.DataFrame({"path": [f"{i}.png" for i in range(6)], "md5": [b"\x01" * 16] * 6, "label": LABELS})
    frame.to_parquet(tmp_path / "t.parquet")
    assert [sample.path for sample in open_source(tmp_path / "t.parquet")] == list(frame["path"])


def test_of_several_columns_of_images_one_is_chosen_and_reported(tmp_path: Path) -> None:
    pd.DataFrame({"mask": PNG[::-1], "image": PNG, "label": LABELS}).to_parquet(tmp_path / "t.parquet")
    data = open_source(tmp_path / "t.parquet")
    assert loaded(data) == PNG and data.reading is not None
    assert data.reading.notes[0] == "further columns of images: mask" and "mask" in data.reading.override
    assert loaded(open_source(tmp_path / "t.parquet", path="mask")) == PNG[::-1]
