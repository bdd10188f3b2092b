"""Predictions on several workers: the rows of one process, also if workers are killed, and from other file systems."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import keensight as ks
from keensight.core.pixels import encode_png
from keensight.core.progress import Silent
from keensight.errors import UsageError
from s3_builders import s3

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]  # of Ray about itself
pytest.importorskip("ray", reason="the extra cluster is not installed")
SPEC = ks.ImageSpec(16, 16)
ROOT = Path(__file__).parents[2]


def draw(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 16, 16, 3), np.uint8)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with an untrained network's bundle, photos, and the table that one process makes of them."""
    folder = tmp_path_factory.mktemp("cluster")
    data = ks.from_arrays(draw(60), np.repeat(("blue", "green", "red"), 20))
    model = ks.Classifier(ks.build(data, SPEC, "cnn", width=4), data.labels, SPEC)
    ks.bundle(model, data, ks.split(data), folder / "bundle")
    (folder / "photos").mkdir()
    for number, image in enumerate(draw(148, 1)):
        (folder / "photos" / f"{number}.png").write_bytes(encode_png(image))
    (folder / "photos" / "bad.png").write_bytes(b"no image")
    (folder / "photos" / "empty.png").write_bytes(b"")
    ks.predict_to_file(folder / "bundle", folder / "photos", folder / "one.parquet", progress=Silent())
    return folder


@pytest.fixture(scope="module")
def cluster():
    """Two workers for the tests that need no process of their own."""
    from keensight.scale.cluster import connected

    with connected(None, 2):
        yield


def spread(place, images, out, **options):
    from keensight.scale.predict import predict_with_workers

    return predict_with_workers(place / "bundle", images, out, workers=2, progress=Silent(), **options)


def parent(process):
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def workers(command):
    """Processes that predict in the cluster that a process has started; another one may run on the same machine."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and b"ray::MapWorker" in (entry / "cmdline").read_bytes():
                process = int(entry.name)
                if parent(parent(process)) == command:  # a worker's parent is the daemon that was started
                    yield process
        except OSError:
            continue


def started(place, *arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen(
        [sys.executable, "-m", "keensight", *arguments],
        cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip


def killed_twice(process, parts):
    """Kill a worker of a command when some parts are done, and another one later."""
    killed = []
    while process.poll() is None and len(killed) < 2:
        if len(list(parts.glob("part-*"))) > 4 * len(killed) and (found := list(workers(process.pid))):
            os.kill(found[0], signal.SIGKILL)
            killed.append(found[0])
            time.sleep(1)
        time.sleep(0.02)
    return set(killed)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are found in /proc")
def test_the_command_writes_the_rows_of_one_process_also_where_workers_are_killed_and_does_nothing_twice(place):
    photos = sorted(f"photos/{path.name}" for path in (place / "photos").iterdir())
    (place / "list.txt").write_text("\n".join(photos[i % len(photos)] for i in range(6_000)))
    ks.predict_to_file(place / "bundle", place / "list.txt", place / "long.parquet", progress=Silent())
    command = ["predict", "bundle", "list.txt", "--out", "found.parquet", "--workers", "2"]
    process = started(place, *command, "--quiet")
    killed = killed_twice(process, place / ".found.parquet.workers")
    told = process.communicate(timeout=300)
    assert len(killed) == 2, told
    assert (process.returncode, *told) == (
        0, "6,000 predictions in found.parquet\n", "80 of 6,000 files could not be read\n",
    )  # fmt: skip
    found, expected = parquet.read_table(place / "found.parquet"), parquet.read_table(place / "long.parquet")
    assert found.equals(expected) and found.schema.equals(expected.schema), "the same bits"
    again = started(place, *command, "--json")
    document, lines = again.communicate(timeout=60)
    assert (again.returncode, "all 6,000 images are done already" in lines) == (0, True)
    assert json.loads(document) | {"schema": 0} == {
        "schema": 0, "out": "found.parquet", "images": 6_000, "unreadable": 80, "noted": 0,
    }  # fmt: skip
    other = started(place, *command, "--top", "2")
    assert other.communicate(timeout=60) == (
        "", "error: found.parquet was written with --top 5, not 2\nhint: give the same again, or another --out\n",
    )  # fmt: skip
    assert other.returncode == 2


@pytest.mark.usefixtures("cluster")
def test_a_stopped_command_continues_with_what_is_left(place, tmp_path, monkeypatch):
    from keensight.scale import predict
    from keensight.scale.part_folder import PartFolder

    added, real, asked = [], PartFolder.add, []
    predicted = predict._predicted

    def stopping(self, number, rows):
        if len(added) == 2:
            raise KeyboardInterrupt
        real(self, number, rows)
        added.append(number)

    monkeypatch.setattr(PartFolder, "add", stopping)
    with pytest.raises(KeyboardInterrupt):
        spread(place, place / "photos", tmp_path / "found.parquet")
    assert not (tmp_path / "found.parquet").exists()
    with pytest.raises(UsageError, match=r"found\.parquet was begun with --top 5, not 2"):
        spread(place, place / "photos", tmp_path / "found.parquet", top=2)
    monkeypatch.setattr(PartFolder, "add", real)
    monkeypatch.setattr(predict, "_predicted", lambda left, *rest: asked.append(set(left)) or predicted(left, *rest))
    done = spread(place, place / "photos", tmp_path / "found.parquet")
    assert asked == [{0, 1, 2} - set(added)] and done.images == 150
    assert parquet.read_table(done.path).equals(parquet.read_table(place / "one.parquet"))


@pytest.mark.usefixtures("cluster")
def test_bytes_in_parquet_and_files_behind_an_address_give_the_same_predictions(place, tmp_path):
    expected = parquet.read_table(place / "one.parquet")
    names = expected.column("path").to_pylist()
    cells = pa.table({"path": names, "content": [Path(name).read_bytes() for name in names]})
    parquet.write_table(cells, tmp_path / "cells.parquet", row_group_size=40)
    done = spread(place, tmp_path / "cells.parquet", tmp_path / "bytes.parquet")
    found = parquet.read_table(done.path)
    assert found.column("path").equals(expected.column("path")) and done.unreadable == 2
    assert found.drop(["error"]).equals(expected.drop(["error"])), "the same bits"
    with s3(place) as (options, _):
        done = spread(place, f"s3://a:b@photos/{options}", tmp_path / "s3.parquet")
    found = parquet.read_table(done.path)
    assert found.column("path").to_pylist() == [f"s3://photos/{Path(name).name}" for name in names]
    assert found.drop(["path"]).equals(expected.drop(["path"])), "the same bits"


@pytest.mark.usefixtures("cluster")
def test_an_error_in_a_worker_arrives_as_it_was_raised(place, tmp_path):
    cells = pa.table({"image": [encode_png(image) for image in draw(60, 2)]})
    parquet.write_table(cells, tmp_path / "cells.parquet")
    from keensight.errors import DataError
    from keensight.scale import predict

    real = predict._predicted

    def losing(*arguments):
        (tmp_path / "cells.parquet").unlink()
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(DataError, match=r"cells\.parquet cannot be read"):
        patch.setattr(predict, "_predicted", losing)
        spread(place, tmp_path / "cells.parquet", tmp_path / "found.parquet")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--address", "auto"], "--address needs --workers"),
        (["--workers", "2"], "several workers write predictions into a folder of Parquet files, and nothing else"),
        (
            ["--workers", "2", "--out", "a.parquet", "--heatmaps", "b"],
            "several workers write predictions into a folder",
        ),
        (["--workers", "2", "--out", "a.csv"], "several workers write a folder of Parquet files, not .csv"),
        (["--workers", "999", "--out", "a.parquet"], "and 999 workers need one each"),
        (["--workers", "1", "--out", "a.parquet", "--address", "nowhere"], "nowhere is not an address of a cluster"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_any_work(options, message, place, capsys, monkeypatch):
    from keensight.cli.main import main

    monkeypatch.chdir(place)
    assert main(["predict", "bundle", "photos", *options]) == 2
    told = capsys.readouterr()
    assert message in told.err and told.out == ""
    assert not list(place.glob("a.*")) and not list(place.glob(".a.*"))
