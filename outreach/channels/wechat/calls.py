"""What is asked of the office's account apart from messages: QR codes, followers, whose phone this is, and mass messages.

with directory.open_account(settings) as account:
    ticket = account.ticket("k3J…", lasts=timedelta(days=30))

Every call raises one of three: CallRefused (its `code` says why; it was not done), CallUnsent (WeChat cannot be reached; it was not
done), CallUnknown (nobody knows whether it was done). All block: a page that calls must do so beside its event loop.
Shapes: developers.weixin.qq.com/doc/service (Generating_a_Parametric_QR_Code, User_Management, Batch_Sends, OAuth).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

from outreach.channels.wechat import codes
from outreach.channels.wechat.client import NEVER, OfficeClient, reference
from outreach.channels.wechat.trouble import Trouble
from outreach.errors import Refused
from outreach.settings import Settings

LONGEST_SCENE = timedelta(days=30)
"""Of a temporary QR code; a permanent one is one of 100,000."""
PAGE_OF_BLOCKED = 100
MOST_PAGES = 10_000
SECOND = timedelta(seconds=1)


class CodeUsedUp(Refused):
    """This way in was used before or is too old. Open the page again from WeChat."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A QR code of the account: `url` is what it holds, `ticket` what the provider draws it by; `lasts` is None for a permanent one."""

    ticket: str
    url: str
    lasts: timedelta | None


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody known to the account: whether he follows it, since when, and by which scene he came."""

    openid: str
    follows: bool
    followed_at: datetime | None = None
    scene: str = ""


@dataclass(frozen=True, slots=True)
class Reader:
    """Whose phone a page is open on. `virtual` says that WeChat made the openid up, because he only looks at the page: bind it to nobody."""

    openid: str
    virtual: bool


@dataclass(frozen=True, slots=True)
class Blocked:
    """A template message that the review did not let pass."""

    openid: str
    template: str
    sent_at: datetime


class Account:
    """The office's account. Make it with `directory.open_account`, which keeps a rehearsal on this machine."""

    def __init__(self, settings: Settings, *, may_refresh: Callable[[], bool] = lambda: False) -> None:
        self._client = OfficeClient(
            settings.wechat_base_url, settings.wechat_app_id, settings.wechat_secret, request_timeout=settings.request_timeout, may_refresh=may_refresh
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def require_token(self) -> None:
        """Make sure that the account knows the office: its id, its secret and the address of this server. Raises what a call raises."""
        _read(self._client.trouble() or {})

    def ticket(self, scene: str, *, lasts: timedelta | None = LONGEST_SCENE) -> Ticket:
        """Ask for a QR code that stands for `scene` (1 to 64 characters; a random word, never a phone)."""
        asked: dict[str, Any] = {"action_info": {"scene": {"scene_str": scene}}}
        if lasts is None:
            asked["action_name"] = "QR_LIMIT_STR_SCENE"
        else:
            asked |= {"action_name": "QR_STR_SCENE", "expire_seconds": int(min(lasts, LONGEST_SCENE) / SECOND)}
        answer = _read(self._client.call("qrcode/create", asked))
        said = answer.get("expire_seconds")
        return Ticket(_text(answer, "ticket"), _text(answer, "url"), timedelta(seconds=said) if lasts is not None and isinstance(said, int) else lasts)

    def person(self, openid: str) -> Person:
        """Ask about one person; one who does not follow is known by his openid only."""
        answer = _read(self._client.call("user/info", params={"openid": openid, "lang": "zh_CN"}))
        since = answer.get("subscribe_time")
        scene = answer.get("qr_scene_str")
        return Person(openid, answer.get("subscribe") == 1, _time(since), scene if isinstance(scene, str) else "")

    def followers(self) -> Iterator[list[str]]:
        """Give the openids of all who follow, up to 10,000 a page, as the provider orders them."""
        after = ""
        for _page in range(MOST_PAGES):
            answer = _read(self._client.call("user/get", params={"next_openid": after} if after else {}))
            data = answer.get("data")
            openids = [openid for openid in data.get("openid", []) if isinstance(openid, str)] if isinstance(data, dict) else []
            if openids:
                yield openids
            said = answer.get("next_openid")
            if not openids or not isinstance(said, str) or said in ("", after):
                return
            after = said

    def announce(self, text: str, *, name: str, tag: int | None = None) -> str:
        """Send a text to all followers, or to those with a tag, and return the provider's msg_id.

        `name` (at most 64 bytes) is ours: a second call of the same within 24 hours sends nothing and returns the first one's msg_id.
        After CallUnknown it may have gone out: its event or `announcement` tells, never a second try on a guess.
        """
        whom: dict[str, Any] = {"is_to_all": True} if tag is None else {"is_to_all": False, "tag_id": tag}
        answer = self._client.call("message/mass/sendall", {"filter": whom, "msgtype": "text", "text": {"content": text}, "clientmsgid": name})
        known_before = isinstance(answer, Trouble) and answer.code == codes.ALREADY_SENT
        known = answer.msg_id if isinstance(answer, Trouble) and known_before else reference(_read(answer).get("msg_id"))
        if not known:
            raise Trouble("unknown", reason="no msg_id").error()
        return known

    def announcement(self, msg_id: str) -> str:
        """Return what the provider says of a mass message: SEND_SUCCESS, SENDING, SEND_FAIL or DELETE."""
        return _text(_read(self._client.call("message/mass/get", {"msg_id": msg_id})), "msg_status")

    def blocked(self, template: str, *, before: float = NEVER) -> list[Blocked]:
        """Return the messages of a template that the review did not let pass."""
        found: list[Blocked] = []
        largest = 0
        for _page in range(MOST_PAGES):
            asked = {"tmpl_msg_id": template, "largest_id": largest, "limit": PAGE_OF_BLOCKED}
            rows = _read(self._client.call("/wxa/sec/queryblocktmplmsg", asked, before=before)).get("msginfo")
            page = [row for row in (rows if isinstance(rows, list) else [rows]) if isinstance(row, dict)]
            found += [item for row in page if (item := _blocked(row, template))]
            last = max((row["id"] for row in page if isinstance(row.get("id"), int)), default=0)
            if len(page) < PAGE_OF_BLOCKED or last <= largest:
                break
            largest = last
        return found

    def reader(self, code: str) -> Reader:
        """Return whose phone came back from `authorize_url` with this code, which is good once and for five minutes. Raises CodeUsedUp."""
        answer = self._client.exchange(code)
        if isinstance(answer, Trouble) and answer.code in codes.CODES_OF_OAUTH:
            raise CodeUsedUp()
        found = _read(answer)
        return Reader(_text(found, "openid"), found.get("is_snapshotuser") == 1)


def authorize_url(settings: Settings, *, redirect: str, state: str) -> str:
    """Return where to send a phone's WeChat so that it comes back to `redirect` with a code that tells whose it is; silently (snsapi_base)."""
    asked = {"appid": settings.wechat_app_id, "redirect_uri": redirect, "response_type": "code", "scope": "snsapi_base", "state": state}
    return f"{settings.wechat_oauth_url.rstrip('/')}/connect/oauth2/authorize?{urlencode(asked, quote_via=quote, safe='')}#wechat_redirect"


def _read(answer: dict[str, Any] | Trouble) -> dict[str, Any]:
    if isinstance(answer, Trouble):
        raise answer.error()
    return answer


def _text(answer: Mapping[str, Any], key: str) -> str:
    said = answer.get(key)
    if not isinstance(said, str) or not said:
        raise Trouble("unknown", reason=f"no {key}").error()
    return said


def _time(said: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(said, UTC) if isinstance(said, int) and said > 0 else None
    except (OverflowError, ValueError, OSError):
        return None


def _blocked(row: Mapping[str, Any], template: str) -> Blocked | None:
    openid, sent_at = row.get("openid"), _time(row.get("send_timestamp"))
    return Blocked(openid, template, sent_at) if isinstance(openid, str) and sent_at else None
