"""Keensight's records in a notebook: as cards (:mod:`.cards`) and as live learning curves.

``import keensight`` registers the cards with IPython if it is running; nothing else is imported before one is shown.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keensight.core.records import Epoch

RECORDS = {
    "AuditReport": ("keensight.core.audit", "audit"),
    "Classifier": ("keensight.nets.classifier", "classifier"),
    "Dataset": ("keensight.core.records", "dataset"),
    "Evaluation": ("keensight.core.evaluation", "evaluation"),
    "History": ("keensight.core.records", "history"),
    "Predictions": ("keensight.core.predictions", "predictions"),
    "Run": ("keensight.store.run", "run"),
    "Split": ("keensight.core.records", "split"),
}
"""Class to its module and to the function of ``show.notebook.cards`` that makes its card."""


def register(shell: Any) -> None:
    """Make an IPython shell display Keensight's records; their classes need not be imported."""
    formatter = shell.display_formatter.formatters["text/html"]
    for name, (module, maker) in RECORDS.items():
        formatter.for_type_by_name(module, name, partial(_html, maker))


def running_shell() -> Any:
    """The IPython shell that runs this code, or None; IPython is never imported for it."""
    ask = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return None if ask is None else ask()


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this code."""
    return getattr(running_shell(), "kernel", None) is not None


def live_curves() -> Callable[[Epoch], None]:
    """Learning curves under the cell, updated each epoch: ``ks.fit(..., on_epoch=ks.show.live_curves())``.

    Returns:
        A function to call with each epoch. Outside a notebook it draws nothing.

    Examples:
        >>> network = ks.build(data, pixels.spec, "cnn", width=8)
        >>> history = ks.fit(network, data, split, pixels, epochs=1, on_epoch=ks.show.live_curves())
    """
    epochs: list[Epoch] = []
    drawn = Updated()

    def draw(epoch: Epoch) -> None:
        epochs.append(epoch)
        if in_notebook():
            from keensight.core.records import History
            from keensight.show.notebook import cards

            best = max(epochs, key=lambda one: -one.val_loss if one.val_map is None else one.val_map)
            so_far = History(tuple(epochs), best.epoch)
            drawn.show(cards.render(cards.history(so_far)), repr(so_far))

    return draw


class Updated:
    """An output under a cell that is updated in place; only its last state is saved with the notebook."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, html: str, text: str) -> None:
        """Update; ``text`` is shown where HTML cannot be."""
        bundle = {"text/html": html, "text/plain": text}
        if self._handle is None:
            from IPython.display import display

            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


def _html(maker: str, record: Any) -> str:
    cards = import_module("keensight.show.notebook.cards")
    html: str = cards.render(getattr(cards, maker)(record))
    return html
