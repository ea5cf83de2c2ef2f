"""The subscription notice, to whoever agreed to it, and the customer-service message, to whoever spoke or acted not long ago."""

from functools import partial
from typing import Any

from outreach.sandbox.wechat.codes import Declined
from outreach.sandbox.wechat.envelopes import Tree
from outreach.sandbox.wechat.people import People
from outreach.sandbox.wechat.sending import Sending
from outreach.sandbox.wechat.world import World
from outreach.sandbox.wire import Request

LONGEST_TEXT = 2048
OK = {"errcode": 0, "errmsg": "ok"}
REFUSED_LATER = 43101
"""ErrorCode of a notice that was accepted and not delivered."""


class Notices:
    """Messages without a message id in their answer: a copy is another message."""

    def __init__(self, world: World, people: People, sending: Sending) -> None:
        self._world = world
        self._people = people
        self._sending = sending

    def subscription(self, request: Request, posted: dict[str, Any], token: str) -> None:
        """Answer message/subscribe/bizsend: whether he follows does not matter."""
        to = self._sending.openid(posted)
        template, body = self._sending.filled(posted)
        person = self._people.get(to)
        if person.agreed[template] < 1:
            raise Declined(43101)
        sent = self._sending.take(request, to, body, token, blocked=person.blocks)
        if not self._world.scenario.long_term:
            person.agreed[template] -= 1
        attempt = posted.get("client_msg_id") or None
        more = {"api": "subscription", "template": template, "link": posted.get("page") or ""}
        then = partial(self._sending.answer, sent, OK, partial(_told, template, sent.number))
        self._world.write(reference=str(sent.number), to=to, body=body, attempt=attempt, outcome=sent.outcome, more=more, then=then)

    def service(self, request: Request, posted: dict[str, Any], token: str) -> None:
        """Answer message/custom/send with a text; no event follows."""
        to, body = self._sending.openid(posted), _text(posted)
        person = self._people.known(to)
        if person is None or person.open_until <= self._world.now():
            raise Declined(45015)
        if person.left < 1:
            raise Declined(45047)
        sent = self._sending.take(request, to, body, token)
        person.left -= 1
        then = partial(self._world.answer, request, OK, sent.fault, sent.point)
        self._world.write(reference=str(sent.number), to=to, body=body, attempt=None, outcome="delivered", more={"api": "service"}, then=then)


def _text(posted: dict[str, Any]) -> str:
    text = posted.get("text")
    body = text.get("content") if isinstance(text, dict) and posted.get("msgtype") == "text" else None
    if not isinstance(body, str) or not body:
        raise Declined(44004)
    if len(body.encode()) > LONGEST_TEXT:
        raise Declined(45002)
    return body


def _told(template: str, number: int, status: str) -> Tree:
    good = status == "success"
    result: Tree = {"TemplateId": template, "MsgID": number, "ErrorCode": 0 if good else REFUSED_LATER, "ErrorStatus": "success" if good else "failed"}
    return {"MsgType": "event", "Event": "subscribe_msg_sent_event", "SubscribeMsgSentEvent": {"List": result}}
