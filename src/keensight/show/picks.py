"""Deprecated: :mod:`keensight.show.misclassified` under the name that notebooks written by earlier versions import."""

import warnings

from keensight.show.misclassified import find_mistakes

__all__ = ["find_mistakes"]

warnings.warn("keensight.show.picks is now keensight.show.misclassified", DeprecationWarning, stacklevel=2)
