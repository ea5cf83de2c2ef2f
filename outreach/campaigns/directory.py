"""The campaigns of the office, by name."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach import clock
from outreach.database.tables import Campaign
from outreach.errors import NotFound


class CampaignNotFound(NotFound):
    """There is no campaign {name}; `outreach campaign list` shows those there are."""


def named(session: Session, name: str, *, lock: bool = False) -> Campaign:
    """Return the campaign of a name. Raises CampaignNotFound."""
    statement = select(Campaign).where(Campaign.name == name)
    found = session.execute(statement.with_for_update() if lock else statement).scalar_one_or_none()
    if found is None:
        raise CampaignNotFound(name=name)
    return found


def listing(session: Session) -> list[dict[str, Any]]:
    """Return all campaigns, newest first, as rows."""
    rows = session.execute(
        select(Campaign.name, Campaign.title, Campaign.state, Campaign.reason, Campaign.mode, Campaign.planned_at, Campaign.launched_at).order_by(
            Campaign.id.desc()
        )
    )
    return [{**row._mapping, "planned_at": clock.wire(row.planned_at), "launched_at": clock.wire(row.launched_at)} for row in rows]
