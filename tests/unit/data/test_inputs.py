import pytest

from keensight.data.inputs import find_images
from keensight.errors import DataError


@pytest.fixture
def folder(tmp_path):
    for name in ("a10.png", "a2.png", "sub/b.jpg", "notes.txt"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x")
    return tmp_path


def test_a_folder_is_searched_through_in_natural_order(folder):
    assert [str(p.relative_to(folder)) for p in find_images(folder)] == ["a2.png", "a10.png", "sub/b.jpg"]


def test_a_pattern_takes_only_images(folder):
    assert [p.name for p in find_images(f"{folder}/*")] == ["a2.png", "a10.png"]
    assert [p.name for p in find_images(f"{folder}/**/*.jpg")] == ["b.jpg"]


def test_a_file_is_taken_as_it_is_even_if_missing(folder):
    assert find_images(folder / "notes.txt") == [folder / "notes.txt"]
    assert find_images(folder / "none.png") == [folder / "none.png"]


def test_a_name_with_brackets_that_exists_is_no_pattern(folder):
    odd = folder / "a[1].png"
    odd.write_bytes(b"x")
    assert find_images(odd) == [odd]


@pytest.mark.parametrize("name", ["empty", "*.gif"])
def test_nothing_found_is_one_clear_error(folder, name):
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        find_images(folder / name)
