"""The examples of docs/integrations.md run as they stand, from top to bottom."""

import re
from pathlib import Path

import numpy as np
import pytest

import keensight as ks

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "integrations.md"


def test_every_example_runs_and_the_adopted_model_is_as_good_as_keras_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)
    parts, data = names["parts"], names["data"]
    rows = parts.part("test")
    _, accuracy = names["model"].evaluate(names["pixels"].take(rows) / 255.0, data.targets()[rows], verbose=0)
    figures = names["run"].record.results["test"]
    assert abs(figures["accuracy"] - accuracy) < 1e-6
    assert accuracy > 0.8
    assert "random_translation" not in capsys.readouterr().out
    assert names["logits"].shape == (4, 10)
    assert np.array_equal(names["held"].targets(), names["y"])
    assert (tmp_path / "runs" / "mine" / "report.html").is_file()
    assert ks.load(tmp_path / "runs" / "mine").labels == data.labels
