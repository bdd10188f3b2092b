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


@pytest.mark.parametrize(
    ("dotted", "value", "kept"),
    [
        ("model.name", "auto", "auto"),
        ("model.weights", "none", "none"),
        ("data.intensity", "auto", "auto"),
        ("augment.flip", "none", "none"),
        ("data.label_level", None, None),
        ("data.group", "none", None),
        ("train.epochs", 5.0, 5),
        ("train.seed", 2**31 - 1, 2**31 - 1),
        ("train.seed", "1e3", 1000),
    ],
)
def test_words_for_nothing_are_values_where_a_setting_must_have_one(dotted: str, value: Any, kept: Any) -> None:
    found = find_setting(dotted).convert(value)
    assert found == kept and type(found) is type(kept)


@pytest.mark.parametrize(
    ("dotted", "value", "expected"),
    [
        ("train.seed", 2**31, "a whole number from 0 to 2.14748e+09"),
        ("train.epochs", 2.5, "a whole number from 1 to 1000"),
        ("data.image_size", 7, "a whole number from 8 to 1024 (px)"),
        ("train.weight_decay", "x", "a number from 0 to 1"),
        ("augment.rotate", 181, "a number from 0 to 180 (degrees)"),
        ("augment.enabled", "maybe", "true or false"),
        ("augment.enabled", None, "true or false"),
        ("data.label_level", "auto", "one of top, leaf, path"),
        ("data.label_level", "", "one of top, leaf, path"),
        ("augment.flip", "up", "one of auto, none, horizontal, both"),
        ("model.name", None, "text"),
    ],
)
def test_a_refusal_says_what_was_given_and_what_is_expected(dotted: str, value: Any, expected: str) -> None:
    described = find_setting(dotted)
    with pytest.raises(UsageError) as refused:
        RunConfig().with_values({dotted: value})
    assert str(refused.value) == f"{dotted} cannot be {value!r}"
    assert refused.value.hint == f"expected {expected}; {described.help}"


def test_keywords_are_the_names_of_settings_but_for_the_model_and_the_augmentation() -> None:
    assert [find_setting(name).option for name in ("train.epochs", "model.name", "augment.enabled")] == [
        "epochs", "model", "augment"
    ]  # fmt: skip


def test_settings_without_effect_are_left_out_of_the_file_and_named_in_a_comment(tmp_path: Path) -> None:
    changed = RunConfig().with_values({"train.epochs": 7, "augment.zoom": 0.25})
    text = changed.to_toml(["augment.zoom", "train.ema", "augment.flip"])
    assert text.startswith(
        "# No effect on this run: train.ema\n# No effect on this run: augment.zoom, augment.flip\n\n[data]"
    )
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    found = read_config(path)
    assert found["train.epochs"] == 7
    assert not {"augment.zoom", "augment.flip", "train.ema"} & set(found)
    assert changed.to_toml().startswith("[data]")


def test_all_settings_by_name_are_those_that_can_be_given() -> None:
    named = RunConfig().with_values({"train.epochs": 7}).by_name()
    assert list(named) == [one.dotted for one in settings()]
    assert named["train.epochs"] == 7
    assert named["data.fit"] == "auto"


def test_a_warning_about_a_retired_setting_names_the_line_that_gave_it() -> None:
    with pytest.warns(DeprecationWarning, match="train.views has no effect any more: fine-tuning augments") as warned:
        RunConfig().with_values({"train.views": 2})
    assert [one.filename for one in warned] == [__file__]


def test_what_is_no_file_of_settings_is_refused_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("epochs = 5\n", encoding="utf-8")
    with pytest.raises(UsageError, match="'epochs' is outside a section") as outside:
        read_config(path)
    assert "[train]" in (outside.value.hint or "")
    path.write_bytes(b'[data]\nlabel = "\xff"\n')
    with pytest.raises(UsageError, match="cannot be read") as unreadable:
        read_config(path)
    assert unreadable.value.hint == "give a TOML file"
    path.write_text("", encoding="utf-8")
    assert read_config(path) == {}
    with pytest.raises(UsageError) as unknown:
        find_setting("xyz.qqqq")
    assert unknown.value.hint == "docs/settings.md lists all settings"
