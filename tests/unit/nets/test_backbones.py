import subprocess
import sys

import pytest

from keensight.nets.models.backbones import ARCHITECTURES, from_scratch, tuning_side


def test_the_residual_network_is_taken_where_its_training_is_short():
    assert from_scratch(3500, 28).name == "resnet"
    assert from_scratch(200_000, 128).name == "cnn"
    assert "few enough" in from_scratch(3500, 28).reason


@pytest.mark.parametrize(("effort", "side"), [("quick", 224), ("standard", 160), ("best", 192)])
def test_a_pretrained_network_sees_smaller_images_the_more_often_it_looks(effort, side):
    assert tuning_side("efficientnet_lite0", effort) == side
    assert tuning_side("cnn", effort) is None


def test_every_pretrained_network_names_what_it_starts_from():
    pretrained = [item for item in ARCHITECTURES.values() if item.pretrained]
    assert all(item.side and item.parameters and item.source != "none" for item in pretrained)


def test_listing_architectures_imports_no_framework():
    code = "import sys, keensight.nets.models.backbones as b; list(b.ARCHITECTURES); print('keras' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
