"""Texts through Twilio: all that is known of this provider.

Sources: twilio.com/docs/messaging (message resource, outbound status, error dictionary) and the SDK 9.13's own code. Requests go out
through the SDK; the connection beneath it is ours, because the SDK's asynchronous client ignores its time-out and, with retries on,
posts the same text again after a 5xx. Of the answer to a creation only the sid is wanted, so no MessageInstance is made of it: that
halves what the SDK costs.
"""

import asyncio
import base64
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import aiohttp
from twilio.base.exceptions import TwilioException
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from yarl import URL

from outreach.channels import forms, stopping
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
    StatusUnknown,
    Uncertain,
)
from outreach.settings import Sender, Settings

PROVIDER = "twilio"
STATUS_PATH = "/hooks/twilio/status"
INBOUND_PATH = "/hooks/twilio/inbound"
CALLBACK_RETRIES = "#rc=5&rp=all"
"""Webhook overrides as a fragment: without them Twilio does not repeat a status callback that we answered with a 5xx."""
PAGE = 1000
AHEAD = timedelta(minutes=1)
THROTTLED = timedelta(seconds=1)
REFUSED = timedelta(seconds=2)

KINDS: dict[int, Kind] = {
    # asked at creation (HTTP 4xx)
    20003: "account",  # authenticate
    20404: "account",  # wrong account or URL
    30404: "account",
    21211: "address",  # not a phone number
    21401: "address",
    21614: "address",  # not a mobile: the +86 landline answer
    21635: "address",  # landline
    21610: "opted_out",
    21408: "account",  # country not switched on
    21212: "account",
    21603: "account",
    21606: "account",
    21608: "account",  # trial account
    21659: "account",
    21612: "temporary",  # no route between these two numbers
    21617: "content",  # too long
    21619: "content",  # empty
    # told by receipt
    30001: "temporary",
    30002: "account",  # suspended
    30003: "temporary",  # handset off
    30004: "temporary",  # blocked
    30005: "address",  # no such handset
    30006: "address",  # landline or unreachable carrier: "do not retry"
    30007: "content",  # filtered
    30008: "temporary",
    30034: "account",
    30036: "temporary",  # validity over
    30450: "account",
    30500: "temporary",
}
"""What a provider's code means for the office. Twilio: codes may be added at any time; an unknown one is `temporary`."""

STATUSES: dict[str, Status] = {
    "accepted": "accepted",
    "scheduled": "accepted",
    "queued": "accepted",
    "sending": "accepted",
    "sent": "accepted",
    "partially_delivered": "accepted",
    "delivered": "delivered",
    "read": "delivered",
    "undelivered": "undelivered",
    "failed": "failed",
    "canceled": "failed",
}


class _Connection(AsyncHttpClient):  # type: ignore[misc]
    """The SDK's door to the network: one pool, explicit time-outs, no retries, no environment proxies, nothing logged."""

    def __init__(self, base_url: str, *, request_timeout: timedelta, connections: int) -> None:
        super().__init__(None, True, None)
        self._base_url = base_url.rstrip("/")
        total = request_timeout.total_seconds()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ttl_dns_cache=300, keepalive_timeout=30),
            timeout=aiohttp.ClientTimeout(total=total, connect=min(3.0, total)),
            auto_decompress=False,
            trust_env=False,
        )
        self._auth: dict[tuple[str, str], str] = {}

    async def request(
        self,
        method: str,
        url: str,
        params: dict[str, object] | None = None,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        del timeout
        parts = urlsplit(url)
        target = self._base_url + parts.path + (f"?{parts.query}" if parts.query else "")
        kept = dict(headers or {})
        if auth:
            kept["Authorization"] = self._auth.setdefault(auth, "") or self._remember(auth)
        query: Any = params or None
        form = encode_form(data) if data else None
        async with self._session.request(method, target, params=query, data=form, headers=kept, allow_redirects=allow_redirects) as response:
            return Response(response.status, (await response.read()).decode("utf-8", "replace"), response.headers)

    def _remember(self, auth: tuple[str, str]) -> str:
        self._auth[auth] = aiohttp.encode_basic_auth(*auth) if hasattr(aiohttp, "encode_basic_auth") else aiohttp.BasicAuth(*auth).encode()
        return self._auth[auth]

    async def close(self) -> None:
        await self._session.close()


class _Client(Client):  # type: ignore[misc]
    """The SDK's client, which makes the same headers anew for each request; here they are made once."""

    def get_headers(self, method: str, headers: dict[str, str] | None) -> dict[str, str]:
        if headers:
            return dict(super().get_headers(method, headers))
        if method not in self._headers:
            self._headers[method] = super().get_headers(method, None)
        return dict(self._headers[method])

    _headers: ClassVar[dict[str, dict[str, str]]] = {}


def encode_form(data: Mapping[str, object]) -> bytes:
    """Write a form body with yarl's quoter in C: ten times as fast as urllib's on Chinese, and half of a request's time else."""
    return URL.build(query={key: str(value) for key, value in data.items()}).raw_query_string.encode("ascii")


class TwilioSms:
    """The channel sms over one Twilio sender."""

    can_look_up = True
    fills_templates = False

    def __init__(self, settings: Settings, sender: Sender) -> None:
        self._sender = sender
        self._callback = settings.public_url.rstrip("/") + STATUS_PATH
        self._connection = _Connection(settings.twilio_base_url, request_timeout=settings.request_timeout, connections=sender.in_flight)
        self._places = asyncio.Semaphore(sender.in_flight)
        self._client = _Client(settings.twilio_account_sid, settings.twilio_auth_token, http_client=self._connection, environment={})
        self._messages = f"https://api.twilio.com/2010-04-01/Accounts/{settings.twilio_account_sid}/Messages.json"
        self._origin = {"MessagingServiceSid": sender.messaging_service} if sender.messaging_service else {"From": sender.from_ or "+15005550006"}

    async def send(self, messages: Sequence[Message], *, until: float, answered: Answered) -> None:
        """Send with at most the sender's `in_flight` at a time; what would begin after `until` is given back unsent."""
        waiting = iter(messages)
        clock = asyncio.get_running_loop().time

        async def runner() -> None:
            for message in waiting:
                async with self._places:
                    in_time = clock() < until
                    outcome = await self._send_one(message) if in_time else Deferred(timedelta(0))
                answered(message, outcome)

        await asyncio.gather(*(runner() for _ in range(min(self._sender.in_flight, len(messages)))))

    async def _send_one(self, message: Message) -> Outcome:
        callback = f"{self._callback}?a={message.attempt_id}{CALLBACK_RETRIES}"
        form = {"To": message.to, "Body": message.body, "StatusCallback": callback, **self._origin}
        try:
            response = await self._client.request_async("POST", self._messages, data=form)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return Deferred(REFUSED, strained=True)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Uncertain(type(error).__name__)
        return _outcome_of(response.status_code, response.text)

    def repeats(self, message: Message) -> timedelta:
        """Never: Twilio sends a copy again."""
        return timedelta(0)

    async def look_up(self, message: Message, *, since: datetime) -> list[Found]:
        """Ask Twilio's list by `To`: no date filter, because `date_sent` is null while a message is queued."""
        earliest = since - AHEAD
        try:
            rows = await self._client.messages.stream_async(to=message.to, page_size=PAGE)
            found = [row async for row in rows if row.body == message.body and row.date_created and row.date_created >= earliest]
        except (TwilioException, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ProviderUnavailable(sender=self._sender.name) from error
        found.sort(key=lambda row: row.date_created)
        return [Found(row.sid, STATUSES.get(str(row.status), "accepted"), str(row.error_code) if row.error_code else None) for row in found]

    async def close(self) -> None:
        """Close all connections."""
        await self._connection.close()


def _outcome_of(status: int, text: str) -> Outcome:
    """Turn an answer into an outcome: 429 was never processed, a 5xx or an unreadable 201 may have been."""
    try:
        document = json.loads(text)
        answer: dict[str, Any] = document if isinstance(document, dict) else {}
    except ValueError:
        answer = {}
    if status in (200, 201):
        return Accepted(str(answer["sid"])) if answer.get("sid") else Uncertain("unreadable")
    if status == 429:
        return Deferred(THROTTLED, strained=True)
    if status >= 500 or status < 400:
        return Uncertain(f"http {status}")
    code = answer.get("code")
    if status in (401, 403):
        return Rejected("account", str(code or status))
    return Rejected(kind_of(code) or "temporary", str(code or status))


def kind_of(code: int | str | None) -> Kind | None:
    """Return what a Twilio code means for the office; None for no code, `temporary` for an unknown one."""
    if not code:
        return None
    return KINDS.get(int(code), "temporary") if str(code).isdigit() else "temporary"


class TwilioHooks:
    """Twilio's callbacks: receipts of status and replies of people, verified by the SDK on the public URL."""

    paths: Sequence[str] = (STATUS_PATH, INBOUND_PATH)

    def __init__(self, settings: Settings) -> None:
        self._token = settings.twilio_auth_token.encode()
        self._validator = RequestValidator(settings.twilio_auth_token)

    def challenge(self, *, url: str) -> str | None:
        """Twilio calls no address to try it."""
        return None

    def read_callback(self, *, url: str, body: bytes, headers: Mapping[str, str]) -> Sequence[Incoming]:
        """Verify the signature over `url` (the configured public one, with its query) and the form, and read it."""
        form = forms.read_form(body, headers)
        if not self._is_ours(url, form, headers.get("x-twilio-signature", "")):
            raise BadSignature()
        return [_reply(form) if urlsplit(url).path.endswith(INBOUND_PATH) else _receipt(url, form)]

    def acknowledge(self, items: Sequence[Incoming], answer: str | None = None) -> Acknowledgement:
        """Answer nothing: a text that answers goes out as any other."""
        return Acknowledgement()

    def _is_ours(self, url: str, form: Mapping[str, str], signature: str) -> bool:
        """Compare the plain HMAC first, which is all that our own address needs; the SDK's validator, ten times as slow, also tries the port."""
        if not signature:
            return False
        said = url + "".join(key + value for key, value in sorted(form.items()))
        plain = base64.b64encode(hmac.digest(self._token, said.encode(), "sha1"))
        if hmac.compare_digest(plain, signature.encode("utf-8", "replace")):
            return True
        return bool(self._validator.validate(url, dict(form), signature))


def _receipt(url: str, form: Mapping[str, str]) -> Receipt:
    reference = form.get("MessageSid") or form.get("SmsSid")
    said = form.get("MessageStatus") or form.get("SmsStatus")
    if not reference or not said:
        raise MalformedCallback(what="MessageSid" if not reference else "MessageStatus")
    status = STATUSES.get(said)
    if status is None:
        raise StatusUnknown(field="MessageStatus", status=repr(said[:40]), known=", ".join(STATUSES))
    delivery, attempt = _attempt(parse_qs(urlsplit(url).query).get("a", [""])[0])
    code = form.get("ErrorCode") or None
    return Receipt(PROVIDER, reference, status, delivery, attempt, code, kind_of(code))


def _attempt(text: str) -> tuple[int | None, int | None]:
    match = re.fullmatch(r"(\d{1,18})\.(\d{1,9})", text, re.ASCII)
    return (int(match[1]), int(match[2])) if match else (None, None)


def _reply(form: Mapping[str, str]) -> Reply:
    reference, sender = form.get("MessageSid") or form.get("SmsSid"), form.get("From")
    if not reference or not sender:
        raise MalformedCallback(what="MessageSid" if not reference else "From")
    body = form.get("Body", "")
    return Reply("sms", reference, sender, body[:1600], stops=stopping.stops(body), restarts=stopping.restarts(body))
