"""What people answered (回复), newest first, with the enterprise that the number belongs to."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.database.tables import Contact, Enterprise, Reply
from outreach.reports import words
from outreach.reports.tables import Column, Table

LISTED = ("time", "channel", "phone", "enterprise", "body", "meaning")
SLICE = 1000


def columns() -> list[Column]:
    """Return the columns of the list."""
    return [Column(key, words.heading(words.field(key))) for key in LISTED]


def listing(session: Session, *, limit: int = 50, after: int | None = None) -> Table:
    """Return a page of replies, newest first; `next` is the cursor of the page after."""
    page = list(rows(session, limit=limit + 1, after=after))
    more = len(page) > limit
    return Table("replies", columns(), page[:limit], total=total(session), next=page[limit - 1]["id"] if more and limit else None)


def total(session: Session) -> int:
    """Return how many replies there are."""
    return session.scalar(select(func.count()).select_from(Reply)) or 0


def rows(session: Session, *, limit: int | None = None, after: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield replies, newest first, phones masked; `after` is the id of the last one already seen."""
    query = _query().order_by(Reply.id.desc())
    if after is not None:
        query = query.where(Reply.id < after)
    if limit is not None:
        query = query.limit(limit)
    for row in session.execute(query, execution_options={"yield_per": SLICE}):
        yield row._asdict() | {"phone": tokens.mask(row.phone), "enterprise": row.enterprise or ""}


def _query() -> Select[Any]:
    first = (
        select(func.min(Contact.enterprise_id))
        .where(Contact.phone == Reply.sender, Contact.phone != "", Contact.erased_at.is_(None))
        .correlate(Reply)
        .scalar_subquery()
    )
    shown: list[Any] = [
        Reply.id,
        Reply.received_at.label("time"),
        Reply.channel,
        Reply.sender.label("phone"),
        Enterprise.name.label("enterprise"),
        Reply.body,
        Reply.meaning,
    ]
    return select(*shown).select_from(Reply).outerjoin(Enterprise, Enterprise.id == first)
