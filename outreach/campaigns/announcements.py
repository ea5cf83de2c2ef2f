"""The announcements of the office (群发公告), by name: how each stands, with the provider's own totals."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach import clock, tokens
from outreach.database.wechat_tables import Announcement
from outreach.errors import NotFound


class AnnouncementNotFound(NotFound):
    """There is no announcement {name}; `outreach announcements list` shows those there are."""


def named(session: Session, name: str, *, lock: bool = False) -> Announcement:
    """Return the announcement of a name. Raises AnnouncementNotFound."""
    statement = select(Announcement).where(Announcement.name == name)
    found = session.execute(statement.with_for_update() if lock else statement).scalar_one_or_none()
    if found is None:
        raise AnnouncementNotFound(name=name)
    return found


def listing(session: Session) -> list[dict[str, Any]]:
    """Return all announcements, newest first, as rows."""
    return [document(found) for found in session.scalars(select(Announcement).order_by(Announcement.id.desc()))]


def document(found: Announcement) -> dict[str, Any]:
    """Return one as plain data: whom it is for, what it says, who answers for it, and what became of it in the provider's figures.

    `total` are those it was for, `filtered` those it was not withheld from (four a month each), `sent` and `errors` add up to that.
    """
    return {
        "announcement": found.name,
        "state": found.state,
        "mode": found.mode,
        "template": found.template,
        "tag": found.tag,
        "text": found.body,
        "code": tokens.approval_code(found.digest),
        "digest": found.digest,
        "planned_by": found.planned_by,
        "planned_at": clock.wire(found.planned_at),
        "approved_by": found.approved_by,
        "approved_at": clock.wire(found.approved_at),
        "sent_by": found.sent_by,
        "sent_at": clock.wire(found.sent_at),
        "reference": found.reference,
        "status": found.status,
        "total": found.total,
        "filtered": found.filtered,
        "sent": found.sent,
        "errors": found.errors,
        "ended_at": clock.wire(found.ended_at),
    }
