"""An export on disk: complete or absent, and every change to it is found."""

import json
from pathlib import Path

import pytest

from keensight.core.exports import SCHEMA, ExampleImage, ExportRecord, Output, digest_of
from keensight.core.parity import Limit, Parity
from keensight.core.records import ImageSpec
from keensight.core.task import Task
from keensight.errors import GateError, StoreError
from keensight.store.export import check_place, is_export, network_size, read_export, write_export

PARITY = Parity("float32", 1, 0, 1e-6, 1.0, 1.0, limits=(Limit("largest difference", "1e-06", "0.0001", True),))


def record(**changes):
    values = {
        "schema": SCHEMA, "format": "onnx", "file": "model.onnx", "name": "insects", "model": "cnn",
        "task": Task.MULTICLASS, "labels": ("ant", "bee"), "image": ImageSpec(8, 8),
        "outputs": (Output("probabilities", (2,)),), "decision": {"rule": "most probable class"},
        "out_of_distribution": None, "fractions": (),
        "self_test": (ExampleImage("0.png", "ant", (0.9, 0.1), (0.9, 0.1)),), "parity": PARITY, "metrics": {},
        "versions": {}, "contract": "0" * 64, "files": {},
    }  # fmt: skip
    return ExportRecord(**(values | changes))


def fill(folder: Path) -> ExportRecord:
    (folder / "model.onnx").write_bytes(b"network" * 100)
    return record()


def files(_: ExportRecord) -> dict[str, bytes]:
    return {"reader.py": b"print()", "self_test/0.png": b"picture"}


@pytest.fixture
def made(tmp_path):
    return write_export(tmp_path / "deep" / "onnx", fill, files)


def test_an_export_is_read_as_it_was_written(made):
    again = read_export(made.path)
    assert again == made and again.size == 700 and is_export(made.path)
    assert set(again.record.files) == {"model.onnx", "reader.py", "self_test/0.png"}
    assert again.parity.ok and again.file.name == "model.onnx"
    assert [path.name for path in made.path.parent.iterdir()] == ["onnx"]


def test_what_a_gate_refuses_leaves_nothing(tmp_path):
    def refuse(folder):
        fill(folder)
        raise GateError("it predicts otherwise")

    with pytest.raises(GateError):
        write_export(tmp_path / "new" / "onnx", refuse, files)
    assert not list((tmp_path / "new").iterdir())


def test_an_older_export_stays_until_the_new_one_is_complete(made, tmp_path):
    def refuse(folder):
        raise GateError("it predicts otherwise")

    with pytest.raises(GateError):
        write_export(made.path, refuse, files)
    assert read_export(made.path) == made
    new = write_export(made.path, fill, lambda _: {"self_test/0.png": b"picture"})
    assert set(read_export(made.path).record.files) == {"model.onnx", "self_test/0.png"} and new.path == made.path


@pytest.mark.parametrize("name", ["model.onnx", "reader.py", "self_test/0.png"])
def test_a_changed_file_is_named(made, name):
    (made.path / name).write_bytes(b"changed")
    with pytest.raises(StoreError, match=f"{name} was changed or is damaged"):
        read_export(made.path)


def test_a_changed_record_is_named(made):
    path = made.path / "export.json"
    plain = json.loads(path.read_text())
    plain["labels"] = ["bee", "ant"]
    path.write_text(json.dumps(plain))
    with pytest.raises(StoreError, match=r"export\.json was changed or is damaged"):
        read_export(made.path)
    path.write_text(json.dumps({**plain, "digest": digest_of(plain)}))
    assert read_export(made.path).record.labels == ("bee", "ant")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "reader.py").unlink(), "lacks reader.py"),
        (lambda folder: (folder / "more.py").write_text("x"), "does not list: more.py"),
        (lambda folder: (folder / "more.py").symlink_to(folder / "reader.py"), "is a link"),
        (lambda folder: (folder / "export.json").write_text("{"), "is not valid JSON"),
        (lambda folder: (folder / "export.json").write_text('{"schema": 99}'), "written by a newer Keensight"),
    ],
)
def test_a_damaged_folder_is_refused_with_the_reason(made, change, message):
    change(made.path)
    with pytest.raises(StoreError, match=message):
        read_export(made.path)


@pytest.mark.parametrize("name", ["../../secret.png", "/etc/passwd", "1.png"])
def test_images_of_the_self_test_are_files_of_the_export(made, name):
    path = made.path / "export.json"
    plain = json.loads(path.read_text())
    plain["self_test"][0]["file"] = name
    path.write_text(json.dumps({**plain, "digest": digest_of(plain)}))
    with pytest.raises(StoreError, match="does not list the images"):
        read_export(made.path)


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/passwd", "other.onnx"])
def test_the_network_is_a_file_of_the_export(made, name):
    path = made.path / "export.json"
    plain = json.loads(path.read_text())
    plain["file"] = name
    path.write_text(json.dumps({**plain, "digest": digest_of(plain)}))
    with pytest.raises(StoreError, match="does not list its network"):
        read_export(made.path)


def test_what_python_and_systems_leave_is_ignored(made):
    (made.path / "__pycache__").mkdir()
    (made.path / "__pycache__" / "pixels.cpython-311.pyc").write_bytes(b"x")
    (made.path / ".DS_Store").write_bytes(b"x")
    assert read_export(made.path) == made


def test_a_place_is_taken_free_or_replaced(made, tmp_path):
    check_place(tmp_path / "new", False)
    (tmp_path / "empty").mkdir()
    check_place(tmp_path / "empty", False)
    with pytest.raises(StoreError, match="already exists"):
        check_place(made.path, False)
    check_place(made.path, True)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_bytes(b"x")
    with pytest.raises(StoreError, match="is not an export"):
        check_place(tmp_path / "photos", True)


def test_the_size_counts_weights_and_folders(tmp_path):
    (tmp_path / "model.xml").write_bytes(b"12")
    (tmp_path / "model.bin").write_bytes(b"345")
    (tmp_path / "saved_model" / "variables").mkdir(parents=True)
    (tmp_path / "saved_model" / "variables" / "v").write_bytes(b"6789")
    assert network_size(tmp_path / "model.xml") == 5
    assert network_size(tmp_path / "saved_model") == 4


def test_a_record_of_more_than_64_mib_is_not_even_read(made):
    with (made.path / "export.json").open("r+b") as stream:
        stream.truncate(64 * 2**20 + 1)  # sparse: no disk is used
    with pytest.raises(StoreError, match=r"export\.json is larger than 67,108,864 bytes"):
        read_export(made.path)


def sealed(path: Path, **changes):
    """A record that was changed, and its digest with it."""
    plain = {**json.loads((path / "export.json").read_text()), **changes}
    (path / "export.json").write_text(json.dumps({**plain, "digest": digest_of(plain)}))


@pytest.mark.parametrize(("n", "named"), [(5, 5), (7, 5)])
def test_of_files_that_are_not_listed_five_are_named(made, n, named):
    for number in range(n):
        (made.path / f"{number}.txt").write_text("x")
    with pytest.raises(StoreError) as caught:
        read_export(made.path)
    listed = ", ".join(f"{number}.txt" for number in range(named))
    assert caught.value.message == f"{made.path} contains files that export.json does not list: {listed}"
    assert caught.value.hint == "export the model again, or get the export again from its source"


@pytest.mark.parametrize(("n", "named"), [(5, 5), (7, 5)])
def test_of_self_test_images_that_are_not_listed_five_are_named(made, n, named):
    (first,) = json.loads((made.path / "export.json").read_text())["self_test"]
    sealed(made.path, self_test=[first | {"file": f"x{number}.png"} for number in range(n)])
    listed = ", ".join(f"x{number}.png" for number in range(named))
    with pytest.raises(StoreError, match=f"does not list the images {listed} of its self-test"):
        read_export(made.path)


def test_a_network_may_be_a_folder(tmp_path):
    def fill(folder):
        (folder / "saved_model").mkdir()
        (folder / "saved_model" / "graph.pb").write_bytes(b"graph")
        return record(file="saved_model")

    made = write_export(tmp_path / "export", fill, files)
    assert read_export(made.path) == made and made.size == 5
    sealed(made.path, file="saved")
    with pytest.raises(StoreError, match="does not list its network saved"):
        read_export(made.path)


def test_hidden_files_do_not_count_wherever_they_are_but_the_name_of_the_record_does_in_a_folder(made):
    (made.path / "self_test" / ".cache").mkdir()
    (made.path / "self_test" / ".cache" / "x").write_bytes(b"x")
    (made.path / ".link").symlink_to("/")
    (made.path / "empty").mkdir()
    assert read_export(made.path) == made
    (made.path / "self_test" / "export.json").write_text("{}")
    with pytest.raises(StoreError, match=r"does not list: self_test/export\.json"):
        read_export(made.path)


def test_all_that_is_missing_is_named(made):
    (made.path / "reader.py").unlink()
    (made.path / "model.onnx").unlink()
    with pytest.raises(StoreError, match=r"lacks model\.onnx, reader\.py$"):
        read_export(made.path)


def test_a_file_is_no_place_for_an_export_and_a_free_place_is_with_or_without_replace(made, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(StoreError, match=r"photo\.jpg already exists$") as caught:
        check_place(tmp_path / "photo.jpg", False)
    assert caught.value.hint == "add --replace, or choose another place with --out"
    with pytest.raises(StoreError, match="exists and is not an export") as caught:
        check_place(tmp_path / "photo.jpg", True)
    assert caught.value.hint == "choose another place; nothing else is replaced"
    (tmp_path / "empty").mkdir()
    check_place(tmp_path / "empty", True)
    check_place(tmp_path / "new", True)
    assert not is_export(tmp_path / "empty")
