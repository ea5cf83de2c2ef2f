"""Launch an approved plan: queue its first step, canary first; pause, resume and cancel."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, false, func, insert, literal, null, select, true, update
from sqlalchemy.orm import Session

from outreach.campaigns import approving, conditions, directory, reach
from outreach.contacts import postal
from outreach.database import bulk, tables
from outreach.database.tables import Address, Campaign, CampaignStep, Delivery, Recipient, RecipientContact
from outreach.database.types import Moment
from outreach.errors import Refused
from outreach.outbox import senders
from outreach.outbox.claim import gone
from outreach.outbox.states import CARRIED
from outreach.settings import Settings

FIRST = func.coalesce(RecipientContact.rank, 0) == 0
"""The first contact of a recipient; also of one who has none, and whom a letter or a visit can reach."""
SMALLEST_CANARY, LARGEST_CANARY, CANARY_SHARE = 50, 500, 0.01


class Cancelled(Refused):
    """Campaign {name} was cancelled; plan it under another name."""


class NotRunning(Refused):
    """Campaign {name} is {state}; there is nothing to {verb}."""


def launch(session: Session, name: str, *, settings: Settings, first: int | None, now: datetime) -> Campaign:
    """Queue an approved campaign's first step, or let a paused or running one go on; return it.

    Begins with a canary: one in a hundred, at least 50 and at most 500. `first` is the canary by hand: so many more, then a pause.
    Raises NotApproved, ApprovalVoid and Cancelled.
    """
    campaign = directory.named(session, name, lock=True)
    approving.require_mode(campaign, settings)
    if campaign.state == "cancelled":
        raise Cancelled(name=name)
    if campaign.state == "finished":
        return campaign
    if campaign.launched_at is None:
        approving.require_approved(campaign)
        approving.require_unchanged(session, campaign, settings)
        _begin(session, campaign, first=first, now=now)
    elif first is not None:
        _allow(session, campaign, first)
    elif campaign.state == "paused":
        _go_on(session, campaign)
    return campaign


def _begin(session: Session, campaign: Campaign, *, first: int | None, now: datetime) -> None:
    campaign.launched_at = now
    queue_first_step(session, campaign)
    recipients = int(campaign.summary["recipients"])
    canary = min(max(round(recipients * CANARY_SHARE), SMALLEST_CANARY), LARGEST_CANARY)
    campaign.state, campaign.reason = "canary", None
    campaign.claim_limit = canary
    if _begins_on_paper(session, campaign):  # a print run and a list are looked at before anybody carries them
        campaign.state, campaign.claim_limit = "running", None
    elif first is not None:
        campaign.claim_limit, campaign.reason = first, "first"
    elif canary >= recipients:
        campaign.state, campaign.claim_limit = "running", None
    running = select(func.min(Campaign.served)).where(Campaign.state == "running", Campaign.id != campaign.id)
    campaign.served = session.scalar(running) or 0


def _begins_on_paper(session: Session, campaign: Campaign) -> bool:
    first = select(CampaignStep.channel).where(CampaignStep.campaign_id == campaign.id, CampaignStep.number == 1)
    return session.scalar(first) in CARRIED


def _allow(session: Session, campaign: Campaign, first: int) -> None:
    """Let so many more go, then pause again."""
    campaign.state, campaign.reason = "canary", "first"
    campaign.claim_limit = session.execute(gone(campaign)).scalar_one() + first


def _go_on(session: Session, campaign: Campaign) -> None:
    campaign.state, campaign.reason, campaign.claim_limit = "running", None, None
    of_campaign = select(Delivery.sender_id).where(Delivery.campaign_id == campaign.id, Delivery.state == "queued").distinct()
    senders.resume(session, [key for key in session.scalars(of_campaign) if key is not None])


def begins(campaign: Campaign) -> datetime:
    """Return when a launched campaign begins: at its launch, or at its start if that is later."""
    assert campaign.launched_at is not None
    starts = campaign.definition.get("start")
    return max(campaign.launched_at, datetime.fromisoformat(starts)) if starts else campaign.launched_at


def queue_first_step(session: Session, campaign: Campaign) -> None:
    """Write one delivery for each included recipient, in one statement; town by town where the pace says so.

    Who has signed before a first step that asks `unsigned` counts as included, and is skipped.
    """
    by_town = (campaign.definition.get("pace") or {}).get("waves") == "town"
    step = session.execute(select(CampaignStep).where(CampaignStep.campaign_id == campaign.id, CampaignStep.number == 1)).scalar_one()
    due_at = begins(campaign) + timedelta(seconds=step.after_seconds)
    wanted = conditions.open_for(campaign, step, conditions.goal(session, campaign)) if step.condition == "unsigned" else None
    reach.make_addresses(session, step.channel)
    statement = delivery_rows(campaign, step, occurrence=1, due_at=due_at, wanted=wanted).where(FIRST)
    statement = statement.order_by(*([Recipient.town] if by_town else []), Recipient.id)
    write_deliveries(session, statement)
    bulk.take_stock(session, Delivery)


def delivery_rows(
    campaign: Campaign, step: CampaignStep, *, occurrence: ColumnElement[int] | int, due_at: datetime, wanted: ColumnElement[bool] | None = None
) -> Select[Any]:
    """Return the rows of one step's deliveries, by recipient and contact; a letter and a visit are one a recipient, whatever his contacts.

    One whose contact was erased is skipped (erased), one without an address or sender (no address), and one for whom `wanted` does
    not hold (goal reached). To a phone the address is the one that the plan froze. In WeChat it is the openid bound at this moment, for
    most people follow the account after the plan, and each confirmed by himself whose it is; a letter goes where the enterprise is now.
    """
    carried = step.channel in CARRIED
    erased: ColumnElement[bool] = false() if carried else and_(RecipientContact.rank.is_not(None), tables.Contact.erased_at.is_not(None))
    reachable: ColumnElement[bool]
    if carried:
        reachable = true() if step.channel == "visit" else Address.id.is_not(None)
    else:
        reachable = and_(~erased, Address.id.is_not(None), tables.Sender.id.is_not(None))
    moment = literal(due_at, Moment())
    refusals: list[tuple[ColumnElement[bool], Any]] = [] if wanted is None else [(~wanted, literal("goal_reached"))]
    reason = case(*refusals, (erased, literal("erased")), (~reachable, literal("no_address")), else_=null())
    writable = reachable if wanted is None else and_(wanted, reachable)
    columns: list[Any] = [
        literal(campaign.id).label("campaign_id"),
        Recipient.id.label("recipient_id"),
        literal(step.number).label("step"),
        (literal(occurrence) if isinstance(occurrence, int) else occurrence).label("occurrence"),
        func.coalesce(RecipientContact.rank, 0).label("rank"),
        literal(step.channel).label("channel"),
        (null() if carried else tables.Sender.id).label("sender_id"),
        Address.id.label("address_id"),
        RecipientContact.contact_id.label("contact_id"),
        RecipientContact.revision.label("contact_revision"),
        literal(step.text_id).label("text_id"),
        case((writable, literal("queued")), else_=literal("skipped")).label("state"),
        reason.label("reason"),
        literal(0).label("attempt"),
        (Recipient.segments if step.channel == "sms" else literal(1)).label("segments"),
        moment.label("due_at"),
        case((writable, null()), else_=moment).label("final_at"),
    ]
    return _addressed(select(*columns), campaign, step).where(Recipient.campaign_id == campaign.id, Recipient.exclusion.is_(None))


def _addressed(rows: Select[Any], campaign: Campaign, step: CampaignStep) -> Select[Any]:
    """Join the recipients with their contacts, and each with where this step's message goes and who sends it."""
    of_contact = and_(RecipientContact.recipient_id == Recipient.id, *([FIRST] if step.channel in CARRIED else []))
    rows = rows.select_from(Recipient).outerjoin(RecipientContact, of_contact)
    if step.channel in CARRIED:
        to = postal.addressee(Recipient.id.expression, approved_at=literal(campaign.approved_at, Moment()))
        rows = rows.outerjoin(tables.Enterprise, tables.Enterprise.id == to)
        return rows.outerjoin(Address, and_(Address.channel == step.channel, Address.value == postal.value()))
    named = func.coalesce(literal(step.sender), RecipientContact.sender)
    address: ColumnElement[Any] = reach.openid() if step.channel == "wechat" else RecipientContact.phone.expression
    rows = rows.outerjoin(tables.Contact, tables.Contact.id == RecipientContact.contact_id)
    rows = rows.outerjoin(Address, and_(Address.channel == step.channel, Address.value == address))
    return rows.outerjoin(tables.Sender, and_(tables.Sender.name == named, tables.Sender.mode == campaign.mode))


def write_deliveries(session: Session, rows: Select[Any]) -> None:
    """Insert deliveries from a select, in one statement."""
    names = [column.name for column in rows.selected_columns]
    session.execute(insert(Delivery).from_select(names, rows, include_defaults=False))


def pause(session: Session, name: str) -> dict[str, int]:
    """Stop claiming; return how many were already claimed and may still leave, and how many wait."""
    campaign = directory.named(session, name, lock=True)
    if campaign.state not in ("canary", "running"):
        raise NotRunning(name=name, state=campaign.state, verb="pause")
    campaign.state, campaign.reason = "paused", "staff"
    return _open_counts(session, campaign)


def resume(session: Session, name: str) -> Campaign:
    """Let a paused campaign go on, and the senders that were halted with it."""
    campaign = directory.named(session, name, lock=True)
    if campaign.state != "paused":
        raise NotRunning(name=name, state=campaign.state, verb="resume")
    _go_on(session, campaign)
    return campaign


def cancel(session: Session, name: str, *, now: datetime) -> dict[str, int]:
    """End a campaign: what is queued is skipped; what was claimed may still leave. Return the counts."""
    campaign = directory.named(session, name, lock=True)
    if campaign.state in ("finished", "cancelled"):
        raise NotRunning(name=name, state=campaign.state, verb="cancel")
    counts = _open_counts(session, campaign)
    queued = update(Delivery).where(Delivery.campaign_id == campaign.id, Delivery.state == "queued")
    session.execute(queued.values(state="skipped", reason="cancelled", final_at=now))
    campaign.state, campaign.reason, campaign.finished_at = "cancelled", None, now
    return counts


def _open_counts(session: Session, campaign: Campaign) -> dict[str, int]:
    """Return how many were claimed and may still leave, how many wait, and how many letters are printed, or visits given out."""
    on_the_way = and_(Delivery.state == "accepted", Delivery.channel.in_(CARRIED))
    parts = {"claimed": Delivery.state == "sending", "queued": Delivery.state == "queued", "on_the_way": on_the_way}
    columns = [func.count(case((condition, 1))).label(name) for name, condition in parts.items()]
    row = session.execute(select(*columns).where(Delivery.campaign_id == campaign.id)).one()
    return dict(row._mapping)
