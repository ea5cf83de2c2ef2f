"""Rounds of visits: a campaign that sends somebody to see each enterprise, lists, and what is brought home."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, update

from outreach import clock
from outreach.campaigns import visiting
from outreach.campaigns.visiting import Brought, Outcome
from outreach.database.tables import Enterprise
from outreach.visits import lists, tasks
from outreach.visits.lists import Issued
from outreach.visits.tasks import Task, Which

from drive import SHORT, Office  # isort: skip

SEEN: Sequence[dict[str, Any]] = ({"channel": "visit"},)
"""A campaign that begins with a visit."""
TEXTED: Sequence[dict[str, Any]] = ({"channel": "sms", "template": SHORT}, {"channel": "visit", "when": "unsigned"})
"""A text first, then a visit to who has not signed."""


def which(desk: Office, **chosen: Any) -> Which:
    return Which(mode=desk.settings.mode, **chosen)


def listed(desk: Office, **chosen: Any) -> list[Task]:
    with desk.database.read() as session:
        return list(tasks.tasks(session, which(desk, **chosen)))


def issue(desk: Office, visitor: str = "王村干", *, again: bool = False, limit: int | None = None, **chosen: Any) -> Issued:
    with desk.database.write() as session:
        return lists.issue(session, visitor, which(desk, **chosen), again=again, limit=limit, by="alice", now=clock.now())


def recall(desk: Office, **chosen: Any) -> list[int]:
    with desk.database.write() as session:
        return lists.recall(session, which(desk, **chosen), now=clock.now())


def bring(desk: Office, *items: Brought) -> list[Outcome]:
    with desk.database.write() as session:
        return visiting.record(session, items, settings=desk.settings, by="alice", now=clock.now())


def brought(enterprise: int, result: str, *, at: datetime | None = None, **said: Any) -> Brought:
    return Brought(enterprise_id=enterprise, result=result, at=at or clock.now() - timedelta(minutes=1), visitor=said.pop("visitor", "王村干"), **said)


def live(desk: Office, enterprise: int, **where: Any) -> None:
    """Say where an enterprise is: village, address, town, name, credit_code."""
    desk.write(update(Enterprise).where(Enterprise.id == enterprise).values(**where))


def enterprise(desk: Office, key: int) -> Row[Any]:
    return next(row for row in desk.rows(Enterprise) if row.id == key)


def visit_of(desk: Office, key: int) -> Row[Any]:
    """Return the newest visit of an enterprise."""
    mine = [task.id for task in listed(desk) if any(place.id == key for place in task.places)]
    return desk.delivery(max(mine))
