"""The examples of docs/export.md run as they are, and what they export predicts as the bundle does."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import keensight as ks

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "export.md"


def test_every_example_runs_and_exports_predict_as_the_bundle_does(tmp_path, monkeypatch):
    from ai_edge_litert.interpreter import Interpreter

    monkeypatch.chdir(tmp_path)
    ks.train("digits", model="cnn", epochs=1, run="runs/first")
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's converter warns of its own successor
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), names)
    pixels, expected = names["pixels"], names["expected"]
    loaded = names["tf"].saved_model.load("saved_model")
    assert np.abs(loaded.serve(pixels).numpy() - expected).max() < 1e-6
    interpreter = Interpreter("model.tflite")
    given, answer = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    interpreter.resize_tensor_input(given, pixels.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given, pixels)
    interpreter.invoke()
    assert np.abs(interpreter.get_tensor(answer) - expected).max() < 1e-5
    mirrored = names["model"].changed(mirror=True)
    assert np.abs(names["probabilities_of"](mirrored)(pixels) - mirrored.predict(pixels).probabilities).max() < 1e-6
