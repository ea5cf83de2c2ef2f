"""The same over two channels: WeChat first, texts behind it; lost answers repeated, reviews, people who leave, events that know only a person.

WeChat is written by hand at the network's seam: it drops a copy of an attempt within ten minutes, and would deliver it twice after.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from drive import LEASE, OVER, SHORT, Office, office, phone, recount
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import text
from test_outbox_machine import Held, Scene, opened, places  # noqa: F401

from outreach import clock
from outreach.campaigns import launching
from outreach.channels.base import Accepted, Deferred, Found, Outcome, Receipt, Rejected, Review, Status, Uncertain
from outreach.database.tables import FINAL
from outreach.outbox import receipts, senders, settle
from outreach.outbox.claim import Claimed
from outreach.outbox.record import record_again
from outreach.outbox.states import RANK

TIMEOUT = timedelta(seconds=5)
WINDOW = timedelta(minutes=10)
PATIENCE = {"sms": timedelta(hours=24), "wechat": timedelta(hours=24)}
PEOPLE = 4
BOUND = 3
spans = st.sampled_from([timedelta(seconds=1), LEASE + timedelta(seconds=1), OVER, timedelta(minutes=4), timedelta(minutes=11), timedelta(hours=25)])
ANSWERS: list[Outcome | tuple[Status, str]] = [
    ("delivered", "told"),
    ("delivered", "lost"),
    ("undelivered", "told"),
    ("undelivered", "lost"),
    ("delivered", "review"),
    ("failed", "review"),
    Uncertain("http 502"),
    Deferred(timedelta(0), strained=True),
    Rejected("address", "43004"),
    Rejected("temporary", "43101"),
]
"""What WeChat may do with a message: accept it for an outcome, and say so, not, or that it reads it first; or never have had it."""


@dataclass
class Kept:
    """A message that a provider accepted."""

    reference: str
    claimed: Claimed
    wechat: bool
    outcome: Status
    at: datetime
    heard: bool = False
    review: bool = False


class Gateways:
    """Both providers in memory: one that lists all, and one that drops copies for ten minutes."""

    def __init__(self) -> None:
        self.kept: list[Kept] = []

    def accept(self, claimed: Claimed, wechat: bool, outcome: Status) -> Kept:
        """Take a message; a copy of the same attempt within ten minutes is the one that was taken."""
        known = [kept for kept in self.kept if wechat and kept.wechat and kept.claimed.message.attempt_id == claimed.message.attempt_id]
        if known and known[-1].at > clock.now() - WINDOW:
            return known[-1]
        self.kept.append(Kept(str(7_000_000_000 + len(self.kept)), claimed, wechat, outcome, clock.now()))
        return self.kept[-1]


class TwoChannels(RuleBasedStateMachine):
    """A drive to four people, three of whom follow the account."""

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self.desk, self.scene = scene.desk, scene
        self.wechat_id = self.desk.wechat_id
        self.gateways = Gateways()
        self.hand: list[tuple[Held, bool]] = []
        self.answers: list[tuple[Claimed, Outcome, bool]] = []
        self.settled: set[int] = set()
        self.seen: dict[int, str] = {}

    @initialize()
    def begin(self) -> None:
        self.scene.restore()

    def key(self, wechat: bool) -> int:
        return self.wechat_id if wechat else self.desk.sender_id

    @rule(wechat=st.booleans())
    def claim(self, wechat: bool) -> None:
        for claimed in self.desk.claim(sender_id=self.key(wechat)).claimed:
            self.hand.append((Held(claimed), wechat))

    @precondition(lambda self: self.hand)
    @rule(choices=st.lists(st.tuples(places, st.sampled_from(ANSWERS)), min_size=1, max_size=4))
    def provider_answers(self, choices: list[tuple[int, Outcome | tuple[Status, str]]]) -> None:
        for place, answer in choices:
            if self.hand:
                held, wechat = self.hand.pop(place % len(self.hand))
                outcome = Deferred(timedelta(0)) if held.age > LEASE - TIMEOUT else self.answer(held.claimed, wechat, answer)
                self.answers.append((held.claimed, outcome, wechat))

    def answer(self, claimed: Claimed, wechat: bool, answer: Outcome | tuple[Status, str]) -> Outcome:
        """Let a provider answer; what it accepted before it cannot refuse now."""
        if not isinstance(answer, tuple):
            return answer
        kept = self.gateways.accept(claimed, wechat, answer[0])
        kept.review = kept.review or (wechat and answer[1] == "review")
        if kept.review:
            return Review("")
        return Uncertain("TimeoutError") if answer[1] == "lost" else Accepted(kept.reference)

    @rule(outcome=st.sampled_from(["delivered", "undelivered"]), span=st.sampled_from([OVER, timedelta(minutes=11)]))
    def an_answer_is_lost(self, outcome: Status, span: timedelta) -> None:
        """WeChat takes a message, its answer never comes, and for a while nobody looks after it."""
        self.claim(True)
        if self.hand and self.hand[-1][1] and self.hand[-1][0].age <= LEASE - TIMEOUT:
            held, wechat = self.hand.pop()
            self.answers.append((held.claimed, self.answer(held.claimed, wechat, (outcome, "lost")), wechat))
            self.record(0)
        self.time_passes(span)
        self.a_tick((outcome, "told"), True)

    @precondition(lambda self: self.answers)
    @rule(place=places)
    def record(self, place: int) -> None:
        some = self.answers[place % len(self.answers) :]
        del self.answers[place % len(self.answers) :]
        for wechat in (True, False):
            self.desk.record(*((claimed, outcome) for claimed, outcome, own in some if own == wechat), sender_id=self.key(wechat))

    @rule()
    def crash(self) -> None:
        self.hand.clear()
        self.answers.clear()

    @rule(span=spans)
    def time_passes(self, span: timedelta) -> None:
        """Within WeChat's patience every event comes: a later one would find another message in flight."""
        if span > timedelta(hours=1):
            self.events(range(len(self.gateways.kept)))
        self.desk.elapse(span)
        for kept in self.gateways.kept:
            kept.at -= span
        for held, _wechat in self.hand:
            held.age += span

    @rule(repeat=st.sampled_from(ANSWERS), reachable=st.booleans())
    def a_tick(self, repeat: Outcome | tuple[Status, str], reachable: bool) -> None:
        self.desk.expire()
        with self.desk.database.write() as session:
            receipts.match_kept(session, now=clock.now())
            settle.fall_silent(session, patience=PATIENCE, now=clock.now())
        self.settle_texts(reachable)
        self.settle_wechat(repeat)
        self.desk.advance()

    def settle_texts(self, reachable: bool) -> None:
        def found(message: Any) -> list[Found] | None:
            mine = [kept for kept in self.gateways.kept if not kept.wechat and kept.claimed.message.to == message.to]
            return [Found(kept.reference, "accepted") for kept in mine if kept.claimed.message.body == message.body] if reachable else None

        self.desk.ask(found)

    def settle_wechat(self, repeat: Outcome | tuple[Status, str]) -> None:
        """Send the same attempts once more while that is safe, and read the verdicts; else wait."""
        with self.desk.database.write() as session:
            asked = settle.questions(session, sender_id=self.wechat_id, grace=self.desk.grace, secrets=self.desk.rules.secrets)
        again = [question for question in asked if question.repeatable(WINDOW, TIMEOUT)]
        had = {kept.claimed.message.attempt_id for kept in self.gateways.kept}
        answers = [
            (
                question.claimed,
                Uncertain("http 502") if not isinstance(repeat, tuple) and question.message.attempt_id in had else self.answer(question.claimed, True, repeat),
            )
            for question in again
        ]
        blocked = {kept.claimed.message.delivery for kept in self.gateways.kept if kept.review and kept.outcome == "failed"}
        others = [question for question in asked if question not in again]
        shown = [
            settle.Answer(
                question, [Found("", "failed", "40252")] if question.review and question.message.delivery in blocked else [] if question.review else None
            )
            for question in others
        ]
        with self.desk.database.write() as session:
            record_again(session, sender_id=self.wechat_id, provider="wechat", answers=answers, patience=self.desk.patience)
            settle.answer(session, provider="wechat", answers=shown, grace=self.desk.grace, now=clock.now())

    @precondition(lambda self: self.gateways.kept)
    @rule(choices=st.lists(places, min_size=1, max_size=4))
    def receipts_come(self, choices: list[int]) -> None:
        self.events([place % len(self.gateways.kept) for place in choices])

    def events(self, chosen: Any) -> None:
        """WeChat's events name the message and the person, Twilio's the attempt; of a blocked one there is none."""
        news = []
        for place in chosen:
            kept = self.gateways.kept[place]
            message = kept.claimed.message
            if kept.wechat and not (kept.review and kept.outcome == "failed"):
                news.append(Receipt("wechat", kept.reference, kept.outcome, to=message.to))
            elif not kept.wechat:
                news.append(Receipt("twilio", kept.reference, kept.outcome, message.delivery, message.attempt))
            kept.heard = True
        self.desk.hear(*news)

    @rule(place=st.integers(0, PEOPLE - 1), act=st.sampled_from(["sign", "leave", "mend"]))
    def somebody_acts(self, place: int, act: str) -> None:
        enterprise = self.scene.enterprises[place]
        if act == "sign":
            self.settled.add(enterprise)
            self.desk.sign(self.desk.signing(self.scene.recipients[enterprise]))
        elif act == "leave":
            self.desk.unfollow(f"o-{place + 1}")
        else:
            self.mend()

    def mend(self) -> None:
        with self.desk.database.write() as session:
            senders.resume(session, [self.wechat_id, self.desk.sender_id])
            if session.execute(text("select state from campaign")).scalar_one() == "paused":
                launching.resume(session, "drive")

    @invariant()
    def all_is_well(self) -> None:
        with self.desk.database.read() as session:
            rows = session.execute(text("select id, recipient_id, step, state, doubled, channel from delivery order by id")).all()
        step_of = {row.id: (row.recipient_id, row.step) for row in rows}
        written = Counter(step_of[kept.claimed.message.delivery] for kept in self.gateways.kept)
        assert not written or max(written.values()) == 1, written
        assert not any(row.doubled for row in rows)
        moving = Counter(row.recipient_id for row in rows if row.state not in FINAL)
        assert not moving or max(moving.values()) == 1, "two deliveries of one recipient at once"
        for row in rows:
            before = self.seen.get(row.id, "queued")
            assert RANK.get(row.state, 0) >= RANK.get(before, 0), (row, before)
        self.seen = {row.id: row.state for row in rows}
        self.desk.fly_alone()
        told = self.desk.statement()
        del told["at"]
        assert told == recount(self.desk)

    def teardown(self) -> None:
        """Let everything come to its end: nobody is forgotten, and what the providers did is what we say."""
        self.crash()
        for _round in range(8):
            self.mend()
            self.events(range(len(self.gateways.kept)))
            self.time_passes(timedelta(hours=25))
            self.a_tick(("delivered", "told"), True)
            for wechat in (True, False):
                self.claim(wechat)
            while self.hand:
                held, wechat = self.hand.pop()
                self.answers.append((held.claimed, self.answer(held.claimed, wechat, ("delivered", "told")), wechat))
            while self.answers:
                self.record(0)
            self.all_is_well()
        assert self.desk.campaign().state == "finished", self.desk.deliveries()
        rows = {row.id: row for row in self.desk.deliveries()}
        for kept in self.gateways.kept:
            unheard = ["silent"] if kept.review and kept.outcome == "failed" else []  # blocked, and nobody learned that it was read at all
            assert rows[kept.claimed.message.delivery].state in [kept.outcome, *unheard], (kept, rows[kept.claimed.message.delivery])
        assert all(row.state in FINAL for row in rows.values())


def play(desk: Office, **profile: Any) -> None:
    scene = Scene(desk, desk.enterprises(PEOPLE))
    for number in range(1, BOUND + 1):
        desk.bind(phone(number), f"o-{number}")
    steps = [
        {"channel": "wechat", "template": "wechat/pledge-invitation"},
        {"channel": "sms", "template": SHORT, "when": "unreached"},
        {"channel": "wechat", "template": "wechat/pledge-reminder", "when": "unsigned", "after": "1s"},
    ]
    desk.asking(one_per="enterprise", steps=steps, alternates=0)
    scene.keep()
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    machine: Any = lambda: TwoChannels(scene)  # noqa: E731
    run_state_machine_as_test(machine, settings=settings(deadline=None, suppress_health_check=checks, **profile))


def test_no_interleaving_over_two_channels_writes_twice_or_forgets(opened: Any, tmp_path: Path) -> None:  # noqa: F811
    play(office(opened("sqlite"), tmp_path), max_examples=5, stateful_step_count=25)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_no_interleaving_over_two_channels_told_at_length(opened: Any, tmp_path: Path, kind: str) -> None:  # noqa: F811
    play(office(opened(kind), tmp_path), max_examples=60, stateful_step_count=40)
