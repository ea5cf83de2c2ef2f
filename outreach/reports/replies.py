"""What people answered (回复), newest first: what each was taken for, what it was answered with, and the enterprise it came from."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, Text, cast, exists, func, literal, or_, select
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.database.tables import Contact, Delivery, Enterprise, Reply
from outreach.database.wechat_tables import Binding
from outreach.links import answering, answers
from outreach.reports import words
from outreach.reports.tables import Column, Table

LISTED = ("id", "time", "channel", "phone", "enterprise", "deed", "body", "meaning", "answer", "answered_by", "answered_at")
ROOM = ("id", "time", "channel", "phone", "enterprise", "body", "meaning", "answered_by")
"""The columns for which a terminal has room."""
SLICE = 1000


def columns() -> list[Column]:
    """Return the columns of the list."""
    return [Column(key, words.heading(words.field(key))) for key in LISTED]


def listing(session: Session, *, limit: int = 50, after: int | None = None, waiting: bool = False) -> Table:
    """Return a page of replies, newest first; `next` is the cursor of the page after. `waiting`: only those that a person must read."""
    page = list(rows(session, limit=limit + 1, after=after, waiting=waiting))
    more = len(page) > limit
    return Table("replies", columns(), page[:limit], total=total(session, waiting=waiting), next=page[limit - 1]["id"] if more and limit else None)


def total(session: Session, *, waiting: bool = False) -> int:
    """Return how many replies there are."""
    return session.scalar(_narrowed(select(func.count()).select_from(Reply), waiting)) or 0


def rows(session: Session, *, limit: int | None = None, after: int | None = None, waiting: bool = False) -> Iterator[dict[str, Any]]:
    """Yield replies, newest first, phones and openids masked; `after` is the id of the last one already seen."""
    query = _narrowed(_query(), waiting).order_by(Reply.id.desc())
    if after is not None:
        query = query.where(Reply.id < after)
    if limit is not None:
        query = query.limit(limit)
    for row in session.execute(query, execution_options={"yield_per": SLICE}):
        shown = {"phone": tokens.mask(row.phone), "body": tokens.mask_within(row.body), "answer": answers.shown(row.answer)}
        yield row._asdict() | shown | {"enterprise": row.enterprise or ""}


def _narrowed(query: Select[Any], waiting: bool) -> Select[Any]:
    if not waiting:
        return query
    answer = literal("answer:") + cast(Reply.id, Text)
    in_vain = exists().where(Delivery.purpose == answer, Delivery.state.in_(answering.IN_VAIN)).correlate(Reply)
    return query.where(Reply.meaning.is_(None), Reply.act == "text", or_(Reply.answered_at.is_(None), in_vain))


def _query() -> Select[Any]:
    alive = Contact.erased_at.is_(None)
    by_phone = select(func.min(Contact.enterprise_id)).where(Contact.phone == Reply.sender, Contact.phone != "", alive).correlate(Reply).scalar_subquery()
    mine = (Binding.openid == Reply.sender, Binding.ended_at.is_(None), alive)
    bound = select(func.min(Contact.enterprise_id)).join(Binding, Binding.contact_id == Contact.id).where(*mine).correlate(Reply).scalar_subquery()
    first = func.coalesce(by_phone, bound)
    shown: list[Any] = [
        Reply.id,
        Reply.received_at.label("time"),
        Reply.channel,
        Reply.sender.label("phone"),
        Enterprise.name.label("enterprise"),
        Reply.act.label("deed"),
        Reply.body,
        Reply.meaning,
        Reply.answer,
        Reply.answered_by,
        Reply.answered_at,
    ]
    return select(*shown).select_from(Reply).outerjoin(Enterprise, Enterprise.id == first)
