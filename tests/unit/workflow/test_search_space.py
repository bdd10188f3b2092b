"""What a study may search: typed, named, and only what has an effect."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keensight.core.config import RunConfig
from keensight.core.records import Dataset
from keensight.core.study import Dimension
from keensight.data.sources.readers import from_arrays
from keensight.errors import UsageError
from keensight.workflow.search_space import kind_of, parse_assignments, parse_space, search_space, searchable


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    rng = np.random.default_rng(0)
    return from_arrays(rng.integers(0, 255, (20, 8, 8), np.uint8), ["a", "b"] * 10)


def test_ranges_and_values_are_typed_by_their_setting() -> None:
    given = parse_assignments(
        ("train.learning_rate=1e-4..1e-2", "train.epochs = 2..5", "train.class_weights=true,false",
         "data.image_size=auto,64", "train.optimizer=sgd,adamw")
    )  # fmt: skip
    assert parse_space(given, {}) == (
        Dimension("train.learning_rate", low=1e-4, high=1e-2),
        Dimension("train.epochs", low=2, high=5, whole=True),
        Dimension("train.class_weights", choices=(True, False)),
        Dimension("data.image_size", choices=(None, 64)),
        Dimension("train.optimizer", choices=("sgd", "adamw")),
    )


def test_python_values_are_read_alike() -> None:
    given: dict[str, Any] = {"model.dropout": (0, 0.5), "train.epochs": [1, 2], "augment.color": "none,light"}
    assert parse_space(given, {}) == (
        Dimension("model.dropout", low=0.0, high=0.5),
        Dimension("train.epochs", choices=(1, 2)),
        Dimension("augment.color", choices=("none", "light")),
    )
    rates = (np.float64(1e-4), np.float64(1e-2))
    assert parse_space({"train.learning_rate": rates}, {}) == (Dimension("train.learning_rate", low=1e-4, high=1e-2),)
    assert parse_space({"train.class_weights": (False, True)}, {})[0].choices == (False, True)
    with pytest.raises(UsageError, match=r"train\.epochs has only one value to try"):
        parse_space({"train.epochs": 5}, {})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("items", "message", "hint"),
    [
        (["train.learning_rat=1e-4..1e-2"], "there is no setting", "train.learning_rate"),
        (["train.epochs"], "not a setting and its values", "--space"),
        (["train.epochs=1..3", "train.epochs=2,4"], "twice", "once"),
        (["train.epochs=3..1"], "is empty", "LOW..HIGH"),
        (["train.epochs=2..2"], "is empty", "LOW..HIGH"),
        (["train.epochs=0..5"], "cannot be '0'", "from 1 to 1000"),
        (["train.epochs=2.5,3"], "cannot be '2.5'", "whole number"),
        (["train.optimizer=sgd..adamw"], "has no range", "one of"),
        (["train.optimizer=sgd,adam"], "cannot be 'adam'", "adamw"),
        (["train.optimizer=sgd"], "only one value", "--set train.optimizer="),
        (["data.val_share=0.1,0.2"], "cannot be searched", "--set data.val_share"),
        (["train.seed=1..100"], "cannot be searched", "--set train.seed"),
        (["decision.set_level=0.8,0.9"], "cannot be searched", "--set decision.set_level"),
        (["train.effort=quick,best"], "cannot be searched", "--set train.effort"),
    ],
)
def test_what_cannot_be_searched_is_refused_by_name(items: list[str], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_space(parse_assignments(items), {})
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_setting_is_fixed_or_searched() -> None:
    with pytest.raises(UsageError, match="both fixed and searched"):
        parse_space({"train.epochs": "1,2"}, {"train.epochs": 3})


def test_a_setting_that_was_given_its_default_is_fixed_too() -> None:
    from keensight.workflow.tune import _fixed

    config = RunConfig().with_values({"model.dropout": 0.35})
    assert _fixed(config) == {"model.dropout": 0.35}
    given = _fixed(config, {"train.class_weights": False}, {"epochs": None, "optimizer": "auto"})
    assert sorted(given) == ["model.dropout", "train.class_weights", "train.optimizer"]


@pytest.mark.parametrize(
    ("model", "effort", "kind", "unused", "used"),
    [
        ("efficientnet_lite0", "quick", "head", "train.weight_decay", "train.class_weights"),
        ("efficientnet_lite0", "quick", "head", "augment.crop", "data.image_size"),
        ("efficientnet_lite0", "standard", "fine-tuning", "model.width", "train.learning_rate"),
        ("cnn", "quick", "from scratch", "train.logit_adjustment", "model.width"),
    ],
)
def test_a_dimension_without_effect_is_refused(
    model: str, effort: str, kind: str, unused: str, used: str, dataset: Dataset
) -> None:
    config = RunConfig().with_values({"model.name": model, "train.effort": effort})
    assert kind_of(config) == kind
    wanted = (Dimension(used, choices=(1, 2)),)
    assert search_space(config, dataset, wanted, {}) == wanted
    with pytest.raises(UsageError, match=f"{unused} has no effect here"):
        search_space(config, dataset, (Dimension(unused, choices=(1, 2)),), {})


@pytest.mark.parametrize(
    ("model", "effort"), [("efficientnet_lite0", "quick"), ("efficientnet_lite0", "best"), ("cnn", "quick")]
)
def test_every_default_dimension_is_searchable_has_an_effect_and_takes_its_values(
    model: str, effort: str, dataset: Dataset
) -> None:
    config = RunConfig().with_values({"model.name": model, "train.effort": effort})
    space = search_space(config, dataset, (), {})
    assert len(space) >= 3
    assert {one.name for one in space} <= set(searchable())
    assert search_space(config, dataset, space, {}) == space
    for one in space:
        for value in one.choices or (one.low, one.high):
            config.with_values({one.name: int(value) if one.whole and value is not None else value})
    fixed = space[0].name
    assert fixed not in {one.name for one in search_space(config, dataset, (), {fixed: 1})}
