"""The example of docs/export.md runs as it is, and the page covers every format."""

import re
from pathlib import Path

import pytest

import keensight as ks
from keensight.core.export_formats import FORMATS

PAGE = Path(__file__).parents[2] / "docs" / "export.md"


def test_the_page_has_a_row_for_every_format():
    rows = re.findall(r"^\| `([\w-]+)` \| `", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(FORMATS)
    for kind in FORMATS.values():
        assert f"`{kind.file}" in PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_example_exports(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ks.train("digits", model="cnn", epochs=1, run="runs/first")
    names = {}
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(block, str(PAGE), "exec"), names)
    assert names["made"].file.is_file() and names["made"].parity.held_out == len(ks.open_run("runs/first").split.test)
