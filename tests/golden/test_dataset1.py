"""``dataset.parquet`` of schema 1, the images of a run: every later version reads it.

Parquet's bytes depend on the version of Arrow that wrote them, so what is read is compared, not the file. If a change
of the format is meant: raise ``DATASET_SCHEMA``, keep this folder and its reader, and begin another.
``python tests/golden/test_dataset1.py`` wrote the files from the records below; from ``whole.parquet`` and
``labels.parquet`` it made ``first.parquet``, with what the first version of schema 1 wrote and no more.
"""

import dataclasses
import json
from pathlib import Path

import pytest

from keensight.core.records import Dataset, ImageInfo, LabelSet, Reading, Sample, Skipped
from keensight.core.task import Task
from keensight.store.run_tables import DATASET_SCHEMA, read_dataset, write_dataset

HERE = Path(__file__).parent / "dataset1"
NAMES = ("cat", 'dog "b", c', "Ñandú")
READING = Reading("folder per class", "by names of folders", notes=("2 files not used",), warnings=("a warning",))
WHOLE = Dataset(
    "pets", "folder", LabelSet(NAMES),
    (
        Sample("cat/=1.jpg", "cat", "a" * 64, 100, "patient 1", "train", {"age": 3, "site": "Zürich", "none": None},
               ImageInfo("JPEG", "RGB", 64, 48, 1, 6)),
        Sample("dog/\\udcff.png", NAMES[1], "b" * 64, 200, None, "test", {}, ImageInfo("PNG", "I;16", 48, 64, 2, 1)),
        Sample("bird/broken.jpg", NAMES[2], "", error="the file is empty"),
    ),
    (Skipped("Thumbs.db", "no image"),), reading=READING,
)  # fmt: skip
LABELS = dataclasses.replace(
    WHOLE, task=Task.MULTILABEL, reading=None,
    samples=tuple(
        dataclasses.replace(sample, label=label, labels=labels)
        for sample, label, labels in zip(
            WHOLE.samples, ("cat|Ñandú", "", "Ñandú"), (("cat", "Ñandú"), (), ("Ñandú",)), strict=True
        )
    ),
)  # fmt: skip
FIRST = dataclasses.replace(WHOLE, reading=None)


def write_all(folder: Path) -> None:
    import pyarrow.parquet as pq

    folder.mkdir(exist_ok=True)
    write_dataset(folder / "whole.parquet", WHOLE)
    write_dataset(folder / "labels.parquet", LABELS)
    table = pq.read_table(folder / "whole.parquet")
    whole = json.loads(table.schema.metadata[b"keensight"])
    kept = {name: whole[name] for name in ("schema", "name", "kind", "labels", "skipped")}
    pq.write_table(table.replace_schema_metadata({b"keensight": json.dumps(kept).encode()}), folder / "first.parquet")


@pytest.mark.parametrize(("name", "wanted"), [("whole", WHOLE), ("labels", LABELS), ("first", FIRST)])
def test_this_version_reads_a_dataset_of_schema_1(name: str, wanted: Dataset) -> None:
    found = read_dataset(HERE / f"{name}.parquet")
    for field in dataclasses.fields(Dataset):
        if field.compare:
            assert getattr(found, field.name) == getattr(wanted, field.name), field.name


def test_this_version_writes_the_columns_and_the_keys_of_schema_1(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    assert DATASET_SCHEMA == 1
    write_all(tmp_path / "now")
    for name in ("whole", "labels"):
        then, now = (pq.read_schema(folder / f"{name}.parquet") for folder in (HERE, tmp_path / "now"))
        assert now.equals(then)
        assert json.loads(now.metadata[b"keensight"]).keys() == json.loads(then.metadata[b"keensight"]).keys()


if __name__ == "__main__":
    write_all(HERE)
