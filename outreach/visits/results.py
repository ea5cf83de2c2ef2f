"""What visits brought (走访结果): written down once, and what it makes of the visit. What follows for the enterprise is not known here."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.database import bulk
from outreach.database.paper_tables import VisitResult
from outreach.database.tables import Campaign, Delivery, Enterprise, RecipientEnterprise
from outreach.outbox import carried

MADE = ("met", "paper", "will_sign", "new_phone", "refused")
"""Somebody was met: the visit was made."""
IN_VAIN = ("closed", "not_found")
"""Nobody will be met there. `again` is neither: the visit stays open."""
LONGEST_REMARK = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A result as it is kept. `delivery_id` is the visit that it answers, none where nobody had sent for it."""

    enterprise_id: int
    result: str
    visitor: str
    visited_on: datetime
    fingerprint: str
    delivery_id: int | None = None
    detail: Mapping[str, Any]


def fingerprint(key: str, *, campaign: int | None, enterprise: int, result: str, visitor: str, day: str, phone: str = "") -> str:
    """Return by what a visit that is typed in again is known to be the same.

    `campaign` is the one that the list or the code names; `day` is the day as it was written, or what else tells one round from the
    next. Keyed, since a phone that is part of it could be guessed from a plain digest.
    """
    return tokens.keyed(key, "visit", campaign or "", enterprise, result, visitor, day, phone).hex()


def known(session: Session, fingerprints: Collection[str]) -> set[str]:
    """Return which of these are kept already."""
    wanted, found = list(fingerprints), set[str]()
    for start in range(0, len(wanted), 5000):
        found |= set(session.scalars(select(VisitResult.fingerprint).where(VisitResult.fingerprint.in_(wanted[start : start + 5000]))))
    return found


def keep(session: Session, visits: Sequence[Visit], *, by: str, now: datetime) -> None:
    """Keep results, and say of each visit what became of it; the enterprises are locked, and what follows for them is written already."""
    rows = [
        {
            "enterprise_id": visit.enterprise_id,
            "delivery_id": visit.delivery_id,
            "result": visit.result,
            "visitor": visit.visitor,
            "visited_on": visit.visited_on,
            "detail": dict(visit.detail),
            "fingerprint": visit.fingerprint,
            "recorded_at": now,
            "recorded_by": by,
        }
        for visit in visits
    ]
    bulk.insert_rows(session, VisitResult, rows, ignore_conflicts=True)
    judge(session, {visit.delivery_id for visit in visits if visit.delivery_id is not None})


def judge(session: Session, deliveries: Collection[int]) -> None:
    """Move visits to what their results say, in whatever order these came in.

    A visit was made where the last word on any of its enterprises is that somebody was met. It was in vain where the last word on each
    that is still to be asked is that nobody is there. Words are ordered by the day of the visit, then as they were typed in.
    """
    latest = _latest(session, deliveries)
    left = _still_asked(session, latest)
    news: dict[datetime, dict[int, str]] = defaultdict(dict)
    reasons: dict[int, str] = {}
    for key, by_enterprise in latest.items():
        made = [at for result, at in by_enterprise.values() if result in MADE]
        vain = {number: (result, at) for number, (result, at) in by_enterprise.items() if result in IN_VAIN}
        if made:
            news[max(made)][key] = "delivered"
        elif vain and left.get(key, set()) <= vain.keys():
            news[max(at for _result, at in vain.values())][key] = "undelivered"
            reasons[key] = "not_found" if any(result == "not_found" for result, _at in vain.values()) else "closed"
    for at in sorted(news):
        carried.arrive(session, news[at], at=at, reasons=reasons)
    why = [{"id": key, "reason": reason} for key, reason in sorted(reasons.items())]
    bulk.update_rows(session, Delivery, why, keys=["id"], sets=["reason"], where="d.state = 'undelivered'")  # in vain before, for another reason


def _latest(session: Session, deliveries: Collection[int]) -> dict[int, dict[int, tuple[str, datetime]]]:
    """Return the last result of each enterprise, visit by visit; that nobody was there for once is none."""
    columns = (VisitResult.delivery_id, VisitResult.enterprise_id, VisitResult.result, VisitResult.visited_on)
    wanted = select(*columns).where(VisitResult.delivery_id.in_(deliveries), VisitResult.result.in_((*MADE, *IN_VAIN)))
    rows = session.execute(wanted.order_by(VisitResult.visited_on, VisitResult.id))
    found: dict[int, dict[int, tuple[str, datetime]]] = defaultdict(dict)
    for delivery, enterprise, result, at in rows:
        if delivery is not None:
            found[delivery][enterprise] = (result, at)
    return found


def _still_asked(session: Session, deliveries: Collection[int]) -> dict[int, set[int]]:
    """Return the enterprises of each visit that are neither closed nor settled since the approval."""
    rows = session.execute(
        select(Delivery.id, Enterprise.id, Enterprise.settled_at, Enterprise.closed_at, Campaign.approved_at)
        .join(Campaign, Campaign.id == Delivery.campaign_id)
        .join(RecipientEnterprise, RecipientEnterprise.recipient_id == Delivery.recipient_id)
        .join(Enterprise, Enterprise.id == RecipientEnterprise.enterprise_id)
        .where(Delivery.id.in_(deliveries))
    )
    found: dict[int, set[int]] = defaultdict(set)
    for delivery, enterprise, settled, closed, approved in rows:
        if closed is None and not (settled and approved and settled > approved):
            found[delivery].add(enterprise)
    return found
