import numpy as np
import pytest

from keensight.core.config import AugmentConfig

pytestmark = pytest.mark.slow
OFF = AugmentConfig(flip="none", crop=1.0, shift=0.0, zoom=0.0, rotate=0.0, erase=0.0, color="none")


class Memory:
    def __init__(self, images):
        self.images, self.shape = images, images.shape[1:]

    def take(self, indices):
        return self.images[indices]


def _numbered(n=40, side=8):
    return Memory(np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, side, side, 3)).copy())


def _plan(n=40, batch=8, seed=3):
    from keensight.nets.training.batches import TrainingPlan

    return TrainingPlan(np.arange(n), np.arange(n) % 4, np.ones(4, np.float32), batch, seed)


def _run(config, epochs=2, **options):
    from keensight.nets.training.batches import training

    return [
        tuple(np.asarray(part) for part in batch) for batch in training(_plan(**options), _numbered(), config, epochs)
    ]


def test_the_feed_is_a_pure_function_of_seed_epoch_and_step():
    changing = AugmentConfig(flip="horizontal", crop=0.5, shift=0.2, erase=0.3, color="light")
    first, second = _run(changing), _run(changing)
    assert len(first) == 10
    for a, b in zip(first, second, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)


def test_an_epoch_shows_every_image_once_in_an_order_of_its_own():
    batches = _run(OFF)
    seen = [np.concatenate([b[0][:, 0, 0, 0] for b in batches[i : i + 5]]) for i in (0, 5)]
    assert sorted(seen[0]) == sorted(seen[1]) == list(range(40))
    assert (seen[0] != seen[1]).any()


def test_targets_follow_their_images_and_are_one_hot():
    for images, targets, weights in _run(OFF):
        np.testing.assert_array_equal(targets.argmax(1), images[:, 0, 0, 0] % 4)
        np.testing.assert_array_equal(targets.sum(1), 1)
        np.testing.assert_array_equal(weights, 1)


def test_cardinality_is_known_so_that_keras_counts_steps_right():
    from keensight.nets.training.batches import training

    assert int(training(_plan(), _numbered(), OFF, 3).cardinality()) == 15


def test_the_plain_feed_keeps_order_and_pixels():
    from keensight.nets.training.batches import plain

    rows = np.array([5, 3, 9])
    images, targets = next(iter(plain(rows, rows % 4, 4, _numbered())))
    np.testing.assert_array_equal(np.asarray(images)[:, 0, 0, 0], rows)
    np.testing.assert_array_equal(np.asarray(targets).argmax(1), rows % 4)


def test_no_tuner_runs_whose_waking_the_end_of_a_training_would_wait_for():
    from keensight.nets.training.batches import plain, training

    rows = np.arange(4)
    for feed in (training(_plan(), _numbered(), OFF, 3), plain(rows, rows, 4, _numbered())):
        assert feed.options().autotune.enabled is False


def test_slices_together_are_the_batch():
    from keensight.nets.training.batches import Slice, training

    changing = AugmentConfig(flip="horizontal", crop=0.5, shift=0.2, erase=0.3, color="light")
    parts = [list(training(_plan(), _numbered(), changing, 2, 3, Slice(number, 2))) for number in range(2)]
    whole = list(training(_plan(), _numbered(), changing, 2, 3))
    assert len(whole) == len(parts[0])
    for batch, first, second in zip(whole, *parts, strict=True):
        for all_of_it, a, b in zip(batch, first, second, strict=True):
            np.testing.assert_array_equal(np.concatenate([a, b]), all_of_it)


def test_a_gpu_gets_the_same_batches(monkeypatch):
    from keensight.nets import runtime

    changing = AugmentConfig(flip="horizontal", crop=0.5, shift=0.2, erase=0.3, color="light")
    expected = _run(changing, epochs=4)
    monkeypatch.setattr(runtime, "devices", lambda: ["CPU:0", "GPU:0"])  # a stand-in: several are augmented at a time
    for a, b in zip(_run(changing, epochs=4), expected, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)
