from __future__ import annotations

import pytest

from keensight.core.registry import Registry, did_you_mean
from keensight.errors import UsageError


@pytest.fixture
def models() -> Registry[int]:
    registry: Registry[int] = Registry("model")
    registry.register("cnn", 1)
    registry.register("resnet", 2)
    return registry


def test_it_is_a_mapping_in_order_of_registration(models: Registry[int]) -> None:
    assert dict(models) == {"cnn": 1, "resnet": 2}
    assert list(models) == ["cnn", "resnet"]
    assert len(models) == 2
    assert "cnn" in models
    assert "vgg" not in models


def test_a_name_is_taken_once(models: Registry[int]) -> None:
    with pytest.raises(ValueError, match="'cnn' is registered twice"):
        models.register("cnn", 3)
    assert models["cnn"] == 1


def test_an_unknown_name_is_answered_with_the_nearest(models: Registry[int]) -> None:
    with pytest.raises(UsageError, match="no model 'resnett'") as caught:
        models["resnett"]
    assert caught.value.hint == "did you mean 'resnet'? known: cnn, resnet"


def test_a_name_like_no_other_gets_the_list() -> None:
    assert did_you_mean("zzz", ["cnn", "resnet"]) == "known: cnn, resnet"
