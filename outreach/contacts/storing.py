"""The directory's tables behind an import: load what some rows can touch, write what they changed, all in bulk."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from outreach.contacts.entries import Entry
from outreach.contacts.merging import CONTACT_VALUES, ENTERPRISE_VALUES, Claims, Contact, Enterprise, Slice
from outreach.database import tables
from outreach.database.bulk import insert_rows, update_rows

LOCK = 0x6F757472
"""The advisory lock under which imports take turns on PostgreSQL, as they do on SQLite anyway: no deadlocks, no unique violations."""
PARAMETERS = 5000
"""Values of one IN list."""


class Claimed:
    """What the rows of one list have claimed of enterprises and of contacts."""

    def __init__(self) -> None:
        self.enterprises = Claims()
        self.contacts = Claims()

    def keep(self, part: Slice) -> None:
        """Remember what the rows of a slice claimed, once they are committed."""
        for enterprise in part.enterprises:
            if enterprise.claimed:
                self.enterprises.put(enterprise.id, enterprise.claimed)
            for contact in enterprise.contacts:
                if contact.claimed:
                    self.contacts.put(contact.id, contact.claimed)


def lock(session: Session) -> None:
    """Let one import at a time change the directory, until its transaction ends."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": LOCK})


def load(session: Session, entries: Sequence[Entry], claims: Claimed) -> Slice:
    """Load the enterprises that have one of the entries' codes or names, with their contacts."""
    table = tables.Enterprise.__table__
    columns = (table.c.id, table.c.credit_code, *(table.c[name] for name in ENTERPRISE_VALUES))
    found: dict[int, Enterprise] = {}
    for column, wanted in (
        (table.c.credit_code, {entry.credit_code for entry in entries if entry.credit_code}),
        (table.c.name, {entry.name for entry in entries}),
    ):
        for chosen in _parts(wanted):
            for number, code, *values in session.execute(select(*columns).where(column.in_(chosen))):
                if number not in found:
                    pairs = dict(zip(ENTERPRISE_VALUES, values, strict=True))
                    found[number] = Enterprise(number, code, pairs, claimed=claims.enterprises.get(number))
    _load_contacts(session, found, claims)
    return Slice(found[number] for number in sorted(found))


def _load_contacts(session: Session, found: dict[int, Enterprise], claims: Claimed) -> None:
    table = tables.Contact.__table__
    columns = (table.c.enterprise_id, table.c.id, *(table.c[name] for name in CONTACT_VALUES), table.c.revision, table.c.erased_at)
    for chosen in _parts(found):
        statement = select(*columns).where(table.c.enterprise_id.in_(chosen)).order_by(table.c.id)
        for owner, number, name, phone, role, wechat, note, rank, revision, erased_at in session.execute(statement):
            contact = Contact(number, name, phone, role, wechat, note, rank, revision, erased_at is not None, claims.contacts.get(number), (name, phone))
            found[owner].contacts.append(contact)


def _parts(values: Iterable[Any]) -> Iterable[list[Any]]:
    listed = list(values)
    return (listed[start : start + PARAMETERS] for start in range(0, len(listed), PARAMETERS))


def store(session: Session, part: Slice, *, now: datetime) -> None:
    """Write the enterprises and contacts of a slice that are new or changed."""
    added = [enterprise for enterprise in part.enterprises if enterprise.new]
    for enterprise, number in zip(added, _numbers(session, tables.Enterprise, len(added)), strict=True):
        enterprise.id = number
    altered = [enterprise for enterprise in part.enterprises if enterprise.changed and not enterprise.new]
    stamp = {"updated_at": now}
    update_rows(
        session,
        tables.Enterprise,
        [{"id": enterprise.id, "credit_code": enterprise.credit_code, **enterprise.values, **stamp} for enterprise in altered],
        keys=["id"],
        sets=["credit_code", *ENTERPRISE_VALUES, "updated_at"],
    )
    stamp["created_at"] = now
    insert_rows(
        session,
        tables.Enterprise,
        [{"id": enterprise.id, "credit_code": enterprise.credit_code, **enterprise.values, **stamp} for enterprise in added],
    )
    _store_contacts(session, part, now)


def _store_contacts(session: Session, part: Slice, now: datetime) -> None:
    rows = [(enterprise.id, contact) for enterprise in part.enterprises for contact in enterprise.contacts if contact.changed or contact.before is None]
    altered = [(owner, contact) for owner, contact in rows if contact.before is not None]
    while altered:
        ready, altered = _without_collisions(altered)
        update_rows(
            session,
            tables.Contact,
            [_row(owner, contact) | {"updated_at": now} for owner, contact in ready],
            keys=["id"],
            sets=[*CONTACT_VALUES, "revision", "updated_at"],
        )
    added = [(owner, contact) for owner, contact in rows if contact.before is None]
    for (_owner, contact), number in zip(added, _numbers(session, tables.Contact, len(added)), strict=True):
        contact.id = number
    insert_rows(session, tables.Contact, [_row(owner, contact) | {"created_at": now, "updated_at": now} for owner, contact in added])


def _without_collisions(rows: list[tuple[int, Contact]]) -> tuple[list[tuple[int, Contact]], list[tuple[int, Contact]]]:
    """Part rows into those that can be written now and those that take over the name and phone which one of the others has to leave first."""
    leaving = {(owner, contact.before): contact for owner, contact in rows}
    waiting = [(owner, contact) for owner, contact in rows if leaving.get((owner, (contact.name, contact.phone)), contact) is not contact]
    if not waiting or len(waiting) == len(rows):
        return rows, []
    held = {contact.id for _owner, contact in waiting}
    return [(owner, contact) for owner, contact in rows if contact.id not in held], waiting


def _row(owner: int, contact: Contact) -> dict[str, Any]:
    return {"id": contact.id, "enterprise_id": owner, **{name: getattr(contact, name) for name in CONTACT_VALUES}, "revision": contact.revision}


def _numbers(session: Session, table: type[tables.Base], count: int) -> Sequence[int]:
    """Reserve ids, so that contacts can be written with those of their enterprises without asking for each."""
    if count == 0:
        return []
    name = table.__tablename__
    if session.get_bind().dialect.name == "postgresql":
        statement = text("select nextval(pg_get_serial_sequence(:name, 'id')) from generate_series(1, :count)")
        return session.scalars(statement, {"name": name, "count": count}).all()
    last = session.scalar(select(func.max(table.__table__.c.id))) or 0
    return range(last + 1, last + 1 + count)
