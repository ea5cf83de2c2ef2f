"""What a worker does when the bell rings: send what is due, set letters, and once a tick look after all that waits."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from functools import cached_property
from typing import Any

import uvloop

from outreach import clock
from outreach.campaigns import ladder, progress
from outreach.database.engine import Database
from outreach.outbox import receipts, senders, sending, settle
from outreach.outbox.sending import Outbox
from outreach.pledges import confirming, sealing
from outreach.settings import Settings
from outreach.worker import alive
from outreach.worker.press import Press

TICK = timedelta(seconds=1)
ROUND = timedelta(seconds=3)
"""How long one sending goes on before it makes room for a tick: a worker of one process must do both."""
BLOCKS = timedelta(minutes=1)
"""How often blocks of evidence are closed."""
BLOCKS_AT_ONCE = 25
"""How many blocks a tick closes at most: what a whole drive left behind must not hold up the sending."""


class Duty:
    """One process's share of the work: its own database connections and its own event loop, made where it runs (after a fork)."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._started_at = self._next_look = self._next_block = self._next_confirmation = clock.now()

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

    @cached_property
    def _press(self) -> Press:
        return Press(self.database, self.settings)

    @property
    def outbox(self) -> Outbox:
        """The outbox of this office."""
        return Outbox(self.database, self.settings)

    def send(self) -> int:
        """Send for one round; return how many messages were answered."""
        until = clock.now() + ROUND
        return self._run(sending.drain(self.outbox, goes_on=lambda: clock.now() < until))

    def render(self) -> bool:
        """Set one chunk of letters; return whether there was one. What sends has its turn between two chunks."""
        return self._press.set_next()

    def tick(self) -> None:
        """Look after what waits: leases that ran out, unknown outcomes, late receipts, canaries, due steps, finished campaigns, evidence, signatures."""
        now = clock.now()
        with self.database.write() as session:
            alive.show(session, started_at=self._started_at, now=now)
            settle.expire(session)
            receipts.match_kept(session, now=now)
            settle.fall_silent(session, patience={"sms": self.settings.patience_sms, "wechat": self.settings.patience_wechat}, now=now)
        self._run(sending.settle_unknown(self.outbox, now=clock.now))
        if clock.now() >= self._next_look:
            self._look_after_campaigns()
        if clock.now() >= self._next_block:
            self._next_block = clock.now() + BLOCKS
            self._close_blocks()
        if clock.now() >= self._next_confirmation:
            self._confirm()

    def _look_after_campaigns(self) -> None:
        """Judge canaries, advance ladders and finish campaigns; where that takes long, look the less often: a tenth of the time at most."""
        begun = clock.now()
        with self.database.write() as session:
            progress.review(session, settings=self.settings, now=begun)
            ladder.advance(session, mode=self.settings.mode, now=begun)
        ended = clock.now()
        self._next_look = ended + 9 * (ended - begun)

    def _confirm(self) -> None:
        """Confirm what was signed, in the same measure. It comes last: a text that cannot be written holds up nothing else."""
        begun = clock.now()
        with self.database.write() as session:
            confirming.confirm(session, settings=self.settings, now=begun)
        ended = clock.now()
        self._next_confirmation = ended + 9 * (ended - begun)

    def _close_blocks(self) -> None:
        """Close blocks of evidence, each in a transaction of its own, so that signers wait for none."""
        for _ in range(BLOCKS_AT_ONCE):
            with self.database.write() as session:
                if sealing.close_block(session, now=clock.now()) is None:
                    return

    def close(self) -> None:
        """Close the evidence, strike this process off the list of workers, and let go of the loop and the connections."""
        self._close_blocks()
        with self.database.write() as session:
            alive.leave(session)
        self._runner.close()
        self.database.close()

    def _run(self, work: Coroutine[Any, Any, int]) -> int:
        return self._runner.run(work)
