"""Metadata set against the classes: which columns there are, what they hold, and whether they go with a class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keensight.core.findings import Column
from keensight.core.records import Dataset

if TYPE_CHECKING:
    import pandas as pd

_COMMON = 8
_UNIQUE = 0.9
"""Share of the values that must be distinct in a column of identifiers."""
_NUMERIC = 12
"""From this many distinct numbers on a column is described by quantiles and not by its values."""


def describe(dataset: Dataset) -> tuple[Column, ...]:
    """Every column of metadata, in the order of the table."""
    if not any(sample.metadata for sample in dataset.samples):
        return ()
    import pandas as pd

    frame = pd.DataFrame([dict(sample.metadata) for sample in dataset.samples])
    table = dataset.indicators().astype(bool)
    members = {name: pd.Series(table[:, i]) for i, name in enumerate(dataset.labels.names)}
    return tuple(_describe(str(name), frame[name], members) for name in frame.columns)


def _describe(name: str, values: pd.Series[Any], members: Mapping[str, pd.Series[bool]]) -> Column:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    present = values.dropna()
    distinct, missing = int(present.nunique()), int(values.isna().sum())
    if distinct < 2:
        return Column(name, "constant" if distinct else "empty", missing, distinct)
    if is_numeric_dtype(present) and not is_bool_dtype(present) and distinct >= _NUMERIC:
        by_class = {label: present[held.loc[present.index]] for label, held in members.items()}
        return Column(name, "number", missing, distinct, quantiles=_quantiles(by_class))
    if distinct > _UNIQUE * len(present):
        return Column(name, "identifier", missing, distinct)
    texts = present.map(str)
    top = [str(value) for value in texts.value_counts().index[:_COMMON]]
    counts = {label: Counter(texts[held.loc[texts.index]]) for label, held in members.items()}
    return Column(name, "category", missing, distinct, {k: {v: n[v] for v in top} for k, n in counts.items()})


def _quantiles(by_class: Mapping[str, pd.Series[Any]]) -> dict[str, tuple[float, float, float, float, float]]:
    found = {}
    for label, values in by_class.items():
        if len(values):
            low, first, middle, third, high = (float(q) for q in values.quantile([0, 0.25, 0.5, 0.75, 1]))
            found[label] = (low, first, middle, third, high)
    return found
