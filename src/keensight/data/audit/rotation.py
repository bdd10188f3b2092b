"""Registration of two small images at any angle: the angle, then an affine map.

An image is looked at through the largest square in its middle, in its own proportions, and there within the circle
that a rotation maps onto itself. Sampled along rings, a rotation becomes a shift along each ring, so that the Fourier
transform of the rings gives the angle at once; a mirrored image has the complex conjugate. The affine map is fitted by
least squares from there, with gain and offset of the brightness (Lucas and Kanade 1981; the compositional form is that
of Baker and Matthews 2004, Lucas-Kanade 20 Years On). All functions work on many images at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keensight.data.audit.registration import Floats, blurred, correlation, details, windows_of

Spectra = NDArray[np.complex64]
Marks = NDArray[np.bool_]

_RINGS, _ANGLES, _HARMONICS = 12, 64, 16
_DISTINCT = 8
"""Harmonics that describe an image; the others only help to find an angle."""
_STEPS = 128
"""Angles that are compared: every 2.8 degrees."""
_RIM = 0.96
"""Radius of the circle within which images are compared, as a fraction of half a side."""
_REACH = 0.1
_DAMPING = 1e-3
_STRETCH = 1.5
"""Most that an affine map may stretch or shrink an image in any direction."""
_SHIFT = 0.5
"""Most that it may move the middle, as a fraction of half a side."""
_BAR = 0.05
"""A picture is a bar where its steps in one direction have less than this fraction of the energy of those across."""
_DOT = 0.06
"""A picture is a dot where its steps are in less than this fraction of its pixels (their participation ratio); spots
of light reach 0.03."""
_COARSE = 3.0
"""Standard deviation in pixels of the blur that is subtracted before shifts are looked for."""
_SOFT = 1.0
"""Standard deviation in pixels of the blur before images are compared: a rotation has blurred one of them."""


def squares_of(pictures: Floats, sizes: Floats, side: int) -> Floats:
    """The middle squares (n, side, side) of stretched pictures (n, h, w) whose heights and widths were ``sizes``."""
    shorter = sizes.min(axis=1)
    down, across = ((1 - shorter / sizes[:, axis]) / 2 for axis in (0, 1))
    return windows_of(pictures, np.stack([across, 1 - across, down, 1 - down], axis=1).astype(np.float32), side)


def spectra(squares: Floats, middle: float | None = None) -> Spectra:
    """Fourier transforms of the brightness along rings, (n, rings, harmonics + 1), from squares (n, side, side).

    The rings are about pixel ``middle`` of both axes; None: about the middle of the square.
    """
    side = squares.shape[1]
    about = (side - 1) / 2 if middle is None else middle
    rings = (squares.reshape(len(squares), -1) @ _rings_of(side, about)).reshape(-1, _RINGS, _ANGLES)
    result: Spectra = (np.fft.rfft(rings, axis=2)[:, :, : _HARMONICS + 1] / _ANGLES).astype(np.complex64)
    return result


def power_spectra(squares: Floats) -> Spectra:
    """:func:`spectra` of the amplitudes of each square's two-dimensional Fourier transform, which a shift leaves alone.

    A rotation of the image rotates them by the same angle or that plus 180 degrees (Reddy and Chatterji 1996).
    """
    amplitudes = np.abs(np.fft.fft2(details(squares, _COARSE) * _window(squares.shape[1])))
    return spectra(np.sqrt(np.fft.fftshift(amplitudes, axes=(1, 2))).astype(np.float32), middle=squares.shape[1] / 2)


def shifted(pictures: Floats, targets: Floats, maps: Floats) -> tuple[Floats, Floats]:
    """Affine maps (n, 2, 3) with the shift at which pictures match targets best, and the strength (n,) of the match.

    By phase correlation (Kuglin and Hines 1975), half whitened; shifts of up to a quarter of the side.
    """
    side = targets.shape[1]
    seen, _ = warp(pictures, maps)
    one, two = (details(each, _COARSE) * _window(side) for each in (seen, targets))
    energy = np.sqrt((one**2).sum(axis=(1, 2)) * (two**2).sum(axis=(1, 2)))
    crossed = np.fft.rfft2(one).conj() * np.fft.rfft2(two)
    alike = np.fft.irfft2(crossed / (np.sqrt(np.abs(crossed)) + 1e-6), s=(side, side))
    steps = (np.arange(side) + side // 2) % side - side // 2
    near = np.abs(steps) <= side // 4
    alike = np.where(near & near[:, None], alike, -np.inf).reshape(len(alike), -1)
    down, across = np.divmod(alike.argmax(axis=1), side)
    moved = np.stack([steps[across], steps[down]], axis=1)[:, :, None] * (2 / side)
    offset = maps[:, :, 2:] - np.matmul(maps[:, :, :2], moved.astype(np.float32))
    strength = alike.max(axis=1) / np.maximum(np.sqrt(energy), 1e-6)
    return np.concatenate([maps[:, :, :2], offset], axis=2).astype(np.float32), strength.astype(np.float32)


def _window(side: int) -> Floats:
    """A Hann window (side, side), without which the edges of an image dominate its Fourier transform."""
    line = np.hanning(side + 2)[1:-1].astype(np.float32)
    return line[:, None] * line


def _radii() -> Floats:
    return ((np.arange(_RINGS) + 1) / _RINGS * 0.94).astype(np.float32)


def _rings_of(side: int, about: float) -> Floats:
    """A matrix (side * side, rings * angles) that samples a square along rings, bilinearly."""
    turn = 2 * np.pi * np.arange(_ANGLES) / _ANGLES
    reach = side / 2 * _radii()[:, None]
    across, down = (about + (reach * part).ravel() for part in (np.cos(turn), np.sin(turn)))
    left, top = (np.clip(np.floor(place).astype(np.int64), 0, side - 2) for place in (across, down))
    right, lower = (np.clip(place - edge, 0, 1) for place, edge in ((across, left), (down, top)))
    matrix, column = np.zeros((side * side, len(across)), np.float32), np.arange(len(across))
    for row, along, weight in (
        (top, left, (1 - lower) * (1 - right)), (top, left + 1, (1 - lower) * right),
        (top + 1, left, lower * (1 - right)), (top + 1, left + 1, lower * right),
    ):  # fmt: skip
        matrix[row * side + along, column] += weight
    return matrix


def invariants(found: Spectra, *, mirrored: bool = False) -> Floats:
    """What of an image no rotation changes, (n, d) of length 1: means of the rings, and products of neighboring rings'
    harmonics, in which the angle cancels."""
    waves = found[:, :, 1 : _DISTINCT + 1]
    waves = waves.conj() if mirrored else waves
    means = found[:, :, 0].real
    products = waves[:, :-1] * waves[:, 1:].conj()
    products = products / np.sqrt(np.abs(products) + 1e-6)  # as large as the waves, not as their squares
    parts = (means - means.mean(axis=1, keepdims=True), np.abs(waves), products.real, products.imag)
    flat = np.concatenate([part.reshape(len(found), -1) for part in parts], axis=1)
    result: Floats = (flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-6)).astype(np.float32)
    return result


def angles_between(first: Spectra, second: Spectra, mirrored: Marks) -> tuple[Floats, Floats]:
    """Angles (n,) by which first images, mirrored or not, match the second ones, and the rings' correlation there."""
    weights = _radii()[:, None] * np.sqrt(np.arange(1, _HARMONICS + 1, dtype=np.float32))
    one = np.where(mirrored[:, None, None], first[:, :, 1:].conj(), first[:, :, 1:])
    two = second[:, :, 1:]
    along = np.zeros((len(one), _STEPS // 2 + 1), np.complex64)
    along[:, 1 : _HARMONICS + 1] = (weights * one * two.conj()).sum(axis=1)
    alike = np.fft.irfft(along, _STEPS, axis=1) * _STEPS / 2
    energy = np.sqrt((weights * np.abs(one) ** 2).sum(axis=(1, 2)) * (weights * np.abs(two) ** 2).sum(axis=(1, 2)))
    angles = 2 * np.pi * alike.argmax(axis=1) / _STEPS
    return angles.astype(np.float32), (alike.max(axis=1) / np.maximum(energy, 1e-9)).astype(np.float32)


def turns(angles: Floats, mirrored: Marks) -> Floats:
    """Affine maps (n, 2, 3) that turn by an angle, after mirroring or not."""
    cos, sin, hand = np.cos(angles), np.sin(angles), np.where(mirrored, -1, 1)
    nothing = np.zeros_like(cos)
    rows = (np.stack([cos, -sin, nothing], axis=1), np.stack([hand * sin, hand * cos, nothing], axis=1))
    result: Floats = np.stack(rows, axis=1).astype(np.float32)
    return result


def inverses(maps: Floats) -> Floats:
    """The inverse affine maps (n, 2, 3); the identity for one that has none."""
    linear = maps[:, :, :2].astype(np.float64)
    flat = np.abs(np.linalg.det(linear)) < 1e-3
    back = np.linalg.inv(np.where(flat[:, None, None], np.eye(2), linear))
    result: Floats = np.concatenate([back, -np.matmul(back, maps[:, :, 2:])], axis=2).astype(np.float32)
    return result


def turned_about(maps: Floats, places: Floats, angle: float) -> Floats:
    """Affine maps (n, 2, 3) after a rotation about places (n, 2) of the target."""
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]], np.float32)
    offset = np.matmul(maps[:, :, :2], (places - places @ turn.T)[:, :, None]) + maps[:, :, 2:]
    result: Floats = np.concatenate([np.matmul(maps[:, :, :2], turn), offset], axis=2)
    return result


def centers(squares: Floats, blur: float) -> Floats:
    """Where the strong details of squares are on average, (n, 2), across and down from -1 to 1."""
    energy = details(squares, blur) ** 4
    place = _places(squares.shape[1])
    total = np.maximum(energy.sum(axis=(1, 2)), 1e-6)
    across, down = (energy * place).sum(axis=(1, 2)) / total, (energy * place[:, None]).sum(axis=(1, 2)) / total
    result: Floats = np.stack([across, down], axis=1).astype(np.float32)
    return result


def fit_maps(pictures: Floats, targets: Floats, maps: Floats, steps: int) -> Floats:
    """Improve affine maps (n, 2, 3), so that ``pictures`` seen through them match ``targets``, both (n, side, side)."""
    side = targets.shape[1]
    place = _places(side)
    wanted = targets.reshape(len(targets), -1, 1)
    diagonal = np.arange(8)
    for _ in range(steps):
        seen, inside = warp(pictures, maps)
        down, across = (each * (side / 2) for each in np.gradient(seen, axis=(1, 2)))
        columns = (
            across * place, across * place[:, None], across, down * place, down * place[:, None], down,
            seen, np.ones_like(seen),
        )  # fmt: skip
        basis = np.stack([column.reshape(len(seen), -1) for column in columns], axis=1)
        masked = basis * inside.reshape(len(seen), 1, -1)
        normal = np.matmul(masked, basis.transpose(0, 2, 1)).astype(np.float64)
        normal[:, diagonal, diagonal] *= 1 + _DAMPING
        normal[:, diagonal, diagonal] += 1e-6
        solved = np.linalg.solve(normal, np.matmul(masked, wanted).astype(np.float64))[:, :, 0]
        gain = np.where(np.abs(solved[:, 6:7]) < 0.2, 0.2, solved[:, 6:7])
        change = np.clip(solved[:, :6] / gain, -_REACH, _REACH).astype(np.float32).reshape(-1, 2, 3)
        maps = maps + np.matmul(maps[:, :, :2], change)
    return maps


def _places(side: int) -> Floats:
    """Centers of the pixels of a line, from -1 to 1."""
    result: Floats = ((np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1).astype(np.float32)
    return result


def _circle(side: int) -> Marks:
    """The pixels (side, side) of a square that are compared."""
    place = _places(side)
    inside: Marks = place**2 + place[:, None] ** 2 <= _RIM**2
    return inside


def warp(pictures: Floats, maps: Floats) -> tuple[Floats, Marks]:
    """Pictures seen through affine maps, (n, side, side), and which pixels of them lie within circle and picture."""
    n, side, _ = pictures.shape
    across, down = np.meshgrid(_places(side), _places(side))
    grid = np.stack([across.ravel(), down.ravel(), np.ones(side * side, np.float32)])
    seen = np.matmul(maps, grid)
    inside = (np.abs(seen) <= 1).all(axis=1) & _circle(side).ravel()
    pixels = np.clip((seen + 1) * (side / 2) - 0.5, 0, side - 1.001)
    left, top = pixels[:, 0].astype(np.int64), pixels[:, 1].astype(np.int64)
    right, lower = pixels[:, 0] - left, pixels[:, 1] - top
    flat, corner = pictures.reshape(-1), (np.arange(n) * side * side)[:, None] + top * side + left
    upper = flat[corner] * (1 - right) + flat[corner + 1] * right
    under = flat[corner + side] * (1 - right) + flat[corner + side + 1] * right
    found: Floats = (upper * (1 - lower) + under * lower).astype(np.float32)
    return found.reshape(n, side, side), inside.reshape(n, side, side)


def agreement(pictures: Floats, targets: Floats, maps: Floats, blur: float) -> Floats:
    """Correlation of the details (n,) within the circle; 0 where the map is no plausible change of an image."""
    seen, inside = warp(pictures, maps)
    fine = (details(blurred(each, _SOFT), blur) for each in (seen, targets))
    found = correlation(*(_centered(each, inside) for each in fine))
    stretch = np.linalg.svd(maps[:, :, :2].astype(np.float64), compute_uv=False)
    plausible = (stretch[:, 0] <= _STRETCH) & (stretch[:, 1] >= 1 / _STRETCH)
    plausible &= np.linalg.norm(maps[:, :, 2], axis=1) <= _SHIFT
    result: Floats = np.where(plausible, found, 0).astype(np.float32)
    return result


def _centered(pictures: Floats, inside: Marks) -> Floats:
    """Pictures with mean 0 within a mask, and 0 outside it."""
    means = (pictures * inside).sum(axis=(1, 2)) / np.maximum(inside.sum(axis=(1, 2)), 1)
    result: Floats = (pictures - means[:, None, None]) * inside
    return result


def distinctive(squares: Floats, contrast: float) -> Marks:
    """Squares (n, side, side) whose circle shows neither nothing nor a single bar or dot, which match any other."""
    inside = _circle(squares.shape[1])
    steps = np.gradient(squares, axis=(1, 2))
    down, across = steps[0] * inside, steps[1] * inside
    one, other, mixed = ((a * b).sum(axis=(1, 2)) for a, b in ((down, down), (across, across), (down, across)))
    energy = down**2 + across**2
    spread = np.sqrt((one - other) ** 2 + 4 * mixed**2)
    bars = one + other - spread < _BAR * (one + other + spread)
    told_in = (one + other) ** 2 / np.maximum((energy**2).sum(axis=(1, 2)), 1e-6)
    result: Marks = (squares[:, inside].std(axis=1) >= contrast) & ~bars & (told_in >= _DOT * inside.sum())
    return result
