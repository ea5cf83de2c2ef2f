"""The sandbox's own doors: the ledger, the faults, what people send, a clean slate, and how it is.

`GET /_sandbox/ledger`: a JSON object a line for each message accepted, in order: `channel`, `reference` (the provider's id), `to`, `body`,
`attempt` (the query parameter `a` of the status callback, or null), `at`, `outcome` (what is to be reported: delivered, undelivered,
failed, silent).

`POST /_sandbox/faults` replaces the whole configuration and answers with the one now in force (`GET` shows it):

    seed          of the draw; the one the gateway was started with unless given
    mix           {fault: share}: shares add up to 1 at most; each message falls by hash(seed, to, body)
    times         how many tries of one message (to and body) a refusal of the mix hits (1): the next try passes
    rules         [{"to", "fault", "times"}]: go before the mix, the first that is not used up wins; `times` null is always;
                  `fault` null spares the number
    latency_ms    each answer of the provider waits so long
    list_lag_ms   the list does not show messages younger than this
    late_ms       how long `receipt_late` is late (3000)

    throttle error_json error_html                     429 and JSON, 500 and JSON, 502 and HTML; never stored
    drop_after_accept hang_after_accept truncate       stored and reported, but the answer is none, none for ever, or cut in the middle
    receipt_late receipt_twice receipt_reordered       after late_ms; each one twice; delivered before sent
    receipt_lost                                       none at all: outcome silent
    receipt_forged                                     a badly signed failure beside the true ones
    receipt_early                                      all receipts before the answer to the create
    undelivered                                        reported undelivered, 30003 or 30005

`POST /_sandbox/reply` `{"channel":"sms","from","to","body"}`: a person's text, posted to the office (`url` names another address): 202.
`POST /_sandbox/reset`: no ledger, no messages, no faults, no opt-outs, nothing under way: 204.
`GET /_sandbox/health`: `ok`, `accepted`, `callbacks` (sent, failed, pending; forged and how many of those were accepted), `refused` by
code, `faults` drawn, `opted_out`.

What is wrong is answered 400 with `{"error": {"id", "message"}}` on one line.
"""

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
            "accepted": self._ledger.written,
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
