from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keensight.core.sanitize import guarded, unguarded, unsteered, visible


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("\x1b[31mred", "\\x1b[31mred"), ("bell\a", "bell\\x07"), ("abc\u202egnp.exe", "abc\\u202egnp.exe"),
        ("\x9b31m", "\\x9b31m"), ("a\nb", "a\\nb"), ("caf\udce9", "caf\\udce9"),
        ("Ñandú 猫 a\u00a0b", "Ñandú 猫 a\u00a0b"),
    ],
)  # fmt: skip
def test_what_would_steer_a_terminal_is_escaped(text: str, want: str) -> None:
    assert visible(text) == want


def test_lines_may_be_kept() -> None:
    assert visible("a\n\x1bb", keep="\n") == "a\n\\x1bb"


@pytest.mark.parametrize(
    ("cell", "want"),
    [
        ("=1+1", "'=1+1"), ("+cmd", "'+cmd"), ("-dir/x.png", "'-dir/x.png"), ("@SUM(A1)", "'@SUM(A1)"), ("\tx", "'\tx"),
        ("\r=1", "'\r=1"), ("'=1", "''=1"), ("-0.25", "-0.25"), ("+3e-05", "+3e-05"), ("a=b", "a=b"), ("'tis", "'tis"),
        (-1.5, -1.5), (None, None), (True, True),
    ],
)  # fmt: skip
def test_no_cell_is_a_formula(cell: Any, want: Any) -> None:
    assert guarded(cell) == want


@given(st.text("'=+-@\t\r\n1a.", max_size=8))
def test_every_cell_comes_back(text: str) -> None:
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("\x1b[31mred", "\\u001b[31mred"), ("abc\u202egnp.exe", "abc\\u202egnp.exe"),
        ("\u2066a\u2069", "\\u2066a\\u2069"), ("a\u2028b", "a\\u2028b"), ("\x7f\x9b", "\\u007f\\u009b"),
        ("a\tb\nc", "a\tb\nc"), ("👩\u200d👧 می\u200cخواهم Ñandú", "👩\u200d👧 می\u200cخواهم Ñandú"),
    ],
)  # fmt: skip
def test_a_page_shows_joined_signs_but_no_change_of_direction(text: str, want: str) -> None:
    assert unsteered(text) == want
