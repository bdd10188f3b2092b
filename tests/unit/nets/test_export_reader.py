"""The files beside an export: their decoder gives the pixels of ``core.pixels``, without Keensight."""

import ast
import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageCms

from keensight.core.codec import to_plain
from keensight.core.export_formats import FORMATS
from keensight.core.pixels import decode
from keensight.core.records import ImageSpec
from keensight.core.task import Task
from keensight.nets.export.reader import reader_files

RNG = np.random.default_rng(0)
PHOTO = Image.fromarray(RNG.integers(0, 255, (18, 25, 3), np.uint8)).resize((500, 360), Image.Resampling.BICUBIC)


def saved(image, format, **options):
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    return exif


def palette_with_transparency():
    image = PHOTO.quantize(16)
    image.info["transparency"] = 3
    return saved(image, "PNG", transparency=3)


def deep():
    return saved(Image.fromarray(RNG.integers(0, 4095, (90, 70), np.uint16)), "PNG")


RGBA = Image.merge("RGBA", [*PHOTO.split(), Image.fromarray(RNG.integers(0, 255, (360, 500), np.uint8))])
P3 = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
IMAGES = {
    "jpeg": saved(PHOTO, "JPEG"),
    "large jpeg": saved(PHOTO.resize((2000, 1501)), "JPEG", quality=90),
    **{f"turned {number}": saved(PHOTO, "JPEG", exif=turned(number)) for number in range(2, 9)},
    "turned png": saved(PHOTO, "PNG", exif=turned(6)),
    "gray jpeg": saved(PHOTO.convert("L"), "JPEG"),
    "cmyk jpeg": saved(PHOTO.convert("CMYK"), "JPEG"),
    "png": saved(PHOTO, "PNG"),
    "gray and alpha": saved(RGBA.convert("LA"), "PNG"),
    "transparent": saved(RGBA, "PNG"),
    "palette": saved(PHOTO.quantize(16), "PNG"),
    "palette with transparency": palette_with_transparency(),
    "black and white": saved(PHOTO.convert("1"), "PNG"),
    "webp": saved(PHOTO, "WEBP", lossless=True),
    "bmp": saved(PHOTO, "BMP"),
    "profile of another space": saved(PHOTO, "JPEG", icc_profile=P3.tobytes()),
    "sRGB": saved(PHOTO, "JPEG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
    "damaged profile": saved(PHOTO, "JPEG", icc_profile=b"no profile"),
    "12 bits": deep(),
    "tiny": saved(PHOTO.resize((3, 2)), "PNG"),
}
SPECS = (
    ImageSpec(96, 128, black=100, intensity=4095.0),
    ImageSpec(128, 96, fit="pad", background="black", black=100, intensity=4095.0),
    ImageSpec(64, 64, fit="crop", background="gray", black=100, intensity=4095.0),
)


def decoder():
    names = {}
    exec(compile(reader_files(FORMATS["onnx"], Task.MULTICLASS)["pixels.py"], "pixels.py", "exec"), names)
    return names["pixels"]


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.fit)
def test_the_decoder_gives_the_pixels_of_training(name, spec):
    found = decoder()(io.BytesIO(IMAGES[name]), to_plain(spec))
    np.testing.assert_array_equal(found, decode(IMAGES[name], spec))


def test_gray_values_without_a_scale_are_refused():
    with pytest.raises(ValueError, match="more than 8 bits"):
        decoder()(io.BytesIO(IMAGES["12 bits"]), to_plain(ImageSpec(8, 8)))


@pytest.mark.parametrize("kind", [name for name in FORMATS if name != "html"])
@pytest.mark.parametrize("task", Task)
def test_a_reader_is_short_imports_no_keensight_and_names_what_it_needs(kind, task):
    files = reader_files(FORMATS[kind], task)
    assert set(files) == {"reader.py", "pixels.py"}
    tree = ast.parse(files["reader.py"])
    imported = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported - {"json", "sys", "pathlib", "numpy", "pixels"} == {FORMATS[kind].module}
    code = [line for line in files["reader.py"].splitlines() if line.strip()]
    assert len(code) <= 55 and "${" not in "".join(code)
    assert all(name in ast.get_docstring(tree) for name in FORMATS[kind].runtime.split())


def test_the_decoder_runs_with_pillow_and_numpy_alone(tmp_path):
    (tmp_path / "pixels.py").write_text(reader_files(FORMATS["onnx"], Task.MULTICLASS)["pixels.py"])
    (tmp_path / "photo.jpg").write_bytes(IMAGES["turned 6"])
    script = (
        "import sys, pixels; image = pixels.pixels('photo.jpg', "
        f"{to_plain(ImageSpec(32, 32))!r}); print(image.shape, image.dtype, 'keensight' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "(32, 32, 3) uint8 False"
