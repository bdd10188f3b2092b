"""Every public name has an example in its docstring, and the examples say the truth."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keensight as ks

PUBLIC = {
    **{f"ks.{name}": getattr(ks, name) for name in ks.__all__ if name not in ("__version__", "errors", "show")},
    **{f"ks.show.{name}": getattr(ks.show, name) for name in ks.show.__all__},
}
_TRAINS = re.compile(r"ks\.(train|train_seeds|fit|build|batches|adopt|learning_curve|check_labels|framework|audit)\(")
_TRAINED = {"run", "model", "detector", "tagger", "study"}


def examples_of(thing: Any) -> list[doctest.Example]:
    return doctest.DocTestParser().get_examples(inspect.getdoc(thing) or "")


def names_in(examples: list[doctest.Example]) -> set[str]:
    """The names that examples use, and `first` or `second` where they open that run."""
    text = "".join(example.source for example in examples)
    found = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    return found | set(re.findall(r"runs/(first|second)", text)) | ({"first", "second"} if '"runs/"' in text else set())


def is_slow(thing: Any) -> bool:
    examples = examples_of(thing)
    text = "".join(example.source for example in examples)
    return bool(names_in(examples) & (_TRAINED | {"first", "second"}) or _TRAINS.search(text) or "Classifier(" in text)


class World:
    """What the examples speak of: small generated image sets, and models that are trained when first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: dict[str, Any] = {}
        rng = np.random.default_rng(0)
        for place in range(120):
            kind, number = ("day", "night")[place % 2], place // 2
            low = 140 if kind == "day" else 0
            self._write(f"photos/{kind}/{number:03d}.bmp", rng.integers(low, low + 100, (16, 16, 3)))
        kinds = [("day", "night")[place % 2] for place in range(120)]
        lines = [f"photos/{kind}/{place // 2:03d}.bmp,{kind},c{place // 40}" for place, kind in enumerate(kinds)]
        (folder / "photos.csv").write_text("\n".join(["file,kind,camera", *lines]), encoding="utf-8")
        for place in range(80):
            image = np.full((64, 64, 3), 128) + rng.integers(-9, 9, (64, 64, 3))
            if place >= 60:
                image[20:44, 20:44] = rng.integers(0, 255, (24, 24, 3))
            self._write(f"parts/{'good' if place < 60 else 'broken'}/{place % 60:02d}.bmp", image)
        rows = ["file,red,blue"]
        for place in range(120):
            red, blue = place % 2, place // 2 % 2
            self._write(
                f"tagged/{place:03d}.bmp", rng.integers(0, 60, (16, 16, 3)) + np.array([180 * red, 0, 180 * blue])
            )
            rows.append(f"tagged/{place:03d}.bmp,{red},{blue}")
        (folder / "tagged.csv").write_text("\n".join(rows), encoding="utf-8")

    def _write(self, name: str, image: np.ndarray) -> None:
        from PIL import Image

        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.astype(np.uint8)).save(path)

    def _train(self, source: str, name: str, **options: Any) -> Any:
        return ks.train(self.folder / source, run=self.folder / "runs" / name, seed=0, label_check="no", **options)

    def _tune(self) -> Any:
        return ks.tune(
            self.folder / "photos", 2, study=self.folder / "studies" / "first", space={"model.dropout": [0.1, 0.3]},
            model="cnn", effort="quick", epochs=1, image_size=16, label_check="no",
        )  # fmt: skip

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            makers: dict[str, Callable[[], Any]] = {
                "data": lambda: ks.open(self.folder / "photos"),
                "split": lambda: ks.split(self["data"]),
                "pixels": lambda: ks.prepare(self["data"], ks.image_spec(self["data"], 16)),
                "first": lambda: self._train("photos", "first", model="cnn", effort="quick", epochs=4, image_size=16),
                "second": lambda: self._train("photos", "second", model="cnn", effort="quick", epochs=1, image_size=16),
                "run": lambda: self["first"],
                "model": lambda: ks.load(self["first"]),
                "detector": lambda: self._train("parts", "detector", task="anomaly", normal="good"),
                "tagger": lambda: self._train("tagged.csv", "tagger", model="cnn", effort="quick", epochs=2),
                "study": self._tune,
            }
            self._made[name] = makers[name]()
        return self._made[name]


NAMES = {"data", "split", "pixels", "first", "second", "run", "model", "detector", "tagger", "study"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("examples"))


@pytest.fixture
def here(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory for one example, with the image sets."""
    for name in ("photos", "photos.csv", "parts", "tagged", "tagged.csv"):
        (tmp_path / name).symlink_to(world.folder / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_an_example(name):
    assert examples_of(PUBLIC[name]), f"the docstring of {name} has no example"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if is_slow(PUBLIC[name]) else []) for name in PUBLIC]
)
def test_examples_say_the_truth(name, world, here):
    examples = examples_of(PUBLIC[name])
    wanted = names_in(examples) & NAMES
    names = {"ks": ks, "np": np, **{one: world[one] for one in wanted}}
    for one in wanted & {"first", "second"}:
        (here / "runs").mkdir(exist_ok=True)
        (here / "runs" / one).symlink_to(world.folder / "runs" / one)
    told: list[str] = []
    test = doctest.DocTest(examples, names, name, None, None, None)
    failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False).run(test, out=told.append)
    assert not failed, "".join(told)


def test_examples_use_public_names_only():
    for name, thing in PUBLIC.items():
        for example in examples_of(thing):
            assert not re.search(r"(from|import) keensight", example.source), name
