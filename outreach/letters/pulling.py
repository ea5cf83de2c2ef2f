"""Which printed letters need not be posted any more: their enterprise has answered, closed down or cannot be reached since, or the campaign is off."""

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, literal, select
from sqlalchemy.orm import Session

from outreach.contacts import postal
from outreach.database.paper_tables import Letter
from outreach.database.tables import Campaign, CampaignStep, Delivery, Recipient
from outreach.outbox import carried
from outreach.settings import Settings


def needless(session: Session, *, settings: Settings, batch: int | None = None) -> dict[int, str]:
    """Return the printed letters that wait for the post in vain, by delivery, each with its reason, such as goal_reached."""
    rows = waiting(settings).where(_refusal().is_not(None))
    found = session.execute(rows if batch is None else rows.where(Letter.batch_id == batch)).all()
    return {row.delivery_id: row.reason for row in found}


def waiting(settings: Settings) -> Select[Any]:
    """Select the printed letters that wait for the post: delivery_id, batch_id and the reason why one need not go, if there is one."""
    of_step = and_(CampaignStep.campaign_id == Delivery.campaign_id, CampaignStep.number == Delivery.step)
    return (
        select(Letter.delivery_id, Letter.batch_id, _refusal().label("reason"))
        .join(Delivery, Delivery.id == Letter.delivery_id)
        .join(Recipient, Recipient.id == Delivery.recipient_id)
        .join(Campaign, Campaign.id == Delivery.campaign_id)
        .join(CampaignStep, of_step)
        .where(Letter.posted_at.is_(None), Delivery.state == "accepted", Campaign.mode == settings.mode)
    )


def _refusal() -> ColumnElement[Any]:
    return case((Campaign.state == "cancelled", literal("cancelled")), else_=carried.refusal(postal.CHANNEL))
