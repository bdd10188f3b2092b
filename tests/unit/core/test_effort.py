"""What each effort means, and that nothing else decides it."""

import re
from pathlib import Path

import keensight
from keensight.core.config import RunConfig, find_setting
from keensight.core.effort import EFFORTS
from keensight.nets.models.backbones import tuning_side


def test_the_setting_takes_these_words():
    assert find_setting("train.effort").choices == tuple(EFFORTS)
    assert RunConfig().train.effort in EFFORTS


def test_more_effort_never_spends_less():
    quick, standard, best = EFFORTS.values()
    for less, more in ((quick, standard), (standard, best)):
        assert less.epochs < more.epochs
        assert less.tuning < more.tuning and less.tuning_least < more.tuning_least
        assert less.heatmaps <= more.heatmaps
        assert (less.shortcuts, less.label_check, less.mirror) <= (more.shortcuts, more.label_check, more.mirror)
    assert not quick.tunes and standard.tunes and best.tunes


def test_standard_is_what_the_others_are_measured_by():
    standard = EFFORTS["standard"]
    assert (standard.epochs, standard.tuning) == (1, 1)
    assert EFFORTS["quick"].epochs < 1


def test_quick_takes_each_image_once_and_the_others_take_it_smaller():
    # docs/transfer.md; 224 px is what the network was pretrained on
    assert [tuning_side("efficientnet_lite0", effort) for effort in EFFORTS] == [224, 160, 192]
    assert [EFFORTS[effort].tuning for effort in ("quick", "standard")] == [0, 1]


def test_quick_leaves_out_what_takes_long():
    quick, standard, best = EFFORTS.values()
    assert not (quick.shortcuts or quick.label_check or quick.mirror)
    for more in (standard, best):
        assert more.shortcuts and more.label_check and more.mirror


def test_heatmaps_and_races_are_as_many_as_the_documentation_says():
    # docs/explain.md, docs/report.md and docs/transfer.md
    assert [one.heatmaps for one in EFFORTS.values()] == [12, 200, 200]
    assert [one.race_epochs for one in EFFORTS.values()] == [10, 3, 3]


def test_only_the_record_says_what_a_word_means():
    root = Path(keensight.__file__).parent
    compared = re.compile(r"""effort\s*(==|!=|in\b)|(["'])(quick|standard|best)\2\s*:""")
    found = [
        f"{file.relative_to(root)}: {line.strip()}"
        for file in sorted(root.rglob("*.py"))
        if file != root / "core" / "effort.py"
        for line in file.read_text(encoding="utf-8").splitlines()
        if compared.search(line)
    ]
    assert not found
