"""``keensight samples``, run in this process."""

from pathlib import Path

import pytest


def test_samples_are_listed(answer, document):
    rows = document("samples")
    assert {row["name"]: row["images"] for row in rows} == {"mnist": 5000, "digits": 1797}
    assert "mnist" in answer("samples").out


@pytest.mark.slow
def test_a_sample_set_is_written_as_folders(answer, document):
    assert document("samples", "digits", "out") == {"schema": 1, "name": "digits", "directory": "out", "images": 1797}
    assert len(list(Path("out").glob("*/*.png"))) == 1797
    again = answer("samples", "digits", "out", code=1)
    assert "not empty" in again.err
