"""The single steps of the workflow, each from record to record."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

from keensight.core.changes import DatasetChanges, compare
from keensight.core.config import RETIRED, RunConfig
from keensight.core.config import settings as known_settings
from keensight.core.deprecation import renamed
from keensight.core.labels import Correction, read_corrections
from keensight.core.options import SourceOptions, with_options
from keensight.core.progress import Progress, Verbosity, tell, verbosity
from keensight.core.reading import reading_lines
from keensight.core.records import Dataset, ImageSpec
from keensight.core.registry import did_you_mean
from keensight.data.sources.assemble import OneClass
from keensight.data.sources.tfdata import Stream, Streams
from keensight.errors import DataError, UsageError
from keensight.workflow.progress import shown

if TYPE_CHECKING:
    import keras
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from keensight.core.decoded import Pixels
    from keensight.data.cache import CacheMode
    from keensight.data.sources.objects import Indexed
    from keensight.store.run import Run


Source: TypeAlias = (
    "str | Path | Dataset | Streams | pd.DataFrame | tuple[NDArray[Any], ArrayLike] | Indexed | Mapping[str, Indexed]"
)


def open(  # noqa: PLR0913 - public options, by keyword
    source: Source,
    *,
    label: str | None = None,
    path: str | None = None,
    group: str | None = None,
    group_regex: str | None = None,
    labels: str | Sequence[str] | None = None,
    label_regex: str | None = None,
    label_level: str | None = None,
    val: str | None = None,
    test: str | None = None,
    class_names: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Open a labeled image set; no image is decoded.

    Args:
        source: A folder per class; train/val/test folders of such; a table; an archive of these; arrays (``.npz``,
            ``.npy``, HDF5, IDX); Parquet with images, WebDataset, TFRecord; the name of a sample set; a pandas table; a
            pair of images and labels (see :func:`from_arrays`); a dataset that is already open, or one of Hugging Face
            or as in torchvision; a finite ``tf.data.Dataset`` of (image, label); or a mapping of train, val and test
            to such (:mod:`keensight.data.sources.objects`).
        label: Table column with the class.
        path: Table column with the image path.
        group: Table column whose equal values never straddle a split; ``dicom:PatientID``: the patient in the headers
            of DICOM images.
        group_regex: In its place, a pattern in the relative file path; its first group, else the whole match,
            names the image's group.
        labels: Table columns of 0 and 1, one a label, as a list or separated by commas: a multi-label set; default:
            found by content where no column has the name of a label.
        label_regex: In a folder, a regular expression searched in each relative path; its first capture group (or the
            whole match) is the class: ``([a-z]+)\\.\\d+\\.jpg`` reads ``cat`` from ``cat.0.jpg``.
        label_level: Which of nested folders is the class: ``top``, ``leaf``, or ``path`` (all: ``fruit/apple``).
        val: A second table, with the validation images; its columns are those of ``source``, and both are read alike.
        test: A second table, with the test images.
        class_names: Names of the classes in the order of their numbers, of arrays and of a ``tf.data.Dataset``.
        progress: Where to report.

    Raises:
        DataError: the source is missing, empty or not understood, or the pattern makes no groups of it.
        UsageError: the pattern is no regular expression, or both ways to group are given.

    Examples:
        >>> ks.open("photos/")
        <Dataset photos: 120 images, 2 classes>
        >>> ks.open("photos.csv", label="kind", group="camera")
        <Dataset photos.csv: 120 images, 2 classes>
        >>> ks.open((np.random.default_rng(0).integers(0, 255, (20, 8, 8), np.uint8), ["a", "b"] * 10))
        <Dataset arrays: 20 images, 2 classes>
    """
    from keensight.data.sources.groups import grouped
    from keensight.data.sources.patients import PATIENT, grouped_by_patient

    if group and group_regex:
        raise UsageError("groups are set twice, by a column and by a pattern", "use only one of group and group_regex")
    by_patient, group = group == PATIENT, None if group == PATIENT else group
    names = labels.split(",") if isinstance(labels, str) else labels or ()
    columns = [name.strip() for name in names if name.strip()]
    if isinstance(source, Dataset):
        dataset = source
    else:
        options: dict[str, Any] = {"label": label, "path": path, "group": group, "labels": columns}
        places: dict[str, Any] = {"label_regex": label_regex, "label_level": label_level}
        try:
            dataset = _read(source, class_names, shown(progress), options, places | {"val": val, "test": test})
        except OneClass as error:
            _tell(error.dataset, shown(progress))
            raise
        _tell(dataset, shown(progress))
    if by_patient:
        return grouped_by_patient(dataset)
    return grouped(dataset, group_regex) if group_regex else dataset


def _read(
    source: Source,
    class_names: Sequence[str] | None,
    progress: Progress,
    options: dict[str, Any],
    places: dict[str, Any],
) -> Dataset:
    from keensight.data.sources.containers.embedded import Wanted
    from keensight.data.sources.objects import open_object
    from keensight.data.sources.readers import open_source

    if isinstance(source, (str, os.PathLike)):
        return open_source(os.fspath(source), **options, **places, progress=progress)
    if any(places.values()):
        raise UsageError(
            "label_regex, label_level, val and test are for folders and tables on disk", "give the path of such"
        )
    if isinstance(source, (Stream, Mapping)):
        class_names = _names_of(class_names, options["labels"])
    return open_object(source, Wanted(**options), class_names, progress)


def _tell(dataset: Dataset, progress: Progress) -> None:
    """Say how a source was read; with ``--quiet`` only the warnings."""
    from keensight.show.progress import warn

    tell(dataset)
    line, *warned = reading_lines(dataset)
    if verbosity() is Verbosity.QUIET:
        for warning in warned:
            warn(warning)
    else:
        progress.say("\n".join([line, *warned]))


def _names_of(class_names: Sequence[str] | None, labels: Sequence[str]) -> Sequence[str]:
    """Class names of a stream, which ``labels`` gave formerly."""
    if labels:
        warnings.warn("open(stream, labels=...) is now open(stream, class_names=...)", DeprecationWarning, stacklevel=4)
    return class_names or labels


@renamed(data="source")
@with_options(SourceOptions)
def image_spec(  # noqa: PLR0913 - public options, by keyword
    source: Source,
    image_size: int | None = None,
    fit: str = "auto",
    *,
    model: str | None = None,
    effort: str = "standard",
    intensity: str = "auto",
    background: str = "auto",
    **options: Unpack[SourceOptions],
) -> ImageSpec:
    """Choose the model's input: a square of ``image_size``, or a frame that fits the images and the model.

    Args:
        source: The image set, or what :func:`open` takes.
        image_size: Side in pixels, or None to choose (see :func:`keensight.data.input_size.choose_spec`).
        fit: What to do with another aspect ratio (``auto``, ``stretch``, ``crop``, ``pad``).
        model: Name of the architecture; None: one trained from scratch.
        effort: ``quick``, ``standard`` or ``best``: how often a pretrained model will use each image.
        intensity: Scale of images of more than 8 bits: ``auto``, ``bits`` or two gray values such as ``"0,4095"`` (see
            :func:`keensight.data.intensity.with_intensity`).
        background: What transparent pixels become: ``auto``, ``white``, ``gray`` or ``black``.
        **options: How the source is read (see :func:`open`).

    Raises:
        DataError: no image could be read.
        UsageError: a value is not allowed.

    Examples:
        >>> ks.image_spec("photos/", 32)
        ImageSpec(height=32, width=32, fit='stretch', decoder=3, intensity=None, black=0.0, background='white')
    """
    from keensight.data.background import with_appearance
    from keensight.data.input_size import choose_spec
    from keensight.nets.models.backbones import tuning_side

    data = open(source, **options)
    spec = choose_spec(data, image_size, fit, pretrained=tuning_side(model, effort) if model else None)
    return with_appearance(spec, data, intensity, background)


@renamed(data="source")
@with_options(SourceOptions)
def prepare(
    source: Source,
    spec: ImageSpec | None = None,
    *,
    cache: CacheMode = "auto",
    progress: Progress | None = None,
    **options: Unpack[SourceOptions],
) -> Pixels:
    """Decode every image once, to uint8 (height, width, 3); later calls find them in the cache.

    Args:
        source: The image set, or what :func:`open` takes.
        spec: Size and fit; None: :func:`image_spec` chooses.
        cache: ``auto``, ``always`` or ``never`` (decode again at each use).
        progress: Where to report.
        **options: How the source is read (see :func:`open`).

    Returns:
        Pixels by dataset index; ``.errors`` names the unreadable ones.

    Examples:
        >>> pixels = ks.prepare("photos/", ks.ImageSpec(32, 32))
        >>> images = pixels.take(np.arange(4))
        >>> images.shape, images.dtype
        ((4, 32, 32, 3), dtype('uint8'))
    """
    from keensight.data.cache import prepare as decode

    data = open(source, progress=progress, **options)
    return decode(data, spec or image_spec(data), mode=cache, progress=shown(progress))


def build(
    data: Source | int,
    spec: ImageSpec,
    model: str = "cnn",
    *,
    width: int | None = None,
    dropout: float | None = None,
    weights: str = "imagenet",
) -> keras.Model:
    """Build a Keras model: uint8 images to logits.

    Args:
        data: The image set, or the number of classes.
        spec: The model's input.
        model: Name of the architecture (``keensight models``).
        width: Channels of the first stage.
        dropout: Fraction of features dropped before the last layer.
        weights: ``imagenet`` (if the architecture has them), ``none``, a ``.keras`` or ``.pth`` file, or
            ``run:FOLDER``.

    Examples:
        >>> network = ks.build("photos/", ks.ImageSpec(32, 32), "cnn", width=8)
        >>> network.input_shape, network.output_shape
        ((None, 32, 32, 3), (None, 2))
    """
    from keensight.nets.models.build import build as make

    classes = data if isinstance(data, int) else len(open(data).labels)
    return make(model, spec, classes, width=width, dropout=dropout, weights=start_weights(weights))


def configure(config: RunConfig | None = None, settings: Mapping[str, Any] | None = None, **options: Any) -> RunConfig:
    """Settings from defaults, changes and options, the last one winning; an option that is None changes nothing.

    Raises:
        UsageError: a name does not exist or a value is not allowed.
    """
    dotted = {setting.option: setting.dotted for setting in known_settings()}
    dotted |= {name.partition(".")[2]: name for name in RETIRED}
    for name in options:
        if name not in dotted:
            raise UsageError(f"there is no option {name!r}", did_you_mean(name, list(dotted)))
    values = dict(settings or {})
    values.update({dotted[name]: _as_text(value) for name, value in options.items() if value is not None})
    return (config or RunConfig()).with_values(values)


def _as_text(value: Any) -> Any:
    """A list of names as the text that settings hold; anything else as it is."""
    if not isinstance(value, (list, tuple)):
        return value
    for name in value:
        if "," in str(name):
            raise UsageError(
                f"the name {name!r} contains a comma", "open the source first: ks.open(source, labels=[...])"
            )
    return ",".join(map(str, value))


def models() -> list[dict[str, Any]]:
    """The architectures, one row each; nothing heavy is imported."""
    from keensight.nets.models.backbones import ARCHITECTURES

    return [
        {
            "name": item.name,
            "pretrained": item.pretrained,
            "weights": item.source,
            "side": item.side,
            "parameters_millions": item.parameters,
            "description": item.description,
        }
        for item in ARCHITECTURES.values()
    ]


def start_weights(setting: str) -> str | Path:
    """Resolve ``model.weights``; files are checked before Keras loads them.

    Args:
        setting: ``imagenet``, ``none``, ``run:FOLDER`` (a run or a bundle), or a ``.keras`` or ``.pth`` file.

    Returns:
        ``imagenet``, ``none`` or the path of a file.

    Raises:
        UsageError: it is none of these, or the file does not exist.
        StoreError: the run, bundle or file is damaged or unsafe.
    """
    from keensight.store.bundle import open_bundle
    from keensight.store.safety import check_model

    if setting in ("imagenet", "none"):
        return setting
    if setting.startswith("run:"):
        return open_bundle(setting.removeprefix("run:")).model_path
    path = Path(setting)
    if not path.is_file():
        hint = did_you_mean(setting, ["imagenet", "none", "run:FOLDER", "FILE.keras", "FILE.pth"])
        raise UsageError(f"model.weights cannot be {setting!r}: there is no such file", hint)
    if path.suffix == ".keras":
        check_model(path)
    return path


@renamed(data="source")
@with_options(SourceOptions)
def changes_since(run: str | Path | Run, source: Source, **options: Unpack[SourceOptions]) -> DatasetChanges:
    """Compare an image set with its state when a run was made.

    Corrections that the run was trained with are applied first, so only other changes count.

    Args:
        run: The run; its ``dataset.parquet`` is the earlier state.
        source: The image set as it is now.
        **options: How the source is read (see :func:`open`).

    Raises:
        StoreError: it is not a run, or stopped before reading its images.

    Examples:
        >>> changes = ks.changes_since(run, "photos/")
        >>> len(changes.added), len(changes.removed)
        (0, 0)
    """
    from keensight.data.corrections import apply_corrections
    from keensight.store.run import Run, open_run

    handle = run if isinstance(run, Run) else open_run(Path(run))
    data = open(source, **options)
    with suppress(DataError):  # they no longer apply: that is a change, too
        data, _ = apply_corrections(data, handle.applied_corrections)
    return compare(handle.dataset, data)


def corrected(dataset: Dataset, table: str | Path | None, progress: Progress) -> tuple[Dataset, Sequence[Correction]]:
    """Apply corrections to a dataset; return the new dataset and the corrections.

    Args:
        dataset: The image set; its files are not changed.
        table: A file that ``keensight review`` writes; None: nothing is changed.
        progress: Where to report the number of changed labels.

    Raises:
        DataError: the table cannot be read or does not belong to these images (see ``data.corrections``).
    """
    from keensight.data.corrections import apply_corrections

    if table is None:
        return dataset, ()
    decisions = read_corrections(Path(table))
    changed, applied = apply_corrections(dataset, decisions)
    progress.say(applied.sentence())
    return changed, decisions
