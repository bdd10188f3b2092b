"""Training images among those to be measured on: recognized as files, pixels or copies, or said to be unknown."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

import keensight as ks
from keensight.core.fingerprints import OFF
from keensight.core.progress import Silent
from keensight.core.records import ImageSpec, LabelSet
from keensight.data.cache import prepare
from keensight.store.bundle import write_bundle
from keensight.workflow.training_overlap import extended, learned_of, left_out
from store_builders import exam, make_run, manifest, write_model

SPEC = ImageSpec(32, 32)
PARTS = ks.Split(tuple(range(0, 20)), tuple(range(20, 25)), tuple(range(25, 40)), "by hand")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KEENSIGHT_CACHE", str(tmp_path / "cache"))


def picture(number, side=64):
    coarse = np.random.default_rng(number).integers(0, 256, (10, 10, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def folder(path, images):
    """A folder of two classes with images as they are saved by the functions given."""
    for number, save in images.items():
        place = path / ("cat" if number % 2 else "dog")
        place.mkdir(parents=True, exist_ok=True)
        save(place, number)
    return ks.open(path)


def png(place, number):
    picture(number).save(place / f"{number:03}.png")


def bmp(place, number):
    picture(number).save(place / f"{number:03}.bmp")


def jpeg(place, number):
    picture(number).resize((90, 90)).convert("L").save(place / f"{number:03}.jpg", quality=50)


@pytest.fixture
def data(tmp_path):
    found = folder(tmp_path / "photos", dict.fromkeys(range(40), png))
    samples = tuple(sorted(found.samples, key=lambda sample: sample.path[-7:]))
    return dataclasses.replace(found, samples=samples)


def bundle(path, learned, **changes):
    about = manifest(labels=LabelSet(("cat", "dog", "x")), image=SPEC, **changes)
    return write_bundle(path, manifest=about, save_model=write_model, exam=exam(), learned=learned).path


def found_in(model, data):
    pixels = prepare(data, SPEC)
    return left_out(model, data, np.arange(len(data)), pixels, Silent())


def test_each_kind_of_copy_is_recognized_and_new_images_are_not(data, tmp_path):
    path = bundle(tmp_path / "b", learned_of(data, PARTS, prepare(data, SPEC)))
    saves = dict.fromkeys(range(0, 5), png) | dict.fromkeys(range(5, 12), bmp) | dict.fromkeys(range(12, 25), jpeg)
    saves |= dict.fromkeys(range(25, 60), png)
    given = folder(tmp_path / "given", saves)
    found = found_in(path, given)
    names = [int(sample.path[-7:-4]) for sample in given.samples]
    assert sorted(names[i] for i in found.same_file) == list(range(0, 5))
    assert sorted(names[i] for i in found.same_pixels) == list(range(5, 12))
    assert sorted(names[i] for i in found.look_alike) == list(range(12, 25))
    assert found.notes == ()


def test_a_bundle_without_a_record_says_so(data, tmp_path):
    path = bundle(tmp_path / "old", None)
    found = found_in(path, data)
    assert found.rows == frozenset()
    assert found.notes == (
        f"{path} does not record what it was trained on: the 40 evaluated images may include training images",
    )


def test_a_network_from_elsewhere_leaves_out_what_is_known_and_says_what_is_not(data, tmp_path):
    path = bundle(tmp_path / "b", learned_of(data, PARTS, prepare(data, SPEC)), provenance={"adopted": True})
    found = found_in(path, data)
    assert len(found.same_file) == 25
    assert "trained elsewhere" in found.notes[0]
    assert "15 evaluated images" in found.notes[0]


def test_images_too_small_for_fingerprints_are_told_by_digests_alone(data, tmp_path):
    small = ImageSpec(12, 12)
    learned = learned_of(data, PARTS, prepare(data, small))
    assert learned.radius == OFF
    assert len(learned.prints) == 0
    path = bundle(tmp_path / "b", learned)
    given = folder(tmp_path / "given", dict.fromkeys(range(0, 5), bmp))
    found = left_out(path, given, np.arange(5), prepare(given, small), Silent())
    assert len(found.same_pixels) == 5
    assert "compressed or resized copies of them are not recognized" in found.notes[0]


def test_a_run_of_before_still_knows_its_files_and_its_groups(data, tmp_path):
    run = make_run(tmp_path / "run")
    grouped = tuple(dataclasses.replace(s, group=f"patient {i // 2}") for i, s in enumerate(data.samples))
    data = dataclasses.replace(data, samples=grouped)
    run.save_dataset(data)
    run.save_split(PARTS, data)
    bundle(run.bundle_path, None)
    found = found_in(run.path, data)
    assert len(found.same_file) == 25
    assert found.same_group == 1  # image 25 is of the patient of image 24
    assert found.notes == (
        f"{run.path} records the files that it was trained on, not their pixels: re-encoded copies of training images "
        "are not recognized",
    )


def test_further_images_can_be_added(data):
    pixels = prepare(data, SPEC)
    learned = learned_of(data, ks.Split(tuple(range(10)), (10,), (11,), ""), pixels)
    wider = extended(learned, ["ab" * 32], pixels.take([30, 31]))
    assert (len(wider.files), len(wider.pixels), len(wider.prints)) == (12, 13, 13)


def test_the_file_has_64_bytes_an_image_and_no_names(data, tmp_path):
    path = bundle(tmp_path / "b", learned_of(data, PARTS, prepare(data, SPEC)))
    assert (path / "learned.npz").stat().st_size < 25 * 64 + 3000
    assert json.loads((path / "manifest.json").read_text())["files"]["learned.npz"]
    assert b"photos" not in (path / "learned.npz").read_bytes()
