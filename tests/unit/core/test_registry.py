from __future__ import annotations

import pytest

from keensight.core.config import find_setting
from keensight.core.registry import Registry, did_you_mean
from keensight.errors import UsageError


@pytest.fixture
def models() -> Registry[int]:
    registry: Registry[int] = Registry("model")
    registry["cnn"], registry["resnet"] = 1, 2
    return registry


def test_it_is_a_mapping_in_the_order_of_its_making(models: Registry[int]) -> None:
    assert dict(models) == {"cnn": 1, "resnet": 2}
    assert list(models) == ["cnn", "resnet"]
    assert len(models) == 2
    assert "cnn" in models
    assert "vgg" not in models


def test_an_unknown_name_is_answered_with_the_nearest(models: Registry[int]) -> None:
    with pytest.raises(UsageError, match="no model 'resnett'") as caught:
        models["resnett"]
    assert caught.value.hint == "did you mean 'resnet'?"


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("train.epoch", "train.epochs"),
        ("epochs", "train.epochs"),
        ("model.epochs", "train.epochs"),
        ("seed", "train.seed"),
        ("Train.Batch-Size", "train.batch_size"),
        ("learning_rat", "train.learning_rate"),
        ("augment.flipp", "augment.flip"),
        ("target_prec", "decision.target_precision"),
        ("train.lr", "train.learning_rate"),
        ("lr", "train.learning_rate"),
        ("train.BS", "train.batch_size"),
        ("train.wd", "train.weight_decay"),
    ],
)
def test_a_misspelt_setting_gets_one_suggestion(given: str, nearest: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_setting(given)
    assert caught.value.hint == f"did you mean {nearest!r}?"


def test_an_abbreviation_that_is_like_another_name_still_gets_it() -> None:
    assert did_you_mean("lr", ["hr", "learning_rat"]) == "did you mean 'learning_rat'?"
    assert did_you_mean("lr", ["hrx", "cat"]) == "available: hrx, cat"
    assert did_you_mean("bs", ["bsx", "cat"]) == "did you mean 'bsx'?"


def test_a_name_like_no_other_gets_the_list_where_it_is_short() -> None:
    many = [f"class {number}" for number in range(46)]
    assert did_you_mean("zzz", ["cnn", "resnet"]) == "available: cnn, resnet"
    assert did_you_mean("zzz", many, "see the list") == "see the list"
    assert did_you_mean("zzz", many) == f"available: {', '.join(many[:12])} and 34 more"


def test_a_setting_like_no_other_is_sent_to_the_list() -> None:
    with pytest.raises(UsageError) as caught:
        find_setting("zzz.qqq")
    assert caught.value.hint == "docs/settings.md lists all settings"
