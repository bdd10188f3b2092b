"""Bundles that somebody damaged or forged: each is refused with one clear sentence, before anything is loaded."""

import io
import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keensight.core.files import sha256_file
from keensight.errors import StoreError
from keensight.store.bundle import SCHEMA, Bundle, open_bundle
from keensight.store.npz import read_self_test
from keensight.store.safety import check_model
from store_builders import CONFIG, LAYER, make_bundle, make_run, write_model

pytestmark = pytest.mark.slow  # seconds in all


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "b")


def edit(bundle: Bundle, **changes: Any) -> None:
    """Rewrite the manifest with changes and nothing else, as with a text editor."""
    path = bundle.path / "manifest.json"
    plain = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(plain | changes), encoding="utf-8")


def forge(bundle: Bundle, **changes: Any) -> None:
    """Rewrite the manifest with changes and with digests of files that fit, as a forger would."""
    edit(bundle, **{"files": {name: sha256_file(bundle.path / name) for name in bundle.manifest.files}} | changes)


def refused(path: Path, says: str) -> StoreError:
    with pytest.raises(StoreError, match=says) as caught:
        open_bundle(path)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("name", ["model.keras", "exam.npz", "MODEL_CARD.md"])
def test_one_changed_byte_is_found_and_named(bundle: Bundle, name: str) -> None:
    path = bundle.path / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert name in refused(bundle.path, "checksum mismatch").message


@pytest.mark.parametrize("name", ["model.keras", "exam.npz", "MODEL_CARD.md"])
def test_a_missing_file_is_named(bundle: Bundle, name: str) -> None:
    (bundle.path / name).unlink()
    refused(bundle.path, f"lacks {name}")


def test_a_file_that_is_not_listed_is_named(bundle: Bundle) -> None:
    (bundle.path / "custom_layers.py").write_text("import os")
    refused(bundle.path, "does not list: 'custom_layers.py'")
    (bundle.path / "custom_layers.py").rename(bundle.path / "\x1b[2Jnext")
    assert "\x1b" not in refused(bundle.path, "does not list").message


def test_a_listed_pickle_is_refused(bundle: Bundle) -> None:
    (bundle.path / "extra.pkl").write_bytes(b"\x80\x04.")
    files = {**bundle.manifest.files, "extra.pkl": sha256_file(bundle.path / "extra.pkl")}
    forge(bundle, files=files)
    refused(bundle.path, "pickle")


@pytest.mark.parametrize("keep", [0, 1, 50, 500])
def test_a_truncated_manifest_is_refused(bundle: Bundle, keep: int) -> None:
    path = bundle.path / "manifest.json"
    path.write_bytes(path.read_bytes()[:keep])
    refused(bundle.path, "manifest.json")


def test_a_newer_schema_says_upgrade(bundle: Bundle) -> None:
    forge(bundle, schema=SCHEMA + 1)
    says = f"newer Keensight: its schema is {SCHEMA + 1}, .* up to {SCHEMA}"
    assert "upgrade" in (refused(bundle.path, says).hint or "")


RULE = {"rule": "most probable class"}
MANY = {"rule": "labels at or above their thresholds"}
SPEC = {"height": 32, "width": 28, "fit": "pad", "decoder": 1}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labels": {"names": ["ant", "bee"]}}, "manifest names 2 classes"),
        ({"labels": {"names": ["ant"]}}, "fewer than 2"),
        ({"labels": {"names": ["ant", "ant", "bee"]}}, "same name"),
        ({"labels": {"names": ["ant", "", "bee"]}}, "no name"),
        ({"labels": {"names": ["ant", 3, "bee"]}}, "names.1.' is the number 3, but text"),
        ({"labels": None}, "'labels' is null"),
        ({"labels": []}, "'labels' is a list"),
        ({"task": "multi-label"}, "'multi-label', but one of multiclass"),
        ({"image": SPEC | {"width": 60_000}}, "60000 by 32 px"),
        ({"image": SPEC | {"width": "28"}}, "'image.width' is the text"),
        ({"image": SPEC | {"fit": "guess"}}, "'guess', but one of stretch"),
        ({"image": SPEC | {"decoder": 99}}, "decoder is version 99"),
        ({"image": SPEC | {"background": "purple"}}, "background"),
        ({"image": SPEC | {"intensity": 1.0, "black": 2.0}}, "intensity scale runs from 2.0 to 1.0"),
        ({"image": SPEC | {"intensity": "white"}}, "white"),
        ({"temperature": 0}, "temperature is 0"),
        ({"temperature": float("nan")}, "NaN is not a finite number"),
        ({"temperature": float("inf")}, "Infinity is not a finite number"),
        ({"temperature": 1e-320}, "temperature is .*, not from 0.01 to 100"),
        ({"temperature": 101}, "temperature is 101"),
        ({"temperature": "1.0"}, "'temperature' is the text '1.0'"),
        ({"temperature": True}, "'temperature' is true"),
        ({"labels": {"names": ["ant", "  ", "bee"]}}, "no name"),
        ({"labels": {"names": ["ant", "bee\u2028", "wasp"]}}, "control characters"),
        ({"labels": {"names": ["ant", "\x1b[2Jbee", "wasp"]}}, "control characters"),
        ({"image": SPEC | {"height": True}}, "'image.height' is true"),
        ({"image": SPEC | {"height": 0}}, "28 by 0 px"),
        ({"decision": {}}, "rule is None"),
        ({"decision": {"rule": "the first class"}}, "rule is 'the first class'"),
        ({"decision": RULE | {"mirror": "no"}}, "mirror is 'no'"),
        ({"decision": RULE | {"mirror": 1}}, "mirror is 1"),
        ({"decision": RULE | {"answers": {"threshold": 1.5}}}, "decision rule is not valid"),
        ({"decision": RULE | {"answers": {"threshold": "0.5"}}}, "decision rule is not valid"),
        ({"decision": RULE | {"answers": {"set_level": -0.1}}}, "decision rule is not valid"),
        ({"decision": RULE | {"answers": {"target": "luck"}}}, "decision rule is not valid"),
        ({"decision": RULE | {"answers": {"n": "many"}}}, "decision rule is not valid"),
        ({"decision": RULE | {"answers": [0.5]}}, "decision rule is not valid"),
        ({"task": "multilabel", "decision": MANY | {"thresholds": [0.5, 0.5]}}, "threshold from 0 to 1"),
        ({"task": "multilabel", "decision": MANY | {"thresholds": [0.5, 0.5, 1.5]}}, "threshold from 0 to 1"),
        ({"task": "multilabel", "decision": MANY | {"thresholds": [0.5, 0.5, True]}}, "threshold from 0 to 1"),
        ({"files": {}}, "does not list model.keras"),
        ({"files": {"../outside": "0" * 64}}, "names and SHA-256"),
        ({"files": {"/etc/passwd": "0" * 64}}, "names and SHA-256"),
        ({"files": {"model.keras": "short"}}, "names and SHA-256"),
        ({"files": ["model.keras"]}, "'files' is a list"),
        ({"schema": "1"}, "no schema number"),
        ({"provenance": "mine"}, "'provenance' is the text"),
    ],
)
def test_a_forged_manifest_is_refused(bundle: Bundle, changes: dict[str, Any], says: str) -> None:
    forge(bundle, **changes)
    refused(bundle.path, says)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labels": {"names": ["Ñandú", "bee | wasp", "ant"]}}, "labels"),
        ({"image": {"height": 28, "width": 32, "fit": "stretch", "decoder": 1}}, "image size and fit"),
        ({"image": {"height": 32, "width": 28, "fit": "pad", "decoder": 1}}, "image size and fit"),
        ({"normalisation": "x / 255"}, "normalisation"),
        ({"temperature": 3.5}, "temperature"),
        ({"decision": RULE | {"mirror": True}}, "decision rule"),
        ({"decision": RULE | {"answers": {"threshold": 0.9}}}, "decision rule"),
        ({"task": "multilabel", "decision": MANY | {"thresholds": [0.5] * 3}}, "task, decision rule"),
        ({"contract": "0" * 64}, "their digest differs"),
        ({"contract": ""}, "their digest differs"),
    ],
)
def test_an_edited_manifest_is_refused_by_what_was_edited(bundle: Bundle, changes: dict[str, Any], says: str) -> None:
    edit(bundle, **changes)
    message = refused(bundle.path, "differ from those of the self-test").message
    assert message.endswith(f": {says}")


@pytest.mark.parametrize("schema", [1, 2, 3, SCHEMA])
def test_an_older_schema_number_does_not_get_around_the_contract(bundle: Bundle, schema: int) -> None:
    edit(bundle, schema=schema, temperature=3.5)
    refused(bundle.path, "of the self-test: temperature")


def test_a_self_test_of_another_bundle_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    other = make_bundle(tmp_path / "other", temperature=2.0)
    (other.path / "exam.npz").replace(bundle.path / "exam.npz")
    forge(bundle)
    refused(bundle.path, "of the self-test: temperature")


def test_a_self_test_without_a_contract_is_of_an_older_bundle(bundle: Bundle) -> None:
    np.savez(bundle.path / "exam.npz", **exam_arrays())
    forge(bundle)
    refused(bundle.path, "the self-test has none")
    forge(bundle, schema=3, contract="")
    assert open_bundle(bundle.path).exam().labels == ()


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"schema": 4, "temperature": 1e999}', '{"schema": -Infinity}'])
def test_json_with_a_double_key_or_a_number_that_is_none_is_refused(bundle: Bundle, text: str) -> None:
    (bundle.path / "manifest.json").write_text(text, encoding="utf-8")
    refused(bundle.path, "occurs twice|not a finite number")


@pytest.mark.skipif(os.name != "posix", reason="making links needs rights on Windows")
@pytest.mark.parametrize("name", ["manifest.json", "model.keras", "exam.npz", "MODEL_CARD.md"])
def test_a_link_in_a_bundle_is_refused(bundle: Bundle, tmp_path: Path, name: str) -> None:
    (bundle.path / name).rename(tmp_path / name)
    (bundle.path / name).symlink_to(tmp_path / name)
    refused(bundle.path, f"{name} is a link")


@pytest.mark.skipif(os.name != "posix", reason="making links needs rights on Windows")
def test_a_link_to_a_bundle_is_none_in_it(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(bundle.path)
    assert open_bundle(tmp_path / "latest").manifest == bundle.manifest
    run = make_run(tmp_path / "run")
    (run.path / "bundle").symlink_to(bundle.path)
    refused(run.path, "points outside")


def test_a_manifest_of_nothing_but_brackets_is_refused(bundle: Bundle) -> None:
    (bundle.path / "manifest.json").write_text("[" * 1_000_000)
    refused(bundle.path, "not valid JSON")


def test_an_enormous_manifest_is_not_even_read(bundle: Bundle) -> None:
    with (bundle.path / "manifest.json").open("wb") as stream:
        stream.truncate(1 << 40)  # sparse: no disk is used
    refused(bundle.path, "larger than")


def test_an_enormous_file_is_not_even_digested(bundle: Bundle) -> None:
    with (bundle.path / "MODEL_CARD.md").open("wb") as stream:
        stream.truncate(1 << 40)
    refused(bundle.path, "more than")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_place_of_a_file_does_not_hang(bundle: Bundle) -> None:
    (bundle.path / "MODEL_CARD.md").unlink()
    os.mkfifo(bundle.path / "MODEL_CARD.md")
    refused(bundle.path, "not a regular file")


def with_model(bundle: Bundle, write: Callable[[Path], None]) -> Path:
    """The bundle with another model and digests that fit it."""
    write(bundle.model_path)
    forge(bundle)
    return bundle.path


def add(name: str | zipfile.ZipInfo, data: bytes = b"x", kind: int = zipfile.ZIP_STORED) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        write_model(path)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, data, compress_type=kind)

    return write


def link() -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("assets/link")
    member.external_attr = 0o120777 << 16
    return member


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (add("../../.bashrc"), "points outside the archive"),
        (add("/etc/cron.d/job"), "points outside"),
        (add("C:/autoexec.bat"), "points outside"),
        (add("..\\up"), "points outside"),
        (add("a\x1b[2Jb"), "points outside"),
        (add(link(), b"/etc/passwd"), "symbolic link"),
        (add("bomb", bytes(4 << 20), zipfile.ZIP_DEFLATED), "zip bomb: .* bytes unpack to"),
        (add("odd", b"x" * 100, zipfile.ZIP_LZMA), "unsupported compression"),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(2000)), "not a readable zip"),
        (lambda path: path.write_bytes(b""), "not a readable zip"),
        (lambda path: write_model(path, config=[LAYER] * 100_000), "config.json unpacks to"),
    ],
)
def test_a_forged_archive_is_refused(bundle: Bundle, write: Callable[[Path], None], says: str) -> None:
    refused(with_model(bundle, write), says)


def test_a_zip_bomb_is_small_on_the_disk_and_never_unpacked(bundle: Bundle) -> None:
    path = with_model(bundle, add("assets/bomb", bytes(50 << 20), zipfile.ZIP_DEFLATED))
    assert bundle.model_path.stat().st_size < 100_000
    refused(path, "zip bomb")


def test_members_are_counted(bundle: Bundle) -> None:
    def write(path: Path) -> None:
        write_model(path)
        with zipfile.ZipFile(path, "a") as archive:
            for i in range(100):
                archive.writestr(f"assets/{i}", b"")

    refused(with_model(bundle, write), "103 members")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_stands_twice_is_refused(bundle: Bundle) -> None:
    refused(with_model(bundle, add("config.json", b"{}")), "twice")


def test_members_that_overlap_are_refused(bundle: Bundle) -> None:
    """One compressed block that many directory entries share unpacks to many times its size."""

    def write(path: Path) -> None:
        write_model(path)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("shared", os.urandom(200_000))
            first = archive.getinfo("shared")
            for i in range(20):
                copy = zipfile.ZipInfo(f"copy{i}")
                for field in ("header_offset", "compress_size", "file_size", "CRC", "compress_type", "external_attr"):
                    setattr(copy, field, getattr(first, field))
                archive.filelist.append(copy)
            archive._didModify = True  # type: ignore[attr-defined]

    refused(with_model(bundle, write), "overlap")


@pytest.mark.parametrize("missing", ["config.json", "metadata.json", "model.weights.h5"])
def test_a_model_lacks_nothing(bundle: Bundle, missing: str) -> None:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name in {"config.json", "metadata.json", "model.weights.h5"} - {missing}:
                archive.writestr(name, b"{}")

    refused(with_model(bundle, write), f"lacks {missing}")


def layer(**changes: Any) -> dict[str, Any]:
    return {"config": {"layers": [LAYER, LAYER | changes]}, "module": "keras", "class_name": "Functional"}


@pytest.mark.parametrize(
    "config",
    [
        layer(class_name="Lambda"),
        layer(class_name=["Lambda"]),
        layer(class_name={"Lambda": None}),
        layer(class_name=None),
        layer(class_name="TFSMLayer"),
        layer(class_name="StringLookup"),
        layer(module="os", class_name="system"),
        layer(module="keras.utils", class_name="get_file"),
        layer(module="keras.src.utils.file_utils", class_name="get_file"),
        layer(module="builtins", class_name="eval"),
        layer(module="keras", class_name="config"),
        layer(module="keras.layersx", class_name="Dense"),
        layer(module=None, class_name="MyLayer"),
        layer(module=None, class_name="__lambda__"),
        layer(module="keras.models", class_name="load_model"),
        layer(module="evil.models", class_name="Model"),
        layer(module=["keras.layers"], class_name="Dense"),
        layer(class_name="Dense", config={"activation": {"class_name": "__lambda__", "module": "builtins"}}),
        layer(config={"deep": [[[{"class_name": "Popen", "module": "subprocess"}]]]}),
    ],
)
def test_a_model_that_names_foreign_code_is_refused(bundle: Bundle, config: Any) -> None:
    refused(with_model(bundle, lambda path: write_model(path, config=config)), "not part of Keras")


def weighted(kind: str, shape: list[int | None] | None, **config: Any) -> dict[str, Any]:
    return layer(class_name=kind, config=config, build_config={"input_shape": shape})


@pytest.mark.parametrize(
    "config",
    [
        weighted("Dense", [None, 100_000], units=90_000),
        weighted("Dense", [None, 10**12], units=1),
        weighted("Embedding", None, input_dim=10**9, output_dim=9),
        weighted("Conv2D", [None, 8, 8, 10**6], filters=10**4, kernel_size=[1, 1], groups=1),
        weighted("Conv2D", [None, 8, 8, 3], filters=3, kernel_size=[10**5, 10**5]),
        weighted("DepthwiseConv2D", [None, 8, 8, 10**10], kernel_size=[1, 1]),
        weighted("SeparableConv2D", [None, 8, 8, 10**6], kernel_size=[1, 1], filters=10**6),
        weighted("EinsumDense", [None, 5, 10**5], equation="abc,cd->abd", output_shape=[None, 10**5]),
        weighted("LSTM", [None, 5, 1], units=10**5),
        weighted("BatchNormalization", [None, 8, 8, 10**10], axis=-1),
        weighted("LayerNormalization", [None, 10**5, 10**5], axis=[1, 2]),
        layer(config={"units": 3, "layer": weighted("Dense", [None, 10**6], units=10**6)}),
    ],
)  # fmt: skip
def test_a_model_that_asks_for_more_than_its_weights_is_refused(bundle: Bundle, config: Any) -> None:
    path = with_model(bundle, lambda path: write_model(path, config=config, weights=b"\0" * 1000))
    assert bundle.model_path.stat().st_size < 2500
    refused(path, "bytes of memory for its weights, but its file has 1,000")


@pytest.mark.parametrize(
    "config",
    [
        layer(class_name="InputLayer", config={"batch_shape": [None, 10**5, 10**5, 3]}),
        layer(class_name="InputLayer", config={"batch_shape": [10**7, 28, 32, 3]}),
        layer(class_name="Resizing", config={"height": 10**5, "width": 10**5}),
        weighted("RepeatVector", [None, 4], n=10**9),
        weighted("UpSampling2D", [None, 8, 8, 3], size=[10**4, 10**4]),
        weighted("ZeroPadding2D", [None, 8, 8, 3], padding=[[10**5, 0], [0, 10**5]]),
    ],
)
def test_a_layer_of_absurd_output_is_refused(bundle: Bundle, config: Any) -> None:
    refused(with_model(bundle, lambda path: write_model(path, config=config)), "values for one image")


@pytest.mark.parametrize(
    "config",
    [
        weighted("Dense", None, units=3),
        weighted("Dense", ["many"], units=3),
        weighted("Dense", [None, 4], units=-3),
        weighted("Dense", [None, 4], units="3"),
        weighted("Dense", [None, 4]),
        weighted("Conv2D", [], filters=3, kernel_size=[3, 3]),
        weighted("LayerNormalization", [None, 4], axis=7),
        weighted("EinsumDense", [None, 4], equation=None, output_shape=[4]),
    ],
)  # fmt: skip
def test_a_layer_whose_size_cannot_be_told_is_refused(bundle: Bundle, config: Any) -> None:
    refused(with_model(bundle, lambda path: write_model(path, config=config)), "input shape|cannot be read")


@pytest.mark.parametrize("config", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_damaged_configuration_is_refused(bundle: Bundle, config: bytes) -> None:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in (("config.json", config), ("metadata.json", b"{}"), ("model.weights.h5", b"")):
                archive.writestr(name, data)

    refused(with_model(bundle, write), "config.json cannot be read")


def test_optimizers_are_never_built_and_so_may_be_anything(bundle: Bundle) -> None:
    config = CONFIG | {"compile_config": {"optimizer": {"module": "my.code", "class_name": "Mine"}}}
    assert open_bundle(with_model(bundle, lambda path: write_model(path, config=config))).manifest.model == "cnn"


def exam_arrays(**changes: Any) -> dict[str, Any]:
    arrays = {
        "names": np.array(["a.png"]),
        "lengths": np.array([3], np.int64),
        "images": np.frombuffer(b"png", np.uint8),
        "probabilities": np.full((1, 3), 1 / 3, np.float32),
    }
    return {name: value for name, value in (arrays | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"names": np.array([{"a": print}], dtype=object)}, "cannot be read: Object arrays"),
        ({"names": None}, "not the arrays of a self-test"),
        ({"extra": np.zeros(1)}, "not the arrays of a self-test"),
        ({"names": np.array([1.0])}, "names has dtype float64"),
        ({"lengths": np.array([4], np.int64)}, "one image per name"),
        ({"lengths": np.array([-1], np.int64)}, "one image per name"),
        ({"lengths": np.array([1, 2], np.int64)}, r"lengths has shape \(2,\)"),
        ({"names": np.array([], np.str_), "lengths": np.array([], np.int64)}, r"probabilities has shape \(1, 3\)"),
        ({"names": np.array("a.png")}, r"names has shape \(\)"),
        ({"probabilities": np.full((1, 4), 0.25, np.float32)}, r"shape \(1, 4\)"),
        ({"probabilities": np.full((2, 3), 1 / 3, np.float32)}, r"shape \(2, 3\)"),
        ({"probabilities": np.full((1, 3), np.nan, np.float32)}, "not finite"),
        ({"probabilities": np.full((1, 3), 1 / 3, np.float64)}, "probabilities has dtype float64"),
    ],
)
def test_a_forged_exam_is_refused(bundle: Bundle, changes: dict[str, Any], says: str) -> None:
    np.savez(bundle.path / "exam.npz", **exam_arrays(**changes))
    forge(bundle)
    refused(bundle.path, says)


def test_members_that_are_no_arrays_are_refused(bundle: Bundle) -> None:
    with zipfile.ZipFile(bundle.path / "exam.npz", "w") as archive:
        for name in exam_arrays():
            archive.writestr(name, b"no array")
    forge(bundle)
    refused(bundle.path, "not the arrays of a self-test")


def test_an_exam_that_claims_a_huge_array_is_refused(bundle: Bundle) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 60,)})
    with zipfile.ZipFile(bundle.path / "exam.npz", "w") as archive:
        for name, array in exam_arrays(images=None).items():
            sink = io.BytesIO()
            np.save(sink, array)
            archive.writestr(f"{name}.npy", sink.getvalue())
        archive.writestr("images.npy", header.getvalue() + b"png")
    forge(bundle)
    refused(bundle.path, "exam.npz cannot be read")


def prototype_arrays(**changes: Any) -> dict[str, Any]:
    arrays = {
        "centre": np.zeros(4, np.float32),
        "means": np.ones((3, 4), np.float32),
        "counts": np.ones(3, np.int64),
        "threshold": np.float64(0.5),
        "kept": np.float64(0.95),
        "temperature": np.float64(0.1),
    }
    return {name: value for name, value in (arrays | changes).items() if value is not None}


def with_prototypes(bundle: Bundle, **changes: Any) -> None:
    """The bundle with class means and digests that fit them."""
    path = bundle.path / "prototypes.npz"
    np.savez(path, **prototype_arrays(**changes))
    forge(bundle, files={**bundle.manifest.files, path.name: sha256_file(path)})


def test_class_means_that_fit_are_read(bundle: Bundle) -> None:
    with_prototypes(bundle)
    found = open_bundle(bundle.path).prototypes()
    assert found is not None and found.means.shape == (3, 4) and found.threshold == 0.5


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"means": np.array([{"a": print}], dtype=object)}, "cannot be read: Object arrays"),
        ({"means": None}, "not the arrays of a set of class means"),
        ({"extra": np.zeros(1)}, "not the arrays of a set of class means"),
        ({"means": np.ones((4, 4), np.float32)}, r"means has shape \(4, 4\) instead of \(3, 4\)"),
        ({"means": np.ones(3, np.float32)}, r"shape \(3,\)"),
        ({"means": np.ones((3, 0), np.float32), "centre": np.zeros(0, np.float32)}, r"shape \(3, 0\)"),
        ({"means": np.ones((3, 4), np.float64)}, "means has dtype float64"),
        ({"means": np.full((3, 4), np.nan, np.float32)}, "not finite"),
        ({"centre": np.full(4, np.inf, np.float32)}, "not finite"),
        ({"centre": np.zeros(5, np.float32)}, r"centre has shape \(5,\) instead of \(4\)"),
        ({"counts": np.ones(2, np.int64)}, r"counts has shape \(2,\)"),
        ({"counts": np.array([1, 0, 1], np.int64)}, "has no images"),
        ({"counts": np.ones(3, np.float32)}, "counts has dtype float32"),
        ({"threshold": np.float64("nan")}, "not finite"),
        ({"threshold": np.float64(2)}, "threshold 2.0"),
        ({"threshold": np.zeros(3)}, r"threshold has shape \(3,\)"),
        ({"kept": np.float64(1.5)}, "kept 1.5"),
        ({"temperature": np.float64(0)}, "temperature 0.0"),
    ],
)
def test_forged_class_means_are_refused(bundle: Bundle, changes: dict[str, Any], says: str) -> None:
    with_prototypes(bundle, **changes)
    refused(bundle.path, says)


def test_damaged_class_means_are_found(bundle: Bundle) -> None:
    with_prototypes(bundle)
    path = bundle.path / "prototypes.npz"
    path.write_bytes(path.read_bytes()[:-40])
    refused(bundle.path, "checksum mismatch")
    forge(bundle, files={**bundle.manifest.files, path.name: sha256_file(path)})
    refused(bundle.path, "prototypes.npz is not a readable zip")


def test_a_rule_that_needs_class_means_needs_their_file(bundle: Bundle) -> None:
    forge(bundle, decision={"rule": "nearest class mean", "trained": 2, "enrolled": ["Ñandú"]})
    refused(bundle.path, "lists no prototypes.npz")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("model.h5", "old Keras HDF5"),
        ("MODEL.HDF5", "old Keras HDF5"),
        ("model.pkl", "a pickle"),
        ("model.pickle", "a pickle"),
        ("model.joblib", "a pickle"),
        ("model.pt", "PyTorch"),
        ("graph.pb", "TensorFlow graph"),
        ("model.keras", "without its labels and preprocessing"),
        ("photo.jpg", "not the folder of a run or bundle"),
    ],
)
def test_other_kinds_of_models_are_refused_by_name(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04.")
    refused(tmp_path / name, says)


def test_the_model_of_a_bundle_is_pointed_back_to_its_folder(bundle: Bundle) -> None:
    assert refused(bundle.model_path, "without its labels").hint == "give its folder"


def test_folders_that_are_no_bundle_are_told_apart(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "there is no run or bundle")
    refused(tmp_path, "neither a run nor a bundle")
    (tmp_path / "saved_model.pb").write_bytes(b"")
    refused(tmp_path, "SavedModel")


@settings(max_examples=60)
@given(data=st.data())
def test_a_damaged_archive_never_escapes_as_another_error(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    for name, write in (("model.keras", write_model), ("exam.npz", lambda path: np.savez(path, **exam_arrays()))):
        path = folder / name
        write(path)
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 8))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.none() | st.integers(0, len(content)))
        path.write_bytes(content[:cut])
        try:
            check_model(path) if name == "model.keras" else read_self_test(path, 3)
        except StoreError as error:
            assert error.hint


def test_keras_is_never_imported(bundle: Bundle) -> None:
    import subprocess

    code = (
        "import sys; from keensight.store.bundle import open_bundle\n"
        f"open_bundle({str(bundle.path)!r}).exam()\n"
        "print([m for m in ('keras', 'tensorflow', 'h5py', 'pandas', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
