"""WebDataset tars and TFRecords."""

import gzip
from pathlib import Path

import pytest

from archive_builders import CLASSES, PNG, image_examples, web_samples, write_records, write_tar
from keensight.core.records import Dataset
from keensight.data.sources.readers import open_source
from keensight.errors import DataError


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEENSIGHT_CACHE", str(tmp_path / "cache"))


def check(data: Dataset, classes: tuple[str, ...] = CLASSES) -> None:
    assert data.class_names == classes
    held = {data.load(i): sample.label for i, sample in enumerate(data)}
    assert held == {png: classes[i % 2] for i, png in enumerate(PNG)}
    assert all(sample.info is not None and sample.size == len(data.load(i)) for i, sample in enumerate(data))


@pytest.mark.parametrize(("kind", "classes"), [("cls", ("0", "1")), ("json", CLASSES)])
def test_webdataset(tmp_path: Path, kind: str, classes: tuple[str, ...]) -> None:
    data = open_source(write_tar(tmp_path / "set.tar", web_samples(kind)))
    check(data, classes)
    assert data.reading is not None and data.reading.layout == "WebDataset tar"


def test_webdataset_shards_with_splits_and_class_names(tmp_path: Path) -> None:
    files = web_samples()
    for name, rows in {"train-000000": range(4), "train-000001": range(4, 8), "test-000000": range(8, 12)}.items():
        keys = {f"{i:04d}" for i in rows}
        write_tar(tmp_path / f"{name}.tar", {n: data for n, data in files.items() if n.split(".")[0] in keys})
    (tmp_path / "classnames.txt").write_text("cat\ndog\n")
    data = open_source(tmp_path)
    check(data)
    assert {(sample.path.split("/")[0], sample.split) for sample in data} == {
        ("train-000000", "train"), ("train-000001", "train"), ("test-000000", "test")}  # fmt: skip


def test_webdataset_without_some_labels(tmp_path: Path) -> None:
    files = {name: data for name, data in web_samples().items() if name != "0003.cls"}
    data = open_source(write_tar(tmp_path / "set.tar", files))
    assert len(data) == 11 and data.reading is not None
    assert data.reading.warnings == ("1 of 12 images have no label and are not used",)


def test_webdataset_with_another_key_needs_label(tmp_path: Path) -> None:
    files = {name: data.replace(b"label", b"kind") for name, data in web_samples("json").items()}
    path = write_tar(tmp_path / "set.tar", files)
    with pytest.raises(DataError, match="no image of set"):
        open_source(path)
    check(open_source(path, label="kind"))


def test_tfrecord(tmp_path: Path) -> None:
    data = open_source(write_records(tmp_path / "set.tfrecord", image_examples()))
    check(data)
    assert data.reading is not None and data.reading.cue == "labels in the feature image/class/text"
    by_number = open_source(tmp_path / "set.tfrecord", label="image/class/label")
    assert by_number.class_names == ("0", "1")


def test_tfrecord_shards(tmp_path: Path) -> None:
    write_records(tmp_path / "pets-train.tfrecord-00000-of-00002", image_examples(0, 4))
    write_records(tmp_path / "pets-train.tfrecord-00001-of-00002", image_examples(4, 8))
    write_records(tmp_path / "pets-test.tfrecord-00000-of-00001", image_examples(8))
    data = open_source(tmp_path)
    check(data)
    assert [sample.split for sample in data].count("test") == 4


def test_lists_are_several_labels(tmp_path: Path) -> None:
    examples = [{"image": [PNG[i]], "label": [[b"a"], [b"a", b"b"], [b"b"]][i % 3]} for i in range(12)]
    data = open_source(write_records(tmp_path / "s.tfrecord", examples))  # type: ignore[arg-type]
    assert data.indicators()[:3].tolist() == [[1, 0], [1, 1], [0, 1]] and data[1].label == "a|b"
    files = {name: file.replace(b'"cat"', b'["cat", "dog"]') for name, file in web_samples("json").items()}
    assert open_source(write_tar(tmp_path / "s.tar", files)).indicators()[:2].tolist() == [[1, 1], [0, 1]]


def test_further_images_of_a_webdataset_sample_are_left_out(tmp_path: Path) -> None:
    masks = {f"{i:04d}.mask.png": PNG[0] for i in range(12)}
    data = open_source(write_tar(tmp_path / "set.tar", web_samples() | masks))
    check(data, ("0", "1"))
    assert data.reading is not None and "12 further images of the same samples" in data.reading.warnings[0]


def test_a_compressed_tfrecord(tmp_path: Path) -> None:
    plain = write_records(tmp_path / "set", image_examples()).read_bytes()
    (tmp_path / "set.tfrecord.gz").write_bytes(gzip.compress(plain))
    check(open_source(tmp_path / "set.tfrecord.gz"))


def test_tfrecord_of_numbers_beyond_one_byte(tmp_path: Path) -> None:
    examples = [{"image": [PNG[i]], "label": [300 if i % 2 else -1]} for i in range(12)]
    assert open_source(write_records(tmp_path / "s.tfrec", examples)).class_names == ("300", "-1")  # type: ignore[arg-type]


@pytest.mark.parametrize("features", [["image", "other"], ["other", "label"]])
def test_tfrecord_without_image_or_label_lists_its_features(tmp_path: Path, features: list[str]) -> None:
    path = write_records(tmp_path / "s.tfrec", [{name: [b"x"] for name in features}])
    with pytest.raises(DataError) as caught:
        open_source(path)
    assert "its features are: " in str(caught.value.hint)


def test_damaged_tfrecords_are_a_sentence(tmp_path: Path) -> None:
    whole = write_records(tmp_path / "s.tfrecord", image_examples()).read_bytes()
    for data in (whole[:-1], whole[:50], b"\1" + whole[1:], b"no record at all", whole + b"x"):
        (tmp_path / "s.tfrecord").write_bytes(data)
        with pytest.raises(DataError, match="damaged or ends early"):
            open_source(tmp_path / "s.tfrecord")
    (tmp_path / "s.tfrecord").write_bytes(b"")
    with pytest.raises(DataError):
        open_source(tmp_path / "s.tfrecord")


def test_pickles_are_refused(tmp_path: Path) -> None:
    import pickle

    (tmp_path / "data_batch_1").write_bytes(pickle.dumps({"data": [1]}))
    (tmp_path / "all.pkl").write_bytes(b"")
    for source in (tmp_path, tmp_path / "data_batch_1", tmp_path / "all.pkl"):
        with pytest.raises(DataError, match="pickle, which can run code") as caught:
            open_source(source)
        assert "cifar10.load_data" in str(caught.value.hint)


@pytest.mark.slow
def test_tfrecords_that_tensorflow_writes(tmp_path: Path) -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(tmp_path / "s.tfrecord")) as writer:
        for i, png in enumerate(PNG):
            feature = {
                "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[png])),
                "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[i % 2])),
                "weights": tf.train.Feature(float_list=tf.train.FloatList(value=[0.5, 2])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    check(open_source(tmp_path / "s.tfrecord"), ("0", "1"))
