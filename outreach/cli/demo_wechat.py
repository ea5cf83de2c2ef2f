"""The owners of the demo who come by WeChat: they follow the office's account, send it the code of their text, and tap the link in its answer."""

import re
import time
from collections.abc import Sequence
from typing import Any

from outreach.channels import loopback
from outreach.cli import demo_people
from outreach.cli.demo_people import Owner
from outreach.errors import OutreachError

PENDING = "待签订"
"""What the reminders say, in WeChat as by text, and no other message does."""
PATIENCE = 10.0
"""Seconds that an answer may take: the provider would wait five."""
LINK = re.compile(r"https?://\S+(/p/[\w-]+)")
CAMPAIGN = """
name = "{name}"
title = "《不欠薪倡议书》催签"
audience = '非 已签署 且 非 已拒绝'
goal = {{ pledge = "no-arrears-2026" }}
deadline = 2026-12-31

[[step]]
channel = "wechat"
template = "wechat/pledge-reminder"
when = "unsigned"

[[step]]
channel = "sms"
template = "sms/pledge-reminder"
when = "unreached"
"""
"""A reminder to those who have not signed: in WeChat where they are bound, by a text to all others."""


class NoAnswer(OutreachError):
    """The office's WeChat account did not answer in {seconds} seconds."""


def openid(place: int) -> str:
    """Return the openid of an owner of the demo."""
    return f"oDemoOwner{place:018d}"


def bind(sandbox: str, owner: Owner, openid: str) -> str:
    """Follow the account, send the code and the last four digits; return the path of the link in its last answer."""
    _does(sandbox, openid, "subscribe", "")
    _does(sandbox, openid, "text", owner.code.lower())
    answer = _does(sandbox, openid, "text", owner.phone[-4:])
    found = LINK.search(answer)
    if not found:
        raise NoAnswer(seconds=PATIENCE)
    return found[1]


def bind_some(sandbox: str, url: str, people: Sequence[Owner], *, signing: int) -> None:
    """Let owners follow the account and be bound; the first `signing` of them sign by the link that they were given."""
    for place, owner in enumerate(people):
        page = bind(sandbox, owner, openid(place))
        if place < signing:
            demo_people.sign(url, page)


def _does(sandbox: str, openid: str, event: str, body: str) -> str:
    """Do something in WeChat, and return what the office's account answers."""
    before = len(_phone(sandbox, openid))
    loopback.post(sandbox, "/_sandbox/reply", {"channel": "wechat", "openid": openid, "event": event, "body": body})
    over = time.monotonic() + PATIENCE
    while time.monotonic() < over:
        seen = _phone(sandbox, openid)
        if len(seen) > before:
            return str(seen[-1]["body"])
        time.sleep(0.02)
    raise NoAnswer(seconds=PATIENCE)


def _phone(sandbox: str, openid: str) -> list[dict[str, Any]]:
    """Return what somebody has on his phone of the office's account."""
    shown = loopback.ask(sandbox, f"/_sandbox/wechat?openid={openid}")
    return shown["messages"] if shown else []
