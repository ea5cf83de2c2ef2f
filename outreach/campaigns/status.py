"""How a campaign stands: its state, its steps, its funnel, and what comes next."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from outreach import clock, tokens
from outreach.campaigns import directory
from outreach.campaigns import statement as statements
from outreach.database.tables import Address, Campaign, CampaignStep, Delivery, Recipient

UNKNOWN_AT_MOST = 500


def status(session: Session, name: str, *, now: datetime) -> dict[str, Any]:
    """Return how a campaign stands, in the shape of `campaign status --format json`."""
    del now
    campaign = directory.named(session, name)
    steps = statements.steps(session, campaign)
    return {
        "campaign": name,
        "state": campaign.state,
        "reason": campaign.reason,
        "mode": campaign.mode,
        "code": tokens.approval_code(campaign.digest),
        "planned_by": campaign.planned_by,
        "planned_at": clock.wire(campaign.planned_at),
        "approved_by": campaign.approved_by,
        "launched_at": clock.wire(campaign.launched_at),
        "finished_at": clock.wire(campaign.finished_at),
        "recipients": campaign.summary.get("recipients", 0),
        "steps": steps,
        "funnel": [_funnel(step) for step in steps],
        "next": _next(session, campaign),
    }


def _funnel(step: dict[str, Any]) -> dict[str, Any]:
    sent = step["delivered"] + step["silent"] + step["undelivered"] + step["review"] + step["waiting"]["accepted"]
    return {"step": step["step"], "included": step["included"], "sent": sent, "delivered": step["delivered"], "opened": 0, "signed": 0}


def _next(session: Session, campaign: Campaign) -> dict[str, Any] | None:
    """Return what this campaign does next and when: the first queued delivery, else the next step after the one that is over."""
    if campaign.state not in ("canary", "running"):
        return None
    queued = select(Delivery.step, func.min(Delivery.due_at)).where(Delivery.campaign_id == campaign.id, Delivery.state == "queued")
    row = session.execute(queued.group_by(Delivery.step).order_by(Delivery.step).limit(1)).first()
    if row is not None:
        return {"step": row[0], "at": clock.wire(row[1])}
    reached = select(func.coalesce(func.max(Delivery.step), 0)).where(Delivery.campaign_id == campaign.id).scalar_subquery()
    following = select(CampaignStep).where(CampaignStep.campaign_id == campaign.id, CampaignStep.number > reached).order_by(CampaignStep.number).limit(1)
    step = session.scalars(following).first()
    if step is None:
        return None
    over = session.scalar(select(func.min(Delivery.final_at)).where(Delivery.campaign_id == campaign.id, Delivery.step == step.number - 1))
    return {"step": step.number, "at": clock.wire(over + timedelta(seconds=step.after_seconds)) if over else None}


def unknown(session: Session, name: str) -> list[dict[str, Any]]:
    """Return the deliveries of a campaign that nobody knows of, oldest first, phones masked."""
    campaign = directory.named(session, name)
    statement = (
        select(Delivery.id, Delivery.claimed_at, Delivery.reason, Recipient.fields, Address.value)
        .join(Recipient, Recipient.id == Delivery.recipient_id)
        .join(Address, Address.id == Delivery.address_id)
        .where(Delivery.campaign_id == campaign.id, Delivery.state == "unknown")
        .order_by(Delivery.claimed_at, Delivery.id)
        .limit(UNKNOWN_AT_MOST)
    )
    return [
        {
            "delivery": row.id,
            "enterprise": row.fields["enterprise"],
            "phone": tokens.mask(row.value),
            "since": clock.wire(row.claimed_at),
            "reason": row.reason,
        }
        for row in session.execute(statement)
    ]
