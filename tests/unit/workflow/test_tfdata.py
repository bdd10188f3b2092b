"""Datasets that are streamed: what is taken in, as what, and what is refused. No TensorFlow is needed for it."""

import numpy as np
import pytest

import keensight as ks
from keensight.data.sources import tfdata


class Stream:
    """As much of a ``tf.data.Dataset`` as is asked of one."""

    def __init__(self, elements, cardinality=-2):
        self.elements, self.count = elements, cardinality

    def as_numpy_iterator(self):
        return iter(self.elements)

    def cardinality(self):
        return self.count


def images(n=12, shape=(6, 5, 3), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def batches(x, y, size=5):
    return Stream([(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)])


LABELS = np.arange(12) % 3


def pixels(data):
    return np.stack([data.load(i) for i in range(len(data))])


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 3)])
@pytest.mark.parametrize("batched", [True, False])
def test_single_images_and_batches_give_the_same_set(shape, batched):
    x = images(shape=shape)
    stream = batches(x, LABELS) if batched else Stream(list(zip(x, LABELS, strict=True)))
    data = ks.open(stream, class_names=["a", "b", "c"])
    assert np.array_equal(pixels(data), x.reshape(12, 6, 5, *(3,) * (shape[-1] == 3)))
    assert [sample.label for sample in data.samples] == [("a", "b", "c")[i] for i in LABELS]


@pytest.mark.parametrize("given", [LABELS, LABELS[:, None], LABELS.astype(np.float32), np.eye(3)[LABELS]])
def test_labels_may_be_numbers_a_column_or_one_hot(given):
    data = ks.open(batches(images(), given))
    assert data.labels.names == ("0", "1", "2")
    assert data.targets().tolist() == LABELS.tolist()


def test_labels_may_be_names_and_class_names_may_come_with_the_stream():
    names = np.array([b"cat", b"dog", b"eel"])[LABELS]
    assert ks.open(batches(images(), names)).labels.names == ("cat", "dog", "eel")
    stream = batches(images(), LABELS)
    stream.class_names = ["x", "y", "z"]
    assert ks.open(stream).labels.names == ("x", "y", "z")


def test_floats_from_0_to_1_are_scaled_and_those_up_to_255_rounded():
    x = images()
    assert np.array_equal(pixels(ks.open(batches((x / 255).astype(np.float32), LABELS))), x)
    assert np.array_equal(pixels(ks.open(batches((x * 0.999).astype(np.float32), LABELS))), np.rint(x * 0.999))


def test_dark_images_that_come_first_do_not_mislead():
    x = images().astype(np.float32)
    x[:5] = np.random.default_rng(1).integers(0, 2, x[:5].shape)
    assert np.array_equal(pixels(ks.open(batches(x, LABELS))), x)
    parts = {"train": batches(x[:5], LABELS[:5]), "test": batches(x[5:], LABELS[5:])}
    assert np.array_equal(pixels(ks.open(parts)), x)


def test_parts_are_kept():
    parts = {name: batches(images(seed=i), LABELS) for i, name in enumerate(("train", "validation", "test"))}
    data = ks.open(parts)
    assert [sample.split for sample in data.samples] == ["train"] * 12 + ["val"] * 12 + ["test"] * 12


def test_a_mapping_of_image_and_label_is_an_element_and_weights_are_left_aside():
    x = images()
    named = Stream([{"image": image, "label": label, "id": 7} for image, label in zip(x, LABELS, strict=True)])
    weighed = Stream([(x, LABELS, np.ones(12))])
    assert np.array_equal(pixels(ks.open(named)), x)
    assert np.array_equal(pixels(ks.open(weighed)), x)


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (Stream([], cardinality=-1), "never ends"),
        (Stream([]), "is empty"),
        (Stream([images()]), "not pairs"),
        (batches(images() / 127.5 - 1, LABELS), "run from -"),
        (batches(images() * 300.0, LABELS), "but 0 to 255"),
        (batches(np.full((12, 4, 4, 3), np.nan), LABELS), "run from nan"),
        (batches(images() > 9, LABELS), "images of the dataset are bool"),
        (batches(images(), np.ones((12, 3))), "neither class numbers nor one-hot"),
        (Stream([(images()[0], 0), (images(shape=(7, 5, 3))[0], 1)]), "different sizes"),
    ],
)
def test_what_cannot_be_taken_in_is_refused_in_a_sentence(stream, message):
    with pytest.raises(ks.DataError, match=message):
        ks.open(stream)


def test_a_set_beyond_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(tfdata, "LIMIT", 100)
    with pytest.raises(ks.DataError, match="too much for memory"):
        ks.open(batches(images(), LABELS))


def test_what_is_no_stream_is_refused():
    with pytest.raises(ks.UsageError, match="from a list"):
        ks.open([1, 2])
    with pytest.raises(ks.UsageError, match="no split 'dev'"):
        ks.open({"dev": batches(images(), LABELS)})


def test_the_memory_it_takes_is_said():
    class Heard:
        said = ""

        def say(self, message):
            self.said += message

        def task(self, *args, **kwargs):
            from keensight.core.progress import Silent

            return Silent().task(*args, **kwargs)

    heard = Heard()
    ks.open(batches(images(), LABELS), progress=heard)
    assert heard.said.startswith("12 images, 0 MiB, held in memory")


@pytest.mark.slow
def test_a_real_tf_data_set_is_taken_in():
    _, tf = ks.framework()
    x = images()
    stream = tf.data.Dataset.from_tensor_slices((x, LABELS)).batch(4)
    assert np.array_equal(pixels(ks.open(stream)), x)
    with pytest.raises(ks.DataError, match="never ends"):
        ks.open(stream.repeat())
