"""Deprecated: :mod:`keensight.show.misclassified` under its former name."""

import warnings

from keensight.show.misclassified import find_mistakes

__all__ = ["find_mistakes"]

warnings.warn("keensight.show.picks is now keensight.show.misclassified", DeprecationWarning, stacklevel=2)
