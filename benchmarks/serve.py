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
import subprocess
import sys
import tempfile
import threading
import time
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
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
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


def _request(file: Path, form: bool) -> bytes:
    body, kind = file.read_bytes(), "image/jpeg"
    if form:
        head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n\r\n'
        body, kind = head.encode() + body + b"\r\n--b--\r\n", "multipart/form-data; boundary=b"
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def client(port: int, files: list[Path], reference: Path, connections: int, seconds: float, form: bool) -> None:
    rows = json.loads(reference.read_text())["rows"]
    print(json.dumps(asyncio.run(Client(port, files, rows, form).run(connections, seconds))))


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


def measure(asked: argparse.Namespace, place: Path) -> dict[str, object]:
    def batched(name: str) -> dict:
        call(asked.bundle, asked.photos, "--count", asked.count, "--batch", place / name)
        return json.loads((place / name).read_text())

    first = batched("reference.json")
    with (place / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "keensight", "serve", str(asked.bundle), "--port", "0", "--json",
             "--workers", str(asked.workers)],
            stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        document = ""
        while not document.endswith("}\n}\n"):
            document += server.stdout.readline()
        port = json.loads(document)["url"].rsplit(":", 1)[1]

        def load(connections: int, seconds: float) -> dict[str, float]:
            form = ["--form"] if asked.form else []
            return json.loads(
                call(asked.bundle, asked.photos, "--count", asked.count, "--client", port, "--reference",
                     place / "reference.json", "--connections", connections, "--seconds", seconds, *form)
            )  # fmt: skip

        lone = load(1, 5)
        samples: list[tuple[float, float]] = []
        over = threading.Event()

        def watch() -> None:
            begin = time.perf_counter()
            while not over.wait(0.5):
                samples.append((time.perf_counter() - begin, resident(server.pid)))

        watching = threading.Thread(target=watch)
        watching.start()
        cpu = cpu_seconds(server.pid)
        loaded = load(asked.connections, asked.seconds)
        cpu = cpu_seconds(server.pid) - cpu
        over.set()
        watching.join()
        server.terminate()
        code = server.wait(60)
    last = batched("again.json")
    rate = (first["rate"] + last["rate"]) / 2
    settled = [mib for at, mib in samples if at >= asked.seconds / 6]
    early, late = np.mean(settled[: len(settled) // 4]), np.mean(settled[-len(settled) // 4 :])
    bound = 1.5 * asked.connections / asked.workers * lone["p50_ms"]
    return {
        "connections": asked.connections, "workers": asked.workers, "seconds": asked.seconds,
        "body": "form" if asked.form else "raw bytes",
        "batch_rate": rate, "batch_rates": [first["rate"], last["rate"]], "batch_cpu_ms": first["cpu_ms"],
        "rate": loaded["rate"], "ratio": loaded["rate"] / rate, "server_cpu_ms": 1000 * cpu / loaded["requests"],
        "client_cpu_ms": loaded["client_cpu_ms"], "requests": loaded["requests"],
        "lone_ms": lone["p50_ms"], "p50_ms": loaded["p50_ms"], "p99_ms": loaded["p99_ms"], "p99_bound_ms": bound,
        "wrong": loaded["wrong"], "failed": loaded["failed"], "largest_difference": loaded["largest_difference"],
        "memory_mib": [float(early), float(late), max(mib for _, mib in samples)],
        "memory_growth": float(late / early - 1), "exit_code": code,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--form", action="store_true", help="send forms in place of raw bytes")
    parser.add_argument("--batch", type=Path, help="(for this script itself)")
    parser.add_argument("--client", type=int, help="(for this script itself)")
    parser.add_argument("--reference", type=Path, help="(for this script itself)")
    asked = parser.parse_args()
    files = photos(asked.photos, asked.count)
    if asked.batch:
        batch(asked.bundle, files, asked.batch)
    elif asked.client:
        client(asked.client, files, asked.reference, asked.connections, asked.seconds, asked.form)
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
