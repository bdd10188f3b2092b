import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from keensight.core.pixels import encode_png
from keensight.core.sources import Unread
from keensight.errors import DataError
from keensight.scale import image_parts
from keensight.scale.image_parts import Cells, Files, digest, divided, from_text
from s3_builders import s3


def png(seed=0):
    return encode_png(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8))


def images_of(parts, base):
    return [pair for part in parts for pair in from_text(part.as_text()).images(base)]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.png").write_bytes(png(number))
    (folder / "notes.txt").write_text("no image")
    return folder


def test_a_folder_is_divided_into_paths_that_keep_their_names_and_start_from_the_callers_folder(photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    monkeypatch.setattr(image_parts, "_FEWEST", 2)
    parts = divided(["photos"])
    assert [len(part) for part in parts] == [2, 2, 1] and [part.first for part in parts] == [0, 2, 4]
    found = images_of(parts, photos.parent)
    assert [name for name, _ in found] == [f"photos/{number}.png" for number in range(5)]
    assert [source for _, source in found] == [photos / f"{number}.png" for number in range(5)]


@pytest.mark.parametrize(
    ("images", "size"), [(3, 50), (1_600, 50), (6_400, 200), pytest.param(100_000, 1000, marks=pytest.mark.slow)]
)
def test_the_size_of_a_part_depends_on_the_number_of_images_alone(images, size, tmp_path):
    (tmp_path / "list.txt").write_text("\n".join(f"{i}.png" for i in range(images)))
    (tmp_path / "0.png").write_bytes(png())
    parts = divided([str(tmp_path / "list.txt")])
    assert sum(map(len, parts)) == images and max(map(len, parts)) == min(size, images)


def test_what_is_known_to_be_unreadable_stays_so_with_its_name(tmp_path):
    table = tmp_path / "list.csv"
    (tmp_path / "a.png").write_bytes(png())
    table.write_text("path,x\na.png,1\n,2\n")
    found = images_of(divided([str(table)]), tmp_path)
    assert found == [(str(tmp_path / "a.png"), tmp_path / "a.png"), ("image 1", Unread("the path is missing"))]


def write(path, rows, **options):
    parquet.write_table(pa.Table.from_pylist(rows), path, **options)


def test_a_parquet_file_of_bytes_is_divided_by_its_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(image_parts, "_FEWEST", 3)
    data = [png(number) for number in range(7)]
    write(tmp_path / "a.parquet", [{"content": one, "size": len(one)} for one in data], row_group_size=2)
    parts = divided([str(tmp_path / "a.parquet")])
    assert [(part.groups, part.first, part.rows) for part in parts] == [((0, 1), 0, 4), ((2, 3), 4, 3)]
    assert images_of(parts, tmp_path) == [(f"a.parquet#{number}", one) for number, one in enumerate(data)]


def test_a_column_beside_the_bytes_or_their_own_path_names_them(tmp_path):
    write(tmp_path / "a.parquet", [{"image": png(), "file_name": "x.png"}, {"image": None, "file_name": None}])
    write(tmp_path / "b.parquet", [{"image": {"bytes": png(1), "path": "y.png"}}])
    found = images_of(divided([str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]), tmp_path)
    assert [name for name, _ in found] == ["x.png", "a.parquet#1", "y.png"]
    assert [source for _, source in found] == [png(), Unread("the cell of the image is empty"), png(1)]


def test_a_folder_of_parquet_files_is_one_table_and_a_mixed_folder_is_images(tmp_path, photos):
    folder = tmp_path / "table"
    folder.mkdir()
    for number in (10, 2):
        write(folder / f"part-{number}.parquet", [{"image": png(number)}])
    (folder / "_SUCCESS").write_bytes(b"")
    assert [name for name, _ in images_of(divided([str(folder)]), tmp_path)] == [
        "part-2.parquet#0",
        "part-10.parquet#0",
    ]
    write(photos / "labels.parquet", [{"image": png()}])
    assert all(isinstance(part, Files) for part in divided([str(photos)]))


def test_a_parquet_file_of_paths_is_read_as_a_list(photos):
    write(photos / "list.parquet", [{"path": "1.png"}, {"path": "3.png"}])
    found = images_of(divided([str(photos / "list.parquet")]), photos)
    assert [source for _, source in found] == [photos / "1.png", photos / "3.png"]


def test_a_damaged_parquet_file_is_refused_by_name(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match=r"a\.parquet cannot be read as Parquet"):
        divided([str(tmp_path / "a.parquet")])


def test_the_digest_changes_with_a_name_an_order_and_a_row_group(photos):
    names = [str(photos / f"{number}.png") for number in range(3)]
    assert digest(divided(names)) == digest(divided(names))
    assert len({digest(divided(some)) for some in (names, names[::-1], names[:2])}) == 3
    cells = Cells(Path("a.parquet"), "image", None, (0,), 0, 5)
    assert digest([cells]) != digest([Cells(Path("a.parquet"), "image", None, (0, 1), 0, 5)])
    assert json.loads(cells.as_text()) and from_text(cells.as_text()) == cells


def test_images_tables_and_bytes_behind_an_address_are_read_like_those_of_this_machine(photos, tmp_path):
    write(photos / "list.parquet", [{"path": "3.png"}, {"path": "gone.png"}])
    (photos / "set").mkdir()
    write(photos / "set" / "a.parquet", [{"image": png(9)}])
    with s3(tmp_path) as (options, asked):
        whole, listed, cells = (
            images_of(divided([f"s3://a:b@photos/{key}{options}"]), tmp_path) for key in ("", "list.parquet", "set")
        )
    assert [name for name, _ in whole] == [f"s3://photos/{number}.png" for number in range(5)]
    assert [source for _, source in whole] == [png(number) for number in range(5)]
    assert listed == [("s3://photos/3.png", png(3)), ("s3://photos/gone.png", Unread("the file is missing"))]
    assert cells == [("a.parquet#0", png(9))]
    assert sum("GET photos/0.png" in line for line in asked) == 1


def test_a_local_list_may_name_addresses(photos, tmp_path):
    with s3(tmp_path) as (options, _):
        (tmp_path / "list.csv").write_text(f"path\ns3://a:b@photos/1.png{options}\nphotos/2.png\n")
        found = images_of(divided([str(tmp_path / "list.csv")]), tmp_path)
    assert [name for name, _ in found] == ["s3://photos/1.png", str(photos / "2.png")]
    assert [source for _, source in found] == [png(1), photos / "2.png"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("s3://a:b@photos/none/{options}", "s3://photos/none"),
        ("nowhere://bucket/", "nowhere://bucket/ cannot be opened"),
    ],
)
def test_an_address_without_images_is_one_sentence(given, message, photos, tmp_path):
    with s3(tmp_path) as (options, _):
        (photos / "none").mkdir()
        (photos / "none" / "a.txt").write_text("x")
        with pytest.raises(DataError, match=message):
            divided([given.replace("{options}", options)])
