from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

import pytest

from keensight.core import config
from keensight.core.config import RunConfig, find_setting, parse_assignments, read_config, settings
from keensight.errors import UsageError


def test_every_default_fits_its_own_setting() -> None:
    described = list(settings())
    assert len({s.dotted for s in described}) == len(described) > 20
    for s in described:
        assert s.convert(s.default) == s.default
        assert s.help
        assert s.expected


def test_text_becomes_the_type_of_the_setting() -> None:
    changed = RunConfig().with_values(
        {
            "train.epochs": "5",
            "train.learning_rate": "1e-3",
            "augment.enabled": "no",
            "data.fit": "pad",
            "data.group": "id",
        }
    )
    assert changed.train.epochs == 5
    assert changed.train.learning_rate == 0.001
    assert changed.augment.enabled is False
    assert (changed.data.fit, changed.data.group) == ("pad", "id")
    assert changed.model == RunConfig().model
    assert RunConfig() == RunConfig()


@pytest.mark.parametrize("unset", [None, "", "auto", "none"])
def test_an_optional_setting_can_be_left_to_the_program(unset: Any) -> None:
    assert RunConfig().with_values({"train.epochs": 3}).with_values({"train.epochs": unset}).train.epochs is None


@pytest.mark.parametrize(
    ("dotted", "value"),
    [
        ("train.epochs", "0"),
        ("train.epochs", "2.5"),
        ("train.epochs", "many"),
        ("train.epochs", "inf"),
        ("train.seed", None),
        ("train.seed", "-1"),
        ("train.learning_rate", "nan"),
        ("train.ema", "1"),
        ("train.ema", [0.5]),
        ("train.optimizer", "adam"),
        ("augment.enabled", "perhaps"),
        ("data.image_size", "100000"),
    ],
)
def test_values_that_do_not_fit_are_refused_with_what_would(dotted: str, value: Any) -> None:
    with pytest.raises(UsageError, match=dotted) as caught:
        RunConfig().with_values({dotted: value})
    assert find_setting(dotted).expected in (caught.value.hint or "")


def test_both_bounds_of_a_setting_fit_and_nothing_beyond_them() -> None:
    bounded = [s for s in settings() if s.low is not None or s.high is not None]
    assert len(bounded) > 20
    for s in bounded:
        for bound, beyond in ((s.low, -1), (s.high, 1)):
            if bound is None:
                continue
            assert s.convert(bound) == s.convert(repr(bound)) == bound
            outside = bound + beyond if s.kind is int else math.nextafter(bound, beyond * math.inf)
            with pytest.raises(UsageError, match=s.dotted):
                s.convert(outside)


def test_an_unknown_setting_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        find_setting("train.epoch")
    assert "'train.epochs'" in (caught.value.hint or "")


def test_a_configuration_survives_its_file(tmp_path: Path) -> None:
    changed = RunConfig().with_values({"train.epochs": 7, "model.name": "resnet", "data.label": 'say "cat"'})
    path = tmp_path / "config.toml"
    path.write_text(changed.to_toml(), encoding="utf-8")
    assert RunConfig().with_values(read_config(path)) == changed
    assert set(tomllib.loads(changed.to_toml())) == {"data", "model", "train", "augment", "decision"}


@pytest.mark.parametrize("content", ["[train\n", "epochs = 5\n", "[train]\nepoch = 5\n", "[trains]\nepochs = 5\n"])
def test_files_that_are_no_configuration(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(content)
    with pytest.raises(UsageError):
        read_config(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_config(tmp_path / "none.toml")


def test_assignments() -> None:
    assert parse_assignments(("train.epochs=5", " data.label = a=b ")) == {"train.epochs": "5", "data.label": "a=b"}
    with pytest.raises(UsageError, match="no '='"):
        parse_assignments(("train.epochs",))


def test_sections_of_the_tree_are_all_listed() -> None:
    assert {s.section for s in settings()} == set(config.RunConfig.__dataclass_fields__)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("true", True),
        ("Yes", True),
        ("1", True),
        (True, True),
        ("false", False),
        ("No", False),
        ("0", False),
        (0, False),
    ],
)
def test_the_words_for_true_and_false(given: Any, meant: bool) -> None:
    assert RunConfig().with_values({"augment.enabled": given}).augment.enabled is meant
