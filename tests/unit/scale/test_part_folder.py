import io
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from keensight.errors import StoreError, UsageError
from keensight.scale.part_folder import STATE, PartFolder, check_place

WORK = {"model": "m@1", "engine": "litert", "top": 5, "images": "abc", "version": "1"}


def rows(count, error=None, note=None):
    sink = io.BytesIO()
    found = [
        {"path": f"{i}", "error": error if i == 0 else None, "note": note if i == 0 else None} for i in range(count)
    ]
    schema = pa.schema({"path": pa.string(), "error": pa.string(), "note": pa.string()})
    parquet.write_table(pa.Table.from_pylist(found, schema=schema), sink)
    return sink.getvalue()


def folder(tmp_path, **work):
    return PartFolder(tmp_path / "found.parquet", WORK | work, [3, 3, 2])


def test_parts_in_any_order_become_one_table_that_is_not_there_before(tmp_path):
    table = folder(tmp_path)
    assert table.done() == set() and list(tmp_path.iterdir()) == []
    table.begin()
    for number, size in ((2, 2), (0, 3), (1, 3)):
        table.add(number, rows(size, error="bad" if number else None, note="odd" if number == 0 else None))
        assert not table.out.exists()
    done = table.finish()
    assert (done.path, done.images, done.unreadable, done.noted, done.note) == (table.out, 8, 2, 1, "odd")
    read = parquet.read_table(table.out)
    assert read.column("path").to_pylist() == ["0", "1", "2", "0", "1", "2", "0", "1"]
    assert [path.name for path in tmp_path.iterdir()] == ["found.parquet"]


def test_what_is_done_is_not_done_again_and_what_is_damaged_is(tmp_path):
    table = folder(tmp_path)
    table.begin()
    table.add(0, rows(3))
    table.add(1, rows(2))  # of another division
    table.add(2, rows(2)[:-9])
    (tmp_path / ".found.parquet.workers" / ".part-000001.parquet.0a1b2c3d").write_bytes(b"killed")
    assert folder(tmp_path).done() == {0}
    table.add(1, rows(3))
    table.add(2, rows(2))
    table.finish()
    assert sorted(path.name for path in table.out.iterdir()) == [STATE, *(f"part-{n:06d}.parquet" for n in range(3))]
    again = folder(tmp_path)
    assert again.done() == {0, 1, 2} and again.finish().images == 8


@pytest.mark.parametrize(
    ("work", "message"),
    [
        ({"model": "n@2"}, "with model m@1, not n@2"),
        ({"engine": "keras"}, "with --engine litert, not keras"),
        ({"top": 3}, "with --top 5, not 3"),
        ({"images": "def"}, "with other images"),
        ({"version": "2"}, "with version of Keensight 1, not 2"),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_other_work_is_refused_by_name_and_what_is_there_stays(work, message, finished, tmp_path):
    table = folder(tmp_path)
    table.begin()
    for number, size in enumerate((3, 3, 2)):
        table.add(number, rows(size))
    if finished:
        table.finish()
    with pytest.raises(UsageError) as caught:
        folder(tmp_path, **work).done()
    assert caught.value.message == f"{table.out} was {'written' if finished else 'begun'} {message}"
    assert folder(tmp_path).done() == {0, 1, 2}


def test_what_is_not_ours_is_not_touched(tmp_path):
    (tmp_path / "found.parquet").mkdir()
    check_place(tmp_path / "found.parquet")
    (tmp_path / "found.parquet" / "mine.parquet").write_bytes(b"")
    with pytest.raises(StoreError, match="was not written by Keensight"):
        check_place(tmp_path / "found.parquet")
    (tmp_path / "file.parquet").write_bytes(b"")
    with pytest.raises(StoreError, match="is a file, and several workers write a folder"):
        check_place(tmp_path / "file.parquet")
    (tmp_path / ".new.parquet.workers").mkdir()
    (tmp_path / ".new.parquet.workers" / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="is in the way"):
        PartFolder(tmp_path / "new.parquet", WORK, [1]).done()


@pytest.mark.parametrize("name", ["found.csv", "found", "found.json"])
def test_only_parquet_is_written_by_several_workers(name, tmp_path):
    with pytest.raises(UsageError, match="several workers write a folder of Parquet files, not "):
        check_place(tmp_path / name)


def test_a_state_that_is_no_record_is_other_work(tmp_path):
    table = folder(tmp_path)
    table.begin()
    (tmp_path / ".found.parquet.workers" / STATE).write_text(json.dumps([1]))
    with pytest.raises(UsageError):
        folder(tmp_path).done()
