"""The contract of a bundle: equal for equal terms, and every other term is named."""

import json
from typing import Any

import pytest

from keensight.core.records import ImageSpec, LabelSet
from keensight.core.task import Task
from keensight.core.verification import contract_digest, contract_text, differing, digest_of, labels_of
from store_builders import LABELS, manifest

CHANGES = {
    "labels": LabelSet(LABELS.names[::-1]),
    "task": Task.MULTILABEL,
    "image size and fit": ImageSpec(28, 32, "crop"),
    "normalisation": "x / 255",
    "temperature": 1.0000001,
    "decision rule": {"rule": "most probable class", "mirror": True},
}
FIELDS = {"image size and fit": "image", "decision rule": "decision"}


@pytest.mark.parametrize("words", list(CHANGES))
def test_every_term_counts_and_is_named(words: str) -> None:
    other = manifest(**{FIELDS.get(words, words): CHANGES[words]})
    assert contract_digest(other) != contract_digest(manifest())
    assert differing(other, contract_text(manifest())) == [words]


def test_origin_name_and_files_are_no_terms() -> None:
    other = manifest(name="x", provenance={}, files={"a": "b"}, schema=1, contract="c")
    assert contract_text(other) == contract_text(manifest())
    assert differing(other, contract_text(manifest())) == []


def test_a_field_that_another_version_has_does_not_count() -> None:
    """Both ways: one that this version does not know, and one that an older contract lacks and that has a default."""
    terms = json.loads(contract_text(manifest()))
    terms["image"] = {name: value for name, value in terms["image"].items() if name != "decoder"} | {"filter": "area"}
    assert differing(manifest(), json.dumps(terms)) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"labels": 3}', '{"labels": {"names": ["a", "a"]}}'])
def test_what_is_no_contract_agrees_with_nothing(text: str) -> None:
    assert len(differing(manifest(), text)) >= 5
    assert labels_of(text) in ((), ("a", "a"))


def test_names_from_other_encodings_come_back() -> None:
    odd: Any = manifest(labels=LabelSet(("a\udcff", "Ñ", "c")))
    text = contract_text(odd).encode("utf-8", "backslashreplace").decode()
    assert labels_of(text) == odd.labels.names
    assert differing(odd, text) == []
    assert digest_of(text) == contract_digest(odd)
