"""Take a slice of what is due: tokens first, then the deliveries and their addresses, in one short transaction.

Lock order everywhere: sender, campaign, addresses by id, deliveries by id. Only the claim takes deliveries and addresses otherwise,
and it never waits for them (SKIP LOCKED). Every due row that is looked at is judged and written, or it would be looked at for ever.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, bindparam, exists, func, literal, literal_column, or_, select, update
from sqlalchemy.orm import Session

from outreach.channels.base import Message
from outreach.database import bulk
from outreach.database.engine import database_now
from outreach.database.pledge_tables import CURRENT, Signature
from outreach.database.tables import (
    Address,
    Campaign,
    CampaignStep,
    Contact,
    Delivery,
    Enterprise,
    MessageText,
    PledgeVersion,
    Recipient,
    RecipientEnterprise,
    Sender,
)
from outreach.database.types import Moment
from outreach.database.wechat_tables import Binding
from outreach.outbox import limits, states, texts
from outreach.outbox.bound import bound, refused_elsewhere
from outreach.outbox.limits import Valve
from outreach.rendering.frontmatter import TemplateInvalid

SIZES = (16, 64, 250)
"""Slices of few fixed sizes: a LIMIT as a parameter makes PostgreSQL choose a plan three times slower."""
WEEK = timedelta(days=7)
SHORT_OF_ROOM = timedelta(milliseconds=200)
PATIENT = "confirmation:"
"""How the purpose begins of messages outside campaigns that can wait for the morning, and that a "no" stops."""
PUT_OFF = ("capped", "hours")
QUEUED: ColumnElement[str] = literal_column("'queued'")
"""As a literal: only then do the partial indexes apply."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What bounds every claim: the lease, the weekly cap of an address (0: none), and when a campaign's pace lets it send."""

    lease: timedelta
    weekly_cap: int
    opens_at: Callable[[Mapping[str, Any], datetime], datetime]
    secrets: texts.Secrets | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is ours until its lease ends."""

    message: Message
    address_id: int
    campaign_id: int | None


@dataclass(frozen=True, slots=True)
class Slice:
    """What one claim took. With nothing taken, `wait` says when to ask again, None that nothing is due."""

    claimed: Sequence[Claimed] = ()
    wait: timedelta | None = None
    lease_until: datetime | None = None


def claim(session: Session, *, sender_id: int, rules: Rules, filed: bool = False) -> Slice:
    """Claim at most a second's worth of one sender's due deliveries, and return them with their bodies.

    `filed` says that the provider writes texts itself, from the id under which each was filed.
    """
    sender = session.execute(select(Sender).where(Sender.id == sender_id).with_for_update(key_share=True)).scalar_one()
    now = database_now(session)
    if sender.paused_at or limits.shut(sender, now):
        return Slice()
    valve = Valve(sender.step_us, sender.burst_us, sender.tat, sender.day, sender.day_used, sender.day_limit)
    room = valve.room(now)
    if room is not None and (room < 1 or valve.wait(now) > timedelta(0)):
        return Slice(wait=valve.wait(now))
    probing = sender.uncertain_run >= limits.BREAKS_AFTER
    hand = _Hand(session, sender, rules, filed, now)
    take = _take(hand, _Room(room, 1 if probing else None))
    if not take.claimed:
        return Slice(wait=timedelta(0) if take.refused else SHORT_OF_ROOM if take.postponed else None)
    after = valve.take(take.segments, now)
    session.execute(update(Sender).where(Sender.id == sender_id).values(tat=after.tat, day=after.day, day_used=after.day_used))
    if probing:  # its answer decides; without one the next probe goes when its lease is over
        session.execute(update(Sender).where(Sender.id == sender_id).values(breaker_until=now + rules.lease))
    return Slice(take.claimed, lease_until=now + rules.lease)


@dataclass(frozen=True, slots=True)
class _Hand:
    """Who claims: for which sender, by which rules, at what moment."""

    session: Session
    sender: Sender
    rules: Rules
    filed: bool
    now: datetime


@dataclass(frozen=True, slots=True)
class _Room:
    """How much one claim may take: segments (the sender's tokens) and messages; None is no limit."""

    segments: int | None
    messages: int | None

    def within(self, messages: int | None) -> "_Room":
        """Return this room with no more than so many messages."""
        bounds = [bound for bound in (self.messages, messages) if bound is not None]
        return _Room(self.segments, min(bounds) if bounds else None)

    @property
    def rows(self) -> int:
        """How many rows to look at: the smallest size that fills this room."""
        wanted = min(SIZES[-1] if bound is None else bound for bound in (self.segments, self.messages))
        return next((size for size in SIZES if size >= wanted), SIZES[-1])


@dataclass(frozen=True, slots=True)
class _Take:
    """What was taken from one queue, its segments, and how many rows were refused.

    `postponed`: something is due that must wait for room; `short`: for the sender's tokens, so nobody behind it may take them.
    """

    claimed: Sequence[Claimed] = ()
    segments: int = 0
    refused: int = 0
    postponed: bool = False
    short: bool = False


def _take(hand: _Hand, room: _Room) -> _Take:
    """Take from the messages outside campaigns first, then from the campaign that was served least."""
    take = _take_from(hand, None, room)
    for campaign in () if take.claimed or take.short else _due_campaigns(hand):
        if hand.rules.opens_at(campaign.definition.get("pace") or {}, hand.now) > hand.now:
            continue
        take = _take_from(hand, campaign, room)
        if take.claimed or take.refused or take.short:
            break
    return take


def _due_campaigns(hand: _Hand) -> Sequence[Campaign]:
    """Lock the campaigns that have something due, by id as everywhere, and return those first that were served least."""
    due = exists().where(
        Delivery.campaign_id == Campaign.id,
        Delivery.sender_id == hand.sender.id,
        Delivery.state == QUEUED,
        Delivery.due_at <= hand.now,
    )
    statement = select(Campaign).where(Campaign.state.in_(("canary", "running")), due).order_by(Campaign.id).with_for_update(key_share=True)
    return sorted(hand.session.execute(statement).scalars().all(), key=lambda campaign: (campaign.served, campaign.id))


def _take_from(hand: _Hand, campaign: Campaign | None, room: _Room) -> _Take:
    session, now, rules = hand.session, hand.now, hand.rules
    room = room.within(_room_in_messages(session, campaign, now))
    if room.messages is not None and room.messages < 1:
        return _Take(postponed=campaign is not None and campaign.claim_limit is None)
    alone = campaign is None
    parameters = {"sender": hand.sender.id, "now": now} | ({"campaign": campaign.id} if campaign else {})
    rows = bulk.fetch(session, _due_rows(room.rows, alone=alone, channel=hand.sender.channel), parameters)
    opens = rules.opens_at({}, now) if alone and rows else now
    judged = {row.id: verdict_alone(row, asleep=opens > now) if alone else verdict(row, now=now, weekly_cap=rules.weekly_cap) for row in rows}
    judged |= dict.fromkeys(_signed_before(session, campaign, [row for row in rows if judged[row.id] is None]), "goal_reached")
    going_on = [row for row in rows if judged[row.id] is None]
    chosen = _within(room, going_on)
    claimed, unwritable = _write_bodies(hand, chosen, campaign)
    refused = [(row, word) for row in rows if (word := judged[row.id])] + unwritable
    _write_refusals(session, refused, now=now, opens=opens)
    going = [row for row in chosen if row.id in claimed]
    _write_claims(session, going, now=now, rules=rules, alone=alone)
    _keep_generations(session, [] if alone else [row for row in going if texts.reads_secrets(session, row.digest)])
    segments = sum(row.segments for row in going)
    if campaign is not None and going:
        paced = _pace(campaign).take(len(going), now)
        session.execute(update(Campaign).where(Campaign.id == campaign.id).values(served=Campaign.served + segments, tat=paced.tat))
    return _Take(list(claimed.values()), segments, len(refused), postponed=bool(rows) and not going, short=bool(going_on) and not chosen)


def _pace(campaign: Campaign) -> Valve:
    per_hour = (campaign.definition.get("pace") or {}).get("per_hour") or 0
    step = limits.step_us(per_hour / 3600)
    return Valve(step, max(step, 60 * limits.SECOND), campaign.tat)


def _room_in_messages(session: Session, campaign: Campaign | None, now: datetime) -> int | None:
    """Return how many messages a campaign may still send now: its canary's size and its pace; None is no limit."""
    if campaign is None:
        return None
    rooms = [room for room in (_pace(campaign).room(now),) if room is not None]
    if campaign.claim_limit is not None:
        rooms.append(campaign.claim_limit - session.execute(gone(campaign)).scalar_one())
    return min(rooms) if rooms else None


def gone(campaign: Campaign) -> Select[int]:
    """Select how many messages of a campaign were claimed and may have left; what people carry is not among them."""
    sent = (Delivery.attempt > 0, Delivery.state.not_in(("queued", "skipped")), Delivery.channel.not_in(states.CARRIED))
    return select(func.count()).where(Delivery.campaign_id == campaign.id, *sent)


def _due_rows(size: int, *, alone: bool, channel: str) -> Select[Any]:
    """Return the select of the first due deliveries, with all that the judgement and the text need.

    An openid may be written to only while it is bound to the contact.
    """
    open_enterprises = (
        select(func.count())
        .select_from(RecipientEnterprise)
        .join(Enterprise, Enterprise.id == RecipientEnterprise.enterprise_id)
        .where(RecipientEnterprise.recipient_id == Delivery.recipient_id)
        .where(or_(Enterprise.settled_at.is_(None), Enterprise.settled_at <= Campaign.approved_at))
        .correlate(Delivery, Campaign)
        .scalar_subquery()
    )
    columns: list[Any] = [
        Delivery.id,
        Delivery.address_id,
        Delivery.recipient_id,
        Delivery.rank,
        Delivery.attempt,
        Delivery.segments,
        MessageText.digest,
        Delivery.contact_revision,
        Address.value,
        Address.suppressed_at,
        Address.cap_used,
        Address.cap_from,
    ]
    statement = select(*columns).select_from(Delivery).join(Address, Address.id == Delivery.address_id).join(MessageText, MessageText.id == Delivery.text_id)
    if alone:
        statement = statement.add_columns(Delivery.fields, Delivery.purpose).where(Delivery.campaign_id.is_(None))
    else:
        mine = exists().where(Binding.openid == Address.value, bound()).correlate(Address, Contact)
        statement = (
            statement.add_columns(
                (mine if channel == "wechat" else literal(True)).label("bound"),
                refused_elsewhere(channel).label("refused"),
                Delivery.step,
                Recipient.fields,
                Recipient.generation,
                Recipient.stopped_at,
                Contact.revision,
                Contact.erased_at,
                open_enterprises.label("open_enterprises"),
            )
            .join(Recipient, Recipient.id == Delivery.recipient_id)
            .join(Contact, Contact.id == Delivery.contact_id)
            .join(Campaign, Campaign.id == Delivery.campaign_id)
            .where(Delivery.campaign_id == bindparam("campaign"), Address.holder.is_(None))
        )
    return (
        statement.where(Delivery.sender_id == bindparam("sender"), Delivery.state == QUEUED, Delivery.due_at <= bindparam("now", type_=Moment()))
        .order_by(Delivery.due_at, Delivery.id)
        .limit(literal_column(str(size)))
        .with_for_update(skip_locked=True, key_share=True, of=[Delivery, Address])
    )


def verdict(row: Row[Any], *, now: datetime, weekly_cap: int) -> str | None:
    """Say why a due delivery may not go: a skip reason, `capped` (it stays queued), or None for "send it"."""
    if row.open_enterprises == 0:
        return "goal_reached"
    if row.stopped_at is not None:
        return "stopped"
    if row.erased_at is not None:
        return "erased"
    if row.revision != row.contact_revision or not row.bound:
        return "address_changed"
    if row.suppressed_at is not None or row.refused:
        return "suppressed"
    if weekly_cap and row.attempt == 0 and row.cap_from and row.cap_from > now - WEEK and row.cap_used >= weekly_cap:
        return "capped"
    return None


def verdict_alone(row: Row[Any], *, asleep: bool) -> str | None:
    """Say why a due message outside campaigns may not go: codes and tests always may, what can wait is not written to who sleeps or said no."""
    if not row.purpose.startswith(PATIENT):
        return None
    if row.suppressed_at is not None:
        return "suppressed"
    return "hours" if asleep else None


def _signed_before(session: Session, campaign: Campaign | None, rows: Sequence[Row[Any]]) -> Sequence[int]:
    """Return the deliveries of an `unsigned` step whose recipient has signed for everybody since they were written.

    A signature stops what it settles by itself; this sees to who speaks for others too, that had signed before the approval.
    """
    if campaign is None or campaign.pledge_version_id is None:
        return []
    steps = select(CampaignStep.number).where(CampaignStep.campaign_id == campaign.id, CampaignStep.condition == "unsigned")
    asking = set(session.scalars(steps))
    mine = [row.id for row in rows if row.step in asking]
    if not mine:
        return []
    pledge = select(PledgeVersion.pledge).where(PledgeVersion.id == campaign.pledge_version_id).scalar_subquery()
    stands = exists().where(Signature.enterprise_id == Enterprise.id, Signature.pledge == pledge, Signature.state.in_(CURRENT)).correlate(Enterprise)
    left = exists().where(
        RecipientEnterprise.recipient_id == Delivery.recipient_id,
        Enterprise.id == RecipientEnterprise.enterprise_id,
        or_(Enterprise.settled_at.is_(None), Enterprise.settled_at <= campaign.approved_at),
        ~stands,
    )
    return session.scalars(select(Delivery.id).where(Delivery.id.in_(mine), ~left.correlate(Delivery))).all()


def _within(room: _Room, rows: Sequence[Row[Any]]) -> list[Row[Any]]:
    """Take rows in order while tokens last, one an address: the second one on a phone waits until the first is settled."""
    chosen: list[Row[Any]] = []
    seen: set[int] = set()
    left = room.segments
    for row in rows:
        if row.address_id in seen:
            continue
        if room.messages is not None and len(chosen) >= room.messages:
            break
        if left is not None and (left := left - row.segments) < 0:
            break
        seen.add(row.address_id)
        chosen.append(row)
    return chosen


def _write_bodies(hand: _Hand, rows: Sequence[Row[Any]], campaign: Campaign | None) -> tuple[dict[int, Claimed], list[tuple[Row[Any], str]]]:
    """Write the message of each row; one that cannot be written is refused alone and holds up nobody."""
    session = hand.session
    claimed: dict[int, Claimed] = {}
    unwritable: list[tuple[Row[Any], str]] = []
    shared = campaign.fields if campaign else {}
    others = texts.names_of_alternates(session, rows) if campaign else {}
    for row in rows:
        fields = {**shared, **(row.fields or {})} | ({"contact": others[row.id]} if row.id in others else {})
        generation = row.generation if campaign else None
        fields = texts.with_secrets(session, row.digest, fields, hand.rules.secrets, recipient=row.recipient_id, generation=generation)
        try:
            said = texts.written(session, row.digest, fields, filed=hand.filed)
        except TemplateInvalid:
            unwritable.append((row, "content"))
            continue
        message = Message(row.id, row.attempt + 1, row.value, said.body, said.template, said.variables, said.link, said.via)
        claimed[row.id] = Claimed(message, row.address_id, campaign.id if campaign else None)
    return claimed, unwritable


def _write_refusals(session: Session, refused: Sequence[tuple[Row[Any], str]], *, now: datetime, opens: datetime) -> None:
    """Write down why each may not go; what is only put off stays queued until it may."""
    put_off = [{"id": row.id, "due_at": opens if word == "hours" else row.cap_from + WEEK} for row, word in refused if word in PUT_OFF]
    final = [
        {"id": row.id, "state": "failed" if word == "content" else "skipped", "reason": word, "final_at": now} for row, word in refused if word not in PUT_OFF
    ]
    bulk.update_rows(session, Delivery, final, keys=["id"], sets=["state", "reason", "final_at"])
    bulk.update_rows(session, Delivery, put_off, keys=["id"], sets=["due_at"])


def _write_claims(session: Session, rows: Sequence[Row[Any]], *, now: datetime, rules: Rules, alone: bool) -> None:
    leases = [{"id": row.id, "attempt": row.attempt + 1, "claimed_at": now, "lease_until": now + rules.lease} for row in rows]
    bulk.update_rows(session, Delivery, leases, keys=["id"], sets=["attempt", "claimed_at", "lease_until"], extra="state = 'sending'")
    if alone:
        return  # a one-time code must not wait for an unknown campaign text, nor hold up one
    flights = []
    for row in rows:
        used, since = row.cap_used, row.cap_from
        if row.attempt == 0:  # what was put off and is tried again counts once
            fresh = since is None or since <= now - WEEK
            used, since = (1, now) if fresh else (used + 1, since)
        flights.append({"id": row.address_id, "holder": row.id, "cap_used": used, "cap_from": since})
    bulk.update_rows(session, Address, flights, keys=["id"], sets=["holder", "cap_used", "cap_from"])


def _keep_generations(session: Session, rows: Sequence[Row[Any]]) -> None:
    """Keep which generation of the personal link went out: asked later what became of it, the same body must be written again."""
    bulk.update_rows(session, Delivery, [{"id": row.id, "generation": row.generation} for row in rows], keys=["id"], sets=["generation"])
