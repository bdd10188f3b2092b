"""Corrections find their images by content, change what was decided and nothing else, and refuse what does not fit."""

import pytest

from keensight.core.labels import Correction, read_corrections, write_corrections
from keensight.core.records import Dataset, LabelSet, Sample
from keensight.data.corrections import apply_corrections
from keensight.errors import DataError


def dataset():
    samples = (
        Sample("cat/1.png", "cat", "aa"),
        Sample("cat/2.png", "cat", "bb"),
        Sample("dog/3.png", "dog", "cc"),
        Sample("dog/copy of 1.png", "dog", "aa"),
        Sample("dog/broken.png", "dog", "", error="the file is empty"),
    )
    return Dataset("pets", "folder", LabelSet(("cat", "dog")), samples)


def labels(data):
    return {sample.path: sample.label for sample in data.samples}


def test_what_was_decided_is_changed_and_counted():
    decisions = [
        Correction("cat/2.png", "bb", "cat", "relabel", "dog"),
        Correction("dog/3.png", "cc", "dog", "drop", ""),
        Correction("cat/1.png", "aa", "cat", "keep", "cat"),
    ]
    data, applied = apply_corrections(dataset(), decisions)
    assert labels(data) == {
        "cat/1.png": "cat", "cat/2.png": "dog", "dog/copy of 1.png": "dog", "dog/broken.png": "dog",
    }  # fmt: skip
    assert (applied.relabelled, applied.dropped, applied.kept, applied.already) == (1, 1, 1, 0)
    assert applied.sentence() == "corrections: 1 relabeled, 1 dropped, 1 kept as they are"
    assert [skipped.path for skipped in data.skipped] == ["dog/3.png"]
    assert data.digest != dataset().digest
    assert data.labels == dataset().labels


def test_only_the_copy_with_the_label_that_was_looked_at_is_changed():
    data, applied = apply_corrections(dataset(), [Correction("dog/copy of 1.png", "aa", "dog", "relabel", "cat")])
    assert labels(data)["cat/1.png"] == labels(data)["dog/copy of 1.png"] == "cat"
    assert applied.relabelled == 1


def test_a_moved_image_is_found_by_its_content():
    data, _ = apply_corrections(dataset(), [Correction("old/place.png", "bb", "cat", "relabel", "dog")])
    assert labels(data)["cat/2.png"] == "dog"


def test_a_line_without_a_digest_is_found_by_its_path():
    data, _ = apply_corrections(dataset(), [Correction("cat/2.png", "", "cat", "drop", "")])
    assert "cat/2.png" not in labels(data)


def test_a_second_application_changes_nothing():
    decisions = [Correction("cat/2.png", "bb", "cat", "relabel", "dog")]
    once, _ = apply_corrections(dataset(), decisions)
    twice, applied = apply_corrections(once, decisions)
    assert twice.digest == once.digest
    assert (applied.relabelled, applied.already) == (0, 1)


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        ([Correction("cat/2.png", "bb", "cat", "relabel", "dgo")], "'dgo', which is not a class of pets"),
        ([Correction("gone.png", "ee", "cat", "drop", "")], "1 image missing from pets: gone.png"),
        ([Correction("cat/2.png", "ee", "cat", "drop", "")], "that changed since the review: cat/2.png"),
        ([Correction("cat/2.png", "bb", "dog", "keep", "dog")], "cat/2.png is 'cat' now and was 'dog'"),
        (
            [Correction("cat/2.png", "bb", "cat", "drop", ""), Correction("b", "bb", "cat", "keep", "cat")],
            "contradict each other",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(decisions, message):
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        apply_corrections(dataset(), decisions)


def test_the_table_comes_back_as_it_was_written(tmp_path):
    decisions = (
        Correction('odd, "name"\n.png', "aa", "cat", "relabel", "Ñandú"),
        Correction("b.png", "bb", "dog", "drop", ""),
    )
    write_corrections(tmp_path / "c.csv", decisions)
    assert read_corrections(tmp_path / "c.csv") == decisions


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no corrections file"),
        ("path,label\n", "has no column 'digest'"),
        ("path,digest,given,action,label\na,b,cat,rename,dog\n", "line 2: the action is 'rename'"),
        ("path,digest,given,action,label\na,b,cat,relabel,\n", "line 2: a has no label"),
        ("path,digest,given,action,label\n\x00\xff", "no column|cannot be read|the action is"),
    ],
)
def test_a_bad_table_is_refused(tmp_path, text, message):
    table = tmp_path / "c.csv"
    if text is not None:
        table.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=message):
        read_corrections(table)


def test_a_table_saved_again_by_a_spreadsheet_is_read(tmp_path):
    decision = Correction("b.png", "bb", "dog", "relabel", "Kätzchen")
    write_corrections(tmp_path / "c.csv", [decision])
    text = (tmp_path / "c.csv").read_text(encoding="utf-8").replace(",", ";").replace("\n", ";;\r\n")
    (tmp_path / "c.csv").write_bytes(text.encode("cp1252"))
    assert read_corrections(tmp_path / "c.csv") == (decision,)
