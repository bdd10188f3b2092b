"""Where a training starts from: the setting ``model.weights`` as something that ``nets`` can load."""

from __future__ import annotations

from pathlib import Path

from keensight.core.registry import did_you_mean
from keensight.errors import UsageError


def start_weights(setting: str) -> str | Path:
    """Resolve ``model.weights``; files are looked through before Keras may load them.

    Args:
        setting: ``imagenet``, ``none``, ``run:FOLDER`` (a run or a bundle), or a ``.keras`` or ``.pth`` file.

    Returns:
        ``imagenet``, ``none`` or the path of a file.

    Raises:
        UsageError: it is none of these, or the file does not exist.
        StoreError: the run, bundle or file is damaged or unsafe.
    """
    from keensight.store.archive import check_model
    from keensight.store.bundle import open_bundle

    if setting in ("imagenet", "none"):
        return setting
    if setting.startswith("run:"):
        return open_bundle(setting.removeprefix("run:")).model_path
    path = Path(setting)
    if not path.is_file():
        hint = did_you_mean(setting, ["imagenet", "none", "run:FOLDER", "FILE.keras", "FILE.pth"])
        raise UsageError(f"model.weights cannot be {setting!r}: there is no such file", hint)
    if path.suffix == ".keras":
        check_model(path)
    return path
