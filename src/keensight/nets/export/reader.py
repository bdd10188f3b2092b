"""The Python files written beside an export: they predict with its runtime, NumPy and Pillow, without Keensight."""

from __future__ import annotations

from pathlib import Path
from string import Template

from keensight.core.export_formats import ExportFormat
from keensight.core.exports import DECODER, READER
from keensight.core.task import Task

_HERE = Path(__file__).with_name("templates")
_RUN = {"litert-fp16": "litert", "litert-int8": "litert"}
"""Formats whose network is run as that of another one."""
_IMPORT = {
    "keras": "import keras",
    "savedmodel": "import tensorflow",
    "onnx": "import onnxruntime",
    "openvino": "import openvino",
    "litert": "from ai_edge_litert.interpreter import Interpreter",
}


def reader_files(kind: ExportFormat, task: Task) -> dict[str, str]:
    """File name to text: the reader of a format, and the decoder that it uses."""
    run = _RUN.get(kind.name, kind.name)
    decide = _text(f"decide/{task.value}")
    if task != Task.ANOMALY:
        decide = _text("decide/unlike") + decide
    imports = sorted(["import numpy as np", _IMPORT[run]], key=lambda line: line.split()[1])
    text = Template(_text("reader")).substitute(
        packages=", ".join([*kind.runtime.split(), "numpy", "pillow"]),
        imports="\n".join(imports),
        run=_text(f"run/{run}").rstrip(),
        decide=decide.rstrip(),
    )
    return {READER: text, DECODER: _text("pixels")}


def _text(name: str) -> str:
    return (_HERE / f"{name}.txt").read_text(encoding="utf-8")
