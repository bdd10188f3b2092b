"""What several modules need is defined in one of them."""

import re
from pathlib import Path

import pytest

import keensight

ROOT = Path(keensight.__file__).parent


@pytest.mark.parametrize(
    ("what", "pattern", "place"),
    [
        ("the order of severities", r"""(["'])severe\1:? ?\d?, ?(["'])warning\2""", "core/audit.py"),
        ("what decoded images are", r"class Pixels\b", "core/decoded.py"),
        ("the number of processors", r"sched_getaffinity\(", "core/parallel.py"),
        ("how a learning curve is drawn", r"def draw_curve\b", "show/figures.py"),
        ("what an effort means", r"""(["'])(quick|standard|best)\1: ?Effort\(""", "core/effort.py"),
    ],
)
def test_it_is_defined_in_one_place(what, pattern, place):
    texts = {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in ROOT.rglob("*.py")}
    assert [name for name, text in texts.items() if re.search(pattern, text)] == [place], what
