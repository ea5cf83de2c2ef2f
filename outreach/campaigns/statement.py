"""The statement: what was selected is what was reached, what failed, what is open and what was left out; it always adds up.

Per step      included = delivered + silent + failed + undelivered + unknown + review + waiting + skipped
Per enterprise selected = signed + declined + withdrawn + reached + waiting + unknown + not reached + excluded
Each enterprise stands in one column, the first that fits in that order; a recipient counts once a step, by the last contact tried. A step
that comes again has a statement for each occurrence. Signed, declined and withdrawn are answers to the campaign's own pledge, by any way
in and at any time; a campaign without one takes what the enterprise last answered to any.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, and_, case, func, literal, select, true
from sqlalchemy.orm import Session

from outreach import clock
from outreach.campaigns import directory
from outreach.database.tables import Campaign, CampaignStep, Delivery, Enterprise, PledgeVersion, Recipient, RecipientEnterprise
from outreach.pledges import answers

PLAIN = ("delivered", "silent", "failed", "undelivered", "unknown", "review")
WAITING = ("queued", "sending", "accepted")
OUTCOMES = answers.ANSWERS


def classify_step(counts: dict[tuple[str, str | None], int]) -> dict[str, Any]:
    """Return the statement of one step from the number of recipients by state and reason; pure, and total over all states."""
    columns: dict[str, Any] = {"included": sum(counts.values())} | dict.fromkeys(PLAIN, 0)
    columns |= {"waiting": dict.fromkeys(WAITING, 0), "skipped": {}}
    for (state, reason), count in sorted(counts.items(), key=str):
        if state in PLAIN:
            columns[state] += count
        elif state in WAITING:
            columns["waiting"][state] += count
        else:
            word = reason or state
            columns["skipped"][word] = columns["skipped"].get(word, 0) + count
    parts = sum(columns[state] for state in PLAIN) + sum(columns["waiting"].values()) + sum(columns["skipped"].values())
    return columns | {"adds_up": parts == columns["included"]}


def statement(session: Session, name: str, *, now: datetime) -> dict[str, Any]:
    """Return a campaign's statement in the shape of `campaign statement --format json`."""
    campaign = directory.named(session, name)
    return {"campaign": name, "at": clock.wire(now), "steps": steps(session, campaign), "enterprises": enterprises(session, campaign)}


def last_tried(campaign_id: int) -> Subquery:
    """Return the deliveries of a campaign, one a recipient, step and occurrence: that of the last contact tried.

    One who has no address on the channel was not tried: it counts only where nobody was.
    """
    untried = case((and_(Delivery.state == "skipped", Delivery.reason == "no_address"), 1), else_=0)
    own = [Delivery.recipient_id, Delivery.step, Delivery.occurrence]
    order = func.row_number().over(partition_by=own, order_by=[untried, Delivery.rank.desc()]).label("place")
    ranked = select(Delivery, order).where(Delivery.campaign_id == campaign_id).subquery()
    return select(ranked).where(ranked.c.place == 1).subquery()


def steps(session: Session, campaign: Campaign) -> list[dict[str, Any]]:
    """Return the statement of each step and occurrence that has begun."""
    last = last_tried(campaign.id)
    grouped = (
        select(last.c.step, last.c.occurrence, last.c.state, last.c.reason, func.count())
        .group_by(last.c.step, last.c.occurrence, last.c.state, last.c.reason)
        .order_by(last.c.step, last.c.occurrence)
    )
    found: dict[tuple[int, int], dict[tuple[str, str | None], int]] = {}
    for step, occurrence, state, reason, count in session.execute(grouped):
        counts = found.setdefault((step, occurrence), {})
        key = (state, reason if state == "skipped" else None)
        counts[key] = counts.get(key, 0) + count
    doubled = _doubled(session, campaign)
    channels = dict(session.execute(select(CampaignStep.number, CampaignStep.channel).where(CampaignStep.campaign_id == campaign.id)).all())
    return [
        {"step": step, "occurrence": occurrence, "channel": channels[step], **classify_step(counts), "doubled": doubled.get((step, occurrence), 0)}
        for (step, occurrence), counts in found.items()
    ]


def _doubled(session: Session, campaign: Campaign) -> dict[tuple[int, int], int]:
    grouped = select(Delivery.step, Delivery.occurrence, func.count()).where(Delivery.campaign_id == campaign.id, Delivery.doubled.is_(true()))
    return {(step, occurrence): count for step, occurrence, count in session.execute(grouped.group_by(Delivery.step, Delivery.occurrence))}


def enterprises(session: Session, campaign: Campaign) -> dict[str, Any]:
    """Return the statement over the enterprises selected."""
    rows = enterprise_rows(campaign.id).subquery()
    grouped = select(rows.c.column, rows.c.exclusion, func.count()).group_by(rows.c.column, rows.c.exclusion)
    columns: dict[str, Any] = {"selected": 0} | dict.fromkeys((*OUTCOMES, "reached", "waiting", "unknown", "not_reached"), 0) | {"excluded": {}}
    for column, exclusion, count in session.execute(grouped.order_by(rows.c.column, rows.c.exclusion)):
        columns["selected"] += count
        if column == "excluded":
            columns["excluded"][exclusion] = count
        else:
            columns[column] += count
    selected = session.scalar(select(func.count()).select_from(RecipientEnterprise).where(RecipientEnterprise.campaign_id == campaign.id))
    parts = sum(value for key, value in columns.items() if key not in ("selected", "excluded")) + sum(columns["excluded"].values())
    return columns | {"adds_up": parts == columns["selected"] == selected}


def enterprise_rows(campaign_id: int) -> Select[Any]:
    """Return one row an enterprise of the campaign: its id, its column of the statement, and the exclusion's reason."""
    goal = select(PledgeVersion.pledge).join(Campaign, Campaign.pledge_version_id == PledgeVersion.id).where(Campaign.id == campaign_id).scalar_subquery()
    answer = answers.answers(goal, select(Campaign.mode).where(Campaign.id == campaign_id).scalar_subquery())
    tried = (
        select(
            Delivery.recipient_id,
            func.max(_one(Delivery.state == "delivered")).label("delivered"),
            func.max(_one(Delivery.state.in_(WAITING))).label("waiting"),
            func.max(_one(Delivery.state.in_(("unknown", "review")))).label("unknown"),
            func.count().label("all"),
        )
        .where(Delivery.campaign_id == campaign_id)
        .group_by(Delivery.recipient_id)
        .subquery()
    )
    spoken = RecipientEnterprise
    column = case(
        (answer.c.act.is_not(None), answer.c.act),
        (and_(goal.is_(None), Enterprise.outcome.in_(OUTCOMES)), Enterprise.outcome),
        (Recipient.exclusion.is_not(None), literal("excluded")),
        (tried.c.delivered == 1, literal("reached")),
        ((tried.c.waiting == 1) | tried.c["all"].is_(None), literal("waiting")),
        (tried.c.unknown == 1, literal("unknown")),
        else_=literal("not_reached"),
    )
    return (
        select(spoken.enterprise_id, Recipient.id.label("recipient_id"), Recipient.exclusion, column.label("column"))
        .join(Recipient, Recipient.id == spoken.recipient_id)
        .join(Enterprise, Enterprise.id == spoken.enterprise_id)
        .outerjoin(tried, tried.c.recipient_id == Recipient.id)
        .outerjoin(answer, and_(answer.c.enterprise_id == spoken.enterprise_id, answer.c.place == 1))
        .where(spoken.campaign_id == campaign_id)
    )


def _one(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return case((condition, 1), else_=0)
