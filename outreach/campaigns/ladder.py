"""The ladder: each later step is written by one set-based statement, from what the tables say now, after an outage of any length."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from outreach.campaigns import launching
from outreach.database.tables import FINAL, Campaign, CampaignStep, Delivery, Enterprise, Recipient, RecipientContact, RecipientEnterprise


def advance(session: Session, *, now: datetime) -> None:
    """Write the deliveries that have become due: first the next contact of who was not reached, then the next step."""
    for campaign in session.scalars(select(Campaign).where(Campaign.state == "running").order_by(Campaign.id)).all():
        steps = session.scalars(select(CampaignStep).where(CampaignStep.campaign_id == campaign.id).order_by(CampaignStep.number)).all()
        _try_alternates(session, campaign, steps, now=now)
        for step in steps[1:]:
            launching.write_deliveries(session, _due(campaign, step, now=now))


def _due(campaign: Campaign, step: CampaignStep, *, now: datetime) -> Select[Any]:
    """Return the rows of a later step: for whom its condition holds, `after` counted from when the step before it became final."""
    before, mine = aliased(Delivery), aliased(Delivery)
    over = select(func.max(before.final_at)).where(before.recipient_id == Recipient.id, before.step == step.number - 1).correlate(Recipient).scalar_subquery()
    open_now = exists().where(before.recipient_id == Recipient.id, before.state.not_in(FINAL)).correlate(Recipient)
    begun = exists().where(mine.recipient_id == Recipient.id, mine.step >= step.number).correlate(Recipient)
    rows = launching.delivery_rows(campaign, step, occurrence=1, due_at=now).where(RecipientContact.rank == 0)
    return rows.where(~open_now, ~begun, over <= now - timedelta(seconds=step.after_seconds), _condition(campaign, step)).order_by(Recipient.id)


def _condition(campaign: Campaign, step: CampaignStep) -> ColumnElement[bool]:
    unsettled = or_(Enterprise.settled_at.is_(None), Enterprise.settled_at <= campaign.approved_at)
    some = _some_enterprise(unsettled)
    if step.condition == "always":
        return some
    if step.condition == "unopened":
        return and_(some, _some_enterprise(and_(unsettled, Enterprise.opened_at.is_(None))))
    if step.condition == "unsigned":
        return some
    earlier = aliased(Delivery)
    return and_(some, ~exists().where(earlier.recipient_id == Recipient.id, earlier.state == "delivered").correlate(Recipient))


def _some_enterprise(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    spoken = RecipientEnterprise
    return exists().where(spoken.recipient_id == Recipient.id, Enterprise.id == spoken.enterprise_id, condition).correlate(Recipient)


def _try_alternates(session: Session, campaign: Campaign, steps: Sequence[CampaignStep], *, now: datetime) -> None:
    """Write a delivery to the next contact of each recipient whose last one was tried without reaching anybody."""
    for step in steps:
        tried, later = aliased(Delivery), aliased(Delivery)
        failed = (
            exists()
            .where(
                tried.recipient_id == Recipient.id,
                tried.step == step.number,
                tried.rank == RecipientContact.rank - 1,
                tried.state.in_(("undelivered", "failed")),
            )
            .correlate(Recipient, RecipientContact)
        )
        beyond = or_(later.step > step.number, and_(later.step == step.number, later.rank >= RecipientContact.rank))
        moved_on = exists().where(later.recipient_id == Recipient.id, beyond)
        rows = launching.delivery_rows(campaign, step, occurrence=1, due_at=now)
        unsettled = or_(Enterprise.settled_at.is_(None), Enterprise.settled_at <= campaign.approved_at)
        due = rows.where(RecipientContact.rank > 0, failed, ~moved_on.correlate(Recipient, RecipientContact), _some_enterprise(unsettled))
        launching.write_deliveries(session, due.order_by(Recipient.id))
