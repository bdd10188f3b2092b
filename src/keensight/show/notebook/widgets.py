"""Widgets for notebooks: browse images by class and by mistake, and classify new images.

They need ipywidgets, and anywidget to drop images (``pip install "keensight[notebook]"``). Without them, only the
first page is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any

from keensight.core.evaluation import Evaluated, Evaluation
from keensight.core.records import Dataset
from keensight.core.statements import set_name
from keensight.errors import UsageError
from keensight.show.misclassified import confused_pairs, find_mistakes, spread
from keensight.show.notebook import cards
from keensight.show.notebook.cards import Card, Table, Tile
from keensight.show.text import clean, percent, plural, shorten
from keensight.show.thumbnails import data_uri, shrunk

if TYPE_CHECKING:
    from keensight.nets.classifier import Classifier

PAGE = 24
"""Images per page."""
_ALONE = 'For widgets: pip install "keensight[notebook]", then restart the kernel.'


@dataclass(frozen=True, slots=True)
class Gallery:
    """Groups of images, page by page."""

    title: str
    data: Dataset
    groups: Mapping[str, tuple[int, ...]]
    """Name of a group to dataset indices."""
    predicted: Mapping[int, str]
    """Dataset index to the wrong prediction; empty for a dataset alone."""

    def pages(self, group: str) -> int:
        """Number of pages of a group, at least 1."""
        return max(1, -(-len(self.groups[group]) // PAGE))

    def page(self, group: str, number: int) -> Card:
        """Page ``number`` of a group, counted from 1."""
        indices = self.groups[group][(number - 1) * PAGE : number * PAGE]
        tiles = cards.within(tile for i in indices for tile in self._tile(i))
        return Card(self.title, f"{clean(group)}, page {number} of {self.pages(group)}", tiles=tiles)

    def _tile(self, index: int) -> Iterable[Tile]:
        sample, found = self.data.samples[index], cards.picture(self.data, index)
        if found is not None:
            lines = (shorten(sample.label, 24), *([self.predicted[index]] if index in self.predicted else ()))
            yield Tile(found[0], lines, clean(sample.path), found[1])


class Static:
    """A card that displays itself in a notebook, if there are no widgets."""

    def __init__(self, card: Card) -> None:
        self.card = card

    def _repr_html_(self) -> str:
        return cards.render(self.card)

    def __repr__(self) -> str:
        return f"<{self.card.title}: {self.card.headline}. {self.card.note}>"


def browse(source: Dataset | Evaluation) -> Any:
    """Browse images by class; of an evaluation, also by mistake.

    Args:
        source: An open dataset, or an evaluation with its predictions and images, as ``ks.evaluate`` gives it.

    Returns:
        An ipywidgets box; without ipywidgets, an object that displays the first page.

    Raises:
        UsageError: the images are not available.
    """
    shown = gallery(source)
    first = next(iter(shown.groups))
    widgets = _ipywidgets()
    if widgets is None:
        return Static(replace(shown.page(first, 1), note=_ALONE))
    names = [(f"{clean(name)} ({len(rows):,})", name) for name, rows in shown.groups.items()]
    group = widgets.Dropdown(options=names, value=first, description="Show")
    page = widgets.BoundedIntText(value=1, min=1, max=shown.pages(first), description="Page")
    view = widgets.HTML()

    def turn(_: Any = None) -> None:
        page.max = shown.pages(group.value)
        view.value = cards.render(shown.page(group.value, page.value))

    def choose(_: Any) -> None:
        page.value = 1
        turn()

    group.observe(choose, names="value")
    page.observe(turn, names="value")
    turn()
    told = f"run this cell in Jupyter to leaf through {plural(len(shown.groups), 'group')} of images"
    return _box(widgets, [widgets.HBox([group, page]), view], Card(f"Browse {shown.title}", told))


def classify(model: Classifier) -> Any:
    """Drop or choose images, and see the predictions.

    Args:
        model: A loaded classifier, from ``ks.load(run)``.

    Returns:
        An ipywidgets box; without ipywidgets, a hint on how to do it in a cell.

    Raises:
        UsageError: the model is something else, such as a run.

    Examples:
        >>> box = ks.show.classify(model)
    """
    if not hasattr(model, "predict_array"):
        raise UsageError(f"{type(model).__name__} cannot classify", "load it first: ks.show.classify(ks.load(run))")
    widgets = _ipywidgets()
    if widgets is None:
        return Static(Card("Classify", "in a cell: model.predict('photo.jpg')", note=_ALONE))
    view = widgets.HTML()

    def look(pictures: Sequence[tuple[str, bytes]]) -> None:
        if pictures:
            view.value = cards.render(predicted_card(model, pictures))

    saved = Card("Classify", "run this cell in Jupyter, then drop pictures")
    return _box(widgets, [_chooser(widgets, look), view], saved)


def _box(widgets: Any, children: Sequence[Any], saved: Card) -> Any:
    """Widgets in a column; a saved notebook that is read without a kernel shows the card in their place."""

    class Box(widgets.VBox):  # type: ignore[misc]
        def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
            return {**super()._repr_mimebundle_(**options), "text/html": cards.render(saved)}

    return Box(children)


def _chooser(widgets: Any, look: Callable[[Sequence[tuple[str, bytes]]], None]) -> Any:
    """A field to drop images on; if only ipywidgets is installed, its upload button."""
    if find_spec("anywidget") is None:
        button = widgets.FileUpload(accept="image/*", multiple=True, description="Choose images")
        button.layout.width = "16em"
        button.observe(
            lambda change: look([(item["name"], bytes(item["content"])) for item in change["new"]]), names="value"
        )
        return button
    from keensight.show.notebook.dropzone import Dropzone

    zone = Dropzone()
    zone.observe(lambda change: look([(item["name"], bytes(item["data"])) for item in change["new"]]), names="files")
    return zone


def predicted_card(model: Classifier, pictures: Sequence[tuple[str, bytes]]) -> Card:
    """Predictions for named, encoded images."""
    found = model.predict([data for _, data in pictures])
    rows, tiles = [], []
    for (name, data), row in zip(pictures, found.rows(top=3), strict=True):
        top = ", ".join(f"{shorten(label, 20)} {p:.3f}" for label, p in row["top"])
        rows.append((shorten(name, 40), shorten(row["error"] or top, 80), "" if row["error"] else row["decision"]))
        if not row["error"]:
            tiles.append(Tile(data_uri(shrunk(data, cards.SIDE)), (shorten(row["label"], 24),), clean(name)))
    table = Table(("image", "most likely", "decision"), tuple(rows[:PAGE]))
    return Card("Predictions", plural(len(pictures), "image"), tables=(table,), tiles=cards.within(tiles))


def gallery(source: Dataset | Evaluation) -> Gallery:
    """The groups of a dataset (all, and each class), or of an evaluation (mistakes, confused classes, each class).

    Raises:
        UsageError: the images are not available.
    """
    dataset = source.dataset if isinstance(source, Evaluated) else source
    if isinstance(dataset, Evaluation) or dataset.reader is None:
        raise UsageError("there are no images to browse", "open their source again with ks.open(...)")
    if isinstance(source, Evaluated):
        return _of_evaluation(source)
    classes = _by_class(dataset, spread(dataset, len(dataset)))
    turns = chain.from_iterable(zip_longest(*classes.values()))  # one of each class in turn
    everything = tuple(dict.fromkeys(i for i in turns if i is not None))
    return Gallery(clean(dataset.name), dataset, {"all classes": everything, **classes}, {})


def _of_evaluation(found: Evaluated) -> Gallery:
    dataset, wrong = found.dataset, find_mistakes(found)
    groups = {"all mistakes": tuple(item.index for item in wrong)}
    for pair in confused_pairs(found.confusion, found.labels) if found.multilabel is None else ():
        rows = tuple(i.index for i in wrong if (i.truth, i.predicted) == (pair.truth, pair.predicted))
        groups[f"{pair.truth} predicted as {pair.predicted}"] = rows
    groups |= {f"all {name}": rows for name, rows in _by_class(dataset, sorted(found.rows.tolist())).items()}
    predicted = {
        item.index: f"predicted: {shorten(item.predicted, 24) or 'none'}, {percent(item.confidence, 0)}"
        for item in wrong
    }
    return Gallery(f"{clean(dataset.name)}, {set_name(found.part)}", dataset, groups, predicted)


def _by_class(dataset: Dataset, rows: Sequence[int]) -> dict[str, tuple[int, ...]]:
    held: dict[str, list[int]] = {name: [] for name in dataset.labels.names}
    for row in rows:
        for name in dataset.samples[row].classes:
            held[name].append(row)
    return {name: tuple(found) for name, found in held.items()}


def _ipywidgets() -> Any:
    if find_spec("ipywidgets") is None:
        return None
    import ipywidgets

    return ipywidgets
