"""Whose sheet it is: from its QR code, from the code in letters, or from an enterprise, to the enterprises that one person speaks for.

Paper has no term: a link that ran out, or that was revoked since, was valid when its sheet was printed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from outreach.database.pledge_tables import Signature
from outreach.database.tables import Campaign, Contact, Enterprise, PledgeVersion, Recipient, RecipientContact, RecipientEnterprise
from outreach.errors import BadInput, NotFound, Refused
from outreach.links.personal import Claimed
from outreach.links.resolving import tidy
from outreach.pledges import versions
from outreach.pledges.signing import SignatureUnknown
from outreach.settings import Settings

PAPER = "paper"
"""The way that is part of a sheet's token: a letter's code is no sheet."""


class CodeUnknown(NotFound):
    """There is no code {code} in a launched campaign of this mode that asks for a pledge; compare it with the sheet."""


class NotAsked(Refused):
    """No launched campaign asks enterprise {id} for a pledge; to record one that came by itself, name it: --pledge NAME"""


class EnterpriseUnknown(NotFound):
    """There is no enterprise {id}."""


class NotSpokenFor(BadInput):
    """Enterprise {id} is none of those that code {code} speaks for: {known}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a sheet leads: the enterprises by id and name, the text that they were asked to sign, the contact who was written to."""

    enterprises: Mapping[int, str]
    version: PledgeVersion
    code: str = ""
    town: str = ""
    recipient_id: int | None = None
    campaign_id: int | None = None
    contact_id: int | None = None
    contact: str = ""


def by_code(session: Session, code: str, *, settings: Settings) -> Route:
    """Return where a typed code leads. Raises CodeUnknown."""
    row = session.execute(_asked(settings).where(Recipient.code == tidy(code))).one_or_none()
    if row is None:
        raise CodeUnknown(what="code", name=code, code=code)
    return _route(session, row.Recipient, row.PledgeVersion)


def by_enterprise(session: Session, enterprise: int, *, pledge: str = "", settings: Settings) -> Route:
    """Return where an enterprise leads: to the newest campaign that asks it for a pledge, else to the pledge that is named.

    Raises EnterpriseUnknown and NotAsked.
    """
    known = session.execute(select(Enterprise.id, Enterprise.name, Enterprise.town).where(Enterprise.id == enterprise)).one_or_none()
    if known is None:
        raise EnterpriseUnknown(what="enterprise", name=enterprise, id=enterprise)
    asked = _asked(settings).join(RecipientEnterprise, RecipientEnterprise.recipient_id == Recipient.id)
    asked = asked.where(RecipientEnterprise.enterprise_id == enterprise).order_by(Campaign.launched_at.desc(), Campaign.id.desc())
    if row := session.execute(asked.where(PledgeVersion.pledge == pledge) if pledge else asked).first():
        return _route(session, row.Recipient, row.PledgeVersion)
    if not pledge:
        raise NotAsked(what="enterprise", id=enterprise)
    return Route(enterprises={known.id: known.name}, version=versions.numbered(session, pledge, None), town=known.town)


def by_serial(session: Session, serial: str) -> tuple[Route, int]:
    """Return where the paper of a serial leads, and its enterprise. Raises SignatureUnknown."""
    statement = (
        select(Signature, PledgeVersion, Enterprise.town, Recipient.code)
        .join(PledgeVersion, PledgeVersion.id == Signature.version_id)
        .join(Enterprise, Enterprise.id == Signature.enterprise_id)
        .outerjoin(Recipient, Recipient.id == Signature.recipient_id)
        .where(Signature.serial == serial)
    )
    row = session.execute(statement).one_or_none()
    if row is None:
        raise SignatureUnknown(what="signature", name=serial, serial=serial)
    signed = row.Signature
    route = Route(enterprises={signed.enterprise_id: signed.enterprise}, version=row.PledgeVersion, code=row.code or "", town=row.town)
    return route, signed.enterprise_id


def chosen(route: Route, enterprise: int | None) -> list[int]:
    """Return the enterprise that was chosen among those of a code, all without a choice. Raises NotSpokenFor."""
    if enterprise is None:
        return list(route.enterprises)
    if enterprise not in route.enterprises:
        known = ", ".join(f"{key} {name}" for key, name in route.enterprises.items())
        raise NotSpokenFor(what="enterprise", id=enterprise, code=route.code, known=known)
    return [enterprise]


def by_claim(session: Session, claimed: Claimed, *, settings: Settings) -> Route | str:
    """Return where the token of a sheet leads, or why nowhere, as an id that `piles.say` puts into words.

    A token proves itself by its HMAC, made for any generation of the recipient up to the present one.
    """
    row = session.execute(_recipients().where(Recipient.id == claimed.recipient_id)).one_or_none()
    generations = range(row.Recipient.generation, 0, -1) if row else range(1)
    if not any(claimed.holds(settings.office_key, generation) for generation in generations) or row is None:
        return "other_office"
    if claimed.way != PAPER:
        return "no_sheet"
    if row.Campaign.mode != settings.mode:
        return "other_mode"
    return _route(session, row.Recipient, row.PledgeVersion) if row.Campaign.launched_at else "not_launched"


def _recipients() -> Select[Recipient, Campaign, PledgeVersion]:
    return (
        select(Recipient, Campaign, PledgeVersion)
        .join(Campaign, Campaign.id == Recipient.campaign_id)
        .join(PledgeVersion, PledgeVersion.id == Campaign.pledge_version_id)
    )


def _asked(settings: Settings) -> Select[Recipient, Campaign, PledgeVersion]:
    return _recipients().where(Campaign.mode == settings.mode, Campaign.launched_at.is_not(None))


def _route(session: Session, recipient: Recipient, version: PledgeVersion) -> Route:
    spoken = (
        select(Enterprise.id, Enterprise.name)
        .join(RecipientEnterprise, RecipientEnterprise.enterprise_id == Enterprise.id)
        .where(RecipientEnterprise.recipient_id == recipient.id)
        .order_by(Enterprise.id)
    )
    written_to = (
        select(RecipientContact.contact_id, RecipientContact.name)
        .join(Contact, Contact.id == RecipientContact.contact_id)
        .where(RecipientContact.recipient_id == recipient.id, Contact.erased_at.is_(None))
        .order_by(RecipientContact.rank)
        .limit(1)
    )
    person = session.execute(written_to).one_or_none()
    return Route(
        enterprises={row.id: row.name for row in session.execute(spoken)},
        version=version,
        code=recipient.code or "",
        town=recipient.town,
        recipient_id=recipient.id,
        campaign_id=recipient.campaign_id,
        contact_id=person.contact_id if person else None,
        contact=person.name if person else "",
    )
