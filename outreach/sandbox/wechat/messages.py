"""Messages to one person: the template message, the subscription notice, the customer-service message."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from outreach.sandbox.wechat.codes import Declined
from outreach.sandbox.wechat.envelopes import Tree
from outreach.sandbox.wechat.events import Events
from outreach.sandbox.wechat.fields import canonical
from outreach.sandbox.wechat.people import OPENID, People
from outreach.sandbox.wechat.tokens import Tokens
from outreach.sandbox.wechat.world import World
from outreach.sandbox.wire import Request

TEMPLATE = re.compile(r"[A-Za-z0-9_-]{1,64}")
LONGEST_TEXT = 2048
EARLY_PATIENCE = 2.0
"""Seconds that an answer waits for the event which is to precede it."""

OVERTAKEN = 0.3
"""Seconds by which a reordered event is late: those of later messages overtake it."""

FAILED = ("failed:user block", "failed: system failed")
"""As the provider writes them, the blank in one of them included."""

Told = Callable[[str], Tree]
"""Makes the event of a message from its status."""


class Messages:
    """What was asked to be sent to one person each."""

    def __init__(self, world: World, people: People, events: Events, tokens: Tokens) -> None:
        self._world = world
        self._people = people
        self._events = events
        self._tokens = tokens
        self._recent: dict[tuple[str, str], tuple[float, int]] = {}
        self._reviewed: set[int] = set()
        self.blocked: list[dict[str, Any]] = []
        for entry in world.ledger.entries():
            if entry["channel"] == "wechat":
                self._restore(entry)

    def template(self, request: Request, posted: dict[str, Any], token: str) -> None:
        """Answer message/template/send."""
        to, template = self._openid(posted), self._template_id(posted)
        if not self._people.follows(to):
            raise Declined(43004)
        body = canonical(posted.get("data"), self._world.scenario.templates.get(template))
        client = posted.get("client_msg_id")
        client = str(client) if client else None
        known = self._known(to, client)
        if known is not None:
            self._repeated(request, to, known, token)
            return
        fault = self._drawn(to, body, token)
        number = self._world.number()
        if client:
            self._recent[to, client] = (self._world.now(), number)
        if fault in ("review", "review_blocked"):
            self._reviewed.add(number)
        point = self._world.faults.point(to, body) if fault else 0
        block = fault == "undelivered" or self._people.get(to).blocks
        outcome = "failed" if fault == "review_blocked" else "undelivered" if block else "silent" if fault == "receipt_lost" else "delivered"
        more = {"api": "template", "template": template, "link": posted.get("url") or "", "number": number, "blocked": fault == "review_blocked"}
        then = partial(self._accepted, request, to, number, template, outcome, fault, point, body)
        self._world.write(reference=str(number), to=to, body=body, attempt=client, outcome=outcome, more=more, then=then)

    def subscription(self, request: Request, posted: dict[str, Any], token: str) -> None:
        """Answer message/subscribe/bizsend: to whoever agreed, follower or not; no message id."""
        to, template = self._openid(posted), self._template_id(posted)
        body = canonical(posted.get("data"), self._world.scenario.templates.get(template))
        person = self._people.get(to)
        if person.agreed[template] < 1:
            raise Declined(43101)
        fault = self._drawn(to, body, token)
        if not self._world.scenario.long_term:
            person.agreed[template] -= 1
        number, point = self._world.number(), self._world.faults.point(to, body) if fault else 0
        outcome = {"undelivered": "undelivered", "receipt_lost": "silent"}.get(fault or "", "delivered")
        attempt = posted.get("client_msg_id") or None
        more = {"api": "subscription", "template": template, "link": posted.get("page") or ""}

        def told(status: str) -> Tree:
            failed = status != "success"
            item: Tree = {
                "TemplateId": template,
                "MsgID": number,
                "ErrorCode": 43101 if failed else 0,
                "ErrorStatus": "failed" if failed else "success",
            }
            return {"MsgType": "event", "Event": "subscribe_msg_sent_event", "SubscribeMsgSentEvent": {"List": item}}

        def then() -> None:
            self._send(request, {"errcode": 0, "errmsg": "ok"}, to, outcome, fault, point, told)

        self._world.write(reference=str(number), to=to, body=body, attempt=attempt, outcome=outcome, more=more, then=then)

    def service(self, request: Request, posted: dict[str, Any], token: str) -> None:
        """Answer message/custom/send: a text within the window after a person's own act; no message id, no event."""
        to = self._openid(posted)
        text = posted.get("text")
        body = text.get("content") if isinstance(text, dict) and posted.get("msgtype") == "text" else None
        if not isinstance(body, str) or not body:
            raise Declined(44004)
        if len(body.encode()) > LONGEST_TEXT:
            raise Declined(45002)
        person = self._people.known(to)
        if person is None or person.open_until <= self._world.now():
            raise Declined(45015)
        if person.left < 1:
            raise Declined(45047)
        fault = self._drawn(to, body, token)
        person.left -= 1
        point = self._world.faults.point(to, body) if fault else 0
        reference = str(self._world.number())
        then = partial(self._world.answer, request, {"errcode": 0, "errmsg": "ok"}, fault, point)
        self._world.write(reference=reference, to=to, body=body, attempt=None, outcome="delivered", more={"api": "service"}, then=then)

    def list_blocked(self, request: Request, posted: dict[str, Any]) -> None:
        """Answer wxa/sec/queryblocktmplmsg, oldest first."""
        limit, largest = posted.get("limit"), posted.get("largest_id", 0)
        if not isinstance(limit, int) or not 1 <= limit <= 100 or not str(largest).isdigit():
            raise Declined(47003, "limit invalid")
        template = posted.get("tmpl_msg_id")
        now = time.time()
        found = [one for one in self.blocked if one["tmpl_msg_id"] == template and one["id"] > int(largest) and one["known_at"] <= now]
        rows = [{key: value for key, value in one.items() if key != "known_at"} for one in found[:limit]]
        self._world.answer(request, {"errcode": 0, "errmsg": "ok", "msginfo": rows})

    def clear(self) -> None:
        """Forget every message."""
        self._recent.clear()
        self._reviewed.clear()
        self.blocked.clear()

    # what was asked

    def _openid(self, posted: dict[str, Any]) -> str:
        to = posted.get("touser")
        if not isinstance(to, str) or not OPENID.fullmatch(to):
            raise Declined(40003)
        return to

    def _template_id(self, posted: dict[str, Any]) -> str:
        template, filed = posted.get("template_id"), self._world.scenario.templates
        if not isinstance(template, str) or not TEMPLATE.fullmatch(template) or (filed and template not in filed):
            raise Declined(40037)
        return template

    def _drawn(self, to: str, body: str, token: str) -> str | None:
        fault = self._world.draw(to, body)
        if fault == "token_expired":
            self._tokens.expire_one(token)
            raise Declined(42001)
        return fault

    # the ten minutes

    def _known(self, to: str, client: str | None) -> int | None:
        if client is None:
            return None
        at, number = self._recent.get((to, client), (0.0, 0))
        return number if number and self._world.now() - at < self._world.scenario.duplicate_s else None

    def _repeated(self, request: Request, to: str, number: int, token: str) -> None:
        """Answer a copy within the ten minutes: it is not sent. Only a rule for the number spoils this answer, the mix has had its turn."""
        fault = self._world.faults.ruled(to, channel="wechat")
        if fault == "token_expired":
            self._tokens.expire_one(token)
            raise Declined(42001)
        self._world.refuse(fault)
        self._world.ledger.flush()
        if number in self._reviewed:
            raise self._under_review(number)
        self._world.answer(request, {"errcode": 0, "errmsg": "ok", "msgid": self._shown(number)}, fault)

    def _under_review(self, number: int) -> Declined:
        return Declined(40252, msgid=number) if self._world.scenario.review_msgid else Declined(40252)

    def _shown(self, number: int) -> int:
        return 0 if self._world.scenario.duplicate_msgid == "zero" else number

    # what follows

    def _accepted(self, request: Request, to: str, number: int, template: str, outcome: str, fault: str | None, point: int, body: str) -> None:
        """Answer a template message that is in the ledger now, and report it."""
        scenario = self._world.scenario
        shown = number if scenario.event_msgid == "same" else 0

        def told(status: str) -> Tree:
            return {"MsgType": "event", "Event": "TEMPLATESENDJOBFINISH", "MsgID": shown, "Status": status}

        if fault in ("review", "review_blocked"):
            self._world.decline(request, self._under_review(number))
            if fault == "review":
                self._events.post_later(scenario.review_s, to, told("success"))
            else:
                self._block(template, body, to, time.time(), time.time() + scenario.review_s)
            return
        self._send(request, {"errcode": 0, "errmsg": "ok", "msgid": number}, to, outcome, fault, point, told)

    def _send(self, request: Request, answer: dict[str, Any], to: str, outcome: str, fault: str | None, point: int, told: Told) -> None:
        """Answer, and tell the office what became of the message, as the fault says."""
        events, world = self._events, self._world
        status = "success" if outcome == "delivered" else FAILED[point & 1]
        if fault == "receipt_early":
            once = [partial(world.answer, request, answer)]

            def finish(_: object = None) -> None:
                if once:
                    once.pop()()

            asyncio.get_running_loop().call_later(EARLY_PATIENCE, finish)
            events.post_later(0.0, to, told(status), then=finish)
            return
        world.answer(request, answer, fault, point)
        if outcome == "silent":
            return
        if fault == "receipt_forged":
            events.post_later(0.0, to, told(FAILED[point & 1]), forged=True)
        late = {"receipt_late": world.faults.configuration.late, "receipt_reordered": OVERTAKEN}.get(fault or "", 0.0)
        for _ in range(2 if fault == "receipt_twice" else 1):
            events.post_later(late, to, told(status))

    def _block(self, template: str, body: str, to: str, sent: float, known: float) -> None:
        values = [field.get("value", "") for field in json.loads(body).values()]
        self.blocked.append(
            {
                "id": len(self.blocked) + 1,
                "tmpl_msg_id": template,
                "title": "待办提醒",
                "content": "\n".join(values),
                "send_timestamp": int(sent),
                "openid": to,
                "known_at": known,
            }
        )

    def _restore(self, entry: dict[str, Any]) -> None:
        """Take a message of an earlier life: its copy is still a copy, and what was blocked is still listed."""
        more = entry["more"]
        if more.get("number") and entry["attempt"]:
            self._recent[entry["to"], entry["attempt"]] = (more["created"], more["number"])
        if more.get("blocked"):
            self._block(more["template"], entry["body"], entry["to"], more["created"], more["created"])
