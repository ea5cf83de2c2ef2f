"""The ladder as a funnel: included → sent → delivered → opened → signed, a row for each step and occurrence. All five count recipients.

included   for whom the step was written, as in the statement
sent       of whom the provider took the message: delivered, silent, undelivered, in review, or no receipt yet
delivered  whom it reached
opened     whose page was opened for the first time after this message had left and before the next one to the same recipient did
signed     who signed for the first time in that same span: any of the enterprises spoken for, by any way in, paper too

So each recipient's first opening and first signature stand in one row only, that of the last message that had gone before: the rows
sum to the recipients who opened, and to those who signed, after they were written to. Who opened after the first text and signed after
the reminder is "opened" in the one row and "signed" in the other; who signs on paper need not have opened. Counted are signatures of
the campaign's pledge that hold, made since its launch. The statement counts enterprises, several of which may sign through one
recipient, and also those who signed without having been written to.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Subquery, and_, case, func, or_, select
from sqlalchemy.orm import Session

from outreach.campaigns import conditions
from outreach.database.pledge_tables import Signature
from outreach.database.tables import Campaign, Delivery, Recipient, RecipientEnterprise

SENT = ("delivered", "silent", "undelivered", "review", "accepted")


def funnel(session: Session, campaign: Campaign, steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a campaign's funnel from the statement of its steps."""
    acts = _acts(session, campaign) if campaign.launched_at else {}
    return [_row(step) | acts.get((step["step"], step["occurrence"]), {"opened": 0, "signed": 0}) for step in steps]


def _row(step: Mapping[str, Any]) -> dict[str, Any]:
    sent = sum(step[state] for state in SENT if state != "accepted") + step["waiting"]["accepted"]
    return {"step": step["step"], "occurrence": step["occurrence"], "included": step["included"], "sent": sent, "delivered": step["delivered"]}


def _acts(session: Session, campaign: Campaign) -> dict[tuple[int, int], dict[str, int]]:
    """Return the first openings and signatures by the step and occurrence of the message that had gone before."""
    left, signed = _left(campaign), _signed(campaign, conditions.goal(session, campaign))
    opened = _within(Recipient.opened_at, left)
    counted = (
        select(left.c.step, left.c.occurrence, func.sum(opened), func.sum(_within(signed.c["at"], left)))
        .join(Recipient, Recipient.id == left.c.recipient_id)
        .outerjoin(signed, signed.c.recipient_id == left.c.recipient_id)
        .group_by(left.c.step, left.c.occurrence)
    )
    return {(step, occurrence): {"opened": int(opened), "signed": int(signed)} for step, occurrence, opened, signed in session.execute(counted)}


def _left(campaign: Campaign) -> Subquery:
    """Return when each recipient's message of a step and occurrence left, to the first contact that it was sent to, and when the next one did."""
    key = (Delivery.recipient_id, Delivery.step, Delivery.occurrence)
    first = (
        select(*key, func.min(Delivery.claimed_at).label("at")).where(Delivery.campaign_id == campaign.id, Delivery.state.in_(SENT)).group_by(*key).subquery()
    )
    order = (first.c["at"], first.c.step, first.c.occurrence)
    return select(first, func.lead(first.c["at"]).over(partition_by=first.c.recipient_id, order_by=order).label("until")).subquery()


def _signed(campaign: Campaign, pledge: str | None) -> Subquery:
    """Return when each recipient signed for the first time, for any enterprise."""
    spoken = RecipientEnterprise
    return (
        select(spoken.recipient_id, func.min(Signature.signed_at).label("at"))
        .join(Signature, Signature.enterprise_id == spoken.enterprise_id)
        .where(spoken.campaign_id == campaign.id, Signature.pledge == pledge, Signature.state == "signed", Signature.signed_at >= campaign.launched_at)
        .group_by(spoken.recipient_id)
        .subquery()
    )


def _within(moment: Any, left: Subquery) -> ColumnElement[int]:
    inside = and_(moment >= left.c["at"], or_(left.c.until.is_(None), moment < left.c.until))
    return case((inside, 1), else_=0)
