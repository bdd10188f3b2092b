"""What users and readers see is plain American English in the field's words: help, messages, docstrings, docs."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "keensight"

SET = r"(?:train|training|validation|val|test|given)"
MODEL = r"(?:model|network|classifier|detector|bundle)"
BANNED = {
    # Splits
    rf"\b{SET}(?:,? (?:and|or) {SET})? parts?\b": "training, validation and test set; predefined splits",
    r"\b(?:each|every|another|which|several|these|those) parts?\b(?! of\b)": "split, set",
    # Numbers
    r"\bshares? of\b": "fraction, proportion, percentage",
    r"\b(?:a|the|this|what|which|largest|smallest|his|all|equal|even|as) shares?\b(?! of)": "fraction",
    r"\b(?:test|headline|honest|small|whose|these|those|epoch's) figures\b": "metrics, results, numbers",
    r"\bsurest\b": "most confident",
    r"\b(?:how|as|less|more|so|too|not|is|are|was|were|enough) sure\b": "confident",
    r"[\d}] %(?![(\w])": "a percentage without a space",
    r"\b9[05]% intervals?\b": "95% confidence interval",
    # Models
    r"\banswer(?:s|ed)?\b(?! (?:to|a|the|your|this|that|for|HTTP)\b|,)": "prediction, predict, confidence",
    rf"\b{MODEL} (?:says|said|names|named|tells|told)\b": "predicts",
    r"\boddness\b|\boddit(?:y|ies)\b|\bodd(?:er|est)? (?:images?|ones?|patch(?:es)?|pictures?)\b|\b(?:is|are) odd\b":
        "anomalous, anomaly score",
    r"\bunlike (?:the|its|their|those|what|all)\b.{0,40}\b(?:training|learned)": "out-of-distribution",
    r"\bnear[- ]cop(?:y|ies)\b": "near-duplicates",
    r"\bexams?\b": "self-test",
    r"\bflatter(?:s|ing|ed)?\b": "too optimistic",
    r"\b(?:the|a|head's|L2|one) penalty\b|\bpenalty C\b": "regularization",
    # Architecture
    r"\b(?:the|a|this|these|which|no|of|each) rooms?\b(?! for)": "layer, package",
    r"\bhallway\b|\bstoreys?\b": "layer, package",
    r"\b(?:the|whole|a) walks?\b": "pipeline",
    r"\bat hand\b": "available",
    r"\bprocessors?\b(?! cache)": "CPU",
    r"\barithmetic\b": "precision, computation",
    # English
    r"\bshall\b": "must, should",
    r"\b(?:of (?:its|one's)|each of (?:its|their)) own\b": "its own",
    r"\banew\b": "again",
    r"\b(?:go|goes|gone|went|going) on with\b": "continue, resumed",
    r"\bwhoever\b|\bwhomever\b": "users",
    r"\bheed": "respect, take into account",
    r"\bleft out: ": "default:",
    r"\b(?:tell|tells|told|telling) (?:apart|nothing|of)\b": "distinguish, show, report",
    r"\b(?:is|are|was|were|be|been|being) told\b(?! to)": "shown, detected, reported",
    r"\bstands? (?:in(?! for)|on|at|by|where|there|beside|under|here|above|below)\b": "is",
    r"\bwhat holds\b|\bholds? (?:of|whatever)\b": "is true, applies",
    r"\bso often\b": "N times",
    r"(?<!there )\bis no (?:run|bundle|folder|file|image|table|notebook|directory|label|git|text)\b": "is not a",
    r"(?<!there )\bis there already\b|\bare there already\b": "already exists",
    r"\bthere (?:is|are) such\b|\bsuch an? one\b": "has one",
    r"\bput aside\b|\btaken back\b": "skipped, discarded",
    r"\bthereof\b|\bwhereof\b|\bwhence\b": "of which, from where",
    # American spelling
    r"(?i)colour|\bgrey|neighbour|behaviour|favour|\bcentre|\bmetres?\b|labell|modell|travell|judgement|artefact":
        "American spelling",
    r"(?i)\b(?:re|un|de|mis)?(?:normal|organ|recogn|memor|optim|initial|serial|general|penal|minim|maxim|random|visual|"
    r"summar|standard|categor|regular|util|synchron|custom|emphas|special)is(?:e|es|ed|er|ing|ation)\b":
        "American spelling",
    r"\b[Cc]atalogue|\b[Ll]icence|\b[Aa]nalysed?\b|\bwhilst\b|\bamongst\b": "American spelling",
}  # fmt: skip
"""Pattern to what to write in its place: of words with two senses, only the one that nobody in the field uses."""
PATTERNS = [(re.compile(pattern), better) for pattern, better in BANNED.items()]

ALLOWED = {
    "normalisation": "a public parameter of ks.adopt and a key of manifest.json",
    "Out-of-distribution: unlike the training images.": "the glossary's explanation",
}
"""Exact words that stay although a pattern finds them, and why."""

CODE = re.compile(r"```.*?```|~~~.*?~~~|``[^`]*``|:\w+:`[^`]*`|`[^`]*`|<code>.*?</code>", re.DOTALL)
ITEM = re.compile(r"^\s+\*{0,2}\w+: ", re.MULTILINE)
"""A parameter's name in a docstring."""
TEMPLATE = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", re.DOTALL)
MARKUP = re.compile(r"<style.*?</style>|</?[a-zA-Z][^>]*>", re.DOTALL)
SCRIPT = re.compile(r"//.*|\"[^\"]* [^\"]*\"|`[^`]* [^`]*`")
"""Comments and strings of more than one word in JavaScript."""
LINK = re.compile(r"\]\([^)]*\)|https?://\S+")


def prose(text: str) -> str:
    """Text without code, parameter names and addresses, on one line."""
    text = LINK.sub("] ", ITEM.sub(" ", CODE.sub(" ` ", text)))
    return re.sub(r"\s+(?:#\s+)?", " ", text)


def python(path: Path) -> Iterator[tuple[int, str]]:
    """Docstrings, comments, and strings of more than one word: what a person may read."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    pieces = {id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            values = [value.value if isinstance(value, ast.Constant) else "{}" for value in node.values]
            yield node.lineno, "".join(map(str, values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in pieces:
            yield from [(node.lineno, node.value)] if " " in node.value.strip() else []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """What a person may read in a file, with line numbers (of cells, in a notebook)."""
    if path.suffix == ".py":
        yield from python(path)
    elif path.suffix == ".ipynb":
        for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"], start=1):
            if cell["cell_type"] == "markdown":
                yield number, "".join(cell["source"])
    elif path.suffix == ".js":
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            yield from ((number, text) for text in SCRIPT.findall(line))
    else:
        yield 1, MARKUP.sub(" ", TEMPLATE.sub(" ", path.read_text(encoding="utf-8")))


def hits(path: Path) -> list[str]:
    found = []
    for number, text in texts(path):
        plain = prose(text)
        for word in ALLOWED:
            plain = plain.replace(word, "")
        for pattern, better in PATTERNS:
            for match in pattern.finditer(plain):
                around = plain[max(0, match.start() - 40) : match.end() + 40]
                found.append(f"{path.relative_to(ROOT).as_posix()}:{number}: ...{around}... write: {better}")
    return found


FILES = sorted(
    path
    for pattern in (
        "src/keensight/**/*.py", "src/keensight/show/templates/**/*.html", "src/keensight/show/templates/**/*.js",
        "src/keensight/show/templates/*.txt", "docs/**/*.md", "*.md", "recipes/*.py",
        "notebooks/**/*.ipynb", ".github/**/*.md",
    )
    for path in ROOT.glob(pattern)
    if path.is_file() and path.name != "CHANGELOG.md"
)  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_uses_the_words_of_the_field(path: Path) -> None:
    assert not (found := hits(path)), "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "the test part", "the share of images", "less sure images get none", "95 % of them", "the oddest patches",
        "no processor is at hand", "near copies", "one of its own", "gone on with", "x is told by y", "grey images",
        "it is no image", "the whole walk", "always naming: the model names one", "a 95% interval", "left out: all",
        "normalise them", "the bundle sits its exam",
    ],
)  # fmt: skip
def test_the_patterns_find_what_they_are_for(text: str) -> None:
    assert any(pattern.search(prose(text)) for pattern, _ in PATTERNS)


@pytest.mark.parametrize(
    "text",
    [
        "part of a group", "images that share a group", "make sure", "a figure for notebooks", "this stands for that",
        "the dataset holds images", "odd numbers", "the odds", "`grey_share` of `the test part`", "room for more",
        "walk the tree", "the answer to this question",
    ],
)  # fmt: skip
def test_the_patterns_leave_ordinary_words_alone(text: str) -> None:
    assert not any(pattern.search(prose(text)) for pattern, _ in PATTERNS)
