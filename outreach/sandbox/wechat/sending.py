"""What the three kinds of message to one person share: who and what is asked for, which fault meets it, what the office is told of it."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from outreach.sandbox.wechat.codes import Declined
from outreach.sandbox.wechat.envelopes import Tree
from outreach.sandbox.wechat.events import Events
from outreach.sandbox.wechat.fields import canonical
from outreach.sandbox.wechat.people import OPENID
from outreach.sandbox.wechat.tokens import Tokens
from outreach.sandbox.wechat.world import World
from outreach.sandbox.wire import Request

EARLY_PATIENCE = 2.0
"""Seconds that an answer waits for the event which is to precede it."""

OVERTAKEN = 0.3
"""Seconds by which a reordered event is late: those of later messages overtake it."""

FAILED = ("failed:user block", "failed: system failed")
"""As the provider writes them, the blank in one of them included."""

Told = Callable[[str], Tree]
"""Makes the event of a message from its status."""

_TEMPLATE = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(slots=True)
class Sent:
    """One message that nothing spoke against: what becomes of it is settled before it is written down."""

    request: Request
    to: str
    body: str
    number: int
    fault: str | None
    point: int
    outcome: str


class Sending:
    """Reads what is asked, and answers and reports what was sent."""

    def __init__(self, world: World, events: Events, tokens: Tokens) -> None:
        self._world = world
        self._events = events
        self._tokens = tokens

    @staticmethod
    def openid(posted: dict[str, Any]) -> str:
        """Return whom the message is for."""
        to = posted.get("touser")
        if not isinstance(to, str) or not OPENID.fullmatch(to):
            raise Declined(40003)
        return to

    def filled(self, posted: dict[str, Any]) -> tuple[str, str]:
        """Return the template and the data that fill it."""
        template, filed = posted.get("template_id"), self._world.scenario.templates
        if not isinstance(template, str) or not _TEMPLATE.fullmatch(template) or (filed and template not in filed):
            raise Declined(40037)
        return template, canonical(posted.get("data"), filed.get(template))

    def refuse(self, fault: str | None, token: str) -> None:
        """Raise what `fault` says if it refuses the message."""
        if fault == "token_expired":
            self._tokens.expire_one(token)
            raise Declined(42001)
        self._world.refuse(fault)

    def take(self, request: Request, to: str, body: str, token: str, *, blocked: bool = False) -> Sent:
        """Return the message with the fault that was drawn for it; raises Declined or Broken where it is refused."""
        faults = self._world.faults
        fault = faults.draw(to, body, channel="wechat")
        self.refuse(fault, token)
        outcomes = {"undelivered": "undelivered", "receipt_lost": "silent", "review_blocked": "failed"}
        outcome = outcomes.get(fault or "", "undelivered" if blocked else "delivered")
        return Sent(request, to, body, self._world.number(), fault, faults.point(to, body), outcome)

    def answer(self, sent: Sent, answer: dict[str, Any], told: Told) -> None:
        """Answer, and tell the office what became of the message, as its fault says."""
        if sent.fault == "receipt_early":
            self._tell_first(sent, answer, told)
            return
        self._world.answer(sent.request, answer, sent.fault, sent.point)
        if sent.outcome == "silent":
            return
        if sent.fault == "receipt_forged":
            self._events.post_later(0.0, sent.to, told(FAILED[sent.point & 1]), forged=True)
        late = {"receipt_late": self._world.faults.configuration.late, "receipt_reordered": OVERTAKEN}.get(sent.fault or "", 0.0)
        for _ in range(2 if sent.fault == "receipt_twice" else 1):
            self._events.post_later(late, sent.to, told(_status(sent)))

    def _tell_first(self, sent: Sent, answer: dict[str, Any], told: Told) -> None:
        once = [partial(self._world.answer, sent.request, answer)]

        def finish(_: object = None) -> None:
            if once:
                once.pop()()

        asyncio.get_running_loop().call_later(EARLY_PATIENCE, finish)
        self._events.post_later(0.0, sent.to, told(_status(sent)), then=finish)


def _status(sent: Sent) -> str:
    return "success" if sent.outcome == "delivered" else FAILED[sent.point & 1]
