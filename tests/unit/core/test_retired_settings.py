"""Settings of earlier versions can still be given and read."""

import pytest

from keensight.core.config import RunConfig, read_config
from keensight.errors import UsageError
from keensight.workflow.steps import configure


def test_a_retired_setting_is_ignored_with_a_warning(tmp_path):
    with pytest.warns(DeprecationWarning, match="train.frozen has no effect any more"):
        assert RunConfig().with_values({"train.frozen": 0.5, "train.epochs": 3}).train.epochs == 3
    with pytest.warns(DeprecationWarning, match="train.views"):
        assert configure(views=2) == RunConfig()
    path = tmp_path / "config.toml"
    path.write_text("[train]\nfrozen = 0.65\nepochs = 3\n")
    assert read_config(path) == {"train.frozen": 0.65, "train.epochs": 3}
    path.write_text("[train]\nfrosen = 0.65\n")
    with pytest.raises(UsageError):
        read_config(path)
