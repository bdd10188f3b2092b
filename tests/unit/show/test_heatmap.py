import numpy as np
import pytest

from keensight.core import pixels
from keensight.core.predictions import Explanation
from keensight.core.records import ImageSpec
from keensight.errors import UsageError
from keensight.show.heatmap import colored, explanation, overlay, placed


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
@pytest.mark.parametrize(("height", "width"), [(60, 120), (120, 60), (61, 47)])
def test_heat_comes_back_to_where_the_decoder_took_it_from(fit, height, width):
    """A bright spot, decoded to a model's input, is its own heatmap: laid back it must meet the spot."""
    image = np.zeros((height, width, 3), np.uint8)
    image[height // 2 - 4 : height // 2 + 4, width // 2 : width // 2 + 8] = 255
    seen = pixels.decode(image, ImageSpec(32, 32, fit))[..., 0].astype(np.float32) / 255
    back = placed(seen, height, width, fit)
    assert back.shape == (height, width)
    rows, columns = np.nonzero(back > 0.5)
    assert abs(rows.mean() - (height // 2 - 0.5)) < 2
    assert abs(columns.mean() - (width // 2 + 3.5)) < 2


def test_what_was_cropped_away_has_no_heat():
    back = placed(np.ones((32, 32), np.float32), 40, 120, "crop")
    assert back[:, :38].max() == 0 and back[:, 42:78].min() == 1


def test_only_heat_has_colour():
    image = np.zeros((4, 8, 3), np.uint8)
    image[..., 0] = 200
    heat = np.zeros((4, 8), np.float32)
    heat[:, 6:] = 1
    shown = overlay(image, heat)
    assert (np.ptp(shown[:, :6].astype(int), axis=2) == 0).all(), "the picture itself is grey"
    assert (np.ptp(shown[:, 6:].astype(int), axis=2) > 100).all()
    layer = colored(heat)
    assert layer.shape == (4, 8, 4) and layer[0, 0, 3] == 0 and layer[0, 7, 3] == 204


def found(**changes):
    heat = np.zeros((30, 20), np.float32)
    heat[2, 17] = 1
    whole = {"path": "a.png", "label": "owl", "probability": 0.3, "predicted": "cat", "predicted_probability": 0.6,
             "image": np.zeros((30, 20, 3), np.uint8), "heat": heat}  # fmt: skip
    return Explanation(**{**whole, **changes})


def test_a_figure_says_in_words_what_it_shows():
    figure = explanation(found())
    assert (
        figure.alt == "predicted: cat, 60%; owl: 30%. The strongest evidence for owl is at the top right of the image."
    )
    titles = [ax.get_title(loc="left") for ax in figure.axes[:2]]
    assert titles == ["image", "evidence for owl"]
    assert [label.get_text() for label in figure.axes[2].get_yticklabels()] == ["none", "most"]
    assert "No region" in explanation(found(heat=np.zeros((30, 20), np.float32))).alt


def test_an_image_that_was_not_read_has_no_figure():
    with pytest.raises(UsageError, match="the file is empty"):
        explanation(Explanation("a.png", error="the file is empty"))
