"""What happens to a training when memory, images or its own folder go while it runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import keensight as ks
from keensight.errors import DataError, StoreError, TrainingError

pytestmark = pytest.mark.slow
OPTIONS: dict[str, Any] = {
    "model": "cnn", "width": 4, "epochs": 2, "image_size": 16, "batch_size": 16, "flip": "none",
    "precision": "float32",
}  # fmt: skip


@pytest.fixture
def images(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number, label in enumerate(("day", "night")):
        (tmp_path / "set" / label).mkdir(parents=True)
        for i in range(24):
            image = rng.integers(0, 120, (16, 16, 3)) + 110 * number
            Image.fromarray(image.astype(np.uint8)).save(tmp_path / "set" / label / f"{i}.png")
    return tmp_path / "set"


@pytest.fixture
def when_training_begins(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Do something between the audit and the training."""
    from keensight.workflow.steps import build

    def arrange(work: Callable[[], object]) -> None:
        def built(*given: Any, **options: Any) -> Any:
            work()
            return build(*given, **options)

        monkeypatch.setattr(import_module("keensight.workflow.train"), "build", built)

    return arrange


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough memory for four images in a training step."""
    from keensight.nets.training import batches

    original = batches.image_weights

    def needing(targets: Any, weights: Any) -> Any:
        if len(targets) > 4:
            raise MemoryError
        return original(targets, weights)

    monkeypatch.setattr(batches, "image_weights", needing)


@pytest.mark.usefixtures("little_memory")
def test_out_of_memory_names_the_batch_size_and_what_to_try(images: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="out of memory in training with a batch size of 16") as caught:
        ks.train(images, run=tmp_path / "run", **OPTIONS)
    assert "train.batch_size=8" in (caught.value.hint or "")
    assert ks.open_run(tmp_path / "run").state == "failed"


@pytest.mark.usefixtures("little_memory")
def test_the_batch_size_is_halved_on_request_and_recorded(images: Path, tmp_path: Path) -> None:
    run = ks.train(images, run=tmp_path / "run", halve_batch=True, **OPTIONS)
    assert run.state == "finished"
    assert "batch_size = 4" in run.config_path.read_text()
    assert run.decisions is not None
    assert run.decisions.settings["train.batch_size"] == 4
    assert len(run.history.epochs) == 2
    fewer = ks.train(images, run=tmp_path / "fewer", **OPTIONS | {"batch_size": 4})
    assert np.array_equal(run.predictions.probabilities, fewer.predictions.probabilities)


@pytest.mark.parametrize(("change", "words"), [("deleted", "missing"), ("changed", "has changed")])
def test_an_image_that_goes_before_training_is_named(
    images: Path, tmp_path: Path, when_training_begins: Any, change: str, words: str
) -> None:
    def spoil() -> None:
        for path in images.rglob("*.png"):
            path.unlink() if change == "deleted" else Image.new("RGB", (16, 16)).save(path)

    when_training_begins(spoil)
    with pytest.raises(DataError, match=rf"(day|night)/\d+\.png: .*{words}"):
        ks.train(images, run=tmp_path / "run", cache="never", **OPTIONS)
    assert ks.open_run(tmp_path / "run").state == "failed"


def test_images_that_are_cached_may_go_while_it_trains(images: Path, tmp_path: Path, when_training_begins: Any) -> None:
    when_training_begins(lambda: shutil.rmtree(images))
    run = ks.train(images, run=tmp_path / "run", **OPTIONS)
    assert run.state == "finished"
    assert ks.predict(run, [np.zeros((16, 16, 3), np.uint8)]).labels.names == ("day", "night")


def test_a_run_that_is_removed_while_it_trains_is_named(
    images: Path, tmp_path: Path, when_training_begins: Any
) -> None:
    when_training_begins(lambda: shutil.rmtree(tmp_path / "run"))
    with pytest.raises(StoreError, match="run"):
        ks.train(images, run=tmp_path / "run", **OPTIONS)
    assert not (tmp_path / "run").exists()
