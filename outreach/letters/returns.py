"""Letters that the post brought back: the letter did not arrive, and no other goes to that address until it is mended."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.orm import Session

from outreach.contacts import postal
from outreach.database import bulk
from outreach.database.paper_tables import Letter
from outreach.database.tables import Address
from outreach.errors import Refused
from outreach.letters import material
from outreach.outbox import carried, receipts

SOURCE = "returned"
"""Who says that an address is bad: the post."""


class NotPosted(Refused):
    """The letter {code} is not marked as posted, so it cannot come back; first: outreach letters posted {batch}"""


@dataclass(frozen=True, slots=True)
class Returned:
    """What was said of letters: how many that was news of, and how many stood so already."""

    changed: int
    already: int


def take_back(session: Session, rows: Collection[Row[Any]], *, reason: str, now: datetime) -> Returned:
    """Mark letters as returned, each row one of `directory.rows`, and their addresses as bad. Raises NotPosted."""
    if unposted := next((row for row in rows if row.posted_at is None), None):
        raise NotPosted(code=unposted.code, batch=unposted.batch_id)
    fresh = [row for row in rows if row.returned_at is None]
    keys = [row.delivery_id for row in fresh]
    carried.arrive(session, dict.fromkeys(keys, "undelivered"), at=now, reasons=dict.fromkeys(keys, reason))
    news = [{"delivery_id": key, "returned_at": now, "returned_reason": reason} for key in keys]
    bulk.update_rows(session, Letter, news, keys=["delivery_id"], sets=["returned_at", "returned_reason"])
    _suppress(session, {_written(row) for row in fresh}, now=now)
    return Returned(len(fresh), len(rows) - len(fresh))


def undo(session: Session, rows: Collection[Row[Any]], *, now: datetime) -> Returned:
    """Say that letters did not come back after all; their addresses are good again, but for what anybody else said of them."""
    mistaken = [row for row in rows if row.returned_at is not None]
    keys = [row.delivery_id for row in mistaken]
    carried.arrive(session, dict.fromkeys(keys, "delivered"), at=now)
    news = [{"delivery_id": key} for key in keys]
    bulk.update_rows(session, Letter, news, keys=["delivery_id"], sets=[], extra="returned_at = null, returned_reason = null")
    values = {_written(row) for row in mistaken}
    _lift(session, values - _returned_from(session, values))
    return Returned(len(mistaken), len(rows) - len(mistaken))


def _written(row: Any) -> str:
    return postal.written(row.address, row.enterprise)


def _suppress(session: Session, values: Iterable[str], *, now: datetime) -> None:
    wanted = sorted(values)
    bulk.insert_rows(session, Address, [{"channel": postal.CHANNEL, "value": value} for value in wanted], ignore_conflicts=True)
    marks: Mapping[str, Any] = {"suppressed_at": now, "suppressed_reason": "address", "suppressed_source": SOURCE}
    for some in material.slices(wanted):
        ids = session.scalars(select(Address.id).where(Address.channel == postal.CHANNEL, Address.value.in_(some)))
        receipts.suppress(session, [{"id": key, **marks} for key in ids])


def _lift(session: Session, values: Iterable[str]) -> None:
    for some in material.slices(sorted(values)):
        mine = (Address.channel == postal.CHANNEL, Address.value.in_(some), Address.suppressed_source == SOURCE, Address.suppressed_reason == "address")
        session.execute(update(Address).where(*mine).values(suppressed_at=None, suppressed_reason=None, suppressed_source=None))


def _returned_from(session: Session, values: Collection[str]) -> set[str]:
    """Return those addresses from which another letter came back that is still called returned."""
    found: set[str] = set()
    for some in material.slices(sorted(values)):
        at: Sequence[str] = [value.rpartition("\n")[0] for value in some]
        came = select(Letter.address, Letter.enterprise).where(Letter.returned_at.is_not(None), Letter.address.in_(at))
        found |= {_written(row) for row in session.execute(came)} & set(some)
    return found
