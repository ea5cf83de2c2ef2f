"""What WeChat sends back: who follows, leaves, scans or writes, what became of template and mass messages, and subscriptions taken or refused.

Verified, then read by wechatpy's own parser. WeChat wants `success` within five seconds and calls three times in all: a message is known
again by its MsgId, an event by who, when and what. An event that is none of these is answered and forgotten.
Source: developers.weixin.qq.com/doc/service (receiving messages and events, template and mass messages, subscription notices).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from wechatpy import parse_message
from wechatpy.events import (
    MassSendJobFinishEvent,
    ScanEvent,
    SubscribeEvent,
    SubscribeScanEvent,
    TemplateSendJobFinishEvent,
    UnsubscribeEvent,
)

from outreach.channels import stopping
from outreach.channels.base import Acknowledgement, Act, Incoming, MalformedCallback, MassReport, Receipt, Reply, StatusUnknown
from outreach.channels.wechat import codes
from outreach.channels.wechat.client import reference
from outreach.channels.wechat.envelopes import Envelopes, parsed, query_of
from outreach.channels.wechat.sending import PROVIDER
from outreach.settings import Settings

PATH = "/hooks/wechat"
LONGEST_BODY = 2000
LONGEST_SCENE = 64
SUCCESS = Acknowledgement(200, "text/plain; charset=utf-8", b"success")
ECHO = re.compile(r"[\w.~+/=-]{1,256}", re.ASCII)
OPENID = re.compile(r"[\w-]{1,64}", re.ASCII)
LAST_SECOND = 2**33
FAILED = re.compile(r"fail(?:ed)?(?::(?P<why>.*))?")
SORTS = {"image": "图片", "voice": "语音", "video": "视频", "shortvideo": "小视频", "location": "位置", "link": "链接", "file": "文件"}
"""What is shown in place of a message that is no text."""
CHOICES = {
    "subscribe_msg_popup_event": "SubscribeMsgPopupEvent",
    "subscribe_msg_change_event": "SubscribeMsgChangeEvent",
}
SENT = ("subscribe_msg_sent_event", "SubscribeMsgSentEvent")


@dataclass(frozen=True, slots=True)
class SealedReply(Reply):
    """What came encrypted, and is to be answered so."""


class WeChatHooks:
    """WeChat's callbacks."""

    paths: Sequence[str] = (PATH,)

    def __init__(self, settings: Settings) -> None:
        self._envelopes = Envelopes(settings)

    def challenge(self, *, url: str) -> str | None:
        """Give back the word that WeChat sends when its administrator enters this address. Raises BadSignature and MalformedCallback."""
        query = query_of(url)
        self._envelopes.prove(query)
        word = query.get("echostr", "")
        if not ECHO.fullmatch(word):
            raise MalformedCallback(what="echostr")
        return word

    def read_callback(self, *, url: str, body: bytes, headers: Mapping[str, str]) -> Sequence[Incoming]:
        """Verify a callback, plain or encrypted, and read what it brings."""
        del headers
        plain, sealed = self._envelopes.open(query_of(url), body)
        data = parsed(plain)
        try:
            said = parse_message(plain)
        except (KeyError, TypeError, AttributeError, ValueError):
            raise MalformedCallback(what="MsgType") from None
        return [_sealed(item) if sealed and isinstance(item, Reply) else item for item in _read(said, _Fields(data))]

    def acknowledge(self, items: Sequence[Incoming], answer: str | None = None) -> Acknowledgement:
        """Say `success`, or with an `answer` what the person is to read at once, encrypted if he was."""
        asked = next((item for item in items if isinstance(item, Reply)), None)
        if asked is None or not answer:
            return SUCCESS
        at = int(asked.at.timestamp()) if asked.at else 0
        xml = _text_answer(asked, answer, at)
        if isinstance(asked, SealedReply):
            xml = self._envelopes.seal(xml, at=at)
        return Acknowledgement(200, "application/xml; charset=utf-8", xml.encode())


class _Fields:
    """The fields of a message, each once and as text, or the callback is malformed."""

    def __init__(self, data: Mapping[str, object]) -> None:
        self._data = data

    def get(self, key: str, default: str = "") -> str:
        value = self._data.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise MalformedCallback(what=key)
        return value

    def number(self, key: str) -> int:
        text = self.get(key)
        if not re.fullmatch(r"\d{1,12}", text, re.ASCII):
            raise MalformedCallback(what=key)
        return int(text)

    @property
    def openid(self) -> str:
        value = self.get("FromUserName")
        if not OPENID.fullmatch(value):
            raise MalformedCallback(what="FromUserName")
        return value

    @property
    def at(self) -> datetime:
        seconds = self.number("CreateTime")
        if seconds > LAST_SECOND:
            raise MalformedCallback(what="CreateTime")
        return datetime.fromtimestamp(seconds, UTC)

    @property
    def event(self) -> str:
        return self.get("Event").lower()

    @property
    def reference(self) -> str:
        """What is the same for each repetition: MsgId, else who, when and what."""
        known = reference(self.get("MsgId")) or reference(self.get("MsgID"))
        return known or f"{self.openid}:{self.number('CreateTime')}:{self.event or self.get('MsgType').lower()}"

    def rows(self, key: str) -> list["_Fields"]:
        """Return the entries of a list, which the parser shows as one where there is only one."""
        outer = self._data.get(key)
        inner = outer.get("List") if isinstance(outer, dict) else None
        return [_Fields(row) for row in (inner if isinstance(inner, list) else [inner]) if isinstance(row, dict)]


def _read(said: Any, fields: _Fields) -> list[Incoming]:
    match said:
        case SubscribeScanEvent() | ScanEvent():
            act: Literal["follow", "scan"] = "follow" if isinstance(said, SubscribeScanEvent) else "scan"
            return [_deed(fields, act, scene=fields.get("EventKey").removeprefix("qrscene_")[:LONGEST_SCENE])]
        case SubscribeEvent():
            return [_deed(fields, "follow")]
        case UnsubscribeEvent():
            return [_deed(fields, "leave")]
        case TemplateSendJobFinishEvent():
            return [_template_receipt(fields)]
        case MassSendJobFinishEvent():
            return [_mass_report(fields)]
    if fields.get("MsgType").lower() != "event":
        return [_message(fields)]
    if fields.event in CHOICES:
        return _choices(fields, CHOICES[fields.event])
    return _notices(fields) if fields.event == SENT[0] else []


def _deed(fields: _Fields, act: Act, *, scene: str = "", choices: Mapping[str, str] | None = None) -> Reply:
    return Reply(
        PROVIDER,
        fields.reference,
        fields.openid,
        "",
        act=act,
        scene=scene,
        account=fields.get("ToUserName")[:64],
        at=fields.at,
        choices=choices or {},
    )


def _message(fields: _Fields) -> Reply:
    """Read what a person wrote; of what is no text its sort is kept, and what he said where WeChat understood it."""
    sort = fields.get("MsgType").lower()
    text = fields.get("Content") if sort == "text" else fields.get("Recognition") or fields.get("Title") or f"[{SORTS.get(sort, sort[:20])}]"
    body = text[:LONGEST_BODY]
    stops, restarts = (stopping.stops(body), stopping.restarts(body)) if sort == "text" else (False, False)
    account = fields.get("ToUserName")[:64]
    return Reply(PROVIDER, fields.reference, fields.openid, body, stops=stops, restarts=restarts, account=account, at=fields.at)


def _template_receipt(fields: _Fields) -> Receipt:
    """Read what became of a template message. MsgID is sometimes missing or 0: then the openid must tell which one it was."""
    said = re.sub(r"\s*:\s*", ":", fields.get("Status").strip().lower())
    if said == "success":
        return Receipt(PROVIDER, fields.reference, "delivered", to=fields.openid)
    failure = FAILED.fullmatch(said)
    if failure is None:
        raise StatusUnknown(field="Status", status=repr(said[:40]), known="success, failed")
    why = (failure["why"] or "failed")[:40]
    if why == "user block":
        return Receipt(PROVIDER, fields.reference, "undelivered", error_code=why, kind="opted_out", to=fields.openid)
    return Receipt(PROVIDER, fields.reference, "failed", error_code=why, kind="temporary", to=fields.openid)


def _mass_report(fields: _Fields) -> MassReport:
    totals = [fields.number(key) for key in ("TotalCount", "FilterCount", "SentCount", "ErrorCount")]
    return MassReport(PROVIDER, fields.reference, fields.get("Status").strip()[:40], *totals)


def _choices(fields: _Fields, key: str) -> list[Incoming]:
    """Read which subscription notices a person took or refused."""
    rows = [(row.get("TemplateId"), row.get("SubscribeStatusString").lower()) for row in fields.rows(key)]
    chosen = {template: said for template, said in rows if template and said in ("accept", "reject")}
    return [_deed(fields, "subscription", choices=chosen)] if chosen else []


def _notices(fields: _Fields) -> list[Incoming]:
    """Read what became of subscription notices: each by its MsgID where it has one, else by its place in this event."""
    rows = fields.rows(SENT[1])
    return [_notice(fields, row, f":{place}" if place else "") for place, row in enumerate(rows)]


def _notice(fields: _Fields, row: _Fields, place: str) -> Receipt:
    known = reference(row.get("MsgID")) or fields.reference + place
    code = row.number("ErrorCode")
    if code == 0:
        return Receipt(PROVIDER, known, "delivered", to=fields.openid)
    return Receipt(PROVIDER, known, "failed", error_code=str(code), kind=codes.kind(code), to=fields.openid)


def _sealed(reply: Reply) -> SealedReply:
    return SealedReply(**{name: getattr(reply, name) for name in Reply.__slots__})


def _text_answer(asked: Reply, answer: str, at: int) -> str:
    """Write the XML of a text to who asked. The SDK's own does not mind what ends a CDATA section."""
    parts = {"ToUserName": asked.sender, "FromUserName": asked.account, "MsgType": "text", "Content": answer}
    inner = "".join(f"<{key}><![CDATA[{value.replace(']]>', ']]]]><![CDATA[>')}]]></{key}>" for key, value in parts.items())
    return f"<xml>{inner}<CreateTime>{at}</CreateTime></xml>"
