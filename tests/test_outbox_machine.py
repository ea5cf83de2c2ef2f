"""No interleaving of claims, answers, crashes, receipts, settling, signatures and stops sends twice, loses anybody, or makes the statement lie.

The machine drives the real functions of the outbox on a real database, by the database's own clock. Only the provider is written by
hand, at the network's seam: it keeps what it accepted, and its list shows that a little late, but within the grace of settling.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from outreach import clock
from outreach.campaigns import ladder, launching, progress
from outreach.channels.base import Accepted, Deferred, Found, Message, Outcome, Receipt, Rejected, Status, Uncertain
from outreach.database.engine import Database
from outreach.database.tables import FINAL, Base
from outreach.outbox import receipts, senders, settle
from outreach.outbox.claim import Claimed
from outreach.outbox.settle import Question
from outreach.outbox.states import RANK
from outreach.pledges import corrections, signing
from outreach.pledges.corrections import CorrectionRequest
from outreach.pledges.signing import DeclineRequest

from drive import GRACE, LEASE, OVER, REMINDER, SHORT, Office, office, phone, recount  # isort: skip

TIMEOUT = timedelta(seconds=5)
DAYS = {"sms": timedelta(hours=72)}
LAST_DAY = timedelta(days=8)
DAY_OF_GRACE = LAST_DAY + timedelta(minutes=10)
"""Until the reminders are over also for a story that takes long to tell."""
PEOPLE = 6
TABLES = [table.name for table in Base.metadata.sorted_tables]
LAG = GRACE.settle_grace - timedelta(seconds=1)
"""How late the provider's list is."""
spans = st.sampled_from([timedelta(seconds=1), timedelta(seconds=5), timedelta(seconds=11), LEASE + timedelta(seconds=1), OVER, OVER, DAYS["sms"] + OVER])
places = st.integers(0, 11)
"""Chooses one of what there is, by its remainder."""
ANSWERS: list[Outcome | tuple[Status, bool]] = [
    ("delivered", True),
    ("delivered", False),
    ("undelivered", True),
    ("failed", False),
    Uncertain("http 500"),
    Deferred(timedelta(0), strained=True),
    Rejected("address", "21211"),
    Rejected("temporary", "21612"),
    Rejected("account", "20003"),
    Rejected("content", "21617"),
]
"""What a provider may do with a message: accept it for an outcome, and say so or not; or never have had it."""


@dataclass
class Kept:
    """A message that the provider accepted."""

    reference: str
    message: Message
    outcome: Status
    created_at: datetime


class Provider:
    """A provider in memory: it accepts, and its list is complete but for the newest."""

    def __init__(self) -> None:
        self.kept: list[Kept] = []

    def accept(self, message: Message, outcome: Status) -> str:
        """Take a message, and return its reference."""
        reference = f"SM{len(self.kept) + 1}"
        self.kept.append(Kept(reference, message, outcome, clock.now()))
        return reference

    def find(self, question: Question) -> list[Found]:
        """Show the messages to this address with exactly this body, as a channel does."""
        wanted = (question.message.to, question.message.body)
        earliest, latest = question.claimed_at - timedelta(minutes=1), clock.now() - LAG
        shown = [kept for kept in self.kept if earliest <= kept.created_at <= latest]
        return [Found(kept.reference, "accepted") for kept in shown if (kept.message.to, kept.message.body) == wanted]

    def elapse(self, span: timedelta) -> None:
        """Grow older."""
        for kept in self.kept:
            kept.created_at -= span


@dataclass
class Held:
    """A claimed delivery in a worker's memory, and the time that has passed since its claim."""

    claimed: Claimed
    age: timedelta = timedelta(0)


@dataclass
class Scene:
    """A launched campaign, kept as copies of its tables, so that each story begins with the same rows."""

    desk: Office
    enterprises: list[int] = field(default_factory=list)
    recipients: dict[int, int] = field(default_factory=dict)
    """Of each enterprise."""

    def keep(self) -> None:
        """Copy every table. The evidence, which lets nothing be taken away, must let it be here."""
        with self.desk.database.write() as session:
            spoken = session.execute(text("select enterprise_id, recipient_id from recipient_enterprise"))
            self.recipients = {row.enterprise_id: row.recipient_id for row in spoken}
            for name in TABLES:
                session.execute(text(f"create table kept_{name} as select * from {name}"))
            if not self.desk.database.is_postgresql:
                for name in session.scalars(text("select name from sqlite_master where type = 'trigger'")).all():
                    session.execute(text(f"drop trigger {name}"))

    def restore(self) -> None:
        """Put every table back."""
        with self.desk.database.write() as session:
            if self.desk.database.is_postgresql:
                session.execute(text(f"truncate {', '.join(TABLES)}"))
            for name in [] if self.desk.database.is_postgresql else reversed(TABLES):
                session.execute(text(f"delete from {name}"))
            for name in TABLES:
                session.execute(text(f"insert into {name} select * from kept_{name}"))


class Drive(RuleBasedStateMachine):
    """A campaign to six enterprises, the last three of which share one phone: an invitation, and reminders again and again until a day."""

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self.desk, self.scene = scene.desk, scene
        self.provider = Provider()
        self.hand: list[Held] = []
        self.answers: list[tuple[Claimed, Outcome]] = []
        self.codes = itertools.count(1)
        self.suppressed: set[str] = set()
        self.settled: set[int] = set()
        self.on_paper: set[int] = set()
        """Signed on a paper whose scan is missing: nothing is settled, but nobody is reminded."""
        self.stopped: set[int] = set()
        self.acts = 0
        self.elapsed = timedelta(0)
        self.seen: dict[int, str] = {}
        self.looked_at: Any = None

    @initialize()
    def begin(self) -> None:
        self.scene.restore()

    # --- the worker ---

    @rule()
    def claim(self) -> None:
        running = self.state() in ("canary", "running")
        for claimed in self.desk.claim().claimed:
            self.hand.append(Held(claimed))
            if claimed.campaign_id is not None:
                assert running
                assert claimed.message.to not in self.suppressed
                step, recipient, spoken = self.speaks_for(claimed.message.delivery)
                assert recipient not in self.stopped
                assert not spoken <= self.settled | (self.on_paper if step == 2 else set())

    def speaks_for(self, delivery: int) -> tuple[int, int, set[int]]:
        spoken = "select d.step, d.recipient_id, s.enterprise_id from recipient_enterprise s join delivery d on d.recipient_id = s.recipient_id where d.id = :d"
        with self.desk.database.read() as session:
            rows = session.execute(text(spoken), {"d": delivery}).all()
        return rows[0].step, rows[0].recipient_id, {row.enterprise_id for row in rows}

    @precondition(lambda self: self.hand)
    @rule(choices=st.lists(st.tuples(places, st.sampled_from(ANSWERS)), min_size=1, max_size=5))
    def provider_answers(self, choices: list[tuple[int, Outcome | tuple[Status, bool]]]) -> None:
        for place, answer in choices:
            if self.hand:
                self.answer(self.hand.pop(place % len(self.hand)), answer)

    def answer(self, held: Held, answer: Outcome | tuple[Status, bool]) -> None:
        """Let the provider answer; what is too old for its lease is given back unsent, as a channel does."""
        if held.age > LEASE - TIMEOUT:
            outcome: Outcome = Deferred(timedelta(0))
        elif isinstance(answer, tuple):
            reference = self.provider.accept(held.claimed.message, answer[0])
            outcome = Accepted(reference) if answer[1] else Uncertain("TimeoutError")
        else:
            outcome = answer
        self.answers.append((held.claimed, outcome))

    @precondition(lambda self: self.answers)
    @rule(place=places)
    def record(self, place: int) -> None:
        """Record some answers; the others come later, or never."""
        some = self.answers[place % len(self.answers) :]
        del self.answers[place % len(self.answers) :]
        self.desk.record(*some)
        refused = {claimed.message.to for claimed, outcome in some if isinstance(outcome, Rejected) and outcome.kind == "address"}
        self.suppressed |= {number for number in refused if self.desk.address(number).suppressed_at}

    @precondition(lambda self: self.hand or self.answers)
    @rule()
    def crash(self) -> None:
        self.hand.clear()
        self.answers.clear()

    # --- time, and who looks after what waits ---

    @rule(span=spans)
    def time_passes(self, span: timedelta) -> None:
        self.desk.elapse(span)
        self.elapsed += span
        self.provider.elapse(span)
        for held in self.hand:
            held.age += span

    @rule(what=st.sets(st.sampled_from(["leases", "questions", "campaigns", "receipts", "patience", "no answer"]), min_size=1))
    def a_tick(self, what: set[str]) -> None:
        """Some of what a tick does, for the next worker may do the rest."""
        if "leases" in what:
            self.desk.expire()
        if "receipts" in what or "patience" in what:
            with self.desk.database.write() as session:
                receipts.match_kept(session, now=clock.now())
                settle.fall_silent(session, patience=DAYS, now=clock.now())
        if "questions" in what:
            self.ask(answers="no answer" not in what)
        if "campaigns" in what:
            with self.desk.database.write() as session:
                progress.review(session, settings=self.desk.settings, now=clock.now())
                before = self.count(session)
                ladder.advance(session, mode="rehearsal", now=clock.now())
                assert self.elapsed < DAY_OF_GRACE or self.count(session) == before, "a reminder after the last day"

    def count(self, session: Session) -> int:
        return int(session.execute(text("select count(*) from delivery")).scalar_one())

    def ask(self, *, answers: bool) -> None:
        with self.desk.database.write() as session:
            asked = settle.questions(session, sender_id=self.desk.sender_id, grace=GRACE)
        shown = [settle.Answer(question, self.provider.find(question) if answers else None) for question in asked]
        with self.desk.database.write() as session:
            settle.answer(session, provider="twilio", answers=shown, grace=GRACE, now=clock.now())

    # --- what comes back ---

    @precondition(lambda self: self.provider.kept)
    @rule(choices=st.lists(st.tuples(places, st.booleans(), st.booleans()), min_size=1, max_size=4))
    def receipts_come(self, choices: list[tuple[int, bool, bool]]) -> None:
        """In any order, any number of times, before our record or long after; with the attempt that they belong to, or without."""
        news = []
        for place, final, named in choices:
            kept = self.provider.kept[-1 - place % len(self.provider.kept)]
            own = (kept.message.delivery, kept.message.attempt) if named else (None, None)
            news.append(Receipt("twilio", kept.reference, kept.outcome if final else "accepted", *own))
        self.desk.hear(*news)

    # --- what people do ---

    def state(self) -> str:
        with self.desk.database.read() as session:
            return str(session.execute(text("select state from campaign")).scalar_one())

    @rule(act=st.sampled_from(["mend", "mend", "code", "opt_out", "pause", "cancel"]), place=places)
    def somebody_acts(self, act: str, place: int) -> None:
        getattr(self, act)(place)

    @rule(act=st.sampled_from(["sign", "paper", "decline", "withdraw", "stop"]), place=places)
    def an_enterprise_acts(self, act: str, place: int) -> None:
        self.acts += 1
        getattr(self, act)(self.scene.enterprises[place % PEOPLE])

    def sign(self, enterprise: int) -> None:
        self.settled.add(enterprise)
        self.desk.sign(self.desk.signing(self.scene.recipients[enterprise]))

    def paper(self, enterprise: int) -> None:
        self.on_paper.add(enterprise)
        self.desk.sign(self.desk.signing(self.scene.recipients[enterprise], way="paper", method="paper", state="pending", recorded_by="alice"))

    def decline(self, enterprise: int) -> None:
        """Say no; who has signed must withdraw instead, and a paper counts as signed here."""
        self.settled |= {enterprise} - self.on_paper
        visitor = self.desk.visitor(self.scene.recipients[enterprise])
        values = {"recipient_id": visitor.recipient_id, "campaign_id": visitor.campaign_id, "way": "link", "reason": "", "at": clock.now()}
        with self.desk.database.write() as session:
            signing.decline(session, [DeclineRequest(enterprise_ids=[enterprise], version_id=visitor.version.id, **values)])

    def withdraw(self, enterprise: int) -> None:
        (spoken,) = self.desk.visitor(self.scene.recipients[enterprise]).enterprises
        if spoken.signature is not None:
            self.settled.add(enterprise)
            self.on_paper.discard(enterprise)
            with self.desk.database.write() as session:
                signing.withdraw(session, spoken.signature.serial, reason="", by="alice", now=clock.now())

    def stop(self, enterprise: int) -> None:
        """Say that the letter is for somebody else."""
        recipient = self.scene.recipients[enterprise]
        self.stopped.add(recipient)
        with self.desk.database.write() as session:
            corrections.correct(session, [CorrectionRequest(recipient_id=recipient, kind="not_principal", detail="", way="link", at=clock.now())])

    def opt_out(self, place: int) -> None:
        self.suppressed.add(phone(place % 4 + 1))
        self.desk.suppress(phone(place % 4 + 1))

    def code(self, place: int) -> None:
        count = next(self.codes)
        self.desk.alone(f"code:{count}", phone(place % 4 + 1), fields={"one_time_code": f"{count:06d}"})

    def mend(self, _place: int = 0) -> None:
        """Let the sender and the campaign go on."""
        paused = self.state() == "paused"
        with self.desk.database.write() as session:
            senders.resume(session, [self.desk.sender_id])
            if paused:
                launching.resume(session, "drive")

    def pause(self, _place: int) -> None:
        if self.state() in ("canary", "running"):
            with self.desk.database.write() as session:
                launching.pause(session, "drive")

    def cancel(self, place: int) -> None:
        if place == 0 and self.state() not in ("finished", "cancelled"):
            with self.desk.database.write() as session:
                launching.cancel(session, "drive", now=clock.now())

    # --- what holds at every moment ---

    @invariant()
    def all_is_well(self) -> None:
        """Look only when something changed: most of what may happen changes nothing."""
        with self.desk.database.read() as session:
            rows = session.execute(text("select id, recipient_id, step, occurrence, purpose, state, reason, doubled, attempt from delivery order by id")).all()
            held = session.execute(text("select id, holder from address order by id")).all()
        if (facts := (rows, held, self.acts, len(self.provider.kept))) != self.looked_at:
            self.looked_at = facts
            self.nobody_is_written_to_twice(rows)
            self.no_delivery_goes_back({row.id: row.state for row in rows})
            self.desk.fly_alone()
            told = self.desk.statement()
            del told["at"]
            assert told == recount(self.desk)

    def nobody_is_written_to_twice(self, rows: Sequence[Row[Any]]) -> None:
        keys = {row.id: (row.recipient_id, row.step, row.occurrence, row.purpose) for row in rows}
        written = Counter(keys[kept.message.delivery] for kept in self.provider.kept)
        assert not written or max(written.values()) == 1, written
        assert not any(row.doubled for row in rows)

    def no_delivery_goes_back(self, states: dict[int, str]) -> None:
        for key, before in self.seen.items():
            assert RANK.get(states[key], 0) >= RANK.get(before, 0), (key, before, states[key])
            assert before not in FINAL or states[key] in FINAL, (key, before, states[key])
        self.seen = states

    def teardown(self) -> None:
        """Let everything come to its end: then nobody is forgotten, and what the provider did is what we say."""
        self.crash()
        self.mend()
        for round_ in range(6):
            self.time_passes(OVER if round_ != 3 else LAST_DAY)
            self.a_tick({"leases", "questions", "campaigns", "receipts"})
            self.send_all()
            self.desk.hear(*(Receipt("twilio", kept.reference, kept.outcome, kept.message.delivery, kept.message.attempt) for kept in self.provider.kept))
            self.all_is_well()
            if self.state() in ("finished", "cancelled") and all(state in FINAL for state in self.seen.values()):
                break
        assert self.state() in ("finished", "cancelled")
        rows = {row.id: row for row in self.desk.deliveries()}
        for kept in self.provider.kept:
            assert rows[kept.message.delivery].state == kept.outcome
        sent = {kept.message.delivery for kept in self.provider.kept}
        for key, row in rows.items():
            assert row.state in FINAL, row
            assert key in sent or (row.reason and row.state in ("skipped", "failed", "silent")), row

    def send_all(self) -> None:
        while self.claim() or self.hand:
            while self.hand:
                self.answer(self.hand.pop(), ("delivered", True))
            self.desk.record(*self.answers)
            self.answers.clear()


def play(database: Database, home: Path, **profile: Any) -> None:
    desk = office(database, home)
    phones = [phone(number) for number in (1, 2, 3, 4, 4, 4)]
    scene = Scene(desk, desk.enterprises(PEOPLE, phones=phones))
    again = {"every": "40s", "until": (clock.now() + LAST_DAY).isoformat()}
    steps = [{"channel": "sms", "template": SHORT}, {"channel": "sms", "template": REMINDER, "when": "unsigned", "after": "1s", **again}]
    desk.asking(one_per="enterprise", steps=steps, alternates=0)
    scene.keep()
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    machine: Any = lambda: Drive(scene)  # noqa: E731
    run_state_machine_as_test(machine, settings=settings(deadline=None, suppress_health_check=checks, **profile))


@pytest.fixture
def opened(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Database]]:
    databases: list[Database] = []

    def make(kind: str) -> Database:
        databases.append(Database(request.getfixturevalue(f"new_{kind}")()))
        return databases[-1]

    yield make
    for database in databases:
        database.close()


def test_no_interleaving_sends_twice_or_forgets(opened: Callable[[str], Database], tmp_path: Path) -> None:
    play(opened("sqlite"), tmp_path, max_examples=10, stateful_step_count=30)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_no_interleaving_sends_twice_or_forgets_told_at_length(opened: Callable[[str], Database], tmp_path: Path, kind: str) -> None:
    play(opened(kind), tmp_path, max_examples=60, stateful_step_count=40)
