"""Whose openid it is (绑定): made once somebody confirmed a contact's phone, ended when he leaves the account or another takes his place."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from outreach.database import bulk
from outreach.database.tables import Contact, Recipient, RecipientContact, RecipientEnterprise
from outreach.database.wechat_tables import Binding

UNSUBSCRIBED, REBOUND = "unsubscribed", "rebound"


def bind(session: Session, openid: str, contact_ids: Collection[int], *, way: str, now: datetime) -> int:
    """Bind an openid to contacts whose phone was just confirmed, and return how many bindings are new.

    A contact has one openid: an earlier one ends, as does a binding to the phone he had before. An openid may be several contacts':
    one person often speaks for several enterprises. `way` is conversation, scene or oauth. Who was erased is left out.
    """
    bulk.lock_rows(session, Contact, contact_ids)
    alive = select(Contact.id, Contact.phone).where(Contact.id.in_(contact_ids), Contact.erased_at.is_(None))
    people = {row.id: row.phone for row in session.execute(alive)}
    standing = select(Binding.id, Binding.openid, Binding.contact_id, Binding.phone).where(Binding.contact_id.in_(people), Binding.ended_at.is_(None))
    same, other = set(), set()
    for row in session.execute(standing):
        if row.openid == openid and row.phone == people[row.contact_id]:
            same.add(row.contact_id)
        else:
            other.add(row.id)
    session.execute(update(Binding).where(Binding.id.in_(other)).values(ended_at=now, ended_reason=REBOUND))
    known = {"openid": openid, "way": way, "bound_at": now}
    fresh = [known | {"contact_id": contact, "phone": phone} for contact, phone in sorted(people.items()) if contact not in same]
    bulk.insert_rows(session, Binding, fresh)
    return len(fresh)


def unbind(session: Session, openid: str, *, reason: str, now: datetime) -> int:
    """End all bindings of an openid, and return how many there were."""
    return unbind_all(session, [openid], reason=reason, now=now)


def unbind_all(session: Session, openids: Collection[str], *, reason: str, now: datetime) -> int:
    """End all bindings of these openids, and return how many there were."""
    standing = (Binding.openid.in_(openids), Binding.ended_at.is_(None))
    ended = update(Binding).where(*standing).values(ended_at=now, ended_reason=reason).returning(Binding.id)
    return len(session.scalars(ended).all()) if openids else 0


def confirmed(session: Session, recipient_id: int, digits: str) -> list[int]:
    """Return the contacts that the last four digits of a phone confirm, among those of the enterprises that a recipient speaks for.

    Should two phones there end alike, it is the one that the recipient is written to first: nobody is bound to a neighbour's number.
    """
    place = func.coalesce(RecipientContact.rank, 1000)
    statement = (
        select(Contact.id, Contact.phone)
        .join(RecipientEnterprise, RecipientEnterprise.enterprise_id == Contact.enterprise_id)
        .outerjoin(RecipientContact, (RecipientContact.recipient_id == RecipientEnterprise.recipient_id) & (RecipientContact.contact_id == Contact.id))
        .where(RecipientEnterprise.recipient_id == recipient_id, Contact.phone.endswith(digits, autoescape=True), Contact.phone != "")
        .where(Contact.erased_at.is_(None))
        .order_by(place, Contact.rank, Contact.id)
    )
    rows = session.execute(statement).all() if len(digits) == 4 else []
    return [row.id for row in rows if row.phone == rows[0].phone]


def bound_codes(session: Session, openids: Collection[str], codes: Collection[str]) -> set[tuple[str, str]]:
    """Return which of these openids belong to a contact of which recipient, by the recipients' codes."""
    if not openids or not codes:
        return set()
    statement = (
        select(Binding.openid, Recipient.code)
        .join(Contact, Contact.id == Binding.contact_id)
        .join(RecipientEnterprise, RecipientEnterprise.enterprise_id == Contact.enterprise_id)
        .join(Recipient, Recipient.id == RecipientEnterprise.recipient_id)
        .where(Binding.openid.in_(openids), Recipient.code.in_(codes))
        .where(Binding.ended_at.is_(None), Binding.phone == Contact.phone, Contact.erased_at.is_(None))
    )
    return {(row.openid, row.code) for row in session.execute(statement)}


def phones_of(session: Session, openids: Collection[str]) -> dict[str, set[str]]:
    """Return the phones of the contacts that each openid is bound to."""
    statement = (
        select(Binding.openid, Contact.phone)
        .join(Contact, Contact.id == Binding.contact_id)
        .where(Binding.openid.in_(openids), Binding.ended_at.is_(None), Contact.phone != "", Contact.erased_at.is_(None))
    )
    phones: dict[str, set[str]] = {openid: set() for openid in openids}
    for row in session.execute(statement) if openids else ():
        phones[row.openid].add(row.phone)
    return phones


def openids_of(session: Session, phones: Collection[str]) -> dict[str, set[str]]:
    """Return the openids of the contacts with each of these phones; a phone that has none is left out."""
    found: dict[str, set[str]] = {}
    standing = (Binding.ended_at.is_(None), Binding.phone == Contact.phone, Contact.phone.in_(phones), Contact.erased_at.is_(None))
    statement = select(Contact.phone, Binding.openid).join(Contact, Contact.id == Binding.contact_id).where(*standing)
    for row in session.execute(statement) if phones else ():
        found.setdefault(row.phone, set()).add(row.openid)
    return found
