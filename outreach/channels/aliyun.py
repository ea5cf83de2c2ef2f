"""Texts through Alibaba Cloud's Short Message Service (阿里云短信服务), a gateway at home: all that is known of this provider.

It writes each text itself from one filed with it (template code and variables), so +86 numbers may get what no foreign gateway may send.
Requests are made, signed and read by the SDK (`pip install 'outreach[aliyun]'`); the connection beneath is ours, because the SDK opens a
new one with a new TLS context for each request, has no time-out for the whole, and obeys the proxies of the environment even on loopback.

Messages go out in batches of 100 under one OutId, which comes back with each receipt and in the provider's list: the attempt id of the
first message, and how many there are. OutId and number give the same reference wherever they meet, so a lost answer loses nothing.

Sources: help.aliyun.com/zh/sms (SendBatchSms 419274, QuerySendDetails 419277, error codes 101346 and 101347, SmsReport and SmsUp), SDK 4.6.0.
Only read, never tried against the provider: that a refused batch sent nothing at all, that a failure named here as one number's refuses
its whole batch, how far the list of QuerySendDetails lags behind, and that both pushes keep their form of today. They bear no signature:
what proves them is a secret word in their address.
"""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from importlib import import_module
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
from yarl import URL

from outreach import tokens
from outreach.channels import stopping
from outreach.channels.base import (
    Accepted,
    Acknowledgement,
    Answered,
    BadSignature,
    Deferred,
    Found,
    Incoming,
    Kind,
    MalformedCallback,
    Message,
    Outcome,
    ProviderUnavailable,
    Receipt,
    Rejected,
    Reply,
    Status,
    Uncertain,
)
from outreach.errors import Misconfigured
from outreach.reasons import Reason
from outreach.settings import Sender, Settings

PROVIDER = "aliyun"
REPORT_PATH = "/hooks/aliyun/{word}/report"
REPLY_PATH = "/hooks/aliyun/{word}/reply"
BATCH = 100
PAGE = 50
MOST_PAGES = 20
"""Of one number's messages on one day: the provider sends it no more than 50 of one text."""
SDK = (
    "alibabacloud_dysmsapi20170525.models",
    "alibabacloud_dysmsapi20170525.client",
    "alibabacloud_tea_openapi.utils",
    "alibabacloud_tea_openapi.utils_models",
    "darabonba.request",
    "darabonba.runtime",
)
REHEARSED = "SMS_REHEARSAL"
"""Stands in for the code of a text that is not filed yet: a rehearsal may go without."""
ALGORITHM = "ACS3-HMAC-SHA256"
CHINA = timezone(timedelta(hours=8))
AHEAD = timedelta(minutes=1)
THROTTLED = timedelta(seconds=1)
REFUSED = timedelta(seconds=2)
NOW = timedelta(0)

KINDS: dict[str, Kind] = {
    "isv.MOBILE_NUMBER_ILLEGAL": "address",
    "isv.DOMESTIC_NUMBER_NOT_SUPPORTED": "content",  # the text was filed for abroad
    "isv.SMS_TEMPLATE_ILLEGAL": "content",
    "isv.SMS_SIGNATURE_ILLEGAL": "content",
    "isv.SMS_SIGN_ILLEGAL": "content",
    "isv.SMS_SIGNATURE_SCENE_ILLEGAL": "content",  # the signature was filed for another kind of text
    "isv.SMS_CONTENT_ILLEGAL": "content",
    "isv.TEMPLATE_MISSING_PARAMETERS": "content",
    "isv.TEMPLATE_PARAMS_ILLEGAL": "content",
    "isv.PARAM_LENGTH_LIMIT": "content",
    "isv.PARAM_NOT_SUPPORT_URL": "content",
    "isv.BLACK_KEY_CONTROL_LIMIT": "content",  # a forbidden word among the values
    "isv.INVALID_JSON_PARAM": "content",
    "isv.INVALID_PARAMETERS": "content",
    "isv.BUSINESS_LIMIT_CONTROL": "temporary",  # this number got too many of them
    "isv.MOBILE_COUNT_OVER_LIMIT": "account",
    "isv.EXTEND_CODE_ERROR": "account",
    "isv.OUT_OF_SERVICE": "account",  # no money left
    "isv.AMOUNT_NOT_ENOUGH": "account",
    "isv.PRODUCT_UN_SUBSCRIPT": "account",
    "isv.PRODUCT_UNSUBSCRIBE": "account",
    "isv.ACCOUNT_NOT_EXISTS": "account",
    "isv.ACCOUNT_ABNORMAL": "account",
    "isv.DENY_IP_RANGE": "account",
    "isv.MONTH_LIMIT_CONTROL": "account",  # a limit that the office set itself in the console
    "isp.RAM_PERMISSION_DENY": "account",
    "InvalidAccessKeyId.NotFound": "account",
    "InvalidAccessKeyId.Inactive": "account",
    "InvalidAccessKeyId": "account",
    "SignatureDoesNotMatch": "account",
    "IncompleteSignature": "account",
    "InvalidTimeStamp.Expired": "account",  # this machine's clock is wrong
    "Forbidden.RAM": "account",
    "NoPermission": "account",
}
"""What a code means for the office: answered to a request, or told of one message in a receipt. An unknown one is `temporary`."""

_OF_ONE = "MOBILE_NUMBER_ILLEGAL BUSINESS_LIMIT_CONTROL SMS_CONTENT_ILLEGAL TEMPLATE_MISSING_PARAMETERS TEMPLATE_PARAMS_ILLEGAL PARAM_LENGTH_LIMIT"
OF_ONE = frozenset(f"isv.{code}" for code in f"{_OF_ONE} PARAM_NOT_SUPPORT_URL BLACK_KEY_CONTROL_LIMIT INVALID_JSON_PARAM INVALID_PARAMETERS".split())
"""What one number or one person's values can bring upon a whole batch: it is halved until the one is found. So is an unknown code's."""

DAY_OVER = "isv.DAY_LIMIT_CONTROL"
LIMITED = "isv.BUSINESS_LIMIT_CONTROL"
LIMITS = {"分钟": timedelta(minutes=1), "小时": timedelta(hours=1)}
"""How long the limit of one number lasts, by a word of the message beside the code (触发分钟级流控); that of a day is final for this delivery."""

STATUSES: dict[str, Status] = {"1": "accepted", "2": "undelivered", "3": "delivered"}
"""SendStatus of QuerySendDetails: no receipt yet, failed, arrived."""

_OUT_ID = re.compile(r"(\d{1,18})\.(\d{1,9})(?:x\d{1,3})?", re.ASCII)
_SIGNATURE = re.compile(r"【([^】]*)】")
_NUMBER = re.compile(r"\+?\d{3,15}", re.ASCII)
_MOBILE = re.compile(r"(?:\+|00)?(?:86)?(1\d{10})", re.ASCII)


class ExtraMissing(Reason):
    """its SDK is not installed here; run: pip install 'outreach[aliyun]'"""


class NotAList(MalformedCallback):
    """This callback is no JSON list of objects."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came of one request; `outcome` says it of every message in it alike, but for the reference."""

    code: str
    outcome: Outcome


class _Connection:
    """The SDK's door to the network: one pool, explicit time-outs, no retries, no environment proxies, nothing logged."""

    def __init__(self, base_url: str, *, request_timeout: timedelta, connections: int) -> None:
        self._base_url = base_url.rstrip("/")
        self.host = urlsplit(base_url).netloc
        total = request_timeout.total_seconds()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ttl_dns_cache=300, keepalive_timeout=30),
            timeout=aiohttp.ClientTimeout(total=total, connect=min(3.0, total)),
            trust_env=False,
        )

    async def post(self, path: str, query: Mapping[str, str], body: str, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """Return status and document; the document of what is no JSON object is empty."""
        url = URL(self._base_url + path + (f"?{urlencode(query)}" if query else ""), encoded=True)
        async with self._session.post(url, data=body.encode(), headers=headers, allow_redirects=False) as response:
            return response.status, _document(await response.read())

    async def close(self) -> None:
        await self._session.close()


class AliyunSms:
    """The channel sms over one Aliyun account."""

    can_look_up = True
    fills_templates = True

    def __init__(self, settings: Settings, sender: Sender) -> None:
        self._sender = sender
        self._office_key = settings.office_key
        self._lease = settings.lease
        self._stand_in = REHEARSED if settings.rehearsal else ""
        sdk = _sdk()
        self._models, self._runtime = sdk[0], sdk[-1].RuntimeOptions()
        self._connection = _Connection(settings.aliyun_base_url, request_timeout=settings.request_timeout, connections=sender.in_flight)
        self._client = _client(sdk, self._connection, settings.aliyun_access_key_id, settings.aliyun_access_key_secret)
        self._places = asyncio.Semaphore(sender.in_flight)

    def repeats(self, message: Message) -> timedelta:
        """Nothing: the provider would send the copy too."""
        return NOW

    async def send(self, messages: Sequence[Message], *, until: float, answered: Answered) -> None:
        """Send in batches, at most `in_flight` requests at a time; what would begin after `until` is given back unsent."""
        for message in messages:
            if not (message.template or self._stand_in):
                answered(message, Rejected("content", "no template"))
        await asyncio.gather(*(self._send_batch(batch, until, answered) for batch in batches(messages, self._stand_in)))

    async def _send_batch(self, batch: Sequence[Message], until: float, answered: Answered) -> None:
        outcomes = await self._outcomes(batch, until)
        sent_some = any(isinstance(outcome, Accepted) for outcome in outcomes)
        for message, outcome in zip(batch, outcomes, strict=True):
            if sent_some and isinstance(outcome, Rejected) and outcome.kind == "content":
                outcome = Rejected("temporary", outcome.code)  # his values are refused, not the text
            answered(message, outcome)

    async def _outcomes(self, batch: Sequence[Message], until: float) -> list[Outcome]:
        """Send a batch; halve it as long as one message of it may be why it was refused. What is refused was not sent."""
        answer = await self._ask(batch, until)
        if isinstance(answer.outcome, Accepted):
            return [Accepted(reference(self._office_key, out_id(batch), message.to)) for message in batch]
        if len(batch) == 1 or not may_be_of_one(answer):
            return [answer.outcome] * len(batch)
        middle = len(batch) // 2
        return [outcome for part in (batch[:middle], batch[middle:]) for outcome in await self._outcomes(part, until)]

    async def _ask(self, batch: Sequence[Message], until: float) -> _Answer:
        request = self._models.SendBatchSmsRequest(
            out_id=out_id(batch),
            template_code=batch[0].template or self._stand_in,
            phone_number_json=_json([_local(message.to) for message in batch]),
            sign_name_json=_json([_signature(message.body) for message in batch]),
            template_param_json=_json([dict(message.variables) for message in batch]),
        )
        async with self._places:
            if asyncio.get_running_loop().time() >= until:
                return _Answer("", Deferred(NOW))
            try:
                response = await self._client.send_batch_sms_with_options_async(request, self._runtime)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
                return _Answer("", Deferred(REFUSED, strained=True))
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                return _Answer("", Uncertain(type(error).__name__))
        return answer_of(response.status_code, _said(response.body, "code"), _said(response.body, "message"))

    async def look_up(self, message: Message, *, since: datetime) -> list[Found]:
        """Ask for what this number got on the day, or the two days, on which this attempt can have been sent.

        The filed text, the time and an OutId of ours tell which it is. The content is not compared: the provider may write it otherwise
        than we (masked, or with "拒收请回复R"), and to miss what was sent would be to send it twice.
        """
        earliest = since - AHEAD
        days = {moment.astimezone(CHINA).strftime("%Y%m%d") for moment in (earliest, since + self._lease)}
        rows = [row for day in sorted(days) for row in await self._details(message, day)]
        ours = [row for row in rows if row.template_code == (message.template or self._stand_in) and _OUT_ID.fullmatch(str(row.out_id))]
        hits = [(at, row) for row in ours if (at := _time(row.send_date)) and at >= earliest]
        return [self._found(row, message) for _at, row in sorted(hits, key=lambda hit: hit[0])]

    async def _details(self, message: Message, day: str) -> list[Any]:
        """Return all rows of a day. A list that is not whole proves nothing: ProviderUnavailable."""
        rows: list[Any] = []
        for page in range(1, MOST_PAGES + 1):
            request = self._models.QuerySendDetailsRequest(phone_number=_local(message.to), send_date=day, page_size=PAGE, current_page=page)
            try:
                response = await self._client.query_send_details_with_options_async(request, self._runtime)
            except (aiohttp.ClientError, TimeoutError, OSError):
                break
            body, total = response.body, str(getattr(response.body, "total_count", ""))
            shown = getattr(getattr(body, "sms_send_detail_dtos", None), "sms_send_detail_dto", None)
            if response.status_code != 200 or _said(body, "code") != "OK" or shown is None or not total.isdecimal():
                break
            rows += shown
            if len(rows) >= int(total):
                return rows
            if not shown:
                break
        raise ProviderUnavailable(sender=self._sender.name)

    def _found(self, row: Any, message: Message) -> Found:
        status = STATUSES.get(str(row.send_status), "accepted")
        code = _clean(row.err_code, 64) if status == "undelivered" else None
        return Found(reference(self._office_key, row.out_id, message.to), status, code, kind_of_receipt(code))

    async def close(self) -> None:
        """Close all connections."""
        await self._connection.close()


def _sdk() -> list[Any]:
    """Return the SDK's modules. Raises Misconfigured where the extra is not installed.

    Imported here, for an office without this gateway has none of it.
    """
    try:
        return [import_module(name) for name in SDK]
    except ImportError as error:
        raise Misconfigured(key="sender.provider", why=ExtraMissing()) from error


def _client(sdk: Sequence[Any], connection: _Connection, key: str, secret: str) -> Any:
    """Return the SDK's client over our connection; it signs as the SDK does (version 3)."""
    _models, client, utils, config, request_of, _runtime = sdk

    class _Client(client.Client):  # type: ignore[misc,name-defined]
        async def do_request_async(self, params: Any, request: Any, runtime: Any) -> dict[str, Any]:
            del runtime
            tools, signed = utils.Utils, request_of.DaraRequest()
            body = tools.to_form(request.body) if request.body else ""
            digest = tools.hash(body.encode(), ALGORITHM).hex()
            signed.method, signed.pathname, signed.query = params.method, params.pathname, request.query or {}
            signed.headers = {
                "host": connection.host,
                "x-acs-action": params.action,
                "x-acs-version": params.version,
                "x-acs-date": tools.get_timestamp(),
                "x-acs-signature-nonce": tools.get_nonce(),
                "x-acs-content-sha256": digest,
                "accept": "application/json",
                "content-type": "application/x-www-form-urlencoded",
            }
            proof = tools.get_authorization(signed, ALGORITHM, digest, key, secret)
            status, document = await connection.post(signed.pathname, signed.query, body, {**signed.headers, "Authorization": proof})
            return {"body": document, "headers": {}, "statusCode": status}

    return _Client(config.Config(access_key_id=key, access_key_secret=secret, endpoint=connection.host))


def batches(messages: Sequence[Message], stand_in: str = "") -> Iterator[list[Message]]:
    """Give batches of one filed text each, in which no number comes twice: OutId and number must tell each message."""
    opened: dict[str, list[dict[str, Message]]] = {}
    for message in messages:
        if code := message.template or stand_in:
            kept = opened.setdefault(code, [])
            room = next((batch for batch in kept if len(batch) < BATCH and message.to not in batch), None)
            if room is None:
                kept.append(room := {})
            room[message.to] = message
    for kept in opened.values():
        for batch in kept:
            yield list(batch.values())


def out_id(batch: Sequence[Message]) -> str:
    """Return what names a batch at the provider: the attempt of its first message, and how many they are where it is not alone."""
    return batch[0].attempt_id + (f"x{len(batch)}" if len(batch) > 1 else "")


def reference(office_key: str, name: str, to: str) -> str:
    """Return what names one message of a batch: the same from its answer, its receipt and the list. It holds no number in the clear."""
    return f"{name}:{tokens.keyed(office_key, 'aliyun', name, to).hex()[:16]}"


def answer_of(status: int, code: str, words: str) -> _Answer:
    """Turn an answer into an outcome: throttling was never processed; a 5xx, a fault of theirs or an unreadable answer may have been."""
    if status == 200 and code == "OK":
        return _Answer(code, Accepted(""))
    if not code or (status >= 500 and not code.startswith("Throttling")):
        return _Answer("", Uncertain(f"http {status}" if status != 200 else "unreadable"))
    if code.startswith("Throttling"):
        return _Answer(code, Deferred(THROTTLED, strained=True))
    if code == DAY_OVER:
        return _Answer(code, Deferred(timedelta(minutes=1), day_over=True))
    if code == LIMITED and (wait := next((span for word, span in LIMITS.items() if word in words), None)):
        return _Answer(code, Deferred(wait))
    if code.startswith("isp.") and code not in KINDS:
        return _Answer(code, Uncertain(code))
    known = KINDS.get(code)
    return _Answer(code, Rejected(known or ("account" if status in (401, 403) else "temporary"), code))


def may_be_of_one(answer: _Answer) -> bool:
    """Whether one message of a batch may be why the whole of it was refused."""
    if isinstance(answer.outcome, Deferred):
        return answer.code in OF_ONE
    return isinstance(answer.outcome, Rejected) and (answer.code in OF_ONE or (answer.code not in KINDS and answer.outcome.kind == "temporary"))


def kind_of_receipt(code: str | None) -> Kind | None:
    """Return what the code of a receipt means; the networks' own codes are legion, and none is trusted to call a number bad for ever.

    A code with BLACK in it says that this person complained of texts under our signature (help.aliyun.com 2679007): he has said no.
    """
    if not code:
        return None
    if "BLACK" in code.upper() and code not in KINDS:
        return "opted_out"
    kind = KINDS.get(code, "temporary")
    return "temporary" if code in OF_ONE and kind == "content" else kind


class AliyunHooks:
    """Aliyun's pushes of receipts (SmsReport) and of people's replies (SmsUp): lists of objects, proven by the word in their address."""

    paths: Sequence[str] = (REPORT_PATH, REPLY_PATH)

    def __init__(self, settings: Settings) -> None:
        self._word = settings.aliyun_hook_word.encode()
        self._office_key = settings.office_key

    def challenge(self, *, url: str) -> str | None:
        """Aliyun calls no address to try it."""
        return None

    def read_callback(self, *, url: str, body: bytes, headers: Mapping[str, str]) -> Sequence[Incoming]:
        """Compare the word of the address, and read the list. What is told of messages that were not ours is left out."""
        word, leaf = urlsplit(url).path.split("/")[-2:]
        if not self._word or not tokens.same(word.encode("utf-8", "replace"), self._word):
            raise BadSignature()
        items = [self._reply(item) if leaf == "reply" else self._receipt(item) for item in _items(body)]
        return [item for item in items if item]

    def acknowledge(self, items: Sequence[Incoming], answer: str | None = None) -> Acknowledgement:
        """Say that all is kept; anything else would be pushed again, up to ten times."""
        return Acknowledgement(200, "application/json;charset=UTF-8", '{"code":0,"msg":"成功"}'.encode())

    def _receipt(self, item: Mapping[str, Any]) -> Receipt | None:
        """Read one receipt. A message that was alone in its request is known by its attempt, one of many by reference or by number."""
        name, to = str(item.get("out_id") or ""), _international(_needed(item, "phone_number"))
        match = _OUT_ID.fullmatch(name)
        if not match:
            return None
        arrived = str(_needed(item, "success")).lower() == "true"
        code = None if arrived else _clean(item.get("err_code"), 64) or None
        alone = "x" not in name
        delivery, attempt = (int(match[1]), int(match[2])) if alone else (None, None)
        status: Status = "delivered" if arrived else "undelivered"
        return Receipt(PROVIDER, reference(self._office_key, name, to), status, delivery, attempt, code, kind_of_receipt(code), to)

    def _reply(self, item: Mapping[str, Any]) -> Reply:
        sender, said = _international(_needed(item, "phone_number")), _clean(item.get("content"), 1600)
        number, at, account = item.get("sequence_id"), _time(item.get("send_time")), _clean(item.get("dest_code"), 32)
        whole = int(number) if isinstance(number, float) and number.is_integer() else number
        name = _clean(whole, 40) if whole else tokens.digest([sender, _clean(item.get("send_time"), 40), said])[:32]
        stops, restarts = stopping.stops(said), stopping.restarts(said)
        return Reply("sms", f"{PROVIDER}-{name}", sender, said, stops=stops, restarts=restarts, account=account, at=at)


def _items(body: bytes) -> list[Mapping[str, Any]]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotAList() from error
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise NotAList()
    return found


def _needed(item: Mapping[str, Any], key: str) -> Any:
    if item.get(key) in (None, ""):
        raise MalformedCallback(what=key)
    return item[key]


def _document(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _said(body: Any, name: str) -> str:
    """Return what an answer says under `name`, where it is a text."""
    value = getattr(body, name, None)
    return value if isinstance(value, str) else ""


def _clean(value: Any, most: int) -> str:
    """Return a text of theirs as any database takes it: no NUL, no half of a character, not too long."""
    return str("" if value is None else value).replace("\0", "").encode("utf-8", "replace").decode()[:most]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _local(phone: str) -> str:
    """Return a number as this provider writes it: without +86, or without the + of another country."""
    return phone.removeprefix("+86") if phone.startswith("+86") else phone.removeprefix("+")


def _international(number: Any) -> str:
    """Return a number in E.164, whichever of the provider's ways it was written in."""
    text = str(number).strip()
    if mobile := _MOBILE.fullmatch(text):
        return f"+86{mobile[1]}"
    if not _NUMBER.fullmatch(text):
        raise MalformedCallback(what="phone_number")
    return f"+{text.removeprefix('+')}"


def _signature(body: str) -> str:
    """Return the signature that stands before a text; the provider puts it there itself."""
    found = _SIGNATURE.match(body)
    return found[1] if found else ""


def _time(text: Any) -> datetime | None:
    """Read a time of theirs, which is China's; None where there is none."""
    for form in ("%Y-%m-%d %H:%M:%S", "%Y%m%d%H%M%S"):
        try:
            return datetime.strptime(str(text), form).replace(tzinfo=CHINA).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return None
