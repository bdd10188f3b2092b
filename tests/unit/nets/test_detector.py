"""The network of levels and its memory of normal patches, as one graph."""

import numpy as np
import pytest

from keensight.core.anomaly import Limits, PatchSampler
from keensight.core.records import ImageSpec
from keensight.errors import DataError
from keensight.nets.inputs import Read

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lower():
    from keensight.nets.detector import levels
    from keensight.nets.models.build import build

    return levels(build("efficientnet_lite0", ImageSpec(72, 64), 2))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (40, 72, 64, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def patches(lower, images):
    found = []
    for level in lower(images):
        sampler = PatchSampler(int(np.prod(level.shape[:3])))
        sampler.add(np.asarray(level))
        found.append(sampler.finish())
    return found


def test_the_levels_are_narrow_fine_maps_and_the_last_stage(lower):
    assert lower.output_shape == [(None, 9, 8, 40), (None, 5, 4, 80), (None, 3, 2, 320)]


@pytest.mark.parametrize(
    ("name", "widths"),
    [("resnet50", (512, 1024, 2048)), ("densenet121", (128, 256, 512)), ("mobilenet_v2", (32, 64, 320))],
)
def test_other_networks_have_three_levels_too(name, widths):
    from keensight.nets.detector import levels
    from keensight.nets.models.build import build

    network = levels(build(name, ImageSpec(96, 96), 2, weights=None))
    assert [tuple(tensor.shape[1:]) for tensor in network.outputs] == [
        (side, side, width) for side, width in zip((12, 6, 3), widths, strict=True)
    ]


def test_the_graph_gives_the_distance_to_the_nearest_patch_and_loads_again(lower, images, patches, tmp_path):
    from keensight.nets.detector import Detector, with_memory

    detector = Detector(with_memory(lower, patches), ImageSpec(72, 64), Limits(2.0, 1.5, 0.05, 20))
    new = np.random.default_rng(1).integers(0, 256, (3, 72, 64, 3)).astype(np.uint8)
    found = detector.predict_levels(new)
    assert found.shape == (3, 9, 8, 3)
    fine, level = patches[0], np.asarray(lower(new)[0])
    asked = ((level - fine.mean) @ fine.whiten)[..., None, :]
    expected = (((asked - fine.memory) ** 2).mean(axis=-1) / fine.spread).min(axis=-1)
    assert found[..., 0] == pytest.approx(expected, rel=1e-3, abs=1e-3)
    detector.keras_model.save(tmp_path / "model.keras")
    again = Detector.open(tmp_path / "model.keras", detector.spec, detector.limits)
    assert again.predict(list(new)).scores == pytest.approx(detector.score(found), rel=1e-4)
    assert again.predict(list(new)).maps == pytest.approx(detector.maps(found), rel=1e-3)
    read = again.predict_read([Read(new[0], None, ""), Read(None, "damaged", ""), Read(new[1], None, "odd levels")])
    alone = again.predict([new[0], b"no image", new[1]]).rows()
    assert [row["score"] for row in read.rows()] == [row["score"] for row in alone]
    assert [row["error"] for row in read.rows()] == [None, "damaged", None] and read.rows()[2]["note"] == "odd levels"
    with pytest.raises(DataError, match="uint8"):
        again.predict_levels(new.astype(np.float32))


def test_remembered_patches_have_no_distance(lower, images, patches):
    from keensight.nets.detector import with_memory

    assert all(len(one.memory) == min(2000, count) for one, count in zip(patches, (2880, 800, 240), strict=True))
    near = np.asarray(with_memory(lower, patches)(images[:8]))
    assert near[..., 2].max() < 0.01
    assert np.median(near[..., 0]) < 0.01


def test_the_levels_come_back_from_one_row_of_values(lower, images, patches):
    from keensight.nets.detector import inputs_of, joined, parted, with_memory

    values = np.asarray(joined(lower)(images[:5]))
    for level, part in zip(lower(images[:5]), parted(values, lower), strict=True):
        assert np.array_equal(np.asarray(level), part)
    found = with_memory(inputs_of(lower), patches)(parted(values, lower))
    assert np.asarray(found) == pytest.approx(np.asarray(with_memory(lower, patches)(images[:5])), abs=1e-3)


def test_a_bundle_of_the_gaussian_rule_has_one_level(images):
    """Its graph ended in a mean of squares."""
    import keras

    from keensight.nets.detector import Detector

    inputs = keras.Input((72, 64, 3), dtype="uint8")
    x = keras.layers.AveragePooling2D(8)(keras.layers.Rescaling(1 / 255)(inputs))
    square = keras.layers.Multiply()([x, x])
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False, name="oddness")(square))
    detector = Detector(model, ImageSpec(72, 64), Limits(2.0, 1.5, 0.05, 20))
    maps = np.asarray(model(images))[..., 0]
    top = np.sort(maps.reshape(40, -1), axis=1)[:, -4:].mean(axis=1)
    found = detector.predict(list(images))
    assert found.scores == pytest.approx(np.maximum(top, 1e-6) / 2, rel=1e-3)
    assert found.maps == pytest.approx(np.maximum(maps, 1e-6) / 1.5, rel=1e-3)
