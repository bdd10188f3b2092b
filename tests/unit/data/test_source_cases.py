"""Every source of *Which sources work* (``docs/sources.md``): what is said of it, and what is read."""

import importlib.util

import pytest

import keensight as ks
from keensight.core.progress import Silent
from keensight.core.reading import reading_lines
from sources import SECTIONS, all_cases

CASES = all_cases()


@pytest.mark.parametrize("case", CASES, ids=[f"{case.section}: {case.name}" for case in CASES])
def test_the_source_is_understood_as_the_documentation_says(case, tmp_path):
    if case.needs and importlib.util.find_spec(case.needs) is None:
        pytest.skip(f"{case.needs} is not installed")
    place = tmp_path / "photos"
    place.mkdir()
    source = case.build(place)
    if case.outcome == "refused":
        with pytest.raises(ks.KeensightError) as caught:
            ks.open(source, progress=Silent(), **case.options)
        assert case.sentence in f"{caught.value.message}; {caught.value.hint}"
        return
    data = ks.open(source, progress=Silent(), **case.options)
    line, *warnings = reading_lines(data)
    assert case.sentence in "\n".join([line, *warnings])
    assert bool(warnings) == (case.outcome == "told")
    assert (data.class_names, len(data)) == (case.classes, case.images)


def test_no_case_is_there_twice():
    names = [(case.section, case.name, str(case.options)) for case in CASES]
    assert len(set(names)) == len(names) and {case.section for case in CASES} <= set(SECTIONS)
