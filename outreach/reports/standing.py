"""Where each enterprise stands with a pledge: one row an enterprise, in exactly one column.

    enterprises = signed + declined + withdrawn + opened + not_opened + not_reached

What it answered is as in `pledges.answers`. Who has not answered has opened the page, or was reached (a delivery came in) without
opening it, or was not reached, be it that a message is still on its way. A paper without its scan (待补件) is no signature: its
enterprise stands where it stood before, and `pending` tells of it beside the sum. Answers, openings and deliveries of a rehearsal are
never in a figure of production, nor the other way about.
"""

from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, Text, and_, case, func, literal, select
from sqlalchemy.orm import Session

from outreach.campaigns import directory
from outreach.database.pledge_tables import Signature
from outreach.database.tables import Campaign, Delivery, Enterprise, PledgeVersion, Recipient, RecipientEnterprise
from outreach.errors import NotFound
from outreach.pledges import answers

ANSWERS = answers.ANSWERS
COLUMNS = (*ANSWERS, "opened", "not_opened", "not_reached")
"""The columns that sum to `enterprises`."""


class PledgeUnknown(NotFound):
    """There is no pledge {name}; there are: {known}"""


def standings(session: Session, *, campaign: str | None = None, pledge: str | None = None, mode: str = "production") -> Subquery:
    """Return where each enterprise stands: those that a campaign selected, excluded ones too, else all.

    Columns: enterprise_id, column, way (of the answer), at (when it came to stand there: the answer, else the opening), signature_id,
    refusal_id, opened_at, reached, pending_id, pending_way. The pledge is `pledge`, else the campaign's goal, else any; the mode is the
    campaign's where one is named. Raises CampaignNotFound and PledgeUnknown.
    """
    named = directory.named(session, campaign) if campaign else None
    mode = named.mode if named else mode
    asked = _pledge(session, pledge, named)
    return _standings(asked, mode, named.id if named else None).subquery("standing")


def _pledge(session: Session, pledge: str | None, campaign: Campaign | None) -> str | None:
    if pledge is None:
        return session.scalar(select(PledgeVersion.pledge).where(PledgeVersion.id == campaign.pledge_version_id)) if campaign else None
    known = list(session.scalars(select(PledgeVersion.pledge).distinct().order_by(PledgeVersion.pledge)))
    if pledge not in known:
        raise PledgeUnknown(what="pledge", name=pledge, known="、".join(known) or "-")
    return pledge


def _standings(pledge: str | None, mode: str, campaign_id: int | None) -> Select[Any]:
    answer, pending, spoken = answers.answers(pledge, mode), _pending(pledge, mode), _written_to(mode, campaign_id)
    column = case(
        (answer.c.act.is_not(None), answer.c.act),
        (spoken.c.opened_at.is_not(None), literal("opened", Text())),
        (spoken.c.reached == 1, literal("not_opened", Text())),
        else_=literal("not_reached", Text()),
    )
    return (
        select(
            Enterprise.id.label("enterprise_id"),
            column.label("column"),
            answer.c.way,
            func.coalesce(answer.c.at, spoken.c.opened_at).label("at"),
            answer.c.signature_id,
            answer.c.refusal_id,
            spoken.c.opened_at,
            func.coalesce(spoken.c.reached, 0).label("reached"),
            pending.c.id.label("pending_id"),
            pending.c.way.label("pending_way"),
        )
        .join_from(Enterprise, spoken, spoken.c.enterprise_id == Enterprise.id, isouter=campaign_id is None)
        .outerjoin(answer, and_(answer.c.enterprise_id == Enterprise.id, answer.c.place == 1))
        .outerjoin(pending, and_(pending.c.enterprise_id == Enterprise.id, pending.c.place == 1))
    )


def _pending(pledge: str | None, mode: str) -> Subquery:
    """Return the papers that wait for their scan, numbered by enterprise."""
    place = _place(Signature.enterprise_id, Signature.id.desc())
    waiting = select(Signature.id, Signature.enterprise_id, Signature.way, place).where(Signature.state == "pending")
    return waiting.where(*answers.of(Signature, pledge, mode)).subquery()


def _written_to(mode: str, campaign_id: int | None) -> Subquery:
    """Return the enterprises that were written to: when the page was first opened, and whether anything came in."""
    asked = Recipient.campaign_id == campaign_id if campaign_id is not None else Recipient.campaign_id.in_(_campaigns(mode))
    delivered = select(Delivery.recipient_id).where(Delivery.state == "delivered", Delivery.recipient_id.is_not(None)).distinct().subquery()
    return (
        select(
            RecipientEnterprise.enterprise_id,
            func.min(Recipient.opened_at).label("opened_at"),
            func.max(case((delivered.c.recipient_id.is_not(None), 1), else_=0)).label("reached"),
        )
        .join(Recipient, Recipient.id == RecipientEnterprise.recipient_id)
        .outerjoin(delivered, delivered.c.recipient_id == Recipient.id)
        .where(asked)
        .group_by(RecipientEnterprise.enterprise_id)
        .subquery()
    )


def _campaigns(mode: str) -> Select[int]:
    return select(Campaign.id).where(Campaign.mode == mode)


def _place(owner: Any, *order: Any) -> ColumnElement[int]:
    return func.row_number().over(partition_by=owner, order_by=order).label("place")
