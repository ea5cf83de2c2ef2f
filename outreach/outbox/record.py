"""Write down what became of a slice: in one transaction, and only where the delivery is still ours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from outreach.channels.base import Accepted, Deferred, Outcome, Receipt, Rejected, Review, Uncertain
from outreach.database import bulk
from outreach.database.engine import database_now
from outreach.database.tables import Address, Delivery, Sender
from outreach.outbox import limits, receipts
from outreach.outbox.claim import Claimed

SUPPRESSING = ("address", "opted_out")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait: before the provider is first asked about an unknown delivery, and while the breaker is open."""

    first_question: timedelta
    breaker: timedelta


def record(session: Session, *, sender_id: int, provider: str, answers: Sequence[tuple[Claimed, Outcome]], patience: Patience) -> None:
    """Record one outcome for each claimed delivery. What is no longer ours is kept as a receipt: the provider's reference is never lost."""
    _record(session, sender_id, provider, answers, patience=patience, before="sending")


def record_again(session: Session, *, sender_id: int, provider: str, answers: Sequence[tuple[Claimed, Outcome]], patience: Patience) -> None:
    """Record what the provider said when unknown deliveries were sent once more as the same attempt; what it left open stays unknown."""
    open_still = [outcome for _claimed, outcome in answers if not _settles(outcome)]
    now = database_now(session)
    _count_strain(session, sender_id, open_still, now=now, patience=patience)
    _close_day(session, sender_id, open_still, now=now)
    halted = [outcome.code for outcome in open_still if isinstance(outcome, Rejected)]
    receipts.halt_senders(session, {sender_id: halted[-1]} if halted else {}, now=now)
    settled = [(claimed, outcome) for claimed, outcome in answers if _settles(outcome)]
    _record(session, sender_id, provider, settled, patience=patience, before="unknown")


def _settles(outcome: Outcome) -> bool:
    """Whether an answer to a repeated message says what became of it; a refusal of the account does not."""
    return isinstance(outcome, Accepted | Review) or (isinstance(outcome, Rejected) and outcome.kind != "account")


def _record(session: Session, sender_id: int, provider: str, answers: Sequence[tuple[Claimed, Outcome]], *, patience: Patience, before: str) -> None:
    if any(not isinstance(outcome, Accepted) for _claimed, outcome in answers):
        session.execute(select(Sender.id).where(Sender.id == sender_id).with_for_update(key_share=True))
    now = database_now(session)
    outcomes = [outcome for _claimed, outcome in answers]
    _count_strain(session, sender_id, outcomes, now=now, patience=patience)
    _close_day(session, sender_id, outcomes, now=now)
    bulk.lock_rows(session, Address, [claimed.address_id for claimed, _outcome in answers])
    ours = _still_ours(session, [claimed for claimed, _outcome in answers], before)
    kept = [(claimed, outcome) for claimed, outcome in answers if claimed.message.delivery in ours]
    rows = [_row(claimed, outcome, now=now, patience=patience) for claimed, outcome in kept]
    columns = ["state", "reason", "error_code", "reference", "due_at", "final_at"]
    bulk.update_rows(session, Delivery, rows, keys=["id"], sets=columns, extra="lease_until = null")
    receipts.release(session, [(claimed.address_id, claimed.message.delivery) for claimed, outcome in kept if not isinstance(outcome, Uncertain | Review)])
    _suppress(session, kept, now=now)
    _halt(session, sender_id, kept, now=now)
    late = [_as_receipt(claimed, outcome, provider) for claimed, outcome in answers if claimed.message.delivery not in ours]
    receipts.apply(session, [receipt for receipt in late if receipt], now=now)


def _still_ours(session: Session, claimed: Sequence[Claimed], before: str) -> set[int]:
    attempts = {item.message.delivery: item.message.attempt for item in claimed}
    statement = select(Delivery.id, Delivery.attempt).where(Delivery.id.in_(attempts), Delivery.state == before).order_by(Delivery.id)
    rows = bulk.fetch(session, statement.limit(len(attempts)).with_for_update(key_share=True))
    return {row.id for row in rows if attempts[row.id] == row.attempt}


def _row(claimed: Claimed, outcome: Outcome, *, now: datetime, patience: Patience) -> Mapping[str, Any]:
    row: dict[str, Any] = {"id": claimed.message.delivery, "reason": None, "error_code": None, "reference": None, "due_at": now, "final_at": None}
    match outcome:
        case Accepted(reference):
            return row | {"state": "accepted", "reference": reference or None}
        case Review(reference):
            return row | {"state": "review", "reference": reference or None, "due_at": now + patience.first_question}
        case Rejected("account", code):
            return row | {"state": "queued", "error_code": code}  # the account's fault is not this person's: it waits for the cure
        case Rejected(kind, code):
            return row | {"state": "failed", "reason": kind, "error_code": code, "final_at": now}
        case Deferred(wait, _strained, day_over):
            return row | {"state": "queued", "due_at": limits.next_day(now) if day_over else now + wait}
        case Uncertain(reason):
            return row | {"state": "unknown", "reason": reason, "due_at": now + patience.first_question}


def _as_receipt(claimed: Claimed, outcome: Outcome, provider: str) -> Receipt | None:
    if isinstance(outcome, Accepted | Review):
        return Receipt(provider, outcome.reference, "accepted", claimed.message.delivery, claimed.message.attempt)
    return None


def _suppress(session: Session, answers: Sequence[tuple[Claimed, Outcome]], *, now: datetime) -> None:
    rows = [
        {"id": claimed.address_id, "suppressed_at": now, "suppressed_reason": outcome.kind, "suppressed_source": outcome.code}
        for claimed, outcome in answers
        if isinstance(outcome, Rejected) and outcome.kind in SUPPRESSING
    ]
    receipts.suppress(session, rows)


def _halt(session: Session, sender_id: int, answers: Sequence[tuple[Claimed, Outcome]], *, now: datetime) -> None:
    """Halt what the provider refuses as a whole: the sender for its account, the campaign for its text."""
    refusals = [(claimed, outcome) for claimed, outcome in answers if isinstance(outcome, Rejected)]
    codes = [outcome.code for _claimed, outcome in refusals if outcome.kind == "account"]
    receipts.halt_senders(session, {sender_id: codes[-1]} if codes else {}, now=now)
    campaigns = {claimed.campaign_id for claimed, outcome in refusals if outcome.kind == "content" and claimed.campaign_id}
    receipts.halt_campaigns(session, campaigns)


def _close_day(session: Session, sender_id: int, outcomes: Sequence[Outcome], *, now: datetime) -> None:
    """Close a sender until midnight in Shanghai, once the provider said that the quota of this day is used up."""
    if any(isinstance(outcome, Deferred) and outcome.day_over for outcome in outcomes):
        session.execute(update(Sender).where(Sender.id == sender_id).values(quota_until=limits.next_day(now)))


def _count_strain(session: Session, sender_id: int, outcomes: Sequence[Outcome], *, now: datetime, patience: Patience) -> None:
    """Count uncertain and strained answers in a row; enough of them open the breaker, one good answer closes it.

    What was given back unsent, without the provider's fault, says nothing of it.
    """
    mine = update(Sender).where(Sender.id == sender_id)
    run, good = 0, False
    for outcome in outcomes:
        if isinstance(outcome, Uncertain) or (isinstance(outcome, Deferred) and outcome.strained):
            run += 1
        elif not isinstance(outcome, Deferred) or outcome.day_over:
            run, good = 0, True
    if good:
        session.execute(mine.where(Sender.uncertain_run > 0).values(uncertain_run=0, breaker_until=None))
    if run:
        session.execute(mine.values(uncertain_run=Sender.uncertain_run + run))
        session.execute(mine.where(Sender.uncertain_run >= limits.BREAKS_AFTER).values(breaker_until=now + patience.breaker))
