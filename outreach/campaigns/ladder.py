"""The ladder: each later step, and each occurrence of one that comes again, is written by one set-based statement from what the tables
say now, after an outage of any length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, and_, case, exists, false, func, literal, literal_column, or_, select
from sqlalchemy.orm import Session, aliased

from outreach.campaigns import conditions, launching, reach
from outreach.campaigns.recurrence import Periods
from outreach.contacts import postal
from outreach.database.tables import Campaign, CampaignStep, Delivery, Recipient, RecipientContact
from outreach.database.types import Moment
from outreach.outbox.states import CARRIED


@dataclass(frozen=True)
class _Ladder:
    """A campaign with what its steps are judged by."""

    campaign: Campaign
    steps: Sequence[CampaignStep]
    pledge: str | None
    past: Subquery
    now: datetime

    def holds(self, step: CampaignStep) -> ColumnElement[bool]:
        return conditions.holds(self.campaign, step, self.pledge, reached=or_(self.past.c.delivered > 0, self.past.c.spared > 0))

    def rows(self, step: CampaignStep, occurrence: ColumnElement[int] | int = 1) -> Select[Any]:
        """Return the deliveries of a step to all who were written to and fulfil its condition."""
        rows = launching.delivery_rows(self.campaign, step, occurrence=occurrence, due_at=self.now)
        return rows.join(self.past, self.past.c.recipient_id == Recipient.id).where(self.holds(step))


def advance(session: Session, *, mode: str, now: datetime) -> None:
    """Write the deliveries that have become due: first the next contact of who was not reached, then the next step.

    In a canary too: its size bounds what is sent, and where few are reached by the first channel it tries the next one as well.
    """
    going = Campaign.state.in_(("canary", "running"))
    for campaign in session.scalars(select(Campaign).where(going, Campaign.mode == mode).order_by(Campaign.id)).all():
        ladder = _of(session, campaign, now=now)
        if any(step.channel == postal.CHANNEL for step in ladder.steps):
            reach.make_addresses(session, postal.CHANNEL)  # an address may have been mended since the plan
        for rows in _all_due(ladder):
            launching.write_deliveries(session, rows.order_by(Recipient.id))


def to_come(session: Session, campaign: Campaign, *, now: datetime) -> bool:
    """Whether something is still to be written for somebody, now, once the `after` of a step is over, or when a step comes again.

    What a condition forbids now it forbids for ever: who was reached, has opened, signed or settled, or was stopped, stays so. Only a
    letter that comes back undoes that; `progress.review` opens its campaign again.
    """
    return any(session.scalar(_any(rows)) for rows in _all_to_come(_of(session, campaign, now=now)))


def is_due(session: Session, campaign: Campaign, *, now: datetime) -> bool:
    """Whether a step's time has come for somebody to whom it was not written yet: the next tick of the worker will."""
    ladder = _of(session, campaign, now=now)
    return any(session.scalar(_any(rows)) for rows in _all_due(ladder))


def next_due(session: Session, campaign: Campaign, *, now: datetime) -> tuple[int, datetime | None] | None:
    """Return the step that is written next and when; None where nothing is to come, no moment where that hangs on what is under way."""
    ladder = _of(session, campaign, now=now)
    found = [(moment, step.number) for step in ladder.steps if (moment := _next_moment(session, ladder, step)) is not None]
    if found:
        moment, number = min(found)
        return number, moment
    coming = (step for step in ladder.steps if _may_come(step, ladder))
    later = (step.number for step in coming if session.scalar(_any(_waiting(ladder, step).where(~_ready(ladder, step)))))
    return next(((number, None) for number in later), None)


def _any(rows: Select[Any]) -> Select[bool]:
    return select(rows.with_only_columns(literal_column("1")).exists())


def _of(session: Session, campaign: Campaign, *, now: datetime) -> _Ladder:
    steps = session.scalars(select(CampaignStep).where(CampaignStep.campaign_id == campaign.id).order_by(CampaignStep.number)).all()
    return _Ladder(campaign, steps, conditions.goal(session, campaign), conditions.past(campaign, last=steps[-1].number), now)


def _all_due(ladder: _Ladder) -> Iterator[Select[Any]]:
    """Yield the rows that are to be written now, in this order: first the next contact of who was not reached, then the next step."""
    for step in ladder.steps:
        if step.channel not in CARRIED:
            yield _alternates(ladder, step)
    for step in ladder.steps:
        if step.every_seconds is not None:
            yield _due_again(ladder, step)
        elif step.number > 1:
            yield _due(ladder, step)


def _all_to_come(ladder: _Ladder) -> Iterator[Select[Any]]:
    for step in ladder.steps:
        if _may_come(step, ladder):
            yield _waiting(ladder, step)
        if step.channel not in CARRIED:
            yield _alternates(ladder, step)


def _may_come(step: CampaignStep, ladder: _Ladder) -> bool:
    """Whether a step is one that the ladder writes, and not over."""
    return _goes_on(step, ladder.now) if step.every_seconds is not None else step.number > 1


def _goes_on(step: CampaignStep, now: datetime) -> bool:
    return step.until is None or now < step.until


def _waiting(ladder: _Ladder, step: CampaignStep) -> Select[Any]:
    """Return the rows of a step for all who were written to, have not come so far (or may come again), and fulfil its condition."""
    rows = ladder.rows(step).where(launching.FIRST)
    return rows if step.every_seconds is not None else rows.where(ladder.past.c.step < step.number)


def _ready(ladder: _Ladder, step: CampaignStep) -> ColumnElement[bool]:
    """Whether nothing stands between a recipient and a step: nothing is open, and each step between was begun or does not apply."""
    between = [other for other in ladder.steps if 1 < other.number < step.number]
    passed = [or_(ladder.past.c.step >= other.number, ~ladder.holds(other)) for other in between]
    return and_(ladder.past.c.open == 0, *passed)


def _due(ladder: _Ladder, step: CampaignStep) -> Select[Any]:
    """Return the rows of a step for whom it is time: `after` counts from when the last step that took place became final."""
    since = ladder.past.c.over <= ladder.now - timedelta(seconds=step.after_seconds)
    return _waiting(ladder, step).where(_ready(ladder, step), since)


def _due_again(ladder: _Ladder, step: CampaignStep) -> Select[Any]:
    """Return the rows of the latest occurrence of a step, for whom its time came after the occurrence before was over."""
    passed, before = _periods(ladder, step, literal(ladder.now, Moment())), _periods(ladder, step, ladder.past.c.again)
    came = ladder.past.c.occurrence
    due = and_(_origin(ladder, step) <= ladder.now - timedelta(seconds=step.after_seconds), came < passed + 1, or_(came == 0, before < passed))
    rows = ladder.rows(step, occurrence=passed + 1).where(launching.FIRST, _ready(ladder, step), due)
    return rows if _goes_on(step, ladder.now) else rows.where(false())


def _origin(ladder: _Ladder, step: CampaignStep) -> ColumnElement[Any]:
    """Return from when a recipient's `after` counts: the end of the steps before, the beginning of the campaign for the first."""
    if step.number > 1:
        return ladder.past.c.before
    return literal(launching.begins(ladder.campaign), Moment())


def _periods(ladder: _Ladder, step: CampaignStep, moment: ColumnElement[Any], *, seconds: int | None = None) -> ColumnElement[int]:
    """Return how many periods (or `seconds`) had passed at a moment since a step was first due for a recipient."""
    return Periods(_origin(ladder, step), moment, literal(step.after_seconds), literal(seconds or step.every_seconds))


def _next_moment(session: Session, ladder: _Ladder, step: CampaignStep) -> datetime | None:
    """Return when a step is due next for anybody, as far as that is known: to the second for one that comes again."""
    if not _may_come(step, ladder):
        return None
    rows = _waiting(ladder, step).where(_ready(ladder, step))
    if step.every_seconds is None:
        over = session.scalar(rows.with_only_columns(func.min(ladder.past.c.over)))
        return over + timedelta(seconds=step.after_seconds) if over else None
    came = case((ladder.past.c.occurrence == 0, 0), else_=1 + _periods(ladder, step, ladder.past.c.again))
    left = session.scalar(rows.with_only_columns(func.min(came * step.every_seconds - _periods(ladder, step, literal(ladder.now, Moment()), seconds=1))))
    at = ladder.now + timedelta(seconds=left) if left is not None else None
    return at if at and (step.until is None or at < step.until) else None


def _alternates(ladder: _Ladder, step: CampaignStep) -> Select[Any]:
    """Return a delivery to the next contact of each recipient whose last one was tried without reaching anybody, for the same occurrence."""
    tried, later = aliased(Delivery), aliased(Delivery)
    beyond = or_(
        later.step > step.number,
        and_(later.step == step.number, or_(later.occurrence > tried.occurrence, and_(later.occurrence == tried.occurrence, later.rank > tried.rank))),
    )
    moved_on = exists().where(later.recipient_id == Recipient.id, beyond).correlate(Recipient, tried)
    came = aliased(Delivery)
    reached = exists().where(came.recipient_id == Recipient.id, came.state == "delivered").correlate(Recipient)
    in_vain = or_(tried.state.in_(("undelivered", "failed")), and_(tried.state == "skipped", tried.reason == "no_address"))
    last = (tried.campaign_id == ladder.campaign.id, tried.step == step.number, in_vain)
    rows = launching.delivery_rows(ladder.campaign, step, occurrence=tried.occurrence.expression, due_at=ladder.now)
    rows = rows.join(tried, and_(tried.recipient_id == Recipient.id, tried.rank == RecipientContact.rank - 1))
    return rows.where(*last, ~moved_on, conditions.holds(ladder.campaign, step, ladder.pledge, reached=reached))
