"""Every key of every JSON record of a run and a bundle, with a value of every other type: refused in one sentence."""

import copy
import dataclasses
import json
import shutil
import types
import typing
from collections.abc import Mapping
from pathlib import Path

import pytest

from keensight.errors import StoreError
from keensight.store.manifest import read_manifest
from keensight.store.model_card import model_card
from keensight.store.run import open_run

GOLDEN = Path(__file__).parents[1] / "golden"
RUN, BUNDLE = GOLDEN / "run4", GOLDEN / "schema5"
VALUES = (None, True, 3, -0.5, "text", [], ["a", None], {"a": 1})
READERS = {
    "run.json": lambda run: repr(run) and run.record,
    "audit.json": lambda run: run.audit,
    "labels.json": lambda run: run.label_suspects,
    "history.json": lambda run: run.history,
    "history.jsonl": lambda run: run.history,
    "split.json": lambda run: run.split,
    "evaluation/evaluation.json": lambda run: run.evaluation,
    "evaluation/slices.json": lambda run: run.slices,
}


def places(plain, path=()):
    """The way to every value within, the outermost first."""
    yield path
    inner = plain.items() if isinstance(plain, dict) else enumerate(plain[:1]) if isinstance(plain, list) else ()
    for key, value in inner:
        yield from places(value, (*path, key))


def changed(plain, path, value):
    if not path:
        return value
    made = copy.deepcopy(plain)
    at = made
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return made


def without(plain, path):
    made = copy.deepcopy(plain)
    at = made
    for key in path[:-1]:
        at = at[key]
    del at[path[-1]]
    return made


def forgeries(plain):
    for path in places(plain):
        for value in VALUES:
            yield path, changed(plain, path, value)
        if path:
            yield path, without(plain, path)


def fits(value, kind):
    """Whether a value, and all within it, is of the type that its record says; written apart from the reader."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is typing.Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if origin is typing.Literal:
        return value in inner
    if origin is tuple:
        kinds = (inner[0],) * len(value) if inner[-1] is Ellipsis else inner
        return len(kinds) == len(value) and all(map(fits, value, kinds))
    if origin is Mapping:
        return all(isinstance(name, str) and fits(item, inner[1]) for name, item in value.items())
    if dataclasses.is_dataclass(kind) and isinstance(value, kind):
        hints = typing.get_type_hints(kind)
        return all(fits(getattr(value, one.name), hints[one.name]) for one in dataclasses.fields(kind) if one.compare)
    return type(value) is kind


def read_or_refuse(read, file, path):
    """Whether it was refused: in one sentence that names the file, and where not, with every type as it should be."""
    try:
        found = read()
        assert fits(found, type(found)), path
    except StoreError as error:
        assert str(file) in error.message, (path, error.message)
        assert len(error.message.splitlines()) == 1
        return True
    return False


@pytest.mark.slow  # takes seconds: every key of every record
@pytest.mark.parametrize("name", READERS)
def test_no_value_of_another_type_gets_past_a_runs_records(tmp_path, name):
    folder = Path(shutil.copytree(RUN, tmp_path / "run"))
    file = folder / name
    plain = json.loads(file.read_text(encoding="utf-8"))
    refused = 0
    for path, forged in forgeries(plain):
        file.write_text(json.dumps(forged) + "\n", encoding="utf-8")
        refused += read_or_refuse(lambda: READERS[name](open_run(folder)), file, path)
    assert refused > len(VALUES)
    file.write_text(json.dumps(plain) + "\n", encoding="utf-8")
    READERS[name](open_run(folder))


def test_no_value_of_another_type_gets_past_a_bundles_manifest(tmp_path):
    file = tmp_path / "manifest.json"
    plain = json.loads((BUNDLE / "manifest.json").read_text(encoding="utf-8"))

    def read():
        manifest = read_manifest(file)
        assert model_card(manifest, refuses=True)
        return manifest

    refused = 0
    for path, forged in forgeries(plain):
        file.write_text(json.dumps(forged), encoding="utf-8")
        refused += read_or_refuse(read, file, path)
    assert refused > 100


@pytest.mark.parametrize(
    ("name", "path", "value", "sentence"),
    [
        ("run.json", ("seed",), "3", "the key 'seed' is the text '3', but a whole number was expected"),
        ("run.json", ("seed",), True, "the key 'seed' is true, but a whole number was expected"),
        ("run.json", ("state",), "done", "the key 'state' is the text 'done', but one of created, training, finished"),
        ("run.json", ("process", "id"), None, "the key 'process.id' is null, but a whole number was expected"),
        ("run.json", ("results", "test", "n"), "2", "the key 'results.test.n' is the text '2', but a whole number"),
        ("audit.json", ("findings", 0, "count"), [], "the key 'findings[0].count' is a list, but a whole number"),
        ("audit.json", ("width_range",), [1, 2], "the key 'width_range' is a list of 2, but a list of 3 was expected"),
        ("history.jsonl", ("loss",), {}, "line 1: the key 'loss' is an object, but a number was expected"),
    ],
)
def test_the_sentence_names_file_key_what_is_there_and_what_was_expected(tmp_path, name, path, value, sentence):
    folder = Path(shutil.copytree(RUN, tmp_path / "run"))
    file = folder / name
    file.write_text(json.dumps(changed(json.loads(file.read_text(encoding="utf-8")), path, value)) + "\n", "utf-8")
    with pytest.raises(StoreError) as refused:
        READERS[name](open_run(folder))
    assert str(file) in refused.value.message
    assert sentence in refused.value.message
