"""The ladder: each later step is written by one set-based statement, from what the tables say now, after an outage of any length."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, literal_column, or_, select
from sqlalchemy.orm import Session, aliased

from outreach.campaigns import launching
from outreach.database.tables import FINAL, Campaign, CampaignStep, Delivery, Enterprise, Recipient, RecipientContact, RecipientEnterprise


def advance(session: Session, *, mode: str, now: datetime) -> None:
    """Write the deliveries that have become due: first the next contact of who was not reached, then the next step."""
    for campaign in session.scalars(select(Campaign).where(Campaign.state == "running", Campaign.mode == mode).order_by(Campaign.id)).all():
        steps = _steps(session, campaign)
        for step in steps:
            launching.write_deliveries(session, _alternates(campaign, step, now=now).order_by(Recipient.id))
        for step in steps[1:]:
            launching.write_deliveries(session, _due(campaign, steps, step, now=now).order_by(Recipient.id))


def to_come(session: Session, campaign: Campaign, *, now: datetime) -> bool:
    """Whether something is still to be written for somebody, now or once the `after` of a step is over.

    What a condition forbids now it forbids for ever: who was reached, has opened or has settled stays so.
    """
    return any(session.scalar(select(rows.with_only_columns(literal_column("1")).exists())) for rows in _all_to_come(session, campaign, now))


def _all_to_come(session: Session, campaign: Campaign, now: datetime) -> Iterator[Select[Any]]:
    steps = _steps(session, campaign)
    for step in steps:
        yield _alternates(campaign, step, now=now)
    for step in steps[1:]:
        yield _waiting(campaign, step, now=now)


def _steps(session: Session, campaign: Campaign) -> Sequence[CampaignStep]:
    return session.scalars(select(CampaignStep).where(CampaignStep.campaign_id == campaign.id).order_by(CampaignStep.number)).all()


def _waiting(campaign: Campaign, step: CampaignStep, *, now: datetime) -> Select[Any]:
    """Return the rows of a later step for all who were written to, have not come so far, and fulfil its condition."""
    rows = launching.delivery_rows(campaign, step, occurrence=1, due_at=now).where(RecipientContact.rank == 0)
    return rows.where(_begun(1), ~_begun(step.number), _condition(campaign, step))


def _due(campaign: Campaign, steps: Sequence[CampaignStep], step: CampaignStep, *, now: datetime) -> Select[Any]:
    """Return those of them for whom it is time.

    Steps between whose condition does not hold are passed over; `after` counts from when the last step that took place became final.
    """
    earlier = aliased(Delivery)
    over = select(func.max(earlier.final_at)).where(earlier.recipient_id == Recipient.id).correlate(Recipient).scalar_subquery()
    open_now = exists().where(earlier.recipient_id == Recipient.id, earlier.state.not_in(FINAL)).correlate(Recipient)
    between = [other for other in steps if 1 < other.number < step.number]
    passed = [or_(_begun(other.number), ~_condition(campaign, other)) for other in between]
    return _waiting(campaign, step, now=now).where(~open_now, over <= now - timedelta(seconds=step.after_seconds), *passed)


def _begun(number: int) -> ColumnElement[bool]:
    """Whether a recipient has come to a step, or beyond it."""
    mine = aliased(Delivery)
    return exists().where(mine.recipient_id == Recipient.id, mine.step >= number).correlate(Recipient)


def _condition(campaign: Campaign, step: CampaignStep) -> ColumnElement[bool]:
    unsettled = or_(Enterprise.settled_at.is_(None), Enterprise.settled_at <= campaign.approved_at)
    some = _some_enterprise(unsettled)
    if step.condition in ("always", "unsigned"):
        return some
    if step.condition == "unopened":
        return and_(some, _some_enterprise(and_(unsettled, Enterprise.opened_at.is_(None))))
    earlier = aliased(Delivery)
    reached = exists().where(earlier.recipient_id == Recipient.id, earlier.step < step.number, earlier.state == "delivered")
    return and_(some, ~reached.correlate(Recipient))


def _some_enterprise(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    spoken = RecipientEnterprise
    return exists().where(spoken.recipient_id == Recipient.id, Enterprise.id == spoken.enterprise_id, condition).correlate(Recipient)


def _alternates(campaign: Campaign, step: CampaignStep, *, now: datetime) -> Select[Any]:
    """Return a delivery to the next contact of each recipient whose last one was tried without reaching anybody."""
    tried, later = aliased(Delivery), aliased(Delivery)
    last_one = and_(tried.recipient_id == Recipient.id, tried.step == step.number, tried.rank == RecipientContact.rank - 1)
    failed = exists().where(last_one, tried.state.in_(("undelivered", "failed"))).correlate(Recipient, RecipientContact)
    beyond = or_(later.step > step.number, and_(later.step == step.number, later.rank >= RecipientContact.rank))
    moved_on = exists().where(later.recipient_id == Recipient.id, beyond).correlate(Recipient, RecipientContact)
    unsettled = or_(Enterprise.settled_at.is_(None), Enterprise.settled_at <= campaign.approved_at)
    rows = launching.delivery_rows(campaign, step, occurrence=1, due_at=now)
    return rows.where(RecipientContact.rank > 0, failed, ~moved_on, _some_enterprise(unsettled))
