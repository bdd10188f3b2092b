"""What a file says without its pixels."""

from pathlib import Path

import numpy as np
from PIL import Image

from keensight.data.shortcut_inputs import traits
from keensight.data.sources.readers import open_source


def test_only_traits_that_differ_are_given_and_names_lose_their_class(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label, quality in (("big cat", 60), ("dog", 90)):
        (tmp_path / "set" / label).mkdir(parents=True)
        for i in range(5):
            picture = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
            picture.save(tmp_path / "set" / label / f"{label.replace(' ', '_')}_{i}.jpg", quality=quality)
    data = open_source(tmp_path / "set")
    found = traits(data, np.arange(10))
    assert set(found) == {"JPEG quality", "bytes"}
    assert np.round(found["JPEG quality"].ravel(), -1).tolist() == [60] * 5 + [90] * 5


def test_a_naming_of_its_own_is_a_trait(tmp_path: Path) -> None:
    for label, name in (("a", "IM-{:04}-0001"), ("b", "person{}_virus")):
        (tmp_path / "set" / label).mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (8, 8), (i, 9, 9)).save(tmp_path / "set" / label / f"{name.format(i)}.png")
    names = traits(open_source(tmp_path / "set"), np.arange(8))["file name"]
    assert len(np.unique(names, axis=0)) == 2
    assert (names[:4] == names[0]).all() and (names[4:] == names[4]).all()
