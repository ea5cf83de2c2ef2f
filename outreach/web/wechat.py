"""Bind the reader's WeChat in the pledge page: it says itself whose it is (OAuth, snsapi_base), and he the last four digits of his phone.

    GET  /p/{token}/wechat               on to WeChat, with a cookie that only this browser has
    GET  /p/{token}/wechat?code=&state=  back from it: the form for the digits; nothing is done yet, for apps fetch addresses too
    POST /p/{token}/wechat               the digits are right: ask whose code it is, and bind

`state` is an HMAC over link and cookie: a code that somebody else brought along binds nobody. The code is good once and for five
minutes (developers.weixin.qq.com/doc/service, api_snsaccesstoken), so it is used only when the digits are right.
"""

import asyncio
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from outreach import clock, i18n, tokens
from outreach.channels import directory
from outreach.channels.wechat import calls
from outreach.channels.wechat.calls import Reader
from outreach.channels.wechat.trouble import CallRefused, CallUnknown, CallUnsent
from outreach.database import bulk
from outreach.database.engine import Database
from outreach.database.tables import Contact, Recipient, RecipientEnterprise
from outreach.database.wechat_tables import Binding, Follower
from outreach.errors import BadInput, NotFound, OutreachError, Refused
from outreach.links import bindings, followers, guessing, resolving
from outreach.links.resolving import Visitor, tidy
from outreach.outbox.bound import bound
from outreach.settings import Settings
from outreach.web import forms
from outreach.web.pages import Guard, Pages, hint, query, redirect

APP = "MicroMessenger"
"""What WeChat's browser calls itself; no other can come back from its OAuth."""
COOKIE = "wechat"
LIFE = 900
"""Seconds for which a browser may take to come back and type the digits; the code itself lives five minutes."""
LONGEST_CODE = 200


class NotOfThisBrowser(BadInput):
    """This way in belongs to another phone, or is too old. Please go back and tap “Bind my WeChat” once more."""


class DigitsWrong(BadInput):
    """These are not the last four digits of the mobile number registered with us. Please compare, or ring the office."""


class OnlyPreview(Refused):
    """WeChat shows a preview of this page only, and does not say whose phone it is. Tap “use the full service” at the foot of the page, then try again."""


class NothingToBind(NotFound):
    """There is no mobile number registered here that could confirm whose WeChat this is. Please ring the office."""


class WeChatDoor:
    """The page that binds the reader's WeChat. It is there only where the office's account may do that (`wechat_oauth`)."""

    def __init__(self, settings: Settings, database: Database, pages: Pages, address: Callable[[Request], str]) -> None:
        self._settings = settings
        self._database = database
        self._pages = pages
        self._address = address

    def routes(self, guarded: Guard) -> list[Route]:
        """Return the routes of this page."""
        if not self._settings.wechat_oauth:
            return []
        path = "/p/{token}/wechat"
        return [Route(path, guarded(self.come), methods=["GET"]), Route(path, guarded(self.bind), methods=["POST"])]

    def offered(self, session: Session, request: Request, visitor: Visitor) -> bool:
        """Whether to offer it: to WeChat's own browser, where a phone can confirm it and nobody of these enterprises is bound yet."""
        if not self._settings.wechat_oauth or APP not in request.headers.get("user-agent", "") or not visitor.phone:
            return False
        return not _is_bound(session, visitor)

    async def come(self, request: Request) -> Response:
        """Send the browser on to WeChat, or, when it comes back, ask for the digits."""
        if not request.query_params.get("code"):
            return await asyncio.to_thread(self._leave, request)
        return await asyncio.to_thread(self._form, request, _returned(request.query_params.get("code"), request.query_params.get("state")))

    def _leave(self, request: Request) -> Response:
        """Lead to WeChat, with a word in a cookie that will show that the same browser came back."""
        token = request.path_params["token"]
        with self._database.read() as session:
            _with_phone(resolving.resolve(session, token, settings=self._settings, now=clock.now()))
        word = tokens.serial()
        back = f"{self._settings.public_url.rstrip('/')}/p/{token}/wechat{query(request)}"
        answer = redirect(calls.authorize_url(self._settings, redirect=back, state=self._state(token, word)))
        secure = urlsplit(self._settings.public_url).scheme == "https"
        answer.set_cookie(COOKIE, word, max_age=LIFE, path=f"/p/{token}/wechat", secure=secure, httponly=True, samesite="lax")
        return answer

    def _state(self, token: str, word: str) -> str:
        return tokens.keyed(self._settings.office_key, "wechat-oauth", token, word)[:16].hex()

    def _require_own(self, request: Request, state: str) -> None:
        word = request.cookies.get(COOKIE, "")
        if not word or not tokens.same(self._state(request.path_params["token"], word), state):
            raise NotOfThisBrowser(what="state")

    def _form(self, request: Request, returned: tuple[str, str], fault: str = "") -> Response:
        """Show the form for the digits; it carries the code along, which is still unused."""
        code, state = returned
        self._require_own(request, state)
        with self._database.read() as session:
            visitor = _with_phone(resolving.resolve(session, request.path_params["token"], settings=self._settings, now=clock.now()))
        faults = {"digits": fault} if fault else {}
        context = {
            "base": f"/p/{request.path_params['token']}",
            "visitor": visitor,
            "phone": hint(visitor.phone),
            "code": code,
            "state": state,
            "faults": faults,
        }
        return self._pages.page("wechat.html", request, status=422 if fault else 200, account=self._settings.wechat_name, **context)

    async def bind(self, request: Request) -> Response:
        """Bind the reader's WeChat to the contacts whose phone he knows; wrong digits are counted as on the page of codes."""
        fields = await forms.posted(request)
        returned = _returned(forms.text(fields, "code", LONGEST_CODE), forms.text(fields, "state", LONGEST_CODE))
        self._require_own(request, returned[1])
        return await asyncio.to_thread(self._bind, request, returned, forms.text(fields, "digits", 24))

    def _bind(self, request: Request, returned: tuple[str, str], digits: str) -> Response:
        token = request.path_params["token"]
        trouble = self._confirm(token, tidy(digits), self._address(request))
        if isinstance(trouble, DigitsWrong):
            return self._form(request, returned, i18n.say(trouble))
        if trouble is not None:
            raise trouble
        reader, follows = self._reader(returned[0])
        with self._database.write() as session:
            self._keep(session, token, reader, tidy(digits), follows=follows)
        chosen = query(request)
        answer = redirect(f"/p/{token}{chosen + '&' if chosen else '?'}done={'bound' if follows else 'follow'}#done")
        answer.delete_cookie(COOKIE, path=f"/p/{token}/wechat")
        return answer

    def _confirm(self, token: str, digits: str, address: str) -> OutreachError | None:
        """Say why these digits confirm nothing, if they do not; the try is counted either way."""
        now = clock.now()
        with self._database.write() as session:
            visitor = _with_phone(resolving.resolve(session, token, settings=self._settings, now=now))
            code = session.scalar(select(Recipient.code).where(Recipient.id == visitor.recipient_id)) or ""
            bounds = guessing.for_code(self._settings.office_key, code, address)
            try:
                guessing.spend(session, bounds, now=now)
            except guessing.TooManyTries as error:
                return error
            if not bindings.confirmed(session, visitor.recipient_id, digits):
                return DigitsWrong(what="digits")
            guessing.give_back(session, bounds)
            return None

    def _reader(self, code: str) -> tuple[Reader, bool]:
        """Ask WeChat whose phone it is, and whether he follows the account; where it does not say, he counts as not following."""
        with directory.open_account(self._settings) as account:
            reader = account.reader(code)
            if reader.virtual:
                raise OnlyPreview()
            try:
                return reader, account.person(reader.openid).follows
            except (CallRefused, CallUnsent, CallUnknown):
                return reader, False

    def _keep(self, session: Session, token: str, reader: Reader, digits: str, *, follows: bool) -> None:
        now = clock.now()
        visitor = resolving.resolve(session, token, settings=self._settings, now=now)
        if follows:
            followers.found_following(session, [reader.openid], since=now)
        else:
            bulk.insert_rows(session, Follower, [{"openid": reader.openid}], ignore_conflicts=True)
        bindings.bind(session, reader.openid, bindings.confirmed(session, visitor.recipient_id, digits), way="oauth", now=now)


def _returned(code: str | None, state: str | None) -> tuple[str, str]:
    """Return code and state as WeChat writes them; anything else is not from there."""
    if not code or not state or not re.fullmatch(r"[\w-]{1,200}", code, re.ASCII) or not re.fullmatch(r"[0-9a-f]{32}", state, re.ASCII):
        raise NotOfThisBrowser(what="state")
    return code, state


def _with_phone(visitor: Visitor) -> Visitor:
    if not visitor.phone:
        raise NothingToBind(what="phone", name="-")
    return visitor


def _is_bound(session: Session, visitor: Visitor) -> bool:
    """Whether a contact of the enterprises that this visitor speaks for has bound a WeChat already."""
    statement = (
        select(Binding.id)
        .join(Contact, bound())
        .join(RecipientEnterprise, RecipientEnterprise.enterprise_id == Contact.enterprise_id)
        .where(RecipientEnterprise.recipient_id == visitor.recipient_id)
        .limit(1)
    )
    return session.scalar(statement) is not None
