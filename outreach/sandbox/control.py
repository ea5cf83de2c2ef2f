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

At WeChat throttle is errcode 45011, error_json is -1, undelivered is `failed:user block` or `failed: system failed`, receipt_reordered
comes 0.3 s late; a copy within the ten minutes meets rules only. There and nowhere else:

    review review_blocked      40252; after review_s delivered and reported, or listed by queryblocktmplmsg (outcome failed)
    unfollowed blocked quota   43004, 43019, 45009
    token_expired              42001, and the token of this call has ended

    wechat        an object of what the WeChat side is told; every key may be left out
      mix                            in place of the mix above
      token_life_s 7200, token_jump  of new tokens; true: all tokens end now
      token_stuck                    true: 40001 for the token that stable_token goes on giving, until a forced refresh
      force_daily 20, force_gap_s 30 forced refreshes a day, and seconds between two
      quota_day, per_minute          {api: calls} beyond which 45009 and 45011 (defaults: the provider's for a new account);
                                     quota_day as a number is that of message/template/send
      clock_s 0                      the account's clock is ahead: of tokens, quotas, windows, codes
      review_s 2, review_msgid       until the verdict; true: 40252 bears a msgid
      duplicate_msgid same|zero      what a copy under one client_msg_id is answered, duplicate_s (600) long
      event_msgid same|zero          MsgID of TEMPLATESENDJOBFINISH
      encrypted false|true|compat    callbacks in safe mode, or both ways at once
      tries 3, deadline_s 5          of each callback
      mass_s 0.2, mass_month 4       until a mass message is reported; how many a person or all get in a month
      window_s 172800, window_count 20   after a person's text: 45015, 45047
      long_term                      true: one consent allows any number of subscription notices
      templates                      {template id: [field]}: only these are filed, with these fields (40037, 47003)
      page 10000                     openids in a page of user/get
      snapshot                       true: OAuth gives virtual accounts
      errors                         [{"api", "errcode": number|html|drop|hang, "times": 1}]: answers to the next calls, such as
                                     {"api": "stable_token", "errcode": 40164, "times": null}

At Aliyun throttle is `Throttling.User`, error_json `isp.SYSTEM_ERROR`, error_html a 503, undelivered `UNDELIV` or `MK:0001`; a request
is refused, or its answer spoilt, by what is drawn for any of its texts; receipt_reordered comes 0.3 s late.

`POST /_sandbox/reply` `{"channel":"sms","from","to","body"}`: a person's text, posted to the office (`url` names another address): 202.
With `"provider":"aliyun"` it comes by Aliyun's push (SmsUp); `to` is then the port that it was sent to.
With `{"channel":"wechat","openid","event","body"|"scene"}` a person does something in WeChat: `text`, `subscribe`, `unsubscribe`, `SCAN`
(who does not follow yet does then), `CLICK`, `subscribe_msg_popup_event` and `subscribe_msg_change_event` (with `choices`
{template id: accept|reject}). Beside it may stand `qr` (ticket or url of a code, in place of the scene), `url`, `encrypted`, `repeat`
(so many times more), `forged` (badly signed), `lost` (the office never hears of it), `created` (seconds of the epoch). What the office
answers him is a line of the ledger: `reference` is `passive-` and the MsgId, or openid:second:event; `attempt` is null.

`GET /_sandbox/wechat`: `token_fetches` (`classic`, `stable`, `forced_refreshes`), `calls` by api, `today` against the quotas, `refused`
by code, `sends` by kind (template, subscription, service, mass, passive), `followers`, `answers` to people (none, text, again, other,
broken). With `?openid=`: what one person has on his phone, links too.
`POST /_sandbox/wechat` `{"follow": [openid], "leave": [], "block": [], "tags": {tag: [openid]}}`: at once, without a word to the office.
With `{"verify": url or null}` the office's address is asked for its echo, and the answer is `{"verified": true|false}`.

In the ledger a message in WeChat has the msgid as `reference`, its client_msg_id as `attempt` and as `body` the data in canonical JSON,
else the text; a mass message is one line to `@all`, `@tag:N` or `@list:n:digest`. Who follows is kept in the file beside it (.people).

`POST /_sandbox/aliyun` `{"templates": {code: text with ${name}}, "per_number": 50, "daily": 0, "codes": {number or *: code}, "messages":
{code: words}}` replaces what is filed with the Aliyun account (without templates every code is good, and the ledger shows code and values),
its limits of a day, and the codes with which it refuses a request that holds a number. `GET` shows calls, sizes of batches, refusals.

`POST /_sandbox/reset`: no ledger, no messages, no faults, no opt-outs, no followers, nothing under way: 204.
`GET /_sandbox/health`: `ok`, `accepted`, `callbacks` (sent, failed, pending; forged and how many of those were accepted), `refused` by
code, `faults` drawn, `opted_out`.

What is wrong is answered 400 with `{"error": {"id", "message"}}` on one line.
"""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from outreach.sandbox.aliyun.doors import Aliyun, Misarranged
from outreach.sandbox.callbacks import Address, Callbacks
from outreach.sandbox.faults import Faults, FaultsMisread
from outreach.sandbox.forms import fields
from outreach.sandbox.ledger import Ledger
from outreach.sandbox.twilio.doors import Twilio
from outreach.sandbox.wechat.acts import ActMisread
from outreach.sandbox.wechat.doors import WeChat
from outreach.sandbox.wire import OWN_DOORS, Request, compose, compose_json

NDJSON = "application/x-ndjson"


class Misread(ValueError):
    """The request cannot be understood."""


class Control:
    """Answers `/_sandbox/…`; these doors take no password, the gateway stands on loopback."""

    def __init__(self, ledger: Ledger, faults: Faults, callbacks: Callbacks, twilio: Twilio, wechat: WeChat, aliyun: Aliyun, *, inbound_url: str) -> None:
        self._ledger = ledger
        self._faults = faults
        self._callbacks = callbacks
        self._twilio = twilio
        self._wechat = wechat
        self._aliyun = aliyun
        self._inbound_url = inbound_url
        self._doors: dict[tuple[bytes, bytes], Callable[[Request], None]] = {
            (b"GET", b"health"): self._health,
            (b"GET", b"ledger"): self._show_ledger,
            (b"GET", b"faults"): self._show_faults,
            (b"POST", b"faults"): self._set_faults,
            (b"POST", b"reply"): self._reply,
            (b"POST", b"reset"): self._reset,
            (b"GET", b"wechat"): self._show_wechat,
            (b"POST", b"wechat"): self._set_wechat,
            (b"GET", b"aliyun"): self._show_aliyun,
            (b"POST", b"aliyun"): self._set_aliyun,
        }
        self._replies: dict[str, Callable[[dict[str, Any]], str]] = {"sms": self._text, "wechat": wechat.acts.do}

    def handle(self, request: Request) -> None:
        """Answer one request to our own doors."""
        name = request.path.removeprefix(OWN_DOORS)
        door = self._doors.get((request.method, name))
        methods = [method.decode() for method, known in self._doors if known == name]
        if door:
            try:
                door(request)
            except (Misread, FaultsMisread, ActMisread, Misarranged) as cause:
                request.reply(_wrong(400, "bad_request", str(cause)))
        elif methods:
            request.reply(_wrong(405, "method_not_allowed", f"use {' or '.join(methods)}", f"Allow: {', '.join(methods)}\r\n"))
        else:
            request.reply(_wrong(404, "not_found", f"there is no {request.path.decode('ascii', 'replace')}"))

    def _health(self, request: Request) -> None:
        callbacks, twilio, wechat, aliyun = self._callbacks, self._twilio, self._wechat, self._aliyun
        refused: Counter[Any] = Counter()
        for counted in (twilio.refused, wechat.world.refused, aliyun.refused):
            refused.update(counted)
        health = {
            "ok": True,
            "accepted": self._ledger.written,
            "callbacks": {
                "sent": callbacks.sent,
                "failed": callbacks.failed,
                "pending": callbacks.pending,
                "forged": twilio.receipts.forged + wechat.events.forged + aliyun.pushes.forged,
                "forged_accepted": twilio.receipts.forged_accepted + wechat.events.forged_accepted + aliyun.pushes.forged_accepted,
            },
            "refused": {str(code): times for code, times in sorted(refused.items(), key=lambda pair: str(pair[0]))},
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
        self._wechat.configured()
        self._show_faults(request)

    def _reset(self, request: Request) -> None:
        self._ledger.clear()
        self._callbacks.clear()
        self._twilio.clear()
        self._faults.clear()
        self._wechat.clear()
        self._aliyun.clear()
        request.reply(compose(204))

    def _reply(self, request: Request) -> None:
        posted = _object(request, "a reply")
        send = self._replies.get(str(posted.get("channel")))
        if send is None:
            raise Misread(f"unknown channel {posted.get('channel')!r}; known: {', '.join(self._replies)}")
        request.reply(compose_json(202, {"reference": send(posted)}))

    def _show_wechat(self, request: Request) -> None:
        openid = dict(fields(request.query)).get("openid")
        request.reply(compose_json(200, self._wechat.shown() if openid is None else self._wechat.phone(openid)))

    def _set_wechat(self, request: Request) -> None:
        posted = _object(request, "what the WeChat side is told")
        if "verify" not in posted:
            self._wechat.acts.arrange(posted)
            self._show_wechat(request)
            return
        url = posted["verify"] if isinstance(posted["verify"], str) else None
        self._wechat.verify(url, lambda good: request.reply(compose_json(200, {"verified": good})))

    def _show_aliyun(self, request: Request) -> None:
        request.reply(compose_json(200, self._aliyun.shown()))

    def _set_aliyun(self, request: Request) -> None:
        self._aliyun.arrange(_object(request, "what the Aliyun side is told"))
        self._show_aliyun(request)

    def _text(self, posted: dict[str, Any]) -> str:
        for key in ("from", "to", "body"):
            if not isinstance(posted.get(key), str) or (key != "body" and not posted[key]):
                raise Misread(f'a text needs "{key}" as text')
        aliyun = posted.get("provider") == "aliyun"
        url = posted.get("url") or self._inbound_url
        try:
            address = Address.parse(str(url))
        except ValueError as cause:
            raise Misread(f"{url!r} is no http address") from cause
        if aliyun:
            return self._aliyun.pushes.reply(posted["from"], posted["to"], posted["body"], posted.get("url"))
        return self._twilio.reply(address, posted["from"], posted["to"], posted["body"])


def _object(request: Request, what: str) -> dict[str, Any]:
    try:
        posted = json.loads(request.body)
    except ValueError as cause:
        raise Misread(f"{what} must be one JSON object") from cause
    if not isinstance(posted, dict):
        raise Misread(f"{what} must be one JSON object")
    return posted


def _wrong(status: int, id_: str, message: str, headers: str = "") -> bytes:
    return compose_json(status, {"error": {"id": id_, "message": message}}, headers)
