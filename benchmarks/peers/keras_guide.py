"""Peer: transfer learning as the Keras guides teach it.

Images come from `image_dataset_from_directory`; flips and small rotations are layers in the model; a new head is
trained on the frozen network with Adam, then the network is unfrozen (its batch normalization stays in inference
mode) and all is trained at a rate of 1e-5.

    python benchmarks/peers/keras_guide.py split.csv --out keras.jsonl
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import common  # first: starts the clock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
from keras import layers
from keras_lite0 import features


def lay_out(table: common.Table, root: Path) -> None:
    """Links, as PART/CLASS/FILE."""
    for part in common.PARTS:
        for label in table.labels:
            (root / part / label).mkdir(parents=True)
        for number, (path, target) in enumerate(zip(table.paths[part], table.targets[part], strict=True)):
            (root / part / table.labels[target] / f"{number:06d}{Path(path).suffix}").symlink_to(path)


def classifier(side: int, classes: int) -> tuple[keras.Model, keras.Model]:
    """The whole model and its frozen network."""
    base = features(side)
    base.trainable = False
    inputs = keras.Input((side, side, 3))
    x = layers.RandomFlip("horizontal")(inputs)
    x = layers.RandomRotation(0.1)(x)
    x = base(x, training=False)
    x = layers.Dropout(0.2)(x)
    return keras.Model(inputs, layers.Dense(classes)(x)), base


class Write(keras.callbacks.Callback):
    """After each epoch: a line with validation and test accuracy."""

    def __init__(self, log: common.Log, test: Any, test_n: int) -> None:
        super().__init__()
        self.log, self.test, self.test_n, self.phase, self.number = log, test, test_n, "head", 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.number += 1
        with self.log.paused():
            right = 0
            for images, targets in self.test:
                right += int((self.model(images, training=False).numpy().argmax(1) == targets.numpy()).sum())
        self.log.epoch(self.phase, self.number, (logs or {})["val_accuracy"], right / self.test_n, self.test_n)


def main() -> None:
    parser = common.options(__doc__, epochs=10)
    parser.add_argument("--head-epochs", type=int, default=10)
    arguments = parser.parse_args()
    log, table = common.Log(arguments.out), common.read(arguments.table, arguments.limit)
    keras.utils.set_random_seed(arguments.seed)
    side = arguments.image_size
    with tempfile.TemporaryDirectory() as scratch:
        lay_out(table, Path(scratch))
        parts = {
            part: keras.utils.image_dataset_from_directory(
                Path(scratch, part),
                image_size=(side, side),
                batch_size=arguments.batch_size,
                shuffle=part == "train",
                seed=arguments.seed,
                verbose=False,
            ).prefetch(2)
            for part in common.PARTS
        }
        model, base = classifier(side, len(table.labels))
        write = Write(log, parts["test"], len(table.paths["test"]))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        for phase, epochs, rate in (("head", arguments.head_epochs, 1e-3), ("all", arguments.epochs, 1e-5)):
            base.trainable = phase == "all"
            write.phase = phase
            model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
            model.fit(parts["train"], epochs=epochs, validation_data=parts["val"], callbacks=[write], verbose=0)


if __name__ == "__main__":
    main()
