"""The scanned sheets (扫描件): those that no machine could tell, for a person, or all of them."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from outreach.database.pledge_tables import Scan, Signature
from outreach.i18n import gettext as _
from outreach.reports import words
from outreach.reports.tables import Column, Table

SLICE = 1000


def columns() -> list[Column]:
    """Return the columns of the list."""
    headings = {
        "id": _("No."),
        "name": _("File"),
        "reason": _("Why it waits"),
        "serial": _("Serial"),
        "enterprise": words.heading(words.field("enterprise")),
        "recorded_by": _("Read in by"),
        "recorded_at": _("Read in at"),
    }
    return [Column(key, heading) for key, heading in headings.items()]


def listing(session: Session, *, open_only: bool, by: str = "", limit: int = 50, after: int | None = None) -> Table:
    """Return a page of scans, oldest first: those without a signature, or all; `by` only those that this account read in."""
    page = list(rows(session, open_only=open_only, by=by, limit=limit + 1, after=after))
    counted = select(func.count()).select_from(_query(open_only, by).subquery())
    more = len(page) > limit
    return Table("scans", columns(), page[:limit], total=session.scalar(counted) or 0, next=page[limit - 1]["id"] if more and limit else None)


def rows(session: Session, *, open_only: bool, by: str = "", limit: int | None = None, after: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield scans, oldest first; `after` is the id of the last one already seen."""
    query = _query(open_only, by).order_by(Scan.id)
    if after is not None:
        query = query.where(Scan.id > after)
    if limit is not None:
        query = query.limit(limit)
    for row in session.execute(query, execution_options={"yield_per": SLICE}):
        yield row._asdict()


def _query(open_only: bool, by: str) -> Select[Any]:
    shown: list[Any] = [Scan.id, Scan.name, Scan.reason, Signature.serial, Signature.enterprise, Scan.recorded_by, Scan.recorded_at]
    statement = select(*shown).outerjoin(Signature, Signature.id == Scan.signature_id)
    if open_only:
        statement = statement.where(Scan.signature_id.is_(None))
    return statement.where(Scan.recorded_by == by) if by else statement
