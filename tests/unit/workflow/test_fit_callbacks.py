"""ks.fit calls Keras callbacks as keras.Model.fit does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import keensight as ks

pytestmark = pytest.mark.slow


@pytest.fixture
def parts() -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    images = rng.integers(0, 90, (60, 16, 16, 3), dtype=np.uint8)
    images[labels == 1] += 120
    data = ks.from_arrays(images, labels, class_names=["dark", "light"])
    return data, ks.split(data), ks.prepare(data, ks.image_spec(data, 16))


def recorder(stop_after: int | None = None) -> Any:
    keras, _ = ks.framework()

    class Recorder(keras.callbacks.Callback):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.calls: list[Any] = []
            self.logs: list[dict[str, float]] = []
            self.weights: list[Any] = []

        def on_train_begin(self, logs: Any = None) -> None:
            self.calls.append("begin")

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.calls.append(("epoch", epoch))

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.calls.append(("batch", batch))
            assert {"loss", "accuracy"} <= set(logs)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.calls.append(("done", epoch))
            self.logs.append(logs)
            self.weights.append(self.model.get_weights())
            if stop_after is not None and epoch + 1 >= stop_after:
                self.model.stop_training = True

        def on_train_end(self, logs: Any = None) -> None:
            self.calls.append("end")

    return Recorder()


def test_callbacks_are_called_in_the_order_of_keras(parts: Any) -> None:
    data, split, pixels = parts
    model, seen = ks.build(data, pixels.spec, "cnn"), recorder()
    history = ks.fit(model, data, split, pixels, epochs=2, batch_size=16, callbacks=[seen])
    steps = history.epochs[0].steps
    one = [[("epoch", n), *[("batch", b) for b in range(steps)], ("done", n)] for n in (0, 1)]
    assert seen.calls == ["begin", *one[0], *one[1], "end"]
    assert seen.model is model
    assert [sorted(logs) for logs in seen.logs] == [["accuracy", "loss", "val_accuracy", "val_loss"]] * 2
    assert history.history["val_loss"] == [logs["val_loss"] for logs in seen.logs]
    assert history.epoch == [0, 1]
    best = seen.weights[history.best_epoch - 1]
    assert all(map(np.array_equal, best, model.get_weights()))


def test_a_callback_ends_the_training(parts: Any) -> None:
    data, split, pixels = parts
    model = ks.build(data, pixels.spec, "cnn")
    history = ks.fit(model, data, split, pixels, epochs=5, callbacks=[recorder(stop_after=2)])
    assert len(history.epochs) == 2 and history.stopped == "callback"


def test_a_transfer_counts_its_phases_as_one_training(parts: Any) -> None:
    data, split, _ = parts
    pixels = ks.prepare(data, ks.image_spec(data, 32))
    model, seen = ks.build(data, pixels.spec, "efficientnet_lite0"), recorder()
    history = ks.fit(model, data, split, pixels, effort="standard", epochs=1, callbacks=[seen])
    assert [call for call in seen.calls if call[0] in ("epoch", "done")] == [
        ("epoch", 0), ("done", 0), ("epoch", 1), ("done", 1)
    ]  # fmt: skip
    assert [one.phase for one in history.epochs] == ["head", "whole"]
    stopped = ks.fit(model, data, split, pixels, effort="standard", epochs=1, callbacks=[recorder(stop_after=1)])
    assert [one.phase for one in stopped.epochs] == ["head"] and stopped.stopped == "callback"


def test_stock_callbacks_work(parts: Any, tmp_path: Any) -> None:
    keras, _ = ks.framework()
    data, split, pixels = parts
    model = ks.build(data, pixels.spec, "cnn")
    stock = [
        keras.callbacks.CSVLogger(str(tmp_path / "log.csv")),
        keras.callbacks.ModelCheckpoint(str(tmp_path / "best.keras"), monitor="val_loss", save_best_only=True),
        keras.callbacks.EarlyStopping(monitor="val_accuracy", mode="max", patience=5, restore_best_weights=True),
    ]
    history = ks.fit(model, data, split, pixels, epochs=2, callbacks=stock)
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3
    kept = keras.models.load_model(tmp_path / "best.keras")
    assert history.best_epoch in (1, 2)
    assert all(map(np.array_equal, kept.get_weights(), model.get_weights()))


@pytest.mark.parametrize("name", ["LearningRateScheduler", "ReduceLROnPlateau", "BackupAndRestore", "print"])
def test_what_would_have_no_effect_is_refused(parts: Any, name: str, tmp_path: Any) -> None:
    keras, _ = ks.framework()
    made = {
        "LearningRateScheduler": lambda: keras.callbacks.LearningRateScheduler(lambda epoch: 0.1),
        "ReduceLROnPlateau": keras.callbacks.ReduceLROnPlateau,
        "BackupAndRestore": lambda: keras.callbacks.BackupAndRestore(str(tmp_path)),
        "print": lambda: print,
    }[name]()
    data, split, pixels = parts
    model = ks.build(data, pixels.spec, "cnn")
    with pytest.raises(ks.UsageError, match=name):
        ks.fit(model, data, split, pixels, epochs=1, callbacks=[made])
