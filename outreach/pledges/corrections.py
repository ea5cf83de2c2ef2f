"""What people say of our list through their links, and that staff have put it right."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from outreach.database import bulk
from outreach.database.pledge_tables import Correction
from outreach.database.tables import Recipient
from outreach.errors import NotFound
from outreach.pledges import sealing, signing
from outreach.pledges.evidence import Entry

STOPPING = ("not_principal", "closed")
"""Corrections after which nothing more is written to this recipient."""


class CorrectionUnknown(NotFound):
    """There is no open correction {number}; the open ones: outreach pledges corrections"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionRequest:
    """What somebody said of our list through his link."""

    recipient_id: int
    kind: str
    detail: str
    way: str
    at: datetime


def correct(session: Session, requests: Sequence[CorrectionRequest]) -> None:
    """Keep what was said; who is not the principal, or is closed, is written to no more.

    The same words while they wait for staff are the same correction: a second tap. Other words, or the same after they were dealt
    with, are a new one.
    """
    recipients = {item.recipient_id for item in requests}
    waiting = select(Correction.recipient_id, Correction.kind, Correction.detail).where(Correction.recipient_id.in_(recipients), Correction.done_at.is_(None))
    known = {tuple(row) for row in session.execute(waiting)}
    fresh = list({key: item for item in requests if (key := (item.recipient_id, item.kind, item.detail)) not in known}.values())
    rows = [
        {"recipient_id": item.recipient_id, "kind": item.kind, "detail": item.detail, "way": item.way, "said_at": item.at, "done_at": None, "done_by": None}
        for item in fresh
    ]
    bulk.insert_rows(session, Correction, rows)
    stopped = [{"id": item.recipient_id, "stopped_at": item.at} for item in fresh if item.kind in STOPPING]
    bulk.update_rows(session, Recipient, stopped, keys=["id"], sets=["stopped_at"], where="d.stopped_at is null")
    sealing.append(session, [_entry(item) for item in fresh])
    signing.opened(session, [item.recipient_id for item in fresh], now=max((item.at for item in fresh), default=None))


def _entry(item: CorrectionRequest) -> Entry:
    facts = {"kind": item.kind, "way": item.way}
    return Entry(
        act="corrected", at=item.at, enterprise_id=None, recipient_id=item.recipient_id, signature_id=None, facts=facts, personal={"detail": item.detail}
    )


def done(session: Session, number: int, *, by: str, now: datetime) -> None:
    """Strike a correction off the list: a person has put it right. Raises CorrectionUnknown."""
    ended = update(Correction).where(Correction.id == number, Correction.done_at.is_(None)).values(done_at=now, done_by=by).returning(Correction.id)
    if session.scalar(ended) is None:
        raise CorrectionUnknown(what="correction", name=number, number=number)
