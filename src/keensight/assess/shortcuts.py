"""Shortcut check: can the class be predicted from what should not matter?

Networks learn the easiest way to the label (Geirhos et al. 2020, "Shortcut learning in deep neural networks",
Nature Machine Intelligence 2): a marker in a corner, a background, a camera used for one class only. So a
simple classifier (extremely randomized trees, Geurts et al. 2006) gets one aspect of the images at a time and is
cross-validated, with groups and duplicates kept together. The result is its *skill*: the balanced accuracy rescaled so
that guessing is 0 and perfect is 1. The rules:

- ``metadata`` (size, format, JPEG quality, EXIF) and ``name`` (the shape of the file name, without the class's own
  name) should not predict the class: skill of :data:`TELLING` is an alarm. No network sees a name, so that one is a
  hint only.
- ``bytes`` (the file's size) follows the subject's own texture: it must also have :data:`SHARE` of the whole
  picture's skill and beat ``thumbnail`` by 0.05, significantly (paired, one-sided 5%).
- ``corners``, ``border``, ``surround`` may tell something, as a scene or a texture fills its frame. It is an alarm
  where their skill is at least :data:`TELLING` and :data:`SHARE` of the whole picture's, and beats that of the middle
  by 0.03 (corners, which few subjects reach) or 0.05, significantly. Corners and borders are compared with a square of
  as many pixels as the four corners have, ``surround`` with what it masks. Whatever the middle tells, it is an alarm
  too where one corner or side alone has a skill of :data:`SEVERE` and another one :data:`UNEVEN` less.
- ``centre``, ``middle``, ``thumbnail`` (8 x 8) and ``picture`` (16 x 16) are there to compare with:
  an easy set is no fault.

In each case accuracy must also lie above the most frequent class's share by its whole confidence interval. The
message names the corner, side or trait that carries the most. An alarm of a place is severe where its skill is
:data:`SEVERE` or more and either half of that lies above the middle's, or its corners or sides are as uneven as said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from keensight.assess.intervals import share, standard_error
from keensight.core.audit import Finding, Probe, Severity
from keensight.core.parallel import processors
from keensight.core.pixels import block_means
from keensight.core.progress import Progress, Silent

MOST = 4000
"""Maximum number of images used."""
TELLING, SHARE, SEVERE, UNEVEN = 0.25, 0.7, 0.8, 0.3
"""Thresholds of an alarm: skill, its fraction of the whole image's skill, near-perfect skill, gap between regions."""
_FOLDS, _TREES, _LEAF = 5, 25, 3
_ONE_SIDED = 1.645  # quantile of the normal distribution
_CARRIES = 0.8
"""Minimum fraction of an aspect's skill for a component to be reported as its source."""

_RIVALS = {"centre": "small square in the center", "middle": "center", "thumbnail": "8 x 8 px thumbnail"}
"""References, as a message shows them."""


@dataclass(frozen=True, slots=True)
class _Aspect:
    """One aspect that the classifier gets."""

    name: str
    shown: str
    parts: Mapping[str, NDArray[np.floating]]
    """Features (n, d) of each component that an alarm may report."""
    advice: str = ""
    """Advice for an alarm; empty: it is a reference."""
    rival: str = ""
    """The reference that it should not exceed."""
    margin: float = 0.05
    """The allowed margin."""
    gravest: Severity = "warning"


@dataclass(frozen=True, slots=True)
class _Trial:
    """The classes, and the positions of the held-out images of each fold."""

    targets: NDArray[np.int64]
    folds: tuple[NDArray[np.int64], ...]
    chance: float
    classes: int
    units: NDArray[np.int64] | None
    """Number of the unit of each image; None: each image stands for itself."""

    def skill(self, balanced: float) -> float:
        """Balanced accuracy, rescaled so that guessing is 0."""
        return (balanced - 1 / self.classes) / (1 - 1 / self.classes)


def choose(targets: NDArray[np.int64], units: NDArray[np.int64], seed: int = 0) -> NDArray[np.int64]:
    """Positions of the images to use: at most 4,000, of classes with at least five units; empty if there are too few.

    Args:
        targets: Class numbers, shape (n,).
        units: Number of the unit (group, duplicates) of each image, shape (n,).
        seed: Random seed.
    """
    pairs = np.unique(np.stack([targets, units]), axis=1)[0]
    large = np.flatnonzero(np.bincount(pairs, minlength=targets.max(initial=0) + 1) >= _FOLDS)
    usable = np.flatnonzero(np.isin(targets, large))
    chosen = np.sort(np.random.default_rng(seed).permutation(usable)[:MOST])
    kept, counts = np.unique(targets[chosen], return_counts=True)
    chosen = chosen[np.isin(targets[chosen], kept[counts >= _FOLDS])]
    return chosen if len(np.unique(targets[chosen])) > 1 and len(chosen) >= 50 else chosen[:0]


def probe(
    pictures: NDArray[np.uint8],
    traits: Mapping[str, NDArray[np.float64]],
    targets: NDArray[np.int64],
    units: NDArray[np.int64],
    *,
    progress: Progress | None = None,
) -> tuple[tuple[Probe, ...], list[Finding]]:
    """Check images for shortcuts.

    Args:
        pictures: Small images, uint8 (n, h, w, 3), at least 8 px on each side.
        traits: Properties of each file, by name, each (n, d); ``bytes`` is a separate aspect.
        targets: Class numbers, shape (n,).
        units: Number of the unit (group, duplicates) of each image, shape (n,).
        progress: Where to report.

    Returns:
        The probes, and a finding for each alarm.
    """
    trial = _trial(targets, units)
    probes: dict[str, Probe] = {}
    answers: dict[str, NDArray[np.bool_]] = {}
    findings: list[Finding] = []
    everything = _aspects(pictures, traits)
    with (progress or Silent()).task("checking for shortcuts", len(everything), "probes") as task:
        for aspect in everything:
            answers[aspect.name] = _right(np.hstack(list(aspect.parts.values())), trial)
            found, finding = _judge(aspect, trial, answers, probes)
            probes[aspect.name] = found
            if finding is not None and not (aspect.name == "surround" and _alarmed(probes, "corners", "border")):
                findings.append(finding)
            task.advance()
    return tuple(probes.values()), findings


def _alarmed(probes: Mapping[str, Probe], *names: str) -> bool:
    return any(probes[name].verdict == "alarm" for name in names)


def _aspects(pictures: NDArray[np.uint8], traits: Mapping[str, NDArray[np.float64]]) -> list[_Aspect]:
    """All aspects, references before the ones compared with them."""
    outside, inside = surround(pictures)
    file = {name: values for name, values in traits.items() if name not in ("bytes", "file name")}
    weight, name = ({key: traits[key]} if key in traits else {} for key in ("bytes", "file name"))
    source = (
        "the classes may come from different sources, so a model could learn the source instead of the subject; "
        "mix or re-save the files"
    )
    naming = (
        "the classes use different file-name patterns, so they may come from different sources (site, camera); "
        "check that before trusting the result"
    )
    marker = "look for a marker, frame or background that correlates with the class; crop or mask it"
    offered = [
        _Aspect("picture", "the image at 16 x 16 pixels", {"": _flat(block_means(pictures, 16))}),
        _Aspect("thumbnail", "the image at 8 x 8 pixels", {"": _flat(block_means(pictures, 8))}),
        _Aspect("centre", "a small square in the center", {"": centre(pictures)}),
        _Aspect("middle", "the image without its margin", {"": inside}),
        _Aspect("metadata", "the file's size, format, JPEG quality or EXIF", file, source),
        _Aspect("name", "the pattern of the file name", name, naming, gravest="info"),
        _Aspect("bytes", "the file size in bytes", weight, source, "thumbnail"),
        _Aspect("corners", "the content of the corners", corners(pictures), marker, "centre", 0.03, "severe"),
        _Aspect("border", "the content of the border", borders(pictures), marker, "centre", 0.05, "severe"),
        _Aspect("surround", "the margin around the masked center", {"": outside}, marker, "middle", 0.05, "severe"),
    ]
    return [aspect for aspect in offered if aspect.parts]


def _flat(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values.reshape(len(values), -1)


def _trial(targets: NDArray[np.int64], units: NDArray[np.int64]) -> _Trial:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    empty = np.zeros((len(targets), 1))
    alone = len(np.unique(units)) == len(units)
    if alone:
        splits = StratifiedKFold(_FOLDS, shuffle=True, random_state=0).split(empty, targets)
    else:
        splits = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0).split(empty, targets, units)
    counts = np.unique(targets, return_counts=True)[1]
    return _Trial(
        targets, tuple(held for _, held in splits), float(counts.max() / counts.sum()), len(counts),
        None if alone else units,
    )  # fmt: skip


def _right(features: NDArray[np.floating], trial: _Trial) -> NDArray[np.bool_]:
    """Whether trees not trained on an image or its unit predict its class, shape (n,)."""
    from sklearn.ensemble import ExtraTreesClassifier

    right = np.zeros(len(features), bool)
    for held in trial.folds:
        seen = np.setdiff1d(np.arange(len(features)), held)
        trees = ExtraTreesClassifier(_TREES, min_samples_leaf=_LEAF, random_state=0, n_jobs=processors())
        trees.fit(features[seen], trial.targets[seen])
        trees.set_params(n_jobs=1)  # threads add the trees' votes up in any order, and ties then fall either way
        right[held] = trees.predict(features[held]) == trial.targets[held]
    return right


def _balanced(right: NDArray[np.bool_], targets: NDArray[np.int64]) -> float:
    return float(np.mean([right[targets == label].mean() for label in np.unique(targets)]))


def _judge(
    aspect: _Aspect, trial: _Trial, answers: Mapping[str, NDArray[np.bool_]], probes: Mapping[str, Probe]
) -> tuple[Probe, Finding | None]:
    right = answers[aspect.name]
    n, accuracy, balanced = len(right), share(right, trial.units), _balanced(right, trial.targets)
    skill, rival = trial.skill(balanced), probes.get(aspect.rival)
    telling = bool(aspect.advice) and accuracy.low > trial.chance and skill >= TELLING
    alone = _alone(aspect, trial) if telling else {}
    lead = skill - trial.skill(rival.balanced) if rival else skill
    uneven = rival is not None and bool(alone) and _uneven(list(alone.values()))
    alarm = telling
    if rival:
        ahead = right.astype(float) - answers[aspect.rival]
        error = standard_error((ahead - ahead.mean()) / n, trial.units)
        beats = lead >= aspect.margin and ahead.mean() > _ONE_SIDED * error
        alarm = telling and ((beats and skill >= SHARE * trial.skill(probes["picture"].balanced)) or uneven)
    words = _words(aspect, accuracy.value, rival, _carriers(alone, skill) if alarm else [], trial, n)
    verdict: Literal["alarm", "quiet", "reference"] = "quiet" if aspect.advice else "reference"
    found = Probe(aspect.name, accuracy, trial.chance, balanced, n, "alarm" if alarm else verdict, words + ".")
    if not alarm:
        return found, None
    mild = aspect.gravest == "severe" and (skill < SEVERE or not (uneven or lead >= SEVERE / 2))
    return found, Finding("shortcut", "warning" if mild else aspect.gravest, f"{words}: {aspect.advice}.", n)


def _alone(aspect: _Aspect, trial: _Trial) -> dict[str, float]:
    """Skill of each component; empty if there is only one."""
    if len(aspect.parts) < 2:
        return {}
    return {name: trial.skill(_balanced(_right(part, trial), trial.targets)) for name, part in aspect.parts.items()}


def _uneven(skills: Sequence[float]) -> bool:
    """Whether one region is nearly perfect and a similar one is not, unlike with texture or scenery."""
    return max(skills) >= SEVERE and max(skills) - min(skills) >= UNEVEN


def _carriers(alone: Mapping[str, float], skill: float) -> list[str]:
    """The components with nearly the skill of the whole, the best first."""
    ranked = sorted(alone, key=lambda name: -alone[name])
    return [name for name in ranked if alone[name] >= _CARRIES * skill] or ranked[:1]


def _words(
    aspect: _Aspect, accuracy: float, rival: Probe | None, carriers: Sequence[str], trial: _Trial, n: int
) -> str:
    beside = f"chance {trial.chance:.0%}"
    if rival:
        beside += f", {_RIVALS.get(rival.name, rival.name)} {rival.accuracy.value:.0%}"
    shown = aspect.shown[:1].upper() + aspect.shown[1:]
    carried = f", mostly from the {' and the '.join(carriers)}" if carriers else ""
    return f"{shown} alone predicts the class of {accuracy:.0%} of {n:,} images ({beside}){carried}"


Features = NDArray[np.float32]
Parts = dict[str, Features]

CORNERS = ("upper left corner", "upper right corner", "lower left corner", "lower right corner")
SIDES = ("upper border", "lower border", "left border", "right border")


def corners(pictures: NDArray[np.uint8]) -> Parts:
    """The four corner patches, a fifth of the side each, of pictures (n, h, w, 3)."""
    h, w = (max(2, round(0.19 * side)) for side in pictures.shape[1:3])
    patches = (pictures[:, :h, :w], pictures[:, :h, -w:], pictures[:, -h:, :w], pictures[:, -h:, -w:])
    return {name: _summary(patch, 3, 3) for name, patch in zip(CORNERS, patches, strict=True)}


def borders(pictures: NDArray[np.uint8]) -> Parts:
    """The four outermost strips, a sixteenth of the side wide, without the corners."""
    b = max(1, min(pictures.shape[1:3]) // 16)
    h, w = (max(2, round(0.19 * side)) for side in pictures.shape[1:3])
    strips = (pictures[:, :b, w:-w], pictures[:, -b:, w:-w], pictures[:, h:-h, :b], pictures[:, h:-h, -b:])
    grids = ((1, 5), (1, 5), (5, 1), (5, 1))
    return {name: _summary(strip, *grid) for name, strip, grid in zip(SIDES, strips, grids, strict=True)}


def centre(pictures: NDArray[np.uint8]) -> Features:
    """A square in the middle with as many pixels as the four corners have together."""
    h, w = pictures.shape[1:3]
    top, left = h // 2 - max(2, round(0.19 * h)), w // 2 - max(2, round(0.19 * w))
    return _summary(pictures[:, top : h - top, left : w - left], 6, 6)


def surround(pictures: NDArray[np.uint8]) -> tuple[Features, Features]:
    """What is left where the middle six eighths of each side are masked, and what was masked."""
    grid = block_means(pictures, 8, 8)
    inside = np.zeros(grid.shape[1:3], bool)
    inside[1:-1, 1:-1] = True
    return grid[:, ~inside].reshape(len(grid), -1), grid[:, inside].reshape(len(grid), -1)


def _summary(patch: NDArray[np.uint8], rows: int, columns: int) -> Features:
    """Colors of a coarse grid and how much each channel varies."""
    means = block_means(patch, rows, columns).reshape(len(patch), -1)
    return np.concatenate([means, patch.astype(np.float32).std(axis=(1, 2))], axis=1)
