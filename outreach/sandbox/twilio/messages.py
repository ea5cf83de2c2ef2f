"""The messages that were accepted, as Twilio lists and shows them: the texts stay in the ledger's file, a few bytes each in memory."""

import json
import os
import re
from array import array
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache
from json.encoder import encode_basestring as _quoted
from typing import Any

from outreach.sandbox.ledger import Ledger
from outreach.sandbox.twilio.asked import Asked
from outreach.sandbox.twilio.segments import segments

STATUSES = ("scheduled", "accepted", "queued", "sent", "delivered", "undelivered", "failed", "canceled")
SCHEDULED, ACCEPTED, QUEUED, SENT, DELIVERED, UNDELIVERED, FAILED, CANCELED = range(8)
DELETED, REDACTED = 0x40, 0x80
STATUS = 0x0F

OUTCOMES = {"delivered": DELIVERED, "undelivered": UNDELIVERED, "failed": FAILED, "silent": SENT}
"""What a message comes to, as the ledger says it: a silent one stays `sent` for ever."""

POOL_NUMBER = "+15005550006"
"""The number that a Messaging Service picks here."""

PRICE = 0.0075
ERRORS = {30003: "Unreachable destination handset", 30005: "Unknown destination handset", 30008: "Unknown error"}
_BREAKS = re.compile("[\x7f-\x9f\u2028\u2029]")


def quoted(text: str | None) -> str:
    """Return `text` as JSON, readable in Chinese, and without the characters at which some readers break lines."""
    if text is None:
        return "null"
    if _BREAKS.search(text):
        return json.dumps(text)
    return _quoted(text)


@lru_cache(maxsize=1024)
def rfc2822(second: int) -> str:
    """Return a time as Twilio writes it: `Thu, 24 Aug 2023 05:01:45 +0000`."""
    return formatdate(second)[:-5] + "+0000"


@lru_cache(maxsize=1024)
def iso(second: int) -> str:
    """Return a time as our own doors write it: `2026-01-15T09:00:00Z`."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Messages:
    """Messages by number of acceptance, from 0; that number is the tail of the sid, the rest is drawn once."""

    def __init__(self, ledger: Ledger, account_sid: str) -> None:
        self._ledger = ledger
        self._account = account_sid
        self._forget()
        for place, entry in enumerate(ledger.entries()):
            if entry["channel"] == "sms" and "provider" not in entry["more"]:
                self._restore(place, entry)

    def __len__(self) -> int:
        return len(self._places)

    def add(self, asked: Asked, *, outcome: str, error: int | None, now: float) -> tuple[int, bytes]:
        """Take one message; return its number and its line for the ledger, which must be appended at once."""
        status = SCHEDULED if asked.send_at else ACCEPTED if asked.service else QUEUED
        number = self._note(asked.to, len(self._ledger), status, now)
        line = (
            f'{{"channel":"sms","reference":"{self.sid(number)}","to":"{asked.to}","body":{quoted(asked.body)},'
            f'"attempt":{quoted(asked.attempt)},"at":"{iso(int(now))}","outcome":"{outcome}",'
            f'"more":{{"from":{quoted(asked.sender)},"service":{quoted(asked.service)},"created":{now!r},'
            f'"error":{"null" if error is None else error},"media":{asked.media}}}}}\n'
        )
        return number, line.encode()

    def sid(self, number: int) -> str:
        """Return the sid of a message of this ledger."""
        return f"SM{self._prefix}{number:08x}"

    def find(self, sid: str) -> int | None:
        """Return the number of the message with this sid, unless there is none or it was deleted."""
        number = self._foreign.get(sid)
        if number is None and re.fullmatch(f"SM{self._prefix}[0-9a-f]{{8}}", sid):
            number = int(sid[-8:], 16)
        return number if number is not None and number < len(self) and self._shown(number) else None

    def status(self, number: int) -> int:
        """Return how far a message has come, as an index of STATUSES."""
        return self._states[number] & STATUS

    def sent_at(self, number: int) -> float | None:
        """Return when a message left, in seconds of the epoch."""
        return self._sent[number] or None

    def created_at(self, number: int) -> float:
        """Return when a message was accepted, in seconds of the epoch."""
        return self._created[number]

    def advance(self, number: int, status: int, now: float) -> None:
        """Move a message forward; news that comes late changes nothing."""
        state = self._states[number]
        if status > state & STATUS:
            self._states[number] = (state & ~STATUS) | status
            self._updated[number] = now
            if status >= SENT and status != CANCELED and not self._sent[number]:
                self._sent[number] = now

    def redact(self, number: int, now: float) -> None:
        """Take the text out of what list and fetch show; the ledger is a witness and keeps it."""
        self._states[number] |= REDACTED
        self._updated[number] = now

    def delete(self, number: int) -> None:
        """Take a message out of list and fetch."""
        self._states[number] |= DELETED

    def newest_first(self, to: str | None, *, below: int | None = None) -> Iterator[int]:
        """Return the numbers of the messages (to one address), newest first, from `below` downwards."""
        return (number for number in self._candidates(to, below) if self._shown(number))

    def oldest_first(self, to: str | None, *, above: int) -> Iterator[int]:
        """Return the numbers of the messages (to one address) after `above`, oldest first."""
        numbers = range(above + 1, len(self)) if to is None else [number for number in self._of(to) if number > above]
        return (number for number in numbers if self._shown(number))

    def sender(self, number: int) -> str | None:
        """Return the number or name that a message came from."""
        more = self._ledger.read(self._places[number])["more"]
        return self._shown_sender(more, self.status(number))

    def document(self, number: int) -> str:
        """Return a message as JSON, as fetch and list show it."""
        entry = self._ledger.read(self._places[number])
        more = entry["more"]
        status = self.status(number)
        return self.render(
            sid=entry["reference"],
            to=entry["to"],
            sender=self._shown_sender(more, status),
            service=more["service"],
            body="" if self._states[number] & REDACTED else entry["body"],
            count=0 if status < QUEUED else segments(entry["body"]),
            media=more["media"],
            status=STATUSES[status],
            error=more["error"] if status in (UNDELIVERED, FAILED) else None,
            created=self._created[number],
            sent=self._sent[number],
            updated=self._updated[number],
        )

    def render(
        self,
        *,
        sid: str,
        to: str,
        sender: str | None,
        service: str | None,
        body: str,
        count: int,
        media: int,
        status: str,
        error: int | None,
        created: float,
        sent: float,
        updated: float,
    ) -> str:
        """Return one message as JSON; by hand, for it is most of the work of a create."""
        uri = f"/2010-04-01/Accounts/{self._account}/Messages/{sid}"
        return (
            f'{{"body": {quoted(body)}, "num_segments": "{count}", "direction": "outbound-api", "from": {quoted(sender)}, "to": "{to}", '
            f'"date_updated": "{rfc2822(int(updated))}", "price": {f"{-PRICE * count:.5f}".join(chr(34) * 2) if sent else "null"}, '
            f'"error_message": {quoted(ERRORS[error]) if error else "null"}, "uri": "{uri}.json", "account_sid": "{self._account}", '
            f'"num_media": "{media}", "status": "{status}", "messaging_service_sid": {quoted(service)}, "sid": "{sid}", '
            f'"date_sent": {rfc2822(int(sent)).join(chr(34) * 2) if sent else "null"}, "date_created": "{rfc2822(int(created))}", '
            f'"error_code": {error or "null"}, "price_unit": "USD", "api_version": "2010-04-01", '
            f'"subresource_uris": {{"media": "{uri}/Media.json"}}}}'
        )

    def clear(self) -> None:
        """Forget every message; the sids that follow are new ones."""
        self._forget()

    def _forget(self) -> None:
        self._prefix = os.urandom(12).hex()
        self._foreign: dict[str, int] = {}
        self._places = array("L")
        self._states = bytearray()
        self._created = array("d")
        self._sent = array("d")
        self._updated = array("d")
        self._by_to: dict[str, int | array[int]] = {}

    def _note(self, to: str, place: int, status: int, created: float) -> int:
        number = len(self._places)
        self._places.append(place)
        self._states.append(status)
        self._created.append(created)
        self._sent.append(0.0)
        self._updated.append(created)
        known = self._by_to.get(to)
        if known is None:
            self._by_to[to] = number
        elif isinstance(known, int):
            self._by_to[to] = array("L", (known, number))
        else:
            known.append(number)
        return number

    def _restore(self, place: int, entry: dict[str, Any]) -> None:
        """Take a message of an earlier life: what was to become of it has become of it."""
        created = entry["more"]["created"]
        number = self._note(entry["to"], place, OUTCOMES[entry["outcome"]], created)
        self._sent[number] = created
        reference = entry["reference"]
        if number == 0:
            self._prefix = reference[2:26]
        if reference != self.sid(number):
            self._foreign[reference] = number

    def _shown(self, number: int) -> bool:
        return not self._states[number] & DELETED and self._places[number] < self._ledger.written

    def _of(self, to: str) -> "array[int] | tuple[int, ...]":
        known = self._by_to.get(to, ())
        return (known,) if isinstance(known, int) else known

    def _candidates(self, to: str | None, below: int | None) -> Iterator[int]:
        if to is None:
            yield from range((len(self) if below is None else below) - 1, -1, -1)
        else:
            yield from (number for number in reversed(self._of(to)) if below is None or number < below)

    def _shown_sender(self, more: dict[str, Any], status: int) -> str | None:
        sender: str | None = more["from"]
        return POOL_NUMBER if sender is None and status >= SENT and status != CANCELED else sender
