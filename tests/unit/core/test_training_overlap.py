"""What was left out of an evaluation, in words and numbers."""

from keensight.core.training_overlap import LeftOut


def test_nothing_left_out_needs_no_words():
    assert LeftOut().sentences() == []
    assert LeftOut().counts == {"same_file": 0, "same_pixels": 0, "look_alike": 0}


def test_sentences_say_how_many_and_how_they_were_recognized():
    found = LeftOut((1, 2), (), (5,), same_group=4, notes=("b does not record it",)).sentences()
    assert found[0].startswith("3 training images not evaluated")
    assert found[0].endswith("2 the same file, 1 a compressed, resized or gray copy")
    assert "4 images evaluated here share a group" in found[1]
    assert found[2] == "b does not record it"


def test_of_two_models_an_image_counts_once_for_the_surest_way():
    one, other = LeftOut((1,), (2,), (3, 4), 1, ("a",)), LeftOut((3,), (4,), (2, 5), 2, ("a", "b"))
    both = one.joined(other)
    assert (both.same_file, both.same_pixels, both.look_alike) == ((1, 3), (2, 4), (5,))
    assert (both.same_group, both.notes) == (2, ("a", "b"))
    assert both.rows == {1, 2, 3, 4, 5}
