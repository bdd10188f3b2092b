"""``keensight notebook``, run in this process."""

import json
from pathlib import Path


def sources(path):
    cells = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_the_tour_is_written_for_a_folder_and_never_over_a_file(answer, document, photos):
    written = document("notebook", "photos", "--group-regex", r"(\d+)")
    assert (written["notebook"], written["source"]) == ("photos.ipynb", "photos")
    assert written["reading"]["layout"] == "folder per class"
    assert any('ks.open("photos", group_regex=' in text for text in sources("photos.ipynb"))
    before = Path("photos.ipynb").read_bytes()
    again = answer("notebook", "photos", code=2)
    assert "photos.ipynb already exists" in again.err
    assert Path("photos.ipynb").read_bytes() == before


def test_a_tour_elsewhere_finds_the_images_from_there(answer, photos):
    answer("notebook", "photos", "--out", "deep/er/tour.ipynb")
    assert any('ks.open("../../photos")' in text for text in sources("deep/er/tour.ipynb"))


def test_a_tour_needs_images_and_the_ending_of_a_notebook(answer, photos):
    assert "not a notebook file name" in answer("notebook", "photos", "--out", "tour.py", code=2).err
    answer("notebook", "phtoos", code=1)
    assert not list(Path().glob("*.ipynb"))
