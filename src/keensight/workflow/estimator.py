"""An image classifier with scikit-learn's interface, for its cross-validation, grid search and pipelines.

The only module that imports scikit-learn when it is imported, because the class derives from scikit-learn's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_is_fitted, column_or_1d

from keensight.core.codec import from_plain, to_plain
from keensight.core.config import RunConfig
from keensight.core.files import temporary_folder, write_bytes
from keensight.core.predictions import Decision
from keensight.core.progress import Progress, Silent
from keensight.core.records import Dataset, ImageSpec, LabelSet, Split
from keensight.errors import DataError
from keensight.workflow.calibrate import check as check_decision
from keensight.workflow.choose_model import choose_model, likely_model
from keensight.workflow.features import features_of
from keensight.workflow.finish import choose, with_held_out
from keensight.workflow.measure import EvaluationSet
from keensight.workflow.prepare import input_spec, prepare_data
from keensight.workflow.progress import shown
from keensight.workflow.steps import configure, prepare
from keensight.workflow.train import resolve, train_network

if TYPE_CHECKING:
    from keensight.data.cache import CacheMode
    from keensight.nets.classifier import Classifier

_LISTED = 5


class ImageClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An image classifier trained as by :func:`keensight.train`, on all given images. 15% of them are the validation
    set, the others the training set; there is no test set, which is up to the caller (such as ``cross_val_score``).
    Multi-label sets and sample weights are not supported.

    Images (``X``) are a uint8 array (n, height, width[, 1 or 3]), or a sequence of paths, encoded bytes or uint8
    arrays (height, width[, 3]) of any sizes, or what else :func:`keensight.predict` takes several of. A fitted
    estimator can be pickled: the pickle holds the network as the bytes of a ``.keras`` file, which is opened in Keras'
    safe mode (pickle itself runs code: open only your own).

    Args:
        model: Architecture; ``auto`` chooses.
        effort: ``quick``, ``standard`` or ``best``.
        epochs: Passes over the training images; None: from effort and number of images.
        image_size: Side of the network's input in pixels; None: from images and network.
        settings: Further settings, such as ``{"augment.flip": "none"}``.
        random_state: Start of every random draw; the same number gives the same classifier.
        verbose: Show what is being done.

    Attributes:
        classes_: The classes, sorted, (k,), as ``y`` had them.
        classifier_: The :class:`keensight.Classifier`; its ``keras_model`` is the network.

    Examples:
        >>> images, labels = np.zeros((60, 16, 16), np.uint8), np.arange(60) % 2
        >>> images[labels == 1] = 200
        >>> images += np.random.default_rng(0).integers(0, 50, images.shape, np.uint8)
        >>> estimator = ks.ImageClassifier(model="cnn", epochs=2).fit(images, labels)
        >>> estimator.predict(images[:2]).shape, estimator.classes_
        ((2,), array([0, 1]))
    """

    def __init__(  # noqa: PLR0913 - public options, by keyword
        self,
        model: str = "auto",
        effort: str = "quick",
        *,
        epochs: int | None = None,
        image_size: int | None = None,
        settings: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = 0,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.effort = effort
        self.epochs = epochs
        self.image_size = image_size
        self.settings = settings
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: ArrayLike, groups: ArrayLike | None = None) -> Self:  # noqa: N803 - scikit-learn's name
        """Train.

        Args:
            X: Images, see the class.
            y: The class of each, numbers or names, shape (n,).
            groups: Group of each image (one patient, one product), shape (n,): groups are kept in the same split; None:
                only exact copies are.

        Raises:
            DataError: images cannot be read, or a class has fewer than three.
            UsageError: a parameter does not fit.
            ValueError: ``y`` holds no class numbers or names, values that are not finite, or one class only.
        """
        targets = column_or_1d(y, warn=True)
        assert_all_finite(targets, input_name="y")
        check_classification_targets(targets)
        self.classes_, numbers = np.unique(targets, return_inverse=True)
        if len(self.classes_) < 2:  # scikit-learn's tools expect this exception
            raise ValueError(f"y holds {len(self.classes_)} class: a classifier needs two")
        dataset = _dataset(X, numbers, [str(name) for name in self.classes_], groups)
        config = configure(
            settings=self.settings, model=self.model, effort=self.effort, epochs=self.epochs,
            image_size=self.image_size, seed=self._seed(),
        )  # fmt: skip
        self.classifier_ = _trained(dataset, config, self._progress())
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Probabilities, float64 (n, k), in the order of ``classes_``; calibrated on the validation set.

        Raises:
            DataError: an image cannot be read.
            NotFittedError: ``fit`` has not been called.
        """
        check_is_fitted(self)
        found = self.classifier_.predict(_items(X), progress=self._progress())
        _refuse_unreadable(found.errors)
        probabilities = found.probabilities.astype(np.float64)
        return np.asarray(probabilities / probabilities.sum(axis=1, keepdims=True))

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The most probable class of each image, shape (n,); raises as :meth:`predict_proba`."""
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def _seed(self) -> int:
        if isinstance(self.random_state, (int, np.integer)):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _progress(self) -> Progress:
        return shown(None) if self.verbose else Silent()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "classifier_" in state:
            state["_packed"] = _packed(state.pop("classifier_"))
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        plain = dict(state)
        packed = plain.pop("_packed", None)
        super().__setstate__(plain)
        if packed is not None:
            self.classifier_ = _unpacked(packed)


def _trained(dataset: Dataset, config: RunConfig, progress: Progress) -> Classifier:
    """The steps from images to a classifier, without a run and without a test set."""
    from keensight.data.audit.duplicates import ties
    from keensight.data.cache import cache_directory
    from keensight.nets.runtime import use_threads

    check_decision(config.decision, dataset.task)
    _refuse_unreadable({sample.path: sample.error for sample in dataset.samples if sample.error is not None})
    likely = likely_model(dataset, config)
    prepared = prepare_data(dataset, input_spec(dataset, config, likely), config, progress)
    _refuse_unreadable({dataset.samples[row].path: reason for row, reason in prepared.pixels.errors.items()})
    dealt = prepared.split
    split = Split(tuple(sorted((*dealt.train, *dealt.test))), dealt.val, (), dealt.method)
    choice = choose_model(dataset, split, config, progress)
    config = config.with_values({"model.name": choice.name})
    pixels = prepared.pixels
    if choice.name != likely:
        spec, cache = input_spec(dataset, config, choice.name), cast("CacheMode", config.data.cache)
        pixels = prepare(dataset, spec, cache=cache, progress=progress)
    use_threads(config.train.threads, cache_directory() / "threads.json")
    config, _, _ = resolve(config, dataset, split, pixels)
    classifier, done = train_network(dataset, split, pixels, config, progress)
    if done.history.stopped == "interrupted":
        raise KeyboardInterrupt
    with features_of(dataset, split, pixels, progress, trained=done.history.tuned) as features:
        known = None if done.history.tuned else features
        rows, tied = split.part("val"), ties(prepared.findings, dataset)
        images = EvaluationSet(dataset, rows, pixels, dataset.truth(), "val", tied)
        images = images if done.held_out is None else with_held_out(images, done.held_out)
        return choose(classifier, images, config, progress, known)


def _dataset(images: Any, numbers: NDArray[Any], names: Sequence[str], groups: ArrayLike | None) -> Dataset:
    from keensight.data.sources.arrays import from_arrays, from_items

    if isinstance(images, np.ndarray) and images.dtype.kind not in "OSU":
        _refuse_unpredictable(images)
        dataset = from_arrays(images, numbers, class_names=names, name="images")
    else:
        dataset = from_items(_items(images), [names[number] for number in numbers], classes=names)
    if groups is None:
        return dataset
    given = column_or_1d(groups)
    if len(given) != len(dataset):
        raise DataError(f"there are {len(dataset)} images but {len(given)} groups", "give one group per image")
    samples = tuple(dataclasses.replace(s, group=str(group)) for s, group in zip(dataset.samples, given, strict=True))
    return dataclasses.replace(dataset, samples=samples)


def _refuse_unpredictable(images: NDArray[Any]) -> None:
    """Refuse what `from_arrays` would convert: `predict` takes pixels as they are, so training must too."""
    if images.dtype != np.uint8 or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        raise DataError(
            f"X is {images.dtype} {images.shape}, but uint8 from 0 to 255 of shape (n, height, width[, 3]) is needed",
            "convert it in the same way for fit and predict, such as (255 * X).round().astype('uint8')",
        )


def _items(images: Any) -> list[str | Path | bytes | NDArray[np.uint8]]:
    """Split a user's input into single images, one per element."""
    from PIL import Image

    from keensight.core.sources import Unread, read_source
    from keensight.data.sources.prediction_inputs import listed

    if isinstance(images, (str, bytes, Path)) or not hasattr(images, "__len__"):
        raise DataError("X is not a sequence of images", "give a list, or an array (n, height, width[, 3])")
    if isinstance(images, np.ndarray) and images.dtype.kind not in "OSU" and images.ndim < 3:
        raise DataError(f"X has shape {images.shape}", "give images (n, height, width) or (n, height, width, 3)")
    found = listed(images)
    if len(found) != len(images):
        what = f"of shape {images.shape}" if hasattr(images, "shape") else f"of {len(images)} elements"
        raise DataError(f"X {what} holds {len(found)} images, but one per element is needed", "of one image, give [X]")
    return [read_source(one) if isinstance(one, (Image.Image, Unread)) else one for one in found]


def _refuse_unreadable(errors: Mapping[str, str]) -> None:
    if errors:
        listed = "; ".join(f"{path}: {reason}" for path, reason in list(errors.items())[:_LISTED])
        raise DataError(f"{len(errors)} images cannot be read: {listed}", "remove them")


def _packed(classifier: Classifier) -> dict[str, Any]:
    """Convert a classifier to plain values, with its network as the bytes of a ``.keras`` file."""
    with temporary_folder() as folder:
        path = folder / "model.keras"
        classifier.keras_model.save(path)
        return {
            "model": path.read_bytes(), "labels": classifier.labels.names, "spec": to_plain(classifier.spec),
            "temperature": classifier.temperature, "mirror": classifier.mirror,
            "decision": to_plain(classifier.decision),
        }  # fmt: skip


def _unpacked(packed: Mapping[str, Any]) -> Classifier:
    from keensight.nets.classifier import Classifier
    from keensight.store.safety import check_model

    with temporary_folder() as folder:
        path = folder / "model.keras"
        write_bytes(path, packed["model"])
        check_model(path)
        return Classifier.open(
            path,
            LabelSet(tuple(packed["labels"])),
            from_plain(ImageSpec, packed["spec"]),
            temperature=packed["temperature"],
            mirror=packed["mirror"],
            decision=None if packed["decision"] is None else from_plain(Decision, packed["decision"]),
        )
