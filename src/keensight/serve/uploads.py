"""The images in a request's body, with the limits checked while it arrives.

A body is ``multipart/form-data`` with one or more files, or else the bytes of one image, whatever its type says: curl
calls raw bytes a form. Nothing is written to disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from keensight.serve.rejection import Problem, Reason, Rejected
from keensight.serve.settings import Settings

_PATIENCE = 5.0
"""Seconds for which the rest of a refused body is read: a client that is still sending would not see the response."""
_HEADER = 8192


@dataclass(frozen=True, slots=True)
class Upload:
    """One image as it was sent."""

    name: str | None
    """The client's name of the file; None: it gave none."""
    image: bytes


class Room:
    """The bytes of all bodies that are in memory. It belongs to the event loop, so there is no lock."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.held = 0


class Body:
    """The body of one request, counted while it arrives; ``release`` it in the end."""

    def __init__(self, request: Request, settings: Settings, room: Room) -> None:
        self._request = request
        self._settings = settings
        self._room = room
        self._ended = False
        self.size = 0
        """Bytes received."""
        self._held = 0

    async def uploads(self) -> list[Upload]:
        """Read the body.

        Raises:
            Rejected: it is too large, malformed, without an image, or too slow; the rest of it was read or given up.
        """
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await self._read()
        except TimeoutError as error:
            message = f"the request's body did not arrive within {self._settings.timeout:g} seconds"
            raise Rejected(Problem(Reason.SLOW, message, "send it faster, or in smaller requests")) from error
        except Rejected as error:
            if error.problem.reason != Reason.GONE:
                await self._discard()
            raise

    def release(self) -> None:
        """Give its memory back."""
        self._room.held -= self._held
        self._held = 0

    async def _read(self) -> list[Upload]:
        headers = self._request.headers
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise Rejected(Problem(Reason.ENCODED, "the body is compressed", "send it without Content-Encoding"))
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._settings.max_bytes:
            raise self._too_large()
        kind, options = parse_options_header(headers.get("content-type", ""))
        if kind == b"multipart/form-data":
            return await self._files(options.get(b"boundary", b""))
        return [Upload(None, b"".join([chunk async for chunk in self._chunks()]))]

    async def _files(self, boundary: bytes) -> list[Upload]:
        if not boundary:
            raise Rejected(Problem(Reason.MALFORMED, "the form has no boundary", "let the HTTP client write the form"))
        form = _Form(self._settings.max_files)
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]  # a dictionary of functions
        try:
            async for chunk in self._chunks():
                parser.write(chunk)
            parser.finalize()
        except FormParserError as error:
            problem = Problem(Reason.MALFORMED, f"the form is malformed: {error}", "let the HTTP client write the form")
            raise Rejected(problem) from error
        if not form.ended:
            raise Rejected(Problem(Reason.MALFORMED, "the form ends early", "send the whole form"))
        if not form.uploads:
            raise Rejected(Problem(Reason.EMPTY, "the form has no file", "send one, as with curl -F file=@photo.jpg"))
        return form.uploads

    async def _chunks(self) -> AsyncIterator[bytes]:
        async for chunk in self._received():
            self.size += len(chunk)
            if self.size > self._settings.max_bytes:
                raise self._too_large()
            if self._room.held + len(chunk) > self._room.total:
                message = f"{self._room.held / 2**20:.0f} MiB of uploads are being read"
                raise Rejected(Problem(Reason.NO_MEMORY, message, "try again later", retry_after=1))
            self._room.held += len(chunk)
            self._held += len(chunk)
            yield chunk

    async def _received(self) -> AsyncIterator[bytes]:
        while not self._ended:
            message = await self._request.receive()
            if message["type"] == "http.disconnect":
                raise Rejected(Problem(Reason.GONE, "the client closed the connection"))
            self._ended = not message.get("more_body", False)
            yield message.get("body", b"")

    def _too_large(self) -> Rejected:
        limit = f"{self._settings.max_bytes / 2**20:.3g} MiB"
        return Rejected(
            Problem(Reason.TOO_MANY_BYTES, f"the body is larger than {limit}", "send smaller images, or fewer at once")
        )

    async def _discard(self) -> None:
        """Read and forget the rest, within limits."""
        if self._ended or "expect" in self._request.headers:  # such a client waits for the response before it sends
            return
        count = 0
        with suppress(TimeoutError, Rejected):
            async with asyncio.timeout(_PATIENCE):
                async for chunk in self._received():
                    count += len(chunk)
                    if count > 4 * self._settings.max_bytes:
                        return


class _Form:
    """Collects the files of a form from the parser's callbacks; other fields are ignored."""

    def __init__(self, max_files: int) -> None:
        self.uploads: list[Upload] = []
        self.ended = False
        self._max_files = max_files
        self._field, self._value = bytearray(), bytearray()
        self._disposition = b""
        self._is_file = False
        self._name = ""
        self._data = bytearray()

    def callbacks(self) -> dict[str, object]:
        """What the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._add(self._field, data[start:end]),
            "on_header_value": lambda data, start, end: self._add(self._value, data[start:end]),
            "on_header_end": self._header,
            "on_headers_finished": self._headers,
            "on_part_data": self._part,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._disposition, self._data = b"", bytearray()

    def _add(self, to: bytearray, piece: bytes) -> None:
        to += piece
        if len(to) > _HEADER:
            raise Rejected(Problem(Reason.MALFORMED, "a header in the form is too long", "send shorter file names"))

    def _header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._field.clear()
        self._value.clear()

    def _headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._is_file = b"filename" in options
        self._name = options.get(b"filename", b"").decode("utf-8", "replace")
        if self._is_file and len(self.uploads) == self._max_files:
            message = f"the form has more than {self._max_files} files"
            raise Rejected(Problem(Reason.TOO_MANY_FILES, message, "send fewer at once"))

    def _part(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._data += data[start:end]

    def _end(self) -> None:
        if self._is_file:
            self.uploads.append(Upload(self._name or None, bytes(self._data)))
            self._data = bytearray()

    def _finish(self) -> None:
        self.ended = True
