"""Answer the API: SendSms, SendBatchSms, QuerySendDetails."""

import asyncio
import json
import os
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

from outreach.sandbox.aliyun import asked, messages
from outreach.sandbox.aliyun.asked import Asked, Declined, Filed
from outreach.sandbox.aliyun.messages import Messages, Record
from outreach.sandbox.aliyun.pushes import Pushes
from outreach.sandbox.aliyun.signing import Signatures
from outreach.sandbox.callbacks import Callbacks
from outreach.sandbox.faults import AFTER_ACCEPTANCE, REFUSALS, Faults
from outreach.sandbox.forms import fields
from outreach.sandbox.ledger import Ledger
from outreach.sandbox.wire import Request, compose, compose_json

PATH = b"/"
VERSION = "2017-05-25"
UNAVAILABLE = b"<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n</html>\r\n"


@dataclass(frozen=True, slots=True)
class Account:
    """The key under which the office is known, and where its two pushes go."""

    access_key_id: str = "sandbox"
    secret: str = "sandbox"
    report_url: str = "http://127.0.0.1:8000/hooks/aliyun/sandbox/report"
    reply_url: str = "http://127.0.0.1:8000/hooks/aliyun/sandbox/reply"


class Misarranged(ValueError):
    """What this side is told cannot be understood."""


class Aliyun:
    """One account at Aliyun."""

    def __init__(self, account: Account, ledger: Ledger, faults: Faults, callbacks: Callbacks) -> None:
        self._ledger = ledger
        self._faults = faults
        self._signatures = Signatures(account.access_key_id, account.secret)
        self._filed = Filed()
        self._messages = Messages(ledger)
        self.pushes = Pushes(callbacks, report_url=account.report_url, reply_url=account.reply_url)
        self.refused: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        self._sizes: Counter[int] = Counter()

    def handle(self, request: Request) -> None:
        """Answer one request to the API."""
        try:
            self._signatures.require(request)
            self._route(request)
        except Declined as declined:
            self._decline(request, declined)

    def arrange(self, told: dict[str, Any]) -> None:
        """Take what is filed with the account: `templates` {code: text with ${name}}, `per_number`, `daily`, `codes` and `messages`."""
        try:
            filed = Filed(**told)
        except TypeError as cause:
            raise Misarranged("known: templates, per_number, daily, codes, messages") from cause
        for name, kind in (("templates", dict), ("codes", dict), ("messages", dict), ("per_number", int), ("daily", int)):
            if not isinstance(getattr(filed, name), kind):
                raise Misarranged(f"{name} must be {'an object' if kind is dict else 'a whole number'}")
        self._filed = filed

    def shown(self) -> dict[str, Any]:
        """Return the counters: calls by action, requests by how many texts they held, refusals by code."""
        sizes = {str(size): times for size, times in sorted(self._sizes.items())}
        return {"calls": dict(self._calls), "batches": sizes, "refused": dict(self.refused), "today": self._messages.today(time.time())}

    def clear(self) -> None:
        """Forget texts, counts and what was filed."""
        self._messages.clear()
        self.pushes.clear()
        self.refused.clear()
        self._calls.clear()
        self._sizes.clear()
        self._filed = Filed()

    def _route(self, request: Request) -> None:
        action = request.header(b"x-acs-action").decode("latin-1")
        form = dict(fields(request.query)) | dict(fields(request.body))
        if request.header(b"x-acs-version").decode("latin-1") != VERSION:
            raise Declined("InvalidVersion", 404)
        self._calls[action] += 1
        if action in ("SendSms", "SendBatchSms"):
            self._send(request, asked.read(action, form, self._filed))
        elif action == "QuerySendDetails":
            self._answer(request, self._messages.details(form, self._faults.configuration.list_lag))
        else:
            raise Declined("InvalidAction.NotFound", 404)

    def _send(self, request: Request, wanted: Asked) -> None:
        now = time.time()
        self._require_limits(wanted, now)
        drawn = [self._faults.draw(f"+86{text.to}", text.body) for text in wanted.texts]
        refusal = next((fault for fault in drawn if fault in REFUSALS), None)
        if refusal == "throttle":
            raise Declined("Throttling.User", 400)
        if refusal == "error_json":
            raise Declined("isp.SYSTEM_ERROR")
        if refusal:
            self.refused["503"] += 1
            request.reply(compose(503, UNAVAILABLE, "text/html"), after=self._faults.configuration.latency)
            return
        self._accept(request, wanted, drawn, now)

    def _require_limits(self, wanted: Asked, now: float) -> None:
        """Refuse the whole request for what one of its numbers brings, or when the day's texts are used up."""
        for key in ("*", *(f"+86{text.to}" for text in wanted.texts)):
            if code := self._filed.codes.get(key):
                raise Declined(code, 200 if code.startswith("is") else 400, self._filed.messages.get(code))
        limit = self._filed.per_number
        if any(self._messages.today(now, text.to, wanted.template) >= limit for text in wanted.texts):
            raise Declined("isv.BUSINESS_LIMIT_CONTROL", value=limit)
        if self._filed.daily and self._messages.today(now) + len(wanted.texts) > self._filed.daily:
            raise Declined("isv.DAY_LIMIT_CONTROL")

    def _accept(self, request: Request, wanted: Asked, drawn: list[str | None], now: float) -> None:
        points = [self._faults.point(text.to, text.body) if fault else 0 for text, fault in zip(wanted.texts, drawn, strict=True)]
        texts = messages.records(wanted, self._messages.biz_id(), list(zip(drawn, points, strict=True)), now)
        self._sizes[len(texts)] += 1
        told = partial(self._accepted, request, texts, drawn, points)
        for place, text in enumerate(texts):
            last = place == len(texts) - 1
            self._ledger.append(self._messages.add(text, place), told if last else lambda: None)

    def _accepted(self, request: Request, texts: list[Record], drawn: list[str | None], points: list[int]) -> None:
        """Answer a request whose texts are in the ledger now, and begin to report them."""
        answer = {"Code": "OK", "Message": "OK", "BizId": texts[0].biz_id}
        spoilt = next(((fault, point) for fault, point in zip(drawn, points, strict=True) if fault in AFTER_ACCEPTANCE), (None, 0))
        pairs = [(text, None if fault in AFTER_ACCEPTANCE else fault) for text, fault in zip(texts, drawn, strict=True)]
        late = self._faults.configuration.late
        if "receipt_early" in drawn:
            self.pushes.report(pairs, late, lambda: self._say(request, answer, *spoilt))
        else:
            self._say(request, answer, *spoilt)
            self.pushes.report(pairs, late)

    def _say(self, request: Request, answer: dict[str, Any], fault: str | None, point: int) -> None:
        latency = self._faults.configuration.latency
        if fault == "drop_after_accept":
            asyncio.get_running_loop().call_later(latency, request.drop)
        elif fault == "hang_after_accept":
            request.hold()
        elif fault == "truncate":
            document = json.dumps(answer).encode()
            whole = compose(200, document)
            half = document[: len(document) // 2]
            short = whole[: -len(document)] + half if point & 2 else compose(200, half)
            request.reply(short, after=latency, close=bool(point & 2))
        else:
            self._answer(request, answer)

    def _answer(self, request: Request, answer: dict[str, Any]) -> None:
        whole = {"RequestId": _request_id(), "Code": "OK", "Message": "OK", **answer}
        request.reply(compose_json(200, whole), after=self._faults.configuration.latency)

    def _decline(self, request: Request, declined: Declined) -> None:
        self.refused[declined.code] += 1
        body = {"RequestId": _request_id(), "Code": declined.code, "Message": declined.message}
        request.reply(compose_json(declined.status, body), after=self._faults.configuration.latency)


def _request_id() -> str:
    digits = os.urandom(16).hex().upper()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
