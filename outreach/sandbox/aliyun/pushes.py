"""Tell the office what became of its texts, and what people sent back: lists of objects, pushed again until they are answered `code` 0."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from outreach.sandbox.aliyun.messages import Record, china
from outreach.sandbox.callbacks import FIRST_RETRY, Address, Callbacks
from outreach.sandbox.lines import Outcome

RETRIES = 5
"""The provider's are nine more, over six hours; here they span six seconds."""

CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 10.0
EARLY_PATIENCE = 2.0
OVERTAKEN = 0.3
"""Seconds by which a reordered receipt is late: those of later texts overtake it."""


class Push:
    """One list, from the first try to its end."""

    __slots__ = ("_address", "_callbacks", "_epoch", "_forged", "_heard", "_then", "_tries", "connect_timeout", "payload", "read_timeout")

    def __init__(self, callbacks: Callbacks, address: Address, items: Sequence[Any], then: Callable[[bool], None], *, forged: bool) -> None:
        self._callbacks = callbacks
        self._address = address
        self._then = then
        self._forged = forged
        self._epoch = callbacks.epoch
        self._heard: list[bytes] = []
        self._tries = 0
        self.connect_timeout, self.read_timeout = CONNECT_TIMEOUT, READ_TIMEOUT
        body = json.dumps(items, ensure_ascii=False).encode()
        target = f"{address.origin.path}?{address.query}" if address.query else address.origin.path
        head = f"POST {target} HTTP/1.1\r\nHost: {address.origin.name}\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: {len(body)}\r\n\r\n"
        self.payload = head.encode() + body

    def go(self) -> None:
        """Hand it to a line, unless everything was forgotten meanwhile."""
        if self._epoch == self._callbacks.epoch:
            self._heard = []
            self._callbacks.host(self._address.origin).submit(self)

    def heard(self, chunk: bytes) -> None:
        """Take a part of the answer."""
        self._heard.append(chunk)

    def ended(self, outcome: Outcome) -> None:
        """Take the outcome of one try: the end, or another try after a while."""
        callbacks = self._callbacks
        if self._epoch != callbacks.epoch:
            return
        good = outcome == 200 and _taken(b"".join(self._heard))
        if not good and not self._forged and self._tries < RETRIES:
            asyncio.get_running_loop().call_later(FIRST_RETRY * 2**self._tries, self.go)
            self._tries += 1
            return
        callbacks.pending -= 1
        if not self._forged:
            callbacks.sent += good
            callbacks.failed += not good
        self._then(good)


def _taken(answer: bytes) -> bool:
    try:
        found = json.loads(answer)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("code") == 0


class Pushes:
    """All that goes to the office's two addresses."""

    def __init__(self, callbacks: Callbacks, *, report_url: str, reply_url: str) -> None:
        self._callbacks = callbacks
        self._reports, self._replies = Address.parse(report_url), Address.parse(reply_url)
        path = self._reports.origin.path.split("/")
        path[-2:-1] = ["wrong"] if len(path) > 2 else []
        self._forged_at = Address.parse(report_url.replace(self._reports.origin.path, "/".join(path), 1))
        self._sequence = 0
        self.forged = self.forged_accepted = 0

    def report(self, texts: Sequence[tuple[Record, str | None]], late: float, done: Callable[[], None] | None = None) -> None:
        """Push the receipts of one request: those without a fault in one list, the others each in their own; then call `done`."""
        plain = [record for record, fault in texts if fault in (None, "undelivered", "receipt_early") and record.outcome != "silent"]
        then = _once(done) if done else None
        if then:
            asyncio.get_running_loop().call_later(EARLY_PATIENCE, then)
        self._push(plain, 0.0, then)
        for record, fault in texts:
            if record in plain or record.outcome == "silent":
                continue
            if fault == "receipt_forged":
                self._forge(record)
            self._push([record], {"receipt_late": late, "receipt_reordered": OVERTAKEN}.get(fault or "", 0.0))
            if fault == "receipt_twice":
                self._push([record], 0.0)

    def reply(self, sender: str, to: str, body: str, url: str | None = None) -> str:
        """Push what a person sent back, and return its number."""
        self._sequence = max(self._sequence + 1, time.time_ns() // 1000)
        sign = ""
        item = {
            "phone_number": sender.removeprefix("+86"),
            "send_time": china(time.time()),
            "content": body,
            "sign_name": sign,
            "dest_code": to,
            "sequence_id": self._sequence,
        }
        self._callbacks.pending += 1
        Push(self._callbacks, Address.parse(url) if url else self._replies, [item], lambda _: None, forged=False).go()
        return str(self._sequence)

    def clear(self) -> None:
        """Forget the counts."""
        self.forged = self.forged_accepted = 0

    def _push(self, texts: Sequence[Record], after: float, done: Callable[[], None] | None = None) -> None:
        if not texts:
            if done:
                done()
            return
        epoch = self._callbacks.epoch

        def ended(_: bool) -> None:
            if done:
                done()

        def begin() -> None:
            if epoch == self._callbacks.epoch:
                for text in texts:
                    text.reported = text.reported or time.time()
                Push(self._callbacks, self._reports, [text.report() for text in texts], ended, forged=False).go()

        self._callbacks.pending += 1
        if after > 0:
            asyncio.get_running_loop().call_later(after, begin)
        else:
            begin()

    def _forge(self, text: Record) -> None:
        """Push a failure to an address with a wrong word in it."""

        def ended(taken: bool) -> None:
            self.forged += 1
            self.forged_accepted += taken

        self._callbacks.pending += 1
        Push(self._callbacks, self._forged_at, [text.report(success=False)], ended, forged=True).go()


def _once(act: Callable[[], None]) -> Callable[[], None]:
    left = [act]

    def act_once() -> None:
        if left:
            left.pop()()

    return act_once
