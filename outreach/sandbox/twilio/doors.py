"""Answer Twilio's Messages resource: create, list, fetch, redact, cancel, delete."""

import asyncio
import base64
import hmac
import re
import time
from collections import Counter
from functools import partial
from typing import Any

from outreach.sandbox.callbacks import Address, Callbacks
from outreach.sandbox.faults import REFUSALS, Faults
from outreach.sandbox.forms import fields
from outreach.sandbox.ledger import Ledger
from outreach.sandbox.twilio import listing, receipts
from outreach.sandbox.twilio.asked import Asked, Declined, read
from outreach.sandbox.twilio.messages import CANCELED, SCHEDULED, STATUSES, Messages
from outreach.sandbox.twilio.receipts import Receipts, Trip
from outreach.sandbox.twilio.segments import segments
from outreach.sandbox.wire import Request, compose, compose_json

PREFIX = b"/2010-04-01/"
UNDELIVERED_ERRORS = (30003, 30005)
BAD_GATEWAY = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"

_PATH = re.compile(rb"/2010-04-01/Accounts/([^/]+)/Messages(?:/([^/]+))?\.json")


class Twilio:
    """One account at Twilio."""

    def __init__(self, ledger: Ledger, faults: Faults, callbacks: Callbacks, *, account_sid: str, auth_token: str) -> None:
        self._ledger = ledger
        self._faults = faults
        self._account = account_sid
        self._authorization = b"Basic " + base64.b64encode(f"{account_sid}:{auth_token}".encode())
        self._create_path = f"/2010-04-01/Accounts/{account_sid}/Messages.json".encode()
        self.messages = Messages(ledger, account_sid)
        self.receipts = Receipts(callbacks, self.messages, account_sid, auth_token)
        self.refused: Counter[int] = Counter()
        self.opted_out: set[str] = set()

    def handle(self, request: Request) -> None:
        """Answer one request to the API."""
        try:
            self._route(request)
        except Declined as declined:
            self._decline(request, declined)

    def reply(self, address: Address, sender: str, to: str, body: str) -> str:
        """Send a text from a person to our number; the stop words that Twilio knows take effect at Twilio too."""
        opted = receipts.opt(body)
        if opted is True:
            self.opted_out.add(sender)
        elif opted is False:
            self.opted_out.discard(sender)
        return self.receipts.inbound(address, sender, to, body)

    def clear(self) -> None:
        """Forget messages, opt-outs and counts."""
        self.messages.clear()
        self.receipts.clear()
        self.refused.clear()
        self.opted_out.clear()

    def _route(self, request: Request) -> None:
        if not hmac.compare_digest(request.header(b"authorization"), self._authorization):
            raise Declined(20003)
        if request.path == self._create_path and request.method == b"POST":
            self._create(request)
            return
        found = _PATH.fullmatch(request.path)
        if not found or found[1] != self._account.encode():
            raise Declined(20404, request.path.decode("ascii", "replace"))
        if found[2] is None:
            if request.method != b"GET":
                raise Declined(20004)
            base = self._create_path.decode()
            self._answer(request, compose(200, listing.page(self.messages, base, request.query, self._faults.configuration.list_lag).encode()))
        else:
            self._one(request, found[2].decode("ascii", "replace"))

    # create

    def _create(self, request: Request) -> None:
        now = time.time()
        asked = read(fields(request.body), now)
        if asked.to in self.opted_out:
            raise Declined(21610)
        fault = self._faults.draw(asked.to, asked.body)
        if fault in REFUSALS:
            self._refuse(request, fault)
        else:
            self._accept(request, asked, fault, now)

    def _refuse(self, request: Request, fault: str | None) -> None:
        if fault == "throttle":
            raise Declined(20429)
        if fault == "error_json":
            raise Declined(20500)
        self.refused[502] += 1
        request.reply(compose(502, BAD_GATEWAY, "text/html"), after=self._faults.configuration.latency)

    def _accept(self, request: Request, asked: Asked, fault: str | None, now: float) -> None:
        point = self._faults.point(asked.to, asked.body) if fault else 0
        outcome = {"undelivered": "undelivered", "receipt_lost": "silent"}.get(fault or "", "delivered")
        error = UNDELIVERED_ERRORS[point & 1] if outcome == "undelivered" else None
        number, line = self.messages.add(asked, outcome=outcome, error=error, now=now)
        sid = self.messages.sid(number)
        trip = Trip(number, sid, asked.to, asked.sender, asked.service, asked.address)
        trip.error = error
        document = self.messages.render(
            sid=sid,
            to=asked.to,
            sender=asked.sender,
            service=asked.service,
            body=asked.body,
            count=0 if asked.service else segments(asked.body),
            media=asked.media,
            status=STATUSES[self.messages.status(number)],
            error=None,
            created=now,
            sent=0.0,
            updated=now,
        )
        wait = asked.send_at - now if asked.send_at else 0.0
        self._ledger.append(line, partial(self._accepted, request, trip, document.encode(), outcome, fault, point, wait))

    def _accepted(self, request: Request, trip: Trip, document: bytes, outcome: str, fault: str | None, point: int, wait: float) -> None:
        """Answer a message that is in the ledger now, and begin to report it."""
        latency = self._faults.configuration.latency
        if fault == "receipt_early":
            answer = compose(201, document)
            self.receipts.begin_early(trip, outcome=outcome, done=lambda: request.reply(answer, after=latency))
            return
        if fault == "drop_after_accept":
            asyncio.get_running_loop().call_later(latency, request.drop)
        elif fault == "hang_after_accept":
            request.hold()
        elif fault == "truncate":
            _reply_truncated(request, document, latency, whole_length=bool(point & 2))
        else:
            request.reply(compose(201, document), after=latency)
        late = self._faults.configuration.late if fault == "receipt_late" else 0.0
        self.receipts.begin(trip, outcome=outcome, fault=fault, point=point, after=wait + late)

    # one message

    def _one(self, request: Request, sid: str) -> None:
        number = self.messages.find(sid)
        if number is None:
            raise Declined(20404, request.path.decode("ascii", "replace"))
        if request.method == b"DELETE":
            self.messages.delete(number)
            self._answer(request, compose(204))
            return
        if request.method == b"POST":
            self._update(number, dict(fields(request.body)))
        elif request.method != b"GET":
            raise Declined(20004)
        self._answer(request, compose(200, self.messages.document(number).encode()))

    def _update(self, number: int, form: dict[str, str]) -> None:
        now = time.time()
        if "Status" in form:
            if form["Status"] != "canceled" or self.messages.status(number) != SCHEDULED:
                raise Declined(20001, "Status")
            self.messages.advance(number, CANCELED, now)
        if "Body" in form:
            if form["Body"]:
                raise Declined(20001, "Body")
            self.messages.redact(number, now)

    def _answer(self, request: Request, answer: bytes) -> None:
        request.reply(answer, after=self._faults.configuration.latency)

    def _decline(self, request: Request, declined: Declined) -> None:
        self.refused[declined.code] += 1
        body: dict[str, Any] = {
            "code": declined.code,
            "message": declined.message,
            "more_info": f"https://www.twilio.com/docs/errors/{declined.code}",
            "status": declined.status,
        }
        headers = 'WWW-Authenticate: Basic realm="Twilio API"\r\n' if declined.status == 401 else ""
        request.reply(compose_json(declined.status, body, headers), after=self._faults.configuration.latency)


def _reply_truncated(request: Request, document: bytes, latency: float, *, whole_length: bool) -> None:
    """Cut the answer in the middle: either less than Content-Length promises, or whole as HTTP and broken as JSON."""
    half = document[: len(document) // 2]
    if whole_length:
        head = compose(201, document)[: -len(document)]
        request.reply(head + half, after=latency, close=True)
    else:
        request.reply(compose(201, half), after=latency)
