"""Deprecated: :mod:`keensight.assess.intervals` under the name that notebooks written by earlier versions import."""

import warnings

from keensight.assess.intervals import wilson

__all__ = ["wilson"]

warnings.warn("keensight.assess.uncertainty is now keensight.assess.intervals", DeprecationWarning, stacklevel=2)
