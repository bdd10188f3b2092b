"""Decisions on labels: asked over real HTTP, on the disk at once, and gone on with later."""

import dataclasses
import http.client
import json
import threading

import numpy as np
import pytest
from PIL import Image

import keensight as ks
import store_builders as make
from keensight.core.labels import Correction, LabelSuspects, Suspect, read_corrections
from keensight.core.progress import Silent
from keensight.core.records import Split
from keensight.errors import DataError, UsageError
from keensight.show.review import ReviewServer
from keensight.workflow.review import open_session

pytestmark = pytest.mark.slow


@pytest.fixture
def photos(tmp_path):
    draw = np.random.default_rng(0)
    for name in ("cat", "dog", "owl"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(6):
            image = Image.fromarray(draw.integers(0, 255, (40, 30, 3), dtype=np.uint8))
            image.save(tmp_path / "photos" / name / f"{i}.png")
    (tmp_path / "photos" / "secret.txt").write_text("not for the page")
    return tmp_path / "photos"


@pytest.fixture
def run(photos, tmp_path):
    """A finished run with one suspect of the training set, and with mistakes in the test set."""
    data = ks.open(photos)
    parts = Split(tuple(range(3, 18)), (), (0, 1, 2), "by hand")
    run = make.make_run(tmp_path / "run")
    run.save_dataset(data)
    run.save_split(parts, data)
    run.save_evaluation(make.evaluation(data, parts, seed=1))
    sample = data.samples[4]
    suspect = Suspect(sample.path, sample.digest, "train", "cat", "dog", 0.01, 0.9)
    run.save_label_suspects(LabelSuspects(18, "by hand", 0.9, 0.05, (suspect,), ()))
    return run.update(state="finished")


class Client:
    def __init__(self, server):
        self.host, self.path = server.url.removeprefix("http://").split("/", 1)

    def ask(self, address, body=None, *, path=None, **headers):
        connection = http.client.HTTPConnection(self.host, timeout=10)
        sent = None if body is None else json.dumps(body)
        if body is not None:
            headers = {"Content-Type": "application/json"} | headers
        connection.request(
            "GET" if body is None else "POST", f"/{self.path if path is None else path}{address}", sent, headers
        )
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer, data


@pytest.fixture
def session(run, photos):
    return open_session(run.path, str(photos), progress=Silent())


@pytest.fixture
def client(session):
    with ReviewServer(session) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        client = Client(server)
        yield client
        client.ask("close", {})
        thread.join(10)
        assert not thread.is_alive()


def test_suspects_come_first_then_the_mistakes_of_the_test_part(run, session):
    asked = session.state()["questions"]
    assert [q["reason"] for q in asked] == ["suspect"] + ["mistake"] * (len(asked) - 1)
    assert asked[0]["path"] == "cat/4.png"
    assert len(asked) == 1 + round((1 - run.evaluation.accuracy.value) * 3)
    assert len(asked) > 1


def test_improbable_labels_come_last(run, photos):
    found = run.label_suspects
    names = {sample.path: sample for sample in run.dataset.samples}
    low = names["cat/5.png"]
    doubtful = (Suspect(low.path, low.digest, "train", "cat", "dog", 0.2, 0.5), *found.suspects)
    run.save_label_suspects(dataclasses.replace(found, doubtful=doubtful))
    asked = open_session(run.path, str(photos), progress=Silent()).state()["questions"]
    assert [q["path"] for q in asked if q["reason"] == "doubtful"] == ["cat/5.png"]
    assert asked[-1]["reason"] == "doubtful"


def test_the_page_loads_nothing_from_elsewhere(client):
    answer, page = client.ask("")
    assert answer.status == 200
    assert b"http" not in page
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_a_decision_is_on_the_disk_at_once_and_can_be_undone(client, session):
    answer, data = client.ask("decide", {"number": 0, "action": "relabel", "label": "owl"})
    assert answer.status == 200
    assert json.loads(data)["decision"] == {"action": "relabel", "label": "owl"}
    written = read_corrections(session.out)
    assert [(c.path, c.given, c.action, c.label) for c in written] == [("cat/4.png", "cat", "relabel", "owl")]
    client.ask("decide", {"number": 0, "action": "drop"})
    client.ask("decide", {"number": 1, "action": "keep"})
    assert [c.action for c in read_corrections(session.out)] == ["drop", "keep"]
    client.ask("decide", {"number": 0, "action": "undo"})
    assert [c.action for c in read_corrections(session.out)] == ["keep"]
    assert session.counts() == {
        "questions": len(session.state()["questions"]),
        "kept": 1,
        "relabelled": 0,
        "dropped": 0,
    }


@pytest.mark.parametrize(
    "body",
    [
        {"number": 0, "action": "relabel", "label": "wolf"}, {"number": 99, "action": "keep"},
        {"number": -1, "action": "keep"}, {"number": 0, "action": "burn"}, {"action": "keep"}, [1], "x",
    ],
)  # fmt: skip
def test_what_is_no_decision_is_refused_and_writes_nothing(client, session, body):
    answer, data = client.ask("decide", body)
    assert answer.status == 400
    assert json.loads(data)["error"]
    assert not session.out.exists()


@pytest.mark.parametrize(
    "body", [b'{"number": 1e999, "action": "drop"}', b"[" * 2000, b'{"number": ' + b"9" * 4000 + b', "action": "keep"}']
)  # fmt: skip
def test_numbers_and_nesting_beyond_reason_are_no_decision(client, session, body):
    connection = http.client.HTTPConnection(client.host, timeout=10)
    connection.request("POST", f"/{client.path}decide", body, {"Content-Type": "application/json"})
    assert connection.getresponse().status == 400
    assert not session.out.exists()


@pytest.mark.parametrize("target", ["x", "x/y", "http:", "*"])
def test_an_address_without_a_slash_is_refused(client, target, capsys):
    connection = http.client.HTTPConnection(client.host, timeout=10)
    connection.request("GET", target)
    assert connection.getresponse().status == 400
    assert capsys.readouterr().err == ""


def test_a_number_of_thousands_of_digits_is_refused(client):
    assert client.ask(f"image/{'9' * 4300}")[0].status == 400


def test_images_come_as_pictures(client):
    answer, data = client.ask("image/0")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/png")
    assert data.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "address",
    ["image/99", "image/-1", "image/../secret.txt", "image/%2e%2e%2fsecret.txt", "image/", "../secret.txt",
     "image/0/../../secret.txt", "nothing"],
)  # fmt: skip
def test_nothing_else_can_be_read(client, address):
    answer, data = client.ask(address)
    assert (answer.status, data) == (404, b"")


def test_without_the_token_or_under_another_name_there_is_nothing(client):
    assert client.ask("state", path="wrong/")[0].status == 404
    assert client.ask("", path="")[0].status == 404
    assert client.ask("state", Host="evil.example:80")[0].status == 404
    assert client.ask("decide", {"number": 0, "action": "drop"}, **{"Content-Type": "text/plain"})[0].status == 415


def test_an_earlier_review_is_gone_on_with(run, photos, session):
    session.decide(0, "relabel", "dog")
    again = open_session(run.path, str(photos), progress=Silent())
    assert again.state()["questions"][0]["decision"] == {"action": "relabel", "label": "dog"}
    again.decide(1, "keep")
    assert len(read_corrections(again.out)) == 2


def test_corrections_that_the_run_was_trained_with_are_carried_over(run, photos):
    sample = run.dataset.samples[4]
    run.save_corrections([Correction(sample.path, sample.digest, "owl", "relabel", "cat")])
    session = open_session(run.path, str(photos), progress=Silent())
    assert session.state()["questions"][0]["decision"] == {"action": "relabel", "label": "cat"}
    session.decide(0, "relabel", "dog")
    assert [(c.given, c.label) for c in read_corrections(session.out)] == [("owl", "dog")]
    session.decide(0, "relabel", "owl")
    assert [c.action for c in read_corrections(session.out)] == ["keep"]


def test_an_image_that_has_changed_since_is_not_shown(run, photos):
    Image.new("RGB", (9, 9)).save(photos / "cat" / "4.png")
    session = open_session(run.path, str(photos), progress=Silent())
    assert session.picture(0) is None
    assert session.picture(1) is not None


def test_another_image_set_is_refused(run, tmp_path):
    for name in "ab":
        (tmp_path / "other" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9), "red" if name == "a" else "blue").save(tmp_path / "other" / name / "0.png")
    with pytest.raises(DataError, match="has no images of the run"):
        open_session(run.path, str(tmp_path / "other"), progress=Silent())


def test_a_port_that_is_taken_is_said(session):
    with ReviewServer(session) as server, pytest.raises(UsageError, match="cannot be used"):
        ReviewServer(session, int(server.url.split(":")[2].split("/")[0]))
