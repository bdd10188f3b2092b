"""The formats that a model can be exported to."""

from __future__ import annotations

from dataclasses import dataclass

from keensight.core.parity import Precision
from keensight.core.registry import Registry


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """A format of exported networks."""

    name: str
    precision: Precision
    file: str
    """Name of the network in the folder of the export; ``saved_model`` is a folder."""
    runtime: str
    """Package that runs it (besides NumPy), as ``pip install`` knows it; the page of ``html`` needs none."""
    module: str
    """Its module."""
    writers: tuple[str, ...] = ()
    """Modules that are needed to write it and not installed with Keensight."""
    extra: str = ""
    """The extra of Keensight that installs them."""


FORMATS: Registry[ExportFormat] = Registry("export format")
for _one in (
    ExportFormat("keras", "float32", "model.keras", "keras tensorflow", "keras"),
    ExportFormat("savedmodel", "float32", "saved_model", "tensorflow", "tensorflow"),
    ExportFormat("onnx", "float32", "model.onnx", "onnxruntime", "onnxruntime", ("tf2onnx", "onnxruntime"), "onnx"),
    ExportFormat("litert", "float32", "model.tflite", "ai-edge-litert", "ai_edge_litert"),
    ExportFormat("litert-fp16", "float16", "model.tflite", "ai-edge-litert", "ai_edge_litert"),
    ExportFormat("litert-int8", "int8", "model.tflite", "ai-edge-litert", "ai_edge_litert"),
    ExportFormat("openvino", "float32", "model.xml", "openvino", "openvino", ("openvino",), "openvino"),
    ExportFormat("html", "float16", "classifier.html", "ai-edge-litert", "ai_edge_litert"),
):
    FORMATS[_one.name] = _one
