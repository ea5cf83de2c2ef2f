"""Open the database: one door to SQLite (the embedded default) and PostgreSQL, with the same law on both."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError
from sqlalchemy.orm import Session

from outreach.database.types import EPOCH
from outreach.errors import Misconfigured, OutreachError, Unavailable

BUSY_SECONDS = 60
"""How long a writer waits for another process's transaction on SQLite before it gives up."""


class DatabaseUrlWrong(Misconfigured):
    """database_url must begin with sqlite:/// or postgresql+psycopg://, not {scheme}."""


class NoDatabase(Unavailable):
    """{where} is there but is no database: {why}. Move the file away, or set database_url; then: outreach check"""


class DatabaseUnreachable(Unavailable):
    """The database {where} does not answer: {why}. Check database_url, and that the server runs; then: outreach check"""


class Database:
    """An office's database. `read` and `write` open one transaction each; on SQLite a writer begins IMMEDIATE."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _engine(url)
        self._turn: AbstractContextManager[Any] = nullcontext() if self.is_postgresql else Lock()

    @property
    def is_postgresql(self) -> bool:
        """Whether this is PostgreSQL (else SQLite)."""
        return self.engine.dialect.name == "postgresql"

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a transaction that commits at the end, or rolls back on any error.

        On SQLite the threads of a process take turns: its own way of waiting is to sleep and look again, up to 100 ms at a time.
        """
        with self._turn, self._reachable(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            session.connection()
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a transaction that only reads: on SQLite it never waits for a writer."""
        with self._reachable(), Session(self.engine.execution_options(outreach_read=True), expire_on_commit=False) as session:
            yield session

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            if _interrupted(error):
                raise KeyboardInterrupt from error
            told = self._told(error)
            if told is error:
                raise
            raise told from error

    def _told(self, error: DatabaseError) -> OutreachError | DatabaseError:
        """Return what to say of an error; what a statement did wrong is told as it is."""
        if isinstance(error, OperationalError) and "no such table" not in str(error) and "readonly" not in str(error):
            return DatabaseUnreachable(where=self._where(), why=_first_line(error))
        if type(error) is DatabaseError:
            return NoDatabase(where=self._where(), why=_first_line(error))
        return error

    def _where(self) -> str:
        return make_url(self.url).render_as_string()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _interrupted(error: BaseException | None) -> bool:
    """Whether an error came of Ctrl-C: a connection that is left in the middle of a statement complains of that when it is given back."""
    seen: list[BaseException | None] = [error]
    while seen:
        found = seen.pop()
        if isinstance(found, KeyboardInterrupt):
            return True
        if found is not None:
            seen += [found.__cause__, found.__context__]
    return False


def _first_line(error: DatabaseError) -> str:
    return str(error.orig).strip().splitlines()[0]


def database_now(session: Session) -> datetime:
    """Return the database's own clock as an aware moment: leases run by it, so that workers' clocks need not agree."""
    if session.get_bind().dialect.name == "sqlite":
        stamp = session.scalar(text("select cast((julianday('now') - 2440587.5) * 86400000000.0 as integer)"))
        return EPOCH + timedelta(microseconds=int(stamp or 0))
    moment: datetime = session.execute(text("select clock_timestamp()")).scalar_one()
    return moment.astimezone(UTC)


def _engine(url: str) -> Engine:
    """Make the engine. Parameters stay out of the text of errors: they hold phones and names."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise DatabaseUrlWrong(scheme="that") from error
    if parsed.drivername.startswith("sqlite"):
        if parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin_immediate)
        return engine
    if parsed.drivername == "postgresql+psycopg":
        return create_engine(url, hide_parameters=True, pool_pre_ping=True, pool_size=8, max_overflow=24)
    raise DatabaseUrlWrong(scheme=parsed.drivername)


def _set_pragmas(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_SECONDS * 1000}", "temp_store=MEMORY", "cache_size=-65536"):
        cursor.execute(f"pragma {pragma}")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    reads = connection.get_execution_options().get("outreach_read")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
