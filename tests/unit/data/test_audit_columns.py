"""Metadata set against the classes."""

from keensight.core.records import Dataset, LabelSet, Sample
from keensight.data.audit.audit import describe


def test_each_kind_of_column() -> None:
    rows = [
        {"age": i, "site": None if i == 3 else "north" if i % 2 else "south", "id": f"p{i}", "year": 2020, "note": None}
        for i in range(40)
    ]
    samples = tuple(Sample(f"{i}.png", "ab"[i % 2], str(i), metadata=row) for i, row in enumerate(rows))
    columns = {column.name: column for column in describe(Dataset("s", "table", LabelSet(("a", "b")), samples))}
    kinds = {name: column.kind for name, column in columns.items()}
    assert kinds == {"age": "number", "site": "category", "id": "identifier", "year": "constant", "note": "empty"}
    assert columns["age"].quantiles["b"] == (1, 10.5, 20, 29.5, 39)
    assert columns["site"].common == {"a": {"south": 20, "north": 0}, "b": {"south": 0, "north": 19}}
    assert (columns["site"].missing, columns["note"].missing) == (1, 40)


def test_a_set_without_metadata_has_no_columns() -> None:
    assert describe(Dataset("s", "folder", LabelSet(("a",)), (Sample("1.png", "a", "1"),))) == ()
