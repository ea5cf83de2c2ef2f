"""Which address is which call: method, token, quota and body are looked at in the provider's order, then the call is answered."""

import json
from collections.abc import Callable
from typing import Any

from outreach.sandbox.callbacks import Callbacks
from outreach.sandbox.faults import Faults
from outreach.sandbox.forms import fields
from outreach.sandbox.ledger import Ledger
from outreach.sandbox.wechat.acts import ActMisread, Acts
from outreach.sandbox.wechat.codes import Declined
from outreach.sandbox.wechat.events import Events
from outreach.sandbox.wechat.masses import Masses
from outreach.sandbox.wechat.notices import Notices
from outreach.sandbox.wechat.oauth import OAuth
from outreach.sandbox.wechat.people import People
from outreach.sandbox.wechat.queries import Queries
from outreach.sandbox.wechat.quotas import Quotas
from outreach.sandbox.wechat.sending import Sending
from outreach.sandbox.wechat.templates import Templates
from outreach.sandbox.wechat.tokens import Tokens
from outreach.sandbox.wechat.world import Account, Broken, World
from outreach.sandbox.wire import Request

PREFIXES = (b"/cgi-bin/", b"/sns/", b"/wxa/", b"/connect/")
PEOPLE = ".people"
"""What is added to the ledger's name for the file of who follows."""

Asked = dict[str, Any]
SendingDoor = Callable[[Request, Asked, str], None]
Answering = Callable[[Request, Asked], None]
Asking = Callable[[Asked], dict[str, Any]]


class WeChat:
    """One account at WeChat."""

    def __init__(self, account: Account, ledger: Ledger, faults: Faults, callbacks: Callbacks) -> None:
        self.world = world = World(account, ledger, faults, callbacks)
        self.tokens = Tokens(world)
        self.quotas = Quotas(world)
        self.people = People(world, ledger.path.with_name(ledger.path.name + PEOPLE))
        self.events = Events(world)
        sending = Sending(world, self.events, self.tokens)
        self.templates = Templates(world, self.people, self.events, sending)
        self.notices = Notices(world, self.people, sending)
        self.masses = Masses(world, self.people, self.events)
        self.queries = Queries(world, self.people)
        self.oauth = OAuth(world)
        self.acts = Acts(world, self.people, self.events, self.queries)
        self._sending: dict[bytes, SendingDoor] = {
            b"/cgi-bin/message/template/send": self.templates.send,
            b"/cgi-bin/message/subscribe/bizsend": self.notices.subscription,
            b"/cgi-bin/message/custom/send": self.notices.service,
        }
        self._answering: dict[bytes, Answering] = {
            b"/cgi-bin/message/mass/send": self.masses.send,
            b"/cgi-bin/message/mass/sendall": self.masses.send_all,
            b"/cgi-bin/message/mass/get": self.masses.get,
            b"/cgi-bin/message/mass/delete": self.masses.delete,
            b"/wxa/sec/queryblocktmplmsg": self.templates.list_blocked,
        }
        self._asking: dict[bytes, tuple[bytes, Asking]] = {
            b"/cgi-bin/user/get": (b"GET", self.queries.followers),
            b"/cgi-bin/user/info": (b"GET", self.queries.person),
            b"/cgi-bin/user/info/batchget": (b"POST", self.queries.persons),
            b"/cgi-bin/tags/get": (b"GET", self.queries.tags),
            b"/cgi-bin/qrcode/create": (b"POST", self.queries.make_qr),
            b"/cgi-bin/clear_quota": (b"POST", self._clear_quota),
        }

    def handle(self, request: Request) -> None:
        """Answer one request to the API."""
        try:
            self._route(request)
        except Declined as declined:
            self.world.decline(request, declined)
        except Broken as broken:
            if broken.fault == "html":
                self.world.refused[502] += 1
            self.world.answer(request, {}, broken.fault)

    def configured(self) -> None:
        """Do what a new configuration wants done at once."""
        if self.world.scenario.token_jump:
            self.tokens.expire()
        self.tokens.stick(self.world.scenario.token_stuck)

    def shown(self) -> dict[str, Any]:
        """Return the counters, for `GET /_sandbox/wechat`."""
        fetches = self.tokens.fetches
        return {
            "token_fetches": fetches.total(),
            "classic": fetches["classic"],
            "stable": fetches["stable"],
            "forced_refreshes": fetches["forced"],
            "calls": dict(sorted(self.world.calls.items())),
            "today": self.quotas.shown(),
            "refused": {str(code): times for code, times in sorted(self.world.refused.items())},
            "sends": dict(sorted(self.world.sends.items())),
            "followers": self.people.following,
            "answers": dict(self.events.answers),
            "broken": self.events.broken,
        }

    def phone(self, openid: str) -> dict[str, Any]:
        """Return what one person has on his phone, for `GET /_sandbox/wechat?openid=`: what he was sent, with the link behind it."""
        messages = [
            {"reference": entry["reference"], "api": entry["more"]["api"], "body": entry["body"], "link": entry["more"].get("link", ""), "at": entry["at"]}
            for entry in self.world.ledger.entries()
            if entry["channel"] == "wechat" and entry["to"] == openid and entry["outcome"] in ("delivered", "silent")
        ]
        return {"openid": openid, "follows": self.people.follows(openid), "messages": messages}

    def verify(self, url: str | None, then: Callable[[bool], None]) -> None:
        """Ask the office's address whether it is ours; raises ActMisread."""
        try:
            self.events.challenge(url, then)
        except ValueError as cause:
            raise ActMisread(f"{url!r} is no http address") from cause

    def clear(self) -> None:
        """Forget everything but the tokens: whoever holds one may use it."""
        for part in (self.world, self.tokens, self.quotas, self.people, self.events, self.templates, self.masses, self.queries, self.oauth):
            part.clear()

    def close(self) -> None:
        """Let go of the file of people."""
        self.people.close()

    def _route(self, request: Request) -> None:
        path, asked = request.path, dict(fields(request.query))
        api = path.removeprefix(b"/cgi-bin/").removeprefix(b"/").decode("ascii", "replace")
        self.world.calls[api] += 1
        self._scripted(api)
        if path == b"/cgi-bin/token":
            self.world.answer(request, self._classic(request, asked))
        elif path == b"/cgi-bin/stable_token":
            self.world.answer(request, self._stable(request))
        elif path == b"/connect/oauth2/authorize":
            self.oauth.authorize(request, asked)
        elif path == b"/sns/oauth2/access_token":
            self._own(asked)
            self.world.answer(request, self.oauth.openid(asked))
        else:
            self._with_token(request, path, api, asked)

    def _with_token(self, request: Request, path: bytes, api: str, asked: dict[str, str]) -> None:
        method, asking = self._asking.get(path, (b"POST", None))
        if asking is None and path not in self._sending and path not in self._answering:
            raise Declined(48001, api)
        if request.method != method:
            raise Declined(43001 if method == b"GET" else 43002)
        token = asked.get("access_token", "")
        self.tokens.check(token)
        self.quotas.take(api)
        posted: Asked = dict(asked) if method == b"GET" else _posted(request)
        if asking:
            self.world.answer(request, asking(posted))
        elif path in self._sending:
            self._sending[path](request, posted, token)
        else:
            self._answering[path](request, posted)

    def _classic(self, request: Request, asked: dict[str, str]) -> dict[str, object]:
        if request.method != b"GET":
            raise Declined(43001)
        if asked.get("grant_type") != "client_credential":
            raise Declined(40002)
        self._own(asked)
        self.quotas.take("token")
        return self.tokens.classic()

    def _stable(self, request: Request) -> dict[str, object]:
        if request.method != b"POST":
            raise Declined(43002)
        posted = _posted(request)
        if posted.get("grant_type") != "client_credential":
            raise Declined(40002)
        self._own(posted)
        self.quotas.take("stable_token")
        return self.tokens.stable(force=posted.get("force_refresh") is True)

    def _own(self, asked: Asked) -> None:
        account = self.world.account
        if not asked.get("appid"):
            raise Declined(41002)
        if not asked.get("secret"):
            raise Declined(41004)
        if asked["appid"] != account.app_id:
            raise Declined(40013)
        if asked["secret"] != account.secret:
            raise Declined(40125)

    def _clear_quota(self, asked: Asked) -> dict[str, Any]:
        if asked.get("appid") != self.world.account.app_id:
            raise Declined(40013)
        self.quotas.fill_again()
        return {"errcode": 0, "errmsg": "ok"}

    def _scripted(self, api: str) -> None:
        for one in self.world.scenario.errors:
            if one.api == api and one.times != 0:
                if one.times is not None:
                    one.times -= 1
                if isinstance(one.errcode, str):
                    raise Broken(one.errcode)
                raise Declined(one.errcode)


def _posted(request: Request) -> Asked:
    """Return the JSON object of a body, whatever the request calls it: the provider's clients send no content type."""
    if not request.body:
        raise Declined(44002)
    try:
        posted = json.loads(request.body)
        if b"\\u" in request.body:
            json.dumps(posted, ensure_ascii=False).encode()  # half a surrogate pair can be written as JSON and is no text
    except (ValueError, RecursionError) as cause:
        raise Declined(47001) from cause
    if not isinstance(posted, dict):
        raise Declined(47001)
    return posted
