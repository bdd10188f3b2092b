"""A small server that speaks enough of S3 for reading: it lists, describes and sends the files of a folder."""

import threading
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

SPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class Bucket(BaseHTTPRequestHandler):
    """The folder ``server.root`` as buckets: ``/BUCKET/KEY``."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        parts = urlsplit(self.path)
        query, (bucket, _, key) = parse_qs(parts.query, keep_blank_values=True), unquote(parts.path[1:]).partition("/")
        self.server.asked.append(f"{self.command} {bucket}/{key}")
        place = self.server.root / bucket / key
        if not key and (self.server.root / bucket).is_dir():
            return self.send(200, self.listed(bucket, query), "application/xml", body)
        if not place.is_file():
            return self.send(404, b"<Error><Code>NoSuchKey</Code></Error>", "application/xml", body)
        data, asked = place.read_bytes(), self.headers.get("Range")
        if asked is None:
            return self.send(200, data, "application/octet-stream", body)
        first, _, last = asked.removeprefix("bytes=").partition("-")
        some = data[int(first) : int(last) + 1 if last else None]
        where = {"Content-Range": f"bytes {first}-{int(first) + len(some) - 1}/{len(data)}"}
        return self.send(206, some, "application/octet-stream", body, where)

    def listed(self, bucket, query):
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        limit = int(query.get("max-keys", ["1000"])[0])
        root = self.server.root / bucket
        keys = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
        found, folders = [], set()
        for key in keys:
            rest = key[len(prefix) :]
            if not key.startswith(prefix):
                continue
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.split(delimiter)[0] + delimiter)
            else:
                found.append(key)
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;0&quot;</ETag><Size>{(root / key).stat().st_size}</Size></Contents>"
            for key in found[:limit]
        )
        rows += "".join(f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in sorted(folders))
        count = len(found[:limit]) + len(folders)
        return (
            f'<?xml version="1.0"?><ListBucketResult xmlns="{SPACE}"><Name>{bucket}</Name><Prefix>{escape(prefix)}'
            f"</Prefix><KeyCount>{count}</KeyCount><MaxKeys>{limit}</MaxKeys><IsTruncated>false</IsTruncated>{rows}"
            "</ListBucketResult>"
        ).encode()

    def send(self, status, data, kind, body, more=None):
        self.send_response(status)
        headers = {"Content-Length": len(data), "Content-Type": kind, "ETag": '"0"', "Last-Modified": formatdate(0)}
        for name, value in (headers | (more or {})).items():
            self.send_header(name, str(value))
        self.end_headers()
        if body:
            self.wfile.write(data)


@contextmanager
def s3(root: Path):
    """The options of an address such as ``s3://a:b@BUCKET/KEY`` for the folders in ``root`` as buckets, and the list of
    what is asked for.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    server.root, server.asked = root, []
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"?endpoint_override=127.0.0.1:{server.server_port}&scheme=http&region=us-east-1", server.asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
