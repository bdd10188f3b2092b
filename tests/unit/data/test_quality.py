"""What is wrong with an image's looks, and what is not."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile
from scipy.ndimage import gaussian_filter

from keensight.core.audit import Finding
from keensight.core.records import Dataset
from keensight.data.audit.audit import audit
from keensight.data.cache import prepare
from keensight.data.input_size import choose_spec
from keensight.data.sources.arrays import from_arrays
from keensight.data.sources.readers import open_source

LOOKS = {"dark", "bright", "low-information", "blurred", "partly-readable", "odd-colour", "odd-size", "odd-aspect"}


def found(data: Dataset) -> dict[str, Finding]:
    report = audit(data, prepare(data, choose_spec(data)))
    return {finding.kind: finding for finding in report.findings if finding.kind in LOOKS}


def scenes(n: int = 60, side: int = 64) -> np.ndarray:
    """Pictures with edges and some noise, uint8 (n, side, side, 3)."""
    rng = np.random.default_rng(0)
    images = rng.integers(60, 200, (n, 8, 8, 3)).repeat(side // 8, 1).repeat(side // 8, 2)
    return (images + rng.integers(-10, 11, images.shape)).clip(0, 255).astype(np.uint8)


def labelled(images: np.ndarray) -> Dataset:
    return from_arrays(images, ["a" if i % 2 else "b" for i in range(len(images))])


def planted() -> np.ndarray:
    images = scenes()
    images[3] = images[3] // 9
    images[4] = 255 - images[4] // 9
    images[5] = (117, 60, 90)
    images[6] = gaussian_filter(images[6].astype(np.float32), (1.5, 1.5, 0))
    images[7, 40:] = 128
    images[8] = images[8, :, :, :1]
    return images


def test_each_planted_fault_is_found_once_and_nothing_else() -> None:
    faults = found(labelled(planted()))
    assert {kind: int(Path(finding.images[0][0]).stem) for kind, finding in faults.items()} == {
        "dark": 3, "bright": 4, "low-information": 5, "blurred": 6, "partly-readable": 7, "odd-colour": 8
    }  # fmt: skip
    assert all(finding.count == 1 for finding in faults.values())


def test_a_finding_carries_scores_threshold_measure_and_the_histogram_of_the_set() -> None:
    blurred = found(labelled(planted()))["blurred"]
    assert blurred.threshold is not None and blurred.scores[0] < blurred.threshold
    assert blurred.histogram is not None and sum(blurred.histogram.counts) == 60
    assert "detail" in blurred.measure


@pytest.mark.slow
def test_a_set_that_is_smooth_or_dark_throughout_raises_no_alarm() -> None:
    smooth = gaussian_filter(scenes().astype(np.float32), (0, 2, 2, 0)).astype(np.uint8)
    assert "blurred" not in found(labelled(smooth))
    dark = found(labelled(scenes() // 9))["dark"]
    assert (dark.severity, dark.count) == ("info", 60)
    assert "normal for this set" in dark.message


@pytest.mark.slow
def test_digits_and_plain_crops_are_left_alone() -> None:
    rng = np.random.default_rng(1)
    digits = np.zeros((60, 28, 28), np.uint8)
    for image in digits:
        row, column = rng.integers(4, 20, 2)
        image[row : row + 6, column : column + 2] = 255
    assert not found(labelled(digits))
    crops = rng.normal(128, 6, (60, 64, 64)).clip(0, 255).astype(np.uint8)
    assert not found(labelled(crops))


def test_a_truncated_jpeg_saved_again_is_known_by_its_grey_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for i, image in enumerate(scenes(30)):
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG")
        whole = stream.getvalue()
        folder = tmp_path / "set" / ("a" if i % 2 else "b")
        folder.mkdir(parents=True, exist_ok=True)
        readable = Image.open(io.BytesIO(whole[: len(whole) * 3 // 4] if i == 9 else whole))
        readable.convert("RGB").save(folder / f"{i}.png")
    assert found(open_source(tmp_path / "set"))["partly-readable"].images == (("a/9.png",),)


def test_odd_sizes_and_shapes_stand_out_only_among_like_ones(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(30):
        size = {7: (400, 400), 8: (8, 72)}.get(i, (24, 32))
        folder = tmp_path / "set" / ("a" if i % 2 else "b")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    faults = found(open_source(tmp_path / "set"))
    assert faults["odd-size"].images == (("a/7.png",),)
    assert faults["odd-aspect"].images == (("b/8.png",),)
    assert faults["odd-aspect"].scores[0] == pytest.approx(9 / (32 / 24), rel=0.01)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("chest_xray", set()), ("clothing_small", {"odd-colour"}), ("orl_faces", set()), ("plantvillage15", set()),
     ("deeppcb_crops", {"dark", "low-information"})],
)  # fmt: skip
@pytest.mark.slow
def test_real_sets_raise_few_alarms(real_data: Callable[[str], Path], name: str, expected: set[str]) -> None:
    data = open_source(real_data(name))
    faults = found(data)
    assert set(faults) == expected
    assert sum(finding.count for finding in faults.values()) < 0.01 * len(data)
