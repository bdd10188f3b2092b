"""Where a stopped training goes on."""

from __future__ import annotations

import pytest

from keensight.core.records import Epoch
from keensight.core.training_state import Begun, TrainingState


def state(epoch: int, step: int, finished: int, stopped: str = "completed") -> TrainingState:
    epochs = tuple(Epoch(i + 1, "train", 10, 1.0, 0.1, 0.7, 0.5, 0.6, 0.5) for i in range(finished))
    return TrainingState("train", epoch, step, 10, epochs, finished, stopped, False)


@pytest.mark.parametrize(
    ("at", "ended", "begun"),
    [
        (state(0, 0, 0), False, Begun()),
        (state(0, 4, 0), False, Begun(0, 4)),
        (state(2, 4, 2), False, Begun(2, 24)),  # the third epoch, two whole ones of ten steps before it
        (state(2, 10, 3), True, Begun(3, 30)),
        (state(2, 10, 3, "early"), True, Begun(3, 30, True)),
        (state(2, 4, 2, "early"), False, Begun(2, 24, False)),
    ],
)
def test_a_training_goes_on_with_the_next_step(at: TrainingState, ended: bool, begun: Begun) -> None:
    assert at.ended is ended
    assert at.next == begun
    assert at.next.stopped is begun.stopped


def test_a_training_begins_with_its_first_step() -> None:
    begun = Begun()
    assert (begun.epoch, begun.step, begun.stopped) == (0, 0, False)
