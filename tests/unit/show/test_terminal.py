from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from keensight.core.audit import Probe
from keensight.core.changes import Change, DatasetChanges
from keensight.core.evaluation import Caveat
from keensight.core.interval import Interval
from keensight.core.labels import AccuracyRange, LabelSuspects, Suspect
from keensight.show import terminal


def console(width: int = 80, encoding: str = "utf-8", color: bool = False) -> Console:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    return Console(file=stream, width=width, force_terminal=color, no_color=not color)


def test_headline_has_the_number_its_interval_and_n(world):
    line = terminal.headline(world.evaluation)
    assert line == "test accuracy 80.0% (95% CI 70.0% to 80.0%, n = 15)"


def test_a_cleaned_score_stands_beside_the_plain_one(world):
    assert "near-duplicate" not in terminal.result(world.evaluation, console=console())
    cleaned = replace(world.evaluation, cleaned=Interval(0.5, 0.4, 0.6), seen=3)
    lines = terminal.result(cleaned, console=console(120)).splitlines()
    assert lines[1] == (
        "without 3 images with a duplicate or near-duplicate in another split: 50.0% (95% CI 40.0% to 60.0%, n = 12)"
    )
    nothing_left = replace(world.evaluation, seen=world.evaluation.n)
    assert "every image has a duplicate" in terminal.result(nothing_left, console=console(120))


def test_caveats_stand_below_the_number_and_an_option_to_copy_is_never_broken(world):
    option = r"--group-regex '((?:NORMAL2[-_. ()])?[^/]*?\d+[A-Za-z]*)[-_. ()][^/]*$'"
    caveat = Caveat("likely-groups", "160 of 264 test images may show a known subject.", f"Train again with {option}.")
    lines = terminal.result(replace(world.evaluation, caveats=(caveat,)), console=console()).splitlines()
    assert lines[1] == "caution: 160 of 264 test images may show a known subject."
    assert lines[2] == f"  Train again with {option}."


def test_matrix_shows_every_count_and_dots_for_zeros(world):
    rows = terminal.confusion(world.evaluation, console()).splitlines()[-3:]
    for row, counts in zip(rows, world.evaluation.confusion, strict=True):
        assert row.split()[1:] == [str(c) if c or i == rows.index(row) else "." for i, c in enumerate(counts)]


def test_long_names_become_numbers_over_the_columns(make_world):
    names = ("Ankle boot", "T-shirt/top", "Trouser")
    lines = terminal.confusion(make_world(names=names).evaluation, console()).splitlines()
    assert lines[1].split() == ["0", "1", "2"]
    assert lines[2].startswith("0 Ankle boot")


def test_too_many_classes_become_the_worst_pairs(make_world):
    many = make_world(names=tuple(f"sign {i}" for i in range(43)), wrong=9)
    text = terminal.confusion(many.evaluation, console())
    assert "most frequent confusions" in text
    assert len(text.splitlines()) == 2 + 8
    assert terminal.confusion(make_world(names=tuple(map(str, range(43))), wrong=0).evaluation, console()) == (
        "no image was misclassified"
    )


def test_everything_fits_into_80_columns(make_world):
    long = make_world(names=tuple(f"a very long name of the class with number {i}" for i in range(12)))
    for text in (
        terminal.result(long.evaluation, "runs/x/report.html", console()),
        terminal.audit(long.audit, console()),
    ):
        assert max(map(len, text.splitlines())) <= 80


def test_result_ends_with_the_report_and_names_the_weakest(world):
    text = terminal.result(world.evaluation, "runs/x/report.html", console())
    assert text.startswith(terminal.headline(world.evaluation))
    assert text.endswith("report  runs/x/report.html")
    weakest = text[text.index("lowest F1") :].splitlines()[1]
    assert weakest.split() == ["cat", "0.900", "0.700", "0.750", str(world.evaluation.per_class[0].support)]


def test_color_only_where_the_console_has_it(world):
    assert "\x1b[" not in terminal.result(world.evaluation, "", console())
    assert "\x1b[1;32m" in terminal.result(world.evaluation, "", console(color=True))


def test_an_old_console_and_hostile_names(make_world):
    names = ("猫", "[red]dog[/red]", "esc\x1b[2Jape")
    hostile = make_world(names=names)
    text = terminal.result(hostile.evaluation, "r.html", console(encoding="ascii"))
    text += terminal.audit(hostile.audit, console(encoding="ascii"))
    text.encode("ascii")
    assert "[red]dog[/red]" in text
    assert "\x1b" not in text
    assert "####" in text


def test_audit_puts_the_severe_first(world):
    text = terminal.audit(world.audit, console())
    assert text.startswith("small world: 60 images, 3 classes")
    assert text.index("severe: 1 image stands") < text.index("info: The classes")
    assert "a/1.png  =  b/1.png" in text
    assert "unreadable     1 image" in text


PROBES = tuple(
    Probe(name, Interval(0.412, 0.3, 0.5), 0.2, 0.398, 250, verdict, "")
    for name, verdict in (
        ("picture", "reference"), ("centre", "reference"), ("middle", "reference"), ("metadata", "quiet"),
        ("corners", "alarm"), ("surround", "quiet"),
    )
)  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 120])
def test_shortcut_checks_are_readable_at_every_width(world, width):
    text = terminal.audit(replace(world.audit, probes=PROBES, findings=()), console(width))
    shown = text[text.index("class predicted from") :]
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown and "centre" not in shown
    heading = " ".join(shown[: shown.index("aspect  ")].split())
    assert heading == "class predicted from one aspect alone (accuracy by chance: 20.0%)"
    for words in ("accuracy", "mean recall", "suspicious", "small square in the ", "center masked"):
        assert words in " ".join(shown.split())


def test_shortcut_checks_come_before_those_for_comparison(world):
    text = terminal.audit(replace(world.audit, probes=PROBES), console())
    assert "file: size, format, JPEG quality, EXIF" in text
    assert text.index("corners only") < text.index("for comparison:") < text.index("16 x 16 px image")


def test_audit_of_very_many_classes_shows_the_ends(make_world):
    text = terminal.audit(make_world(names=tuple(f"c{i:03d}" for i in range(100)), each=2).audit, console())
    assert "the 10 largest and the 10 smallest of 100 classes" in text
    assert len(text.splitlines()) < 45


def test_suspects_and_what_they_mean_for_the_accuracy_are_one_line(world):
    suspect = Suspect("a.png", "aa", "test", "cat", "dog", 0.01, 0.9)
    found = LabelSuspects(60, "by hand", 0.9, 0.02, (suspect,), (), AccuracyRange(15, 1, 0.8, 0.733, 0.8, 0.733))
    told = " ".join(terminal.result(world.evaluation, console=console(), labels=found).split())
    assert "1 of 60 labels are suspicious; 1 of them in the test set: if they are wrong, its accuracy is 0.733" in told
    sure = replace(found, precision=0.827)
    told = " ".join(terminal.result(world.evaluation, labels=sure, console=console()).split())
    assert "1 of 60 labels are suspicious (estimated: 83% of them wrong); 1 of them" in told
    alike = replace(found, suspects=(), doubtful=(suspect,), detectable=0.2, accuracy_range=None)
    told = " ".join(terminal.result(world.evaluation, labels=alike, console=console()).split())
    assert "none of 60 labels is suspicious: the 0 classes are too similar" in told
    assert "the 1 least probable are listed for review only" in told
    assert "suspect" not in terminal.result(world.evaluation, console=console())


def test_changes_since_a_run_are_named_and_long_lists_cut():
    added = tuple(f"new/{i}.png" for i in range(20))
    since = DatasetChanges("a", "b", 7, added, (), (), (), (Change("cat/1.png", "cat", "dog"),), (), ())
    told = terminal.changes(since, console())
    assert "7 images unchanged" in told
    assert "added: 20 images" in told
    assert "and 12 more" in told
    assert "cat/1.png: cat -> dog" in told
    assert "removed" not in told
    same = DatasetChanges("a", "a", 7, (), (), (), (), (), (), ())
    assert terminal.changes(same, console()) == "nothing has changed since the run"
