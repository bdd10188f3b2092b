from __future__ import annotations

import pytest

from keensight.core.deprecation import renamed


@renamed(label="class_name")
def explain(*, class_name: str = "none") -> str:
    return class_name


def test_a_former_name_works_and_warns() -> None:
    with pytest.warns(DeprecationWarning, match=r"explain\(label=...\) is now explain\(class_name=...\)"):
        assert explain(label="cat") == "cat"  # type: ignore[call-arg]


def test_both_names_at_once_are_refused_as_python_does() -> None:
    with (
        pytest.warns(DeprecationWarning),
        pytest.raises(TypeError, match=r"explain\(\) got both 'label', its former name, and 'class_name'"),
    ):
        explain(label="cat", class_name="dog")  # type: ignore[call-arg]
