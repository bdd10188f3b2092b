"""Groups of images as numbers."""

from keensight.core.records import group_numbers


def test_images_without_a_group_are_each_one_of_their_own() -> None:
    found = group_numbers(["p", None, "p", None])
    assert found is not None
    assert found[0] == found[2]
    assert len(set(found.tolist())) == 3


def test_a_group_called_like_an_image_is_not_that_image() -> None:
    found = group_numbers([None, "image 0"])
    assert found is not None and found[0] != found[1]


def test_no_groups_are_no_numbers() -> None:
    assert group_numbers([None, None]) is None
