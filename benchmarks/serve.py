"""The server under load, against batch prediction of the same photos on the same machine.

python benchmarks/serve.py BUNDLE PHOTOS

Three kinds of processes, one after the other: batch prediction (``ks.predict`` on a loaded model), the server
(``keensight serve``), and a client with some connections, each of which sends the next photo as soon as it has its
response. Batch prediction is measured before and after the server, and its mean rate is compared. The client runs on
the same CPUs, so that its own work counts against the server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
from record import save

HERE = Path(__file__).resolve()
WARM = 5.0
"""Seconds at the beginning that are not measured."""


def photos(folder: Path, count: int) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    chosen = np.random.default_rng(0).permutation(len(found))[:count]
    return [found[int(i)] for i in chosen]


def batch(bundle: Path, files: list[Path], out: Path) -> None:
    """Predict the photos twice, the second time timed, and write rate and rows."""
    import keensight as ks

    model = ks.load(bundle)
    names = [str(file) for file in files]
    ks.predict(model, names[:50])
    begin, cpu = time.perf_counter(), time.process_time()
    found = ks.predict(model, names)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    rows = [
        {key: row[key] for key in ("label", "probability", "decision", "reason", "ood_score")} for row in found.rows()
    ]
    out.write_text(json.dumps({"rate": len(files) / seconds, "cpu_ms": 1000 * cpu / len(files), "rows": rows}))


class Client:
    """Connections that send photos and compare the responses."""

    def __init__(self, port: int, files: list[Path], rows: list[dict], form: bool) -> None:
        self.port, self.rows = port, rows
        self.requests = [_request(file, form) for file in files]
        self.next = 0
        self.times: list[tuple[float, float]] = []
        self.wrong = self.failed = 0
        self.worst = 0.0

    async def connection(self, until: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while (begin := time.perf_counter()) < until:
            number = self.next % len(self.requests)
            self.next += 1
            writer.write(self.requests[number])
            await writer.drain()
            head, body = await _response(reader)
            self.times.append((begin, time.perf_counter() - begin))
            self.check(head, body, number)
        writer.close()

    def check(self, head: bytes, body: bytes, number: int) -> None:
        if not head.startswith(b"HTTP/1.1 200 "):
            self.failed += 1
            return
        (row,), expected = json.loads(body)["predictions"], self.rows[number]
        self.wrong += any(row[key] != expected[key] for key in ("label", "decision", "reason"))
        self.worst = max(self.worst, abs(row["probability"] - expected["probability"]))

    async def run(self, connections: int, seconds: float) -> dict[str, float]:
        begin, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(self.connection(begin + seconds) for _ in range(connections)))
        cpu = time.process_time() - cpu
        kept = [(at, took) for at, took in self.times if at - begin >= min(WARM, seconds / 4)]
        took = np.array([one for _, one in kept])
        span = max(at + one for at, one in kept) - min(at for at, _ in kept)
        return {
            "requests": len(self.times), "measured": len(kept), "rate": len(kept) / span,
            "p50_ms": 1000 * float(np.median(took)), "p99_ms": 1000 * float(np.quantile(took, 0.99)),
            "wrong": self.wrong, "failed": self.failed, "largest_difference": self.worst,
            "client_cpu_ms": 1000 * cpu / len(self.times),
        }  # fmt: skip


class Faulty(Client):
    """Sends every photo once and bad requests among them, and checks every response."""

    def __init__(self, port: int, files: list[Path], rows: list[dict], good: int, bad: int) -> None:
        super().__init__(port, files, rows, form=False)
        self.bad = _bad(files[0].read_bytes())
        draw = random.Random(0)
        self.jobs = [("", i % len(files)) for i in range(good)]
        self.jobs += [(draw.choice(list(self.bad)), 0) for _ in range(bad)]
        draw.shuffle(self.jobs)
        self.right = self.refused = self.lost = 0

    async def connection(self, until: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while self.jobs:
            kind, number = self.jobs.pop()
            body, expected = self.bad[kind] if kind else (self.requests[number], 200)
            try:
                writer.write(body)
                head, found = await _response(reader)
            except (ConnectionError, asyncio.IncompleteReadError):
                self.lost += 1
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                continue
            status = int(head.split()[1])
            self.failed += status >= 500
            if kind:
                self.refused += status == expected and bool(json.loads(found)["error"]["message"])
            elif status == 200:
                row = json.loads(found)["predictions"][0]
                self.right += all(row[key] == self.rows[number][key] for key in ("label", "decision", "reason"))
        writer.close()

    async def faults(self, connections: int) -> dict[str, object]:
        good = sum(not kind for kind, _ in self.jobs)
        found: dict[str, object] = {"good": good, "bad": len(self.jobs) - good, "connections": connections}
        await asyncio.gather(*(self.connection(0) for _ in range(connections)))
        kinds = {kind: status for kind, (_, status) in self.bad.items()}
        return found | {
            "right": self.right,
            "refused": self.refused,
            "failed": self.failed,
            "lost": self.lost,
            "kinds": kinds,
        }


async def _response(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return head, await reader.readexactly(length)


def _bad(photo: bytes) -> dict[str, tuple[bytes, int]]:
    """Requests that must be refused, and their statuses."""
    side = 20_000
    header = side.to_bytes(4, "big") * 2 + bytes((8, 0, 0, 0, 0))
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(side * side // 8))), (b"IEND", b"")]
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big") for kind, data in chunks
    )
    return {
        "truncated JPEG": (_post(photo[: len(photo) // 2]), 422),
        "empty body": (_post(b""), 422),
        "text": (_post(b"no image, but text"), 415),
        "PDF": (_post(b"%PDF-1.7\n" + bytes(500)), 415),
        "damaged header": (_post(photo[:20] + bytes(2000)), 422),
        "image of 400 megapixels": (_post(bomb), 413),
        "form that ends early": (_post(b"--b\r\nContent-Disposition: form-data; name=f\r\n", FORM), 400),
        "compressed body": (_post(photo, "image/jpeg\r\nContent-Encoding: gzip"), 415),
    }


FORM = "multipart/form-data; boundary=b"


def _post(body: bytes, kind: str = "image/jpeg") -> bytes:
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _request(file: Path, form: bool) -> bytes:
    body, kind = file.read_bytes(), "image/jpeg"
    if form:
        head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n\r\n'
        body, kind = head.encode() + body + b"\r\n--b--\r\n", FORM
    return _post(body, kind)


def client(asked: argparse.Namespace, files: list[Path]) -> None:
    rows = json.loads(asked.reference.read_text())["rows"]
    if asked.faults:
        found = Faulty(asked.client, files, rows, 10 * asked.faults, asked.faults).faults(asked.connections)
    else:
        found = Client(asked.client, files, rows, asked.form).run(asked.connections, asked.seconds)
    print(json.dumps(asyncio.run(found)))


def resident(process: int) -> float:
    """MiB of a process."""
    line = next(one for one in Path(f"/proc/{process}/status").read_text().splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def call(*arguments: object) -> str:
    done = subprocess.run([sys.executable, str(HERE), *map(str, arguments)], check=True, capture_output=True, text=True)
    return done.stdout


@contextmanager
def serving(asked: argparse.Namespace, place: Path) -> Iterator[tuple[subprocess.Popen[str], Callable[..., dict]]]:
    """A server, and what runs a client of it."""
    command = [sys.executable, "-m", "keensight", "serve", str(asked.bundle), "--port", "0", "--json"]
    with (place / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--workers", str(asked.workers)], stdout=subprocess.PIPE, stderr=log, text=True
        )
        document = ""
        while not document.endswith("}\n}\n"):
            document += server.stdout.readline()
        port = json.loads(document)["url"].rsplit(":", 1)[1]

        def load(connections: int, seconds: float, *options: str) -> dict:
            return json.loads(
                call(asked.bundle, asked.photos, "--count", asked.count, "--client", port, "--reference",
                     place / "reference.json", "--connections", connections, "--seconds", seconds, *options)
            )  # fmt: skip

        try:
            yield server, load
        finally:
            server.terminate()
            server.wait(60)


def batched(asked: argparse.Namespace, place: Path, name: str) -> dict:
    call(asked.bundle, asked.photos, "--count", asked.count, "--batch", place / name)
    return json.loads((place / name).read_text())


class Memory(threading.Thread):
    """Samples the memory of a process until it is stopped."""

    def __init__(self, process: int) -> None:
        super().__init__()
        self.process, self.over = process, threading.Event()
        self.samples: list[tuple[float, float]] = []

    def run(self) -> None:
        begin = time.perf_counter()
        while not self.over.wait(0.5):
            self.samples.append((time.perf_counter() - begin, resident(self.process)))

    def stop(self, after: float) -> tuple[float, float, float]:
        """Mean of the first and of the last quarter of the samples from ``after`` on, and their maximum, in MiB."""
        self.over.set()
        self.join()
        settled = [mib for at, mib in self.samples if at >= after]
        quarter = max(1, len(settled) // 4)
        return float(np.mean(settled[:quarter])), float(np.mean(settled[-quarter:])), max(settled)


def measure(asked: argparse.Namespace, place: Path) -> dict[str, object]:
    first = batched(asked, place, "reference.json")
    form = ("--form",) if asked.form else ()
    with serving(asked, place) as (server, load):
        lone = load(1, 5, *form)
        memory = Memory(server.pid)
        memory.start()
        cpu = cpu_seconds(server.pid)
        loaded = load(asked.connections, asked.seconds, *form)
        cpu = cpu_seconds(server.pid) - cpu
        early, late, most = memory.stop(asked.seconds / 6)
    last = batched(asked, place, "again.json")
    rate, batch_cpu = (first["rate"] + last["rate"]) / 2, (first["cpu_ms"] + last["cpu_ms"]) / 2
    return {
        "connections": asked.connections, "workers": asked.workers, "seconds": asked.seconds,
        "body": "form" if asked.form else "raw bytes", "exit_code": server.returncode,
        "batch_rate": rate, "batch_rates": [first["rate"], last["rate"]], "batch_cpu_ms": batch_cpu,
        "rate": loaded["rate"], "ratio": loaded["rate"] / rate, "server_cpu_ms": 1000 * cpu / loaded["requests"],
        "client_cpu_ms": loaded["client_cpu_ms"], "cpu_ratio": batch_cpu / (1000 * cpu / loaded["requests"]),
        "requests": loaded["requests"],
        "lone_ms": lone["p50_ms"], "p50_ms": loaded["p50_ms"], "p99_ms": loaded["p99_ms"],
        "p99_bound_ms": 1.5 * asked.connections / asked.workers * lone["p50_ms"],
        "wrong": loaded["wrong"], "failed": loaded["failed"], "largest_difference": loaded["largest_difference"],
        "memory_mib": [early, late, most], "memory_growth": late / early - 1,
        **({"note": asked.note} if asked.note else {}),
    }  # fmt: skip


def measure_faults(asked: argparse.Namespace, place: Path) -> dict[str, object]:
    batched(asked, place, "reference.json")
    with serving(asked, place) as (server, load):
        found = load(asked.connections, 0, "--faults", str(asked.faults))
    return found | {"exit_code": server.returncode}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--form", action="store_true", help="send forms in place of raw bytes")
    parser.add_argument("--faults", type=int, help="send this many bad requests among ten times as many photos instead")
    parser.add_argument("--note", help="a sentence about the circumstances, for the page")
    parser.add_argument("--batch", type=Path, help="(for this script itself)")
    parser.add_argument("--client", type=int, help="(for this script itself)")
    parser.add_argument("--reference", type=Path, help="(for this script itself)")
    asked = parser.parse_args()
    files = photos(asked.photos, asked.count)
    if asked.batch:
        batch(asked.bundle, files, asked.batch)
    elif asked.client:
        client(asked, files)
    elif asked.faults:
        with tempfile.TemporaryDirectory() as place:
            found = measure_faults(asked, Path(place))
        save("serve-faults", len(files), found, "every photo predicted as by predict, every bad request refused")
    else:
        with tempfile.TemporaryDirectory() as place:
            found = measure(asked, Path(place))
        bar = (
            "rate at least 0.85 of batch prediction, p99 at most 1.5 x (connections / workers) x a lone request, "
            "no wrong prediction, memory flat within 5%"
        )
        packages = ("ai-edge-litert", "fastapi", "uvicorn", "httptools")
        name = "serve-form" if asked.form else "serve"
        save(name, len(files), found, bar, versions={package: version(package) for package in packages})


if __name__ == "__main__":
    main()
