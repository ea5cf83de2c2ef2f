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
    deadline: datetime | None
    opened_at: datetime | None

    @property
    def asked_by(self) -> datetime:
        """Until when one is asked to sign: the campaign's deadline, as its texts say, else the end of the link."""
        return min(self.deadline or self.expires_at, self.expires_at)

    @property
    def checks(self) -> list[str]:
        """What was asked on the way in, for the evidence."""
        return {"code": ["phone_last4"], "credit": ["credit_code_last6"], "wechat": ["wechat_bound"]}.get(self.way, [])


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
    doors = _doors(session, select(Recipient).where(Recipient.id.in_(wanted)), settings=settings, now=now)
    held = {}
    for token, claimed in claims.items():
        door = doors.get(claimed.recipient_id)
        if claimed.holds(settings.office_key, door.recipient.generation if door else NEVER) and door:
            held[token] = (claimed, door)
    ids = {claimed.recipient_id for claimed, _door in held.values()}
    people, spoken = _people(session, ids), _spoken_for(session, ids)
    return {token: _visitor(door, claimed.way, people.get(claimed.recipient_id), spoken[claimed.recipient_id]) for token, (claimed, door) in held.items()}


def by_code(session: Session, code: str, digits: str, *, address: str, settings: Settings, now: datetime, way: str = "code") -> str:
    """Return the token of the link that a code and the last digits of the registered phone open; `way` is what it says it came by.

    An enterprise without a phone is known by the last six of its credit code, and its link says so. Raises CodeMistyped for what cannot be a code,
    CodeUnknown alike for a wrong code and for wrong digits, and TooManyTries. The caller must commit also when this raises:
    the try is counted.
    """
    typed = tidy(code)
    if not tokens.is_personal_code(typed):
        raise CodeMistyped(what="code")
    bounds = guessing.for_code(settings.office_key, typed, address)
    guessing.spend(session, bounds, now=now)
    doors = _doors(session, select(Recipient).where(Recipient.code == typed), settings=settings, now=now)
    for door in doors.values():
        if known_by := _way_of(session, door.recipient.id, tidy(digits)):
            guessing.give_back(session, bounds)
            return personal.make(settings.office_key, door.recipient.id, door.recipient.generation, way if known_by == "code" else known_by)
    raise CodeUnknown(what="code")


def of_codes(session: Session, codes: Collection[str], *, way: str, settings: Settings, now: datetime) -> dict[str, str]:
    """Return the token of each code's link, for people who showed before that they are who they say; a code that opens nothing is left out."""
    doors = _doors(session, select(Recipient).where(Recipient.code.in_(codes)), settings=settings, now=now) if codes else {}
    found = [door.recipient for door in doors.values()]
    return {one.code: personal.make(settings.office_key, one.id, one.generation, way) for one in found if one.code}


def revoke(session: Session, codes: Sequence[str]) -> int:
    """Make every link of these recipients unknown; their codes lead to new ones. Return how many recipients."""
    ids = list(session.scalars(select(Recipient.id).where(Recipient.code.in_([tidy(code) for code in codes]))))
    session.execute(update(Recipient).where(Recipient.id.in_(ids)).values(generation=Recipient.generation + 1))
    return len(ids)


def tidy(typed: str) -> str:
    """Return what was typed without blanks and dashes, in capitals, full-width characters made plain."""
    plain = "".join(chr(ord(c) - 0xFEE0) if "！" <= c <= "～" else c for c in typed)
    return re.sub(r"[\s\-_.·　]+", "", plain).upper()


@dataclass(frozen=True, slots=True)
class _Door:
    """A recipient whose campaign can be answered now."""

    recipient: Recipient
    campaign: Campaign
    version: PledgeVersion


def _doors(session: Session, recipients: Select[Recipient], *, settings: Settings, now: datetime) -> dict[int, _Door]:
    """Return those of the recipients whose campaign asks for a pledge, is of this mode, launched, and not over.

    The few campaigns are loaded apart from their many recipients, or each row would bring its campaign's whole plan along.
    """
    found = {recipient.id: recipient for recipient in session.scalars(recipients.where(Recipient.exclusion.is_(None)))}
    wanted = {recipient.campaign_id for recipient in found.values()}
    asking = select(Campaign, PledgeVersion).join(PledgeVersion, PledgeVersion.id == Campaign.pledge_version_id).where(Campaign.id.in_(wanted))
    campaigns = {row.Campaign.id: row for row in session.execute(asking) if _open(row.Campaign, settings, now)}
    return {
        key: _Door(recipient, campaigns[recipient.campaign_id].Campaign, campaigns[recipient.campaign_id].PledgeVersion)
        for key, recipient in found.items()
        if recipient.campaign_id in campaigns
    }


def _open(campaign: Campaign, settings: Settings, now: datetime) -> bool:
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


def _visitor(door: _Door, way: str, person: Any, enterprises: Sequence[Spoken]) -> Visitor:
    recipient, campaign, version = door.recipient, door.campaign, door.version
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
        deadline=datetime.fromisoformat(campaign.definition["deadline"]) if campaign.definition.get("deadline") else None,
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
