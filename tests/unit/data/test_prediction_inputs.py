import os
import sys
from pathlib import Path

import pandas as pd
import pytest

from keensight.core.pixels import decode
from keensight.core.records import ImageSpec
from keensight.core.sources import Unread, name_of, read_source
from keensight.data.sources.prediction_inputs import find_images, find_inputs, in_words
from keensight.errors import DataError, ImageError
from sources import pictures

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


@pytest.fixture
def folder(tmp_path):
    for name in ("a10.png", "a2.png", "sub/b.jpg", "notes.txt", "Thumbs.db", ".DS_Store", "IMG_1.HEIC", "sub/c.JSON"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(HEIC if name.endswith("HEIC") else b"x")
    return tmp_path


def _names(folder, found):
    return [path.relative_to(folder).as_posix() for path in found.images]


def test_a_folder_is_searched_through_in_natural_order(folder):
    assert _names(folder, find_images(folder)) == ["IMG_1.HEIC", "a2.png", "a10.png", "sub/b.jpg"]


def test_what_lies_beside_images_is_counted_and_litter_is_not(folder):
    assert find_images(folder).companions == {".txt": 1, ".json": 1}
    assert in_words({".txt": 1, ".json": 2}) == "3 files are not images (2 .json, 1 .txt)"
    assert in_words({".txt": 1}) == "1 file is not an image (.txt)"
    assert find_inputs([folder, folder / "sub"]).companions == {".txt": 1, ".json": 2}


def test_a_file_of_no_image_format_says_so_itself(folder, monkeypatch):
    (heic,) = [path for path in find_images(folder).images if path.suffix == ".HEIC"]
    monkeypatch.setitem(sys.modules, "pi_heif.as_plugin", None)
    with pytest.raises(ImageError, match=r"it is a HEIC photo, which needs an extra: pip install 'keensight\[heic\]'"):
        decode(read_source(heic), ImageSpec(8, 8))


def test_a_pattern_takes_what_a_folder_takes(folder):
    assert _names(folder, find_images(f"{folder}/*")) == ["IMG_1.HEIC", "a2.png", "a10.png"]
    assert _names(folder, find_images(f"{folder}/**/*.jpg")) == ["sub/b.jpg"]
    assert find_images(f"{folder}/*").companions == {".txt": 1}


def test_a_file_is_taken_as_it_is_even_if_missing(folder):
    assert find_images(folder / "notes.txt").images == [folder / "notes.txt"]
    assert find_images(folder / "none.png").images == [folder / "none.png"]
    with pytest.raises(ImageError, match="null byte"):
        read_source(*find_images("a\0b.png").images)


def test_a_name_with_brackets_that_exists_is_no_pattern(folder):
    odd = folder / "a[1].png"
    odd.write_bytes(b"x")
    assert find_images(odd).images == [odd]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_pipes_and_broken_links_of_a_folder_are_rows(folder):
    os.mkfifo(folder / "sub" / "p.png")
    (folder / "sub" / "gone.png").symlink_to("nowhere.png")
    for given in (folder / "sub", f"{folder}/sub/*.png"):
        reasons = {}
        for source in find_images(given).images:
            try:
                read_source(source)
            except ImageError as error:
                reasons[Path(source.path if isinstance(source, Unread) else source).name] = error.message
        assert reasons["gone.png"] == "the file is missing"
        assert reasons["p.png"].startswith("not a regular file")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_names_that_are_no_utf8_are_read_and_shown_escaped(folder):
    odd = Path(os.fsdecode(os.fsencode(folder) + b"/sub/caf\xe9.png"))
    odd.write_bytes(b"x")
    for given in (folder / "sub", f"{folder}/sub/*.png"):
        assert odd in find_images(given).images
    assert name_of(odd, 0) == f"{folder}/sub/caf\\udce9.png"


@pytest.mark.parametrize(("name", "message"), [("empty", "contains no images$"), ("*.gif", "contains no images$"),
    ("texts", r"contains no images: 1 file is not an image \(.txt\)")])  # fmt: skip
def test_nothing_found_is_one_clear_error(folder, name, message):
    (folder / "empty").mkdir()
    (folder / "texts").mkdir()
    (folder / "texts" / "a.txt").touch()
    with pytest.raises(DataError, match=message):
        find_images(folder / name)


def test_a_table_is_its_column_of_paths():
    frame = pd.DataFrame({"n": [1, 2], "File_Name": ["a.png", None]})
    first, second = find_inputs(frame).images
    assert str(first) == "a.png" and second == Unread("the path is missing")


@pytest.mark.parametrize(
    ("columns", "message"),
    [(["a", "b"], "no path column.*; its columns are: a, b"), (["path", "image"], "2 columns")],
)
def test_a_table_whose_paths_cannot_be_told_names_its_columns(columns, message):
    with pytest.raises(DataError, match=message):
        find_inputs(pd.DataFrame({column: ["x"] for column in columns}))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("test.csv", "id,note\n1,x\n2,y\n"),
        ("list.txt", "images/1.png\nimages/2.png\n"),
        ("list.jsonl", '{"image": "images/1.png"}\n{"image": "images/2.png"}\n'),
    ],
)
def test_a_table_that_is_given_itself_lists_images(tmp_path, name, text):
    pictures(tmp_path, "images/{1-2}.png")
    (tmp_path / name).write_text(text)
    assert find_inputs(tmp_path / name).images == [tmp_path / "images/1.png", tmp_path / "images/2.png"]


def test_a_text_that_lists_nothing_is_taken_as_it_is_and_a_table_without_paths_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("shot at dusk\n")
    assert find_inputs(tmp_path / "notes.txt").images == [tmp_path / "notes.txt"]
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="no path column"):
        find_inputs(tmp_path / "t.csv")
