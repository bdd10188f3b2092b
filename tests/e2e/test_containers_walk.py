"""Training, evaluation and the report read images where they lie: in an archive, in Parquet, in record files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import keensight as ks
from archive_builders import write_records, write_tar, write_zip
from keensight.core.pixels import encode_png

pytestmark = pytest.mark.slow


def _files(n: int = 80) -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 100, (16, 16, 3), np.uint8) + np.uint8(120 * (i % 2)) for i in range(n)]
    return {f"{'light' if i % 2 else 'dark'}/{i}.png": encode_png(image) for i, image in enumerate(images)}


@pytest.mark.parametrize("kind", ["zip", "tgz", "parquet", "tfrecord"])
def test_a_run_from_a_container_is_complete(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEENSIGHT_CACHE", str(tmp_path / "cache"))
    files = _files()
    source = tmp_path / f"set.{kind}"
    labels = [name.split("/")[0] for name in files]
    if kind == "zip":
        write_zip(source, files)
    elif kind == "tgz":
        write_tar(source, files, "w:gz")
    elif kind == "parquet":
        pd.DataFrame({"image": list(files.values()), "label": labels}).to_parquet(source, row_group_size=7)
    else:
        pairs = zip(files.values(), labels, strict=True)
        write_records(source, [{"image": [png], "label": [label.encode()]} for png, label in pairs])
    run = ks.train(source, model="cnn", epochs=1, run=tmp_path / "run")
    assert run.record.results["test"]["n"] > 0
    assert (tmp_path / "run" / "report.html").is_file()
    again = ks.evaluate(run, source)
    assert again.n == run.record.results["test"]["n"]
