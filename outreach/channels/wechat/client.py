"""The account's client: wechatpy 1.8.18, mended where it is broken.

What is mended, each seen in its source or run: the token is asked of a fixed address, without a time-out, by each instance anew, and
voids the one before (here: `tokens`); a refused token is fetched again without bound (here: once, and once by force); HTTP and JSON
that cannot be read come back as if all were well; exceptions hold the secret, and addresses the token. Here a call gives its answer or
its Trouble and raises nothing. No proxies of the environment, no redirects, no cookies, no copies by the connection pool.
"""

import http.cookiejar
import logging
import ssl
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectTimeout, InvalidSchema, InvalidURL, MissingSchema
from wechatpy import WeChatClient
from wechatpy.exceptions import WeChatClientException

from outreach.channels.wechat import codes, tokens
from outreach.channels.wechat.tokens import Token
from outreach.channels.wechat.trouble import Trouble

CONNECT = 3.0
TOKEN_LIFE = 7200
LONGEST_ANSWER = 4 * 1024 * 1024
"""A page of ten thousand openids is a tenth of it."""
CHUNK = 64 * 1024
THROTTLED = 429
NOT_IN_TIME = 408
Answer = dict[str, Any]
NEVER = float("inf")
REPLACEMENTS = 2
"""Of a token that is refused within one call: what is given for the asking, then what is given by force."""
PAUSES = (0.0, 0.5, 1.0)
"""Seconds between looks for the token that another process renews by force: its call takes about one."""


class OfficeClient(WeChatClient):  # type: ignore[misc]
    """The client of one account. Threads may share it; `may_refresh` is asked before a token is renewed by force."""

    def __init__(
        self, base_url: str, app_id: str, secret: str, *, request_timeout: timedelta, connections: int = 4, may_refresh: Callable[[], bool] = lambda: False
    ) -> None:
        total = request_timeout.total_seconds()
        super().__init__(app_id, secret, timeout=(min(CONNECT, total), total), auto_retry=False)
        self._http.close()
        self._http: requests.Session = session(connections, total)
        self._root = base_url.rstrip("/") + "/"
        self.API_BASE_URL = self._root + "cgi-bin/"
        self._shelf = tokens.shelf(self._root, app_id)
        self._may_refresh = may_refresh

    def __reduce__(self) -> str:
        raise TypeError("a client is not to be stored: it knows the secret")

    def call(self, path: str, data: Answer | None = None, *, params: dict[str, str] | None = None, before: float = NEVER) -> Answer | Trouble:
        """Make one call: POST where there is `data`, else GET. `path` is below cgi-bin/, or below the host where it begins with a slash.

        `before` is the steady clock's time after which no request may begin any more, not even that for a token.
        """
        endpoint = self._root + path[1:] if path.startswith("/") else path
        ask = partial(self._once, "GET" if data is None else "POST", endpoint, data, params or {}, before)
        held = self._shelf.get(partial(self._grant, before))
        answer = ask(held)
        for _ in range(REPLACEMENTS):
            if not isinstance(held, Token) or not _token_failed(answer):
                break
            held = self._shelf.instead_of(held, partial(self._another, before, held))
            answer = ask(held)
        return answer

    def trouble(self) -> Trouble | None:
        """Ask for the token, as every call does, and return why there is none; nothing where there is."""
        held = self._shelf.get(partial(self._grant, NEVER))
        return held if isinstance(held, Trouble) else None

    def exchange(self, code: str) -> Answer | Trouble:
        """Ask whose phone it is that came back with this code; this takes the secret, not the token."""
        asked = {"appid": self.appid, "secret": self.secret, "code": code, "grant_type": "authorization_code"}
        return self._request_once("GET", self._root + "sns/oauth2/access_token", None, asked, NEVER)

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    @property
    def access_token(self) -> str:
        """The token, for those of the SDK's own calls that ask for it. The SDK reads this before it is made: then there is none."""
        held = self._shelf.get(partial(self._grant, NEVER))
        return held.value if isinstance(held, Token) else ""

    def fetch_access_token(self) -> None:
        """Do nothing: the SDK's own way voids the token that others use."""

    def _grant(self, before: float, *, by_force: bool = False) -> Token | Trouble:
        """Ask for the stable token, which is the same for all who ask while it is good."""
        asked = {"grant_type": "client_credential", "appid": self.appid, "secret": self.secret, "force_refresh": by_force}
        answer = self._request_once("POST", "stable_token", asked, {}, before)
        if isinstance(answer, Trouble):
            return Trouble(answer.sort, answer.code, answer.reason, of_token=True)
        value, lasts = answer.get("access_token"), answer.get("expires_in", TOKEN_LIFE)
        if not isinstance(value, str) or not value or not isinstance(lasts, int | float):
            return Trouble("unknown", reason="unreadable", of_token=True)
        return tokens.granted(value, lasts)

    def _another(self, before: float, failed: Token) -> Token | Trouble:
        """Ask what to use in place of a token that failed: if it is the same once more, it may do; if that failed too, only force helps."""
        if failed.doubted:
            return self._by_force(before, failed)
        answer = self._grant(before)
        return answer.in_doubt() if isinstance(answer, Token) and answer.value == failed.value else answer

    def _by_force(self, before: float, failed: Token) -> Token | Trouble:
        """Ask for a new token, which voids the old. Without leave to, see whether another process is doing so at this moment."""
        if self._may_refresh():
            return self._grant(before, by_force=True)
        for pause in PAUSES:
            time.sleep(pause)
            answer = self._grant(before)
            if isinstance(answer, Trouble) or answer.value != failed.value:
                return answer
        return Trouble("refused", codes.INVALID_TOKEN, of_token=True)

    def _once(self, method: str, endpoint: str, data: Answer | None, params: dict[str, str], before: float, held: Token | Trouble) -> Answer | Trouble:
        if isinstance(held, Trouble):
            return held
        return self._request_once(method, endpoint, data, params | {"access_token": held.value}, before)

    def _request_once(self, method: str, endpoint: str, data: Answer | None, params: dict[str, str], before: float) -> Answer | Trouble:
        """Make one request. The parameters go as a list, because the SDK puts a token of its own into a dictionary."""
        if time.monotonic() >= before:
            return Trouble("late", reason="late")
        given: dict[str, Any] = {} if data is None else {"data": data, "headers": {"Content-Type": "application/json; charset=utf-8"}}
        try:
            answer = self._request(method, endpoint, params=list(params.items()), allow_redirects=False, **given)
        except WeChatClientException as error:
            return _refusal(error)
        except requests.RequestException as error:
            return Trouble("unsent" if _was_unsent(error) else "unknown", reason=type(error).__name__)
        except (ValueError, TypeError, RecursionError):
            return Trouble("unknown", reason="unreadable")
        return answer if isinstance(answer, dict) else Trouble("unknown", reason="unreadable")


class _Adapter(HTTPAdapter):
    """The library's way to the network, with an end to every answer: its own time-out begins anew with each byte that comes."""

    def __init__(self, connections: int, seconds: float) -> None:
        self._seconds = seconds
        super().__init__(pool_connections=2, pool_maxsize=connections, max_retries=0, pool_block=True)

    def send(
        self, request: requests.PreparedRequest, stream: bool = False, timeout: Any = None, verify: Any = True, cert: Any = None, proxies: Any = None
    ) -> requests.Response:
        over = time.monotonic() + self._seconds
        response = super().send(request, True, timeout, verify, cert, proxies)
        try:
            response._content = _read(response.raw, over)
        except urllib3.exceptions.HTTPError:
            raise requests.ConnectionError from None
        finally:
            if response._content is False:
                response.close()
        response._content_consumed = True
        return response


def _read(raw: urllib3.HTTPResponse, over: float) -> bytes:
    """Read an answer to its end, but none that is endless or comes too slowly."""
    body = bytearray()
    while chunk := raw.read1(CHUNK, decode_content=True):
        body += chunk
        if time.monotonic() > over or len(body) > LONGEST_ANSWER:
            raise requests.ReadTimeout
    return bytes(body)


def session(connections: int, seconds: float) -> requests.Session:
    """Return a session that does nothing of its own accord, whose answers end, and whose log tells no address in full."""
    made = requests.Session()
    made.trust_env = False
    made.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        made.mount(scheme, _Adapter(connections, seconds))
    logging.getLogger("urllib3.connectionpool").addFilter(_without_query)
    return made


def _without_query(record: logging.LogRecord) -> bool:
    """Take the query off every address that the HTTP library logs when it is told to log all: tokens and secrets stand there."""
    if isinstance(record.args, tuple):
        record.args = tuple(value.partition("?")[0] if isinstance(value, str) else value for value in record.args)
    return True


def _token_failed(answer: Answer | Trouble) -> bool:
    return isinstance(answer, Trouble) and answer.sort == "refused" and codes.effect(answer.code) == "token"


def _refusal(error: WeChatClientException) -> Trouble:
    """Read an error code, or an HTTP status where nothing of WeChat's came: what is refused by a status below 500 was not done."""
    if error.errcode is not None:
        return Trouble("refused", int(error.errcode), msg_id=_msg_id(error.response))
    status = error.response.status_code
    if status == THROTTLED:
        return Trouble("unsent", reason=f"http {status}")
    if status >= 500 or status == NOT_IN_TIME:
        return Trouble("unknown", reason=f"http {status}")
    return Trouble("refused", status)


def _msg_id(response: requests.Response) -> str:
    """Return the message that a refusal names: of a second mass message the first, of one under review itself."""
    try:
        said = response.json()
    except ValueError:
        return ""
    return reference(said.get("msg_id") or said.get("msgid")) if isinstance(said, dict) else ""


def reference(value: object) -> str:
    """Return a message's number as text; empty where there is none, or 0, which WeChat also gives for none."""
    if isinstance(value, bool):
        return ""
    text = str(value) if isinstance(value, int) else value.strip() if isinstance(value, str) else ""
    return text if text.isascii() and text.isdigit() and int(text) > 0 else ""


def _was_unsent(error: requests.RequestException) -> bool:
    """Whether no byte of the request can have been read: no connection, or one to somebody who is not the provider."""
    if isinstance(error, ConnectTimeout | InvalidURL | InvalidSchema | MissingSchema):
        return True
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    if isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError):
        return True
    return isinstance(reason, urllib3.exceptions.SSLError) and bool(reason.args) and isinstance(reason.args[0], ssl.SSLCertVerificationError)
