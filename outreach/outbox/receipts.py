"""What comes back: receipts and replies are stored first, then move their deliveries forward by rank; nothing is lost, nothing counts twice."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, case, literal_column, or_, select, update
from sqlalchemy.orm import Session

from outreach.channels.base import Incoming, Receipt, Reply
from outreach.database import bulk, tables
from outreach.database.tables import FINAL, HOLDING, Address, Campaign, Delivery, Sender
from outreach.outbox import states
from outreach.outbox.bound import BY_REPLY

MATCH_FOR = timedelta(days=14)
SUPPRESSING = ("address", "opted_out")
HALTING = ("account", "content")
STAND_IN = re.compile(r"[\w-]+:\d+:\w+(?::\d+)?")
"""A reference that stands in where the provider names none: who, when and what. It says which receipt this is, not which message."""


def store(session: Session, items: Sequence[Incoming], *, now: datetime) -> None:
    """Keep what came in, and apply it, in the caller's transaction: it may be answered once that is committed.

    Receipts, and replies to a phone; what people say to the WeChat account is a conversation and kept there.
    """
    said = _store_replies(session, [item for item in items if isinstance(item, Reply) and item.channel == "sms"], now=now)
    people = _addresses_of(session, said)
    news = _addressed(session, [item for item in items if isinstance(item, Receipt)])
    matched = apply(session, news, now=now, also=people.values())
    rows = [
        {
            "provider": item.provider,
            "delivery_id": matched.get(item.reference) if item.reference else item.delivery,
            "attempt": item.attempt,
            "reference": item.reference,
            "status": item.status,
            "error_code": item.error_code,
            "received_at": now,
        }
        for item in news
    ]
    bulk.insert_rows(session, tables.Receipt, rows)
    _do_as_said(session, said, people, now=now)


def _addressed(session: Session, news: Sequence[Receipt]) -> list[Receipt]:
    """Give the receipts that name no attempt and no reference we know the message in flight to their address.

    That is the one message to an address that is being sent, unknown or under review, else the oldest accepted without a reference: of
    all others the reference is known. So an answer that was lost costs nothing where the provider tells the address.
    """
    lost = [item for item in news if item.to and item.delivery is None]
    if not lost:
        return list(news)
    references = {item.reference for item in lost if item.reference}
    known = set(session.scalars(select(Delivery.reference).where(Delivery.reference.in_(references))))
    lost = [item for item in lost if item.reference not in known]
    unnamed = and_(Delivery.state == literal_column("'accepted'"), Delivery.reference.is_(None))
    in_flight = and_(Delivery.state.in_(HOLDING), Delivery.reference.is_(None), Delivery.purpose.is_(None))
    statement = (
        select(Sender.provider, Address.value, Delivery.id, Delivery.attempt)
        .join(Address, Address.id == Delivery.address_id)
        .join(Sender, Sender.id == Delivery.sender_id)
        .where(Address.value.in_({item.to for item in lost}), or_(in_flight, unnamed))
        .order_by(case((Delivery.state.in_(HOLDING), 0), else_=1), Delivery.claimed_at, Delivery.id)
    )
    waiting: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for row in session.execute(statement):
        waiting[row.provider, row.value].append((row.id, row.attempt))
    found = {}
    for item in dict.fromkeys(lost):
        if mine := waiting.get((item.provider, item.to or "")):
            delivery, attempt = mine.pop(0)
            found[item] = replace(item, delivery=delivery, attempt=attempt)
    return [found.get(item, item) for item in news]


def apply(session: Session, news: Sequence[Receipt], *, now: datetime, also: Collection[int] = ()) -> dict[str, int]:
    """Move deliveries forward by what receipts say, and return the delivery of each reference that is known.

    `also` are addresses that the caller is about to change: they are locked with the others, in the one order.
    """
    _halt(session, news, now=now)
    deliveries = _locked(session, news, also)
    of_delivery: dict[int, list[Receipt]] = defaultdict(list)
    for row, item in _pairs(deliveries.values(), news):
        of_delivery[row.id].append(item)
    changes = [change for key, items in of_delivery.items() if (change := _change(deliveries[key], items, now=now))]
    _take_back_guesses(session, {change["reference"]: change["id"] for change in changes if change["reference"] != deliveries[change["id"]].reference})
    columns = ["state", "reason", "error_code", "reference", "doubled", "final_at"]
    bulk.update_rows(session, Delivery, changes, keys=["id"], sets=columns, extra="lease_until = null")
    release(session, [(deliveries[change["id"]].address_id, change["id"]) for change in changes if change["state"] not in HOLDING])
    _suppress_refused(session, deliveries, of_delivery, now=now)
    return {item.reference: key for key, items in of_delivery.items() for item in items}


def _pairs(rows: Iterable[Row[Any]], news: Sequence[Receipt]) -> Iterator[tuple[Row[Any], Receipt]]:
    """Pair receipts with deliveries: by the attempt that they name, else by reference. An attempt that was never made is no news."""
    by_id = {row.id: row for row in rows}
    by_reference = {row.reference: row for row in by_id.values() if row.reference}
    for item in news:
        row = by_id.get(item.delivery) or by_reference.get(item.reference)
        if row and (item.attempt is None or 1 <= item.attempt <= row.attempt):
            yield row, item


def _named(session: Session, news: Sequence[Receipt]) -> set[int]:
    """Return the deliveries that receipts name, by attempt or by reference."""
    ids = {item.delivery for item in news if item.delivery is not None}
    references = {item.reference for item in news if item.delivery is None and item.reference}
    return ids | set(session.scalars(select(Delivery.id).where(Delivery.reference.in_(references)))) if references else ids


def _halt(session: Session, news: Sequence[Receipt], *, now: datetime) -> None:
    """Halt what the provider refuses as a whole, before any address is locked: in the order of locks sender and campaign come first."""
    refusals = [item for item in news if item.kind in HALTING]
    if not refusals:
        return
    columns: list[Any] = [Delivery.id, Delivery.reference, Delivery.attempt, Delivery.state, Delivery.sender_id, Delivery.campaign_id]
    rows = session.execute(select(*columns).where(Delivery.id.in_(_named(session, refusals)))).all()
    fresh = [(row, item) for row, item in _pairs(rows, refusals) if states.after(row.state, item.status) != row.state]
    halt_senders(session, {row.sender_id: item.error_code or "" for row, item in fresh if item.kind == "account"}, now=now)
    halt_campaigns(session, {row.campaign_id for row, item in fresh if item.kind == "content" and row.campaign_id})


def _locked(session: Session, news: Sequence[Receipt], also: Collection[int]) -> dict[int, Row[Any]]:
    columns: list[Any] = [
        Delivery.id,
        Delivery.state,
        Delivery.attempt,
        Delivery.reference,
        Delivery.address_id,
        Delivery.doubled,
        Delivery.reason,
        Delivery.error_code,
        Delivery.final_at,
    ]
    ids = _named(session, news)
    addresses = session.scalars(select(Delivery.address_id).where(Delivery.id.in_(ids))).all() if ids else []
    bulk.lock_rows(session, Address, {*(address for address in addresses if address is not None), *also})
    if not ids:
        return {}
    statement = select(*columns).where(Delivery.id.in_(ids)).order_by(Delivery.id).with_for_update(key_share=True)
    return {row.id: row for row in session.execute(statement)}


def _change(row: Row[Any], items: Sequence[Receipt], *, now: datetime) -> dict[str, Any] | None:
    """Return what several receipts make of one delivery, or None when they bring nothing new."""
    state = states.after_all(row.state, [item.status for item in items])
    reference, doubled = row.reference, row.doubled
    for item in items:
        if reference is None or STAND_IN.fullmatch(reference):
            reference = item.reference or reference
        elif item.reference and not STAND_IN.fullmatch(item.reference) and reference != item.reference:
            doubled = True
    decisive = next((item for item in items if item.status == state and item.status != row.state), None)
    if (state, reference, doubled) == (row.state, row.reference, row.doubled):
        return None
    if state == row.state:
        decided = {"reason": row.reason, "error_code": row.error_code, "final_at": row.final_at}
    else:
        code, kind = (decisive.error_code, decisive.kind) if decisive else (None, None)
        decided = {"reason": kind, "error_code": code, "final_at": now if state in FINAL else None}
    return {"id": row.id, "state": state, "reference": reference, "doubled": doubled, **decided}


def _take_back_guesses(session: Session, owners: Mapping[str, int]) -> None:
    """Take references from deliveries that a look into the provider's list bound them to: who names the attempt knows better."""
    if owners:
        bound = session.execute(select(Delivery.id, Delivery.reference).where(Delivery.reference.in_(owners))).all()
        guessed = [{"id": row.id, "reference": None} for row in bound if owners[row.reference] != row.id]
        bulk.update_rows(session, Delivery, guessed, keys=["id"], sets=["reference"])


def release(session: Session, pairs: Iterable[tuple[int | None, int]]) -> None:
    """Let go of addresses whose delivery is in flight no longer."""
    rows = [{"id": address, "holder": delivery} for address, delivery in pairs if address is not None]
    flying = "not exists (select 1 from delivery f where f.id = d.holder and f.state in ('sending', 'unknown', 'review'))"
    bulk.update_rows(session, Address, rows, keys=["id", "holder"], sets=[], where=flying, extra="holder = null")


def suppress(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put addresses on the list of those not to be written to: `id`, `suppressed_at`, `suppressed_reason`, `suppressed_source`."""
    sets = ["suppressed_at", "suppressed_reason", "suppressed_source"]
    bulk.lock_rows(session, Address, [row["id"] for row in rows])  # an UPDATE alone takes its rows in the order of its plan
    bulk.update_rows(session, Address, sorted(rows, key=lambda row: row["id"]), keys=["id"], sets=sets, where="d.suppressed_at is null")


def halt_campaigns(session: Session, ids: Collection[int]) -> None:
    """Pause campaigns whose text the provider refuses: every further message of theirs would be refused too."""
    if ids:
        running = Campaign.state.in_(("canary", "running"))
        session.execute(update(Campaign).where(Campaign.id.in_(ids), running).values(state="paused", reason="content"))


def halt_senders(session: Session, codes: Mapping[int, str], *, now: datetime) -> None:
    """Halt senders whose account the provider refuses; `codes` says why, by sender."""
    for sender_id in sorted(codes):
        session.execute(update(Sender).where(Sender.id == sender_id).values(paused_at=now, paused_reason=f"account {codes[sender_id]}"))


def _suppress_refused(session: Session, deliveries: Mapping[int, Row[Any]], of_delivery: Mapping[int, Sequence[Receipt]], *, now: datetime) -> None:
    """Suppress the addresses that receipts call bad, or whose owner said no."""
    rows = [
        {"id": deliveries[key].address_id, "suppressed_at": now, "suppressed_reason": item.kind, "suppressed_source": item.error_code}
        for key, items in of_delivery.items()
        for item in items
        if item.kind in SUPPRESSING and deliveries[key].address_id is not None
    ]
    suppress(session, rows)


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


def _store_replies(session: Session, replies: Sequence[Reply], *, now: datetime) -> list[Reply]:
    """Keep replies, and return those that are new and mean something; a provider's repetition must not outlive a later word."""
    if not replies:
        return []
    references = select(tables.Reply.channel, tables.Reply.reference).where(tables.Reply.reference.in_({reply.reference for reply in replies}))
    known = {tuple(row) for row in session.execute(references)}
    fresh = {(reply.channel, reply.reference): reply for reply in reversed(replies) if (reply.channel, reply.reference) not in known}
    rows = [
        {
            "channel": reply.channel,
            "reference": reply.reference,
            "sender": reply.sender,
            "body": reply.body,
            "meaning": "opt_out" if reply.stops else "opt_in" if reply.restarts else None,
            "received_at": now,
        }
        for reply in reversed(fresh.values())
    ]
    bulk.insert_rows(session, tables.Reply, rows, ignore_conflicts=True)
    return [reply for reply in reversed(fresh.values()) if reply.stops or reply.restarts]


def _addresses_of(session: Session, replies: Sequence[Reply]) -> dict[tuple[str, str], int]:
    """Return the address of each person who replied, made where there is none yet."""
    if not replies:
        return {}
    people = sorted({(reply.channel, reply.sender) for reply in replies})
    bulk.insert_rows(session, Address, [{"channel": channel, "value": value} for channel, value in people], ignore_conflicts=True)
    rows = session.execute(select(Address.id, Address.channel, Address.value).where(Address.value.in_({value for _channel, value in people})))
    return {(row.channel, row.value): row.id for row in rows if (row.channel, row.value) in people}


def _do_as_said(session: Session, replies: Sequence[Reply], people: Mapping[tuple[str, str], int], *, now: datetime) -> None:
    """Suppress who said stop. Saying "start" later lifts only what the person's own "stop" set; staff do the rest."""
    last = {people[reply.channel, reply.sender]: reply for reply in replies}
    stopped = [key for key, reply in last.items() if reply.stops]
    suppress(session, [{"id": key, "suppressed_at": now, "suppressed_reason": "opted_out", "suppressed_source": BY_REPLY} for key in stopped])
    lifted = [{"id": key, "suppressed_source": BY_REPLY} for key, reply in sorted(last.items()) if not reply.stops]
    cleared = "suppressed_at = null, suppressed_reason = null, suppressed_source = null"
    bulk.update_rows(session, Address, lifted, keys=["id", "suppressed_source"], sets=[], extra=cleared)
