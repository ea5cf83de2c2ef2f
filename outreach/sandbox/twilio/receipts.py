"""Tell the sender what became of a message: signed status callbacks, in order or with the fault that was drawn; and texts from people."""

import asyncio
import base64
import hmac
import os
import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from urllib.parse import quote_plus, urlencode

from outreach.sandbox.callbacks import Address, Callbacks
from outreach.sandbox.lines import Outcome
from outreach.sandbox.twilio.messages import CANCELED, OUTCOMES, POOL_NUMBER, SENT, STATUSES, Messages
from outreach.sandbox.twilio.segments import segments

API_VERSION = "2010-04-01"
EARLY_PATIENCE = 2.0
"""Seconds that an answer waits for the callback which is to precede it."""

STOP = frozenset(("STOP", "UNSUBSCRIBE", "END", "QUIT", "STOPALL", "REVOKE", "OPTOUT", "CANCEL"))
START = frozenset(("START", "YES", "UNSTOP"))
FORGED_ERROR = 30008

Step = tuple[str, bool]
"""A status to be told, and whether the signature is forged."""


def signature(token: bytes, url: str, form: dict[str, str]) -> str:
    """Return X-Twilio-Signature: HMAC-SHA1 over the address and the sorted fields, in base64 (RequestValidator of the SDK)."""
    text = url + "".join([name + value for name, value in sorted(form.items())])
    return base64.b64encode(hmac.digest(token, text.encode(), "sha1")).decode()


@lru_cache(maxsize=256)
def _quoted(sender: str) -> str:
    return quote_plus(sender)


class Trip:
    """One message on its way to be reported."""

    __slots__ = ("address", "done", "epoch", "error", "number", "sender", "service", "sid", "steps", "to")

    def __init__(self, number: int, sid: str, to: str, sender: str | None, service: str | None, address: Address | None) -> None:
        self.number = number
        self.sid = sid
        self.to = to
        self.sender = sender
        self.service = service
        self.address = address
        self.error: int | None = None
        self.steps: deque[Step] = deque()
        self.done: Callable[[], None] | None = None
        self.epoch = 0


class Receipts:
    """Sends status callbacks and inbound texts, signed with the account's token."""

    def __init__(self, callbacks: Callbacks, messages: Messages, account_sid: str, auth_token: str) -> None:
        self._callbacks = callbacks
        self._messages = messages
        self._account = account_sid
        self._token = auth_token.encode()
        self._wrong = os.urandom(16)
        self.forged = self.forged_accepted = 0

    def begin(self, trip: Trip, *, outcome: str, fault: str | None, point: int, after: float) -> None:
        """Report a message, its steps one after the other, `after` so many seconds."""
        trip.steps = plan(outcome, fault, point)
        trip.epoch = self._callbacks.epoch
        if trip.address:
            self._callbacks.pending += len(trip.steps)
        if not trip.steps:
            self._messages.advance(trip.number, SENT, time.time())
        if after > 0:
            asyncio.get_running_loop().call_later(after, self._next, trip)
        else:
            self._next(trip)

    def begin_early(self, trip: Trip, *, outcome: str, done: Callable[[], None]) -> None:
        """Report a message first, and call `done` when that is over (or has taken too long)."""
        once = [done]

        def finish() -> None:
            if once:
                once.pop()()

        trip.done = finish
        asyncio.get_running_loop().call_later(EARLY_PATIENCE, finish)
        self.begin(trip, outcome=outcome, fault=None, point=0, after=0.0)

    def clear(self) -> None:
        """Forget the counts."""
        self.forged = self.forged_accepted = 0

    def inbound(self, address: Address, sender: str, to: str, body: str) -> str:
        """Post a text that a person sent to our number, as Twilio would, and return its sid."""
        sid = "SM" + os.urandom(16).hex()
        form = {
            "ToCountry": "",
            "ToState": "",
            "ToCity": "",
            "ToZip": "",
            "FromCountry": "CN" if sender.startswith("+86") else "",
            "FromState": "",
            "FromCity": "",
            "FromZip": "",
            "SmsMessageSid": sid,
            "SmsSid": sid,
            "MessageSid": sid,
            "SmsStatus": "received",
            "NumMedia": "0",
            "NumSegments": str(segments(body)),
            "AccountSid": self._account,
            "From": sender,
            "To": to,
            "Body": body,
            "ApiVersion": API_VERSION,
        }
        headers = self._headers(signature(self._token, address.url, form), sid + "received")
        self._callbacks.pending += 1
        self._callbacks.post(address, headers, urlencode(form).encode(), lambda _: None)
        return sid

    def _next(self, trip: Trip) -> None:
        """Take the next step of a trip; without an address only the message itself changes."""
        while trip.steps:
            if trip.epoch != self._callbacks.epoch:
                break
            if self._messages.status(trip.number) == CANCELED:
                self._callbacks.pending -= len(trip.steps) if trip.address else 0
                break
            status, forged = trip.steps.popleft()
            if not forged:
                self._messages.advance(trip.number, OUTCOMES.get(status, SENT), time.time())
            if trip.address:
                self._tell(trip, trip.address, status, forged=forged)
                return
        if trip.done:
            trip.done()

    def _tell(self, trip: Trip, address: Address, status: str, *, forged: bool) -> None:
        error = FORGED_ERROR if forged else trip.error if status in ("undelivered", "failed") else None
        form = self._form(trip, status, error)
        headers = self._headers(signature(self._wrong if forged else self._token, address.url, form), trip.sid + status + "!" * forged)
        form["From"], form["To"] = _quoted(form["From"]), "%2B" + trip.to[1:]  # every other value is plain already
        body = "&".join([f"{name}={value}" for name, value in form.items()])

        def told(outcome: Outcome) -> None:
            if forged:
                self.forged += 1
                self.forged_accepted += isinstance(outcome, int) and 200 <= outcome < 300
            self._next(trip)

        self._callbacks.post(address, headers, body.encode(), told, forged=forged)

    def _form(self, trip: Trip, status: str, error: int | None) -> dict[str, str]:
        form = {
            "MessageSid": trip.sid,
            "SmsSid": trip.sid,
            "MessageStatus": status,
            "SmsStatus": status,
            "AccountSid": self._account,
            "From": trip.sender or POOL_NUMBER,
            "To": trip.to,
            "ApiVersion": API_VERSION,
        }
        if trip.service:
            form["MessagingServiceSid"] = trip.service
        if error:
            form["ErrorCode"] = str(error)
        if status in ("delivered", "undelivered"):
            form["RawDlrDoneDate"] = time.strftime("%y%m%d%H%M", time.gmtime())
        return form

    def _headers(self, signed: str, event: str) -> str:
        """Return the header lines; the idempotency token belongs to the event, so a copy carries the same one."""
        digits = blake2b(event.encode(), digest_size=16).hexdigest()
        token = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
        return (
            "Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\nUser-Agent: TwilioProxy/1.1\r\nAccept: */*\r\n"
            f"I-Twilio-Idempotency-Token: {token}\r\nX-Twilio-Signature: {signed}\r\n"
        )


def plan(outcome: str, fault: str | None, point: int) -> deque[Step]:
    """Return what the sender is told, in order."""
    last = (outcome, False)
    if fault == "receipt_lost":
        return deque()
    if fault == "receipt_twice":
        return deque([("sent", False), ("sent", False), last, last])
    if fault == "receipt_reordered":
        return deque([last, ("sent", False)])
    if fault == "receipt_forged":
        return deque([("failed" if point & 1 else "undelivered", True), ("sent", False), last])
    return deque([("sent", False), last])


def opt(body: str) -> bool | None:
    """Say whether a text opts its sender out (True), in again (False) or is about something else (None)."""
    word = body.strip().upper()
    return True if word in STOP else False if word in START else None


assert set(OUTCOMES) - {"silent"} <= set(STATUSES)
