"""The page's scripts in headless Chromium: pixels as the decoder's, rules as Python's, files refused in words."""

import base64
import dataclasses
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keensight.core import ood, prototypes
from keensight.core.background import GROUNDS
from keensight.core.pixels import decode
from keensight.core.predictions import Decision, Predictions
from keensight.core.records import ImageSpec, LabelSet
from keensight.show.html_app import AppContents, server_page
from store_builders import manifest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from chromium import COMMAND, Chromium

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(COMMAND is None, reason="chromium is not installed"),
]
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page without a network: its decoder and rules can be called."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(server_page(AppContents(manifest())), encoding="utf-8")
    with Chromium() as browser:
        browser.open(path.as_uri())
        yield browser


def photo(width, height, mode="RGB"):
    """Smooth colors with noise: as a photo, it has both edges and gradients."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = np.stack([np.sin(7 * x * (k + 1) + 3 * y) + np.cos(9 * y - k) for k in range(bands)], axis=-1)
    noisy = 127 + 50 * waves + RANDOM.normal(0, 12, waves.shape)
    pixels = noisy.clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels[:, :, 0] if bands == 1 else pixels, mode)


def encoded(image, format, **options):
    sink = io.BytesIO()
    image.save(sink, format, **options)
    return sink.getvalue()


def exif(orientation):
    found = Image.Exif()
    found[0x0112] = orientation
    return found


def script_spec(spec):
    return json.dumps(dataclasses.asdict(spec) | {"ground": GROUNDS[spec.background]})


def in_the_browser(page, data, spec):
    found = page.run(
        f"""(async () => {{
          const spec = {script_spec(spec)};
          const file = new Blob([Uint8Array.fromBase64("{base64.b64encode(data).decode()}")]);
          const image = await keensight.opened(file, spec);
          return keensight.modelInput(image.picture, image.extent, spec, image.orientation).toBase64();
        }})()"""
    )
    return np.frombuffer(base64.b64decode(found), np.uint8).reshape(spec.shape)


EXACT = {
    "photo, stretched": (photo(400, 533), "PNG", {}, ImageSpec(96, 64)),
    "photo, padded": (photo(400, 533), "PNG", {}, ImageSpec(64, 64, "pad")),
    "photo, cropped": (photo(531, 400), "PNG", {}, ImageSpec(64, 48, "crop")),
    "small one enlarged": (photo(17, 9), "PNG", {}, ImageSpec(64, 64)),
    "as large as the input": (photo(64, 48), "PNG", {}, ImageSpec(48, 64)),
    "more than 16 times too large": (photo(1536, 1024), "PNG", {}, ImageSpec(32, 48, "crop")),
    "gray": (photo(300, 200, "L"), "PNG", {}, ImageSpec(64, 64, "pad")),
    "palette": (photo(300, 200).quantize(64), "GIF", {}, ImageSpec(64, 64)),
    "WebP": (photo(300, 200), "WEBP", {"lossless": True}, ImageSpec(64, 64)),
    "BMP": (photo(120, 130), "BMP", {}, ImageSpec(64, 64)),
    "JPEG decoded at full size": (photo(120, 90), "JPEG", {"quality": 95, "subsampling": 0}, ImageSpec(64, 64)),
    "EXIF in a PNG": (photo(150, 90), "PNG", {"exif": exif(6)}, ImageSpec(64, 48, "pad")),
    **{
        f"EXIF orientation {turn}": (photo(150, 90), "JPEG", {"exif": exif(turn)}, ImageSpec(80, 64, "pad"))
        for turn in range(1, 9)
    },
}


@pytest.mark.parametrize("case", EXACT)
def test_pixels_equal_those_of_the_decoder(page, case):
    image, format, options, spec = EXACT[case]
    data = encoded(image, format, **options)
    np.testing.assert_array_equal(in_the_browser(page, data, spec), decode(data, spec))


@pytest.mark.parametrize("size", [(120, 900), (1500, 1201)])
def test_an_image_that_pillow_resizes_in_another_order_differs_by_one_level_at_most(page, size):
    data, spec = encoded(photo(*size), "PNG"), ImageSpec(32, 48)
    assert np.abs(in_the_browser(page, data, spec).astype(int) - decode(data, spec)).max() <= 1


@pytest.mark.parametrize("ground", GROUNDS)
def test_transparent_pixels_become_the_background(page, ground):
    image, spec = photo(150, 120, "RGBA"), ImageSpec(48, 64, "pad", background=ground)
    data = encoded(image, "PNG")
    difference = np.abs(in_the_browser(page, data, spec).astype(int) - decode(data, spec))
    assert difference.max() <= 2  # a canvas holds colors times opacity, in 8 bits


def test_a_large_jpeg_is_as_near_as_its_reduced_decoding_allows(page):
    data, spec = encoded(photo(1600, 1200), "JPEG", quality=92), ImageSpec(96, 96, "pad")
    difference = np.abs(in_the_browser(page, data, spec).astype(int) - decode(data, spec))
    assert difference.mean() < 0.5 and difference.max() <= 8


def rows_in_the_browser(page, probabilities, vectors, model):
    given = json.dumps([probabilities.astype(float).tolist(), vectors.astype(float).tolist(), model])
    return page.run(
        f"""(() => {{
          const [probabilities, vectors, model] = {given};
          for (const part of [model.subspace, model.prototypes]) {{
            for (const name of Object.keys(part ?? {{}})) {{
              if (Array.isArray(part[name])) part[name] = new Float32Array(part[name].flat());
            }}
          }}
          return probabilities.map((row, i) => keensight.decided(String(i), row, vectors[i], model));
        }})()"""
    )


def agree(found, expected):
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        for name, value in other.items():
            if name in ("probability", "ood_score"):
                assert one[name] == pytest.approx(value, abs=1e-6)
            elif name == "top":
                assert [label for label, _ in one["top"]] == [label for label, _ in value]
                np.testing.assert_allclose([p for _, p in one["top"]], [p for _, p in value], atol=1e-6)
            else:
                assert one[name] == value, name


@pytest.fixture(scope="module")
def made():
    """Embeddings of three classes, those of other images, and probabilities."""
    centers = RANDOM.normal(0, 1, (3, 12))
    known = np.concatenate([center + RANDOM.normal(0, 0.3, (60, 12)) for center in centers]).astype(np.float32)
    vectors = np.concatenate([known[::9], RANDOM.normal(0, 2, (20, 12))]).astype(np.float32)
    probabilities = RANDOM.dirichlet((0.5, 0.5, 0.5), len(vectors)).astype(np.float32)
    return known, vectors, probabilities


def plain(subspace):
    return {
        "threshold": subspace.threshold, "scale": subspace.scale.tolist(), "mean": subspace.mean.tolist(),
        "axes": subspace.axes.tolist(),
    }  # fmt: skip


def test_rules_give_the_rows_of_predict(page, made):
    known, vectors, probabilities = made
    subspace, rule = ood.fit(known[::2], known[1::2]), Decision(threshold=0.6, target="precision", set_threshold=0.25)
    scores = ood.score(vectors, subspace)
    names = LabelSet(("a", "b", "c"))
    expected = Predictions(
        tuple(map(str, range(len(vectors)))), names, probabilities, decision=rule, ood_scores=scores,
        odd=ood.odd(scores, subspace),
    ).rows()  # fmt: skip
    assert {row["reason"] for row in expected} == {None, "out-of-distribution", "below the threshold"}
    assert any(len(row["set"]) > 1 for row in expected)
    model = {
        "labels": names.names, "thresholds": None, "subspace": plain(subspace),
        "decision": {"threshold": rule.threshold, "set_threshold": rule.set_threshold},
    }  # fmt: skip
    agree(rows_in_the_browser(page, probabilities, vectors, model), expected)


def test_enrolled_classes_are_joined_as_in_python(page, made):
    known, vectors, probabilities = made
    targets = np.repeat(np.arange(3), 60)
    means = prototypes.measure(known[::2], targets[::2], known[1::2], targets[1::2], 3)
    means = prototypes.enrolled(means, vectors[-3:], 3)
    names = LabelSet(("a", "b", "c", "new"))
    similar = prototypes.cosines(vectors, means)
    expected = Predictions(
        tuple(map(str, range(len(vectors)))), names, prototypes.joined(probabilities, similar, means.temperature),
        unknown=prototypes.unknown(similar, means.threshold), decision=Decision(),
    ).rows()  # fmt: skip
    assert {row["reason"] for row in expected} == {None, "like none of the classes"}
    assert "new" in {row["label"] for row in expected}
    model = {
        "labels": names.names, "thresholds": None, "decision": {"threshold": 0.0, "set_threshold": None},
        "prototypes": {
            "threshold": means.threshold, "temperature": means.temperature, "centre": means.centre.tolist(),
            "means": means.means.tolist(),
        },
    }  # fmt: skip
    agree(rows_in_the_browser(page, probabilities, vectors, model), expected)


def test_labels_reach_their_thresholds(page, made):
    _, vectors, _ = made
    probabilities = RANDOM.uniform(0, 1, (len(vectors), 3)).astype(np.float32)
    names, thresholds = LabelSet(("a", "b", "c")), (0.75, 0.5, 0.6)
    expected = Predictions(tuple(map(str, range(len(vectors)))), names, probabilities, thresholds=thresholds).rows()
    assert {len(row["labels"]) for row in expected} == {0, 1, 2, 3}
    model = {"labels": names.names, "thresholds": thresholds, "decision": {"threshold": 0.0, "set_threshold": None}}
    agree(rows_in_the_browser(page, probabilities, vectors, model), expected)


WHOLE = encoded(photo(80, 60), "JPEG")
REFUSED = {
    "empty": (b"", "The file is empty."),
    "text": (b"hello, this is a note", "not an image that this page reads"),
    "a TIFF": (encoded(photo(20, 20), "TIFF"), "does not read TIFF images"),
    "a DICOM": (bytes(128) + b"DICM" + bytes(200), "does not read DICOM images"),
    "a HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "does not read HEIC photos"),
    "16 bits": (encoded(Image.fromarray(np.zeros((20, 20), np.uint16)), "PNG"), "8 bits per color only"),
    "CMYK": (encoded(Image.new("CMYK", (20, 20)), "JPEG"), "for print (CMYK)"),
    "a truncated JPEG": (WHOLE[: len(WHOLE) // 2], "incomplete"),
    "a truncated PNG": (encoded(photo(20, 20), "PNG")[:20], "damaged"),
    "a damaged PNG": (encoded(photo(20, 20), "PNG")[:60] + b"damage" * 9, "damaged"),
    "a bomb": (encoded(Image.new("1", (20_000, 20_000)), "PNG"), "400 megapixels"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_in_a_sentence(page, case):
    data, words = REFUSED[case]
    told = page.run(
        f"""keensight.opened(
          new Blob([Uint8Array.fromBase64("{base64.b64encode(data).decode()}")]), {script_spec(ImageSpec(32, 32))}
        ).then(() => "read", (error) => `${{error.constructor.name}}: ${{error.message}}`)"""
    )
    assert told.startswith("Unreadable: ") and words in told
