"""The ROC curve of one class, and what a search for similar images found."""

import numpy as np
import pytest
from matplotlib.text import Text

from keensight import show
from keensight.assess.operating_point import measure
from keensight.core.pixels import encode_png
from keensight.core.predictions import Embeddings
from keensight.core.similar import search
from keensight.errors import UsageError


def texts(figure):
    return " | ".join(t.get_text() for t in figure.findobj(Text) if t.get_text())


def point(positive):
    scores = np.linspace(0, 1, len(positive))
    return measure(scores, np.array(positive), 0.5, label="ill", part="test", target="as given")


def test_the_curve_shows_its_area_and_the_threshold():
    figure = show.roc(point([False, False, True, False, True, True]))
    assert "AUROC 0.889" in texts(figure)
    assert "threshold 0.500" in texts(figure)
    assert "ill against the rest, test set (n = 6)" in texts(figure)
    figure._repr_png_()


def test_there_is_no_curve_of_one_side():
    with pytest.raises(UsageError, match="no ROC curve"):
        show.roc(point([True, True]))


def test_queries_stand_left_of_what_was_found(tmp_path):
    rng = np.random.default_rng(0)
    paths = tuple(str(tmp_path / f"{i}.png") for i in range(8))
    for path in paths[:7]:  # the last one is gone
        (tmp_path / path).write_bytes(encode_png(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)))
    album = Embeddings(paths, rng.normal(size=(8, 4)).astype(np.float32))
    queries = Embeddings(paths[:3], album.vectors[:3])
    figure = show.similar(search(queries, album, 3), n=2)
    assert len(figure.axes) == 2 * 4
    assert "2 queries (left), and the most similar of 8 images" in texts(figure)
    assert "0.png" in texts(figure)
    figure._repr_png_()


def test_only_unreadable_queries_show_nothing():
    album = Embeddings(("a", "b"), np.eye(2, dtype=np.float32))
    queries = Embeddings(("q",), np.full((1, 2), np.nan, np.float32))
    with pytest.raises(UsageError, match="no query could be read"):
        show.similar(search(queries, album, 1))
