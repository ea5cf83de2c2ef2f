"""What people said of our list (信息有误), for staff to put right: the open ones first to come."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.database.pledge_tables import Correction
from outreach.database.tables import Enterprise, Recipient, RecipientContact, RecipientEnterprise
from outreach.i18n import gettext as _
from outreach.reports import words
from outreach.reports.tables import Column, Table

SLICE = 1000


def columns() -> list[Column]:
    """Return the columns of the list."""
    headings = {
        "id": _("No."),
        "said_at": _("Said at"),
        "kind": _("What is wrong"),
        "detail": _("In his words"),
        "enterprise": words.heading(words.field("enterprise")),
        "town": words.heading(words.field("town")),
        "phone": words.heading(words.field("phone")),
        "done_at": _("Put right at"),
        "done_by": _("By"),
    }
    return [Column(key, heading) for key, heading in headings.items()]


def kinds() -> dict[str, str]:
    """Return the words for each kind of correction."""
    return {"not_principal": _("not the principal"), "closed": _("closed down"), "new_number": _("another number")}


def listing(session: Session, *, all_of: bool, town: str = "", unmask: bool = False, limit: int = 50, after: int | None = None) -> Table:
    """Return a page of corrections, oldest first: the open ones, or all; `next` is the cursor of the page after."""
    page = list(rows(session, all_of=all_of, town=town, unmask=unmask, limit=limit + 1, after=after))
    counted = select(func.count()).select_from(_query(all_of, town).subquery())
    more = len(page) > limit
    return Table("corrections", columns(), page[:limit], total=session.scalar(counted) or 0, next=page[limit - 1]["id"] if more and limit else None)


def rows(
    session: Session, *, all_of: bool, town: str = "", unmask: bool = False, limit: int | None = None, after: int | None = None
) -> Iterator[dict[str, Any]]:
    """Yield corrections, oldest first, phones masked unless they were asked for; `after` is the id of the last one already seen."""
    query = _query(all_of, town).order_by(Correction.id)
    if after is not None:
        query = query.where(Correction.id > after)
    if limit is not None:
        query = query.limit(limit)
    for row in session.execute(query, execution_options={"yield_per": SLICE}):
        shown = {} if unmask else {"phone": tokens.mask(row.phone) if row.phone else "", "detail": tokens.mask_within(row.detail)}
        yield row._asdict() | shown


def _query(all_of: bool, town: str) -> Select[Any]:
    first = select(func.min(RecipientEnterprise.enterprise_id)).where(RecipientEnterprise.recipient_id == Recipient.id).correlate(Recipient)
    shown: list[Any] = [
        Correction.id,
        Correction.said_at,
        Correction.kind,
        Correction.detail,
        Enterprise.name.label("enterprise"),
        Recipient.town,
        RecipientContact.phone,
        Correction.done_at,
        Correction.done_by,
    ]
    statement = (
        select(*shown)
        .join(Recipient, Recipient.id == Correction.recipient_id)
        .join(Enterprise, Enterprise.id == first.scalar_subquery())
        .outerjoin(RecipientContact, (RecipientContact.recipient_id == Recipient.id) & (RecipientContact.rank == 0))
    )
    if not all_of:
        statement = statement.where(Correction.done_at.is_(None))
    return statement.where(Recipient.town == town) if town else statement
