"""What every part of the WeChat side shares: the account, the clock, message ids, the ledger, and how an answer is spoilt."""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

from outreach.sandbox.callbacks import Callbacks
from outreach.sandbox.faults import REFUSALS, Faults
from outreach.sandbox.ledger import Ledger
from outreach.sandbox.wechat.codes import Declined
from outreach.sandbox.wechat.scenario import Scenario
from outreach.sandbox.wire import Request, compose, compose_json

BAD_GATEWAY = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
REFUSED_BY_CODE = {"throttle": 45011, "error_json": -1, "unfollowed": 43004, "blocked": 43019, "quota": 45009}
"""Faults that are one errcode each."""

_readable = json.JSONEncoder(ensure_ascii=False).encode
_BREAKS = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
HOOK_URL = "http://127.0.0.1:8000/hooks/wechat"


@dataclass(frozen=True, slots=True)
class Account:
    """The official account, under the fixed values by which a rehearsal knows it."""

    app_id: str = "wx" + "0" * 16
    secret: str = "sandbox"
    token: str = "sandbox"
    aes_key: str = "sandbox" + "0" * 36
    hook_url: str = HOOK_URL
    name: str = "gh_sandbox00000"


class Broken(Exception):
    """The fault drawn for a call is no answer of the provider: a page of a gateway, or none."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


@lru_cache(maxsize=1024)
def iso(second: int) -> str:
    """Return a time as our own doors write it: `2026-01-15T09:00:00Z`."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _on_one_line(value: dict[str, Any]) -> str:
    """Return `value` as JSON, readable in Chinese, and without the characters at which some readers break lines."""
    text = _readable(value)
    return json.dumps(value) if _BREAKS.search(text) else text


class World:
    """One account's surroundings."""

    def __init__(self, account: Account, ledger: Ledger, faults: Faults, callbacks: Callbacks) -> None:
        self.account = account
        self.ledger = ledger
        self.faults = faults
        self.callbacks = callbacks
        self.refused: Counter[int] = Counter()
        self.calls: Counter[str] = Counter()
        self.sends: Counter[str] = Counter()
        """What was accepted, by kind: template, subscription, service, mass, passive."""
        self._last = 0

    @property
    def scenario(self) -> Scenario:
        """What this side is told to do."""
        return self.faults.configuration.wechat

    def now(self) -> float:
        """Return the time by which tokens, quotas and windows run, in seconds of the epoch; what people do bears the true time."""
        return time.time() + self.scenario.clock_s

    def number(self) -> int:
        """Return a new message id: 64 bits as the provider's are, more than a JavaScript number holds, and new after a restart too."""
        self._last = max(self._last + 1, int(time.time() * 1000) << 20)
        return self._last

    def write(
        self,
        *,
        reference: str,
        to: str,
        body: str,
        attempt: str | None,
        outcome: str,
        more: dict[str, Any],
        then: Callable[[], None],
    ) -> None:
        """Put one message into the ledger, and call `then` once it is on disk; `more` is kept and not shown."""
        now = time.time()
        line = {"channel": "wechat", "reference": reference, "to": to, "body": body, "attempt": attempt, "at": iso(int(now)), "outcome": outcome}
        more = {"created": now, **more}
        self.sends[more["api"]] += 1
        self.ledger.append(f'{_on_one_line(line)[:-1]},"more":{_on_one_line(more)}}}\n'.encode(), then)

    def draw(self, to: str, body: str) -> str | None:
        """Return the fault that a message meets after it is found good; raises Declined or Broken where it is not stored."""
        fault = self.faults.draw(to, body, channel="wechat")
        self.refuse(fault)
        return fault

    def refuse(self, fault: str | None) -> None:
        """Raise what `fault` says if it refuses the message."""
        if fault in REFUSED_BY_CODE:
            raise Declined(REFUSED_BY_CODE[fault])
        if fault in REFUSALS:
            raise Broken("html")

    def decline(self, request: Request, declined: Declined) -> None:
        """Answer a call with a code, and count it."""
        self.refused[declined.code] += 1
        self.answer(request, declined.answer())

    def answer(self, request: Request, value: dict[str, Any], fault: str | None = None, point: int = 0) -> None:
        """Answer a call, or spoil the answer as `fault` says."""
        latency = self.faults.configuration.latency
        if fault in ("drop_after_accept", "drop"):
            asyncio.get_running_loop().call_later(latency, request.drop)
        elif fault in ("hang_after_accept", "hang"):
            request.hold()
        elif fault == "html":
            request.reply(compose(502, BAD_GATEWAY, "text/html"), after=latency)
        elif fault == "truncate":
            self._cut(request, json.dumps(value).encode(), latency, whole_length=bool(point & 2))
        else:
            request.reply(compose_json(200, value), after=latency)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something after so many seconds, unless everything was forgotten meanwhile."""
        epoch = self.callbacks.epoch
        asyncio.get_running_loop().call_later(seconds, partial(self._unless_forgotten, epoch, act))

    def clear(self) -> None:
        """Forget the counts."""
        self.refused.clear()
        self.calls.clear()
        self.sends.clear()

    def _unless_forgotten(self, epoch: int, act: Callable[[], None]) -> None:
        if epoch == self.callbacks.epoch:
            act()

    @staticmethod
    def _cut(request: Request, document: bytes, latency: float, *, whole_length: bool) -> None:
        """Cut the answer in the middle: either less than Content-Length promises, or whole as HTTP and broken as JSON."""
        half = document[: len(document) // 2]
        if whole_length:
            request.reply(compose(200, document)[: -len(document)] + half, after=latency, close=True)
        else:
            request.reply(compose(200, half), after=latency)
