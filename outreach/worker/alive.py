"""Which workers live: each writes its row at every tick."""

import os
import socket
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from outreach.database import bulk
from outreach.database.tables import WorkerProcess

ALIVE = timedelta(seconds=15)
"""A worker that has not ticked for so long is taken for dead."""


def show(session: Session, *, started_at: datetime, now: datetime) -> None:
    """Write that this process lives."""
    bulk.insert_rows(session, WorkerProcess, [{"name": _name(), "started_at": started_at, "seen_at": now}], ignore_conflicts=True)
    bulk.update_rows(session, WorkerProcess, [{"name": _name(), "seen_at": now}], keys=["name"], sets=["seen_at"])


def leave(session: Session) -> None:
    """Strike this process off the list."""
    session.execute(delete(WorkerProcess).where(WorkerProcess.name == _name()))


def lives(session: Session, *, now: datetime) -> bool:
    """Whether some worker ticked lately; of one on this machine, whether its process still runs (it may have been killed)."""
    names = session.scalars(select(WorkerProcess.name).where(WorkerProcess.seen_at > now - ALIVE)).all()
    return any(_runs(name) for name in names)


def _runs(name: str) -> bool:
    host, _colon, pid = name.rpartition(":")
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
