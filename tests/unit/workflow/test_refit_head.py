"""The head that is fitted again after fine-tuning, on larger images."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

import keensight as ks
from keensight.core.config import RunConfig
from keensight.core.progress import Silent
from keensight.core.records import Epoch, History, ImageSpec

pytestmark = pytest.mark.slow

SMALL, LARGE = ImageSpec(64, 64), ImageSpec(96, 96)


class Said(Silent):
    def __init__(self):
        self.lines = []

    def say(self, message):
        self.lines.append(message)


def _epoch(number, phase):
    return Epoch(number, phase, 1, 1.0, 0.001, 0.1, 0.9, 0.1, 0.9)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Stripes across and down; a fine-tuned network, as far as its history says, whose head knows nothing."""
    from keensight.workflow.finish import Trained

    root, rng = tmp_path_factory.mktemp("set"), np.random.default_rng(0)
    for name, axis in (("across", 0), ("down", 1)):
        (root / name).mkdir()
        for i in range(40):
            lines = np.where((np.arange(96) + i) // 5 % 2, 200, 60)
            image = np.expand_dims(lines, 1 - axis) + rng.integers(-50, 50, (96, 96))
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).convert("RGB").save(root / name / f"{i}.png")
    data = ks.open(root)
    split, pixels = ks.split(data), ks.prepare(data, SMALL)
    network = ks.build(data, SMALL, "efficientnet_lite0")
    kernel, bias = network.get_layer("logits").get_weights()
    network.get_layer("logits").set_weights([np.zeros_like(kernel), bias])
    config = RunConfig().with_values({"model.name": "efficientnet_lite0", "augment.flip": "horizontal"})
    history = History((_epoch(1, "head"), _epoch(2, "whole")), 2)
    findings = ks.audit(data)
    return Trained(ks.Classifier(network, data.labels, SMALL), history, data, split, pixels, findings, config)


def test_a_better_head_is_kept_with_its_size_and_what_to_calibrate_on(trained):
    from keensight.workflow.refit_head import refit_head

    said = Said()
    again = refit_head(trained, LARGE, said)
    assert again.classifier.spec == again.pixels.spec == LARGE
    assert again.classifier.keras_model.input_shape == (None, 96, 96, 3)
    assert any(line.startswith("head fitted again at 96x96 px: kept, validation") for line in said.lines)
    val = trained.split.part("val")
    assert again.held_out is not None
    assert again.held_out.rows.tolist() == val.tolist()
    truth = trained.dataset.targets()
    assert (again.held_out.logits.argmax(axis=1) == truth[val]).mean() > 0.9
    test = trained.split.part("test")
    found = again.classifier.predict_array(again.pixels.take(test))
    assert (found.argmax(axis=1) == truth[test]).mean() > 0.9
    old, new = trained.classifier.keras_model, again.classifier.keras_model
    for before, after in zip(old.get_weights()[:-2], new.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_head_that_is_no_better_is_discarded(trained):
    from keensight.workflow.refit_head import refit_head

    good, said = dataclasses.replace(refit_head(trained, LARGE, Silent()), held_out=None), Said()
    assert refit_head(good, LARGE, said) is good
    assert any("head fitted again at 96x96 px: discarded" in line for line in said.lines)


def test_without_fine_tuning_the_head_is_cross_validated_on_larger_images(trained):
    from keensight.nets.training.transfer import HeldOut
    from keensight.workflow.refit_head import refit_head

    rows = np.concatenate([trained.split.part("train"), trained.split.part("val")])
    history, unknown = (
        History((_epoch(1, "head"),), 1),
        HeldOut(rows, np.zeros((len(rows), 2), np.float32), np.zeros(2, np.float32)),
    )
    head_alone = dataclasses.replace(trained, history=history, held_out=unknown)
    again = refit_head(head_alone, LARGE, Silent())
    assert again.held_out is not None
    assert again.held_out.rows.tolist() == rows.tolist()
    assert (again.held_out.logits.argmax(axis=1) == trained.dataset.targets()[rows]).mean() > 0.9
    assert again.classifier.spec == LARGE
    assert refit_head(head_alone, SMALL, Silent()) is head_alone


def test_heads_are_compared_before_they_are_adjusted_to_the_class_frequencies(trained):
    from keensight.nets.training.transfer import HeldOut
    from keensight.workflow.refit_head import refit_head

    rows = np.concatenate([trained.split.part("train"), trained.split.part("val")])
    perfect = 10 * np.eye(2, dtype=np.float32)[trained.dataset.targets()[rows]]
    adjusted = HeldOut(rows, perfect, np.array([0, 100], np.float32))  # never the second class
    history = History((_epoch(1, "head"),), 1)
    head_alone = dataclasses.replace(trained, history=history, held_out=adjusted)
    assert refit_head(head_alone, LARGE, Silent()) is head_alone


def test_after_an_interrupt_nothing_is_done(trained):
    from keensight.workflow.refit_head import refit_head

    stopped = dataclasses.replace(trained, history=dataclasses.replace(trained.history, stopped="interrupted"))
    assert refit_head(stopped, LARGE, Silent()) is stopped
