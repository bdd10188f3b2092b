from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import PngImagePlugin

from keensight import show
from keensight.core.records import Dataset
from keensight.errors import StoreError, UsageError
from keensight.show.figures import save

pytestmark = pytest.mark.slow  # seconds in all


def texts(figure: Figure) -> list[str]:
    """Everything written in a figure, in no order that matters."""
    from matplotlib.text import Text

    return [t.get_text() for t in figure.findobj(Text) if t.get_text()]


def pixels_of(png: bytes) -> tuple[int, int]:
    return PngImagePlugin.PngImageFile(io.BytesIO(png)).size


@pytest.mark.slow
def test_the_room_opens_without_matplotlib_and_draws_without_pyplot():
    code = """
import sys
from keensight import show
from keensight.core.records import Epoch, History
loaded = ["matplotlib" in sys.modules]
show.curves(History((Epoch(1, "train", 1, 1, 0.1, 1, 0.5, 1, 0.5),), 1))._repr_png_()
print(loaded + ["matplotlib" in sys.modules, "matplotlib.pyplot" in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[False, True, False]"


def test_the_room_lists_its_names_and_knows_no_others():
    assert {"curves", "samples", "confusion", "mistakes"} <= set(dir(show))
    with pytest.raises(AttributeError, match="no attribute 'curve'"):
        _ = show.curve


def test_samples_are_spread_over_the_classes(world):
    figure = show.samples(world.dataset, n=9)
    written = texts(figure)
    assert [written.count(name) for name in ("cat", "dog", "owl")] == [3, 3, 3]
    assert sum(len(ax.images) for ax in figure.axes) == 9
    assert "9 images of small world, from 3 classes" in written


def test_samples_depend_on_the_seed_only(world):
    def drawn(seed: int) -> list[float]:
        return [float(ax.images[0].get_array().sum()) for ax in show.samples(world.dataset, n=6, seed=seed).axes]

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)


def test_samples_without_images_say_so(world):
    figure = show.samples(dataclasses.replace(world.dataset, reader=None))
    assert texts(figure) == ["small world: no image is available"]


def test_class_balance_of_an_audit_shows_the_counts(world):
    (ax,) = show.class_balance(world.audit).axes
    assert [bar.get_height() for bar in ax.patches] == [20, 20, 20]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["cat", "dog", "owl"]


def test_class_balance_stacks_the_parts(world):
    (ax,) = show.class_balance(world.dataset, world.split).axes
    assert len(ax.containers) == 3
    for place in range(3):
        assert sum(stack[place].get_height() for stack in ax.containers) == 20
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["train", "val", "test"]


def test_class_balance_of_many_classes_is_rows_by_size(make_world):
    many = make_world(names=tuple(f"class {i}" for i in range(60)), each=4)
    fewer = Dataset("x", "arrays", many.dataset.labels, many.dataset.samples[:-3])
    figure = show.class_balance(fewer)
    (ax,) = figure.axes
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert (len(labels), labels[-1]) == (60, "class 59")
    assert figure.get_size_inches()[1] / 60 > 0.15, "rows must not overlap"


def test_class_balance_of_very_many_classes_shows_the_largest_and_the_smallest(make_world):
    many = make_world(names=tuple(f"class {i:03d}" for i in range(120)), each=4)
    fewer = Dataset("x", "arrays", many.dataset.labels, many.dataset.samples[:-3])
    (ax,) = show.class_balance(fewer).axes
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert (labels[0], labels[49:51], labels[-1]) == ("class 000", ["class 049", "class 070"], "class 119")
    assert "Images per class (50 largest, 50 smallest)" in " ".join(texts(ax.figure))
    assert ax.figure.get_size_inches()[1] < 25


def test_class_balance_refuses_a_split_without_its_dataset(world):
    with pytest.raises(UsageError, match="does not contain the split"):
        show.class_balance(world.audit, world.split)


def test_curves_show_train_val_and_the_kept_epoch(world):
    figure = show.curves(SimpleNamespace(history=world.history))
    loss, accuracy = figure.axes
    assert list(loss.lines[0].get_ydata()) == [e.loss for e in world.history.epochs]
    assert list(accuracy.lines[1].get_ydata()) == [e.val_accuracy for e in world.history.epochs]
    assert "kept: epoch 6, 0.600" in texts(figure)
    assert not loss.patches


def test_curves_shade_a_second_phase(two_phases):
    figure = show.curves(two_phases)
    assert all(len(ax.patches) == 1 for ax in figure.axes)
    assert any("fine-tune" in text for text in texts(figure))


def test_curves_of_nothing_say_so(world):
    assert texts(show.curves(dataclasses.replace(world.history, epochs=()))) == ["No epoch was completed."]
    with pytest.raises(UsageError, match="no training history"):
        show.curves(42)


def test_confusion_writes_counts_or_shares(world):
    counts, shares = show.confusion(world.evaluation), show.confusion(world.evaluation, normalize=True)
    written = [int(t.get_text()) for t in counts.axes[0].texts]
    assert np.array_equal(np.reshape(written, (3, 3)), world.evaluation.confusion)
    per_row = np.reshape([int(t.get_text()) for t in shares.axes[0].texts], (3, 3)).sum(axis=1)
    assert np.all(np.abs(per_row - 100) <= 2)


def test_confusion_of_two_and_of_many_classes(make_world):
    two = show.confusion(make_world(names=("no", "yes")).evaluation)
    many = show.confusion(make_world(names=tuple(f"c{i}" for i in range(50)), each=8).evaluation)
    assert len(two.axes[0].texts) == 4
    assert not many.axes[0].texts, "numbers do not fit into 2,500 cells"
    assert len(many.axes[0].get_xticklabels()) == 50
    assert many.get_size_inches()[0] > two.get_size_inches()[0]


def test_mistakes_are_shown_most_confident_first(world):
    figure = show.mistakes(world.evaluation)
    answers = [t.get_text() for ax in figure.axes for t in ax.texts]
    assert len(answers) == 2 * 3
    shares = [int(text.split()[-1][:-1]) for text in answers if text.endswith("%")]
    assert shares == sorted(shares, reverse=True)
    truth = world.dataset.samples[world.split.test[0]].label
    assert answers[0] == f"true: {truth}"


def test_no_mistakes_is_a_picture_too(make_world):
    assert texts(show.mistakes(make_world(wrong=0).evaluation)) == ["None of 15 images is misclassified."]


def test_mistakes_need_predictions(world):
    with pytest.raises(UsageError, match="has no predictions"):
        show.mistakes(world.evaluation.figures)


def test_names_are_text_and_never_formulas(make_world):
    names = ("a $x^", "cost $5 $", "{\\frac")
    hostile = make_world(names=names)
    for figure in (
        show.samples(hostile.dataset),
        show.class_balance(hostile.dataset, hostile.split),
        show.confusion(hostile.evaluation),
        show.mistakes(hostile.evaluation),
    ):
        figure.savefig(io.BytesIO(), format="png")  # a formula that does not parse raises here
        assert any(name in text for name in names for text in texts(figure))


def test_a_notebook_gets_a_sharp_png_without_pyplot(world):
    png, size = show.curves(world.history)._repr_png_()
    assert size == {"width": 900, "height": 340}
    assert pixels_of(png) == (1800, 680)


def test_every_figure_has_words_for_those_who_cannot_see_it(world):
    for figure in (show.samples(world.dataset), show.class_balance(world.audit), show.curves(world.history),
                   show.confusion(world.evaluation), show.mistakes(world.evaluation)):  # fmt: skip
        assert len(figure.alt) > 15


def test_save_writes_a_png_or_says_why_not(world, tmp_path):
    figure = show.curves(world.history)
    path = save(figure, tmp_path / "new" / "curves.png")
    assert pixels_of(path.read_bytes()) == (1800, 680)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError):
        save(figure, tmp_path / "file" / "curves.png")
