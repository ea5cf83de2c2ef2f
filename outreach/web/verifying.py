"""What anybody may see: of a pledge, by its number, what it proves and what not, and the check of a file; and the honour roll."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from outreach.database.engine import Database
from outreach.database.pledge_tables import Evidence, Signature
from outreach.database.tables import PledgeVersion
from outreach.i18n import gettext as _
from outreach.pledges import copies, evidence, roll
from outreach.pledges.copies import Verdict
from outreach.pledges.signing import SignatureUnknown
from outreach.settings import Settings
from outreach.web import forms
from outreach.web.forms import FormTooLarge, FormUnreadable
from outreach.web.pages import Guard, Pages, moment

LARGEST = 10 * 1024 * 1024
"""Bytes of a file that is checked; ours have some hundred thousand."""


@dataclass(frozen=True, slots=True)
class Known:
    """A signature, its text, and what the evidence says of it."""

    signature: Signature
    version: PledgeVersion
    block: int | None
    agrees: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What to say of an uploaded file."""

    good: bool
    title: str
    lines: Sequence[str]


class VerifyDoor:
    """The page of a pledge's number, `/v/2026-000317`, and that of those who agreed to be shown."""

    def __init__(self, settings: Settings, database: Database, pages: Pages) -> None:
        self._settings = settings
        self._database = database
        self._pages = pages

    def routes(self, guarded: Guard) -> list[Route]:
        """Return the routes of this page."""
        path = "/v/{serial}"
        return [
            Route(path, guarded(self.show), methods=["GET"]),
            Route(path, guarded(self.check), methods=["POST"]),
            Route("/honour-roll", guarded(self.roll), methods=["GET"]),
        ]

    async def show(self, request: Request) -> Response:
        """Show what is known of a pledge."""
        return await asyncio.to_thread(self._page, request)

    async def check(self, request: Request) -> Response:
        """Say whether an uploaded file is the one that was issued."""
        content = await uploaded(request, "file", LARGEST)
        if not content:
            return await asyncio.to_thread(self._page, request, faults={"file": _("Please choose a file.")}, status=422)
        verdict = await asyncio.to_thread(self._checked, content)
        return await asyncio.to_thread(self._page, request, answer=_answer(verdict, request.path_params["serial"]))

    def _checked(self, content: bytes) -> Verdict:
        with self._database.read() as session:
            return copies.check(session, content, settings=self._settings)

    def _page(self, request: Request, *, answer: Answer | None = None, faults: Mapping[str, str] | None = None, status: int = 200) -> Response:
        with self._database.read() as session:
            known = find(session, request.path_params["serial"])
        return self._pages.page(
            "verify.html",
            request,
            status=status,
            signature=known.signature,
            version=known.version,
            counts=known.signature.state == "signed" and known.agrees,
            standing=_standing(known),
            proved=_proved(known),
            unproved=_unproved(known),
            answer=answer,
            faults=faults or {},
        )

    async def roll(self, request: Request) -> Response:
        """Show the enterprises that signed and agreed to be shown, all or those of one town."""
        return await asyncio.to_thread(self._roll, request)

    def _roll(self, request: Request) -> Response:
        asked = request.query_params
        town, after = forms.tidied(asked.get("town", ""), 100), asked.get("after", "")
        cursor = int(after) if after.isascii() and after.isdigit() and len(after) < 19 else None
        with self._database.read() as session:
            found = roll.honour_roll(session, town=town or None, mode=self._settings.mode, after=cursor)
        onward = {**{name: value for name, value in (("lang", asked.get("lang")), ("town", town)) if value}, "after": found.next}
        following = f"/honour-roll?{urlencode(onward)}" if found.next else None
        return self._pages.page("honour-roll.html", request, rows=found.rows, total=found.total, towns=found.towns, town=town, following=following)


def find(session: Session, serial: str) -> Known:
    """Return what is known of a serial, held against its evidence. Raises SignatureUnknown."""
    statement = select(Signature, PledgeVersion).join(PledgeVersion, PledgeVersion.id == Signature.version_id)
    row = session.execute(statement.where(Signature.serial == require_serial(serial))).one_or_none()
    if row is None:
        raise SignatureUnknown(what="signature", name=serial, serial=serial)
    made = select(Evidence).where(Evidence.signature_id == row.Signature.id, Evidence.act.in_(("signed", "paper"))).order_by(Evidence.id).limit(1)
    kept = session.scalars(made).one_or_none()
    return Known(row.Signature, row.PledgeVersion, kept.block_id if kept else None, kept is not None and _agree(kept, row.Signature, row.PledgeVersion))


def require_serial(written: str) -> str:
    """Return what can be a number of ours. Raises SignatureUnknown."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{6,12}", written):
        raise SignatureUnknown(what="signature", name="-", serial=forms.tidied(written, 20))
    return written


def _agree(kept: Evidence, signature: Signature, version: PledgeVersion) -> bool:
    """Whether the evidence is whole, and says what the signature's row says; the audit checks the chain around it."""
    facts: Any = evidence.told(kept.body).get("facts", {})
    says = {"serial": signature.serial, "enterprise": signature.enterprise, "version": version.digest, "way": signature.way, "method": signature.method}
    return evidence.leaf(kept.body) == kept.leaf and all(facts.get(name) == value for name, value in says.items())


def _standing(known: Known) -> str:
    if not known.agrees:
        return _("The record and its evidence do not agree. Please ring the office.")
    words = {
        "signed": _("This pledge was signed and stands."),
        "pending": _("Recorded from paper; its scan is still to come, so it does not count yet."),
        "withdrawn": _("This pledge was withdrawn."),
        "superseded": _("This pledge was replaced by a newer one of the same enterprise."),
    }
    return words[known.signature.state]


def _proved(known: Known) -> list[str]:
    signature = known.signature
    lines = [_("Which text was signed, for which enterprise, and when, by the clock of the office’s server.")] if known.agrees else []
    if known.block is None:
        lines.append(_("The record is about to be sealed into the chain of evidence, which happens once a minute."))
    else:
        lines.append(_("The record stands in block {number} of the chain of evidence: a change would be noticed.").format(number=known.block))
    checks = {
        "phone_last4": _("Whoever signed had the enterprise’s signing code and knew the last four digits of its registered phone."),
        "credit_code_last6": _("Whoever signed had the enterprise’s signing code and knew the last six characters of its credit code."),
        "wechat_bound": _("Whoever signed came from a WeChat that had been bound by signing code and the last four digits of the registered phone."),
        "one_time_code": _("Whoever signed had the registered phone at hand: a one-time code was sent to it."),
    }
    if signature.method == "paper":
        lines.append(_("A sheet of paper was signed by hand; staff recorded it."))
    elif not signature.checks:
        lines.append(_("Whoever signed had the personal link that was sent to this enterprise."))
    return lines + [checks[name] for name in signature.checks if name in checks]


def _unproved(known: Known) -> list[str]:
    lines = [
        _("Who the person was: no identity papers were asked for."),
        _("It is not an electronic seal of the enterprise, and not a signature by a licensed certificate."),
        _("The moment of signing was not confirmed by an independent time-stamping service."),
        _("It says nothing on whether wages have been paid."),
    ]
    if not known.signature.signer:
        lines.append(_("The signer’s name was deleted at the signer’s wish; the rest still verifies."))
    return lines


def _answer(verdict: Verdict, serial: str) -> Answer:
    """Say what a file is, and whether it belongs to the number on this page."""
    if verdict.good and verdict.serial == serial:
        return Answer(True, _("This file is genuine: we issued it, and nothing in it was changed."), _seal_lines(verdict))
    if verdict.good:
        return Answer(False, _("This file is genuine, but it belongs to another number: {serial}.").format(serial=verdict.serial), ())
    if verdict.kind == "altered":
        lines = [_("Download it again from the personal page, and ring the office if it was given to you like this.")]
        return Answer(False, _("This file was changed after we issued it, or is an imitation."), lines)
    return Answer(False, _("This file is not from us."), [_("A photograph, a print or a copy saved anew is another file, even if it looks alike.")])


def _seal_lines(verdict: Verdict) -> list[str]:
    found = verdict.seal
    if not found.sealed:
        return [_("It carries no electronic seal; we know it by its digest.")]
    at = moment(found.sealed_at) if found.sealed_at else "—"
    lines = [_("It carries the office’s electronic seal of {moment}, certificate: {subject}.").format(moment=at, subject=found.subject)]
    return [*lines, _("A reader may call the certificate unknown: that concerns the certificate’s issuer, not this file.")]


async def uploaded(request: Request, name: str, most: int) -> bytes:
    """Return the file of a posted form, empty where none was chosen. Raises FormTooLarge and FormUnreadable."""

    async def bounded() -> AsyncIterator[bytes]:
        yield await forms.body(request, most + 10_000)

    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        raise FormUnreadable(what=name)
    try:
        form = await MultiPartParser(request.headers, bounded(), max_files=1, max_fields=10).parse()  # type: ignore[arg-type]
    except (MultiPartException, KeyError, ValueError) as error:
        raise FormUnreadable(what=name) from error
    try:
        file = form.get(name)
        content = b"" if file is None or isinstance(file, str) else await file.read(most + 1)
    finally:
        await form.close()
    if len(content) > most:
        raise FormTooLarge(most=most)
    return content
