"""One engine of each kind for all tests of a process: compiling its statements once saves more time than most tests take."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event, text

from outreach.database.engine import Database
from outreach.database.tables import Base

GUARD = "create or replace trigger evidence_stands before update or delete on evidence for each row execute function evidence_stands()"
"""Tests that forge take it away."""
RESTART = "select setval(quote_ident(sequencename)::regclass, 1, false) from pg_sequences where last_value is not null"


class Databases:
    """Empty databases, one test after another. On SQLite each is a file of its own; on PostgreSQL it is the same one, emptied."""

    def __init__(self, new: Callable[[str], str]) -> None:
        """`new` makes a migrated database of a kind, sqlite or postgresql, and returns its URL."""
        self._new = new
        self._kept: dict[str, Database] = {}

    def empty(self, kind: str) -> Database:
        """Return an empty, migrated database of a kind."""
        return self._file() if kind == "sqlite" else self._emptied()

    def _file(self) -> Database:
        url = self._new("sqlite")
        if "sqlite" not in self._kept:
            self._kept["sqlite"] = Database(url)
            event.listen(self._kept["sqlite"].engine, "do_connect", self._elsewhere)
        opened, engine = Database(url), self._kept["sqlite"].engine
        engine.dispose()
        if engine.url.database != opened.engine.url.database:
            shutil.rmtree(Path(str(engine.url.database)).parent, ignore_errors=True)
        engine.url = opened.engine.url
        opened.engine = engine
        return opened

    def _elsewhere(self, _dialect: Any, _record: Any, arguments: list[Any], _options: dict[str, Any]) -> None:
        """Open the file of the test that runs, not that of the first."""
        arguments[0] = self._kept["sqlite"].engine.url.database

    def _emptied(self) -> Database:
        if "postgresql" not in self._kept:
            self._kept["postgresql"] = Database(self._new("postgresql"))
        database = self._kept["postgresql"]
        # As a replica it asks neither foreign keys nor the guards of evidence, which lets nothing be taken away, not even by a test.
        deletes = [f"delete from {table.name}" for table in Base.metadata.sorted_tables]
        with database.write() as session:
            session.execute(text("; ".join(["set local session_replication_role = replica", *deletes, GUARD, RESTART])))
        return database

    def close(self) -> None:
        """Close them all."""
        for database in self._kept.values():
            database.close()
