import dataclasses
import io
import re

import numpy as np
import pytest
from rich.console import Console

from keensight import show
from keensight.assess.multilabel import evaluate
from keensight.core.evaluation import Evaluated
from keensight.core.interval import Interval
from keensight.core.predictions import Predictions
from keensight.core.records import Epoch, History
from keensight.errors import UsageError
from keensight.show import terminal
from keensight.show.misclassified import find_mistakes
from keensight.show.report import write_report
from multilabel_builders import labelled, scored


@pytest.fixture(scope="module")
def evaluation():
    return scored()


def console():
    return Console(width=100, file=io.StringIO(), color_system=None)


def test_every_label_is_a_row_of_the_figures(evaluation):
    for draw in (show.average_precision, show.label_counts):
        figure = draw(evaluation)
        ticks = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
        assert sorted(ticks) == sorted(evaluation.labels.names)
        assert figure.alt
    figure = show.co_occurrence(evaluation)
    assert len(figure.axes) == 2
    assert "pairs" in figure.alt.lower()


def many(labels=12, n=40):
    """An evaluation of more labels than fit side by side."""
    rng = np.random.default_rng(0)
    truth = rng.random((n, labels)) < 0.4
    data = labelled(truth)
    probabilities = np.clip(truth * 0.5 + rng.random(truth.shape) * 0.6, 0, 1).astype(np.float32)
    found = evaluate(probabilities, truth, data.labels, (0.5,) * labels)
    predictions = Predictions(
        tuple(sample.path for sample in data.samples), data.labels, probabilities, thresholds=(0.5,) * labels,
        indices=np.arange(n), truth=data.indicators(),
    )  # fmt: skip
    return Evaluated.of(found, predictions, data)


def test_matrices_of_many_labels_are_stacked(evaluation):
    beside, stacked = show.co_occurrence(evaluation), show.co_occurrence(many())
    assert beside.get_figwidth() == 2 * beside.get_figheight()
    assert stacked.get_figheight() == 2 * stacked.get_figwidth()
    true, predicted = (ax.get_subplotspec() for ax in stacked.axes)
    assert (true.rowspan.start, predicted.rowspan.start) == (0, 1)
    assert true.colspan == predicted.colspan


def test_the_report_has_a_figure_for_each_matrix_of_many_labels(world, tmp_path):
    evaluation = many()
    data = dataclasses.replace(
        world.report, evaluation=evaluation, dataset=evaluation.dataset, split=None, audit=None, manifest=None
    )
    page = write_report(tmp_path / "report.html", data).read_text(encoding="utf-8")
    together = page.split("Labels that occur together</h3>")[1].split("</section>")[0]
    widths = [int(width) for width in re.findall(r"--natural:(\d+)px", together)]
    assert len(widths) == 2 and max(widths) < 800
    assert "Images with both labels, true." in together and "Images with both labels, predicted." in together


def test_counts_stand_beside_their_bars(evaluation):
    _, added, missed, found = evaluation.multilabel.per_label[0].counts
    texts = [text.get_text() for text in show.label_counts(evaluation).axes[0].texts]
    assert f"{found} / {missed} / {added}" in texts


def test_the_wrong_kind_of_figure_points_to_the_right_one(evaluation, world):
    with pytest.raises(UsageError, match="no confusion matrix"):
        show.confusion(evaluation)
    with pytest.raises(UsageError, match="not multi-label"):
        show.average_precision(world.evaluation)


def test_mistakes_tell_what_was_missed_and_added(evaluation):
    found = find_mistakes(evaluation)
    assert len(found) == evaluation.n - round(evaluation.accuracy.value * evaluation.n)
    for mistake in found:
        true, said = set(mistake.truth.split("|")) - {""}, set(mistake.predicted.split("|")) - {""}
        assert set(mistake.missed) == true - said
        assert set(mistake.added) == said - true
    assert [m.confidence for m in found] == sorted((m.confidence for m in found), reverse=True)


def test_curves_of_a_multilabel_run_show_the_ranking():
    epochs = tuple(Epoch(i, "top", 4, 1.0, 0.1, 1 / i, 0.9, 1 / i, 0.9, 0.5 + 0.1 * i) for i in (1, 2, 3))
    figure = show.curves(History(epochs, 3))
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "Loss (cross-entropy, nats)", "Mean average precision (mAP)",
    ]  # fmt: skip
    assert "mAP from 0.600 in epoch 1 to 0.800 in epoch 3" in figure.alt


def test_the_terminal_leads_with_the_ranking(evaluation):
    text = terminal.result(evaluation, "report.html", console())
    area = evaluation.multilabel.mean_average_precision
    assert text.startswith(f"test mAP {area.value:.3f} (95% CI")
    assert "micro F1" in text
    assert "all labels correct" in text
    assert "never" in text
    assert "report  report.html" in text


def test_the_report_has_a_line_a_label_and_no_confusion_matrix(evaluation, world, tmp_path):
    data = dataclasses.replace(
        world.report, evaluation=evaluation, dataset=evaluation.dataset, split=None, audit=None, manifest=None
    )
    page = write_report(tmp_path / "report.html", data).read_text(encoding="utf-8")
    assert "mean average precision (mAP) over 4 labels" in page
    assert "Confusion matrix" not in page
    assert "a long name of a label, &amp; more" in page
    assert page.count('<svg class="figure"') == 5  # three of labels, two curves
    assert "missed: <strong>a long name of a label, &amp; more</strong>" in page
    assert "false positive: <strong>dot</strong>" in page


def test_predictions_name_labels_by_their_thresholds(evaluation):
    predictions = evaluation.predictions
    for i, row in enumerate(predictions.rows(top=2)):
        said = [n for n, p, t in zip(predictions.labels.names, predictions.probabilities[i], predictions.thresholds,
                                     strict=True) if p >= t]  # fmt: skip
        assert row["labels"] == said
        assert row["label"] == "|".join(said)
        assert row["probability"] == row["top"][0][1] == predictions.probabilities[i].max()
    bare = dataclasses.replace(predictions, errors={predictions.paths[0]: "cut short"})
    assert bare.rows()[0]["labels"] == []
    assert bare.rows()[0]["label"] is None


def test_the_headline_adds_figures_and_keeps_the_others(evaluation):
    found = evaluation.headline()
    assert {
        "n",
        "loss",
        "accuracy",
        "accuracy_ci",
        "macro_f1",
        "ece",
        "map",
        "micro_f1",
        "hamming_loss",
    } <= found.keys()
    assert "map" not in dataclasses.replace(evaluation, multilabel=None, accuracy=Interval(0.5, 0, 1)).headline()
