"""The papers that a visitor may take along: the letter, the form for signing by hand, and the PDF of what was signed; made when asked for.

A GET changes nothing but one thing: the PDF of a signature is kept when it is first handed out, so that each download is the same file.
Papers are set one at a time, and few may wait: whoever comes then is asked to come again, and the pages stay quick.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import quote

from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from outreach import clock
from outreach.database.engine import Database
from outreach.database.tables import CampaignStep, MessageText, Recipient
from outreach.errors import Refused, Unavailable
from outreach.i18n import gettext as _
from outreach.letters import documents as letters
from outreach.letters import material
from outreach.letters.documents import LetterText, Paper
from outreach.links import personal, resolving
from outreach.links.resolving import Visitor
from outreach.pledges import copies, sheets, versions
from outreach.pledges.copies import Copy
from outreach.pledges.signing import SignatureUnknown
from outreach.rendering import layouts, templates
from outreach.rendering.fonts import GlyphMissing
from outreach.settings import Settings
from outreach.web.pages import HEADERS, Guard
from outreach.web.verifying import require_serial

WAITING = 12
"""Papers that may wait for their turn: at 50 ms each nobody waits for a second."""
SHEETS = 100
"""Sheets in one PDF that the page hands out; who speaks for more asks the office for them."""
T = TypeVar("T")


class TooBusy(Unavailable):
    """Many papers are asked for at this moment. Please try again in a minute."""


class TooManySheets(Refused):
    """You speak for {count} enterprises that have not signed; that is too much paper for this page. Please ask the office for the forms."""


class NotInType(Refused):
    """This paper cannot be printed here: a name on it holds a character that our type lacks. Please ask the office for it."""


class Bench:
    """Where papers are set: one at a time."""

    def __init__(self, waiting: int = WAITING) -> None:
        self._turn = asyncio.Semaphore(1)
        self._places = waiting + 1

    async def make(self, work: Callable[[], T]) -> T:
        """Return what a piece of work makes, once it is its turn. Raises TooBusy."""
        if self._places == 0:
            raise TooBusy(what="bench")
        self._places -= 1
        try:
            async with self._turn:
                return await asyncio.to_thread(work)
        finally:
            self._places += 1


class PaperDoor:
    """The papers of one office's visitors."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._bench = Bench()

    def routes(self, guarded: Guard) -> list[Route]:
        """Return the routes of the papers."""
        ways = {"/p/{token}/letter.pdf": self.letter, "/p/{token}/form.pdf": self.form, "/p/{token}/pdf/{serial}": self.download}
        return [Route(path, guarded(act), methods=["GET"]) for path, act in ways.items()]

    async def letter(self, request: Request) -> Response:
        """Hand out the letter that this visitor was, or would be, sent by post."""
        content = await self._bench.make(lambda: self._letter(request.path_params["token"]))
        return _pdf(content, "letter.pdf", _("Letter"))

    async def form(self, request: Request) -> Response:
        """Hand out the sheets for signing by hand, of the enterprises that have not signed."""
        content = await self._bench.make(lambda: self._form(request.path_params["token"]))
        return _pdf(content, "form.pdf", _("Form for signing by hand"))

    async def download(self, request: Request) -> Response:
        """Hand out the PDF of a signature to whoever speaks for its enterprise; set and sealed when it is first asked for."""
        token, serial = request.path_params["token"], require_serial(request.path_params["serial"])
        copy = await self._bench.make(lambda: self._copy(token, serial))
        return _pdf(copy.content, copy.name, f"{_('Pledge')}-{copy.name.removesuffix('.pdf')}")

    def _letter(self, token: str) -> bytes:
        with self._database.read() as session:
            visitor = resolving.resolve(session, token, settings=self._settings, now=clock.now())
            text = self._text(session, visitor)
            generation = session.execute(select(Recipient.generation).where(Recipient.id == visitor.recipient_id)).scalar_one()
        link = personal.url(self._settings.public_url, personal.make(self._settings.office_key, visitor.recipient_id, generation, "link"))
        said = {key: str(visitor.fields.get(key, "")) for key in ("code", "enterprise", "contact")}
        paper = Paper(said["code"], said["enterprise"], said["contact"], visitor.town, link, visitor.fields)
        try:
            return letters.chunk(text, [paper], settings=self._settings, now=visitor.version.made_at).content
        except GlyphMissing as error:
            raise NotInType(what="letter") from error

    def _text(self, session: Session, visitor: Visitor) -> LetterText:
        """Return the letter of the campaign as it is posted; where none is, the one on the page, in the office's usual layout."""
        posted = select(CampaignStep.text_id).where(CampaignStep.campaign_id == visitor.campaign_id, CampaignStep.channel == "letter")
        if text_id := session.scalar(posted.order_by(CampaignStep.number).limit(1)):
            return material.text(session, text_id, visitor.campaign_id)
        version = visitor.version
        head = templates.parse(f"pledge/{version.pledge}", version.source)
        shown = templates.parse(head.letter or versions.ADDITIONS[0], version.letter)
        layout = layouts.load(shown.layout, self._settings.template_folders)
        return letters.text_of(MessageText(name=shown.name, source=version.letter, layout=layout.frozen()), visitor.fields)

    def _form(self, token: str) -> bytes:
        with self._database.read() as session:
            visitor = resolving.resolve(session, token, settings=self._settings, now=clock.now())
            batches = sheets.of_codes(session, [str(visitor.fields["code"])], settings=self._settings)
        count = sum(len(batch.sheets) for batch in batches)
        if count > SHEETS:
            raise TooManySheets(what="form", count=count)
        try:
            return sheets.pdf(batches, settings=self._settings, now=visitor.version.made_at)
        except GlyphMissing as error:
            raise NotInType(what="form") from error

    def _copy(self, token: str, serial: str) -> Copy:
        now = clock.now()
        with self._database.read() as session:
            visitor = resolving.resolve(session, token, settings=self._settings, now=now)
            signed = copies.material(session, serial)
        if signed.signature.enterprise_id not in {one.id for one in visitor.enterprises}:
            raise SignatureUnknown(what="signature", name=serial, serial=serial)
        if signed.copy is not None:
            return signed.copy
        copy = copies.made(signed, settings=self._settings, now=now)
        with self._database.write() as session:
            return copies.keep(session, copy)


def _pdf(content: bytes, plain: str, name: str) -> Response:
    """Return a file to keep, `plain` to browsers that know ASCII names only: WeChat shows no PDF in the page."""
    disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}.pdf"
    return Response(content, media_type="application/pdf", headers={**HEADERS, "Content-Disposition": disposition})
