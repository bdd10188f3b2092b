"""A bundle's light form predicts in a process without TensorFlow and all other packages that training needs."""

import json
import subprocess
import sys

import numpy as np
import pytest

import keensight as ks
from keensight.core.pixels import encode_png

pytestmark = pytest.mark.slow
SPEC = ks.ImageSpec(16, 16)
HEAVY = {
    "IPython", "h5py", "jinja2", "keras", "markdown_it", "matplotlib", "mlxtend", "pandas", "pyarrow", "rich", "scipy",
    "seaborn", "sklearn", "tensorflow", "threadpoolctl",
}  # fmt: skip
RUN = """
import json, sys
from keensight.cli.main import main
for name in {missing!r}:
    sys.modules[name] = None
code = main({arguments!r})
found = sorted({{name.split(".")[0] for name, module in sys.modules.items() if module}})
print(json.dumps([code, found]), file=sys.stderr)
"""


def draw(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 16, 16, 3), np.uint8)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An untrained network's bundle with out-of-distribution rule and decision rule, and an image."""
    from keensight.workflow import prototypes_of
    from keensight.workflow.prototypes import known_of

    folder = tmp_path_factory.mktemp("light")
    data = ks.from_arrays(draw(60), np.repeat(("blue", "green"), 30))
    split, pixels = ks.split(data), ks.prepare(data, SPEC)
    model = ks.Classifier(ks.build(data, SPEC, "cnn", width=4), data.labels, SPEC, temperature=1.5, mirror=True)
    subspace = known_of(model, data, split, pixels).subspace()
    model = model.changed(subspace=subspace, decision=ks.calibrate(model, data, split, pixels).decision)
    means = prototypes_of(model, data, split, pixels)
    ks.bundle(model, data, split, folder / "bundle", prototypes=means, pixels=pixels)
    (folder / "new.png").write_bytes(encode_png(draw(1, 9)[0]))
    return folder


def ran(place, *arguments, missing=()):
    script = RUN.format(arguments=[*arguments, "--json"], missing=sorted(missing))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, cwd=place)
    code, modules = json.loads(done.stderr.splitlines()[-1])
    return code, json.loads(done.stdout), set(modules), done.stderr


def test_one_image_imports_nothing_heavy(place):
    code, rows, modules, _ = ran(place, "predict", "bundle", "new.png")
    assert code == 0 and len(rows) == 1 and not modules & HEAVY
    assert "ai_edge_litert" in modules


def test_the_answer_is_that_of_keras(place):
    found = ran(place, "predict", "bundle", "new.png", missing=HEAVY)[1]
    code, expected, modules, _ = ran(place, "predict", "bundle", "new.png", "--engine", "keras")
    assert code == 0 and "tensorflow" in modules
    for one, other in zip(found, expected, strict=True):
        assert (one["label"], one["decision"], one["set"]) == (other["label"], other["decision"], other["set"])
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-4)
        assert one["ood_score"] == pytest.approx(other["ood_score"], rel=1e-2)


def test_a_class_is_added_verified_and_predicted_without_tensorflow(place):
    code, found, _, told = ran(place, "enrol", "bundle", "red", "new.png", "--out", "wider", missing=HEAVY)
    assert code == 0, told
    code, found, _, told = ran(place, "verify", "wider", missing=HEAVY)
    assert code == 0 and [check["name"] for check in found["checks"]][-1] == "self-test on LiteRT", told
    code, (row,), _, _ = ran(place, "predict", "wider", "new.png", missing=HEAVY)
    assert code == 0 and row["label"] == "red"


@pytest.mark.parametrize(
    ("command", "lacking"),
    [
        (("predict", "bundle", "new.png", "--engine", "keras"), "TensorFlow and Keras, which are"),
        (("explain", "bundle", "new.png", "--out", "maps"), "the package matplotlib, which is"),
        (("predict", "bundle", "new.png", "--out", "found.parquet"), "the package pyarrow, which is"),
    ],
)
def test_what_needs_more_packages_says_what_to_install(place, command, lacking):
    code, found, _, told = ran(place, *command, missing=HEAVY)
    assert code == 2, told
    assert found["error"]["message"] == f"this needs {lacking} not installed"
    assert found["error"]["hint"] == "run: pip install keensight"
    assert "Traceback" not in told
