"""The sandbox's own doors: the ledger, the faults, what people send, a clean slate, and how it is."""

import json
from collections.abc import Callable
from typing import Any

from outreach.sandbox.callbacks import Address, Callbacks
from outreach.sandbox.faults import Faults, FaultsMisread
from outreach.sandbox.ledger import Ledger
from outreach.sandbox.twilio.doors import Twilio
from outreach.sandbox.wire import OWN_DOORS, Request, compose, compose_json

NDJSON = "application/x-ndjson"


class Misread(ValueError):
    """The request cannot be understood."""


class Control:
    """Answers `/_sandbox/…`; these doors take no password, the gateway stands on loopback."""

    def __init__(self, ledger: Ledger, faults: Faults, callbacks: Callbacks, twilio: Twilio, *, inbound_url: str) -> None:
        self._ledger = ledger
        self._faults = faults
        self._callbacks = callbacks
        self._twilio = twilio
        self._inbound_url = inbound_url
        self._doors: dict[tuple[bytes, bytes], Callable[[Request], None]] = {
            (b"GET", b"health"): self._health,
            (b"GET", b"ledger"): self._show_ledger,
            (b"GET", b"faults"): self._show_faults,
            (b"POST", b"faults"): self._set_faults,
            (b"POST", b"reply"): self._reply,
            (b"POST", b"reset"): self._reset,
        }
        self._replies: dict[str, Callable[[dict[str, Any]], str]] = {"sms": self._text}

    def handle(self, request: Request) -> None:
        """Answer one request to our own doors."""
        name = request.path.removeprefix(OWN_DOORS)
        door = self._doors.get((request.method, name))
        methods = [method.decode() for method, known in self._doors if known == name]
        if door:
            try:
                door(request)
            except (Misread, FaultsMisread) as cause:
                request.reply(_wrong(400, "bad_request", str(cause)))
        elif methods:
            request.reply(_wrong(405, "method_not_allowed", f"use {' or '.join(methods)}", f"Allow: {', '.join(methods)}\r\n"))
        else:
            request.reply(_wrong(404, "not_found", f"there is no {request.path.decode('ascii', 'replace')}"))

    def _health(self, request: Request) -> None:
        callbacks, twilio = self._callbacks, self._twilio
        health = {
            "ok": True,
            "accepted": len(self._ledger),
            "callbacks": {
                "sent": callbacks.sent,
                "failed": callbacks.failed,
                "pending": callbacks.pending,
                "forged": twilio.receipts.forged,
                "forged_accepted": twilio.receipts.forged_accepted,
            },
            "refused": {str(code): times for code, times in sorted(twilio.refused.items())},
            "faults": dict(self._faults.drawn),
            "opted_out": len(twilio.opted_out),
        }
        request.reply(compose_json(200, health))

    def _show_ledger(self, request: Request) -> None:
        request.stream(NDJSON, self._ledger.shown())

    def _show_faults(self, request: Request) -> None:
        request.reply(compose_json(200, self._faults.configuration.shown()))

    def _set_faults(self, request: Request) -> None:
        self._faults.configure(request.body)
        self._show_faults(request)

    def _reset(self, request: Request) -> None:
        self._ledger.clear()
        self._callbacks.clear()
        self._twilio.clear()
        self._faults.clear()
        request.reply(compose(204))

    def _reply(self, request: Request) -> None:
        try:
            posted = json.loads(request.body)
        except ValueError as cause:
            raise Misread("a reply must be one JSON object") from cause
        if not isinstance(posted, dict):
            raise Misread("a reply must be one JSON object")
        send = self._replies.get(str(posted.get("channel")))
        if send is None:
            raise Misread(f"unknown channel {posted.get('channel')!r}; known: {', '.join(self._replies)}")
        request.reply(compose_json(202, {"reference": send(posted)}))

    def _text(self, posted: dict[str, Any]) -> str:
        for key in ("from", "to", "body"):
            if not isinstance(posted.get(key), str) or (key != "body" and not posted[key]):
                raise Misread(f'a text needs "{key}" as text')
        url = posted.get("url") or self._inbound_url
        try:
            address = Address.parse(str(url))
        except ValueError as cause:
            raise Misread(f"{url!r} is no http address") from cause
        return self._twilio.reply(address, posted["from"], posted["to"], posted["body"])


def _wrong(status: int, id_: str, message: str, headers: str = "") -> bytes:
    return compose_json(status, {"error": {"id": id_, "message": message}}, headers)
