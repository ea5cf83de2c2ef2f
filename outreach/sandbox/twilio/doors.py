"""Answer Twilio's Messages resource: create, fetch, list, redact, cancel, delete."""

import asyncio
import base64
import hmac
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from outreach.sandbox.callbacks import Address, Callbacks
from outreach.sandbox.faults import REFUSALS, Faults
from outreach.sandbox.forms import fields
from outreach.sandbox.ledger import Ledger
from outreach.sandbox.twilio import receipts
from outreach.sandbox.twilio.asked import Asked, Declined, read
from outreach.sandbox.twilio.messages import CANCELED, SCHEDULED, STATUSES, Messages
from outreach.sandbox.twilio.receipts import Receipts, Trip
from outreach.sandbox.twilio.segments import segments
from outreach.sandbox.wire import Request, compose, compose_json

PREFIX = b"/2010-04-01/"
PAGE_SIZE, LARGEST_PAGE = 50, 1000
UNDELIVERED_ERRORS = (30003, 30005)
BAD_GATEWAY = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"

_PATH = re.compile(rb"/2010-04-01/Accounts/([^/]+)/Messages(?:/([^/]+))?\.json")
_TOKEN = re.compile(r"P([AB])SM([0-9a-f]{32})")
_FILTERS = ("To", "From", "DateSent", "DateSent<", "DateSent>")
_ZONES = {"UTC": 0, "GMT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}


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
            self._list(request)
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

    # the list

    def _list(self, request: Request) -> None:
        asked = dict(fields(request.query))
        size = min(_whole(asked, "PageSize", PAGE_SIZE, lowest=1), LARGEST_PAGE)
        page = _whole(asked, "Page", 0, lowest=0)
        token = _TOKEN.fullmatch(asked["PageToken"]) if asked.get("PageToken") else None
        if asked.get("PageToken") and not token:
            raise Declined(20001, "PageToken")
        to = asked.get("To") or None
        edge = int(token[2], 16) if token else None
        backwards = token is not None and token[1] == "B"
        numbers = self.messages.oldest_first(to, above=edge or 0) if backwards else self.messages.newest_first(to, below=edge)
        found = list(islice(self._matching(numbers, asked), size + 1))
        more, found = len(found) > size, found[:size]
        if backwards:
            found.reverse()
        after = found and (more or backwards)
        before = found and (more if backwards else token is not None)
        kept = [(name, asked[name]) for name in _FILTERS if asked.get(name)] + [("PageSize", str(size))]
        here = [("Page", str(page))] + ([("PageToken", asked["PageToken"])] if token else [])
        listed = {
            "first_page_uri": self._uri(kept, [("Page", "0")]),
            "end": page * size + max(len(found) - 1, 0),
            "previous_page_uri": self._uri(kept, [("Page", str(max(page - 1, 0))), ("PageToken", f"PBSM{found[0]:032x}")]) if before else None,
            "uri": self._uri(kept, here),
            "page_size": size,
            "start": page * size,
            "next_page_uri": self._uri(kept, [("Page", str(page + 1)), ("PageToken", f"PASM{found[-1]:032x}")]) if after else None,
            "page": page,
        }
        documents = ", ".join([self.messages.document(number) for number in found])
        self._answer(request, compose(200, f'{json.dumps(listed)[:-1]}, "messages": [{documents}]}}'.encode()))

    def _matching(self, numbers: Iterator[int], asked: dict[str, str]) -> Iterator[int]:
        """Keep what the list shows already and the filters let through; a message that has not left has no DateSent."""
        visible = time.time() - self._faults.configuration.list_lag
        sender = asked.get("From") or None
        earliest, latest = _window(asked)
        dated = any(asked.get(name) for name in _FILTERS[2:])
        for number in numbers:
            if self.messages.created_at(number) > visible:
                continue
            sent = self.messages.sent_at(number)
            if dated and (sent is None or not earliest <= sent < latest):
                continue
            if sender is None or self.messages.sender(number) == sender:
                yield number

    def _uri(self, kept: list[tuple[str, str]], page: list[tuple[str, str]]) -> str:
        return f"{self._create_path.decode()}?{urlencode(kept + page)}"

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


def _whole(asked: dict[str, str], name: str, default: int, *, lowest: int) -> int:
    text = asked.get(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= lowest):
        raise Declined(20001, name)
    return int(text)


def _window(asked: dict[str, str]) -> tuple[float, float]:
    """Return from when and before when a message must have been sent; a date without a time is the whole day, in UTC."""
    earliest, latest = 0.0, float("inf")
    if asked.get("DateSent"):
        start, _ = _moment(asked["DateSent"], "DateSent")
        day = datetime.fromtimestamp(start, UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        earliest, latest = day, day + 86_400
    if asked.get("DateSent>"):
        earliest = max(earliest, _moment(asked["DateSent>"], "DateSent>")[0])
    if asked.get("DateSent<"):
        latest = min(latest, _moment(asked["DateSent<"], "DateSent<")[1])
    return earliest, latest


def _moment(text: str, name: str) -> tuple[float, float]:
    """Return the first instant that `text` means and the first after it: a day, or a second. Takes the forms of Twilio's own examples."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = _other_forms(text, name)
    start = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return start, start + (86_400 if len(text) <= 10 else 1)


def _other_forms(text: str, name: str) -> datetime:
    """Read `Wed, 19 Jun 2019 22:04:00 -0000` and `06/11/2019 22:05:25 MST`."""
    try:
        stamp, _, zone = text.rpartition(" ")
        if zone in _ZONES and "/" in stamp:
            return datetime.strptime(stamp, "%m/%d/%Y %H:%M:%S").replace(tzinfo=timezone(timedelta(hours=_ZONES[zone])))
        return parsedate_to_datetime(text)
    except ValueError as cause:
        raise Declined(20001, name) from cause
