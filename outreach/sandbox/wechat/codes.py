"""The provider's error codes: every answer is HTTP 200, and what is wrong stands in `errcode`."""

import os
from typing import Any

WORDS = {
    -1: "system error",
    40001: "invalid credential, access_token is invalid or not latest",
    40002: "invalid grant_type",
    40003: "invalid openid",
    40013: "invalid appid",
    40014: "invalid access_token",
    40029: "invalid code",
    40032: "invalid openid list size",
    40037: "invalid template_id",
    40053: "invalid action info",
    40059: "invalid msg id",
    40125: "invalid appsecret",
    40163: "code been used",
    40164: "invalid ip 127.0.0.1, not in whitelist",
    40252: "template message is under review",
    41001: "access_token missing",
    41002: "appid missing",
    41004: "appsecret missing",
    41008: "missing code",
    42001: "access_token expired",
    42003: "code expired",
    43001: "require GET method",
    43002: "require POST method",
    43004: "require subscribe",
    43019: "require remove blacklist",
    43100: "change template too frequently",
    43101: "user refuse to accept the msg",
    43116: "this template is blocked",
    44002: "empty post data",
    44004: "empty text content",
    45002: "content size out of limit",
    45009: "reach max api daily quota limit",
    45011: "api minute-quota reach limit, must slower, retry next minute",
    45015: "response out of time limit or subscription is canceled",
    45028: "has no masssend quota",
    45047: "out of response count limit",
    45065: "clientmsgid exist",
    45067: "clientmsgid size out of limit",
    46004: "user not exist",
    47001: "data format error",
    47003: "argument invalid!",
    48001: "api unauthorized",
    48002: "user refuse to accept the msg",
    48004: "api forbidden",
    48006: "forbid to clear quota because of reaching the limit",
    50001: "user is unauthorized",
    50002: "user limited",
    61450: "system error",
}


class Declined(Exception):
    """The provider would answer with this code; `more` are further keys of the answer."""

    def __init__(self, code: int, about: str = "", **more: Any) -> None:
        super().__init__(code)
        self.code = code
        self.about = about
        self.more = more

    def answer(self) -> dict[str, Any]:
        """Return the answer, with the request's id in its words as the provider's have."""
        words = f"{WORDS.get(self.code, 'error')} {self.about}".rstrip()
        return {"errcode": self.code, "errmsg": f"{words} rid: {_rid()}", **self.more}


def _rid() -> str:
    digits = os.urandom(12).hex()
    return f"{digits[:8]}-{digits[8:16]}-{digits[16:]}"
