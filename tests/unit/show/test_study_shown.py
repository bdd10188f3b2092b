"""A study as text, figures and a page: the test result first, and what the validation result is worth."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from keensight.core.study import StudyRecord, Trial
from keensight.show.study import in_words, study_history, study_importance, write_study
from keensight.store.study import Study, open_study

GOLDEN = Path(__file__).parents[2] / "golden" / "study2"


@pytest.fixture
def study(tmp_path: Path) -> Study:
    shutil.copytree(GOLDEN, tmp_path / "photos-study")
    return open_study(tmp_path / "photos-study")


def test_the_terminal_begins_with_the_test_result(study: Study) -> None:
    lines = in_words(study.record, "trials/0000", "study.html").splitlines()
    assert lines[0] == "test accuracy 85.0% (95% CI 71.0% to 93.0%, n = 40)"
    assert lines[1] == (
        "chosen among 3 trials by validation accuracy: trial 0, 87.5% (the best of several tends to be too "
        "optimistic: the test result counts)"
    )
    assert lines[3].split() == ["trial", "accuracy", "seconds", "learning_rate", "epochs", "image_size"]
    assert lines[4].split() == ["0", "87.5%", "12.5", "0.001", "3", "auto"]
    assert "trials  1 complete, 1 stopped early, 1 failed, in 17.5 s" in lines
    assert lines[-2:] == ["page    study.html", "run     trials/0000"]


def test_cautions_and_the_baseline_stand_beside_the_test_result(study: Study) -> None:
    caveats = [{"kind": "few-images", "message": "Only 40 <test> images.", "advice": "Add some."},
               {"kind": "leak", "message": "Images were seen.", "advice": ""}]  # fmt: skip
    record = dataclasses.replace(
        study.record, test={**study.record.test, "caveats": caveats, "baseline_accuracy": 0.25}
    )
    lines = in_words(record, "trials/0000", "study.html").splitlines()
    assert lines[1:5] == [
        "caution: Only 40 <test> images.", "  Add some.", "caution: Images were seen.",
        "baseline (always predict the most common class): 25.0%",
    ]  # fmt: skip
    page = write_study(study.path, record).read_text(encoding="utf-8")
    result = page.split('id="h-result"')[1].split("</section>")[0]
    assert "Only 40 &lt;test&gt; images." in result and "most common class): 25.0%." in result


def test_the_page_has_every_trial_and_the_caution(study: Study) -> None:
    page = write_study(study.path, study.record).read_text(encoding="utf-8")
    assert "Test accuracy 85.0%" in page and "tends to be too optimistic" in page and "<svg" in page
    assert "stopped early at 20% of its schedule" in page and "out of memory" in page
    assert "0.0001 to 0.01 (log)" in page and "train.<wbr" not in page.split("<tbody>")[0]
    assert {path.name for path in study.path.glob("*.png")} == {"history.png", "importance.png"}


def test_the_pages_table_names_settings_in_short_and_none_twice(study: Study) -> None:
    page = write_study(study.path, study.record).read_text(encoding="utf-8")
    head = page.split('<table class="report trials">')[1].split("</thead>")[0].replace("<wbr>", "")
    columns = re.findall(r"<th [^>]*>(.*?)</th>", head)
    assert columns[:4] == ["trial", "accuracy", "seconds", "epochs"]
    assert columns[4:] == ["learning_rate", "train.epochs", "image_size", "ended"]


def test_charts_of_the_page_scroll_in_a_narrow_window(study: Study) -> None:
    page = write_study(study.path, study.record).read_text(encoding="utf-8")
    assert page.count('<svg class="figure"') == 2
    assert len(re.findall(r'<div class="wide"[^>]*>\s*<svg class="figure"', page)) == 2


def test_the_figures_say_what_they_show(study: Study) -> None:
    assert study_history(study).alt == "Validation accuracy of 1 completed trial; the best is trial 0 with 87.5%."
    assert study_importance(study).alt == "Importance of settings: train.learning_rate 70%, train.epochs 30%."
    empty = dataclasses.replace(study.record, trials=(), importance={}, chosen=None)
    assert study_history(empty).alt == "No trial was completed."
    assert study_importance(empty).alt == "Too few trials to estimate the importance of settings."


def test_a_loss_is_in_nats_and_lower_is_better(study: Study) -> None:
    trials = tuple(Trial(n, f"trials/{n:04d}", {}, "complete", value) for n, value in enumerate((0.5, 0.25, 0.4)))
    record: StudyRecord = dataclasses.replace(study.record, metric="loss", trials=trials, chosen=1)
    assert "trial 1, 0.2500" in in_words(record, "", "")
    assert study_history(record).alt.endswith("the best is trial 1 with 0.2500.")
