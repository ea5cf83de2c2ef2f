"""Speak HTTP/1.1: requests in, answers out in the order asked, on an asyncio protocol that a benchmark cannot tire."""

import asyncio
import json
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, cast

import httptools

MAX_HEAD = 64 * 1024
MAX_BODY = 1024 * 1024
MAX_OWN_BODY = 32 * 1024 * 1024
"""Our own doors take rules for every number of a large campaign."""

OWN_DOORS = b"/_sandbox/"
PIPELINE = 128
JSON = "application/json"
KEPT = frozenset((b"accept", b"authorization", b"content-length", b"content-type", b"cookie", b"expect", b"host", b"user-agent"))
"""The request headers that anyone here asks for, beside those of Aliyun, which begin with SIGNED."""

SIGNED = b"x-acs-"

BAD_REQUEST, TOO_LARGE, HEADERS_TOO_LARGE = 400, 413, 431
"""As plain numbers: a look-up in an enum for each header is a tenth of a request."""

Handler = Callable[["Request"], None]


def compose(status: int, body: bytes = b"", content_type: str = JSON, headers: str = "") -> bytes:
    """Return a whole HTTP answer; `headers` are further lines, each with its line end."""
    if status == 204:
        return f"{_STATUS_LINES[status]}{headers}\r\n".encode()
    return f"{_STATUS_LINES[status]}Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def compose_json(status: int, value: Any, headers: str = "") -> bytes:
    """Return a whole HTTP answer with `value` as JSON on one line."""
    return compose(status, json.dumps(value, ensure_ascii=False).encode(), headers=headers)


_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class Request:
    """One request; whoever handles it calls exactly one of `reply`, `stream`, `drop` and `hold`, at once or later."""

    __slots__ = ("body", "connection", "headers", "keep_alive", "method", "path", "query", "version")

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection
        self.headers: dict[bytes, bytes] = {}
        self.method = self.path = self.query = self.body = b""
        self.version = "1.1"
        self.keep_alive = True

    def header(self, name: bytes) -> bytes:
        """Return the value of the header `name` (one of KEPT or SIGNED), or nothing."""
        return self.headers.get(name, b"")

    def reply(self, answer: bytes, *, after: float = 0.0, close: bool = False) -> None:
        """Send a composed answer, `after` so many seconds; then close the connection if asked."""
        if after > 0:
            asyncio.get_running_loop().call_later(after, self.connection.finish, self, answer, close)
        else:
            self.connection.finish(self, answer, close)

    def stream(self, content_type: str, chunks: Iterator[bytes]) -> None:
        """Send `chunks` as the client takes them, however many there are."""
        self.connection.stream(self, content_type, chunks)

    def drop(self) -> None:
        """Close the connection without an answer."""
        self.connection.finish(self, b"", True)

    def hold(self) -> None:
        """Never answer: keep the connection until the client leaves."""
        self.connection.held = True


class Connection(asyncio.Protocol):
    """One client's connection: reads ahead, handles one request at a time, answers in order."""

    def __init__(self, handle: Handler, everyone: set["Connection"]) -> None:
        self.handle = handle
        self.everyone = everyone
        self.held = False
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._incoming = Request(self)
        self._url = b""
        self._chunks: list[bytes] = []
        self._size = 0
        self._in_head = False
        self._limit = MAX_BODY
        self._refusal = BAD_REQUEST
        self._current: Request | None = None
        self._waiting: deque[Request] = deque()
        self._draining = False
        self._leaving = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._streaming: asyncio.Task[None] | None = None

    # from the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self.everyone.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.everyone.discard(self)
        self._transport = self._current = None
        self._waiting.clear()
        self._writable.set()
        if self._streaming:
            self._streaming.cancel()

    def data_received(self, data: bytes) -> None:
        if self._leaving:
            return
        try:
            self._parser.feed_data(data)
            if self._in_head:
                self._measure(len(data), MAX_HEAD, HEADERS_TOO_LARGE)
        except ValueError:
            self._refuse(self._refusal)
        except httptools.HttpParserUpgrade:
            self._leaving = True  # answered as plain HTTP/1.1; what follows on this connection is not for us
        except httptools.HttpParserError:
            self._refuse(self._refusal)

    def eof_received(self) -> bool:
        self._leaving = True
        return (self._current is not None and not self.held) or bool(self._waiting)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()
        self._drain()

    def abort(self) -> None:
        """Leave at once, as a process that ends does."""
        if self._transport:
            self._transport.abort()

    # from the parser

    def on_message_begin(self) -> None:
        self._incoming = Request(self)
        self._url = b""
        self._chunks = []
        self._size = 0
        self._in_head = True
        self._refusal = BAD_REQUEST

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in KEPT or name.startswith(SIGNED):
            self._incoming.headers[name] = value

    def on_headers_complete(self) -> None:
        request = self._incoming
        request.method = self._parser.get_method()
        request.path, _, request.query = self._url.partition(b"?")
        request.version = self._parser.get_http_version()
        self._in_head = False
        self._size = 0
        self._limit = MAX_OWN_BODY if request.path.startswith(OWN_DOORS) else MAX_BODY
        if int(request.header(b"content-length") or 0) > self._limit:
            self._measure(self._limit + 1, self._limit, TOO_LARGE)
        if request.header(b"expect").lower() == b"100-continue" and self._transport and self._current is None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._measure(len(chunk), self._limit, TOO_LARGE)

    def on_message_complete(self) -> None:
        request = self._incoming
        request.body = b"".join(self._chunks)
        request.keep_alive = self._parser.should_keep_alive()
        self._waiting.append(request)
        if len(self._waiting) > PIPELINE and self._transport:
            self._transport.pause_reading()
        self._drain()

    def _measure(self, more: int, limit: int, refusal: int) -> None:
        self._size += more
        if self._size > limit:
            self._refusal = refusal
            raise ValueError(refusal)

    # one request after the other

    def _drain(self) -> None:
        if self._draining:
            return
        self._draining = True
        try:
            while self._waiting and self._current is None and self._writable.is_set():
                self._begin(self._waiting.popleft())
        finally:
            self._draining = False
        if self._transport and len(self._waiting) <= PIPELINE and not self._transport.is_reading() and not self._transport.is_closing():
            self._transport.resume_reading()

    def _begin(self, request: Request) -> None:
        self._current = request
        try:
            self.handle(request)
        except Exception:  # noqa: BLE001 a fault of ours, not one that was asked for: the client must not wait for ever, and we must see it
            traceback.print_exc(file=sys.stderr)
            request.reply(compose_json(500, {"error": {"id": "fault", "message": "the sandbox failed"}}), close=True)

    def finish(self, request: Request, answer: bytes, close: bool) -> None:
        """End `request` with `answer`; a client that has left meanwhile hears nothing."""
        if self._current is not request or self._transport is None:
            return
        self._current = None
        if answer:
            self._transport.write(answer)
        if close or not request.keep_alive or (self._leaving and not self._waiting):
            self._waiting.clear()
            self._leaving = True
            self._transport.close()
        elif self._waiting:
            self._drain()

    def stream(self, request: Request, content_type: str, chunks: Iterator[bytes]) -> None:
        """Begin to send `chunks` as the answer to `request`."""
        self._streaming = asyncio.get_running_loop().create_task(self._stream(request, content_type, chunks))

    async def _stream(self, request: Request, content_type: str, chunks: Iterator[bytes]) -> None:
        chunked = request.version != "1.0"
        framing = "Transfer-Encoding: chunked\r\n" if chunked else "Connection: close\r\n"
        self._put(f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{framing}\r\n".encode())
        for chunk in chunks:
            self._put(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
            await asyncio.sleep(0)
            await self._writable.wait()
        self.finish(request, b"0\r\n\r\n" if chunked else b"", not chunked)

    def _put(self, data: bytes) -> None:
        if self._transport:
            self._transport.write(data)

    def _refuse(self, refusal: int) -> None:
        self._leaving = True
        if self._transport:
            status = HTTPStatus(refusal)
            self._waiting.clear()
            body = {"error": {"id": status.name.lower(), "message": status.phrase}}
            self._transport.write(compose_json(status, body, "Connection: close\r\n"))
            self._transport.close()
