"""The heatmap beside an image that an anomaly detector scored."""

import numpy as np
import pytest

from keensight.show.anomaly import overlay

GRAY = np.full((40, 40, 3), 128, np.uint8)


def colored(shown: np.ndarray) -> np.ndarray:
    """Which pixels of the right half are colored, bool (40, 40)."""
    assert np.array_equal(shown[:, :40], GRAY) and shown.shape == (40, 84, 3)
    return (shown[:, 44:] != 128).any(axis=-1)


def test_what_most_normal_images_have_too_is_clear_and_the_rest_from_yellow_to_red() -> None:
    odd = np.full((4, 4), 0.9, np.float32)
    assert not colored(overlay(GRAY, odd)).any()
    odd[0, 0], odd[3, 3] = 1.5, 9.0
    shown = overlay(GRAY, odd)[:, 44:]
    assert colored(overlay(GRAY, odd))[0, 0] and not colored(overlay(GRAY, odd))[0, 39]
    assert shown[0, 0, 1] > shown[39, 39, 1] and shown[39, 39, 0] > 170


@pytest.mark.parametrize("highest", [0.95, 1.0])
def test_an_image_above_the_threshold_always_shows_where(highest: float) -> None:
    odd = np.linspace(0.2, highest, 100, dtype=np.float32).reshape(10, 10)
    assert not colored(overlay(GRAY, odd)).any()
    where = colored(overlay(GRAY, odd, anomalous=True))
    assert 0.03 < where.mean() < 0.07 and where[-4:].sum() == where.sum()


def test_an_image_above_the_threshold_shows_no_less_than_any_other() -> None:
    odd = np.full((10, 10), 3.0, np.float32)
    assert colored(overlay(GRAY, odd, anomalous=True)).all()
