"""A real server process: predictions, everything that clients may do to it, and its end."""

import dataclasses
import http.client
import io
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

import keensight as ks
from keensight.core.files import sha256_file
from keensight.store.npz import read_self_test, write_self_test
from serve_builders import FORM, form

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX systems"),
]
SIDE = 16


def photo(seed, side=64, kind="JPEG"):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 90, (side, side, 3))
    image[..., rng.integers(3)] += 150
    stream = io.BytesIO()
    Image.fromarray(image.astype(np.uint8)).save(stream, kind)
    return stream.getvalue()


def bomb(side=20_000):
    """A PNG of a few hundred kilobytes with 400 megapixels."""

    def chunk(kind, body):
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    head = side.to_bytes(4, "big") * 2 + bytes((8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(side * side // 8)))
        + chunk(b"IEND", b"")
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A bundle of an untrained network: what it predicts does not matter here, only that it is the same everywhere."""
    rng = np.random.default_rng(0)
    data = ks.from_arrays(rng.integers(0, 256, (60, SIDE, SIDE, 3), dtype=np.uint8), np.repeat(("a", "b", "c"), 20))
    rows = tuple(range(60))
    model = ks.build(data, ks.ImageSpec(SIDE, SIDE), "cnn", width=4)
    classifier = ks.Classifier(model, data.labels, ks.ImageSpec(SIDE, SIDE))
    split = ks.Split(rows[::2], rows[1::4], rows[3::4], "by number")
    return ks.bundle(classifier, data, split, tmp_path_factory.mktemp("served") / "colors", name="cnn")


class Server:
    def __init__(self, process, lines):
        self.process, self.lines = process, lines
        self.host, self.port = "127.0.0.1", None

    def ask(self, method, path, body=None, headers=None, timeout=60):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def predict(self, body, headers=None):
        status, _, text = self.ask("POST", "/predict", body, headers)
        return status, json.loads(text)

    def metric(self, name):
        text = self.ask("GET", "/metrics")[2].decode()
        return float(re.search(rf"^{re.escape(name)} (.*)$", text, re.MULTILINE)[1])

    def raw(self):
        return socket.create_connection((self.host, self.port), timeout=30)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def serving(bundle, *options, env=None, command=(sys.executable, "-m", "keensight")):
    process = subprocess.Popen(
        [*command, "serve", str(bundle), "--port", "0", "--json", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | (env or {}),
    )  # fmt: skip
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(process.stderr), daemon=True)
    reader.start()
    server = Server(process, lines)
    try:
        document = ""
        while not document.endswith("}\n}\n"):
            line = process.stdout.readline()
            assert line, f"the server ended: {process.wait()} {''.join(lines)}"
            document += line
        server.document = json.loads(document)
        server.port = int(server.document["url"].rsplit(":", 1)[1])
        yield server
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join()
        process.stdout.close()
        process.stderr.close()


@pytest.fixture(scope="module")
def server(bundle):
    with serving(bundle.path, "--workers", "2", "--max-bytes", "2000000", "--timeout", "2") as found:
        yield found


def test_a_server_predicts_what_predict_predicts(server, bundle, tmp_path):
    images = [photo(seed, kind=kind) for seed, kind in enumerate(["JPEG", "PNG", "WEBP", "BMP"] * 6)]
    expected = ks.predict(bundle.path, images).rows()
    for image, row in zip(images, expected, strict=True):
        status, found = server.predict(image)
        assert status == 200
        (got,) = found["predictions"]
        assert list(got) == list(row)
        assert got | {"path": 0, "top": 0, "probability": 0} == row | {"path": 0, "top": 0, "probability": 0}
        assert got["top"] == [[name, pytest.approx(p, abs=1e-6)] for name, p in row["top"]]
    status, found = server.predict(form(*((f"{i}.jpg", image) for i, image in enumerate(images))), FORM)
    assert status == 200 and [row["label"] for row in found["predictions"]] == [row["label"] for row in expected]
    assert found["model"] == server.document["model"] and server.document["model"]["name"] == "colors"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"x" * 3_000_000, 413, "too_many_bytes"),
        (iter([b"x" * 100_000] * 30), 413, "too_many_bytes"),
        (photo(0)[:700], 422, "unreadable"),
        (bomb(), 413, "too_many_pixels"),
        (b"%PDF-1.7", 415, "not_an_image"),
        (b'{"image": "abc"}', 415, "not_an_image"),
        (b"", 422, "empty"),
    ],
    ids=["oversize", "oversize in pieces", "truncated", "bomb", "PDF", "JSON", "empty"],
)  # fmt: skip
def test_what_is_refused_says_what_was_wrong_and_the_server_goes_on(server, body, status, code):
    found, document = server.predict(body)
    assert (found, document["error"]["code"]) == (status, code)
    assert document["error"]["message"] and document["error"]["hint"]
    assert server.predict(photo(1))[0] == 200


def test_slow_and_vanished_clients_leave_nothing_behind(server):
    before = server.metric("process_open_fds")
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
    gone = [server.raw() for _ in range(20)]
    for connection in gone:
        connection.sendall(head + b"x" * 1000)
        connection.close()
    slow, silent, late = server.raw(), server.raw(), server.raw()
    slow.sendall(head + b"x" * 1000)
    late.sendall(b"POST /predict HTTP/1.1\r\nHos")
    assert slow.recv(4096).startswith(b"HTTP/1.1 408 ")
    assert silent.recv(4096) == b"" and late.recv(4096) == b""
    for connection in (slow, silent, late):
        connection.close()
    for _ in range(50):
        if server.metric("process_open_fds") <= before + 1:
            break
        time.sleep(0.1)
    assert server.metric("process_open_fds") <= before + 1
    assert server.metric("keensight_upload_bytes") == 0 and server.metric("keensight_images_unfinished") == 0
    assert server.metric('keensight_rejected_total{reason="client_gone"}') >= 20


def test_bad_images_among_many_good_ones_harm_none(server, bundle):
    draw = random.Random(0)
    good = [photo(seed) for seed in range(20)]
    expected = [row["label"] for row in ks.predict(bundle.path, good).rows()]
    bad = [(b"", 422), (b"text", 415), (good[0][:500], 422), (bomb(9000), 413), (b"\xff\xd8\xff\xe0" + b"0" * 99, 422)]
    jobs = [("good", i % 20) for i in range(1000)] + [("bad", i % 5) for i in range(100)]
    draw.shuffle(jobs)

    def ask(job):
        kind, number = job
        status, found = server.predict(good[number] if kind == "good" else bad[number][0])
        if kind == "bad":
            return status == bad[number][1] and bool(found["error"]["message"])
        return status == 200 and found["predictions"][0]["label"] == expected[number]

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, jobs))


def test_more_than_the_queue_holds_is_refused_with_a_time(bundle):
    with serving(bundle.path, "--workers", "1", "--queue", "1", "--max-files", "1") as server:
        with ThreadPoolExecutor(24) as pool:
            replies = list(pool.map(lambda seed: server.ask("POST", "/predict", photo(seed, 1500)), range(48)))
        statuses = [status for status, _, _ in replies]
        assert set(statuses) == {200, 429}
        assert all(int(headers["retry-after"]) >= 1 for status, headers, _ in replies if status == 429)


class Client(threading.Thread):
    """Sends one image again and again until the server is gone, on connections that it keeps."""

    def __init__(self, server, image):
        super().__init__()
        self.server, self.image = server, image
        self.count, self.failed, self.refused = 0, [], 0

    def run(self):
        while True:
            try:
                connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=30)
                connection.connect()
            except ConnectionRefusedError:
                return
            try:
                while self.sent(connection):
                    pass
            except (ConnectionResetError, http.client.RemoteDisconnected):
                self.refused += 1  # made while the socket was being closed, never accepted
            finally:
                connection.close()

    def sent(self, connection):
        connection.request("POST", "/predict", self.image)
        response = connection.getresponse()
        body = json.loads(response.read())
        self.count += 1
        if response.status != 200 or body["predictions"][0]["label"] is None:
            self.failed.append(body)
        return response.getheader("connection") != "close"


def test_a_stop_signal_loses_nothing_that_was_accepted(bundle):
    with serving(bundle.path, "--workers", "1", "--drain", "1") as server:
        clients = [Client(server, photo(0, 800)) for _ in range(8)]
        for client in clients:
            client.start()
        time.sleep(1.0)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert server.ask("GET", "/readyz")[0] == 503 and server.ask("GET", "/healthz")[0] == 200
        assert server.process.wait(30) == 0
        for client in clients:
            client.join()
    assert min(client.count for client in clients) > 0 and not any(client.failed for client in clients)
    assert max(client.refused for client in clients) <= 1
    assert sum(client.count for client in clients) == sum(json.loads(line).get("images", 0) for line in server.lines)
    assert json.loads(server.lines[-1])["event"] == "stopped"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_other_signals_stop_it_gently_too_and_a_second_one_by_force(bundle, number):
    with serving(bundle.path, "--drain", "0") as gentle, serving(bundle.path, "--drain", "60") as forced:
        gentle.process.send_signal(number)
        forced.process.send_signal(number)
        assert gentle.process.wait(20) == 0
        assert forced.predict(photo(0))[0] == 200
        forced.process.send_signal(number)
        assert forced.process.wait(20) == 130
    assert "Traceback" not in "".join(forced.lines)


def test_the_log_is_json_without_names(bundle):
    with serving(bundle.path, "--host", "0.0.0.0") as server:
        server.predict(form(("Mrs Smith.jpg", photo(0))), FORM)
        assert server.stop() == 0
    lines = [json.loads(line) for line in server.lines]
    assert "without a token" in lines[0]["event"] and lines[0]["level"] == "warning"
    assert [line["event"] for line in lines[1:]] == ["ready", "request", "stopped"]
    assert "Smith" not in "".join(server.lines) and {"time", "status", "ms", "queue_ms"} <= lines[2].keys()


def test_a_token_comes_from_a_file_or_the_environment(bundle, tmp_path):
    (tmp_path / "token").write_text("from-the-file\n")
    for options, env, token in (
        (("--token-file", str(tmp_path / "token")), {}, "from-the-file"),
        ((), {"KEENSIGHT_TOKEN": "from-the-env"}, "from-the-env"),
    ):
        with serving(bundle.path, *options, env=env) as server:
            assert server.predict(photo(0))[0] == 401
            assert server.predict(photo(0), {"Authorization": f"Bearer {token}"})[0] == 200
            assert server.ask("GET", "/readyz")[0] == 200


def run(*arguments, **options):
    done = subprocess.run(
        [sys.executable, "-m", "keensight", "serve", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )
    return done.returncode, done.stdout, done.stderr


def test_what_cannot_be_served_is_refused_in_a_sentence(bundle, tmp_path):
    damaged, wrong = tmp_path / "damaged", tmp_path / "wrong"
    shutil.copytree(bundle.path, damaged)
    (damaged / "model.keras").write_bytes(b"x" + (damaged / "model.keras").read_bytes()[1:])
    code, out, err = run(damaged, "--port", "0")
    assert (code, out) == (1, "") and "model.keras" in err and err.count("\n") == 2
    shutil.copytree(bundle.path, wrong)
    test = read_self_test(wrong / "exam.npz", 3)
    write_self_test(wrong / "exam.npz", dataclasses.replace(test, probabilities=test.probabilities[:, ::-1].copy()))
    manifest = json.loads((wrong / "manifest.json").read_text())
    manifest["files"]["exam.npz"] = sha256_file(wrong / "exam.npz")
    (wrong / "manifest.json").write_text(json.dumps(manifest))
    code, out, err = run(wrong, "--port", "0")
    assert (code, out) == (3, "") and "self-test failed" in err and "Traceback" not in err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, out, err = run(bundle.path, "--port", taken.getsockname()[1])
    assert (code, out) == (2, "") and err.startswith("error: cannot listen on 127.0.0.1") and err.count("\n") == 2
    code, out, err = run(bundle.path, "--token-file", tmp_path / "none")
    assert (code, out) == (2, "") and "cannot read the token" in err


def test_the_start_page_is_that_of_the_export_and_with_a_token_shows_no_test_images(bundle):
    with serving(bundle.path) as open_to_all, serving(bundle.path, env={"KEENSIGHT_TOKEN": "long-enough"}) as guarded:
        status, headers, page = open_to_all.ask("GET", "/")
        assert status == 200 and headers["content-type"].startswith("text/html") and b"Ethical considerations" in page
        status, _, bare = guarded.ask("GET", "/")
        assert status == 200 and b"Ethical considerations" not in bare and len(bare) < len(page)
        assert guarded.ask("GET", "/labels")[0] == 401


def test_without_the_extra_it_says_what_to_install(bundle, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['fastapi'] = None\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    code, out, err = run(bundle.path, env=os.environ | {"PYTHONPATH": path})
    assert (code, out) == (2, "")
    assert (
        err
        == "error: a server needs the package fastapi, which is not installed\nhint: pip install 'keensight[serve]'\n"
    )
