import subprocess
import sys

import pytest

from keensight.errors import UsageError
from keensight.nets.backbones import choose


def test_auto_takes_the_residual_network_where_its_training_is_short():
    assert choose("auto", n_train=3500, side=28).name == "resnet"
    assert choose("auto", n_train=200_000, side=128).name == "cnn"
    assert "few enough" in choose("auto", n_train=3500, side=28).reason


def test_a_name_is_taken_as_asked_and_a_wrong_one_refused():
    assert choose("cnn", n_train=10, side=28).reason == "as asked"
    with pytest.raises(UsageError):
        choose("nope", n_train=10, side=28)


def test_listing_architectures_imports_no_framework():
    code = "import sys, keensight.nets.backbones as b; list(b.ARCHITECTURES); print('keras' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
