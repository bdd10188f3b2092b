"""What each effort means, and that nothing else decides it."""

import re
from pathlib import Path

import keensight
from keensight.core.config import RunConfig, find_setting
from keensight.core.effort import EFFORTS


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
