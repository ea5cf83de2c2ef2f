"""How a campaign stands: its state, its steps, its funnel, and what comes next."""

from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from outreach import clock, tokens
from outreach.campaigns import directory, funnel, ladder
from outreach.campaigns import statement as statements
from outreach.database.tables import Address, Campaign, Delivery, Recipient

UNKNOWN_AT_MOST = 500


def status(session: Session, name: str, *, now: datetime) -> dict[str, Any]:
    """Return how a campaign stands, in the shape of `campaign status --format json`."""
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
        "start": _start(campaign),
        "finished_at": clock.wire(campaign.finished_at),
        "recipients": campaign.summary.get("recipients", 0),
        "steps": steps,
        "funnel": funnel.funnel(session, campaign, steps),
        "next": _next(session, campaign, now=now),
    }


def _start(campaign: Campaign) -> str | None:
    starts = campaign.definition.get("start")
    return clock.wire(datetime.fromisoformat(starts)) if starts else None


def _next(session: Session, campaign: Campaign, *, now: datetime) -> dict[str, Any] | None:
    """Return what this campaign does next and when: the first queued delivery, else the next step, or occurrence, that is due for anybody."""
    if campaign.state not in ("canary", "running"):
        return None
    queued = select(Delivery.step, func.min(Delivery.due_at)).where(Delivery.campaign_id == campaign.id, Delivery.state == "queued")
    row = session.execute(queued.group_by(Delivery.step).order_by(func.min(Delivery.due_at)).limit(1)).first()
    if row is not None:
        return {"step": row[0], "at": clock.wire(row[1])}
    due = ladder.next_due(session, campaign, now=now)
    return {"step": due[0], "at": clock.wire(due[1])} if due else None


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
