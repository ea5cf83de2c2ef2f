"""For whom a step is due, in SQL: what the tables say at this moment of a recipient, of the enterprises spoken for, and of what came before.

always    some enterprise is unsettled
unsigned  some enterprise is unsettled and has no signature of the campaign's pledge that stands (a paper without its scan stands too)
unopened  some enterprise is unsettled, and nobody has opened the recipient's page
unreached some enterprise is unsettled, and of what was written for the recipient before nothing has come in, nor was spared because
          the goal was reached

An enterprise is unsettled that has not signed, declined or withdrawn since the approval: only a newly approved campaign may write to it
again. Whatever the condition, nothing is due for a recipient who said that the letter is not for him.
"""

from typing import Any

from sqlalchemy import ColumnElement, Subquery, and_, case, exists, func, literal_column, or_, select
from sqlalchemy.orm import Session

from outreach.database.pledge_tables import CURRENT, Signature
from outreach.database.tables import FINAL, Campaign, CampaignStep, Delivery, Enterprise, PledgeVersion, Recipient, RecipientEnterprise

STANDS: list[ColumnElement[str]] = [literal_column(f"'{state}'") for state in CURRENT]
"""As literals: only then does the partial index on current signatures apply."""


def goal(session: Session, campaign: Campaign) -> str | None:
    """Return the name of the pledge that a campaign asks for, None where it asks for none."""
    return session.scalar(select(PledgeVersion.pledge).where(PledgeVersion.id == campaign.pledge_version_id))


def past(campaign: Campaign, *, last: int) -> Subquery:
    """Return what came before, one row a recipient who was written to; `last` is the number of the campaign's last step.

    `step` is the highest that was begun, `open` how many deliveries are not final, `delivered` how many came in, `spared` how many were
    skipped because the goal was reached, `over` when the last one became final; `before` the same of the steps before the last, `again` of
    the last one, and `occurrence` its highest occurrence.
    """
    here = Delivery.step == last
    return (
        select(
            Delivery.recipient_id,
            func.max(Delivery.step).label("step"),
            func.sum(case((Delivery.state.in_(FINAL), 0), else_=1)).label("open"),
            func.sum(case((Delivery.state == "delivered", 1), else_=0)).label("delivered"),
            func.sum(case((and_(Delivery.state == "skipped", Delivery.reason == "goal_reached"), 1), else_=0)).label("spared"),
            func.max(Delivery.final_at).label("over"),
            func.max(case((~here, Delivery.final_at))).label("before"),
            func.max(case((here, Delivery.final_at))).label("again"),
            func.max(case((here, Delivery.occurrence), else_=0)).label("occurrence"),
        )
        .where(Delivery.campaign_id == campaign.id)
        .group_by(Delivery.recipient_id)
        .subquery("past")
    )


def holds(campaign: Campaign, step: CampaignStep, pledge: str | None, *, reached: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition of a step over `Recipient`; `reached` says whether anything has come in, or need not."""
    conditions = [open_for(campaign, step, pledge)]
    if step.condition == "unopened":
        conditions.append(Recipient.opened_at.is_(None))
    if step.condition == "unreached":
        conditions.append(~reached)
    return and_(*conditions)


def open_for(campaign: Campaign, step: CampaignStep, pledge: str | None) -> ColumnElement[bool]:
    """Return the part of a step's condition over `Recipient` that needs no past: somebody is left to be asked, and may be."""
    wanted = unsettled(campaign)
    if step.condition == "unsigned" and pledge is not None:
        wanted = and_(wanted, ~signed(pledge))
    spoken = RecipientEnterprise
    some = exists().where(spoken.recipient_id == Recipient.id, Enterprise.id == spoken.enterprise_id, wanted).correlate(Recipient)
    return and_(Recipient.stopped_at.is_(None), some)


def unsettled(campaign: Campaign) -> ColumnElement[bool]:
    """Return that an enterprise has not signed, declined or withdrawn since the approval."""
    return or_(Enterprise.settled_at.is_(None), Enterprise.settled_at <= campaign.approved_at)


def signed(pledge: str) -> ColumnElement[bool]:
    """Return that a signature of a pledge stands for an enterprise."""
    mine: list[Any] = [Signature.enterprise_id == Enterprise.id, Signature.pledge == pledge, Signature.state.in_(STANDS)]
    return exists().where(*mine).correlate(Enterprise)
