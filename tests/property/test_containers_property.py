"""The same images in any container are the same dataset, and no damaged archive does harm."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive_builders import write_records, write_tar, write_zip
from keensight.core.pixels import decode_each, encode_png
from keensight.core.records import Dataset, ImageSpec
from keensight.data.sources.readers import open_source
from keensight.errors import DataError, ImageError

pytestmark = pytest.mark.slow  # seconds in all

CLASS = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=6)
SETS = st.tuples(
    st.lists(CLASS, min_size=2, max_size=4, unique_by=str.casefold), st.integers(4, 12), st.integers(0, 99)
)


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEENSIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def drawn(classes: list[str], n: int, seed: int) -> tuple[np.ndarray, list[str]]:
    images = np.random.default_rng(seed).integers(0, 256, (n, 7, 6, 3), np.uint8)
    return images, [classes[i % len(classes)] for i in range(n)]


def encoded(data: Dataset) -> list[tuple[str, str]]:
    return sorted((sample.digest, sample.label) for sample in data)


def decoded(data: Dataset) -> list[tuple[bytes, str]]:
    spec = ImageSpec(7, 6)
    return sorted((np.asarray(decode_each(data.load(i), [spec])[0]).tobytes(), s.label) for i, s in enumerate(data))


@settings(max_examples=25)
@given(SETS)
def test_the_same_images_are_the_same_in_any_container(drawing: tuple[list[str], int, int]) -> None:
    images, labels = drawn(*drawing)
    pngs = [encode_png(image) for image in images]
    with TemporaryDirectory() as place:
        root = Path(place)
        files = {f"{label}/{i}.png": png for i, (label, png) in enumerate(zip(labels, pngs, strict=True))}
        for name, png in files.items():
            path = root / "folder" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png)
        wanted = encoded(open_source(root / "folder"))
        web = {f"{i}.png": png for i, png in enumerate(pngs)}
        web |= {f"{i}.json": json.dumps({"label": label}).encode() for i, label in enumerate(labels)}
        pd.DataFrame({"image": pngs, "label": labels}).to_parquet(root / "s.parquet")
        examples = [{"image": [png], "label": [label.encode()]} for png, label in zip(pngs, labels, strict=True)]
        for source in (
            write_zip(root / "s.zip", files), write_tar(root / "s.tar", files), write_tar(root / "web.tar", web),
            write_tar(root / "s.tgz", files, "w:gz"), write_records(root / "s.tfrecord", examples), root / "s.parquet",
        ):  # fmt: skip
            assert encoded(open_source(source)) == wanted, source.name
        np.savez(root / "a.npz", images=images, labels=labels)
        np.savez(root / "b.npz", x=images.transpose(0, 3, 1, 2) / 255, y=labels)
        assert encoded(open_source(root / "a.npz")) == encoded(open_source(root / "b.npz"))
        assert decoded(open_source(root / "a.npz")) == decoded(open_source(root / "folder"))


NAME = st.text(st.sampled_from("ab./\\:~ é"), min_size=1, max_size=12).map(lambda text: f"{text}.png")


@settings(max_examples=60)
@given(st.lists(NAME, min_size=1, max_size=5), st.booleans())
def test_names_in_an_archive_stay_in_it(names: list[str], tar: bool) -> None:
    with TemporaryDirectory() as place:
        root = Path(place) / "in" / "here"
        root.mkdir(parents=True)
        files = dict.fromkeys(names, b"x")
        path = write_tar(root / "s.tar", files) if tar else write_zip(root / "s.zip", files)
        before = sorted(Path(place).rglob("*"))
        try:
            data = open_source(path)
        except DataError:
            data = None
        assert sorted(Path(place).rglob("*")) == before
        for sample in data or ():
            assert not sample.path.startswith("/") and ".." not in sample.path.split("/")


@settings(max_examples=120)
@given(st.sampled_from(["s.zip", "s.tar", "s.tgz", "web.tar", "s.tfrecord", "s.parquet", "s.npz"]), st.data())
def test_damaged_containers_are_errors_with_a_sentence(name: str, data: st.DataObject) -> None:
    whole = bytearray(_containers()[name])
    for _ in range(data.draw(st.integers(0, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del whole[data.draw(st.integers(0, len(whole))) :]
    with TemporaryDirectory() as place:
        path = Path(place) / name
        path.write_bytes(whole)
        try:
            opened = open_source(path)
        except DataError:
            return
        for i, sample in enumerate(opened):
            if sample.error is None:
                try:
                    opened.load(i)
                except ImageError as error:
                    assert error.message


_MADE: dict[str, bytes] = {}


def _containers() -> dict[str, bytes]:
    if not _MADE:
        images, labels = drawn(["a", "b"], 6, 0)
        pngs = [encode_png(image) for image in images]
        files = {f"{label}/{i}.png": png for i, (label, png) in enumerate(zip(labels, pngs, strict=True))}
        web = {f"{i}.png": png for i, png in enumerate(pngs)} | {f"{i}.cls": b"%d" % (i % 2) for i in range(6)}
        with TemporaryDirectory() as place:
            root = Path(place)
            write_zip(root / "s.zip", files)
            write_tar(root / "s.tar", files)
            write_tar(root / "s.tgz", files, "w:gz")
            write_tar(root / "web.tar", web)
            write_records(root / "s.tfrecord", [{"image": [p], "label": [i % 2]} for i, p in enumerate(pngs)])
            pd.DataFrame({"image": pngs, "label": labels}).to_parquet(root / "s.parquet")
            np.savez(root / "s.npz", images=images, labels=labels)
            _MADE.update({path.name: path.read_bytes() for path in root.iterdir()})
    return _MADE
