"""Who stands at the door: what a link or a code leads to. Unknown, expired and revoked look alike."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, func, select, update
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.database.pledge_tables import CURRENT, Refusal, Signature
from outreach.database.tables import Campaign, Contact, Enterprise, PledgeVersion, Recipient, RecipientContact, RecipientEnterprise
from outreach.errors import BadInput, NotFound
from outreach.links import guessing, personal
from outreach.settings import Settings

LINK_DAYS = 60
NEVER = 0
"""A generation that no recipient has: an unknown number takes as long to refuse as a revoked one."""


class LinkUnknown(NotFound):
    """This link is not valid, or not any more. Please type the code of the letter or text, or ring the office."""


class CodeMistyped(BadInput):
    """This is no code of ours: six characters, letters and digits, as in the letter or text. Please compare it once more."""


class CodeUnknown(BadInput):
    """Code and digits do not belong together. Please compare both, or ring the office."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """An enterprise that the visitor speaks for, and how it stands with the pledge."""

    id: int
    name: str
    credit_code: str
    signature: Signature | None
    refused_at: datetime | None


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who came through a personal link: the recipient, the enterprises spoken for, and the text that is asked to be signed."""

    recipient_id: int
    campaign_id: int
    campaign: str
    version: PledgeVersion
    way: str
    contact_id: int | None
    contact: str
    phone: str
    town: str
    enterprises: Sequence[Spoken]
    fields: Mapping[str, Any]
    expires_at: datetime
    opened_at: datetime | None

    @property
    def checks(self) -> list[str]:
        """What was asked on the way in, for the evidence."""
        return {"code": ["phone_last4"], "credit": ["credit_code_last6"]}.get(self.way, [])


def resolve(session: Session, token: str, *, settings: Settings, now: datetime) -> Visitor:
    """Return who a link belongs to; it reads only. Raises LinkUnknown for whatever is wrong with it."""
    visitor = resolve_all(session, [token], settings=settings, now=now).get(token)
    if visitor is None:
        raise LinkUnknown(what="link", name="-")
    return visitor


def resolve_all(session: Session, links: Iterable[str], *, settings: Settings, now: datetime) -> dict[str, Visitor]:
    """Return who each link belongs to, with a few statements for all; a link that is not valid is left out."""
    claims = {token: claimed for token in links if (claimed := personal.read(token))}
    wanted = {claimed.recipient_id for claimed in claims.values()}
    rows = {row.Recipient.id: row for row in session.execute(_recipients().where(Recipient.id.in_(wanted)))}
    held = {}
    for token, claimed in claims.items():
        row = rows.get(claimed.recipient_id)
        holds = claimed.holds(settings.office_key, row.Recipient.generation if row else NEVER)
        if row is not None and holds and _open(row, settings, now):
            held[token] = (claimed, row)
    ids = {claimed.recipient_id for claimed, _row in held.values()}
    people, spoken = _people(session, ids), _spoken_for(session, ids)
    return {token: _visitor(row, claimed.way, people.get(row.Recipient.id), spoken[row.Recipient.id]) for token, (claimed, row) in held.items()}


def by_code(session: Session, code: str, digits: str, *, address: str, settings: Settings, now: datetime) -> str:
    """Return the token of the link that a code and the last digits of the registered phone open.

    An enterprise without a phone is known by the last six of its credit code. Raises CodeMistyped for what cannot be a code,
    CodeUnknown alike for a wrong code and for wrong digits, and TooManyTries. The caller must commit also when this raises:
    the try is counted.
    """
    typed = tidy(code)
    if not tokens.is_personal_code(typed):
        raise CodeMistyped(what="code")
    bounds = guessing.for_code(settings.office_key, typed, address)
    guessing.spend(session, bounds, now=now)
    row = session.execute(_recipients().where(Recipient.code == typed)).one_or_none()
    way = _way_of(session, row.Recipient.id, tidy(digits)) if row and _open(row, settings, now) else None
    if row is None or way is None:
        raise CodeUnknown(what="code")
    guessing.give_back(session, bounds)
    return personal.make(settings.office_key, row.Recipient.id, row.Recipient.generation, way)


def revoke(session: Session, codes: Sequence[str]) -> int:
    """Make every link of these recipients unknown; their codes lead to new ones. Return how many recipients."""
    ids = list(session.scalars(select(Recipient.id).where(Recipient.code.in_([tidy(code) for code in codes]))))
    session.execute(update(Recipient).where(Recipient.id.in_(ids)).values(generation=Recipient.generation + 1))
    return len(ids)


def tidy(typed: str) -> str:
    """Return what was typed without blanks and dashes, in capitals, full-width characters made plain."""
    plain = "".join(chr(ord(c) - 0xFEE0) if "！" <= c <= "～" else c for c in typed)
    return re.sub(r"[\s\-_.·　]+", "", plain).upper()


def _recipients() -> Select[Recipient, Campaign, PledgeVersion]:
    return (
        select(Recipient, Campaign, PledgeVersion)
        .join(Campaign, Campaign.id == Recipient.campaign_id)
        .join(PledgeVersion, PledgeVersion.id == Campaign.pledge_version_id)
    )


def _open(row: Any, settings: Settings, now: datetime) -> bool:
    campaign: Campaign = row.Campaign
    return campaign.mode == settings.mode and campaign.launched_at is not None and now < _expires_at(campaign)


def _expires_at(campaign: Campaign) -> datetime:
    assert campaign.launched_at is not None  # an unlaunched campaign has no links yet
    starts = campaign.definition.get("start")
    begins = max(campaign.launched_at, datetime.fromisoformat(starts)) if starts else campaign.launched_at
    return begins + timedelta(days=campaign.definition.get("link_days") or LINK_DAYS)


def _way_of(session: Session, recipient_id: int, digits: str) -> str | None:
    """Say by what the digits are right: a phone of any contact spoken for, or, where there is no phone at all, the credit code."""
    ids = select(RecipientEnterprise.enterprise_id).where(RecipientEnterprise.recipient_id == recipient_id)
    phones = set(session.scalars(select(Contact.phone).where(Contact.enterprise_id.in_(ids), Contact.phone != "", Contact.erased_at.is_(None))))
    if phones:
        return "code" if any(tokens.same(phone[-4:], digits) for phone in phones) else None
    credit_codes = session.scalars(select(Enterprise.credit_code).where(Enterprise.id.in_(ids), Enterprise.credit_code.is_not(None)))
    return "credit" if any(tokens.same(str(code)[-6:], digits) for code in credit_codes) else None


def _visitor(row: Any, way: str, person: Any, enterprises: Sequence[Spoken]) -> Visitor:
    recipient, campaign, version = row.Recipient, row.Campaign, row.PledgeVersion
    return Visitor(
        recipient_id=recipient.id,
        campaign_id=campaign.id,
        campaign=campaign.name,
        version=version,
        way=way,
        contact_id=person.id if person else None,
        contact=person.name if person else "",
        phone=person.phone if person else "",
        town=recipient.town,
        enterprises=enterprises,
        fields={**campaign.fields, **version.fields, **recipient.fields},
        expires_at=_expires_at(campaign),
        opened_at=recipient.opened_at,
    )


def _people(session: Session, recipients: Collection[int]) -> dict[int, Any]:
    """Return the first contact of each recipient who was not erased."""
    statement = (
        select(RecipientContact.recipient_id, Contact.id, Contact.name, Contact.phone)
        .join(Contact, RecipientContact.contact_id == Contact.id)
        .where(RecipientContact.recipient_id.in_(recipients), Contact.erased_at.is_(None))
        .order_by(RecipientContact.rank.desc())
    )
    return {row.recipient_id: row for row in session.execute(statement)}


def _spoken_for(session: Session, recipients: Collection[int]) -> dict[int, list[Spoken]]:
    """Return the enterprises that each recipient speaks for, with their current signature of his campaign's pledge."""
    mine = (Refusal.enterprise_id == Enterprise.id, Refusal.pledge == PledgeVersion.pledge)
    refused = select(func.max(Refusal.declined_at)).where(*mine).correlate(Enterprise, PledgeVersion).scalar_subquery()
    current = (Signature.enterprise_id == Enterprise.id, Signature.pledge == PledgeVersion.pledge, Signature.state.in_(CURRENT))
    statement = (
        select(RecipientEnterprise.recipient_id, Enterprise.id, Enterprise.name, Enterprise.credit_code, Signature, refused.label("refused_at"))
        .join(Enterprise, RecipientEnterprise.enterprise_id == Enterprise.id)
        .join(Campaign, Campaign.id == RecipientEnterprise.campaign_id)
        .join(PledgeVersion, PledgeVersion.id == Campaign.pledge_version_id)
        .outerjoin(Signature, and_(*current))
        .where(RecipientEnterprise.recipient_id.in_(recipients))
        .order_by(Enterprise.id)
    )
    found: dict[int, list[Spoken]] = {key: [] for key in recipients}
    for row in session.execute(statement):
        found[row.recipient_id].append(Spoken(row.id, row.name, row.credit_code or "", row.Signature, row.refused_at))
    return found
