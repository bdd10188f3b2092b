"""An export of schema 1, kept: every later version reads ``export.json`` and checks the files beside it.

If a change of the format is meant: raise the schema number, keep this folder and its reader, and begin another.
``python tests/golden/test_export1.py`` wrote the files from the record below.
"""

import shutil
from pathlib import Path

from keensight.core.codec import to_plain
from keensight.core.exports import SCHEMA, ExampleImage, ExportRecord, Output
from keensight.core.files import canonical_json
from keensight.core.parity import Limit, Parity
from keensight.core.records import ImageSpec
from keensight.core.task import Task
from keensight.store.export import read_export, write_export

HERE = Path(__file__).parent / "export1"
RECORD = ExportRecord(
    schema=1, format="onnx", file="model.onnx", name="pets", model="cnn", task=Task.MULTICLASS,
    labels=("cat", 'dog "b", c'), image=ImageSpec(16, 20, "pad", decoder=2, intensity=4095.0, black=-0.5),
    outputs=(Output("probabilities", (2,)), Output("embedding", (4,))),
    decision={"rule": "most probable class", "mirror": False, "answers": {"threshold": 0.625, "target": "precision"}},
    out_of_distribution="subspace.npz", fractions=(0.25,),
    self_test=(ExampleImage("0.png", "cat", (0.75, 0.25), (0.5, 0.5)),),
    parity=Parity("float32", 1, 500, 1e-6, 1.0, 1.0, limits=(Limit("largest difference", "1e-06", "0.0001", True),)),
    metrics={"part": "test", "accuracy": 0.5, "accuracy_ci": [0.25, 0.75], "n": 2, "caveats": []},
    versions={"keensight": "0.1.0"}, contract="0" * 64, files={},
)  # fmt: skip
FILES = {
    "self_test/0.png": b"a picture", "reader.py": b"# a reader\n", "pixels.py": b"# a decoder\n",
    "subspace.npz": b"a subspace",
}  # fmt: skip


def fill(folder: Path) -> ExportRecord:
    (folder / "model.onnx").write_bytes(b"a network")
    return RECORD


def test_this_version_reads_an_export_of_schema_1() -> None:
    found = read_export(HERE)
    plain = to_plain(found.record)
    assert plain.pop("digest") and plain.pop("files").keys() == {*FILES, "model.onnx"}
    wanted = to_plain(RECORD)
    assert plain == {name: value for name, value in wanted.items() if name not in ("digest", "files")}
    assert found.size == len(b"a network")


def test_this_version_writes_an_export_of_schema_1_to_the_letter(tmp_path: Path) -> None:
    assert SCHEMA == 1
    made = write_export(tmp_path / "now", fill, lambda _: FILES)
    assert canonical_json(to_plain(made.record)) == (HERE / "export.json").read_text(encoding="utf-8")
    assert (made.path / "export.json").read_bytes() == (HERE / "export.json").read_bytes()


if __name__ == "__main__":
    shutil.rmtree(HERE, ignore_errors=True)
    write_export(HERE, fill, lambda _: FILES)
