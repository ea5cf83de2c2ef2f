"""A client that costs next to nothing: raw HTTP over some connections, each with one request at a time."""

import asyncio
import time
from collections.abc import Iterator, Sequence


async def post(port: int, requests: Sequence[bytes], connections: int, *, expected: bytes = b"HTTP/1.1 204") -> list[float]:
    """Send all requests over some connections, each with one request at a time, and return how long each took."""
    waiting, times = iter(requests), []
    callers = [Caller(waiting, times, expected) for _ in range(connections)]
    for caller in callers:
        await asyncio.get_running_loop().create_connection(lambda caller=caller: caller, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*(caller.done for caller in callers))
    return times


class Caller(asyncio.Protocol):
    """One connection of a client that asks as soon as it was answered; an answer must come in one piece."""

    def __init__(self, waiting: Iterator[bytes], times: list[float], expected: bytes) -> None:
        self._waiting = waiting
        self._times = times
        self._expected = expected
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._next()

    def data_received(self, data: bytes) -> None:
        if not data.startswith(self._expected):
            self.done.set_exception(RuntimeError(data.decode("latin-1")))
            self._transport.close()
            return
        self._times.append(time.perf_counter() - self._begun)
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server hung up"))

    def _next(self) -> None:
        request = next(self._waiting, None)
        if request is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._begun = time.perf_counter()
        self._transport.write(request)
