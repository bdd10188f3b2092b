"""Small copies of the images that a run's report shows, in one plain zip file."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

from keensight.core.files import write_bytes
from keensight.core.records import Sample
from keensight.errors import ImageError, StoreError
from keensight.store.safety import UNREADABLE, check_archive

_INDEX = "index.json"
_MOST = 1_000_000
"""Members of a file, at most."""


def save_pictures(path: Path, pictures: Mapping[str, bytes]) -> None:
    """Write encoded images (PNG or JPEG) by the path of their sample.

    Inside they are numbered, because a sample's path may not be a valid file name; ``index.json`` lists the paths.

    Raises:
        StoreError: the file cannot be written.
    """
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_INDEX, json.dumps(list(pictures)))
        for number, data in enumerate(pictures.values()):
            archive.writestr(str(number), data)
    write_bytes(path, sink.getvalue())


class KeptPictures:
    """Reader of a run's pictures; other images raise ImageError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._numbers: dict[str, int] | None = None

    def load(self, sample: Sample) -> bytes:
        """The thumbnail of a sample's image, encoded.

        Raises:
            ImageError: the run does not have it.
            StoreError: the file is damaged.
        """
        try:
            if self._numbers is None and self._path.exists():
                check_archive(self._path, _MOST)
            with zipfile.ZipFile(self._path) as archive:
                if self._numbers is None:
                    self._numbers = {path: i for i, path in enumerate(json.loads(archive.read(_INDEX)))}
                if sample.path in self._numbers:
                    return archive.read(str(self._numbers[sample.path]))
        except FileNotFoundError:
            pass
        except (*UNREADABLE, KeyError, TypeError, RuntimeError) as error:
            raise StoreError(f"{self._path} cannot be read: {error}", "the file is damaged; train again") from error
        raise ImageError("the run has no copy of this image")
