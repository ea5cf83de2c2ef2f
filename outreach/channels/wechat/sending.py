"""The channel wechat: template messages to followers, subscription notices, and customer-service messages within their window.

A template message bears the attempt as `client_msg_id`, under which WeChat delivers to one openid once in ten minutes: it may be
repeated for as long. The other two bear nothing: an uncertain one is never sent again. What came of a template message is told by the
event TEMPLATESENDJOBFINISH; there is no list to look into, except that of messages which a review did not let pass.
Source: developers.weixin.qq.com/doc/service (template messages, subscription notices, customer-service messages).
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from outreach.channels.base import Accepted, Answered, Deferred, Found, Message, Outcome, ProviderUnavailable, Rejected, Review, Uncertain
from outreach.channels.wechat import codes
from outreach.channels.wechat.calls import Account, Blocked
from outreach.channels.wechat.client import OfficeClient, reference
from outreach.channels.wechat.trouble import CallRefused, CallUnknown, CallUnsent, Trouble
from outreach.settings import Sender, Settings

PROVIDER = "wechat"
ONCE_WITHIN = timedelta(minutes=10)
THROTTLED = timedelta(seconds=10)
REFUSED = timedelta(seconds=2)
DAY_OVER = timedelta(minutes=1)
AHEAD = timedelta(minutes=1)
NOW = timedelta(0)


class WeChat:
    """The channel wechat over the office's account. The SDK blocks, so each request runs in one of `in_flight` threads."""

    can_look_up = False
    fills_templates = True

    def __init__(self, settings: Settings, sender: Sender, may_refresh: Callable[[], bool] = lambda: False) -> None:
        self._sender = sender
        self._settings = settings
        self._may_refresh = may_refresh
        self._timeout = settings.request_timeout.total_seconds()
        self._repeats = max(NOW, ONCE_WITHIN - settings.lease - settings.request_timeout)
        self._threads = ThreadPoolExecutor(sender.in_flight, thread_name_prefix="wechat")
        self._places = asyncio.Semaphore(sender.in_flight)
        self._blocked: dict[str, asyncio.Task[list[Blocked]]] = {}
        self._client = OfficeClient(
            settings.wechat_base_url,
            settings.wechat_app_id,
            settings.wechat_secret,
            request_timeout=settings.request_timeout,
            connections=sender.in_flight,
            may_refresh=may_refresh,
        )

    def repeats(self, message: Message) -> timedelta:
        """Ten minutes for a template message, less what a last repetition may take; nothing for what bears no id of ours."""
        return self._repeats if way(message) == "template" else NOW

    async def send(self, messages: Sequence[Message], *, until: float, answered: Answered) -> None:
        """Send with at most the sender's `in_flight` at a time; what would begin after `until` is given back unsent."""
        waiting = iter(messages)

        async def runner() -> None:
            for message in waiting:
                async with self._places:
                    outcome = await self._send_one(message, until - asyncio.get_running_loop().time())
                answered(message, outcome)

        await asyncio.gather(*(runner() for _ in range(min(self._sender.in_flight, len(messages)))))

    async def _send_one(self, message: Message, left: float) -> Outcome:
        """Send one message, beginning nothing once `left` seconds are over; an answer that trickles in for longer counts for none."""
        if left <= 0:
            return Deferred(NOW)
        work = self._threads.submit(self._send, message, time.monotonic() + left)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(work), left + self._timeout)
        except TimeoutError:
            return Deferred(NOW) if work.cancelled() else Uncertain("too slow")

    def _send(self, message: Message, before: float) -> Outcome:
        path, data = request(message)
        return outcome(self._client.call(path, data, before=before))

    async def look_up(self, message: Message, *, since: datetime) -> list[Found]:
        """Return the verdict on a message under review, where it did not pass; of any other message, and of one that passed, nothing.

        One list a template, asked for once while this channel is open: the office asks about all that are under review at one time.
        What a review stops is one person's message, for the names in it; a text that is stopped for all is refused with 43116.
        """
        if way(message) != "template":
            return []
        try:
            rows = await self._blocked_of(message.template)
        except (CallRefused, CallUnsent, CallUnknown):
            raise ProviderUnavailable(sender=self._sender.name) from None
        hit = any(row.openid == message.to and row.sent_at >= since - AHEAD for row in rows)
        return [Found("", "failed", str(codes.UNDER_REVIEW), "temporary")] if hit else []

    async def _blocked_of(self, template: str) -> list[Blocked]:
        if template not in self._blocked:
            self._blocked[template] = asyncio.create_task(asyncio.to_thread(self._ask_for_blocked, template))
        return await asyncio.shield(self._blocked[template])

    def _ask_for_blocked(self, template: str) -> list[Blocked]:
        with Account(self._settings, may_refresh=self._may_refresh) as account:
            return account.blocked(template)

    async def close(self) -> None:
        """Close all connections; a thread whose answer is still awaited ends with it."""
        for task in self._blocked.values():
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()


def way(message: Message) -> str:
    """Return by which of its ways WeChat carries a message."""
    return message.via or ("template" if message.template else "service")


def request(message: Message) -> tuple[str, dict[str, Any]]:
    """Return the call that carries a message: its path and its data."""
    if way(message) == "service":
        return "message/custom/send", {"touser": message.to, "msgtype": "text", "text": {"content": message.body}}
    data: dict[str, Any] = {"touser": message.to, "template_id": message.template}
    fields = {key: {"value": value} for key, value in message.variables.items()}
    if way(message) == "subscription":
        return "message/subscribe/bizsend", data | ({"page": message.link} if message.link else {}) | {"data": fields}
    return "message/template/send", data | ({"url": message.link} if message.link else {}) | {"client_msg_id": message.attempt_id, "data": fields}


def outcome(answer: dict[str, Any] | Trouble) -> Outcome:
    """Turn an answer into an outcome. Without a token the message itself was never sent, whatever came of asking for one."""
    if not isinstance(answer, Trouble):
        return Accepted(reference(answer.get("msgid"))) if answer.get("errcode") == 0 else Uncertain("unreadable")
    match answer.sort:
        case "late":
            return Deferred(NOW)
        case "refused":
            return _refused(answer)
        case "unknown" if not answer.of_token:
            return Uncertain(answer.reason)
    return Deferred(REFUSED, strained=True)


def _refused(answer: Trouble) -> Outcome:
    match codes.effect(answer.code):
        case "busy":
            return Deferred(REFUSED, strained=True) if answer.of_token else Uncertain("busy")
        case "throttled":
            return Deferred(THROTTLED, strained=True)
        case "day_over":
            return Deferred(DAY_OVER, day_over=True)
        case "review":
            return Review(answer.msg_id)
        case "token":
            return Rejected("account", str(answer.code))
        case kind:
            return Rejected("account" if answer.of_token else kind, str(answer.code))
