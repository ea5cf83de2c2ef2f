"""The audit log: every act of staff, with who did it, when and to what; it is only ever added to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach.database.tables import AuditEntry


@dataclass(frozen=True, slots=True)
class Entry:
    """One act: `actor` is an account, or `os:<login>` for one who had no need to sign in."""

    id: int
    at: datetime
    actor: str
    act: str
    subject: str
    detail: Mapping[str, Any]


def record(session: Session, *, actor: str, act: str, subject: str = "", detail: Mapping[str, Any] | None = None, now: datetime) -> None:
    """Write down an act, such as `campaign.approve` on campaign `no-arrears-2026`, in the transaction that does it.

    `detail` is a small JSON object; it never holds a password or a whole phone number.
    """
    session.add(AuditEntry(at=now, actor=actor, act=act, subject=subject, detail=dict(detail or {})))
    session.flush()


def listing(session: Session, *, limit: int = 100, before: int | None = None, act: str = "", subject: str = "") -> Sequence[Entry]:
    """Return the newest acts first; `before` is the id of the last one already seen, `act` and `subject` narrow it to one of each."""
    query = (
        select(AuditEntry.id, AuditEntry.at, AuditEntry.actor, AuditEntry.act, AuditEntry.subject, AuditEntry.detail)
        .order_by(AuditEntry.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(AuditEntry.id < before)
    if act:
        query = query.where(AuditEntry.act == act)
    if subject:
        query = query.where(AuditEntry.subject == subject)
    return [Entry(*row) for row in session.execute(query)]
