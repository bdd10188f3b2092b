"""The backbones of Keras Applications, flat in our graph; Keras downloads and caches their ImageNet weights."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import numpy as np

from keensight.errors import StoreError
from keensight.nets.models import convnext
from keensight.nets.models.backbones import Architecture, without_download
from keensight.nets.models.normalise import MEAN, STD
from keensight.nets.runtime import framework


def backbone(x: Any, architecture: Architecture, *, imagenet: bool) -> Any:
    """From normalized pixels to the last feature map, each layer part of the caller's graph.

    Args:
        x: Float Keras tensor (n, height, width, 3), normalized in the architecture's mode.
        architecture: A row of the table whose weights Keras keeps.
        imagenet: Load the ImageNet weights, downloaded at first use; else random initial weights.

    Raises:
        StoreError: the weights cannot be downloaded.
    """
    keras, _ = framework()
    make = getattr(keras.applications, str(architecture.application))
    with _downloading(architecture.name), warnings.catch_warnings():
        # MobileNet warns that its 224 px weights are used for other sizes, which is intended.
        warnings.filterwarnings("ignore", message=".*input_shape.*")
        if architecture.name == "convnext_tiny":
            mapped = convnext.backbone(x)
            if imagenet:
                convnext.fill(keras.Model(x, mapped), make(include_top=False))
            return mapped
        if architecture.name == "efficientnet_b0":
            return _efficientnet_b0(x, make, imagenet=imagenet)
        if imagenet and architecture.normalisation == "caffe":
            # Its weight file is matched by layer count, and our fixed convolution is an extra layer.
            return _copied(make(include_top=False, weights=None, input_tensor=x), make(include_top=False)).output
        return make(include_top=False, weights="imagenet" if imagenet else None, input_tensor=x).output


def _efficientnet_b0(x: Any, make: Any, *, imagenet: bool) -> Any:
    """EfficientNet-B0 on normalized pixels, the same graph with and without ImageNet weights, unlike Keras' own.

    Keras divides by 255, then by the root of a "variance" that holds deviations, and with ImageNet weights by that
    root again (tensorflow issue 49930): the mode ``torch``. Here its first layers are disabled.
    """
    keras, _ = framework()
    x = keras.layers.Rescaling(255.0, name="undo_rescaling")(x)
    model = make(include_top=False, weights=None, input_tensor=x)
    if imagenet:
        donor = make(include_top=False)
        _check_statistics(donor)
        _copied(model, donor)
    return model.output


def _check_statistics(donor: Any) -> None:
    keras, _ = framework()
    layer = next(layer for layer in donor.layers if isinstance(layer, keras.layers.Normalization))
    mean, variance = (np.ravel(value) for value in layer.get_weights()[:2])
    if not (np.allclose(mean, MEAN, atol=1e-3) and np.allclose(variance, STD, atol=1e-3)):
        raise StoreError(
            "Keras' weights of efficientnet_b0 have a different normalization than expected", "use efficientnet_v2_b0"
        )


def _copied(model: Any, donor: Any) -> Any:
    keras, _ = framework()
    for layer in donor.layers:
        if layer.weights and not isinstance(layer, keras.layers.Normalization):
            model.get_layer(layer.name).set_weights(layer.get_weights())
    return model


@contextmanager
def _downloading(name: str) -> Iterator[None]:
    """Progress goes to standard error, because standard output may be JSON; a failure becomes one sentence."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except Exception as error:
        # Keras raises a bare Exception for a failed download, and ValueError for a damaged file.
        if not (type(error) is Exception or isinstance(error, OSError) or "corrupted file" in str(error)):
            raise
        raise StoreError(
            f"the ImageNet weights of {name} cannot be downloaded: {_reason(error)}",
            f"these need no download: {', '.join(without_download())}; or train from scratch: --set model.weights=none",
        ) from error


def _reason(error: Exception) -> str:
    """Keras' message without the URL, in one line."""
    return " ".join(str(error).rpartition(" -- ")[2].split())[:200]
