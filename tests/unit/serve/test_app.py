"""Requests and their responses, without a network."""

import asyncio
import json
import logging
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keensight.errors import UsageError
from keensight.serve.access import Access
from keensight.serve.app import application
from keensight.serve.service import Service
from keensight.serve.settings import Settings, as_name
from serve_builders import FORM, ByBrightness, form, manifest, picture, request


def ask(*calls, model=None, loaded=True, stopping=False, **settings):
    """The replies to some requests, one after the other, of a new server; and its state."""
    service = Service(Settings("squares", workers=1, **settings), manifest())
    app = Access(application(service), service)

    async def main():
        if loaded:
            service.open(model or ByBrightness())
        if stopping:
            service.stop()
        try:
            return [await request(app, *arguments, **options) for *arguments, options in calls]
        finally:
            await asyncio.to_thread(service.pool.stop)

    return asyncio.run(main()), service


def predict(*chunks, path="/predict", **options):
    return ("POST", path, chunks, options)


def one(call, **settings):
    (reply,), service = ask(call, **settings)
    assert service.room.held == 0 and service.pool.unfinished == 0
    return reply


def test_raw_bytes_and_a_form_give_the_rows_of_predict():
    for headers in ({}, {"content-type": "image/png"}, {"content-type": "application/x-www-form-urlencoded"}):
        reply = one(predict(picture(255), headers=headers))
        row = reply.json()["predictions"][0]
        assert reply.status == 200 and row["path"] == "image 0" and row["label"] == "bright"
        assert list(row) == ["path", "label", "probability", "top", "decision", "reason", "set", "ood_score", "error"]
    body = form(("a.png", picture(0)), ("ü b.png", picture(255)))
    reply = one(predict(body, headers=FORM))
    assert [(row["path"], row["label"]) for row in reply.json()["predictions"]] == [
        ("a.png", "dark"),
        ("ü b.png", "bright"),
    ]
    assert reply.json()["model"]["name"] == "squares" and len(reply.json()["model"]["digest"]) == 64


def test_files_of_one_name_keep_their_own_results():
    body = form(("a.png", picture(0)), ("a.png", b"no image"), ("a.png", picture(255)))
    rows = one(predict(body, headers=FORM)).json()["predictions"]
    assert [row["label"] for row in rows] == ["dark", None, "bright"]
    assert rows[0]["error"] is None and "image" in rows[1]["error"]


@settings(max_examples=20)
@given(st.lists(st.integers(0, 400), max_size=6))
def test_a_form_is_read_alike_however_it_arrives(cuts):
    body = form(("a.png", picture(0)), ("b.png", picture(255)))
    ends = sorted({min(cut, len(body)) for cut in cuts} | {0, len(body)})
    chunks = [body[begin:end] for begin, end in pairwise(ends)]
    rows = one(predict(*chunks, headers=FORM)).json()["predictions"]
    assert [row["label"] for row in rows] == ["dark", "bright"]


@given(
    st.binary(max_size=300), st.sampled_from(["", "multipart/form-data", FORM["content-type"], "a/b; boundary", "\xff"])
)
def test_no_body_makes_the_server_fail(body, kind):
    reply = one(predict(body, headers={"content-type": kind}))
    assert 400 <= reply.status < 500
    assert set(reply.json()["error"]) == {"code", "message", "hint"}


@pytest.mark.parametrize(
    ("call", "status", "code"),
    [
        (predict(b"x" * 3000), 413, "too_many_bytes"),
        (predict(picture(0), headers={"content-length": "3000"}), 413, "too_many_bytes"),
        (predict(form(*[("a.png", b"x")] * 4), headers=FORM), 413, "too_many_files"),
        (predict(picture(0, side=30)), 413, "too_many_pixels"),
        (predict(), 422, "empty"),
        (predict(form(), headers=FORM), 422, "empty"),
        (predict(form(("a.png", b"")), headers=FORM), 422, "empty"),
        (predict(b"hello"), 415, "not_an_image"),
        (predict(picture(0)[:50]), 422, "unreadable"),
        (predict(form(("a", b"hello"), ("b", picture(0)[:50])), headers=FORM), 422, "unreadable"),
        (predict(form(("a", picture(0)), end=False), headers=FORM), 400, "malformed"),
        (predict(b"--abc", headers=FORM), 400, "malformed"),
        (predict(picture(0), headers={"content-type": "multipart/form-data"}), 400, "malformed"),
        (predict(picture(0), headers={"content-encoding": "gzip"}), 415, "unsupported_encoding"),
        (predict(picture(0), 0.6), 408, "slow_upload"),
        (predict(picture(0), path="/predict?top=x"), 422, "invalid_parameter"),
        (("GET", "/predict", (), {}), 405, "http"),
        (("GET", "/nothing", (), {}), 404, "not_found"),
    ],
)
def test_what_is_refused_says_why(call, status, code):
    reply = one(call, max_bytes=2000, max_files=3, max_pixels=500, timeout=0.3)
    assert (reply.status, reply.json()["error"]["code"]) == (status, code)
    assert reply.json()["error"]["message"] and reply.json()["error"]["hint"]


def test_a_bad_image_among_good_ones_is_a_row_and_the_status_is_200():
    reply = one(predict(form(("a", picture(0)), ("b", b"hello")), headers=FORM))
    assert reply.status == 200 and [row["decision"] for row in reply.json()["predictions"]] == ["accept", "abstain"]


def test_a_client_that_leaves_keeps_nothing_and_is_counted():
    (_, reply), service = ask(
        predict(picture(0)[:50], gone=True), ("GET", "/metrics", (), {})
    )  # fmt: skip
    assert service.room.held == 0
    assert 'keensight_rejected_total{reason="client_gone"} 1.0' in reply.body.decode()


def test_uploads_have_a_common_limit_of_memory():
    service = Service(Settings("squares", workers=1), manifest())
    service.open(ByBrightness())
    image = picture(0)
    service.room.held = service.room.total - len(image) + 1
    reply = asyncio.run(request(Access(application(service), service), "POST", "/predict", [image]))
    service.pool.stop()
    assert (reply.status, reply.json()["error"]["code"], reply.headers["retry-after"]) == (503, "out_of_memory", "1")
    assert service.room.held == service.room.total - len(image) + 1


def test_prediction_waits_no_longer_than_the_limit():
    model = ByBrightness()
    model.go_on.clear()
    service = Service(Settings("squares", workers=1, timeout=0.2), manifest())
    app = Access(application(service), service)

    async def main():
        service.open(model)
        reply = await request(app, "POST", "/predict", [picture(0)])
        model.go_on.set()
        await asyncio.to_thread(service.pool.stop)
        return reply

    reply = asyncio.run(main())
    assert reply.status == 503 and reply.json()["error"]["code"] == "timeout" and int(reply.headers["retry-after"]) >= 1


def test_readiness_follows_the_state_and_liveness_does_not():
    calls = [("GET", path, (), {}) for path in ("/readyz", "/v2/health/ready", "/healthz", "/v2/health/live")]
    for states, wanted in (
        ({"loaded": False}, [503, 503, 200, 200]), ({}, [200] * 4), ({"stopping": True}, [503, 503, 200, 200])
    ):  # fmt: skip
        replies, _ = ask(*calls, **states)
        assert [reply.status for reply in replies] == wanted
    (reply,), _ = ask(predict(picture(0)), loaded=False)
    assert (reply.status, reply.json()["error"]["code"], reply.headers["retry-after"]) == (503, "starting", "1")


def test_a_stopping_server_still_predicts_and_closes_the_connection():
    reply = one(predict(picture(0)), stopping=True)
    assert reply.status == 200 and reply.headers["connection"] == "close"


def test_a_token_is_needed_everywhere_but_for_health():
    right, wrong = {"authorization": "Bearer secret-token"}, {"authorization": "Bearer secret-tokem"}
    calls = [predict(picture(0), headers=headers) for headers in ({}, wrong, {"authorization": "secret-token"}, right)]
    calls += [
        ("GET", path, (), {})
        for path in ("/metrics", "/labels", "/docs", "/drift", "/openapi.json", "/healthz", "/readyz")
    ]
    replies, _ = ask(*calls, token="secret-token")
    assert [reply.status for reply in replies] == [401, 401, 401, 200, 401, 401, 401, 401, 401, 200, 200]
    assert replies[0].headers["www-authenticate"] == "Bearer"


def test_labels_and_metadata_describe_the_model():
    calls = [("GET", path, (), {}) for path in ("/labels", "/v2", "/v2/models/squares", "/v2/models/circles")]
    (labels, server, model, other), _ = ask(*calls)
    assert labels.json()["labels"] == ["dark", "bright"] and labels.json()["task"] == "multiclass"
    assert server.json()["name"] == "keensight" and other.status == 404
    assert model.json()["inputs"][0]["shape"] == [-1, 8, 8, 3] and model.json()["outputs"][0]["shape"] == [-1, 2]


def test_metrics_count_images_batches_and_refusals():
    body = form(("a", picture(0)), ("b", b"hello"))
    replies, _ = ask(predict(body, headers=FORM), predict(picture(0)), ("GET", "/metrics", (), {}))
    text = replies[-1].body.decode()
    for line in (
        'keensight_images_total{decision="accept"} 2.0', 'keensight_images_total{decision="error"} 1.0',
        'keensight_requests_total{path="/predict",status="200"} 2.0', "keensight_queue_seconds_count 3.0",
        'keensight_rejected_total{reason="not_an_image"} 1.0', "keensight_out_of_distribution_ratio 0.0",
        "keensight_upload_bytes 0.0", "keensight_images_unfinished 0.0", "keensight_ready 1.0",
    ):  # fmt: skip
        assert line in text


def test_the_openapi_document_and_the_page_name_every_address():
    (document, page, root), _ = ask(*(("GET", path, (), {}) for path in ("/openapi.json", "/docs", "/")))
    paths = document.json()["paths"]
    assert set(paths) >= {"/predict", "/labels", "/healthz", "/readyz", "/metrics"}
    assert set(paths["/predict"]["post"]["responses"]) == {
        "200", "400", "401", "408", "413", "415", "422", "429", "500", "503"
    }  # fmt: skip
    assert all(path in page.body.decode() for path in paths) and "://" not in page.body.decode().replace(
        "http://HOST", ""
    )
    assert (root.status, root.headers["location"]) == (307, "docs")


def test_the_log_has_no_names_unless_asked(caplog):
    body = form(("Mrs Smith.png", picture(0)))
    for asked in (False, True):
        caplog.clear()
        with caplog.at_level(logging.INFO, "keensight.serve"):
            one(predict(body, headers=FORM | {"x-request-id": "abc-1"}), log_names=asked)
        fields = caplog.records[-1].fields
        assert fields["path"] == "/predict" and fields["images"] == 1 and fields["id"] == "abc-1"
        assert ("Mrs Smith" in json.dumps(fields)) is asked


@pytest.mark.parametrize(
    ("options", "words"),
    [({"name": "a/b"}, "name"), ({"queue": 3, "max_files": 4}, "queue"), ({"token": "short"}, "token")],
)
def test_settings_that_do_not_fit_are_refused(options, words):
    with pytest.raises(UsageError, match=words):
        Settings(**{"name": "a", **options})


def test_only_another_address_without_a_token_is_exposed():
    assert not Settings("a").is_exposed and Settings("a", host="0.0.0.0").is_exposed
    assert not Settings("a", host="0.0.0.0", token="long-enough").is_exposed


def test_a_folder_gives_a_name():
    assert as_name("my run (2)") == "my-run-2" and as_name("???") == "model"
