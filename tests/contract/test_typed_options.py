"""The typed keywords of the Python functions are the settings, and what checkers see is what there is."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import typing
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

import keensight as ks
from keensight.core import options
from keensight.core.config import Setting, settings

KNOWN = {setting.option: setting for setting in settings()}
FUNCTIONS = {
    ks.train: options.TrainOptions,
    ks.train_seeds: options.SeedsOptions,
    ks.tune: options.SeedsOptions,
    ks.learning_curve: options.CurveOptions,
    ks.fit: options.FitOptions,
    ks.open: options.SourceOptions,
    ks.audit: options.SourceOptions,
    ks.split: options.SourceOptions,
    ks.prepare: options.SourceOptions,
    ks.evaluate: options.SourceOptions,
    ks.image_spec: options.SourceOptions,
    ks.changes_since: options.SourceOptions,
    ks.compare: options.SourceOptions,
    ks.adopt: options.ColumnOptions,
    ks.show.samples: options.SourceOptions,
    ks.show.class_balance: options.SourceOptions,
    ks.show.browse: options.SourceOptions,
}


def hint_of(setting: Setting) -> object:
    hint = Literal[tuple(map(str, setting.choices))] if setting.choices else setting.kind
    if setting.option == "labels":  # in Python a list of names, too
        return str | typing.get_type_hints(options.SourceOptions)["labels"]
    return hint | None if setting.optional else hint


def test_every_setting_is_an_option_of_train_and_the_other_way_round():
    assert set(typing.get_type_hints(options.TrainOptions)) == set(KNOWN)


def test_no_two_settings_have_the_same_option():
    assert len(KNOWN) == len(list(settings()))


@pytest.mark.parametrize("name", KNOWN)
def test_types_are_those_of_the_settings(name):
    assert typing.get_type_hints(options.TrainOptions)[name] == hint_of(KNOWN[name])


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_the_signature_lists_each_option_with_its_default(function):
    parameters = inspect.signature(function).parameters
    for name in typing.get_type_hints(FUNCTIONS[function]):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default == KNOWN[name].default
    assert not [one for one in parameters.values() if one.kind is one.VAR_KEYWORD]


@pytest.mark.parametrize("function", [ks.train, ks.fit, ks.audit], ids=lambda function: function.__name__)
def test_the_docstring_describes_each_option(function):
    for name in typing.get_type_hints(FUNCTIONS[function]):
        assert f"\n    {name}: {KNOWN[name].help[:60]}" in function.__doc__


def test_tab_in_jupyter_lists_the_options():
    jedi = pytest.importorskip("jedi")
    names = {one.name for one in jedi.Interpreter("ks.train(data, ", [{"ks": ks, "data": None}]).complete()}
    assert {f"{name}=" for name in KNOWN} <= names
    names = {one.name for one in jedi.Interpreter("ks.train(data, epo", [{"ks": ks, "data": None}]).complete()}
    assert names == {"epochs="}


@pytest.mark.parametrize(
    ("call", "wrong", "meant"),
    [(ks.train, "modle", "model"), (ks.train, "epoch", "epochs"), (ks.learning_curve, "sed", "seed")],
)
def test_a_misspelt_option_is_answered_with_the_nearest(call, wrong, meant):
    with pytest.raises(ks.UsageError, match=f"no option {wrong!r}") as refused:
        call("mnist", **{wrong: 1})
    assert refused.value.hint.startswith(f"did you mean {meant!r}?")


def test_lists_of_names_become_what_settings_hold():
    from keensight.workflow import configure

    assert configure(labels=["cat", "dog"]).data.labels == "cat,dog"
    with pytest.raises(ks.UsageError, match="contains a comma"):
        configure(labels=["cat, grey", "dog"])


@pytest.mark.parametrize("module", [ks, ks.show], ids=["keensight", "keensight.show"])
def test_type_checkers_see_the_names_that_are_there(module):
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    branch = next(one for one in tree.body if isinstance(one, ast.If) and ast.unparse(one.test) == "TYPE_CHECKING")
    seen = {
        alias.asname: f"{one.module}.{alias.name}"
        for one in branch.body if isinstance(one, ast.ImportFrom) for alias in one.names
    }  # fmt: skip
    homes = {name: f"{home}.{name}" for home, names in module._HOMES.items() for name in names}
    if module is ks:
        homes |= {"errors": "keensight.errors", "show": "keensight.show"}
    assert seen == homes
    assert any(isinstance(one, ast.FunctionDef) and one.name == "__getattr__" for one in branch.orelse)


def test_show_holds_its_functions_only():
    assert all(inspect.isfunction(getattr(ks.show, name)) for name in dir(ks.show))


@pytest.mark.parametrize("name", ["ReportData", "best_progress", "write_report"])
def test_what_was_in_show_is_found_where_it_went(name):
    with pytest.warns(DeprecationWarning, match=f"{name} is now keensight.show"):
        assert getattr(ks.show, name).__name__ == name


def grey(count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (count, 8, 8), dtype=np.uint8), np.arange(count) % 2


def test_arrays_are_a_source_as_they_are():
    data = ks.open(grey(), class_names=["a", "b"])
    assert data.class_names == ("a", "b") and data == ks.from_arrays(*grey(), class_names=["a", "b"])
    assert ks.open(data) is data


def test_what_is_no_source_is_refused_with_what_is():
    for wrong in ([1, 2], grey()[0], (1, 2, 3)):
        with pytest.raises(ks.UsageError, match="images cannot be read from a") as refused:
            ks.open(wrong)
        assert "pair of arrays" in refused.value.hint


def test_a_table_in_memory_is_a_source(tmp_path, monkeypatch):
    import pandas as pd
    from PIL import Image

    for place, image in enumerate(grey()[0]):
        Image.fromarray(image).save(tmp_path / f"{place}.png")
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame({"file": [f"{place}.png" for place in range(12)], "kind": ["a", "b"] * 6})
    assert list(ks.open(table, label="kind").counts()) == [6, 6]


def test_a_dataset_is_a_sequence_of_samples():
    data = ks.open(grey())
    assert [sample.label for sample in data] == [data[i].label for i in range(len(data))] == ["0", "1"] * 6
    assert data[-1] == data.samples[-1]


def test_what_takes_a_dataset_takes_a_source(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    data, images = ks.open(grey(60)), grey(60)
    assert ks.audit(images, probes=False) == ks.audit(data, probes=False)
    assert ks.split(images) == ks.split(data)
    assert ks.image_spec(images) == ks.image_spec(data)
    assert ks.prepare(images).spec == ks.prepare(data).spec
    assert ks.show.samples(images, n=4).get_axes() and ks.show.class_balance(images).get_axes()


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        (ks.predict, "paths", "images"),
        (ks.explain, "label", "class_name"),
        (ks.enrol, "label", "class_name"),
        (ks.operating_point, "label", "class_name"),
        (ks.adopt, "labels", "class_names"),
        (ks.from_arrays, "names", "class_names"),
        (ks.audit, "data", "source"),
        (ks.split, "data", "source"),
        (ks.prepare, "data", "source"),
        (ks.image_spec, "data", "source"),
    ],
)
def test_former_keywords_go_on_working(function, old, new):
    assert new in inspect.signature(function).parameters
    message = rf"\({old}=\.\.\.\) is now {function.__name__}\({new}="
    refusal = pytest.raises((ks.KeensightError, TypeError))
    with pytest.warns(DeprecationWarning, match=message), refusal as refused:
        function(**{old: None})
    assert old not in str(refused.value)


def test_history_has_what_that_of_keras_has():
    from keensight.core.records import Epoch

    epochs = tuple(Epoch(n, "train", 1, 0.1, 0.01, 0.5 / n, 0.8, 0.6 / n, 0.7) for n in (1, 2))
    history = ks.History(epochs, 2)
    assert history.epoch == [0, 1]
    assert history.history == {
        "loss": [0.5, 0.25], "accuracy": [0.8, 0.8], "val_loss": [0.6, 0.3], "val_accuracy": [0.7, 0.7]
    }  # fmt: skip
    several = ks.History(tuple(dataclasses.replace(one, val_map=0.9) for one in epochs), 2)
    assert several.history["val_map"] == [0.9, 0.9]
