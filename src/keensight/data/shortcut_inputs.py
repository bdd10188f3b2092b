"""Properties of image files besides their pixels, as numbers for the shortcut check."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from keensight.core.image_files import Traces, traces
from keensight.core.parallel import ordered, processors
from keensight.core.records import Dataset, Sample
from keensight.errors import ImageError

_PATTERNS = 30


def traits(dataset: Dataset, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Properties of images by name, each (n, d), without those that are the same for all.

    The names are ``image size``, ``file format``, ``JPEG quality``, ``EXIF``, ``file name`` and ``bytes``. Only the
    pattern of a file name counts: the class name, words and numbers are each masked. The position in the listing is not
    used.
    """
    samples = [dataset.samples[int(i)] for i in rows]
    left = list(ordered(lambda i: _traces(dataset, int(i)), rows.tolist(), processors() + 2, ahead=64))
    infos = [sample.info for sample in samples]
    areas = np.array([info.width * info.height if info else 1 for info in infos], dtype=np.float64)
    sizes = np.array([sample.size for sample in samples], dtype=np.float64)
    found: dict[str, NDArray[np.float64]] = {
        "image size": np.array([(i.width, i.height, i.width / i.height) if i else (0, 0, 0) for i in infos], float),
        "file format": _codes([f"{i.format} {i.mode} {i.frames > 1}" if i else "" for i in infos]),
        "JPEG quality": np.array([[-1.0 if t.quality is None else t.quality] for t in left]),
        "EXIF": np.array([(t.exif, i.orientation if i else 1) for t, i in zip(left, infos, strict=True)], float),
        "file name": _codes(_shapes(samples)),
        "bytes": np.stack([sizes, sizes / areas], axis=1),
    }
    return {name: values for name, values in found.items() if np.ptp(values, axis=0).any()}


def _traces(dataset: Dataset, index: int) -> Traces:
    try:
        raw = dataset.load(index)
    except ImageError:
        return Traces(None, exif=False)
    return traces(raw) if isinstance(raw, bytes) else Traces(None, exif=False)


def _codes(values: Sequence[str]) -> NDArray[np.float64]:
    """Each of the most frequent values as its own column, (n, 30 at most)."""
    common = [value for value, _ in Counter(values).most_common(_PATTERNS)]
    return np.array([[value == known for known in common] for value in values], dtype=np.float64)


def _shapes(samples: Sequence[Sample]) -> list[str]:
    words = {label: _word(label) for label in {sample.label for sample in samples}}
    return [_shape(sample, words) for sample in samples]


def _word(label: str) -> re.Pattern[str]:
    parts = [re.escape(part) for part in re.split(r"[\W_]+", label) if part]
    worded = sum(map(str.isalpha, label)) > 1  # otherwise it would match in any number or word
    return re.compile(r"[\W_]*".join(parts) if worded else "$^", re.IGNORECASE)


def _shape(sample: Sample, words: Mapping[str, re.Pattern[str]]) -> str:
    """``DSC_0042 (1).JPG`` as ``A_9 (9).A``."""
    name = sample.path.rpartition("/")[2]
    name = words[sample.label].sub("A", name)
    return re.sub(r"[^\W\d_]+", "A", re.sub(r"\d+", "9", name))
