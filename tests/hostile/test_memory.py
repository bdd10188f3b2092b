"""What decoding really takes, measured in its own process, against what the decoder reckons before it begins."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keensight.core import decode_limits, pixels
from keensight.core.parallel import Budget
from keensight.core.records import ImageSpec
from keensight.errors import ImageError

pytestmark = pytest.mark.slow

MIB = 2**20
SIDE = 3000

# Bytes of resident memory that decoding adds at its peak, and what was reckoned; run as `python -c CHILD FILE`.
# Not by getrusage, whose peak begins with what the parent process held.
CHILD = """
import re, sys
from pathlib import Path
from keensight.core import pixels
from keensight.core.decode_limits import needed_memory
from keensight.core.records import ImageSpec
raw, spec = Path(sys.argv[1]).read_bytes(), ImageSpec(224, 224)
pixels.decode(pixels.encode_png(pixels.np.zeros((9, 9), "uint8")), spec)
container, image = pixels._open(raw)
pixels._draft(image, spec, 1)
needed = needed_memory(container, image)
def kilobytes(name):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = kilobytes("VmRSS")
pixels.decode(raw, spec)
print(1024 * (kilobytes("VmHWM") - before), needed)
"""


def grey(side: int = SIDE) -> Image.Image:
    return Image.fromarray(np.broadcast_to((np.arange(side) % 256).astype(np.uint8), (side, side)))


def save(path: Path, kind: str, side: int = SIDE) -> None:
    """Write one kind of file: FORMAT MODE [OPTION]."""
    format, mode, *option = kind.split()
    options: dict[str, dict[str, object]] = {
        "progressive": {"progressive": True, "subsampling": 0}, "deflate": {"compression": "tiff_adobe_deflate"},
        "strip": {"compression": "tiff_adobe_deflate", "tiffinfo": {278: side}}, "transparent": {"transparency": 3},
    }  # fmt: skip
    image = Image.new(mode, (side, side)) if mode in ("F", "I;16") else grey(side).convert(mode)
    image.save(path, format, **(options[option[0]] if option else {}))


def measured(path: Path) -> tuple[int, int]:
    """(bytes taken, bytes reckoned)."""
    done = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True)
    taken, needed = map(int, done.stdout.split())
    return taken, needed


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from /proc")
@pytest.mark.parametrize(
    "kind",
    [
        "JPEG RGB progressive", "PNG RGB", "PNG RGBA", "PNG P", "PNG I;16", "WEBP RGB", "GIF P transparent",
        "TIFF F deflate", "TIFF F strip", "TIFF RGB", "AVIF RGB", "AVIF RGBA", "JPEG2000 RGB", "JPEG2000 L", "TGA RGB",
    ],
)  # fmt: skip
def test_what_is_reckoned_covers_what_is_taken(tmp_path: Path, kind: str) -> None:
    save(tmp_path / "image", kind)
    taken, needed = measured(tmp_path / "image")
    assert taken < 1.05 * needed + 4 * MIB
    assert needed < 2 * taken + 16 * MIB  # and not far more, or good images would be refused


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from /proc")
@pytest.mark.parametrize(
    ("kind", "side", "most"), [("JPEG L", 14_143, 55), ("JPEG RGB", 14_143, 55), ("TIFF F deflate", 9_380, 460)]
)
def test_large_images_take_little(tmp_path: Path, kind: str, side: int, most: int) -> None:
    maker = f"import test_memory as t; t.save(t.Path({str(tmp_path / 'image')!r}), {kind!r}, {side})"
    subprocess.run([sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv[1]); " + maker,
                    str(Path(__file__).parent)], check=True)  # fmt: skip
    taken, _ = measured(tmp_path / "image")
    assert taken < most * MIB


def test_an_image_beyond_the_budget_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget(20 * MIB)
    monkeypatch.setattr(decode_limits, "BUDGET", budget)
    monkeypatch.setattr(pixels, "BUDGET", budget)
    sink = io.BytesIO()
    Image.new("RGBA", (2000, 2000)).save(sink, "PNG")
    with pytest.raises(ImageError, match=r"PNG of 2000×2000 pixels takes 0\.0 GiB of memory; the limit is 0\.0195 GiB"):
        pixels.probe(sink.getvalue())
    sink = io.BytesIO()
    Image.new("RGB", (2600, 2600)).save(sink, "JPEG")
    assert pixels.probe(sink.getvalue()).width == 2600
    assert pixels.decode(sink.getvalue(), ImageSpec(64, 64)).shape == (64, 64, 3)
    with pytest.raises(ImageError, match="the limit is"):  # this size asks for all of its pixels
        pixels.decode(sink.getvalue(), ImageSpec(2600, 2600))


def test_all_threads_together_stay_within_the_budget() -> None:
    budget, held, most = Budget(100), [0], [0]
    guard = threading.Lock()

    def work(amount: int) -> None:
        with budget.hold(amount):
            with guard:
                held[0] += amount
                most[0] = max(most[0], held[0])
            time.sleep(0.001)
            with guard:
                held[0] -= amount

    threads = [threading.Thread(target=work, args=(amount,)) for amount in (30, 100, 60, 10) * 10]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert 60 <= most[0] <= 100


def test_the_budget_is_given_back_after_an_error() -> None:
    budget = Budget(10)
    with pytest.raises(KeyError), budget.hold(10):
        raise KeyError
    with budget.hold(10):
        pass
