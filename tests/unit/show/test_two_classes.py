"""Sensitivity, specificity, PPV and NPV of two classes are shown wherever a result is: terminal, report and cards."""

import dataclasses
import re

import numpy as np
import pytest
from rich.console import Console

from keensight.assess.metrics import evaluate
from keensight.core.evaluation import Evaluation
from keensight.core.records import LabelSet
from keensight.show import terminal
from keensight.show.notebook import cards
from keensight.show.report import write_report
from keensight.store.model_card import model_card
from store_builders import manifest

VALUES = {"sensitivity": "80.0%", "specificity": "90.0%", "PPV": "72.7%", "NPV": "93.1%"}
ENDS = {"sensitivity": "49.0% to 94.3%", "specificity": "74.4% to 96.5%", "PPV": "43.4% to 90.3%",
        "NPV": "78.0% to 98.1%"}  # fmt: skip
COUNTS = {"sensitivity": "8 of 10", "specificity": "27 of 30", "PPV": "8 of 11", "NPV": "27 of 29"}


@pytest.fixture(scope="module")
def two() -> Evaluation:
    targets, predicted = np.repeat([0, 0, 1, 1], [27, 3, 2, 8]), np.repeat([0, 1, 0, 1], [27, 3, 2, 8])
    return evaluate(np.where(np.eye(2)[predicted] == 1, 0.8, 0.2), targets, LabelSet(("NORMAL", "SICK")))


def test_the_terminal_shows_them_in_place_of_the_weaker_of_two_classes(two):
    text = terminal.result(two, console=Console(width=80))
    assert "positive class: SICK (the other class is called NORMAL)" in text
    for name in VALUES:
        assert re.search(rf"^{name} +{VALUES[name]} +{ENDS[name]} +{COUNTS[name]}$", text, re.MULTILINE), name
    assert "lowest F1" not in text


def test_the_report_shows_them_with_what_they_depend_on(two, world, tmp_path):
    html = write_report(tmp_path / "r.html", dataclasses.replace(world.report, evaluation=two)).read_text("utf-8")
    words = re.sub(r"<[^>]*>|\s+", " ", html)
    assert "Positive class: SICK (the other class is called NORMAL)" in re.sub(" +", " ", words)
    table = (
        html[html.index("Sensitivity and specificity") :].split("</table>")[0].replace("\xa0", "").replace(" %", "%")
    )
    for name in VALUES:
        row = next(row for row in table.split("</tr>") if f">{name}<" in row)
        assert VALUES[name] in row and ENDS[name] in row and COUNTS[name] in row
    assert re.search(r"They hold only where 25.?% of the images are of SICK", words)
    assert "Sensitivity" not in write_report(tmp_path / "r.html", world.report).read_text("utf-8")


def test_the_model_card_and_the_notebook_show_them(two):
    card = model_card(manifest(labels=LabelSet(("NORMAL", "SICK"))), two)
    assert "Positive class: SICK (the other class is called NORMAL)." in card
    for name in VALUES:
        assert f"| {name} | {VALUES[name]} | {ENDS[name]} | {COUNTS[name]} " in card
    facts = dict(cards.evaluation(two).facts)
    assert facts["sensitivity (SICK)"].startswith("0.800 (95")
    assert facts["NPV"].startswith("0.931 (95")
