"""What nobody knows yet: leases that ran out, and answers that never came. Settled by asking the provider, never by a guess.

The promise "never twice" holds while the provider's list lags less than `settle_grace`: only after lease + time-out + grace does "not
in the list" mean "never had it". A double that shows itself later is counted in the statement as `doubled`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Boolean, ColumnElement, and_, literal_column, or_, select
from sqlalchemy.orm import Session

from outreach.channels.base import Found, Message, Receipt
from outreach.database import bulk
from outreach.database.engine import database_now
from outreach.database.tables import Address, Campaign, Delivery, MessageText, Recipient, Sender
from outreach.outbox import limits, receipts, texts
from outreach.outbox.claim import Claimed

ASKED_ABOUT = ("unknown", "review")
_ASKED_ABOUT: ColumnElement[bool] = literal_column("delivery.state in ('unknown', 'review')", Boolean())
"""As a literal: only then does the partial index apply."""
SILENCED = ("accepted", *ASKED_ABOUT)
"""States that end as silent when nothing came within the channel's patience."""
BATCH = 200
ASK_AGAIN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Grace:
    """What must have passed since a claim before "not in the provider's list" may be believed, and who decides then."""

    lease: timedelta
    request_timeout: timedelta
    settle_grace: timedelta
    by_person: bool = False

    def over(self, claimed_at: datetime) -> datetime:
        """Return the moment from which silence of the list counts."""
        return claimed_at + self.lease + self.request_timeout + self.settle_grace


@dataclass(frozen=True, slots=True)
class Question:
    """A delivery to ask the provider about: an unknown one, or one under review whose verdict is awaited.

    `welcome` says whether it could still be sent once more as the same attempt: nobody said no meanwhile, and the sender is not halted.
    """

    message: Message
    claimed_at: datetime
    asked_at: datetime
    address_id: int
    campaign_id: int | None
    review: bool = False
    welcome: bool = False

    @property
    def claimed(self) -> Claimed:
        """What was claimed then."""
        return Claimed(self.message, self.address_id, self.campaign_id)

    def repeatable(self, span: timedelta, request_timeout: timedelta) -> bool:
        """Whether the same attempt can be sent again so that it arrives within `span` of its first try, of which the claim is the earliest."""
        return self.welcome and not self.review and self.asked_at + request_timeout < self.claimed_at + span


@dataclass(frozen=True, slots=True)
class Answer:
    """What the provider's list showed for a question; `found` is empty when it never had the message, None when it did not answer."""

    question: Question
    found: Sequence[Found] | None


def expire(session: Session) -> int:
    """Turn deliveries whose lease ran out into unknown ones; their addresses stay held. Return how many.

    What a late answer or a receipt is just being written to is left for the next time: this waits for nobody.
    """
    now = database_now(session)
    over = select(Delivery.id).where(Delivery.state == "sending", Delivery.lease_until < now)
    ids = session.scalars(over.order_by(Delivery.id).with_for_update(skip_locked=True, key_share=True)).all()
    rows = [{"id": key, "state": "unknown", "reason": "lease_over", "due_at": now} for key in ids]
    bulk.update_rows(session, Delivery, rows, keys=["id"], sets=["state", "reason", "due_at"], extra="lease_until = null")
    return len(ids)


def questions(session: Session, *, sender_id: int, grace: Grace, secrets: texts.Secrets | None = None, filed: bool = False) -> list[Question]:
    """Return the deliveries whose turn it is to be asked about, and put their next turn after the answer."""
    now = database_now(session)
    sender = session.execute(select(Sender).where(Sender.id == sender_id)).scalar_one()
    going = sender.paused_at is None and not limits.shut(sender, now)
    columns: list[Any] = [
        Delivery.id,
        Delivery.state,
        Delivery.campaign_id,
        Delivery.recipient_id,
        Delivery.address_id,
        Delivery.rank,
        Delivery.attempt,
        Delivery.generation,
        Delivery.claimed_at,
        Address.suppressed_at,
        Delivery.fields.label("own"),
        Recipient.fields.label("personal"),
        Campaign.fields.label("shared"),
        Address.value,
        MessageText.digest,
    ]
    statement = (
        select(*columns)
        .join(Address, Address.id == Delivery.address_id)
        .join(MessageText, MessageText.id == Delivery.text_id)
        .outerjoin(Recipient, Recipient.id == Delivery.recipient_id)
        .outerjoin(Campaign, Campaign.id == Delivery.campaign_id)
        .where(_ASKED_ABOUT, Delivery.sender_id == sender_id, Delivery.due_at <= now)
        .order_by(Delivery.due_at, Delivery.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True, key_share=True, of=Delivery)
    )
    asked = []
    rows = session.execute(statement).all()
    others = texts.names_of_alternates(session, rows)
    for row in rows:
        fields = {**(row.shared or {}), **(row.personal or row.own or {})} | ({"contact": others[row.id]} if row.id in others else {})
        fields = texts.with_secrets(session, row.digest, fields, secrets, recipient=row.recipient_id, generation=row.generation)
        said = texts.written(session, row.digest, fields, filed=filed)
        message = Message(row.id, row.attempt, row.value, said.body, said.template, said.variables, said.link, said.via)
        welcome = going and row.suppressed_at is None
        asked.append(Question(message, row.claimed_at, now, row.address_id, row.campaign_id, row.state == "review", welcome))
    turns = [{"id": item.message.delivery, "due_at": _next_turn(item, grace, now)} for item in asked]
    bulk.update_rows(session, Delivery, turns, keys=["id"], sets=["due_at"])
    return asked


def _next_turn(question: Question, grace: Grace, now: datetime) -> datetime:
    """Ask again when silence begins to count, else after a while: a worker that dies while asking loses no question."""
    over = grace.over(question.claimed_at)
    return over if over > now else now + ASK_AGAIN


def answer(session: Session, *, provider: str, answers: Sequence[Answer], grace: Grace, now: datetime) -> None:
    """Settle by what the provider's list showed: found is accepted; never had it, when that may be believed, is queued again."""
    answered = [item for item in answers if item.found is not None]
    busy = _lock_addresses(session, [item.question.message.delivery for item in answered])
    taken = _bound(session, [found.reference for item in answered for found in item.found or ()])
    news = []
    answered = [item for item in answered if not (item.found and item.question.message.delivery in busy)]  # what was found may be the other's: ask later
    for item in answered:
        message = item.question.message
        free = next((found for found in item.found or () if taken.setdefault(found.reference, message.delivery) == message.delivery), None)
        if free and item.question.review:
            news.append(Receipt(provider, free.reference, free.status, message.delivery, message.attempt, free.error_code, free.kind))
        elif free:
            news.append(Receipt(provider, free.reference, "accepted", message.delivery, message.attempt))
    receipts.apply(session, news, now=now)
    proven = {item.delivery for item in news}
    absent = [item.question for item in answered if item.question.message.delivery not in proven and not item.question.review]
    believed = [question for question in absent if question.asked_at >= grace.over(question.claimed_at)]
    if not grace.by_person:
        send_again(session, [(question.message.delivery, question.message.attempt) for question in believed], now=now)


def _lock_addresses(session: Session, deliveries: Sequence[int]) -> set[int]:
    """Lock the addresses of deliveries, and return those deliveries to whose address another message is just being sent."""
    rows = session.execute(select(Delivery.id, Delivery.address_id).where(Delivery.id.in_(deliveries))).all()
    addresses = {row.address_id for row in rows if row.address_id is not None}
    bulk.lock_rows(session, Address, addresses)
    sending = select(Delivery.address_id).where(Delivery.address_id.in_(addresses), Delivery.state == "sending", Delivery.id.not_in(deliveries))
    crowded = set(session.scalars(sending))
    return {row.id for row in rows if row.address_id in crowded}


def _bound(session: Session, references: Sequence[str]) -> dict[str, int]:
    rows = session.execute(select(Delivery.reference, Delivery.id).where(Delivery.reference.in_([name for name in references if name])))
    return {row.reference: row.id for row in rows if row.reference}


def send_again(session: Session, attempts: Sequence[tuple[int, int]], *, now: datetime) -> int:
    """Queue again what the provider never had, where it is still the same attempt; return how many."""
    return _decide(session, attempts, state="queued", reason=None, now=now)


def decide(session: Session, *, delivery: int, verdict: str, now: datetime) -> bool:
    """Settle one unknown delivery by a person's verdict: accepted, again or failed. Return whether it was unknown."""
    attempt = session.scalar(select(Delivery.attempt).where(Delivery.id == delivery, Delivery.state == "unknown"))
    if attempt is None:
        return False
    state = {"accepted": "accepted", "again": "queued", "failed": "failed"}[verdict]
    return bool(_decide(session, [(delivery, attempt)], state=state, reason="person", now=now))


def _decide(session: Session, attempts: Sequence[tuple[int, int]], *, state: str, reason: str | None, now: datetime) -> int:
    ids = dict(attempts)
    rows = session.execute(select(Delivery.id, Delivery.address_id).where(Delivery.id.in_(ids))).all()
    bulk.lock_rows(session, Address, [row.address_id for row in rows])
    final = now if state == "failed" else None
    changes = [{"id": key, "attempt": attempt, "state": state, "reason": reason, "due_at": now, "final_at": final} for key, attempt in sorted(attempts)]
    sets = ["state", "reason", "due_at", "final_at"]
    bulk.update_rows(session, Delivery, changes, keys=["id", "attempt"], sets=sets, where="d.state = 'unknown'")
    receipts.release(session, [(row.address_id, row.id) for row in rows])
    return len(rows)


def fall_silent(session: Session, *, patience: dict[str, timedelta], now: datetime) -> int:
    """Close what no receipt came for within the channel's patience; return how many."""
    waited = or_(*(and_(Delivery.channel == channel, Delivery.claimed_at < now - span) for channel, span in patience.items()))
    over = and_(Delivery.state.in_(SILENCED), waited)
    rows = session.execute(select(Delivery.id, Delivery.address_id).where(over).order_by(Delivery.id).limit(5000)).all()
    bulk.lock_rows(session, Address, [row.address_id for row in rows])
    closed = [{"id": row.id, "final_at": now} for row in rows]
    bulk.update_rows(session, Delivery, closed, keys=["id"], sets=["final_at"], extra="state = 'silent'", where="d.state in ('accepted', 'unknown', 'review')")
    receipts.release(session, [(row.address_id, row.id) for row in rows])
    return len(rows)
