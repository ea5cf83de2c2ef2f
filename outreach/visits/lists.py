"""Whose list a visit is on: giving visits to somebody, giving them to another, and taking them back."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.orm import Session

from outreach.contacts import cleaning
from outreach.database import bulk
from outreach.database.paper_tables import VisitTask
from outreach.database.tables import Delivery, Recipient
from outreach.errors import BadInput, Refused
from outreach.outbox import carried
from outreach.visits import tasks
from outreach.visits.tasks import Which

LONGEST_NAME = 60


class VisitorWrong(BadInput):
    """{name} is no name of a visitor: write 1 to 60 characters."""


class GivenToAnother(Refused):
    """The visit of {code} is on the list of {visitor}; to give it to another, add --again"""


@dataclass(frozen=True, slots=True)
class Issued:
    """What became of visits: given anew, taken over from others, skipped for a reason, and left on the lists of others."""

    given: Collection[int]
    taken_over: Collection[int]
    skipped: Mapping[str, int]
    held: int


def visitor_name(typed: str) -> str:
    """Return the name of a visitor as it is kept. Raises VisitorWrong."""
    name = cleaning.name(typed)
    if not 1 <= len(name) <= LONGEST_NAME:
        raise VisitorWrong(what="visitor", name=" ".join(typed.split())[:80] or '""')
    return name


def issue(session: Session, visitor: str, which: Which, *, again: bool = False, limit: int | None = None, by: str, now: datetime) -> Issued:
    """Put visits that are due on somebody's list, by town and village; with `again` also those on the lists of others.

    Who needs no visit any more is skipped with the reason. Raises GivenToAnother where codes name a visit that another has.
    """
    skipped = _skip(session, which, now=now)
    wanted = [Delivery.id.in_(carried.due(tasks.CHANNEL, mode=which["mode"], now=now).with_only_columns(Delivery.id)), *tasks.conditions(which)]
    rows = tasks.joined([Delivery.id]).where(*wanted).order_by(*tasks.ORDER)
    given: set[int] = set()
    while due := session.scalars(rows if limit is None else rows.limit(limit - len(given))).all():
        given |= carried.accept(session, due, now=now)  # what somebody else took meanwhile is not due any more
    _write_down(session, given, visitor, by=by, now=now)
    left = None if limit is None else limit - len(given)
    taken, held = _take_over(session, visitor, which, again=again, limit=left, by=by, now=now)
    return Issued(sorted(given), sorted(taken), skipped, held)


def recall(session: Session, which: Which, *, now: datetime) -> list[int]:
    """Take visits that nobody has made off their lists again; return which. They are due as before."""
    rows = tasks.joined([Delivery.id]).where(Delivery.state == "accepted", *tasks.conditions(which))
    back = carried.put_back(session, session.scalars(rows).all(), now=now)
    session.execute(delete(VisitTask).where(VisitTask.delivery_id.in_(back)))
    return sorted(back)


def _skip(session: Session, which: Which, *, now: datetime) -> dict[str, int]:
    why = carried.refusal(tasks.CHANNEL)
    refused = tasks.joined([Delivery.id, why.label("refusal")]).where(Delivery.state == "queued", why.is_not(None), *tasks.conditions(which))
    reasons = {row.id: row.refusal for row in session.execute(refused)}
    carried.skip(session, reasons, now=now)
    return dict(Counter(reasons.values()))


def _take_over(session: Session, visitor: str, which: Which, *, again: bool, limit: int | None, by: str, now: datetime) -> tuple[Collection[int], int]:
    """Give the visits on the lists of others to this one, if that is wanted; return which, and how many stay where they are."""
    conditions = [Delivery.state == "accepted", VisitTask.visitor != visitor, *tasks.conditions(which)]
    rows = tasks.joined([Delivery.id, Recipient.code, VisitTask.visitor]).where(*conditions).order_by(*tasks.ORDER)
    others = session.execute(rows).all()
    if others and not again and which.get("codes") is not None:
        raise GivenToAnother(what="visit", code=others[0].code, visitor=others[0].visitor)
    taken = [row.id for row in (others if limit is None else others[:limit])] if again else []
    news = [{"delivery_id": key, "visitor": visitor, "issued_at": now, "issued_by": by} for key in taken]
    bulk.update_rows(session, VisitTask, news, keys=["delivery_id"], sets=["visitor", "issued_at", "issued_by"])
    return taken, len(others) - len(taken)


def _write_down(session: Session, ids: Collection[int], visitor: str, *, by: str, now: datetime) -> None:
    rows = [{"delivery_id": key, "visitor": visitor, "issued_at": now, "issued_by": by} for key in sorted(ids)]
    bulk.insert_rows(session, VisitTask, rows, ignore_conflicts=True)
