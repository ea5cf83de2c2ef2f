"""What a worker does when the bell rings: send what is due, and once a tick look after all that waits."""

import asyncio
import os
import socket
from collections.abc import Coroutine
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import uvloop
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from outreach import clock
from outreach.campaigns import ladder, progress
from outreach.database import bulk
from outreach.database.engine import Database
from outreach.database.tables import WorkerProcess
from outreach.outbox import receipts, senders, sending, settle
from outreach.outbox.sending import Outbox
from outreach.settings import Settings

TICK = timedelta(seconds=1)
ROUND = timedelta(seconds=3)
"""How long one sending goes on before it makes room for a tick: a worker of one process must do both."""
ALIVE = timedelta(seconds=15)
"""A worker that has not ticked for so long is taken for dead."""


class Duty:
    """One process's share of the work: its own database connections and its own event loop, made where it runs (after a fork)."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._started_at = clock.now()

    @cached_property
    def database(self) -> Database:
        """The office's database."""
        opened = Database(self.settings.database_url)
        with opened.write() as session:
            senders.store(session, self.settings)
        return opened

    @cached_property
    def _runner(self) -> asyncio.Runner:
        return asyncio.Runner(loop_factory=uvloop.new_event_loop)

    @property
    def outbox(self) -> Outbox:
        """The outbox of this office."""
        return Outbox(self.database, self.settings)

    def send(self) -> int:
        """Send for one round; return how many messages were answered."""
        until = clock.now() + ROUND
        return self._run(sending.drain(self.outbox, goes_on=lambda: clock.now() < until))

    def tick(self) -> None:
        """Look after what waits: leases that ran out, unknown outcomes, late receipts, canaries, due steps, finished campaigns."""
        now = clock.now()
        with self.database.write() as session:
            self._show_life(session, now)
            settle.expire(session)
            receipts.match_kept(session, now=now)
            settle.fall_silent(session, patience={"sms": self.settings.patience_sms, "wechat": self.settings.patience_wechat}, now=now)
        self._run(sending.settle_unknown(self.outbox, now=clock.now))
        with self.database.write() as session:
            progress.review(session, settings=self.settings, now=clock.now())
            ladder.advance(session, now=clock.now())

    def close(self) -> None:
        """Let go of the loop and the connections."""
        self._runner.close()
        self.database.close()

    def _run(self, work: Coroutine[Any, Any, int]) -> int:
        return self._runner.run(work)

    def _show_life(self, session: Session, now: datetime) -> None:
        name = f"{socket.gethostname()}:{os.getpid()}"
        bulk.insert_rows(session, WorkerProcess, [{"name": name, "started_at": self._started_at, "seen_at": now}], ignore_conflicts=True)
        bulk.update_rows(session, WorkerProcess, [{"name": name, "seen_at": now}], keys=["name"], sets=["seen_at"])


def lives(session: Session, *, now: datetime) -> bool:
    """Whether some worker ticked lately."""
    seen = session.scalar(select(func.max(WorkerProcess.seen_at)))
    return seen is not None and seen > now - ALIVE


def leave(database: Database, pid: int) -> None:
    """Strike a worker of this machine off the list, when it goes in good order."""
    with database.write() as session:
        session.execute(delete(WorkerProcess).where(WorkerProcess.name == f"{socket.gethostname()}:{pid}"))
