"""List messages a page at a time: Twilio's filters, and addresses of the pages before and after that new messages do not shift."""

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from itertools import islice
from urllib.parse import urlencode

from outreach.sandbox.forms import fields
from outreach.sandbox.twilio.asked import Declined
from outreach.sandbox.twilio.messages import Messages

PAGE_SIZE, LARGEST_PAGE = 50, 1000

_TOKEN = re.compile(r"P([AB])SM([0-9a-f]{32})")
"""After or before the message of this number."""

_FILTERS = ("To", "From", "DateSent", "DateSent<", "DateSent>")
_DATES = _FILTERS[2:]
_ZONES = {"UTC": 0, "GMT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}


def page(messages: Messages, base: str, query: bytes, lag: float) -> str:
    """Return the page that `query` asks for as JSON; messages younger than `lag` seconds are not listed. Raises Declined."""
    asked = dict(fields(query))
    size = min(_whole(asked, "PageSize", PAGE_SIZE, lowest=1), LARGEST_PAGE)
    number = _whole(asked, "Page", 0, lowest=0)
    backwards, edge = _token(asked.get("PageToken"))
    to = asked.get("To") or None
    numbers = messages.oldest_first(to, above=edge or 0) if backwards else messages.newest_first(to, below=edge)
    found = list(islice(_matching(messages, numbers, asked, time.time() - lag), size + 1))
    more, found = len(found) > size, found[:size]
    if backwards:
        found.reverse()
    filters = [(name, asked[name]) for name in _FILTERS if asked.get(name)]

    def uri(at: int, token: str | None = None) -> str:
        here = [("PageSize", str(size)), ("Page", str(at))] + ([("PageToken", token)] if token else [])
        return f"{base}?{urlencode(filters + here)}"

    after = found and (more or backwards)
    before = found and (more if backwards else edge is not None)
    head = {
        "first_page_uri": uri(0),
        "end": number * size + max(len(found) - 1, 0),
        "previous_page_uri": uri(max(number - 1, 0), f"PBSM{found[0]:032x}") if before else None,
        "uri": uri(number, asked.get("PageToken")),
        "page_size": size,
        "start": number * size,
        "next_page_uri": uri(number + 1, f"PASM{found[-1]:032x}") if after else None,
        "page": number,
    }
    return f'{json.dumps(head)[:-1]}, "messages": [{", ".join([messages.document(number) for number in found])}]}}'


def _token(text: str | None) -> tuple[bool, int | None]:
    """Return whether the page lies before its edge, and the number of the message at the edge."""
    if not text:
        return False, None
    token = _TOKEN.fullmatch(text)
    if not token:
        raise Declined(20001, "PageToken")
    return token[1] == "B", int(token[2], 16)


def _matching(messages: Messages, numbers: Iterator[int], asked: dict[str, str], visible: float) -> Iterator[int]:
    """Keep what the list shows already and the filters let through; a message that has not left has no DateSent."""
    sender = asked.get("From") or None
    earliest, latest = _window(asked)
    dated = any(asked.get(name) for name in _DATES)
    for number in numbers:
        sent = messages.sent_at(number)
        if messages.created_at(number) > visible or (dated and (sent is None or not earliest <= sent < latest)):
            continue
        if sender is None or messages.sender(number) == sender:
            yield number


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
