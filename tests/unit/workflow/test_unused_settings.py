"""A run's config.toml claims the settings that it used, and no others."""

import dataclasses
import tomllib
from pathlib import Path

import pytest

from keensight.core.config import RunConfig, read_config
from keensight.core.records import Dataset, ImageInfo, LabelSet, Sample
from keensight.workflow.unused_settings import without_effect

STEPS = ("train.epochs", "train.optimizer", "train.learning_rate", "train.batch_size", "train.patience",
         "train.label_smoothing", "train.schedule")  # fmt: skip


def _data(*splits: str, task: str = "multiclass") -> Dataset:
    samples = tuple(Sample(f"{i}.png", "a", str(i), split=part or None) for i, part in enumerate(splits))
    return Dataset("set", "folder", LabelSet(("a",)), samples, task=task)


def _config(**values: object) -> RunConfig:
    return RunConfig().with_values({name.replace("__", "."): value for name, value in values.items()})


PLAIN = ("data.intensity", "data.background")
"""Of images of 8 bits without transparency."""
PRETRAINED = {"model__name": "efficientnet_lite0", "train__epochs": 7, "train__optimizer": "adamw"}


def test_a_quick_transfer_claims_no_epochs_no_optimizer_and_no_rate() -> None:
    config = _config(**PRETRAINED, train__effort="quick", augment__enabled=False)
    unused = without_effect(config, _data(""))
    assert set(STEPS) <= set(unused)
    text = config.to_toml(unused)
    written = tomllib.loads(text)
    assert written["augment"] == {"enabled": False}
    assert not {name.partition(".")[2] for name in STEPS} & set(written["train"])
    assert written["train"]["effort"] == "quick"
    assert "# No effect on this run: train.epochs" in text


def test_a_training_by_steps_claims_them() -> None:
    assert without_effect(_config(**PRETRAINED), _data("")) == (*PLAIN, "train.tensorboard")
    scratch = without_effect(_config(model__name="cnn", train__effort="quick"), _data(""))
    assert scratch == (*PLAIN, "train.logit_adjustment", "train.engine")
    again = without_effect(_config(**PRETRAINED, model__weights="none", train__effort="quick"), _data(""))
    assert again == (*PLAIN, "train.logit_adjustment", "train.engine")


def test_what_was_decided_about_images_is_claimed_where_there_are_such() -> None:
    modes = ("I;16", "RGBA")
    samples = tuple(Sample(f"{m}.png", "a", m, info=ImageInfo("PNG", m, 8, 8)) for m in modes)
    data = dataclasses.replace(_data(""), samples=samples)
    assert not set(PLAIN) & set(without_effect(_config(model__name="cnn"), data))


def test_without_augmentation_none_is_claimed() -> None:
    unused = without_effect(_config(model__name="cnn", augment__enabled=False), _data(""))
    assert "augment.shift" in unused and "augment.color" in unused and "augment.enabled" not in unused


@pytest.mark.parametrize(
    ("splits", "unused"),
    [
        (("", ""), set()),
        (("train", "test"), {"data.val_share", "data.test_share"}),
        (("train", "val"), {"data.val_share"}),
        (("train", "val", "test"), {"data.val_share", "data.test_share"}),
    ],
)
def test_fractions_are_claimed_where_a_split_was_made_by_them(splits: tuple[str, ...], unused: set[str]) -> None:
    found = without_effect(_config(model__name="cnn"), _data(*splits))
    assert {name for name in found if name.startswith("data.")} == unused | set(PLAIN)


def test_labels_have_no_prediction_sets() -> None:
    assert "decision.set_level" in without_effect(_config(model__name="cnn"), _data("", task="multilabel"))
    assert "decision.set_level" not in without_effect(_config(model__name="cnn"), _data(""))


def test_a_detector_and_an_adopted_network_claim_no_training() -> None:
    for kind in ("detector", "adopted"):
        config = _config(model__name="efficientnet_lite0")
        written = tomllib.loads(config.to_toml(without_effect(config, _data(""), kind)))
        assert written["train"] == {"seed": 0} | ({"engine": "auto"} if kind == "detector" else {})
        assert written["augment"] == {}
        assert (written["decision"] == {}) is (kind == "detector")
        assert ("weights" in written["model"]) is (kind == "detector")


def test_what_is_left_reads_back_with_defaults_in_place_of_the_rest(tmp_path: Path) -> None:
    config = _config(**PRETRAINED, train__effort="quick", augment__enabled=False, train__seed=5)
    path = tmp_path / "config.toml"
    path.write_text(config.to_toml(without_effect(config, _data(""))), encoding="utf-8")
    back = RunConfig().with_values(read_config(path))
    assert back.train == dataclasses.replace(RunConfig().train, effort="quick", seed=5)
    assert back.model == config.model
