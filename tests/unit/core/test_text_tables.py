"""Encoding, delimiter and cells of text tables."""

import pytest

from keensight.core import text_tables
from keensight.core.text_tables import decode, read_cells


def is_image(cell):
    return cell.endswith(".png")


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        ("path,ü\n".encode(), "UTF-8"),
        ("path,ü\n".encode("utf-8-sig"), "UTF-8"),
        ("path,ü\n".encode("utf-16"), "UTF-16"),
        ("path,ü\n".encode("utf-16-le"), "UTF-16"),
        ("path,ü\n".encode("utf-16-be"), "UTF-16"),
        ("path,ü\n".encode("utf-32"), "UTF-32"),
        ("\ufeffpath,ü\n".encode("utf-32-be"), "UTF-32"),
        ("\ufeffpath,ü\n".encode("utf-16-be"), "UTF-16"),
        ("path,ü\n".encode("cp1252"), "Windows-1252"),
        (b"path,\x81\n", "Latin-1"),
    ],
)
def test_the_encoding_is_found(data, encoding):
    text, name = decode(data)
    assert name == encoding
    assert text[5:] in ("ü\n", "\x81\n")


def test_a_damaged_character_does_not_change_the_others():
    text, name = decode("äöü,ß".encode() + b"\xff")
    assert (text, name) == ("äöü,ß\ufffd", "UTF-8 with damaged characters (1)")


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        ("äö".encode() + b"\xff", "UTF-8 with damaged characters (1)"),
        ("ä".encode() + b"\xff", "Windows-1252"),
        ("ä".encode() + b"\xff\xff", "Windows-1252"),
        ("äöü".encode() + b"\xff\xff", "UTF-8 with damaged characters (2)"),
        (b"cat\xff", "Windows-1252"),
    ],
)
def test_text_is_damaged_utf8_only_if_most_of_its_foreign_characters_are_whole(data, encoding):
    assert decode(data)[1] == encoding


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_may_have_words_in_another_script(codec):
    text = "a.png,кот\nb.png,пёс\n"  # 14 of 20 characters are ASCII
    assert decode(text.encode(codec)) == (text, "UTF-16")


@pytest.mark.parametrize("data", [bytes(range(256)), b"PK\x03\x04", b"path,label\0\n"])
def test_what_is_not_text_is_refused(data):
    with pytest.raises(ValueError, match="not a text file"):
        decode(data)


@pytest.mark.parametrize(
    ("text", "delimiter", "rows"),
    [
        ("path;age\na.png;3,5\n", ";", [["path", "age"], ["a.png", "3,5"]]),
        ("a.png;3,5\nb.png;4,1\n", ";", [["a.png", "3,5"], ["b.png", "4,1"]]),
        ("a.png,cat;dog\nb.png,dog;cow\n", ",", [["a.png", "cat;dog"], ["b.png", "dog;cow"]]),
        ("a.png,cat|dog\nb.png,dog|cow\n", ",", [["a.png", "cat|dog"], ["b.png", "dog|cow"]]),
        ("my a.png 0\nmy b.png 1\n", " ", [["my a.png", "0"], ["my b.png", "1"]]),
        ("a.png great dane\nb.png cat\n", " ", [["a.png", "great dane"], ["b.png", "cat"]]),
        ("image label\na cat\nb dog\n", " ", [["image", "label"], ["a", "cat"], ["b", "dog"]]),
        ("sep=;\na;b\n", ";", [["a", "b"]]),
        ("file, cat\na.png, 1\n", ",", [["file", "cat"], ["a.png", "1"]]),
        ("a,b,\n1,2,,\n\n,,\n", ",", [["a", "b"], ["1", "2"]]),
        ("a,b\r1,2\r", ",", [["a", "b"], ["1", "2"]]),
        ('a,"b,c"\n', ",", [["a", "b,c"]]),
        ('a,"big" b\n', ",", [["a", "big b"]]),
        ("one\ntwo\n", ",", [["one"], ["two"]]),
        ("name;note\nw\nx\ny\nz;1\n", ";", [["name", "note"], ["w"], ["x"], ["y"], ["z", "1"]]),
        ("title\na;b\nc;d\n", ";", [["title"], ["a", "b"], ["c", "d"]]),
        ("a.png x,b.png\nc.png y,d.png\n", ",", [["a.png x", "b.png"], ["c.png y", "d.png"]]),
        ("a.png 1 x,b.png\nc.png 2 y,d.png\n", " ", [["a.png", "1", "x,b.png"], ["c.png", "2", "y,d.png"]]),
        ("a.png cat\nb.png\n", ",", [["a.png cat"], ["b.png"]]),  # the second line is a path alone
        ('a, "b, c"\n', ",", [["a", "b, c"]]),
        ('name, "x;y;z;u, w"\nb, c\n', ",", [["name", "x;y;z;u, w"], ["b", "c"]]),
        ("", ",", []),
    ],
)
def test_delimiter_and_cells(text, delimiter, rows):
    found = read_cells(text.encode(), is_image)
    assert (found.delimiter, found.rows) == (delimiter, rows)


def test_lines_are_those_of_the_file():
    assert read_cells(b'sep=,\na,b\n\n"1\n2",3\n').lines == [2, 5]

    assert read_cells(b'a,b\n\n"1\n2",3\n').lines == [1, 4]


def test_a_known_delimiter_is_taken_as_it_is():
    assert read_cells(b"a;b,c\n1;2,3\n", delimiter=";").rows == [["a", "b,c"], ["1", "2,3"]]
    assert read_cells(b"my a.png 0\nmy b.png 1\n", is_image, " ").rows == [["my a.png", "0"], ["my b.png", "1"]]
    assert read_cells(b"a b\nc d\n", delimiter=" ").rows == [["a", "b"], ["c", "d"]]


def test_a_header_may_lack_the_name_of_the_row_numbers():
    found = read_cells(b"path;label\n1;a.png;cat, x, y, z\n2;b.png;dog, y, z, w\n")
    assert found.delimiter == ";"
    assert found.rows[:2] == [["path", "label"], ["1", "a.png", "cat, x, y, z"]]


def test_an_open_quotation_mark_is_refused():
    with pytest.raises(ValueError, match="not closed"):
        read_cells(b'a,"b\nc,d\n')


def test_the_header_decides_between_delimiters_of_a_ragged_table():
    """Decimal commas are in more rows than the semicolon, but not in the header."""
    found = read_cells(b"name;note\n1,5;x\n2,5\n3,5\n")
    assert found.delimiter == ";"
    assert found.rows == [["name", "note"], ["1,5", "x"], ["2,5"], ["3,5"]]


def test_empty_lines_between_paths_with_spaces_are_passed_over():
    table = read_cells(b"my cat.png cat\n\n  \nmy dog.png dog\n", is_image)
    assert table.rows == [["my cat.png", "cat"], ["my dog.png", "dog"]]
    assert table.lines == [1, 4]


@pytest.mark.parametrize("end", ["\n", "\r"])
def test_delimiters_are_looked_for_in_the_whole_lines_of_the_beginning(monkeypatch, end):
    monkeypatch.setattr(text_tables, "_EXAMINED", 7)
    assert text_tables._beginning(f"a,b{end}c,d") == f"a,b{end}c,d"
    assert text_tables._beginning(f"a,b{end}c,d{end}") == f"a,b{end}"
    assert text_tables._beginning("a,b,c,d,e,f") == "a,b,c,d,e,f"
