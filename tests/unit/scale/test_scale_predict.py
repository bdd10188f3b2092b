import pytest

from keensight.scale.predict import Tally, _cause


def test_the_beginnings_of_each_part_are_counted():
    tally = Tally()
    assert [tally.begin(number) for number in (3, 3, 4, 3)] == [1, 2, 1, 3]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("ray::Map()\n  File x\nValueError: no such\n\nTo change retry attempts, see", "ValueError: no such"),
        ("ray.exceptions.ActorDiedError: it died\n\tclass_name: Worker", "ray.exceptions.ActorDiedError: it died"),
        ("something else", "something else"),
        ("", "without a word"),
    ],
)
def test_of_the_many_lines_of_an_error_the_one_that_names_it_is_shown(text, cause):
    assert _cause(text) == cause
