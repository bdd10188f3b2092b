"""Opening a bundle as what predicts: on LiteRT, without TensorFlow, or on Keras."""

from __future__ import annotations

import time
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from keensight.core.predictions import Decision
from keensight.core.task import Task
from keensight.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from keensight.core.progress import Progress
    from keensight.nets.classifier import Classifier
    from keensight.nets.detector import Detector
    from keensight.nets.light import LightNetwork
    from keensight.nets.network import Deferred, Engine
    from keensight.store.bundle import Bundle


def opened(bundle: Bundle, engine: Engine = "auto", threads: int | None = None) -> Classifier | Detector:
    """A checked bundle as what predicts; for the arguments see :func:`classifier_of`."""
    return (detector_of if bundle.manifest.task == Task.ANOMALY else classifier_of)(bundle, engine, threads)


def engines_of(bundle: Bundle) -> tuple[Engine, ...]:
    """What a bundle can run on with the packages that are installed."""
    found: list[Engine] = ["keras"] if find_spec("tensorflow") else []
    return (*found, *(("litert",) if bundle.has_light else ()))


_MANY = 2_000
"""Images from which it pays to start TensorFlow on a GPU, which takes as long as some 1,000 of them on one CPU."""
_TIMED = 4
"""Batches of a timed step."""


def suited(bundle: Bundle, engine: Engine, images: int, progress: Progress) -> Engine:
    """What to open a bundle on for so many images: in place of ``auto`` a GPU's Keras, where a timed step is faster.

    Args:
        bundle: A checked bundle.
        engine: As for :func:`classifier_of`; other than ``auto`` it is returned as it is.
        images: Number of images.
        progress: Where to report what was measured.
    """
    if engine != "auto" or images < _MANY or len(engines_of(bundle)) < 2:
        return engine
    from keensight.data.cache import cache_directory
    from keensight.nets import gpu, runtime

    if not (gpu.has_driver() and runtime.sees_gpu(runtime.devices())):  # TensorFlow takes seconds to start
        return engine
    manifest = bundle.manifest
    rates = runtime.remembered(
        cache_directory() / "engines.json",
        f"{gpu.gpu_name()}, predicting, {manifest.model} at {manifest.image.width}x{manifest.image.height} px",
        ["litert", "keras"],
        lambda name: _rate(opened(bundle, "keras" if name == "keras" else "litert")),
    )
    progress.say(f"images per second on this machine: {rates['keras']:,.0f} on a GPU, {rates['litert']:,.0f} on LiteRT")
    return "keras" if rates["keras"] > rates["litert"] else "litert"


def _rate(model: Classifier | Detector) -> float:
    """Images per second that a model predicts, decoding left out."""
    from keensight.nets.detector import Detector
    from keensight.nets.inputs import evaluation_batch

    run = model.predict_levels if isinstance(model, Detector) else model.predict_array
    shape = (_TIMED * evaluation_batch(model.spec.shape), *model.spec.shape)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    run(images)  # compiled, and memory taken
    started = time.perf_counter()
    run(images)
    return len(images) / (time.perf_counter() - started)


def classifier_of(bundle: Bundle, engine: Engine = "auto", threads: int | None = None) -> Classifier:
    """Load the classifier of an open bundle.

    Args:
        bundle: A checked bundle.
        engine: ``litert`` runs the bundle's light form, ``keras`` its Keras model; ``auto``: the light form if there is
            one.
        threads: Threads that decode images and run the light form; None: one for each CPU.

    Raises:
        StoreError: it has no light form, or one of the files cannot be loaded.
    """
    from keensight.nets.classifier import Classifier

    manifest, several = bundle.manifest, bundle.manifest.task == Task.MULTILABEL
    model, light = _networks(bundle, engine, threads)
    return Classifier(
        model,
        manifest.labels,
        manifest.image,
        temperature=manifest.temperature,
        prototypes=bundle.prototypes(),
        mirror=bool(manifest.decision.get("mirror", False)),
        thresholds=tuple(manifest.decision["thresholds"]) if several else None,
        decision=None if several else Decision.from_manifest(manifest.decision),
        subspace=bundle.subspace(),
        light=light,
    )


def detector_of(bundle: Bundle, engine: Engine = "auto", threads: int | None = None) -> Detector:
    """Load the anomaly detector of an open bundle; for the arguments see :func:`classifier_of`."""
    from keensight.nets.detector import Detector
    from keensight.store.bundle import limits_of

    model, light = _networks(bundle, engine, threads)
    return Detector(model, bundle.manifest.image, limits_of(bundle.manifest), light=light)


def _networks(bundle: Bundle, engine: Engine, threads: int | None) -> tuple[Deferred, LightNetwork | None]:
    from keensight.nets.light import LightNetwork
    from keensight.nets.network import Deferred

    flatbuffer = None if engine == "keras" else bundle.light()
    if engine == "litert" and flatbuffer is None:
        raise StoreError(f"{bundle.path} has no light form", "add it: keensight export MODEL --to bundle")
    light = None if flatbuffer is None else LightNetwork(flatbuffer, threads)
    return Deferred(partial(_open_model, bundle.model_path)), light


def _open_model(path: Path) -> keras.Model:
    from keensight.nets.models.weights import open_model

    return open_model(path)
