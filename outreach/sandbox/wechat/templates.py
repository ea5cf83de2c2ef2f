"""The template message: to who follows, once for each client_msg_id of ten minutes, sometimes read by the provider before it goes."""

import json
import time
from functools import partial
from typing import Any

from outreach.sandbox.wechat.codes import Declined
from outreach.sandbox.wechat.envelopes import Tree
from outreach.sandbox.wechat.events import Events
from outreach.sandbox.wechat.people import People
from outreach.sandbox.wechat.sending import Sending, Sent
from outreach.sandbox.wechat.world import World
from outreach.sandbox.wire import Request

REVIEWS = ("review", "review_blocked")


class Templates:
    """Template messages that were asked for."""

    def __init__(self, world: World, people: People, events: Events, sending: Sending) -> None:
        self._world = world
        self._people = people
        self._events = events
        self._sending = sending
        self._recent: dict[tuple[str, str], tuple[float, int]] = {}
        self._reviewed: set[int] = set()
        self._blocked: list[dict[str, Any]] = []
        for entry in world.ledger.entries():
            if entry["channel"] == "wechat" and entry["more"]["api"] == "template":
                self._restore(entry)

    def send(self, request: Request, posted: dict[str, Any], token: str) -> None:
        """Answer message/template/send."""
        to = self._sending.openid(posted)
        template, body = self._sending.filled(posted)
        if not self._people.follows(to):
            raise Declined(43004)
        client = str(posted["client_msg_id"]) if posted.get("client_msg_id") else None
        known = self._known(to, client)
        if known is not None:
            self._repeated(request, to, known, token)
            return
        sent = self._sending.take(request, to, body, token, blocked=self._people.get(to).blocks)
        if client:
            self._recent[to, client] = (self._world.now(), sent.number)
        if sent.fault in REVIEWS:
            self._reviewed.add(sent.number)
        more = {"api": "template", "template": template, "link": posted.get("url") or "", "number": sent.number, "fault": sent.fault}
        then = partial(self._accepted, sent, template)
        self._world.write(reference=str(sent.number), to=to, body=body, attempt=client, outcome=sent.outcome, more=more, then=then)

    def list_blocked(self, request: Request, posted: dict[str, Any]) -> None:
        """Answer wxa/sec/queryblocktmplmsg, oldest first."""
        limit, largest = posted.get("limit"), posted.get("largest_id", 0)
        if not isinstance(limit, int) or not 1 <= limit <= 100 or isinstance(limit, bool) or not isinstance(largest, int) or largest < 0:
            raise Declined(47003, "limit invalid")
        template, now = posted.get("tmpl_msg_id"), time.time()
        found = [one for one in self._blocked if one["tmpl_msg_id"] == template and one["id"] > largest and one["known_at"] <= now]
        rows = [{key: value for key, value in one.items() if key != "known_at"} for one in found[:limit]]
        self._world.answer(request, {"errcode": 0, "errmsg": "ok", "msginfo": rows})

    def clear(self) -> None:
        """Forget every message."""
        self._recent.clear()
        self._reviewed.clear()
        self._blocked.clear()

    def _known(self, to: str, client: str | None) -> int | None:
        """Return the number of the message of which this one is a copy."""
        if client is None:
            return None
        at, number = self._recent.get((to, client), (0.0, 0))
        return number if number and self._world.now() - at < self._world.scenario.duplicate_s else None

    def _repeated(self, request: Request, to: str, number: int, token: str) -> None:
        """Answer a copy, which is not sent. Only a rule for the number spoils this answer, the mix has had its turn."""
        fault = self._world.faults.ruled(to, channel="wechat")
        self._sending.refuse(fault, token)
        self._world.ledger.flush()  # the first may still wait to be written, and a copy must not be answered before it is
        if number in self._reviewed:
            raise self._under_review(number)
        shown = 0 if self._world.scenario.duplicate_msgid == "zero" else number
        self._world.answer(request, {"errcode": 0, "errmsg": "ok", "msgid": shown}, fault)

    def _under_review(self, number: int) -> Declined:
        return Declined(40252, msgid=number) if self._world.scenario.review_msgid else Declined(40252)

    def _accepted(self, sent: Sent, template: str) -> None:
        """Answer a message that is in the ledger now, and report it; one under review later, or never where it is blocked."""
        scenario = self._world.scenario
        shown = sent.number if scenario.event_msgid == "same" else 0

        def told(status: str) -> Tree:
            return {"MsgType": "event", "Event": "TEMPLATESENDJOBFINISH", "MsgID": shown, "Status": status}

        if sent.fault not in REVIEWS:
            self._sending.answer(sent, {"errcode": 0, "errmsg": "ok", "msgid": sent.number}, told)
            return
        self._world.decline(sent.request, self._under_review(sent.number))
        if sent.fault == "review":
            self._events.post_later(scenario.review_s, sent.to, told("success"))
        else:
            now = time.time()
            self._block(template, sent.body, sent.to, now, known=now + scenario.review_s)

    def _block(self, template: str, body: str, to: str, at: float, *, known: float) -> None:
        """Put a message on the list that shows from `known` on."""
        values = [field.get("value", "") for field in json.loads(body).values()]
        head = {"id": len(self._blocked) + 1, "tmpl_msg_id": template, "title": "待办提醒", "content": "\n".join(values)}
        self._blocked.append({**head, "send_timestamp": int(at), "openid": to, "known_at": known})

    def _restore(self, entry: dict[str, Any]) -> None:
        """Take a message of an earlier life: its copy is still a copy, and what was blocked is still listed."""
        more = entry["more"]
        if entry["attempt"]:
            self._recent[entry["to"], entry["attempt"]] = (more["created"], more["number"])
        if more["fault"] in REVIEWS:
            self._reviewed.add(more["number"])
        if more["fault"] == "review_blocked":
            self._block(more["template"], entry["body"], entry["to"], more["created"], known=more["created"])
