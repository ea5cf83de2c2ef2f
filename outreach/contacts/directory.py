"""The directory of enterprises and contacts: look it up page by page, show one, hand all of it out, and note who must not be written to."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, and_, func, select, tuple_, update
from sqlalchemy.orm import Session

from outreach.contacts import cleaning, postal
from outreach.database.bulk import insert_rows
from outreach.database.paper_tables import Letter
from outreach.database.tables import Address, Campaign, Contact, Delivery, Enterprise
from outreach.database.wechat_tables import Binding
from outreach.errors import BadInput, NotFound, Refused

E, C, A = Enterprise.__table__.c, Contact.__table__.c, Address.__table__.c
OPTED_OUT = "opted_out"
CHANNELS = {"sms": "phone", "wechat": "wechat"}
"""Channels that write to a contact, each with the field that holds the address."""
EVERY_CHANNEL = (*CHANNELS, postal.CHANNEL)
"""Channels on which an address may be on the list of those not written to."""
COLUMNS: Mapping[str, ColumnElement[Any]] = {
    "id": C.id,
    "enterprise_id": E.id.label("enterprise_id"),
    "name": E.name,
    "credit_code": E.credit_code,
    "town": E.town,
    "village": E.village,
    "department": E.department,
    "industry": E.industry,
    "scale": E.scale,
    "above_scale": E.above_scale,
    "address": E.address,
    "contact": C.name.label("contact"),
    "role": C.role,
    "phone": C.phone,
    "wechat": C.wechat,
    "rank": C.rank,
    "note": C.note,
    "opted_out": A.suppressed_at.is_not(None).label("opted_out"),
}
"""What a row of the directory says; `opted_out` is about texts to the phone."""


class ContactMissing(NotFound):
    """There is no contact {id}. `outreach contacts list` shows the numbers of those there are."""


class EnterpriseMissing(NotFound):
    """There is no enterprise {id}. `outreach contacts list --format json` shows the numbers of those there are."""


class NowhereToWrite(Refused):
    """Enterprise {id} has no address on the channel {channel}: there is nothing to take off or put on the list."""


class CursorWrong(BadInput):
    """--after {cursor} is not the "next" of an earlier page."""


class PhoneWrong(BadInput):
    """{value} is not a mobile number. Write it as 13800138000, a foreign one with + and its country code."""


class AddressMissing(Refused):
    """Contact {id} has no address on the channel {channel}: there is nothing to take off or put on the list."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of the directory, in the order in which the enterprises came in; `next` is the cursor of the page after this one.

    A row has the keys of COLUMNS: an enterprise with one of its contacts, or with none (`id` None). Phones are whole: mask them where shown.
    """

    rows: Sequence[Mapping[str, Any]]
    total: int
    next: str | None


@dataclass(frozen=True, slots=True)
class Suppression:
    """Whether an address may be written to, and whether this act changed that."""

    channel: str
    value: str
    changed: bool


def listing(session: Session, *, where: ColumnElement[bool] | None = None, town: str = "", limit: int = 50, after: str | None = None) -> Page:
    """Return a page of the directory, of one town if it is given. `where` is a condition on enterprise and contact, such as an audience gives."""
    query = _narrowed(_rows(), where, town).order_by(E.id, func.coalesce(C.id, 0)).limit(limit + 1)
    if after is not None:
        query = query.where(tuple_(E.id, func.coalesce(C.id, 0)) > tuple_(*_cursor(after)))
    rows = [dict(row) for row in session.execute(query).mappings()]
    total = session.scalar(_narrowed(select(func.count()).select_from(_judged()), where, town)) or 0
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(rows[:limit], total, f"{last['enterprise_id']}-{last['id'] or 0}" if last else None)


def everything(session: Session, *, where: ColumnElement[bool] | None = None, town: str = "") -> Iterator[Mapping[str, Any]]:
    """Yield all rows of the directory, or of one town, contacts of an enterprise in their rank; memory stays flat."""
    query = _narrowed(_rows(), where, town).order_by(E.id, C.rank, C.id)
    for row in session.execute(query.execution_options(yield_per=1000)).mappings():
        yield dict(row)


def show(session: Session, contact: int) -> dict[str, Any]:
    """Return one contact with the enterprise, under `contacts` all that the enterprise has, and under `letters` what went to it by post.

    `letter_suppressed` says since when, why and by whom no letters go to the enterprise's address. Raises ContactMissing.
    """
    enterprise = session.scalar(select(C.enterprise_id).where(C.id == contact, C.erased_at.is_(None)))
    if enterprise is None:
        raise ContactMissing(id=contact)
    return _shown(session, enterprise, contact)


def show_enterprise(session: Session, enterprise: int) -> dict[str, Any]:
    """Return the same of an enterprise with its first contact, or with none (`id` None). Raises EnterpriseMissing."""
    first = select(C.id).where(C.enterprise_id == enterprise, C.erased_at.is_(None)).order_by(C.rank, C.id).limit(1)
    named(session, enterprise)
    return _shown(session, enterprise, session.scalar(first))


def _shown(session: Session, enterprise: int, contact: int | None) -> dict[str, Any]:
    query = _rows().where(E.id == enterprise).order_by(C.rank, C.id)
    rows = [dict(row) for row in session.execute(query).mappings()]
    chosen = next(row for row in rows if row["id"] == contact)
    people = [{key: row[key] for key in ("id", "contact", "role", "phone", "rank", "opted_out")} for row in rows if row["id"] is not None]
    by_post = _suppression(session, postal.CHANNEL, postal.written(chosen["address"], chosen["name"]))
    return {
        **chosen,
        "contacts": people,
        **_suppression(session, "sms", chosen["phone"]),
        "letter_suppressed": by_post,
        "letters": _letters(session, enterprise),
    }


def _suppression(session: Session, channel: str, value: str) -> dict[str, Any]:
    columns = A.suppressed_at, A.suppressed_reason, A.suppressed_source
    found = session.execute(select(*columns).where(A.channel == channel, A.value == value)).mappings().first()
    return dict(found) if found else {"suppressed_at": None, "suppressed_reason": None, "suppressed_source": None}


def _letters(session: Session, enterprise: int) -> list[dict[str, Any]]:
    """Return the letters that were printed for an enterprise, newest first: where they went, and what became of them."""
    printed = (
        select(Letter.batch_id.label("batch"), Campaign.name.label("campaign"), Letter.address, Delivery.state)
        .add_columns(Letter.posted_at, Letter.returned_at, Letter.returned_reason)
        .join(Delivery, Delivery.id == Letter.delivery_id)
        .join(Campaign, Campaign.id == Delivery.campaign_id)
        .where(Letter.enterprise_id == enterprise)
        .order_by(Letter.delivery_id.desc())
    )
    return [dict(row) for row in session.execute(printed).mappings()]


def named(session: Session, enterprise: int) -> tuple[str, str, str]:
    """Return name, town and postal address of an enterprise. Raises EnterpriseMissing."""
    found = session.execute(select(E.name, E.town, E.address).where(E.id == enterprise)).one_or_none()
    if found is None:
        raise EnterpriseMissing(what="enterprise", name=enterprise, id=enterprise)
    return found.name, found.town, found.address


def addresses_of_enterprise(session: Session, enterprise: int, *, channel: str | None = None) -> list[tuple[str, str]]:
    """Return the addresses of an enterprise, each with its channel: where its letters go, and the phones and openids of its contacts.

    Raises EnterpriseMissing and NowhereToWrite.
    """
    name, _town, address = named(session, enterprise)
    found = [(postal.CHANNEL, postal.written(address, name))] if address else []
    phones = select(C.phone).where(C.enterprise_id == enterprise, C.erased_at.is_(None), C.phone != "").distinct().order_by(C.phone)
    found += [("sms", phone) for phone in session.scalars(phones)]
    found += _openids(session, C.enterprise_id == enterprise)
    chosen = [one for one in found if channel in (None, one[0])]
    if not chosen:
        raise NowhereToWrite(id=enterprise, channel=channel or postal.CHANNEL)
    return chosen


def addresses_of(session: Session, *, channel: str | None = None, value: str | None = None, contact: int | None = None) -> list[tuple[str, str]]:
    """Return the addresses, each with its channel, that a person means, by a value or by a contact's number.

    Without a channel it is the phone and the openids of the same person; by letter it is his enterprise's address. Raises PhoneWrong,
    ContactMissing, AddressMissing, NowhereToWrite.
    """
    if contact is None and channel == "wechat":
        return _openids_of_phone(session, value) or [("wechat", _cleaned(cleaning.known, value))]
    if contact is None:
        phone = _cleaned(cleaning.phone, value)
        return [("sms", phone), *(_openids(session, C.phone == phone) if channel is None else ())]
    found = session.execute(select(C.phone, C.wechat, C.enterprise_id).where(C.id == contact, C.erased_at.is_(None))).first()
    if found is None:
        raise ContactMissing(id=contact)
    if channel == postal.CHANNEL:
        return addresses_of_enterprise(session, found.enterprise_id, channel=channel)
    phones = [("sms", found.phone)] if found.phone and channel != "wechat" else []
    openids = _openids(session, C.id == contact) if channel != "sms" else []
    written = [("wechat", found.wechat)] if found.wechat and channel == "wechat" and not openids else []
    if not phones + openids + written:
        raise AddressMissing(id=contact, channel=channel or "sms")
    return phones + openids + written


def _cleaned(clean: Callable[[str], str], value: str | None) -> str:
    try:
        address = clean(value or "")
    except cleaning.Unclean as error:
        raise PhoneWrong(value=value) from error
    if not address:
        raise PhoneWrong(value=value or '""')
    return address


def _openids_of_phone(session: Session, value: str | None) -> list[tuple[str, str]]:
    """Return the openids of whoever has this phone; none where it is an openid itself."""
    try:
        phone = cleaning.phone(value or "")
    except cleaning.Unclean:
        return []
    return _openids(session, C.phone == phone) if phone else []


def _openids(session: Session, condition: ColumnElement[bool]) -> list[tuple[str, str]]:
    """Return the openids that are bound to contacts now."""
    standing = (Binding.contact_id == C.id, Binding.ended_at.is_(None), Binding.phone == C.phone, C.erased_at.is_(None), condition)
    return [("wechat", openid) for openid in session.scalars(select(Binding.openid).where(*standing).distinct().order_by(Binding.openid))]


def opt_out(session: Session, *, channel: str, value: str, reason: str = OPTED_OUT, source: str = "staff", now: datetime) -> Suppression:
    """Put an address on the list of those that must not be written to, known or not; one that stands there keeps its first reason."""
    insert_rows(session, Address, [{"channel": channel, "value": value}], ignore_conflicts=True)
    values = {"suppressed_at": now, "suppressed_reason": reason, "suppressed_source": source}
    return _change(session, channel, value, A.suppressed_at.is_(None), values)


def opt_in(session: Session, *, channel: str, value: str) -> Suppression:
    """Take an address off that list."""
    values = {"suppressed_at": None, "suppressed_reason": None, "suppressed_source": None}
    return _change(session, channel, value, A.suppressed_at.is_not(None), values)


def _change(session: Session, channel: str, value: str, condition: ColumnElement[bool], values: Mapping[str, Any]) -> Suppression:
    statement = update(Address).where(A.channel == channel, A.value == value, condition).values(**values).returning(A.id)
    return Suppression(channel, value, session.scalar(statement) is not None)


def _judged() -> FromClause:
    """Return what a condition is about: each enterprise with each of its contacts, or with none; an erased contact is none."""
    return Enterprise.__table__.outerjoin(Contact.__table__, and_(C.enterprise_id == E.id, C.erased_at.is_(None)))


def _rows() -> Select[Any]:
    texted = and_(A.channel == "sms", A.value == C.phone, C.phone != "")
    return select(*COLUMNS.values()).select_from(_judged().outerjoin(Address.__table__, texted))


def _narrowed(query: Select[Any], where: ColumnElement[bool] | None, town: str) -> Select[Any]:
    query = query.where(E.town == town) if town else query
    return query if where is None else query.where(where)


def _cursor(after: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,18})-([0-9]{1,18})", after)
    if match is None:
        raise CursorWrong(cursor=after)
    return int(match[1]), int(match[2])
