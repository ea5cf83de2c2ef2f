"""Who is written to: the audience judged per enterprise and contact, and gathered into recipients, each included or excluded with a reason."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from sqlalchemy import Row, Select, and_, case, exists, false, func, or_, select, true
from sqlalchemy.orm import Session

from outreach.audiences import conditions, segments
from outreach.campaigns import reach
from outreach.contacts import postal
from outreach.database.tables import Address, Contact, Enterprise
from outreach.outbox import senders
from outreach.outbox.bound import refused_elsewhere
from outreach.settings import Sender

SLICE = 5000
"""Rows fetched at a time: planning a million keeps no more of them in memory."""


@dataclass(frozen=True, slots=True)
class Person:
    """A contact through whom a recipient can be reached."""

    contact_id: int
    revision: int
    name: str
    phone: str
    sender: str | None


@dataclass(slots=True)
class Chosen:
    """A recipient to be: the enterprises spoken for, the contacts in order of rank, or the reason for leaving it out.

    One whom only a letter or a visit can reach has no contacts.
    """

    enterprises: list[tuple[int, str]] = field(default_factory=list)
    town: str = ""
    people: list[Person] = field(default_factory=list)
    principal: str = ""
    """The name of the first contact, though nothing may reach him by himself: a letter greets him."""
    in_person: bool = False
    """Whether a letter or a visit can reach an enterprise of theirs, which need no contact."""
    exclusion: str | None = None


def chosen(session: Session, expression: str, *, channels: Collection[str], pool: list[Sender], alternates: int, per_address: bool) -> Iterator[Chosen]:
    """Yield the recipients of an audience, whom any of the channels could reach; `pool` are the senders of texts.

    Rows come from the database in order and are gathered as they pass.
    """
    rows = session.execute(_ranked(session, expression, channels=channels, alternates=alternates), execution_options={"yield_per": SLICE})
    for _key, of_enterprise in groupby(_by_recipient(rows, per_address), key=lambda pair: pair[0]):
        yield _gather((row for _group, row in of_enterprise), pool=pool)


def _ranked(session: Session, expression: str, *, channels: Collection[str], alternates: int) -> Select[Any]:
    """Return enterprise by enterprise its contacts, those first whom a message can reach, and how it stands with all of them."""
    ids = conditions.selected_enterprise_ids(segments.audience(session, expression)).subquery()
    textable = and_(Contact.phone != "", Address.suppressed_at.is_(None), ~refused_elsewhere("sms")) if "sms" in channels else false()
    in_wechat = reach.by_wechat() if "wechat" in channels else false()
    in_person = true() if "visit" in channels else postal.usable() if postal.CHANNEL in channels else false()
    usable = or_(textable, in_wechat)
    order = [case((usable, 0), else_=1), Contact.rank, Contact.id]
    of_enterprise: dict[str, Any] = {"partition_by": Enterprise.id, "order_by": order}
    everyone = (
        select(
            Enterprise.id.label("enterprise_id"),
            Enterprise.name.label("enterprise"),
            Enterprise.town,
            Enterprise.closed_at,
            exists().where(Contact.enterprise_id == Enterprise.id, Contact.erased_at.is_not(None)).correlate(Enterprise).label("has_erased"),
            Contact.id.label("contact_id"),
            Contact.revision,
            Contact.name.label("contact"),
            Contact.phone,
            case((or_(Address.suppressed_at.is_not(None), refused_elsewhere("sms")), 1), else_=0).label("refused"),
            case((textable, 1), else_=0).label("textable"),
            case((in_wechat, 1), else_=0).label("in_wechat"),
            case((in_person, 1), else_=0).label("in_person"),
            func.first_value(case((or_(usable, in_person), func.coalesce(Contact.phone, "")), else_="")).over(**of_enterprise).label("main_phone"),
            func.row_number().over(**of_enterprise).label("place"),
        )
        .select_from(Enterprise)
        .join(ids, ids.c[0] == Enterprise.id)
        .outerjoin(Contact, and_(Contact.enterprise_id == Enterprise.id, Contact.erased_at.is_(None)))
        .outerjoin(Address, and_(Address.channel == "sms", Address.value == Contact.phone))
        .subquery()
    )
    kept = or_(everyone.c.place <= alternates + 1, everyone.c.place == 1)
    return select(everyone).where(kept).order_by(everyone.c.main_phone, everyone.c.enterprise_id, everyone.c.place)


def _by_recipient(rows: Iterable[Row[Any]], per_address: bool) -> Iterator[tuple[tuple[str, int], Row[Any]]]:
    """Pair each row with what it is gathered by: its main phone, or its enterprise where that has no phone or stands alone."""
    for row in rows:
        merged = per_address and bool(row.main_phone) and row.closed_at is None
        yield (row.main_phone, 0) if merged else ("", row.enterprise_id), row


def _gather(rows: Iterable[Row[Any]], *, pool: list[Sender]) -> Chosen:
    gathered = Chosen()
    known: set[str | int] = set()
    first: Row[Any] | None = None
    for row in rows:
        first = first or row
        if row.place == 1:
            gathered.enterprises.append((row.enterprise_id, row.enterprise))
        who = row.phone or row.contact_id
        if who is not None and (row.textable or row.in_wechat) and who not in known:
            known.add(who)
            sender = senders.serving(pool, row.phone) if row.textable else None
            if sender or row.in_wechat:
                gathered.people.append(Person(row.contact_id, row.revision, row.contact, row.phone, sender.name if sender else None))
        gathered.in_person = gathered.in_person or bool(row.in_person)
    assert first is not None  # groupby yields no empty group
    gathered.town, gathered.principal = first.town, first.contact or ""
    gathered.exclusion = _exclusion(first, gathered)
    return gathered


def _exclusion(first: Row[Any], gathered: Chosen) -> str | None:
    """Say why no step could reach this recipient; None where one can."""
    if first.closed_at is not None:
        return "closed"
    if gathered.people or gathered.in_person:
        return None
    if first.contact_id is None:
        return "erased" if first.has_erased else "no_contact"
    return "suppressed" if first.phone and first.refused else "no_address"
