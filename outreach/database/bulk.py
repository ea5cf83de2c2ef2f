"""Statements for a thousand rows at once: they travel as one JSON document, on SQLite as on PostgreSQL, and are one statement.

A Core construct with a thousand binds spends its time in compilation (measured: 15,000 against 69,000 rows a second), arrays for
`unnest` in quoting their elements. executemany sends a statement a row; on SQLite it takes Python's global lock anew for each, and
waits for it each time while an event loop works beside it.
"""

import json
from collections import namedtuple
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, Table, func, select, text, type_coerce
from sqlalchemy.orm import Session
from sqlalchemy.types import NullType


def insert_rows(session: Session, table: type[Any], rows: Sequence[Mapping[str, Any]], *, ignore_conflicts: bool = False) -> None:
    """Insert plain mappings, all with the same keys, in one go; with `ignore_conflicts` rows that stand already are left alone."""
    if not rows:
        return
    target: Table = table.__table__
    if session.get_bind().dialect.name == "postgresql":
        listed, guard = ", ".join(rows[0]), " on conflict do nothing" if ignore_conflicts else ""
        statement = f"insert into {target.name} ({listed}) select {listed} from {_recordset(session, target, list(rows[0]))}{guard}"
        session.execute(text(statement), {"rows": _document(rows, list(rows[0]))})
        return
    columns = list(rows[0])
    picked = ", ".join(f"value ->> {place}" for place in range(len(columns)))
    guard = " where true on conflict do nothing" if ignore_conflicts else ""
    statement_text = f"insert into {target.name} ({', '.join(columns)}) select {picked} from json_each(?){guard}"
    session.connection().exec_driver_sql(statement_text, (_as_json(session, target, columns, rows),))


def update_rows(
    session: Session,
    table: type[Any],
    rows: Sequence[Mapping[str, Any]],
    *,
    keys: Sequence[str],
    sets: Sequence[str],
    where: str = "",
    extra: str = "",
) -> None:
    """Update many rows by key: `set c = v.c` for each of `sets`, where each of `keys` equals, and `where` (raw SQL on the alias d) holds.

    `extra` is raw SQL of further assignments without values of their own, such as "lease_until = null".
    """
    if not rows:
        return
    target: Table = table.__table__
    columns = [*keys, *sets]
    assignments = ", ".join(filter(None, [", ".join(f"{name} = v.{name}" for name in sets), extra]))
    matches = " and ".join([*(f"d.{key} = v.{key}" for key in keys), *([where] if where else [])])
    if session.get_bind().dialect.name == "sqlite":
        picked = ", ".join(f"value ->> {place} as {name}" for place, name in enumerate(columns))
        statement = f"update {target.name} as d set {assignments} from (select {picked} from json_each(?)) v where {matches}"
        session.connection().exec_driver_sql(statement, (_as_json(session, target, columns, rows),))
        return
    statement = f"update {target.name} d set {assignments} from {_recordset(session, target, columns)} where {matches}"
    session.execute(text("set local random_page_cost = 1.1"))
    session.execute(text(statement), {"rows": _document(rows, columns)})


def fetch(session: Session, statement: Select[*tuple[Any, ...]], parameters: Mapping[str, Any] | None = None) -> list[Any]:
    """Return all rows of a select with a LIMIT, as named tuples.

    SQLite hands them over as one JSON document: row by row it takes Python's global lock anew for each, and waits for it each time
    while an event loop works beside it (measured: two thirds of a claim).
    """
    if session.get_bind().dialect.name == "postgresql":
        return list(session.execute(statement, parameters or {}))
    dialect, rows = session.get_bind().dialect, statement.subquery()
    kind = namedtuple("Row", rows.c.keys())  # type: ignore[misc]
    readers = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in rows.c]
    document = session.scalar(select(func.json_group_array(func.json_array(*(type_coerce(column, NullType()) for column in rows.c)))), parameters or {})
    return [kind(*(read(value) if read else value for read, value in zip(readers, row, strict=True))) for row in json.loads(document or "[]")]


def lock_rows(session: Session, table: type[Any], ids: Collection[int]) -> None:
    """Lock rows in the order of their ids, so that no two writers wait for each other in a circle; SQLite has one writer anyway."""
    if ids and session.get_bind().dialect.name == "postgresql":
        statement = f"select id from {table.__tablename__} where id = any(:ids) order by id for no key update"
        session.execute(text(statement), {"ids": sorted(set(ids))})


def take_stock(session: Session, *changed: type[Any]) -> None:
    """Bring the planner's statistics up to date after a great change.

    Without it PostgreSQL plans the first claims for empty tables: 400 ms a slice instead of 2 (measured).
    """
    if session.get_bind().dialect.name == "sqlite":
        session.execute(text("pragma analysis_limit = 1000"))
    for table in changed:
        session.execute(text(f"analyze {table.__tablename__}"))


def new_ids(session: Session, table: type[Any], how_many: int) -> list[int]:
    """Take the next ids of a table, so that rows which name each other can be inserted in one go each."""
    name = table.__tablename__
    if session.get_bind().dialect.name == "postgresql":
        drawn = text(f"select nextval(pg_get_serial_sequence('{name}', 'id')) from generate_series(1, :count)")
        return list(session.scalars(drawn, {"count": how_many}))
    first = int(session.scalar(text(f"select coalesce(max(id), 0) + 1 from {name}")) or 1)
    return list(range(first, first + how_many))


def _as_json(session: Session, target: Table, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Write rows as a JSON array of arrays, each value as SQLite stores it."""
    dialect = session.get_bind().dialect
    processes = [target.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in columns]
    pairs = list(zip(columns, processes, strict=True))
    return json.dumps([[process(row[name]) if process else row[name] for name, process in pairs] for row in rows], ensure_ascii=False)


def _recordset(session: Session, target: Table, columns: Sequence[str]) -> str:
    """Return the SQL that reads the parameter `rows` as a table v of these columns."""
    dialect = session.get_bind().dialect
    kinds = ", ".join(f"{name} {target.c[name].type.compile(dialect)}" for name in columns)
    return f"json_to_recordset(cast(:rows as json)) as v({kinds})"


def _document(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    return json.dumps([{name: row[name] for name in columns} for row in rows], ensure_ascii=False, default=_written)


def _written(value: datetime | bytes) -> str:
    """Write what JSON has no form for as PostgreSQL reads it."""
    return value.isoformat() if isinstance(value, datetime) else f"\\x{value.hex()}"
