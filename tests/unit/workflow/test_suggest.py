"""Labels for suggested images: asked over real HTTP, on the disk at once, and resumed later."""

import csv
import http.client
import json
import threading

import numpy as np
import pytest
from PIL import Image

import keensight as ks
from keensight.core.suggestions import Suggestion, Suggestions
from keensight.errors import DataError, UsageError
from keensight.show.review import ReviewServer
from keensight.workflow.suggest import LabelingSession, write_suggestions


@pytest.fixture
def found(tmp_path):
    draw = np.random.default_rng(0)
    (tmp_path / "new").mkdir()
    items = []
    for i in range(3):
        path = tmp_path / "new" / f"{i}.png"
        Image.fromarray(draw.integers(0, 255, (8, 6, 3), dtype=np.uint8)).save(path)
        items.append(Suggestion(str(path), "cat", 0.6, "dog", 0.3, 0.7, "uncertain between cat and dog"))
    return Suggestions(tuple(items), ("cat", "dog", "=owl"), 3, {})


def labels_in(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return [(row["path"], row["label"]) for row in csv.DictReader(stream)]


def test_a_label_is_on_the_disk_at_once_can_be_undone_and_is_resumed(found, tmp_path):
    out = tmp_path / "labels.csv"
    session = LabelingSession(found, out)
    assert session.decide(0, "keep")["decision"] == {"action": "relabel", "label": "cat"}
    session.decide(1, "relabel", "dog")
    session.decide(2, "relabel", "cat")
    session.decide(2, "undo")
    assert labels_in(out) == [("new/0.png", "cat"), ("new/1.png", "dog")]
    again = LabelingSession(found, out)
    assert again.labeled() == 2
    assert [q["decision"] is None for q in again.state()["questions"]] == [False, False, True]
    again.decide(2, "relabel", "=owl")
    assert LabelingSession(found, out).state()["questions"][2]["decision"]["label"] == "=owl"


def test_the_table_of_labels_is_an_image_set(found, tmp_path):
    session = LabelingSession(found, tmp_path / "labels.csv")
    for number, label in enumerate(("cat", "dog", "cat")):
        session.decide(number, "relabel", label)
    data = ks.open(tmp_path / "labels.csv")
    assert [(s.path, s.label) for s in data.samples] == [
        ("new/0.png", "cat"),
        ("new/1.png", "dog"),
        ("new/2.png", "cat"),
    ]


@pytest.mark.parametrize(
    ("number", "action", "label"), [(3, "keep", ""), (-1, "keep", ""), (0, "drop", ""), (0, "relabel", "hen")]
)
def test_what_is_no_decision_is_refused_and_nothing_is_written(found, tmp_path, number, action, label):
    session = LabelingSession(found, tmp_path / "labels.csv")
    with pytest.raises(UsageError):
        session.decide(number, action, label)
    assert not (tmp_path / "labels.csv").exists()


def test_another_table_is_not_overwritten(found, tmp_path):
    (tmp_path / "labels.csv").write_text("name,kind\na,b\n")
    with pytest.raises(DataError, match="is not a table of path and label"):
        LabelingSession(found, tmp_path / "labels.csv")


def test_the_page_gets_pictures_and_labels_over_http(found, tmp_path):
    session = LabelingSession(found, tmp_path / "labels.csv")
    with ReviewServer(session) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        host, path = server.url.removeprefix("http://").split("/", 1)

        def ask(address, body=None):
            connection = http.client.HTTPConnection(host, timeout=10)
            method, headers = ("GET", {}) if body is None else ("POST", {"Content-Type": "application/json"})
            connection.request(method, f"/{path}{address}", None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

        assert json.loads(ask("state")[1])["task"] == "label"
        status, picture = ask("image/0")
        assert (status, picture[:4]) == (200, b"\x89PNG")
        assert ask("decide", {"number": 0, "action": "keep"})[0] == 200
        assert ask("decide", {"number": 0, "action": "drop"})[0] == 400
        ask("close", {})
        thread.join(10)
    assert labels_in(tmp_path / "labels.csv") == [("new/0.png", "cat")]


def test_suggestions_are_written_as_a_table(found, tmp_path):
    write_suggestions(found, tmp_path / "next.csv")
    with (tmp_path / "next.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    assert rows[0]["other"] == "dog"
    with pytest.raises(UsageError, match="cannot write"):
        write_suggestions(found, tmp_path / "next.txt")
