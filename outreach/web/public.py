"""The pages that enterprises see: type a code, read and sign, decline, correct, withdraw; verify; the honour roll; no more messages.

A GET changes nothing, for apps fetch links before anybody taps them.
"""

import asyncio
import logging
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from outreach import clock, i18n
from outreach.contacts import directory
from outreach.database.engine import Database
from outreach.database.pledge_tables import CAPACITIES, CORRECTIONS
from outreach.errors import BadInput, OutreachError
from outreach.i18n import gettext as _
from outreach.links import guessing, resolving
from outreach.links.resolving import LinkUnknown, Visitor
from outreach.pledges import onetime
from outreach.pledges.signing import SignatureUnknown
from outreach.settings import Settings
from outreach.web import forms, texts
from outreach.web.deeds import Deed, Kind, NoCorrection, NoEnterprise
from outreach.web.forms import SignForm
from outreach.web.groups import GroupCommit
from outreach.web.pages import HEADERS, Endpoint, Pages, hint, language, query, redirect
from outreach.web.papers import PaperDoor
from outreach.web.verifying import VerifyDoor
from outreach.web.wechat import WeChatDoor

CONFUSABLE = frozenset("0O1ILU")
"""What stands in no code, because on paper it looks like something else."""
log = logging.getLogger("outreach.web")
BLAMED: dict[type[BadInput], str] = {NoEnterprise: "enterprise", onetime.CodeWrong: "one_time_code"}
"""By which field an error is said that the database found."""


class PublicDoor:
    """The public pages of one office."""

    def __init__(self, settings: Settings, database: Database, deeds: GroupCommit[Deed]) -> None:
        self._settings = settings
        self._database = database
        self._deeds = deeds
        self._proxies = frozenset(settings.proxies.replace(",", " ").split())
        self.pages = Pages(settings)
        self._wechat = WeChatDoor(settings, database, self.pages, self._address)

    def routes(self) -> list[Route]:
        """Return the routes of the public pages."""
        ways: list[tuple[str, str, Endpoint]] = [
            ("GET", "/", self.ask_code),
            ("POST", "/", self.take_code),
            ("GET", "/p/{token}", self.show),
            ("POST", "/p/{token}/opened", self.opened),
            ("POST", "/p/{token}/code", self.send_code),
            ("POST", "/p/{token}/sign", self.sign),
            ("POST", "/p/{token}/decline", self.decline),
            ("POST", "/p/{token}/correct", self.correct),
            ("POST", "/p/{token}/withdraw", self.withdraw),
            ("GET", "/p/{token}/{deed}", self.back),
            ("GET", "/o/{token}", self.offer_opt_out),
            ("POST", "/o/{token}", self.opt_out),
        ]
        own = [Route(path, self.guarded(act), methods=[method]) for method, path, act in ways]
        verifying = VerifyDoor(self._settings, self._database, self.pages)
        papers = PaperDoor(self._settings, self._database)
        return [*self._wechat.routes(self.guarded), *papers.routes(self.guarded), *own, *verifying.routes(self.guarded)]

    def guarded(self, act: Endpoint) -> Endpoint:
        """Answer in the reader's language, and whatever goes wrong with a page that says so."""

        async def answer(request: Request) -> Response:
            with i18n.speaking(language(request)):
                try:
                    return await act(request)
                except OutreachError as error:
                    return self._trouble(request, error)

        return answer

    async def ask_code(self, request: Request) -> Response:
        """Show the form for the code of a letter or text."""
        return self.pages.page("code.html", request, form={"code": "", "digits": ""}, faults={})

    async def take_code(self, request: Request) -> Response:
        """Open the personal page for a code and the digits that belong to it."""
        fields = await forms.posted(request)
        form = {"code": forms.text(fields, "code", 24), "digits": forms.text(fields, "digits", 24)}
        answer = await asyncio.to_thread(self._opened_by, form["code"], form["digits"], self._address(request))
        if isinstance(answer, str):
            return redirect(f"/p/{answer}{query(request)}")
        if not isinstance(answer, BadInput):
            raise answer
        return self.pages.page("code.html", request, status=422, form=form, faults={"code": _kindly(form["code"], answer)})

    def _opened_by(self, code: str, digits: str, address: str) -> str | OutreachError:
        """Return the token, or why not; the try is counted either way."""
        with self._database.write() as session:
            try:
                return resolving.by_code(session, code, digits, address=address, settings=self._settings, now=clock.now())
            except (BadInput, guessing.TooManyTries) as error:
                return error

    async def show(self, request: Request) -> Response:
        """Show letter, pledge, privacy notice and the form to sign; or what was signed."""
        return await asyncio.to_thread(self._pledge, request, SignForm(), 200)

    def _pledge(self, request: Request, form: SignForm, status: int) -> Response:
        token, now = request.path_params["token"], clock.now()
        with self._database.read() as session:
            visitor = resolving.resolve(session, token, settings=self._settings, now=now)
            asks = visitor.version.one_time_code and not onetime.passed(session, visitor, now=now)
            offers_wechat = self._wechat.offered(session, request, visitor)
        still_open = [one for one in visitor.enterprises if one.signature is None]
        if status != 200 and not still_open:
            return redirect(f"/p/{token}{query(request)}#done")  # signed meanwhile, from another tab or phone
        if form.faults and len(still_open) > 1 and not form.all and not {one.id for one in still_open} & set(form.enterprises):
            form.faults = {"enterprise": i18n.say(NoEnterprise()), **form.faults}
        chinese = texts.frozen(visitor)
        shown = chinese | texts.translated(visitor, self._settings) if language(request) == "en" else chinese
        return self.pages.page(
            "pledge.html",
            request,
            status=status,
            base=f"/p/{token}",
            visitor=visitor,
            still_open=still_open,
            phone=hint(visitor.phone),
            texts=shown,
            original=chinese["pledge"] if shown["pledge"] != chinese["pledge"] else None,
            form=form,
            faults=form.faults,
            done=request.query_params.get("done", ""),
            asks_one_time_code=asks,
            offers_wechat=offers_wechat,
            account=self._settings.wechat_name,
            capacities=_capacities(),
            corrections=_corrections(),
        )

    async def opened(self, request: Request) -> Response:
        """Keep that somebody saw the page: said by its script, not by whoever fetched it."""
        await self._do(request, "opened")
        return Response(status_code=204, headers=dict(HEADERS))

    async def sign(self, request: Request) -> Response:
        """Sign; a second sending finds the first signature."""
        form = forms.of_signing(await forms.posted(request))
        return await self._filled_in(request, "sign", form, done="signed")

    async def decline(self, request: Request) -> Response:
        """Keep a "no" with its reason."""
        form = forms.of_declining(await forms.posted(request))
        return await self._filled_in(request, "decline", form, done="declined")

    async def _filled_in(self, request: Request, kind: Kind, form: SignForm, *, done: str) -> Response:
        """Do what a form asks for, or show it again with a line by each field that is not right."""
        if not form.faults:
            try:
                await self._do(request, kind, form=form)
                return _done(request, done)
            except tuple(BLAMED) as error:
                form.faults[BLAMED[type(error)]] = i18n.say(error)
        return await asyncio.to_thread(self._pledge, request, form, 422)

    async def correct(self, request: Request) -> Response:
        """Keep what is wrong with our list."""
        fields = await forms.posted(request)
        try:
            await self._do(request, "correct", subject=forms.text(fields, "kind"), words=forms.text(fields, "detail"))
        except NoCorrection as error:
            return await asyncio.to_thread(self._pledge, request, SignForm(faults={"other": i18n.say(error)}), 422)
        return _done(request, "corrected")

    async def withdraw(self, request: Request) -> Response:
        """End a signature by the signer's own wish."""
        fields = await forms.posted(request)
        await self._do(request, "withdraw", subject=forms.text(fields, "serial", 20), words=forms.text(fields, "reason"))
        return _done(request, "withdrawn")

    async def _do(self, request: Request, kind: Kind, **what: Any) -> Deed:
        """Have a deed committed, and return it. Raises why it may not be done."""
        agent = request.headers.get("user-agent", "")[:300]
        deed = Deed(kind, request.path_params["token"], clock.now(), ip=self._address(request), user_agent=agent, **what)
        await self._deeds.add(deed)
        if deed.error is not None:
            raise deed.error
        return deed

    async def send_code(self, request: Request) -> Response:
        """Send a one-time code to the registered phone."""
        await asyncio.to_thread(self._send_code, request.path_params["token"], self._address(request))
        return _done(request, "sent")

    def _send_code(self, token: str, address: str) -> None:
        """Send a code; who taps again while one is on its way is told that it is."""
        now = clock.now()
        try:
            with self._database.write() as session:
                visitor = resolving.resolve(session, token, settings=self._settings, now=now)
                if visitor.version.one_time_code:
                    onetime.send(session, visitor, address=address, settings=self._settings, now=now)
        except guessing.TooManyTries:
            with self._database.read() as session:
                visitor = resolving.resolve(session, token, settings=self._settings, now=now)
                if not onetime.sent_lately(session, visitor, now=now):
                    raise

    async def back(self, request: Request) -> Response:
        """Lead whoever reloads or bookmarks the answer to a form back to the page."""
        return redirect(f"/p/{request.path_params['token']}{query(request)}")

    async def offer_opt_out(self, request: Request) -> Response:
        """Ask whether this person wants no more messages."""
        visitor = await asyncio.to_thread(self._addressee, request.path_params["token"])
        return self._opting_out(request, visitor, done=False)

    async def opt_out(self, request: Request) -> Response:
        """Write to this person no more, neither to the registered phone nor to the WeChat that was bound by it."""
        visitor = await asyncio.to_thread(self._suppressed, request.path_params["token"])
        return self._opting_out(request, visitor, done=True)

    def _opting_out(self, request: Request, visitor: Visitor, *, done: bool) -> Response:
        return self.pages.page("opt-out.html", request, phone=hint(visitor.phone), action=request.url.path, done=done)

    def _addressee(self, token: str) -> Visitor:
        with self._database.read() as session:
            return _with_phone(resolving.resolve(session, token, settings=self._settings, now=clock.now()))

    def _suppressed(self, token: str) -> Visitor:
        now = clock.now()
        with self._database.write() as session:
            visitor = _with_phone(resolving.resolve(session, token, settings=self._settings, now=now))
            for channel, value in directory.addresses_of(session, value=visitor.phone):
                directory.opt_out(session, channel=channel, value=value, source="page", now=now)
            return visitor

    def _address(self, request: Request) -> str:
        """Return who asks: whoever called, and where that is a proxy of ours, whom it names."""
        caller = request.client.host if request.client else ""
        named = ",".join(request.headers.getlist("x-forwarded-for")).replace(" ", "").split(",")
        while caller in self._proxies and named and named[-1]:
            caller = named.pop()
        return caller[:45]

    def sorry(self, request: Request, status: int) -> Response:
        """Write the page of a wrong address, and of what nobody foresaw."""
        with i18n.speaking(language(request)):
            title = _("There is no such page") if status < 500 else _("That did not work")
            line = _("Please check the address.") if status < 500 else _("This page cannot be shown right now. Please try again in a few minutes.")
            lines = (line, _("Questions? Ring {hotline}.").format(hotline=self._settings.hotline))
            return self.pages.message(request, title, *lines, status=status, links={f"/{query(request)}": _("Type the code")})

    def _trouble(self, request: Request, error: OutreachError) -> Response:
        """Write the page for what went wrong; a link that is unknown, expired or revoked looks alike."""
        if error.status >= 500:
            log.error("%s: %s", type(error).__name__, error)
        titles = {404: _("This link is not valid"), 422: _("That did not work"), 429: _("Please wait a little"), 503: _("Just a moment")}
        title = titles.get(error.status, _("That did not work"))
        if isinstance(error, SignatureUnknown):
            title = _("There is no such number")
        lines = [i18n.say(error) if error.status < 500 else _("This page cannot be shown right now. Please try again in a few minutes.")]
        lines.append(_("Questions? Ring {hotline}.").format(hotline=self._settings.hotline))
        token = request.path_params.get("token")
        links = {f"/{query(request)}": _("Type the code")}
        if token and error.status != 404:
            links = {f"/p/{token}{query(request)}": _("Back to the page")}
        answer = self.pages.message(request, title, *lines, status=error.status, links=links)
        if error.status == guessing.TooManyTries.status:
            answer.headers["Retry-After"] = str(int(guessing.HOUR.total_seconds()))
        return answer


def _with_phone(visitor: Visitor) -> Visitor:
    if not visitor.phone:
        raise LinkUnknown(what="link", name="-")
    return visitor


def _done(request: Request, what: str) -> Response:
    chosen = query(request)
    return redirect(f"/p/{request.path_params['token']}{chosen + '&' if chosen else '?'}done={what}#done")


def _kindly(code: str, error: BadInput) -> str:
    """Say why a code does not fit; where it holds a character that no code has, which one."""
    odd = [character for character in resolving.tidy(code) if character in CONFUSABLE]
    if isinstance(error, resolving.CodeMistyped) and odd:
        kind = _("There is no {character} in any code: 0, O, 1, I, L and U are left out because they are easily mistaken. Please look again.")
        return kind.format(character=odd[0])
    return i18n.say(error)


def _capacities() -> list[tuple[str, str]]:
    words = {"legal_representative": _("Legal representative"), "principal": _("Person in charge"), "agent": _("Agent, by authority of the enterprise")}
    return [(name, words[name]) for name in CAPACITIES]


def _corrections() -> list[tuple[str, str, str]]:
    words = {
        "not_principal": (_("I am not in charge there (any more)"), _("Who is, and how can we reach them? (you need not say)")),
        "closed": (_("The enterprise has closed"), _("Since when? (you need not say)")),
        "new_number": (_("The number has changed"), _("What is the new one?")),
    }
    return [(name, *words[name]) for name in CORRECTIONS]
