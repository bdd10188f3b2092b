"""The backbones of Keras Applications, flat in our graph; Keras downloads and keeps their ImageNet weights."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from keensight.errors import StoreError
from keensight.nets.backbones import Architecture, without_download
from keensight.nets.runtime import framework


def backbone(x: Any, architecture: Architecture, *, imagenet: bool) -> Any:
    """From normalised pixels to the last feature map, each layer part of the caller's graph.

    Args:
        x: Float Keras tensor (n, height, width, 3), normalised in the architecture's mode.
        architecture: A row of the table whose weights Keras keeps.
        imagenet: Load the ImageNet weights, downloaded at first use; else fresh ones.

    Raises:
        StoreError: the weights cannot be downloaded.
    """
    keras, _ = framework()
    assert architecture.application is not None
    make = getattr(keras.applications, architecture.application)
    with _downloading(architecture.name), warnings.catch_warnings():
        # MobileNet says that 224 px weights serve for other sides, which is what everybody wants.
        warnings.filterwarnings("ignore", message=".*input_shape.*")
        if imagenet and architecture.normalisation == "caffe":
            # Its weight file is read by counting layers, and our fixed convolution is one more.
            return _copied(make(include_top=False, weights=None, input_tensor=x), make(include_top=False)).output
        return make(include_top=False, weights="imagenet" if imagenet else None, input_tensor=x).output


def _copied(model: Any, donor: Any) -> Any:
    for layer in donor.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())
    return model


@contextmanager
def _downloading(name: str) -> Iterator[None]:
    """Progress goes to standard error, as standard output may carry JSON; a failure becomes one sentence."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except Exception as error:
        # Keras raises a bare Exception for a failed download, and ValueError for a damaged file.
        failed = type(error) is Exception or isinstance(error, OSError) or "corrupted file" in str(error)
        if not failed:
            raise
        raise StoreError(
            f"the ImageNet weights of {name} cannot be downloaded: {_short(error)}",
            f"these need no download: {', '.join(without_download())}; or start fresh: --set model.weights=none",
        ) from error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
