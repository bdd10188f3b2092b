"""Tables: the same rows in any file are the same dataset, and no row is lost without a word."""

import csv
import gzip
import io
import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import keensight as ks
from keensight.core.codec import to_plain
from keensight.core.progress import Silent
from keensight.data.sources.tables import NO_LABEL
from sources import pictures

pytestmark = pytest.mark.slow  # seconds in all

N = 8
CLASSES = ("cat", "Kätzchen", "great dane", "007", "7", "1.5", "x;y", "a, b", 'say "hi"', "None", "-1", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("photos"), f"{{1-{N}}}.png")


def text(rows, delimiter=","):
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter).writerows([list(rows[0]), *(row.values() for row in rows)])
    return stream.getvalue()


def write_frame(method, **options):
    def write(path, rows):
        import pandas as pd

        getattr(pd.DataFrame(rows), method)(path, **options)

    return write


FILES = {
    "utf8.csv": lambda path, rows: path.write_bytes(text(rows).encode()),
    "mark.csv": lambda path, rows: path.write_bytes(text(rows).encode("utf-8-sig")),
    "semicolon.csv": lambda path, rows: path.write_bytes(text(rows, ";").encode()),
    "latin.csv": lambda path, rows: path.write_bytes(text(rows).encode("cp1252")),
    "unicode.txt": lambda path, rows: path.write_bytes(text(rows, "\t").encode("utf-16")),
    "tab.tsv": lambda path, rows: path.write_bytes(text(rows, "\t").encode()),
    "bar.csv": lambda path, rows: path.write_bytes(text(rows, "|").encode()),
    "packed.csv.gz": lambda path, rows: path.write_bytes(gzip.compress(text(rows).encode())),
    "trailing.csv": lambda path, rows: path.write_text(text(rows).replace("\r\n", ",\r\n"), encoding="utf-8"),
    "lines.jsonl": lambda path, rows: path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8"),
    "records.json": lambda path, rows: path.write_text(json.dumps(rows), encoding="utf-8"),
    "table.parquet": write_frame("to_parquet"),
    "table.xlsx": write_frame("to_excel", index=False),
}


@settings(max_examples=12)
@given(labels=st.lists(st.sampled_from(CLASSES), min_size=N, max_size=N), splits=st.booleans(), facts=st.data())
def test_the_same_rows_in_any_file_are_the_same_dataset(folder, labels, splits, facts):
    assume(len(set(labels)) > 1)
    rows = [{"path": f"{i}.png", "label": label} for i, label in enumerate(labels, start=1)]
    for row in rows:
        row["note"] = facts.draw(st.sampled_from(["", "dark", "b, c", "0815"])) or None
        if splits:
            row["split"] = facts.draw(st.sampled_from(["train", "valid", "test"]))
    found = set()
    for name, write in FILES.items():
        write(folder / name, rows)
        data = ks.open(folder / name, progress=Silent())
        found.add(
            json.dumps([[s.path, s.label, s.split, s.digest, dict(s.metadata)] for s in data] + list(data.class_names))
        )
    assert len(found) == 1


PATHS = st.sampled_from([*(f"{i}.png" for i in range(1, N + 1)), "1.PNG", "2", ".\\3.png", "gone.png", "", " "])
LABELS = st.sampled_from(["cat", "dog", "cat|dog", "a,b", "NA", "nan", "None", "", "  ", "1", "1.0", '"', "x y", "[1]"])
OTHERS = st.sampled_from(["", "NA", "0", "1", "3.5", "train", "test", "p1", "p2", "\u00e9"])
HEADERS = st.sampled_from([("path", "label", "x"), ("id", "dx", "split"), ("x", "image", "class"), ("a", "b", "c")])


@settings(max_examples=150)
@given(header=HEADERS, rows=st.lists(st.tuples(PATHS, LABELS, OTHERS), min_size=1, max_size=12))
def test_no_row_is_lost_without_a_word(folder, header, rows):
    assume(all(any(cell.strip() for cell in row) for row in rows))
    stream = io.StringIO()
    csv.writer(stream).writerows([header, *rows])
    (folder / "random.csv").write_text(stream.getvalue(), encoding="utf-8")
    try:
        data = ks.open(folder / "random.csv", progress=Silent())
    except ks.DataError as error:
        assert error.message and error.hint
        return
    assert len(data) + len(data.skipped) == len(rows)
    lost = [item for item in data.skipped if item.reason == NO_LABEL or item.reason == "no path"]
    unread = [sample for sample in data if sample.error]
    assert bool(data.reading.warnings) or not (lost or unread)


def pixels(path, rows):
    header = ",".join(["label", *(f"pixel{i}" for i in range(64))])
    lines = [",".join([row["label"], *(str(7 * i % 256) for i in range(64))]) for row in rows]
    path.write_text("\n".join([header, *lines]), encoding="utf-8")


CHANGES = st.lists(
    st.tuples(st.sampled_from(["replace", "insert", "cut"]), st.integers(0, 10_000), st.binary(max_size=6)), max_size=4
)


@settings(max_examples=200)
@given(name=st.sampled_from([*FILES, "pixels.csv"]), changes=CHANGES)
def test_a_damaged_file_is_a_dataset_or_one_sentence(folder, name, changes):
    rows = [{"path": f"{i}.png", "label": "cat" if i < 5 else "dog", "n": i} for i in range(1, N + 1)]
    (FILES | {"pixels.csv": pixels})[name](folder / name, rows)
    data = bytearray((folder / name).read_bytes())
    for change, place, piece in changes:
        place %= len(data) + 1
        end = place if change == "insert" else place + len(piece) if change == "replace" else len(data)
        data[place:end] = piece
    (folder / name).write_bytes(data)
    try:
        json.dumps(to_plain(ks.open(folder / name, progress=Silent())))
    except ks.DataError as error:
        assert error.hint and len(error.message) + len(error.hint) < 1_500
