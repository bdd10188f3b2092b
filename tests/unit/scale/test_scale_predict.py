from keensight.scale.predict import Tally


def test_the_beginnings_of_each_part_are_counted():
    tally = Tally()
    assert [tally.begin(number) for number in (3, 3, 4, 3)] == [1, 2, 1, 3]
