"""What a user gives as images: each kind taken for what it is, or refused by its name."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from keensight.core import pixels
from keensight.core.decode_limits import MAX_BYTES
from keensight.core.records import Dataset, ImageSpec, LabelSet
from keensight.core.sources import Unread, name_of, read_source, singles
from keensight.errors import DataError, ImageError

RGB = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
PNG = pixels.encode_png(RGB)


class Tensor:
    """As PyTorch has it: detached, brought to the CPU, then an array."""

    def __init__(self, array: np.ndarray, where: str = "cuda") -> None:
        self._array, self._where = array, where

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return Tensor(self._array, "cpu")

    def numpy(self) -> np.ndarray:
        if self._where != "cpu":
            raise TypeError("can't convert a cuda tensor to numpy")
        return self._array


def _shapes(images: Any) -> list[tuple[int, ...]]:
    return [read_source(one).shape for one in singles(images)]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("array", "shapes"),
    [
        (RGB, [(20, 24, 3)]),
        (RGB[..., 0], [(20, 24)]),
        (RGB[..., :1], [(20, 24, 1)]),
        (np.zeros((20, 24, 4), np.uint8), [(20, 24, 4)]),
        (np.zeros((2, 20, 24, 3), np.uint8), [(20, 24, 3)] * 2),
        (np.zeros((2, 20, 24, 1), np.uint8), [(20, 24, 1)] * 2),
        (np.zeros((3, 20, 24), np.uint8), [(20, 24)] * 3),
        (np.zeros((5, 8, 8), np.uint8), [(8, 8)] * 5),
        (np.zeros((5, 20, 16), np.uint8), [(20, 16)] * 5),
        (np.zeros((0, 20, 24, 3), np.uint8), []),
        ([RGB, np.zeros((2, 20, 24, 3), np.uint8)], [(20, 24, 3)] * 3),
        (Tensor(np.moveaxis(RGB, 2, 0)), [(20, 24, 3)]),
        (Tensor(np.zeros((2, 3, 20, 24), np.uint8)), [(20, 24, 3)] * 2),
        (Tensor(RGB), [(20, 24, 3)]),
        (Tensor(np.zeros((3, 4, 24), np.uint8)), [(4, 24, 3)]),
        (Tensor(np.zeros((3, 20, 4), np.uint8)), [(3, 20, 4)]),  # may be either: taken as it is
        ((RGB for _ in range(2)), [(20, 24, 3)] * 2),
    ],
)
def test_arrays_are_one_image_or_a_batch_by_their_shape(array: Any, shapes: list[tuple[int, ...]]) -> None:
    assert _shapes(array) == shapes


def test_a_tensor_with_channels_first_keeps_its_pixels() -> None:
    (one,) = singles(Tensor(np.moveaxis(RGB, 2, 0)))
    np.testing.assert_array_equal(one, RGB)


def test_tensors_of_tensorflow_are_arrays() -> None:
    tf = pytest.importorskip("tensorflow")
    assert _shapes(tf.constant(RGB)) == [(20, 24, 3)]
    assert _shapes(tf.data.Dataset.from_tensor_slices(np.stack([RGB] * 2))) == [(20, 24, 3)] * 2
    with pytest.raises(DataError, match="uint8 from 0 to 255, not an array of float32"):
        singles(tf.constant(RGB / 255, tf.float32))


@pytest.mark.parametrize(
    "given",
    [
        np.array(["a.png", "b.png"]), np.array(["a.png", "b.png"], object), pd.Series(["a.png", "b.png"]),
        ["a.png", np.str_("b.png")], (name for name in ("a.png", "b.png")), pd.Index(["a.png", "b.png"]),
    ],
)  # fmt: skip
def test_columns_and_arrays_of_paths_are_paths(given: Any) -> None:
    assert singles(given) == ["a.png", "b.png"]


@pytest.mark.parametrize("nothing", [None, float("nan"), pd.NA, pd.NaT])
def test_an_empty_cell_of_a_column_is_one_unread_image(nothing: Any) -> None:
    found = singles(pd.Series(["a.png", nothing], dtype=object))
    assert found == ["a.png", Unread("the path is missing")]
    assert name_of(found[1], 1) == "image 1"
    with pytest.raises(ImageError, match="the path is missing"):
        read_source(found[1])


@pytest.mark.parametrize("given", [PNG, bytearray(PNG), memoryview(PNG), io.BytesIO(PNG)])
def test_bytes_and_streams_are_one_image(given: Any) -> None:
    assert singles(given) == [PNG]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("day/a.png", "day/a.png"),
        (Path("day") / "a.png", str(Path("day") / "a.png")),
        ("\udcff.png", "\\udcff.png"),  # a byte that is not UTF-8, as Python decodes it
        (Unread("it is empty", "b.png"), "b.png"),
        (PNG, "image 3"),
        (RGB, "image 3"),
    ],
)
def test_an_image_is_called_by_its_path_or_its_place(source: Any, name: str) -> None:
    assert name_of(source, 3) == name


def test_a_path_of_any_kind_is_read(tmp_path: Path) -> None:
    class Place:
        def __fspath__(self) -> str:
            return str(tmp_path / "a.png")

    (tmp_path / "a.png").write_bytes(PNG)
    assert singles(Place()) == [tmp_path / "a.png"]
    for source in (tmp_path / "a.png", str(tmp_path / "a.png")):
        assert read_source(source) == PNG
    with pytest.raises(ImageError):
        read_source(tmp_path / "none.png")


def test_of_a_stream_more_is_read_than_an_image_may_have() -> None:
    asked = []

    class Endless:
        def read(self, size: int) -> bytes:
            asked.append(size)
            return PNG

    assert singles(Endless()) == [PNG]
    assert min(asked) > MAX_BYTES  # so that one too large is refused, not cut


def test_an_open_file_is_one_image_and_text_mode_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    with path.open("rb") as one, path.open("rb") as other:
        assert singles([one, other]) == [PNG, PNG]
    with path.open(encoding="latin-1") as text, pytest.raises(DataError, match="opened as text") as refused:
        singles(text)
    assert 'open(path, "rb")' in str(refused.value.hint)
    with pytest.raises(DataError, match="opened as text"):
        singles(io.StringIO("a.png"))


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "LA", "CMYK", "1", "I;16", "F"])
def test_a_pillow_image_gives_the_pixels_of_its_file(mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(RGB[..., 0].astype(np.uint16) * 257)
    else:
        image = Image.fromarray(RGB).convert("L" if mode in ("LA", "F") else mode).convert(mode)
    stream = io.BytesIO()
    image.save(stream, "TIFF")
    spec = ImageSpec(10, 12, "pad")
    (one,) = singles(image)
    np.testing.assert_array_equal(pixels.decode(read_source(one), spec), pixels.decode(stream.getvalue(), spec))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_pillow_image_is_turned_once(orientation: int) -> None:
    encoded = pixels.encode_png(RGB, orientation)
    image = Image.open(io.BytesIO(encoded))
    upright = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(read_source(singles(image)[0]), upright)
    np.testing.assert_array_equal(read_source(singles(Image.fromarray(upright))[0]), upright)


def test_a_torn_file_behind_a_pillow_image_is_one_reason() -> None:
    image = Image.open(io.BytesIO(PNG[: len(PNG) // 2]))
    with pytest.raises(ImageError, match="PNG"):
        read_source(singles(image)[0])


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "nothing": (lambda: None, "None is neither an image"),
    "a number": (lambda: 7, "int 7 is neither an image"),
    "a dictionary": (lambda: {"image": "a.png"}, "a dict is neither an image"),
    "a table": (lambda: pd.DataFrame({"path": ["a.png"]}), "a DataFrame is not a list"),
    "a dataset": (lambda: Dataset("d", "folder", LabelSet(("a",)), ()), "a Dataset is neither an image"),
    "floats": (lambda: RGB / 255, r"uint8 from 0 to 255, not an array of float64 of shape \(20, 24, 3\)"),
    "integers": (lambda: RGB.astype(int), "not an array of int64"),
    "truth values": (lambda: RGB > 3, "not an array of bool"),
    "a list of pixels": (lambda: RGB.tolist(), "image 0: image 0: image 0: int"),
    "none in a list": (lambda: ["a.png", None], "image 1: None is neither an image"),
    "floats in a list": (lambda: [RGB, RGB / 255], "image 1: pixels must be uint8"),
    "two channels": (lambda: np.zeros((20, 24, 2), np.uint8), "neither an image nor a batch"),
    "narrow images or many channels": (lambda: np.zeros((5, 20, 15), np.uint8), "neither an image nor a batch"),
    "many channels": (lambda: np.zeros((64, 64, 13), np.uint8), "neither an image nor a batch"),
    "channels first": (lambda: np.zeros((2, 3, 20, 24), np.uint8), "neither an image nor a batch"),
    "a row": (lambda: np.zeros(20, np.uint8), "neither an image nor a batch"),
    "a tensor of floats": (lambda: Tensor(RGB / 255), "not an array of float64"),
    "a column of numbers": (lambda: pd.Series([1, 2]), "not an array of int64"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_the_rest_is_refused_by_name(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(DataError, match=message) as refused:
        singles(make())
    assert refused.value.hint
    assert ("ks.evaluate(model, data)" in refused.value.hint) is (name == "a dataset")


def test_a_second_look_changes_nothing() -> None:
    once = singles([RGB, PNG, "a.png", np.zeros((2, 20, 24), np.uint8)])
    assert [id(one) for one in singles(once)] == [id(one) for one in once]
