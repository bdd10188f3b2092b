"""Work that writes files, by name, for ``fault_builders.py``."""

from __future__ import annotations

import atexit
import csv
import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fault_builders import Refused, Scenario, command
from keensight.core.codec import to_plain
from keensight.core.files import sha256, sha256_file, write_json
from keensight.errors import KeensightError
from store_builders import dataset, evaluation, exam, make_run, manifest, split, write_model

Reading = dict[str, Callable[[], Any]]


def file(path: Path) -> str | None:
    """The content of a file; None: there is none."""
    return sha256_file(path) if path.exists() else None


def tree(folder: Path) -> dict[str, str]:
    """Digests of the files of a folder that are not hidden."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in paths]
    hidden = [any(part.startswith(".") for part in name.split("/")) for name in names]
    return {name: sha256_file(path) for name, path, skip in zip(names, paths, hidden, strict=True) if not skip}


def images(folder: Path, each: int = 20, side: int = 16, kind: str = "png") -> Path:
    """Two classes that differ in brightness."""
    rng = np.random.default_rng(0)
    for number, label in enumerate(("day", "night")):
        (folder / label).mkdir(parents=True)
        for i in range(each):
            image = rng.integers(0, 120, (side, side, 3)) + 110 * number
            Image.fromarray(image.astype(np.uint8)).save(folder / label / f"{i}.{kind}")
    return folder


def table_of(path: Path) -> Any:
    """A table's content, without what is different in each writing."""
    if not path.exists():
        return None
    if path.suffix == ".parquet":
        from pyarrow import parquet

        return parquet.read_table(path).to_pydict()
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else list(csv.reader(io.StringIO(text)))


# What is kept of a run


def record() -> Scenario:
    def act(place: Path) -> None:
        write_json(place / "record.json", {"new": [2] * 50_000})

    def make(place: Path) -> None:
        write_json(place / "record.json", {"old": 1})

    return Scenario(act, lambda place: {"record": partial(table_of, place / "record.json")}, make)


def run_records() -> Scenario:
    """Every record of a run but its bundle."""
    from keensight.assess.metrics import report_text
    from keensight.core.audit import AuditReport
    from keensight.core.labels import Correction
    from keensight.core.records import Epoch, History
    from keensight.store.run import open_run

    data, parts = dataset(), split()
    found = evaluation(data, parts)
    epochs = tuple(Epoch(n, "train", 3, 0.5, 0.1, 0.7, 0.5, 0.8, 0.4) for n in (1, 2))

    def act(place: Path) -> None:
        shutil.rmtree(place / "run", ignore_errors=True)  # a second try begins again, as the next command would
        run = make_run(place / "run")
        run.log("begun")
        run.save_dataset(data)
        run.save_audit(AuditReport("insects", 12, {"ant": 4}, {}, {}, {}, {}, (1, 2, 3), (1, 2, 3), 0.0, (), ()))
        run.save_split(parts, data)
        run.save_corrections((Correction("a.png", "0" * 64, "ant", "drop", ""),))
        for epoch in epochs:
            run.append_epoch(epoch)
        run.save_history(History(epochs, 2, "epochs"))
        run.save_held_out(found.predictions)
        run.save_evaluation(found, report_text(found))
        run.update(state="finished", results={"test": found.headline()})

    def read(place: Path) -> Reading:
        run = place / "run"

        def of(name: str) -> Callable[[], Any]:
            def value() -> Any:
                return to_plain(getattr(open_run(run), name))

            return value

        return {
            "state": lambda: open_run(run).record.state,
            "settings": partial(file, run / "config.toml"),
            "samples": lambda: to_plain(open_run(run).dataset.samples),
            **{name: of(name) for name in ("split", "audit", "applied_corrections", "evaluation")},
            "history": lambda: open_run(run).history.epochs in [epochs[:n] for n in range(3)],  # a training's, so far
            "paths": lambda: open_run(run).predictions.paths,
            "report": partial(file, run / "evaluation" / "report.txt"),
        }

    return Scenario(act, read, between={"state": ("created",), "applied_corrections": ([],)})


def bundle() -> Scenario:
    """A bundle, to which its evaluation is added."""
    from keensight.store.bundle import add_evaluation, open_bundle, write_bundle

    found = evaluation(dataset(), split())

    def act(place: Path) -> None:
        shutil.rmtree(place / "bundle", ignore_errors=True)
        made = write_bundle(place / "bundle", manifest=manifest(), save_model=write_model, exam=exam(), light=b"x" * 9)
        add_evaluation(made, found)

    def read(place: Path) -> Reading:
        # Without the evaluation it is whole too: the first step has been done.
        return {"bundle": lambda: open_bundle(place / "bundle").manifest.labels.names}

    return Scenario(act, read)


def rewritten_bundle() -> Scenario:
    from keensight.store.bundle import add_evaluation, open_bundle, write_bundle

    found = evaluation(dataset(), split())

    def make(place: Path) -> None:
        write_bundle(place / "bundle", manifest=manifest(), save_model=write_model, exam=exam())

    def act(place: Path) -> None:
        add_evaluation(open_bundle(place / "bundle"), found)

    def read(place: Path) -> Reading:
        return {"bundle": lambda: to_plain(open_bundle(place / "bundle").manifest.provenance)}

    return Scenario(act, read, make)


def export() -> Scenario:
    """An export that replaces an older one."""
    from keensight.core.exports import ExampleImage, ExportRecord, Output
    from keensight.core.parity import Limit, Parity
    from keensight.core.records import ImageSpec
    from keensight.core.task import Task
    from keensight.store.export import read_export, write_export

    parity = Parity("float32", 1, 0, 1e-6, 1.0, 1.0, limits=(Limit("largest difference", "1e-06", "0.0001", True),))

    def written(place: Path, network: bytes) -> None:
        def fill(folder: Path) -> ExportRecord:
            (folder / "model.onnx").write_bytes(network)
            return ExportRecord(
                schema=1, format="onnx", file="model.onnx", name="insects", model="cnn", task=Task.MULTICLASS,
                labels=("ant", "bee"), image=ImageSpec(8, 8), outputs=(Output("probabilities", (2,)),),
                decision={"rule": "most probable class"}, out_of_distribution=None, fractions=(),
                self_test=(ExampleImage("0.png", "ant", (0.9, 0.1), (0.9, 0.1)),), parity=parity, metrics={},
                versions={}, contract="0" * 64, files={},
            )  # fmt: skip

        write_export(place / "onnx", fill, lambda _: {"reader.py": b"print()", "self_test/0.png": b"picture"})

    def read(place: Path) -> Reading:
        return {"export": lambda: read_export(place / "onnx").record.files}

    return Scenario(
        lambda place: written(place, b"new" * 9000), read, lambda place: written(place, b"older")
    )  # fmt: skip


# The cache


def cached(mode: str) -> Scenario:
    """Images decoded into the cache, or decoded again at each use where it cannot be written."""
    import keensight as ks
    from keensight.data.cache import prepare

    spec = ks.ImageSpec(16, 16)

    def act(place: Path) -> str:
        pixels = prepare(ks.open(place / "set"), spec, mode=mode)  # type: ignore[arg-type]
        return sha256(np.ascontiguousarray(pixels.take(np.arange(40))).tobytes())

    def read(place: Path) -> Reading:
        return {"pixels": lambda: _decoded(place / "set", spec)}

    return Scenario(act, read, lambda place: images(place / "set"))


def _decoded(source: Path, spec: Any) -> str:
    """What a reader with this cache gets."""
    import keensight as ks
    from keensight.data.cache import prepare

    pixels = prepare(ks.open(source), spec)
    return sha256(np.ascontiguousarray(pixels.take(np.arange(40))).tobytes())


def features() -> Scenario:
    from keensight.data.feature_cache import FeatureCache

    rows = np.arange(80, dtype=np.float32).reshape(20, 4)
    names = [f"{number:064x}" for number in range(20)]

    def found() -> Any:
        kept = FeatureCache("ab" * 32, 4).find(names)
        # What is not cached is computed again; what is must be right.
        return all(np.array_equal(kept[name], row) for name, row in zip(names, rows, strict=True) if name in kept)

    def act(place: Path) -> None:
        FeatureCache("ab" * 32, 4).add(names, rows)

    return Scenario(act, lambda place: {"features": found})


def opened() -> Scenario:
    """The index of a folder of images."""
    import keensight as ks

    def digest(place: Path) -> str:
        return ks.open(place / "set").digest

    return Scenario(digest, lambda place: {"digest": lambda: digest(place)}, lambda place: images(place / "set"))


def archive() -> Scenario:
    """A compressed archive, unpacked into the cache."""
    import keensight as ks

    def make(place: Path) -> None:
        images(place / "set")
        with tarfile.open(place / "set.tar.gz", "w:gz") as packed:
            packed.add(place / "set", "set")

    def digest(place: Path) -> str:
        return ks.open(place / "set.tar.gz").digest

    return Scenario(digest, lambda place: {"digest": lambda: digest(place)}, make)


def sample() -> Scenario:
    def act(place: Path) -> None:
        command("samples", "digits", "digits")

    def again(place: Path) -> None:
        with_folder = (place / "digits").exists()  # it was complete, and only the answer failed
        if not with_folder:
            act(place)

    return Scenario(act, lambda place: {"digits": lambda: sha256(json.dumps(tree(place / "digits")).encode())},
                    again=again)  # fmt: skip


# Tables and pages


def predictions(ending: str) -> Scenario:
    import keensight as ks

    found = evaluation(dataset(), split()).predictions

    def act(place: Path) -> None:
        ks.write_predictions(found, place / f"out/predictions{ending}")

    def make(place: Path) -> None:
        (place / "out").mkdir()
        ks.write_predictions(found[:1] if hasattr(found, "__getitem__") else found, place / f"out/predictions{ending}")

    return Scenario(act, lambda place: {"table": partial(table_of, place / f"out/predictions{ending}")}, make)


def inspected() -> Scenario:
    """The audit's pictures, page and record, as a command."""

    def act(place: Path) -> None:
        command("inspect", "set", "--out", "found")

    def read(place: Path) -> Reading:
        found = place / "found"

        def page() -> Any:
            return (found / "audit.html").read_text()[-8:].strip() if (found / "audit.html").exists() else None

        def pictures() -> Any:
            return [_size(path) for path in sorted(found.glob("*.png"))]

        return {"record": partial(table_of, found / "audit.json"), "page": page, "pictures": pictures}

    def written(place: Path) -> Reading:
        inside = read(place)
        if not (place / "found" / "audit.json").exists():  # written last
            return {**inside, "pictures": lambda: None}
        return inside

    return Scenario(act, written, lambda place: images(place / "set"))


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        return image.size


# Training and what follows it, in real networks


TRAIN = (
    "train", "set", "--run", "run", "--model", "cnn", "--epochs", "2", "--image-size", "16",
    "--set", "augment.flip=none", "--set", "train.threads=1",
    "--set", "train.precision=float32", "--set", "model.width=8",
)  # fmt: skip


def trained() -> Scenario:
    def act(place: Path) -> None:
        command(*TRAIN)

    def again(place: Path) -> None:
        shutil.rmtree(place / "run", ignore_errors=True)
        act(place)

    return Scenario(act, _run_reading, lambda place: images(place / "set"), again, {"finished": (False,)})


def _run_reading(place: Path) -> Reading:
    from keensight.store.bundle import open_bundle
    from keensight.store.run import open_run, scan_runs

    run = place / "run"

    def finished() -> bool:
        return open_run(run).state == "finished"

    def weights() -> Any:
        return _weights(open_bundle(run).model_path)

    def history() -> Any:
        return None if not finished() else [(epoch.loss, epoch.val_loss) for epoch in open_run(run).history.epochs]

    def page() -> Any:
        return run.joinpath("report.html").read_text().rstrip()[-7:] if run.joinpath("report.html").exists() else None

    def listed() -> Any:
        scan_runs(place)
        return True

    return {
        "finished": finished, "weights": weights, "history": history, "listed": listed, "page": page,
        "predictions": lambda: np.asarray(open_run(run).predictions.probabilities).tobytes(),
        "split": lambda: to_plain(open_run(run).split),
        "samples": lambda: to_plain(open_run(run).dataset.samples),
    }  # fmt: skip


def _weights(path: Path) -> str:
    with zipfile.ZipFile(path) as packed, packed.open("model.weights.h5") as stream:
        import h5py

        found = h5py.File(io.BytesIO(stream.read()), "r")
        values: list[bytes] = []
        found.visititems(lambda _, item: values.append(item[()].tobytes()) if hasattr(item, "shape") else None)
    return sha256(b"".join(values))


@cache
def _trained_once() -> Path:
    """A finished run, trained before any fault."""
    import tempfile

    home = Path(tempfile.mkdtemp(prefix="faults-run-", dir="/tmp"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    images(home / "set")
    arguments = [str(home / "set") if name == "set" else str(home / "run") if name == "run" else name for name in TRAIN]
    command(*arguments)
    return home / "run"


def _with_run(place: Path) -> None:
    source = _trained_once()
    images(place / "set")
    shutil.copytree(source, place / "run")


def predicted(ending: str) -> Scenario:
    """Many predictions, in parts that are joined."""
    from keensight.workflow import prediction_tables

    prediction_tables._PART = 10

    def act(place: Path) -> None:
        command("predict", "run", "set", "--out", f"out{ending}")

    return Scenario(act, lambda place: {"table": partial(table_of, place / f"out{ending}")}, _with_run)


def exported(kind: str) -> Scenario:
    from keensight.store.export import read_export

    def act(place: Path) -> None:
        command("export", "run", "--to", kind, "--out", "made", "--replace")

    def read(place: Path) -> Reading:
        return {"export": lambda: read_export(place / "made").record.outputs[0].name}

    return Scenario(act, read, _with_run)


def followed(*arguments: str, reading: Callable[[Path], Reading]) -> Scenario:
    return Scenario(lambda place: command(*arguments), reading, _with_run)


SCENARIOS: dict[str, Callable[[], Scenario]] = {
    "record": record,
    "run": run_records,
    "bundle": bundle,
    "bundle rewritten": rewritten_bundle,
    "export": export,
    "cache auto": partial(cached, "auto"),
    "cache always": partial(cached, "always"),
    "features": features,
    "index": opened,
    "archive": archive,
    "sample": sample,
    "predictions csv": partial(predictions, ".csv"),
    "predictions json": partial(predictions, ".json"),
    "predictions parquet": partial(predictions, ".parquet"),
    "inspect": inspected,
    "train": trained,
    "predict csv": partial(predicted, ".csv"),
    "predict parquet": partial(predicted, ".parquet"),
    **{f"export {kind}": partial(exported, kind) for kind in ("litert", "onnx", "openvino", "savedmodel", "keras")},
}
__all__ = ["SCENARIOS", "KeensightError", "Refused"]
