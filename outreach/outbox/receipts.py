"""What comes back: receipts and replies are stored first, then move their deliveries forward by rank; nothing is lost, nothing counts twice."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.orm import Session

from outreach.channels.base import Receipt, Reply
from outreach.database import bulk, tables
from outreach.database.tables import FINAL, HOLDING, Address, Campaign, Delivery
from outreach.outbox import states

MATCH_FOR = timedelta(days=14)
SUPPRESSING = ("address", "opted_out")


def store(session: Session, items: Sequence[Receipt | Reply], *, now: datetime) -> None:
    """Keep what came in, and apply it, in the caller's transaction: it may be answered once that is committed."""
    news = [item for item in items if isinstance(item, Receipt)]
    matched = apply(session, news, now=now)
    rows = [
        {
            "provider": item.provider,
            "delivery_id": matched.get(item.reference),
            "attempt": item.attempt,
            "reference": item.reference,
            "status": item.status,
            "error_code": item.error_code,
            "received_at": now,
        }
        for item in news
    ]
    bulk.insert_rows(session, tables.Receipt, rows)
    _store_replies(session, [item for item in items if isinstance(item, Reply)], now=now)


def apply(session: Session, news: Sequence[Receipt], *, now: datetime) -> dict[str, int]:
    """Move deliveries forward by what receipts say, and return the delivery of each reference that is known."""
    if not news:
        return {}
    deliveries = _locked(session, news)
    by_reference = {row.reference: row.id for row in deliveries.values() if row.reference}
    of_delivery: dict[int, list[Receipt]] = defaultdict(list)
    matched: dict[str, int] = {}
    for item in news:
        known = item.delivery if item.delivery in deliveries else by_reference.get(item.reference)
        if known is not None:
            of_delivery[known].append(item)
            matched[item.reference] = known
    changes = [change for key, items in of_delivery.items() if (change := _change(deliveries[key], items, now=now))]
    columns = ["state", "reason", "error_code", "reference", "doubled", "final_at"]
    bulk.update_rows(session, Delivery, changes, keys=["id"], sets=columns, extra="lease_until = null")
    release(session, [(deliveries[change["id"]].address_id, change["id"]) for change in changes if change["state"] not in HOLDING])
    _act_on_kinds(session, deliveries, of_delivery, now=now)
    return matched


def _locked(session: Session, news: Sequence[Receipt]) -> dict[int, Row[Any]]:
    columns: list[Any] = [
        Delivery.id,
        Delivery.state,
        Delivery.attempt,
        Delivery.reference,
        Delivery.address_id,
        Delivery.campaign_id,
        Delivery.doubled,
        Delivery.reason,
        Delivery.error_code,
        Delivery.final_at,
    ]
    ids = {item.delivery for item in news if item.delivery is not None}
    named = {item.reference for item in news if item.delivery is None}
    if named:
        ids |= set(session.scalars(select(Delivery.id).where(Delivery.reference.in_(named))))
    addresses = session.scalars(select(Delivery.address_id).where(Delivery.id.in_(ids))).all()
    bulk.lock_rows(session, Address, [address for address in addresses if address is not None])
    statement = select(*columns).where(Delivery.id.in_(ids)).order_by(Delivery.id).with_for_update(key_share=True)
    return {row.id: row for row in session.execute(statement)}


def _change(row: Row[Any], items: Sequence[Receipt], *, now: datetime) -> dict[str, Any] | None:
    """Return what several receipts make of one delivery, or None when they bring nothing new."""
    mine = [item for item in items if item.attempt is None or item.attempt <= row.attempt]
    if not mine:
        return None
    state = states.after_all(row.state, [item.status for item in mine])
    reference, doubled = row.reference, row.doubled
    for item in mine:
        if reference is None:
            reference = item.reference
        elif reference != item.reference:
            doubled = True
    decisive = next((item for item in mine if item.status == state and item.status != row.state), None)
    if (state, reference, doubled) == (row.state, row.reference, row.doubled):
        return None
    if state == row.state:
        decided = {"reason": row.reason, "error_code": row.error_code, "final_at": row.final_at}
    else:
        code, kind = (decisive.error_code, decisive.kind) if decisive else (None, None)
        decided = {"reason": kind, "error_code": code, "final_at": now if state in FINAL else None}
    return {"id": row.id, "state": state, "reference": reference, "doubled": doubled, **decided}


def release(session: Session, pairs: Iterable[tuple[int | None, int]]) -> None:
    """Let go of addresses whose delivery is in flight no longer."""
    rows = [{"id": address, "holder": delivery} for address, delivery in pairs if address is not None]
    flying = "not exists (select 1 from delivery f where f.id = d.holder and f.state in ('sending', 'unknown', 'review'))"
    bulk.update_rows(session, Address, rows, keys=["id", "holder"], sets=[], where=flying, extra="holder = null")


def suppress(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put addresses on the list of those not to be written to: `id`, `suppressed_at`, `suppressed_reason`, `suppressed_source`."""
    sets = ["suppressed_at", "suppressed_reason", "suppressed_source"]
    bulk.update_rows(session, Address, sorted(rows, key=lambda row: row["id"]), keys=["id"], sets=sets, where="d.suppressed_at is null")


def halt_campaigns(session: Session, ids: Collection[int]) -> None:
    """Pause campaigns whose text the provider refuses: every further message of theirs would be refused too."""
    if ids:
        running = Campaign.state.in_(("canary", "running"))
        session.execute(update(Campaign).where(Campaign.id.in_(ids), running).values(state="paused", reason="content"))


def _act_on_kinds(session: Session, deliveries: Mapping[int, Row[Any]], of_delivery: Mapping[int, Sequence[Receipt]], *, now: datetime) -> None:
    refusals = [(deliveries[key], item) for key, items in of_delivery.items() for item in items if item.kind]
    suppress(
        session,
        [
            {"id": row.address_id, "suppressed_at": now, "suppressed_reason": item.kind, "suppressed_source": item.error_code}
            for row, item in refusals
            if item.kind in SUPPRESSING and row.address_id is not None
        ],
    )
    halt_campaigns(session, {row.campaign_id for row, item in refusals if item.kind == "content" and row.campaign_id})


def match_kept(session: Session, *, now: datetime) -> int:
    """Try once more to match receipts that came before anybody knew their message; return how many found theirs."""
    kept = tables.Receipt
    statement = (
        select(kept.id, kept.provider, kept.reference, kept.status, kept.error_code, Delivery.id.label("found"))
        .join(Delivery, Delivery.reference == kept.reference)
        .where(kept.delivery_id.is_(None), kept.received_at > now - MATCH_FOR)
        .limit(1000)
    )
    rows = session.execute(statement).all()
    apply(session, [Receipt(row.provider, row.reference, row.status, row.found, None, row.error_code) for row in rows], now=now)
    bulk.update_rows(session, kept, [{"id": row.id, "delivery_id": row.found} for row in rows], keys=["id"], sets=["delivery_id"])
    return len(rows)


def _store_replies(session: Session, replies: Sequence[Reply], *, now: datetime) -> None:
    if not replies:
        return
    rows = [
        {
            "channel": reply.channel,
            "reference": reply.reference,
            "sender": reply.sender,
            "body": reply.body,
            "meaning": "opt_out" if reply.stops else "opt_in" if reply.restarts else None,
            "received_at": now,
        }
        for reply in replies
    ]
    bulk.insert_rows(session, tables.Reply, rows, ignore_conflicts=True)
    for channel in sorted({reply.channel for reply in replies}):
        _suppress_who_stopped(session, channel, {reply.sender for reply in replies if reply.stops and reply.channel == channel}, now=now)


def _suppress_who_stopped(session: Session, channel: str, values: Collection[str], *, now: datetime) -> None:
    """Suppress those who said stop. Saying "start" lifts only what the person's own "stop" set; staff do the rest."""
    if not values:
        return
    bulk.insert_rows(session, Address, [{"channel": channel, "value": value} for value in sorted(values)], ignore_conflicts=True)
    found = session.scalars(select(Address.id).where(Address.channel == channel, Address.value.in_(values)).order_by(Address.id)).all()
    bulk.lock_rows(session, Address, found)
    suppress(session, [{"id": key, "suppressed_at": now, "suppressed_reason": "opted_out", "suppressed_source": "reply"} for key in found])
