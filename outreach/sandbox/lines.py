"""Keep-alive connections to the hosts that want webhooks: one request at a time on each, a bounded number to each host."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

import httptools

CONNECTIONS = 64
"""To one host at once."""

CONNECTION_FAILED = "ct"
READ_FAILED = "rt"

Outcome = int | str
"""An HTTP status, or which of Twilio's two kinds of failure it was: `ct` no connection or a broken one, `rt` no answer in time."""


class Envelope(Protocol):
    """What a line carries: the bytes of a whole HTTP request, how long to wait, and who wants to know."""

    payload: bytes
    connect_timeout: float
    read_timeout: float

    def heard(self, chunk: bytes) -> None:
        """Take a part of the answer's body."""

    def ended(self, outcome: Outcome) -> None:
        """Take the answer's status or the kind of failure."""


class Line(asyncio.Protocol):
    """One connection."""

    def __init__(self, host: "Host") -> None:
        self.host = host
        self.transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._carried: Envelope | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._status = 0
        self._whole = self._keep = self._heard = self._reused = False

    def carry(self, envelope: Envelope) -> None:
        """Send one request; the line is taken until its answer is whole."""
        assert self.transport is not None
        self._carried = envelope
        self._status = 0
        self._whole = self._heard = False
        self._timer = asyncio.get_running_loop().call_later(envelope.read_timeout, self._too_late)
        self.transport.write(envelope.payload)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        self._heard = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._end(READ_FAILED, keep=False)
            return
        if self._whole:
            self._end(self._status, keep=self._keep)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self._carried is None:
            self.host.lost(self)
        elif self._status >= 200:
            self._end(self._status, keep=False)  # an answer that ends with its connection
        elif self._reused and not self._heard:
            envelope = self._release()
            self.host.lost(self)
            self.host.again(envelope)  # the host closed an idle line just as we took it: that is no failure
        else:
            self._end(CONNECTION_FAILED, keep=False)

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()

    def on_body(self, chunk: bytes) -> None:
        if self._carried:
            self._carried.heard(chunk)

    def on_message_complete(self) -> None:
        self._whole = self._status >= 200
        self._keep = self._parser.should_keep_alive()  # asked a moment later, the parser has forgotten how long the body was

    def _too_late(self) -> None:
        self._end(READ_FAILED, keep=False)

    def _release(self) -> Envelope:
        assert self._carried is not None
        if self._timer:
            self._timer.cancel()
        envelope, self._carried = self._carried, None
        return envelope

    def _end(self, outcome: Outcome, *, keep: bool) -> None:
        if self._carried is None:
            if self.transport:
                self.transport.abort()  # it speaks without having been asked
            return
        envelope = self._release()
        if keep and self.transport and not self.transport.is_closing():
            self._reused = True
            self.host.free(self)
        else:
            self.host.lost(self)
            if self.transport:
                self.transport.abort()
        envelope.ended(outcome)


class Host:
    """The lines to one host, and what waits for one."""

    def __init__(self, name: str, port: int, *, secure: bool) -> None:
        self._name = name
        self._port = port
        self._ssl = ssl.create_default_context() if secure else None
        self._idle: list[Line] = []
        self._lines: set[Line] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._waiting: deque[Envelope] = deque()

    def submit(self, envelope: Envelope) -> None:
        """Send `envelope` when a line is free."""
        if self._idle:
            self._idle.pop().carry(envelope)
            return
        self._waiting.append(envelope)
        if len(self._lines) + len(self._opening) < CONNECTIONS:
            self._open()

    def again(self, envelope: Envelope) -> None:
        """Send `envelope` on a new line, before all that waits."""
        self._waiting.appendleft(envelope)
        self._open()

    def free(self, line: Line) -> None:
        """Take back a line whose request is answered."""
        if self._waiting:
            line.carry(self._waiting.popleft())
        else:
            self._idle.append(line)

    def lost(self, line: Line) -> None:
        """Forget a line that is closed or must not be used again."""
        self._lines.discard(line)
        if line in self._idle:
            self._idle.remove(line)
        if self._waiting and len(self._lines) + len(self._opening) < CONNECTIONS:
            self._open()

    def clear(self) -> None:
        """Forget what waits for a line."""
        self._waiting.clear()

    def close(self) -> None:
        """Close every line at once."""
        for task in list(self._opening):
            task.cancel()
        for line in list(self._lines):
            if line.transport:
                line.transport.abort()

    def _open(self) -> None:
        task = asyncio.get_running_loop().create_task(self._connect())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        timeout = self._waiting[0].connect_timeout if self._waiting else 5.0
        opening: Callable[[], Line] = lambda: Line(self)  # noqa: E731 (asyncio wants a factory)
        try:
            async with asyncio.timeout(timeout):
                _, line = await loop.create_connection(opening, self._name, self._port, ssl=self._ssl)
        except (OSError, TimeoutError):
            if self._waiting:
                self._waiting.popleft().ended(CONNECTION_FAILED)
            if self._waiting and not self._lines:
                loop.call_soon(self._open)
            return
        if line.transport is None:
            return  # closed by the other side in the same breath
        self._lines.add(line)
        self.free(line)
