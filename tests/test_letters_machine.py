"""A text, then letters, then visits: no interleaving of print runs, crashes, the post, visitors and people prints or visits twice or forgets.

The real functions run on a real database. Only what sets the pages is written by hand: this machine is about whose letter is in them.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from drive import REMINDER, SHORT, Office, office, recount
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import delete, select, text, update
from test_outbox_machine import Scene, opened, places  # noqa: F401

from outreach import clock
from outreach.campaigns import launching, visiting
from outreach.campaigns.visiting import Brought
from outreach.channels.base import Accepted, Receipt
from outreach.database.paper_tables import Letter, PrintBatch
from outreach.database.tables import FINAL, Contact, Delivery, Enterprise
from outreach.letters import batches, directory, posting, printing, returns
from outreach.letters.printing import Chunk, Printed
from outreach.visits import lists

PEOPLE = 4
LEASE = timedelta(seconds=20)
spans = st.sampled_from([timedelta(seconds=2), LEASE + timedelta(seconds=1), timedelta(hours=1)])
RESULTS = ("met", "will_sign", "refused", "not_found", "closed", "again")


class OnPaper(RuleBasedStateMachine):
    """A drive to four enterprises: one has no contact, one no address, and one moves."""

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self.desk, self.scene = scene.desk, scene
        self.hand: list[Chunk] = []
        self.printed: Counter[int] = Counter()
        """How often each letter lies printed: what was put back was thrown away."""
        self.word: dict[int, str] = {}
        """The last word on each letter that was posted."""
        self.settled: set[int] = set()
        self.tried = 0

    @initialize()
    def begin(self) -> None:
        self.scene.restore()

    # --- texts, time and the worker's tick ---

    @rule(outcome=st.sampled_from(["delivered", "undelivered"]))
    def texts_go_out(self, outcome: Any) -> None:
        for claimed in self.desk.claim().claimed:
            reference = f"SM{claimed.message.attempt_id}"
            self.desk.record((claimed, Accepted(reference)))
            self.desk.hear(Receipt("twilio", reference, outcome, claimed.message.delivery, claimed.message.attempt))

    @rule(span=spans)
    def time_passes(self, span: timedelta) -> None:
        self.desk.elapse(span)
        self.hand = [self.older(chunk, span) for chunk in self.hand]

    def older(self, chunk: Chunk, span: timedelta) -> Chunk:
        return Chunk(chunk.id, chunk.lease_until - span, chunk.dated - span, chunk.at - span, chunk.text, chunk.letters, chunk.papers)

    @rule()
    def a_tick(self) -> None:
        self.desk.advance()

    # --- the print run ---

    @rule(limit=st.sampled_from([None, 1, 2]), size=st.integers(1, 3))
    def make_batches(self, limit: int | None, size: int) -> None:
        if self.state() == "planned":
            return
        with self.desk.database.write() as session:
            made = batches.make(session, "drive", settings=self.desk.settings, per_batch=size, limit=limit, by="alice", now=clock.now())
        assert made.due == made.letters + sum(made.skipped.values()) + made.apart + made.left

    @rule()
    def take_a_chunk(self) -> None:
        with self.desk.database.write() as session:
            chunk = printing.claim(session, settings=self.desk.settings, lease=LEASE, now=clock.now())
        if chunk is not None:
            assert self.state() in ("canary", "running")
            assert not set(chunk.letters) & set(self.printed), "a letter is set that lies printed already"
            assert not any(self.speaks_for(key) <= self.settled for key in chunk.letters)
            self.hand.append(chunk)

    def speaks_for(self, delivery: int) -> set[int]:
        spoken = "select s.enterprise_id from recipient_enterprise s join delivery d on d.recipient_id = s.recipient_id where d.id = :d"
        with self.desk.database.read() as session:
            return set(session.scalars(text(spoken), {"d": delivery}))

    @precondition(lambda self: self.hand)
    @rule(place=places, apart=st.booleans())
    def record_a_chunk(self, place: int, apart: bool) -> None:
        """Keep what was set; one of its letters may be such that no font can set it."""
        chunk = self.hand.pop(place % len(self.hand))
        left = set(chunk.letters[:1]) if apart and len(chunk.letters) > 1 else set()
        pages = {key: 1 for key in chunk.letters if key not in left}
        with self.desk.database.write() as session:
            kept = printing.record(session, chunk, Printed(b"%PDF", pages, left), settings=self.desk.settings, now=clock.now())
        if kept:
            assert not any(self.speaks_for(key) <= self.settled for key in pages), "printed for who has settled before it was kept"
            self.printed.update(pages)

    @rule()
    def crash(self) -> None:
        self.hand.clear()

    @rule()
    def finish_batches(self) -> None:
        with self.desk.database.write() as session:
            printing.finish(session, settings=self.desk.settings)

    # --- the post ---

    def letters(self, *conditions: Any) -> list[Any]:
        with self.desk.database.read() as session:
            found = directory.rows(self.desk.settings)
            return list(session.execute(found.where(*conditions).order_by(Letter.delivery_id)))

    @rule(place=places, leaves_out=st.booleans())
    def post_a_batch(self, place: int, leaves_out: bool) -> None:
        ready = self.ids(select(PrintBatch.id).where(PrintBatch.state == "rendered"))
        if not ready:
            return
        number = ready[place % len(ready)]
        waiting = self.letters(Letter.batch_id == number, Letter.posted_at.is_(None))
        out = [row.code for row in waiting[:1]] if leaves_out else []
        now = clock.now()
        with self.desk.database.write() as session:
            posting.post(session, batches=[number], excepted=out, on=now, settings=self.desk.settings, by="alice", now=now)
        for row in waiting:
            self.put_back(row.delivery_id) if row.code in out else self.word.update({row.delivery_id: "delivered"})

    def put_back(self, delivery: int) -> None:
        self.printed.pop(delivery, None)

    @rule(place=places)
    def discard_a_batch(self, place: int) -> None:
        there = self.ids(select(PrintBatch.id).where(PrintBatch.state.in_(("rendering", "rendered"))))
        if place == 0 and there:
            gone = self.letters(Letter.batch_id == there[0], Letter.posted_at.is_(None))
            with self.desk.database.write() as session:
                posting.discard(session, there[0], settings=self.desk.settings, by="alice", now=clock.now())
            for row in gone:
                self.put_back(row.delivery_id)

    @rule(place=places, undone=st.booleans())
    def the_post_brings_one_back(self, place: int, undone: bool) -> None:
        posted = self.letters(Letter.posted_at.is_not(None))
        if not posted:
            return
        row = posted[place % len(posted)]
        with self.desk.database.write() as session:
            if undone:
                returns.undo(session, [row], now=clock.now())
            else:
                returns.take_back(session, [row], reason="moved", now=clock.now())
        self.word[row.delivery_id] = "delivered" if undone else "undelivered"

    # --- the visitors ---

    @rule(limit=st.sampled_from([None, 1]), back=st.booleans())
    def lists_are_given_out(self, limit: int | None, back: bool) -> None:
        which: Any = {"mode": self.desk.settings.mode}
        with self.desk.database.write() as session:
            if back:
                lists.recall(session, which, now=clock.now())
            else:
                lists.issue(session, "王走访", which, limit=limit, by="alice", now=clock.now())

    @rule(place=st.integers(0, PEOPLE - 1), result=st.sampled_from(RESULTS))
    def a_visitor_comes_back(self, place: int, result: str) -> None:
        enterprise = self.scene.enterprises[place]
        self.tried += 1
        brought = Brought(enterprise_id=enterprise, result=result, at=clock.now(), visitor=f"王{self.tried}")
        with self.desk.database.write() as session:
            [outcome] = visiting.record(session, [brought], settings=self.desk.settings, by="alice", now=clock.now())
        if result == "refused" and outcome.state == "recorded":
            self.settled.add(enterprise)

    # --- people ---

    @rule(place=st.integers(0, PEOPLE - 1), act=st.sampled_from(["sign", "sign", "move"]))
    def somebody_acts(self, place: int, act: str) -> None:
        enterprise = self.scene.enterprises[place]
        if act == "move":
            self.desk.write(update(Enterprise).where(Enterprise.id == enterprise).values(address=f"新路{self.tried}号"))
        else:
            self.settled.add(enterprise)
            self.desk.sign(self.desk.signing(self.scene.recipients[enterprise]))

    @rule(place=places)
    def staff_act(self, place: int) -> None:
        state = self.state()
        with self.desk.database.write() as session:
            if state == "paused":
                launching.resume(session, "drive")
            elif state in ("canary", "running") and place < 4:
                launching.pause(session, "drive")
            elif state not in ("finished", "cancelled") and place == 11:
                launching.cancel(session, "drive", now=clock.now())

    def state(self) -> str:
        return str(self.desk.campaign().state)

    def ids(self, query: Any) -> Sequence[int]:
        with self.desk.database.read() as session:
            return session.scalars(query.order_by(text("1"))).all()

    # --- what holds at every moment ---

    @invariant()
    def all_is_well(self) -> None:
        rows = {row.id: row for row in self.desk.deliveries()}
        assert not self.printed or max(self.printed.values()) == 1
        moving = Counter(row.recipient_id for row in rows.values() if row.state not in FINAL)
        assert not moving or max(moving.values()) == 1, "two deliveries of one recipient at once"
        for key in self.printed:
            assert rows[key].state == self.word.get(key, "accepted"), rows[key]
        for key, row in rows.items():
            if row.channel == "letter" and row.state in ("accepted", "delivered", "undelivered"):
                assert key in self.printed, row
        told = self.desk.statement()
        del told["at"]
        assert told == recount(self.desk)

    def teardown(self) -> None:
        """Let everything come to its end: everybody has a letter, a visit, or the reason why not."""
        self.crash()
        for _round in range(6):
            if self.state() == "paused":
                self.staff_act(0)
            self.time_passes(timedelta(hours=1))
            self.texts_go_out("delivered")
            self.a_tick()
            self.make_batches(None, 3)
            for _chunk in range(PEOPLE):
                self.take_a_chunk()
            while self.hand:
                self.record_a_chunk(0, False)
            self.finish_batches()
            for _batch in range(PEOPLE):
                self.post_a_batch(0, False)
            self.lists_are_given_out(None, False)
            for place in range(PEOPLE):
                self.a_visitor_comes_back(place, "met")
            self.all_is_well()
        self.a_tick()
        assert self.state() in ("finished", "cancelled"), (self.desk.deliveries(), self.desk.rows(Delivery))
        cancelled = self.state() == "cancelled"
        for row in self.desk.deliveries():
            assert row.state in FINAL or (cancelled and row.state == "accepted"), row
            assert row.reason or row.channel == "sms" or row.state in ("delivered", "accepted"), row


def play(desk: Office, **profile: Any) -> None:
    ids = desk.enterprises(PEOPLE)
    for key in ids[:-1]:
        desk.write(update(Enterprise).where(Enterprise.id == key).values(address=f"示例路{key}号"))
    desk.write(delete(Contact).where(Contact.enterprise_id == ids[0]))
    scene = Scene(desk, ids)
    steps = [
        {"channel": "sms", "template": SHORT},
        {"channel": "letter", "template": "letter/open-letter", "when": "unsigned", "after": "10m"},
        {"channel": "visit", "when": "unsigned", "after": "10m"},
        {"channel": "sms", "template": REMINDER, "when": "unsigned", "after": "10m"},
    ]
    desk.asking(one_per="enterprise", steps=steps, alternates=0, deadline="2030-01-01")
    scene.keep()
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    machine: Any = lambda: OnPaper(scene)  # noqa: E731
    run_state_machine_as_test(machine, settings=settings(deadline=None, suppress_health_check=checks, **profile))


def test_no_interleaving_prints_or_visits_twice_or_forgets(opened: Any, tmp_path: Path) -> None:  # noqa: F811
    play(office(opened("sqlite"), tmp_path), max_examples=5, stateful_step_count=25)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_no_interleaving_prints_or_visits_twice_or_forgets_told_at_length(opened: Any, tmp_path: Path, kind: str) -> None:  # noqa: F811
    play(office(opened(kind), tmp_path), max_examples=25, stateful_step_count=40)
