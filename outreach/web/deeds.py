"""What visitors do at their links, committed in groups: sign, decline, correct, withdraw, and that a page was opened."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach.database import bulk
from outreach.database.engine import Database
from outreach.database.pledge_tables import CORRECTIONS, Signature
from outreach.database.tables import Enterprise
from outreach.errors import BadInput, OutreachError
from outreach.links import resolving
from outreach.links.resolving import LinkUnknown, Visitor
from outreach.pledges import corrections, onetime, signing
from outreach.pledges.corrections import CorrectionRequest
from outreach.pledges.signing import DeclineRequest, Signed, SignRequest
from outreach.settings import Settings
from outreach.web.forms import SignForm
from outreach.web.groups import GroupCommit

Kind = Literal["sign", "decline", "correct", "withdraw", "opened"]
SIGNED_AS = {"credit": "code", "paper": "link"}
"""The way in as a signature keeps it, where the link says more: by credit code; by the QR on a sheet, but signed on the page."""
LARGEST_GROUP = 200


class NoEnterprise(BadInput):
    """Please choose at least one enterprise."""


class NoCorrection(BadInput):
    """Please say what is wrong with our list."""


class NoDetail(NoCorrection):
    """Please write the new number."""


@dataclass(slots=True)
class Deed:
    """One thing that a visitor does; after the commit `error` says why not, or `signed` what came of it."""

    kind: Kind
    token: str
    at: datetime
    form: SignForm = field(default_factory=SignForm)
    subject: str = ""
    """The kind of a correction, or the serial of what is withdrawn."""
    words: str = ""
    ip: str = ""
    user_agent: str = ""
    error: OutreachError | None = None
    signed: Sequence[Signed] = ()


def committer(settings: Settings, database: Database) -> GroupCommit[Deed]:
    """Return what keeps deeds, a group in one transaction."""

    def keep(deeds: Sequence[Deed]) -> None:
        with database.write() as session:
            _keep(session, deeds, settings)

    return GroupCommit(keep, at_most=LARGEST_GROUP)


def _keep(session: Session, deeds: Sequence[Deed], settings: Settings) -> None:
    """Do a group of deeds. One that may not be done says why, and stops none of its neighbours."""
    visitors = resolving.resolve_all(session, {deed.token for deed in deeds}, settings=settings, now=max(deed.at for deed in deeds))
    ready: dict[Kind, list[tuple[Deed, Visitor]]] = {}
    for deed in deeds:
        deed.error, deed.signed = None, ()
        if deed.token in visitors:
            ready.setdefault(deed.kind, []).append((deed, visitors[deed.token]))
        else:
            deed.error = LinkUnknown(what="link", name="-")
    if len(ready) > 1:  # what the acts lock one after another is locked at once, or two groups could wait for each other in a circle
        bulk.lock_rows(session, Enterprise, sorted({one.id for found in ready.values() for _deed, visitor in found for one in visitor.enterprises}))
    for kind, act in _ACTS.items():
        if found := ready.get(kind):
            act(session, found, settings)


def _sign(session: Session, found: Sequence[tuple[Deed, Visitor]], settings: Settings) -> None:
    requests: list[SignRequest] = []
    signing_deeds: list[Deed] = []
    for deed, visitor in sorted(found, key=lambda item: item[1].recipient_id):
        try:
            requests.append(_sign_request(session, deed, visitor, settings))
        except BadInput as error:
            deed.error = error
        else:
            signing_deeds.append(deed)
    for deed, signed in zip(signing_deeds, signing.sign(session, requests) if requests else [], strict=True):
        deed.signed = signed


def _sign_request(session: Session, deed: Deed, visitor: Visitor, settings: Settings) -> SignRequest:
    form, checks = deed.form, list(visitor.checks)
    chosen = _chosen(form, visitor, signed_too=True)
    if visitor.version.one_time_code:
        if not onetime.passed(session, visitor, now=deed.at):
            onetime.check(session, visitor, form.one_time_code, settings=settings, now=deed.at)
        checks.append("one_time_code")
    return SignRequest(
        enterprise_ids=chosen,
        version_id=visitor.version.id,
        way=SIGNED_AS.get(visitor.way, visitor.way),
        method="drawn" if form.strokes else "typed",
        signer=form.signer,
        capacity=form.capacity,
        relation=form.relation if form.capacity == "agent" else "",
        ink=form.strokes,
        honour=form.honour,
        checks=checks,
        review=visitor.way == "credit",
        at=deed.at,
        recipient_id=visitor.recipient_id,
        campaign_id=visitor.campaign_id,
        contact_id=visitor.contact_id,
        ip=deed.ip,
        user_agent=deed.user_agent,
    )


def _decline(session: Session, found: Sequence[tuple[Deed, Visitor]], _settings: Settings) -> None:
    requests = []
    for deed, visitor in found:
        try:
            chosen = _chosen(deed.form, visitor, signed_too=False)
        except NoEnterprise as error:
            deed.error = error
            continue
        requests.append(
            DeclineRequest(
                enterprise_ids=chosen,
                version_id=visitor.version.id,
                way=SIGNED_AS.get(visitor.way, visitor.way),
                reason=deed.form.reason,
                at=deed.at,
                recipient_id=visitor.recipient_id,
                campaign_id=visitor.campaign_id,
                contact_id=visitor.contact_id,
                ip=deed.ip,
                user_agent=deed.user_agent,
            )
        )
    if requests:
        signing.decline(session, requests)


def _correct(session: Session, found: Sequence[tuple[Deed, Visitor]], _settings: Settings) -> None:
    requests = []
    for deed, visitor in found:
        if deed.subject == "new_number" and not deed.words:
            deed.error = NoDetail(what="detail")
        elif deed.subject in CORRECTIONS:
            way = SIGNED_AS.get(visitor.way, visitor.way)
            requests.append(CorrectionRequest(recipient_id=visitor.recipient_id, kind=deed.subject, detail=deed.words, way=way, at=deed.at))
        else:
            deed.error = NoCorrection(what="kind")
    if requests:
        corrections.correct(session, requests)


def _withdraw(session: Session, found: Sequence[tuple[Deed, Visitor]], _settings: Settings) -> None:
    owners = select(Signature.serial, Signature.enterprise_id).where(Signature.serial.in_({deed.subject for deed, _visitor in found}))
    enterprise_of = {row.serial: row.enterprise_id for row in session.execute(owners)}
    for deed, visitor in found:
        if enterprise_of.get(deed.subject) not in {one.id for one in visitor.enterprises}:
            deed.error = signing.SignatureUnknown(what="signature", name=deed.subject, serial=deed.subject)
            continue
        try:
            signing.withdraw(session, deed.subject, reason=deed.words, by="signer", now=deed.at)
        except signing.SignatureEnded:
            continue  # another tab was quicker: what was wanted is so


def _opened(session: Session, found: Sequence[tuple[Deed, Visitor]], _settings: Settings) -> None:
    signing.opened(session, [visitor.recipient_id for _deed, visitor in found], now=max(deed.at for deed, _visitor in found))


def _chosen(form: SignForm, visitor: Visitor, *, signed_too: bool) -> list[int]:
    """Return the enterprises that a form is about, of those that the visitor speaks for; a second sending finds them signed."""
    mine = [one.id for one in visitor.enterprises if signed_too or one.signature is None]
    chosen = mine if form.all else [key for key in mine if key in form.enterprises]
    if mine and not chosen:
        raise NoEnterprise(what="enterprise")
    return chosen


_ACTS: dict[Kind, Callable[[Session, Sequence[tuple[Deed, Visitor]], Settings], None]] = {
    "opened": _opened,
    "sign": _sign,
    "decline": _decline,
    "correct": _correct,
    "withdraw": _withdraw,
}
