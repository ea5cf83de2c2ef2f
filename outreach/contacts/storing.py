"""The directory's tables behind an import: load what some rows can touch, write what they changed, all in bulk."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, any_, bindparam, select, text
from sqlalchemy.orm import Session

from outreach.contacts.entries import Entry
from outreach.contacts.merging import CONTACT_VALUES, ENTERPRISE_VALUES, Claims, Contact, Enterprise, Slice
from outreach.database import tables
from outreach.database.bulk import new_ids, update_rows
from outreach.database.types import microseconds

LOCK = 0x6F757472
"""The advisory lock under which imports take turns on PostgreSQL, as they do on SQLite anyway: no deadlocks, no unique violations."""
PG_ARRAY = {"id": "bigint", "enterprise_id": "bigint", "rank": "bigint", "revision": "bigint", "above_scale": "boolean"}


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
    """Load the enterprises that the entries can mean, with their contacts: by code, and by name where the code alone does not settle it."""
    found: dict[int, Enterprise] = {}
    by_code: dict[str | None, Enterprise] = {}
    for enterprise in _select(session, "credit_code", {entry.credit_code for entry in entries if entry.credit_code}, claims):
        found[enterprise.id] = by_code[enterprise.credit_code] = enterprise
    unsettled = {entry.name for entry in entries if not _is_settled(entry, by_code.get(entry.credit_code))}
    for enterprise in _select(session, "name", unsettled, claims):
        found.setdefault(enterprise.id, enterprise)
    _load_contacts(session, found, claims)
    return Slice(found[number] for number in sorted(found))


def _is_settled(entry: Entry, found: Enterprise | None) -> bool:
    """Whether a row speaks of an enterprise found by its code under the name and town that it has."""
    return found is not None and found.values["name"] == entry.name and entry.values.get("town") in (None, found.values["town"])


def _select(session: Session, column: str, wanted: Iterable[str], claims: Claimed) -> Iterator[Enterprise]:
    table = tables.Enterprise.__table__
    columns = (table.c.id, table.c.credit_code, *(table.c[name] for name in ENTERPRISE_VALUES))
    for number, code, *values in session.execute(select(*columns).where(_among(session, table.c[column], wanted))):
        yield Enterprise(number, code, dict(zip(ENTERPRISE_VALUES, values, strict=True)), claimed=claims.enterprises.get(number))


def _load_contacts(session: Session, found: dict[int, Enterprise], claims: Claimed) -> None:
    table = tables.Contact.__table__
    columns = (table.c.enterprise_id, table.c.id, *(table.c[name] for name in CONTACT_VALUES), table.c.revision, table.c.erased_at.is_not(None))
    statement = select(*columns).where(_among(session, table.c.enterprise_id, found)).order_by(table.c.id)
    for owner, number, name, phone, role, wechat, note, rank, revision, erased in session.execute(statement):
        contact = Contact(number, name, phone, role, wechat, note, rank, revision, erased, claims.contacts.get(number), (name, phone))
        found[owner].contacts.append(contact)


def _among(session: Session, column: ColumnElement[Any], wanted: Iterable[Any]) -> ColumnElement[bool]:
    """Return that a column is one of thousands of values, in one bind: an IN list of 5,000 costs more to write than its rows to read."""
    if session.get_bind().dialect.name == "sqlite":
        return column.in_(text("select value from json_each(:wanted)").bindparams(wanted=json.dumps(list(wanted))))
    return column == any_(bindparam("wanted", list(wanted), ARRAY(column.type)))


def store(session: Session, part: Slice, *, now: datetime) -> None:
    """Write the enterprises and contacts of a slice that are new or changed."""
    altered = [enterprise for enterprise in part.enterprises if enterprise.changed and not enterprise.new]
    update_rows(
        session,
        tables.Enterprise,
        [{"id": enterprise.id, "credit_code": enterprise.credit_code, **enterprise.values, "updated_at": now} for enterprise in altered],
        keys=["id"],
        sets=["credit_code", *ENTERPRISE_VALUES, "updated_at"],
    )
    added = [enterprise for enterprise in part.enterprises if enterprise.new]
    for enterprise, number in zip(added, new_ids(session, tables.Enterprise, len(added)), strict=True):
        enterprise.id = number
    columns = ("id", "credit_code", *ENTERPRISE_VALUES)
    _insert(session, tables.Enterprise, columns, [(enterprise.id, enterprise.credit_code, *enterprise.values.values()) for enterprise in added], now)
    _store_contacts(session, part, now)


def _store_contacts(session: Session, part: Slice, now: datetime) -> None:
    altered = [(enterprise.id, contact) for enterprise in part.enterprises for contact in enterprise.contacts if contact.changed and contact.before]
    while altered:
        ready, altered = _without_collisions(altered)
        sets = (*CONTACT_VALUES, "revision", "updated_at")
        rows = [{"id": contact.id, **dict(zip(sets, (*contact.values(), contact.revision, now), strict=True))} for _owner, contact in ready]
        update_rows(session, tables.Contact, rows, keys=["id"], sets=sets)
    added = [(enterprise.id, contact) for enterprise in part.enterprises for contact in enterprise.contacts if contact.before is None]
    for (_owner, contact), number in zip(added, new_ids(session, tables.Contact, len(added)), strict=True):
        contact.id = number
    columns = ("id", "enterprise_id", *CONTACT_VALUES, "revision")
    _insert(session, tables.Contact, columns, [(contact.id, owner, *contact.values(), contact.revision) for owner, contact in added], now)


def _without_collisions(rows: list[tuple[int, Contact]]) -> tuple[list[tuple[int, Contact]], list[tuple[int, Contact]]]:
    """Part rows into those that can be written now and those that take over the name and phone which one of the others has to leave first."""
    leaving = {(owner, contact.before): contact for owner, contact in rows}
    waiting = [(owner, contact) for owner, contact in rows if leaving.get((owner, (contact.name, contact.phone)), contact) is not contact]
    if not waiting or len(waiting) == len(rows):
        return rows, []
    held = {contact.id for _owner, contact in waiting}
    return [(owner, contact) for owner, contact in rows if contact.id not in held], waiting


def _insert(session: Session, table: type[tables.Base], columns: Sequence[str], rows: Sequence[tuple[Any, ...]], now: datetime) -> None:
    """Insert rows made now, straight through the driver: half the time of the import would go into binding parameters one by one."""
    if not rows:
        return
    target = f"insert into {table.__tablename__} ({', '.join(columns)}, created_at, updated_at)"
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        stamp = microseconds(now)
        connection.exec_driver_sql(f"{target} values ({', '.join('?' for _ in columns)}, {stamp}, {stamp})", list(rows))
        return
    casts = ", ".join(f"cast(:{name} as {PG_ARRAY.get(name, 'text')}[])" for name in columns)
    values = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
    connection.execute(text(f"{target} select *, :now, :now from unnest({casts})"), {**values, "now": now})
