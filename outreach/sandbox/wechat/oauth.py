"""A phone's WeChat says whose it is: the browser is sent back with a code, once, for five minutes."""

import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlencode, urlsplit

from outreach.sandbox.wechat.codes import Declined
from outreach.sandbox.wechat.people import OPENID
from outreach.sandbox.wechat.world import World
from outreach.sandbox.wire import Request, compose

LIFE = 300.0
SCOPES = ("snsapi_base", "snsapi_userinfo")


class OAuth:
    """Codes and whose they are."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._codes: dict[str, tuple[str, float, bool]] = {}
        self._used: set[str] = set()

    def authorize(self, request: Request, asked: dict[str, str]) -> None:
        """Answer connect/oauth2/authorize: back to where the browser came from, with a code for the openid of `openid` or of its cookie.

        A browser without either becomes a new person and keeps his cookie. `snapshot=1` (either way) makes him a virtual account.
        """
        cookies = _cookies(request.header(b"cookie"))
        openid = asked.get("openid") or cookies.get("openid") or "o" + secrets.token_urlsafe(21)[:27]
        back = asked.get("redirect_uri", "")
        parts = urlsplit(back)
        good = parts.scheme in ("http", "https") and back.isascii() and back.isprintable()
        if (
            asked.get("appid") != self._world.account.app_id
            or asked.get("response_type") != "code"
            or asked.get("scope") not in SCOPES
            or not good
            or not OPENID.fullmatch(openid)
        ):
            request.reply(compose(400, "<h3>redirect_uri 参数错误</h3>".encode(), "text/html; charset=utf-8"))
            return
        code = "0" + secrets.token_urlsafe(24)
        snapshot = self._world.scenario.snapshot or "1" in (asked.get("snapshot"), cookies.get("snapshot"))
        self._codes[code] = (openid, self._world.now() + LIFE, snapshot)
        query = "&".join(part for part in (parts.query, urlencode({"code": code, "state": asked.get("state", "")})) if part)
        location = parts._replace(query=query, fragment="").geturl()
        cookie = f"Set-Cookie: openid={openid}; Path=/connect\r\n"
        request.reply(compose(302, b"", "text/html", f"Location: {location}\r\n{cookie}"), after=self._world.faults.configuration.latency)

    def openid(self, asked: dict[str, str]) -> dict[str, object]:
        """Answer sns/oauth2/access_token: whose the code is; it is good once."""
        code = asked.get("code", "")
        if not code:
            raise Declined(41008)
        if asked.get("grant_type") != "authorization_code":
            raise Declined(40002)
        if code in self._used:
            raise Declined(40163)
        if code not in self._codes:
            raise Declined(40029)
        openid, end, snapshot = self._codes.pop(code)
        self._used.add(code)
        if end <= self._world.now():
            raise Declined(42003)
        token = {"access_token": "sns_" + secrets.token_urlsafe(60), "expires_in": 7200, "refresh_token": "sns_" + secrets.token_urlsafe(60)}
        return {**token, "openid": openid, "scope": "snsapi_base", **({"is_snapshotuser": 1} if snapshot else {})}

    def clear(self) -> None:
        """Forget every code."""
        self._codes.clear()
        self._used.clear()


def _cookies(text: bytes) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(text.decode("latin-1")).items()}
    except CookieError:
        return {}
