"""Records of images, splits and trainings: what they count, and what they refuse."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np
import pytest

from keensight.core.records import (
    Dataset,
    Epoch,
    History,
    ImageInfo,
    ImageSpec,
    LabelSet,
    Sample,
    Split,
    group_numbers,
    split_digest,
)
from keensight.core.task import Task
from keensight.errors import DataError


def single(*labels: str) -> Dataset:
    samples = tuple(Sample(f"{i}.png", label, f"{i:064x}") for i, label in enumerate(labels))
    return Dataset("pets", "folder", LabelSet(("cat", "dog", "owl")), samples)


def several(*labels: tuple[str, ...]) -> Dataset:
    samples = tuple(Sample(f"{i}.png", "|".join(held), f"{i:064x}", labels=held) for i, held in enumerate(labels))
    return Dataset("pets", "table", LabelSet(("cat", "dog", "owl")), samples, task=Task.MULTILABEL)


def test_two_classes_of_the_same_name_are_refused() -> None:
    with pytest.raises(DataError, match="two classes have the same name"):
        LabelSet(("cat", "dog", "cat"))
    assert len(LabelSet(("cat", "dog"))) == 2


def test_names_become_numbers_and_names_again() -> None:
    labels = LabelSet(("cat", "dog"))
    assert labels.encode(["dog", "cat", "dog"]).tolist() == [1, 0, 1]
    assert labels.decode(np.array([1, 0])) == ["dog", "cat"]
    assert labels.encode([]).dtype == np.int64


def test_an_unknown_label_is_refused_with_the_first_twenty_classes() -> None:
    with pytest.raises(DataError, match="'yak' is not one of the classes") as refused:
        LabelSet(tuple(f"c{i}" for i in range(30))).encode(["c3", "yak"])
    assert refused.value.hint == f"known classes: {', '.join(f'c{i}' for i in range(20))}"


@pytest.mark.parametrize("sign", ["\x00", "\n", "\x1f", "\x7f", "\x9f", "\u2028", "\u2029"])
def test_names_with_control_characters_are_found(sign: str) -> None:
    assert LabelSet(("cat", f"d{sign}g", "a b", "\u00e4\u00a0")).controls() == (f"d{sign}g",)


def test_names_of_normal_images_are_known_in_any_spelling() -> None:
    names = ("good", "NORMAL", "No-Defect", "no defect", "crack", "goods")
    assert LabelSet(names).normal() == ("good", "NORMAL", "No-Defect", "no defect")


def test_the_key_of_an_input_has_what_its_pixels_depend_on() -> None:
    assert ImageSpec(64, 96).key == "64x96-stretch-3"
    assert ImageSpec(64, 96).shape == (64, 96, 3)
    assert ImageSpec(224, 224, "pad", intensity=4095).key == "224x224-pad-3-0-4095"
    assert ImageSpec(224, 224, intensity=400.5, black=-1000).key == "224x224-stretch-3--1000-400.5"
    assert ImageSpec(224, 224, black=5).key == "224x224-stretch-3"  # black is of a scale, and there is none
    assert ImageSpec(224, 224, background="black").key == "224x224-stretch-3-black"
    header = ImageInfo("PNG", "RGB", 4, 3)
    assert (header.frames, header.orientation) == (1, 1)
    assert Sample("a.png", "cat", "").size == 0


def test_an_image_has_its_label_or_its_labels_or_none() -> None:
    assert Sample("a.png", "cat", "").classes == ("cat",)
    assert Sample("a.png", "cat|dog", "", labels=("cat", "dog")).classes == ("cat", "dog")
    assert Sample("a.png", "", "").classes == ()


def test_a_dataset_counts_its_images_by_class() -> None:
    data = single("dog", "cat", "dog")
    assert data.targets().tolist() == data.truth().tolist() == data.combinations().tolist() == [1, 0, 1]
    assert data.indicators().tolist() == [[0, 1, 0], [1, 0, 0], [0, 1, 0]]
    assert data.counts().tolist() == [1, 2, 0]
    assert data.counts(np.array([0, 2])).tolist() == [0, 2, 0]
    assert repr(data) == "<Dataset pets: 3 images, 3 classes>"
    assert (len(data), data[1].label, [sample.label for sample in data], data.class_names) == (
        3, "cat", ["dog", "cat", "dog"], ("cat", "dog", "owl")
    )  # fmt: skip


def test_a_set_of_several_labels_counts_its_images_by_label() -> None:
    data = several(("dog", "owl"), (), ("dog",), ("dog", "owl"))
    assert data.truth().tolist() == data.indicators().tolist() == [[0, 1, 1], [0, 0, 0], [0, 1, 0], [0, 1, 1]]
    assert data.counts().tolist() == [0, 3, 2]
    assert data.counts(np.array([1, 2])).tolist() == [0, 1, 0]
    first, second, third, fourth = data.combinations().tolist()
    assert first == fourth and len({first, second, third}) == 3
    assert repr(data) == "<Dataset pets: 4 images, 3 labels>"
    with pytest.raises(DataError, match="pets is a multi-label set") as refused:
        data.targets()
    assert "indicators()" in (refused.value.hint or "")


def test_a_task_may_be_given_as_a_word() -> None:
    data = dataclasses.replace(single("cat"), task="multilabel")  # type: ignore[arg-type]
    assert data.task is Task.MULTILABEL
    with pytest.raises(ValueError, match="singles"):
        dataclasses.replace(single("cat"), task="singles")  # type: ignore[arg-type]


def test_images_without_a_source_are_not_available() -> None:
    class Files:
        def load(self, sample: Sample) -> bytes:
            return sample.path.encode()

    data = single("dog", "cat")
    with pytest.raises(DataError, match="images are not available") as refused:
        data.load(0)
    assert "ks.open" in (refused.value.hint or "")
    read = dataclasses.replace(data, reader=Files())
    assert read.load(1) == b"1.png"
    assert read == data  # where the bytes come from is no part of it


def test_the_digest_of_a_dataset_is_of_its_contents_in_any_order() -> None:
    data = single("dog", "cat")
    turned = dataclasses.replace(data, samples=data.samples[::-1], name="other")
    assert turned.digest == data.digest
    listed = f"{0:064x} dog 0.png\n{1:064x} cat 1.png"  # runs of all versions name their images by it
    assert data.digest == hashlib.sha256(listed.encode()).hexdigest()
    changes: tuple[dict[str, Any], ...] = ({"path": "x.png"}, {"label": "owl"}, {"digest": "f" * 64})
    for change in changes:
        other = (dataclasses.replace(data.samples[0], **change), data.samples[1])
        assert dataclasses.replace(data, samples=other).digest != data.digest
    assert dataclasses.replace(data, task=Task.MULTILABEL).digest != data.digest
    odd = dataclasses.replace(data.samples[0], path="\udcff.png")  # a file name that is not UTF-8
    assert len(dataclasses.replace(data, samples=(odd,)).digest) == 64


def test_a_split_gives_the_places_of_its_images() -> None:
    split = Split((0, 3), (1,), (), "by hand")
    assert [split.part(part).tolist() for part in ("train", "val", "test")] == [[0, 3], [1], []]
    assert split.part("test").dtype == np.int64
    assert repr(split) == "<Split train 2, val 1, test 0>"


def test_the_digest_of_a_split_is_of_contents_and_parts() -> None:
    data = single("dog", "cat", "dog", "owl")
    split = Split((0, 1), (2,), (3,), "by hand")
    renamed = tuple(dataclasses.replace(sample, path=f"new/{sample.path}") for sample in data.samples[::-1])
    turned = Split((3, 2), (1,), (0,), "in another way")
    assert split_digest(turned, dataclasses.replace(data, samples=renamed)) == split_digest(split, data)
    assert split_digest(dataclasses.replace(split, val=(3,), test=(2,)), data) != split_digest(split, data)
    assert len(split_digest(split, data)) == 16 and int(split_digest(split, data), 16) >= 0


def epoch(number: int, phase: str = "train", val_map: float | None = None) -> Epoch:
    return Epoch(number, phase, 4, 1.0, 0.1, 0.7, 0.5, 0.6 / number, 0.25 * number, val_map)


def test_a_history_reads_like_that_of_keras() -> None:
    history = History((epoch(1, "head"), epoch(2)), 2)
    assert history.epoch == [0, 1]
    assert history.history == {
        "loss": [0.7, 0.7], "accuracy": [0.5, 0.5], "val_loss": [0.6, 0.3], "val_accuracy": [0.25, 0.5]
    }  # fmt: skip
    assert repr(history) == "<History of 2 epochs (completed); kept epoch 2: val loss 0.3000, val accuracy 0.5000>"
    labeled = History((epoch(1, val_map=0.75),), 1, "early")
    assert labeled.history["val_map"] == [0.75]
    assert "(early)" in repr(labeled)
    assert repr(History((), 0)) == "<History of no epoch>"
    assert set(History((), 0).history) == {"loss", "accuracy", "val_loss", "val_accuracy"}


def test_trainings_are_compared_by_accuracy_or_mean_average_precision() -> None:
    assert epoch(2).reached == 0.5
    assert epoch(2, val_map=0.75).reached == 0.75


def test_a_network_is_tuned_if_the_kept_epoch_is_not_of_its_head() -> None:
    epochs = (epoch(1, "head"), epoch(2, "tuning"))
    assert [History(epochs, best).tuned for best in (1, 2)] == [False, True]


def test_images_of_a_group_have_its_number_and_each_other_image_its_own() -> None:
    found = group_numbers(["p", None, "q", "p"])
    assert found is not None
    assert found.shape == (4,)
    assert found[0] == found[3] and len(set(found.tolist())) == 3
    assert group_numbers([]) is None
    assert group_numbers([None, None]) is None
