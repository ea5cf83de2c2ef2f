"""Erase a contact: his name and numbers go from the directory, from frozen plans and from what he wrote; what counts stays."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, and_, exists, literal, or_, select, text, update
from sqlalchemy.orm import Session

from outreach.contacts import openids
from outreach.contacts.directory import CHANNELS, ContactMissing
from outreach.database import bulk
from outreach.database.paper_tables import Letter, PrintChunk, VisitResult
from outreach.database.tables import HOLDING, Address, Campaign, Contact, Delivery, Recipient, RecipientContact, RecipientEnterprise, Reply
from outreach.errors import Refused

SOMEBODY = "负责人"
"""How one without a name is addressed, as in a plan."""
SHORTEST = 2
"""Characters of a name that is looked for within a longer text."""
SHORTEST_NUMBER = 7
"""Characters of a phone or openid that is."""


class MessageUnderWay(Refused):
    """A message to contact {id} is under way and nobody knows its outcome yet. Erase the contact once it is settled: outreach campaign settle NAME"""


REMARKS = ("remark",)
"""What visitors write in their own words: nobody can tell of whom."""
ON_PAPER = ("letter", "visit")
"""Channels that go to the enterprise, whoever is in charge there: they go on without the name."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What was done: `changed` is false for one erased before; `kept` counts addresses that stay on the list of those not written to."""

    contact: int
    enterprise_id: int
    changed: bool
    kept: int = 0
    others: Sequence[int] = ()
    """Further contacts with the same phone, who are not erased with this one."""
    printed: Sequence[int] = ()
    """Print batches with a letter that bears the name and was not posted yet: paper that nobody here can empty."""


@dataclass(frozen=True, slots=True)
class _Person:
    """What is to be found and emptied: whole values, and what may stand within a text."""

    name: str
    numbers: frozenset[str]

    def without(self, value: Any, key: str = "") -> Any:
        """Return a merge field, or a document of them, without the person."""
        match value:
            case dict():
                return {name: self.without(item, name) for name, item in value.items()}
            case list():
                return [self.without(item) for item in value]
            case str() if self.name and value == self.name:
                return SOMEBODY if key == "contact" else ""
            case str() if any(number in value for number in self.numbers):
                return self.out_of(value)
        return value

    def out_of(self, words: str) -> str:
        """Return a text without the person's numbers, and with nobody's name in place of his."""
        for number in sorted(self.numbers, key=len, reverse=True):
            words = words.replace(number, "")
        return words.replace(self.name, SOMEBODY) if len(self.name) >= SHORTEST else words

    def out_of_all(self, value: Any) -> Any:
        """Return a document with the person taken out of every text in it."""
        match value:
            case dict():
                return {name: self.out_of_all(item) for name, item in value.items()}
            case list():
                return [self.out_of_all(item) for item in value]
            case str():
                return self.out_of(value)
        return value


def enterprise_of(session: Session, contact: int) -> int:
    """Return the enterprise of a contact, erased or not. Raises ContactMissing."""
    found = session.scalar(select(Contact.enterprise_id).where(Contact.id == contact))
    if found is None:
        raise ContactMissing(id=contact)
    return found


def overwrite_what_goes(session: Session) -> None:
    """Let SQLite fill with zeros what this connection takes out, rather than leave it to be read in the file's free space."""
    if session.get_bind().dialect.name == "sqlite":
        session.execute(text("pragma secure_delete = on"))


def erase(session: Session, contact: int, *, now: datetime) -> Erased:
    """Empty a contact wherever his name or numbers stand. Raises ContactMissing and MessageUnderWay.

    An address that must not be written to stays known, or it could be written to again; so does one that another contact has.
    """
    overwrite_what_goes(session)
    openids.hold(session, contact)
    row = session.scalars(select(Contact).where(Contact.id == contact).with_for_update()).one_or_none()
    if row is None:
        raise ContactMissing(id=contact)
    if row.erased_at is not None:
        return Erased(contact, row.enterprise_id, changed=False)
    own = openids.own(session, contact)
    numbers = (row.phone, row.phone.removeprefix("+86"), row.wechat, *own)
    person = _Person(row.name, frozenset(number for number in numbers if len(number) >= SHORTEST_NUMBER))
    addresses = _own_addresses(session, row, own)
    mine = _deliveries(contact, addresses)
    _stop(session, contact, mine, now=now)
    recipients = _recipients(row)
    printed = _empty_papers(session, row, recipients, person)
    _empty_plans(session, contact, recipients, person)
    _empty_messages(session, mine, person)
    openids.forget(session, contact, own, now=now)
    kept = _empty_addresses(session, addresses)
    others = session.scalars(select(Contact.id).where(Contact.phone == row.phone, Contact.phone != "", Contact.id != contact).order_by(Contact.id)).all()
    _empty_contact(session, row, now=now)
    return Erased(contact, row.enterprise_id, changed=True, kept=kept, others=others, printed=printed)


def _own_addresses(session: Session, row: Contact, own: Collection[str]) -> dict[int, tuple[str, str]]:
    """Return the addresses that nobody else has, locked in their order; `own` are the openids that are bound to this contact alone."""
    followed = select(Address.id, Address.channel, Address.value).where(Address.channel == "wechat", Address.value.in_(own))
    found = {key: (channel, value) for key, channel, value in session.execute(followed)}
    for channel, column in CHANNELS.items():
        value, field = getattr(row, column), getattr(Contact, column)
        shared = exists().where(field == value, Contact.id != row.id)
        query = select(Address.id).where(Address.channel == channel, Address.value == value, Address.value != "", ~shared)
        found |= dict.fromkeys(session.scalars(query), (channel, value))
    bulk.lock_rows(session, Address, found)
    return found


def _deliveries(contact: int, addresses: Collection[int]) -> ColumnElement[bool]:
    """Return the condition for what was or will be sent to this contact, in a campaign or alone."""
    return or_(Delivery.contact_id == contact, and_(Delivery.address_id.in_(addresses), Delivery.recipient_id.is_(None)))


def _stop(session: Session, contact: int, mine: ColumnElement[bool], *, now: datetime) -> None:
    """Skip what waits to be sent; refuse while something is under way, for its body and number are needed to ask about it."""
    if session.scalar(select(Delivery.id).where(mine, Delivery.state.in_(HOLDING)).limit(1)) is not None:
        raise MessageUnderWay(id=contact, what=str(contact))
    waits = (mine, Delivery.state == "queued", Delivery.channel.not_in(ON_PAPER))
    session.execute(update(Delivery).where(*waits).values(state="skipped", reason="erased", final_at=now))


def _recipients(row: Contact) -> Select[int]:
    """Return the recipients in which this person stands: through whom they are reached, or whom the letter to his enterprise greets."""
    standing = select(RecipientContact.recipient_id).where(RecipientContact.contact_id == row.id)
    spoken = select(RecipientEnterprise.recipient_id).where(RecipientEnterprise.enterprise_id == row.enterprise_id)
    greeted = Recipient.fields.op("->>", return_type=Text())(literal("contact", Text())) == row.name
    return select(Recipient.id).where(or_(Recipient.id.in_(standing), and_(Recipient.id.in_(spoken), greeted, literal(row.name) != "")))


def _empty_plans(session: Session, contact: int, recipients: Select[int], person: _Person) -> None:
    """Empty what campaigns froze of this person: fields, address book, and the samples that a planner looked at."""
    campaigns = set()
    for key, campaign, fields in session.execute(select(Recipient.id, Recipient.campaign_id, Recipient.fields).where(Recipient.id.in_(recipients))).all():
        campaigns.add(campaign)
        session.execute(update(Recipient).where(Recipient.id == key).values(fields=person.without(fields)))
    session.execute(update(RecipientContact).where(RecipientContact.contact_id == contact).values(name="", phone=""))
    for key, summary in session.execute(select(Campaign.id, Campaign.summary).where(Campaign.id.in_(campaigns))).all():
        session.execute(update(Campaign).where(Campaign.id == key).values(summary=person.out_of_all(summary)))


def _empty_papers(session: Session, row: Contact, recipients: Select[int], person: _Person) -> Sequence[int]:
    """Empty what was printed to this person, and what visitors remarked at the enterprise; what a visit brought stays counted.

    Return the batches in which a letter is printed and not posted.

    A part of a batch that is being set at this moment is set again, without the name: whoever sets it lost its lease.
    """
    carried = select(Delivery.id).where(Delivery.recipient_id.in_(recipients), Delivery.channel.in_(ON_PAPER))
    waits = select(Letter.batch_id).where(Letter.delivery_id.in_(carried.where(Delivery.state == "accepted"))).distinct().order_by(Letter.batch_id)
    batches = session.scalars(waits).all()
    printed = Letter.delivery_id.in_(carried)
    named = printed if not person.name else and_(printed, Letter.person.contains(person.name, autoescape=True))
    set_in = select(PrintChunk.id).join(Letter, and_(Letter.batch_id == PrintChunk.batch_id, Letter.chunk == PrintChunk.number)).where(printed)
    session.execute(update(PrintChunk).where(PrintChunk.id.in_(set_in)).values(content=None, lease_until=None))
    session.execute(update(Letter).where(named).values(person=""))
    seen = or_(VisitResult.enterprise_id == row.enterprise_id, VisitResult.delivery_id.in_(carried))
    for key, detail in session.execute(select(VisitResult.id, VisitResult.detail).where(seen)).all():
        session.execute(update(VisitResult).where(VisitResult.id == key).values(detail=_unremarked(detail, person)))
    return batches


def _unremarked(detail: Mapping[str, Any], person: _Person) -> dict[str, Any]:
    """Return what a visit brought without what somebody wrote of it in his own words."""
    return {key: "" if key in REMARKS else person.out_of_all(value) for key, value in detail.items()}


def _empty_messages(session: Session, mine: ColumnElement[bool], person: _Person) -> None:
    """Empty the merge fields of messages outside a campaign."""
    for key, fields in session.execute(select(Delivery.id, Delivery.fields).where(mine, Delivery.fields.is_not(None))).all():
        session.execute(update(Delivery).where(Delivery.id == key).values(fields=person.without(fields)))


def _empty_addresses(session: Session, addresses: dict[int, tuple[str, str]]) -> int:
    """Empty addresses, and the replies that came from them; return how many are kept because they must not be written to."""
    for key, (channel, value) in addresses.items():
        session.execute(update(Reply).where(Reply.channel == channel, Reply.sender == value).values(sender=f"erased:{key}", body=""))
        session.execute(update(Address).where(Address.id == key, Address.suppressed_at.is_(None)).values(value=f"erased:{key}"))
    suppressed = select(Address.id).where(Address.id.in_(addresses), Address.suppressed_at.is_not(None))
    return len(session.scalars(suppressed).all())


def _empty_contact(session: Session, row: Contact, *, now: datetime) -> None:
    """Empty the contact itself. An enterprise's second erased contact gets a number for a name: each name with its phone stands once."""
    taken = exists().where(Contact.enterprise_id == row.enterprise_id, Contact.name == "", Contact.phone == "", Contact.id != row.id)
    row.name = f"#{row.id}" if session.scalar(select(taken)) else ""
    row.phone = row.wechat = row.note = ""
    row.revision += 1
    row.erased_at = row.updated_at = now
    session.flush()
