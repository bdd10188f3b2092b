"""What an archive and a model's configuration may contain: accepted at each limit, refused just beyond it."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from keensight.errors import StoreError
from keensight.store.safety import check_archive, check_memory, check_model, inside
from store_builders import CONFIG, LAYER, write_model

MIB = 2**20


def archive(path: Path, members: int = 1, content: bytes = b"x") -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for i in range(members):
            file.writestr(f"member {i}", content)
    return path


def claim(path: Path, **fields: Any) -> None:
    """Rewrite what the directory of a zip file says about its first member, and nothing else."""
    with zipfile.ZipFile(path, "a") as file:
        for name, value in fields.items():
            setattr(file.filelist[0], name, value)
        file._didModify = True  # type: ignore[attr-defined]


def refused(path: Path, says: str) -> None:
    with pytest.raises(StoreError) as caught:
        check_archive(path)
    assert says in caught.value.message
    assert path.name in caught.value.message
    assert "get the bundle again from its source" in (caught.value.hint or "")


def test_members_are_accepted_up_to_the_limit(tmp_path: Path) -> None:
    assert len(check_archive(archive(tmp_path / "a.zip", 64))) == 64
    refused(archive(tmp_path / "a.zip", 65), "a.zip has 65 members, more than 64")
    assert len(check_archive(archive(tmp_path / "a.zip", 2), most=2)) == 2
    with pytest.raises(StoreError, match="has 3 members, more than 2"):
        check_archive(archive(tmp_path / "a.zip", 3), most=2)


def test_a_small_archive_may_unpack_to_a_mebibyte(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip")
    claim(path, file_size=MIB)
    assert [member.file_size for member in check_archive(path)] == [MIB]
    claim(path, file_size=MIB + 1)
    refused(path, f"is a zip bomb: {path.stat().st_size:,} bytes unpack to 1,048,577")


def test_a_larger_archive_may_unpack_to_20_times_its_size(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", content=b"x" * 100_000)
    size = path.stat().st_size
    claim(path, file_size=20 * size)
    assert path.stat().st_size == size
    assert len(check_archive(path)) == 1
    claim(path, file_size=20 * size + 1)
    refused(path, "is a zip bomb")


def test_packed_members_may_be_as_large_as_the_file_together(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip")
    claim(path, compress_size=path.stat().st_size)
    assert len(check_archive(path)) == 1
    claim(path, compress_size=path.stat().st_size + 1)
    refused(path, "its members overlap")


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../outside", "a/../../b", "a\\b", "C:a", "line\nbreak", "\x1b[2J", "a/.."]
)
def test_a_name_that_points_outside_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("first", b"")
        file.writestr(name, b"")
    refused(tmp_path / "a.zip", f"the member {name!r} points outside the archive")


@pytest.mark.parametrize("mode", [0, 0o100644, 0o040755, 0o140777])
def test_usual_members_are_accepted(tmp_path: Path, mode: int) -> None:
    path = archive(tmp_path / "a.zip")
    claim(path, filename="folder/..name é.txt", external_attr=mode << 16, compress_type=zipfile.ZIP_DEFLATED)
    assert check_archive(path)[0].filename == "folder/..name é.txt"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"flag_bits": 0x1}, "is encrypted"),
        ({"flag_bits": 0x9}, "is encrypted"),
        ({"external_attr": 0o120777 << 16}, "is a symbolic link"),
        ({"external_attr": 0o120000 << 16 | 0x20}, "is a symbolic link"),
        ({"compress_type": zipfile.ZIP_BZIP2}, "uses an unsupported compression method"),
        ({"compress_type": zipfile.ZIP_LZMA}, "uses an unsupported compression method"),
    ],
)
def test_a_member_of_another_kind_is_refused(tmp_path: Path, fields: dict[str, int], says: str) -> None:
    path = archive(tmp_path / "a.zip")
    claim(path, **fields)
    refused(path, f"a.zip: the member 'member 0' {says}")


def test_flags_other_than_encryption_are_accepted(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip")
    claim(path, flag_bits=0x8 | 0x6)  # sizes after the data, and how hard the packer tried
    assert check_archive(path)[0].flag_bits & 0xE == 0xE


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("same", b"1")
        file.writestr("same", b"2")
    refused(tmp_path / "a.zip", "contains a member twice")


@pytest.mark.parametrize("content", [None, b"", b"\x89HDF\r\n\x1a\n"])
def test_what_is_not_a_zip_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.zip").write_bytes(content)
    refused(tmp_path / "a.zip", "a.zip is not a readable zip file")


def checked(path: Path, layer: dict[str, Any]) -> None:
    write_model(path, config=CONFIG | {"config": {"layers": [LAYER, layer]}})
    check_model(path)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("keras.layers", "ReLU"),
        ("keras.src.layers.activations.relu", "ReLU"),
        ("keras.initializers", "Zeros"),
        ("keras", "DTypePolicy"),
        ("keras", "Functional"),
        ("keras.models", "Sequential"),
        ("keras.src.models.functional", "Functional"),
        ("builtins", "function"),
        (None, "__tensor__"),
    ],
)
def test_parts_of_keras_are_accepted(tmp_path: Path, module: str | None, name: str) -> None:
    checked(tmp_path / "m.keras", {"module": module, "class_name": name, "config": {}})


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("keras.layers", "Lambda"),
        ("keras.layers", "TFSMLayer"),
        ("keras.layers", ["ReLU"]),
        ("keras.layersx", "ReLU"),
        ("keras.utils", "get_file"),
        ("keras", "config"),
        ("keras.models", "load_model"),
        ("evil.models", "Model"),
        ("builtins", "eval"),
        (None, "ReLU"),
        (None, "__lambda__"),
        (["keras.layers"], "ReLU"),
        (3, "ReLU"),
    ],
)
def test_what_is_not_part_of_keras_is_refused_by_name(tmp_path: Path, module: Any, name: Any) -> None:
    with pytest.raises(StoreError, match="not part of Keras") as caught:
        checked(tmp_path / "m.keras", {"module": module, "class_name": name, "config": {}})
    assert caught.value.message.endswith(f"{name!r} of {module!r}")
    assert caught.value.hint == "Keensight only loads models made of built-in Keras layers"


def test_a_layer_without_a_module_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="'ReLU' of None"):
        checked(tmp_path / "m.keras", {"class_name": "ReLU", "config": {}})


def test_long_foreign_names_are_cut_in_the_message(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        checked(tmp_path / "m.keras", {"module": "m" * 500, "class_name": "c" * 500, "config": {}})
    assert caught.value.message.endswith(f": '{'c' * 79} of '{'m' * 79}")


def test_what_a_model_lacks_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as file:
        file.writestr("metadata.json", b"{}")
    with pytest.raises(StoreError, match=r"is not a Keras 3 model: it lacks config\.json, model\.weights\.h5$"):
        check_model(tmp_path / "m.keras")


def test_a_model_needs_weights_for_its_layers(tmp_path: Path) -> None:
    """``LAYER`` has 4 inputs and 3 units, of a width that is not stated: 12 bytes at least."""
    write_model(tmp_path / "m.keras", weights=bytes(12))
    check_model(tmp_path / "m.keras")
    write_model(tmp_path / "m.keras", weights=bytes(11))
    with pytest.raises(StoreError, match="needs 12 bytes of memory for its weights, but its file has 11"):
        check_model(tmp_path / "m.keras")


def test_a_configuration_of_8_mib_is_read_and_a_larger_one_is_not(tmp_path: Path) -> None:
    for size in (8 * MIB, 8 * MIB + 1):
        with zipfile.ZipFile(tmp_path / "m.keras", "w") as file:
            file.writestr("metadata.json", b"{}")
            file.writestr("model.weights.h5", os.urandom(MIB // 2))  # so that the whole is no zip bomb
            file.writestr("config.json", json.dumps(CONFIG).ljust(size), zipfile.ZIP_DEFLATED, 1)
        if size == 8 * MIB:
            check_model(tmp_path / "m.keras")
    with pytest.raises(StoreError, match=r"m\.keras: config\.json unpacks to 8,388,609 bytes"):
        check_model(tmp_path / "m.keras")


def test_a_damaged_configuration_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as file:
        for name in ("config.json", "metadata.json", "model.weights.h5"):
            file.writestr(name, b"{")
    with pytest.raises(StoreError, match=r"m\.keras: config\.json cannot be read"):
        check_model(tmp_path / "m.keras")


def test_optimizers_are_not_checked_because_they_are_never_built(tmp_path: Path) -> None:
    mine = {"optimizer": {"module": "my.code", "class_name": "Mine", "config": {}}}
    write_model(tmp_path / "m.keras", config=CONFIG | {"compile_config": mine})
    check_model(tmp_path / "m.keras")
    with pytest.raises(StoreError, match=r"'Mine' of 'my\.code'"):
        checked(tmp_path / "m.keras", LAYER | {"config": {"units": 3, "other": [[mine]]}})


def test_parts_without_a_configuration_or_a_name_need_no_memory() -> None:
    check_memory([{"class_name": "Dense"}, {"class_name": ["Dense"], "config": {}}], 0)


@pytest.mark.skipif(os.name != "posix", reason="making links needs rights on Windows")
def test_a_link_within_a_folder_is_followed_and_one_out_of_it_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    assert inside(folder, "new.json") == folder / "new.json"
    (folder / "file").touch()
    (folder / "near").symlink_to(folder / "file")
    assert inside(folder, "near") == folder / "near"
    (folder / "far").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="far is a link that points outside") as caught:
        inside(folder, "far")
    assert caught.value.hint == "put the file itself in the folder"
    (folder / "a").symlink_to(folder / "b")
    (folder / "b").symlink_to(folder / "a")
    with pytest.raises(StoreError, match="a cannot be read: ") as caught:
        inside(folder, "a")
    assert caught.value.hint == "restore the folder from its source"
