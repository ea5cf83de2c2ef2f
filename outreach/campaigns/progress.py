"""What a campaign does by itself: the canary is judged, and a campaign that has nothing left to do is finished."""

from datetime import datetime, timedelta

from sqlalchemy import and_, exists, false, func, or_, select, update
from sqlalchemy.orm import Session

from outreach.campaigns import ladder
from outreach.database import bulk
from outreach.database.paper_tables import Letter
from outreach.database.tables import FINAL, Campaign, Delivery, Sender
from outreach.outbox import carried, hours
from outreach.outbox.states import CARRIED
from outreach.settings import Settings

SOON = timedelta(seconds=1)
FAILURES = ("failed", "undelivered")


def review(session: Session, *, settings: Settings, now: datetime) -> None:
    """Judge each canary that is complete, finish each campaign that is done, open again whose letters came back, and skip what need not go."""
    going = select(Campaign).where(Campaign.state.in_(("canary", "running")), Campaign.mode == settings.mode).order_by(Campaign.id).with_for_update()
    carried.skip_refused(session, now=now)
    for campaign in session.scalars(going).all():
        if campaign.state == "canary":
            _judge_canary(session, campaign, settings=settings, now=now)
        if campaign.state == "running":
            _finish(session, campaign, now=now)
    _skip_cancelled(session, now=now)
    _open_again(session, mode=settings.mode, now=now)
    _pause_where_sender_halted(session)


def _pause_where_sender_halted(session: Session) -> None:
    """Pause the campaigns that wait for a sender whose account the provider refuses: somebody must mend it."""
    waits = exists().where(
        Delivery.campaign_id == Campaign.id,
        Delivery.state == "queued",
        Sender.id == Delivery.sender_id,
        Sender.paused_at.is_not(None),
    )
    session.execute(update(Campaign).where(Campaign.state.in_(("canary", "running")), waits).values(state="paused", reason="account"))


def _skip_cancelled(session: Session, *, now: datetime) -> None:
    """Skip what was claimed when its campaign was cancelled, and was then found never to have been sent. Waits for nobody."""
    back = select(Delivery.id).join(Campaign, Campaign.id == Delivery.campaign_id).where(Delivery.state == "queued", Campaign.state == "cancelled")
    ids = session.scalars(back.order_by(Delivery.id).with_for_update(of=Delivery, skip_locked=True)).all()
    rows = [{"id": key, "final_at": now} for key in ids]
    bulk.update_rows(session, Delivery, rows, keys=["id"], sets=["final_at"], extra="state = 'skipped', reason = 'cancelled'")


def _judge_canary(session: Session, campaign: Campaign, *, settings: Settings, now: datetime) -> None:
    """Go on or pause, once the canary was sent and its receipts are in or none came for a while."""
    counts = _counts(session, campaign, wired=True)
    gone = sum(count for state, count in counts.items() if state not in ("queued", "skipped"))
    more = bool(counts.get("queued")) or ladder.is_due(session, campaign, now=now)
    complete = gone >= (campaign.claim_limit or 0) or not more
    if not complete or counts.get("sending") or (counts.get("unknown") and settings.settle == "auto"):
        return
    if counts.get("accepted") and _last_news(session, campaign) > now - settings.receipt_wait:
        return
    failures = sum(counts.get(state, 0) for state in FAILURES)
    if campaign.reason == "first" and more:
        campaign.state = "paused"
    elif gone and failures > settings.canary_failures * gone:
        campaign.state, campaign.reason = "paused", "canary"
    else:
        campaign.state, campaign.reason, campaign.claim_limit = "running", None, None


def _finish(session: Session, campaign: Campaign, *, now: datetime) -> None:
    counts = _counts(session, campaign)
    if all(state in FINAL for state in counts) and not ladder.to_come(session, campaign, now=now):
        campaign.state, campaign.finished_at = "finished", now


def _open_again(session: Session, *, mode: str, now: datetime) -> None:
    """Let a finished campaign go on whose letters came back since, where a step is there for whom they did not reach."""
    came_back = exists().where(Delivery.campaign_id == Campaign.id, Letter.delivery_id == Delivery.id, Letter.returned_at > Campaign.finished_at)
    done = select(Campaign).where(Campaign.state == "finished", Campaign.mode == mode, came_back).order_by(Campaign.id).with_for_update()
    for campaign in session.scalars(done).all():
        if ladder.to_come(session, campaign, now=now):
            campaign.state, campaign.finished_at = "running", None


def _counts(session: Session, campaign: Campaign, *, wired: bool = False) -> dict[str, int]:
    """Return how many deliveries stand in which state; `wired`: of those that go out by themselves."""
    rows = select(Delivery.state, func.count()).where(Delivery.campaign_id == campaign.id).group_by(Delivery.state)
    return dict(session.execute(rows.where(Delivery.channel.not_in(CARRIED)) if wired else rows).all())


def _last_news(session: Session, campaign: Campaign) -> datetime:
    """Return when something was last sent, or came back, for a campaign."""
    latest = select(func.max(Delivery.claimed_at), func.max(Delivery.final_at)).where(Delivery.campaign_id == campaign.id)
    claimed, final = session.execute(latest).one()
    return max(moment for moment in (claimed, final, campaign.launched_at) if moment is not None)


def _waits_for_its_start(session: Session, campaign: Campaign, *, now: datetime) -> bool:
    """Whether nothing of a canary was sent yet, for its day has not come; so there is nothing to judge."""
    mine = Delivery.campaign_id == campaign.id
    tried, later = exists().where(mine, Delivery.attempt > 0), exists().where(mine, Delivery.state == "queued", Delivery.due_at > now + SOON)
    return session.scalar(select(and_(~tried, later))) or False


def _waits_for_tomorrow(session: Session, campaign: Campaign, *, now: datetime) -> bool:
    """Whether a canary cannot be completed today: its sender's quota of this day is used up."""
    closed = exists().where(Delivery.campaign_id == campaign.id, Delivery.state == "queued", Sender.id == Delivery.sender_id, Sender.quota_until > now)
    return session.scalar(select(closed)) or False


def resting(session: Session, campaign: Campaign, *, settings: Settings, now: datetime) -> bool:
    """Whether waiting for a campaign brings nothing more just now.

    That is when nothing is due, being sent or being settled, and receipts are in or none came for `receipt_wait`. What waits for its
    hours, or for the next day's quota, is not due; what people carry waits for them; and what waits for a person to settle it is not being settled.
    """
    if campaign.state in ("planned", "approved", "paused", "finished", "cancelled"):
        return True
    if _stirs(session, campaign, settings=settings, now=now):
        return False
    if campaign.state == "running" and ladder.is_due(session, campaign, now=now):
        return False
    return not _stirs(session, campaign, settings=settings, now=now)  # what was due a moment ago may have been written since the first look


def _stirs(session: Session, campaign: Campaign, *, settings: Settings, now: datetime) -> bool:
    """Whether something of a campaign is due, being sent, settled or judged, or its receipts are still coming in."""
    opens = hours.campaign_opens_at(settings, campaign.definition.get("pace") or {}, now)
    moving = ("sending", "unknown") if settings.settle == "auto" else ("sending",)
    closed = exists().where(Sender.id == Delivery.sender_id, Sender.quota_until > now)
    due = and_(Delivery.state == "queued", Delivery.due_at <= now + SOON, ~closed)
    mine = and_(Delivery.campaign_id == campaign.id, Delivery.channel.not_in(CARRIED))
    busy = select(func.count()).where(mine, or_(Delivery.state.in_(moving), due if opens <= now else false()))
    judging = campaign.state == "canary" and opens <= now and not _waits_for_its_start(session, campaign, now=now)
    if session.execute(busy).scalar_one() or (judging and not _waits_for_tomorrow(session, campaign, now=now)):
        return True
    waits = select(func.count()).where(mine, Delivery.state == "accepted")
    return bool(session.execute(waits).scalar_one()) and _last_news(session, campaign) > now - settings.receipt_wait
