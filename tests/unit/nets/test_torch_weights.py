import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from keensight.core.files import sha256_file
from keensight.errors import StoreError
from keensight.nets.models.torch_weights import read_state

MAGIC, PROTOCOL, SYSTEM = 0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}
W = np.arange(6, dtype="<f4").reshape(2, 3)


class Global:
    """Pickles as the name of something, which need not exist here."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Storage:
    def __init__(self, pid):
        self.pid = pid


class Tensor:
    def __init__(self, storage, offset, size, stride):
        self.arguments = (storage, offset, size, stride, False, OrderedDict())


class Writer(pickle._Pickler):
    def persistent_id(self, item):
        return item.pid if isinstance(item, Storage) else None

    def save(self, item, save_persistent_id=True):
        if isinstance(item, Global):
            self.write(b"c" + f"{item.module}\n{item.name}\n".encode())
        elif isinstance(item, Tensor):
            self.save(Global("torch._utils", "_rebuild_tensor_v2"))
            self.save(item.arguments)
            self.write(b"R")
        else:
            super().save(item, save_persistent_id)


def pickled(item):
    stream = io.BytesIO()
    Writer(stream, protocol=2).dump(item)
    return stream.getvalue()


def storage(count, key="7", legacy=True, kind="FloatStorage"):
    pid = ("storage", Global("torch", kind), key, "cpu", count)
    return Storage((*pid, None) if legacy else pid)


def legacy(state, data=W.tobytes(), count=6, keys=("7",)):
    parts = [pickled(item) for item in (MAGIC, PROTOCOL, SYSTEM, state, list(keys))]
    return b"".join(parts) + struct.pack("<q", count) + data


def state(size=(2, 3), stride=(3, 1), offset=0, count=6, **storage_options):
    return OrderedDict(w=Tensor(storage(count, **storage_options), offset, size, stride))


@pytest.fixture
def write(tmp_path):
    def put(data, name="weights.pth"):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return put


def test_a_legacy_file_is_read_as_stored(write):
    read = read_state(write(legacy(state())))
    np.testing.assert_array_equal(read["w"], W)
    assert read["w"].dtype == np.float32
    assert not read["w"].flags.writeable


def test_strides_and_offsets_are_followed(write):
    np.testing.assert_array_equal(read_state(write(legacy(state((3, 2), (1, 3)))))["w"], W.T)
    np.testing.assert_array_equal(read_state(write(legacy(state((2,), (1,), offset=4))))["w"], [4, 5])


def test_a_zip_file_is_read_too(write):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("model/data.pkl", pickled(state(legacy=False)))
        archive.writestr("model/byteorder", "little")
        archive.writestr("model/data/7", W.tobytes())
    np.testing.assert_array_equal(read_state(write(stream.getvalue(), "weights.pt"))["w"], W)


def test_a_packed_zip_file_is_refused_as_it_may_be_a_bomb(write):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", pickled(state(legacy=False)))
        archive.writestr("model/data/7", bytes(10**6))
    with pytest.raises(StoreError, match="PyTorch did not write"):
        read_state(write(stream.getvalue()))


class Calls:
    def __init__(self, function, *arguments):
        self.what = function, arguments

    def __reduce__(self):
        return self.what


@pytest.mark.parametrize(
    "evil",
    [
        Calls(os.system, "touch owned"),
        Calls(eval, "open('owned', 'w')"),
        Calls(getattr, OrderedDict, "__init__"),
        {"w": Global("torch.serialization", "load")},
        {"w": Global("numpy", "dtype")},
    ],
    ids=["system", "eval", "getattr", "torch", "numpy"],
)
def test_a_pickle_that_asks_for_more_is_refused_before_anything_runs(evil, write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for data in (pickled(evil), legacy(evil)):
        with pytest.raises(StoreError, match=r"is refused: the file requests \w+"):
            read_state(write(data))
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no pickle",
        b"PK\x03\x04 no zip",
        legacy(state())[:-1],
        legacy(state())[:-30],
        legacy(state())[:40],
        legacy(state(), count=2**40),
        legacy(state(), count=-1),
        legacy(state(count=5)),
        legacy(state(key="8")),
        legacy(state(kind="DoubleStorage")),
        legacy(state((2, 4))),
        legacy(state(offset=1)),
        legacy(state(offset=-1)),
        legacy(state((10**9, 10**9), (0, 0))),
        legacy(state((2, 3), (-3, 1))),
        legacy(state((2, 3), (3,))),
        legacy({"w": 5}),
        legacy([1, 2]),
    ],
)
def test_a_damaged_file_is_refused(data, write):
    with pytest.raises(StoreError) as caught:
        read_state(write(data))
    assert caught.value.hint


def test_the_checksum_must_fit(write):
    path = write(legacy(state()))
    assert set(read_state(path, sha256_file(path))) == {"w"}
    with pytest.raises(StoreError, match="checksum mismatch"):
        read_state(path, "0" * 64)


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(StoreError, match="cannot be read"):
        read_state(tmp_path / "nope.pth")
