"""The ledger of the sandbox: every message it accepted, one JSON line each, in the order of acceptance, on disk before it is answered."""

import asyncio
import fcntl
import json
import os
import sys
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

BLOCK = 256 * 1024
MORE = b',"more":'
"""What a provider needs to know of its message after a restart follows this in the file and is not shown; it cannot occur in a string of JSON."""

RETRY_SECONDS = 1.0


class LedgerInUse(OSError):
    """Another gateway writes to this ledger."""


class Ledger:
    """The file, and where in it each message is.

    A line reaches the operating system before its message is answered, so it outlives a kill of this process (not a power cut: there
    is no fsync). Messages that arrive in one turn of the event loop share one write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as cause:
            os.close(self._file)
            raise LedgerInUse(cause.errno, "another sandbox writes to this ledger", str(path)) from cause
        self._ends = array("Q")
        self._size = 0
        self._lines: list[bytes] = []
        self._then: list[Callable[[], None]] = []
        self._retry: asyncio.TimerHandle | None = None
        self._read_back()

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def written(self) -> int:
        """How many lines are in the file: only these may be shown to anyone, for only these outlive a kill."""
        return len(self._ends) - len(self._lines)

    def append(self, line: bytes, then: Callable[[], None]) -> int:
        """Add one line (with its line end), call `then` once it is written, and return its place."""
        if not self._lines:
            asyncio.get_running_loop().call_soon(self.flush)
        self._lines.append(line)
        self._then.append(then)
        self._ends.append((self._ends[-1] if self._ends else 0) + len(line))
        return len(self._ends) - 1

    def flush(self) -> None:
        """Write what has come in, then tell those who wait for it; if the disk is full they wait on, and nothing is half written."""
        if not self._lines or self._retry:
            return
        try:
            self._write(b"".join(self._lines))
        except OSError as fault:
            os.ftruncate(self._file, self._size)
            print(f"error: the ledger cannot be written: {fault}", file=sys.stderr, flush=True)
            self._retry = asyncio.get_running_loop().call_later(RETRY_SECONDS, self._flush_again)
            return
        told, self._lines, self._then = self._then, [], []
        for then in told:
            then()

    def read(self, place: int) -> dict[str, Any]:
        """Return the entry at `place`, which is written, with what is not shown under `more`."""
        start = self._ends[place - 1] if place else 0
        return _entry(os.pread(self._file, self._ends[place] - start, start))

    def entries(self) -> Iterator[dict[str, Any]]:
        """Return every entry in the file, in order."""
        for line in self._file_lines():
            yield _entry(line)

    def shown(self) -> Iterator[bytes]:
        """Return the ledger as strangers see it, in blocks of whole lines."""
        block: list[bytes] = []
        size = 0
        for line in self._file_lines():
            head, more, _ = line.partition(MORE)
            block.append(head + b"}\n" if more else line)
            size += len(head)
            if size > BLOCK:
                yield b"".join(block)
                block, size = [], 0
        if block:
            yield b"".join(block)

    def clear(self) -> None:
        """Forget everything; who waits for a line of before is told, for it was accepted."""
        self.flush()
        os.ftruncate(self._file, 0)
        self._size = 0
        self._ends = array("Q")
        self._lines, self._then = [], []

    def close(self) -> None:
        """Write what is left and let go of the file."""
        if self._lines:
            self._write(b"".join(self._lines))
        os.close(self._file)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self._size += len(data)

    def _flush_again(self) -> None:
        self._retry = None
        self.flush()

    def _file_lines(self) -> Iterator[bytes]:
        """Return the lines that were in the file when asked for, even if more come while they are read."""
        size, place, rest = self._size, 0, b""
        while place < size:
            block = os.pread(self._file, min(BLOCK, size - place), place)
            if not block:
                return  # cleared meanwhile
            place += len(block)
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                yield line + b"\n"

    def _read_back(self) -> None:
        """Find the lines of an earlier life; a torn last line was never answered and goes."""
        self._size = os.fstat(self._file).st_size
        end = 0
        for line in self._file_lines():
            end += len(line)
            self._ends.append(end)
        if end < self._size:
            os.ftruncate(self._file, end)
            self._size = end


def _entry(line: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(line)
    return entry
