"""Looking into zip files before anything is unpacked: a small file can unpack to gigabytes, or name other files.

A ``.keras`` model and an ``.npz`` self-test are both zip files. Nothing here imports Keras: what the model's
configuration names is checked as text, before Keras would build it.
"""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

from keensight.errors import StoreError
from keensight.store.budget import check_memory, objects

MAX_MEMBERS = 64
MAX_RATIO = 20
"""How many times its own size an archive may unpack to; weights hardly compress, so an honest one stays near 1."""
_SMALL = 1 << 20
_CONFIG_LIMIT = 8 << 20
_MODEL_MEMBERS = ("config.json", "metadata.json", "model.weights.h5")
_HINT = "the file is damaged or hostile: get the bundle again from where it was made"

UNREADABLE = (
    zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, RecursionError, NotImplementedError
)  # fmt: skip
"""What Python's zip and JSON readers throw at a damaged file."""

_PACKAGES = (
    "layers", "ops", "initializers", "regularizers", "constraints", "activations", "models", "dtype_policies"
)  # fmt: skip
_STOCK = tuple(f"keras.{source}{package}." for source in ("", "src.") for package in _PACKAGES)
_FOREIGN = frozenset({
    "Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer",
    "StringLookup", "IntegerLookup", "TextVectorization", "__lambda__",
})  # fmt: skip
"""What in Keras itself runs code or reads files that the configuration names."""
_MODELS = ("Functional", "Model", "Sequential")


def check_archive(path: Path) -> list[zipfile.ZipInfo]:
    """The members of a zip file, after checks on their number, names, sizes and kinds.

    Raises:
        StoreError: the file is no zip file or breaks a limit.
    """
    try:
        size = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except UNREADABLE as error:
        raise StoreError(f"{path.name} is no readable zip file: {error}", _HINT) from error
    if len(members) > MAX_MEMBERS:
        raise StoreError(f"{path.name} holds {len(members):,} members, more than {MAX_MEMBERS}", _HINT)
    names = [member.filename for member in members]
    if len(set(names)) != len(names):
        raise StoreError(f"{path.name} holds a member twice", _HINT)
    for member in members:
        if problem := _problem(member):
            raise StoreError(f"{path.name}: the member {member.filename!r} {problem}", _HINT)
    unpacked, packed = sum(m.file_size for m in members), sum(m.compress_size for m in members)
    if unpacked > max(_SMALL, MAX_RATIO * size):
        raise StoreError(f"{path.name} is a zip bomb: {size:,} bytes unpack to {unpacked:,}", _HINT)
    if packed > size:
        raise StoreError(f"{path.name} is a zip bomb: its members overlap", _HINT)
    return members


def _problem(member: zipfile.ZipInfo) -> str | None:
    name = member.filename
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or not name.isprintable():
        return "leads out of the archive"
    if member.flag_bits & 0x1:
        return "is encrypted"
    if (member.external_attr >> 16) & 0o170000 == 0o120000:
        return "is a symbolic link"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is packed in an unusual way"
    return None


def check_model(path: Path) -> None:
    """Check a ``.keras`` file: archive, members, that it names only stock Keras, and the memory that it asks for.

    Raises:
        StoreError: something is missing, breaks a limit, or names code that is not stock Keras.
    """
    members = {member.filename: member for member in check_archive(path)}
    missing = [name for name in _MODEL_MEMBERS if name not in members]
    if missing:
        raise StoreError(f"{path.name} is no Keras 3 model: it lacks {', '.join(missing)}", _HINT)
    config = _config(path, members["config.json"])
    for one in objects(config):
        class_name, module = one["class_name"], one.get("module")
        if class_name in _FOREIGN or not _is_stock(class_name, module):
            raise StoreError(
                f"{path.name} would run code that is not stock Keras: {class_name!r} of {module!r}",
                "Keensight loads models of stock Keras layers only; build it of those",
            )
    check_memory(config, members["model.weights.h5"].file_size)


def _config(path: Path, member: zipfile.ZipInfo) -> Any:
    if member.file_size > _CONFIG_LIMIT:
        raise StoreError(f"{path.name}: config.json unpacks to {member.file_size:,} bytes", _HINT)
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(member))
    except UNREADABLE as error:
        raise StoreError(f"{path.name}: config.json cannot be read: {error}", _HINT) from error


def _is_stock(class_name: Any, module: Any) -> bool:
    if module is None:
        return isinstance(class_name, str) and class_name.startswith("__")  # tensors, slices: no classes to import
    if module == "builtins":
        return bool(class_name == "function")  # an activation by name, which Keras looks up among its own
    if module == "keras":
        return class_name in ("DTypePolicy", *_MODELS)
    if not isinstance(module, str) or not f"{module}.".startswith(_STOCK):
        return False
    return class_name in _MODELS if "models" in module.split(".") else True  # not functions such as load_model
