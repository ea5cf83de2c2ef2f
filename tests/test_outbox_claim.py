"""What may go, and what not: every refusal has its reason, nobody is written to twice at once, and two workers never take the same row."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update

from outreach import clock
from outreach.campaigns import progress
from outreach.channels.base import Accepted, Deferred, Outcome, Receipt, Rejected, Uncertain
from outreach.database.engine import Database
from outreach.database.tables import Campaign, Contact, Sender
from outreach.outbox import limits, receipts, settle
from outreach.outbox.claim import Claimed
from outreach.outbox.limits import BREAKS_AFTER

from drive import LEASE, LONG, OVER, Office, office, phone  # isort: skip

WEEK = timedelta(days=7)


def skips(desk: Office) -> list[tuple[str, str | None]]:
    return [(row.state, row.reason) for row in desk.deliveries()]


# --- what is taken ---


def test_a_claim_takes_what_is_due_with_its_body_and_holds_the_address(desk: Office) -> None:
    desk.enterprises(2)
    desk.launch()
    before = clock.now()
    first, second = desk.take(2)
    assert [first.message.to, second.message.to] == [phone(1), phone(2)]
    assert first.message.body.startswith("【示例人社】王1：请贵企业签订《不欠薪倡议书》。")
    assert first.message.attempt_id == f"{first.message.delivery}.1"
    row = desk.delivery(first.message.delivery)
    assert (row.state, row.attempt) == ("sending", 1)
    assert row.lease_until - row.claimed_at == LEASE and abs(row.claimed_at - before) < timedelta(seconds=10)
    assert desk.address(phone(1)).holder == row.id
    desk.fly_alone()
    assert desk.claim().claimed == ()


def test_the_body_that_is_sent_is_the_sample_that_was_approved(desk: Office) -> None:
    desk.enterprises(1)
    desk.launch(steps=[{"channel": "sms", "template": LONG}])
    (claimed,) = desk.take(1)
    assert claimed.message.body == desk.campaign().summary["steps"][0]["samples"][0]


def test_what_is_not_due_yet_is_not_taken(desk: Office) -> None:
    desk.enterprises(1)
    desk.launch(start=(clock.now() + timedelta(hours=1)).isoformat())
    assert desk.claim().claimed == ()
    desk.elapse(timedelta(hours=1, seconds=1))
    desk.take(1)


# --- what is refused, each with its reason ---


def test_who_is_on_the_list_of_refusals_is_skipped(desk: Office) -> None:
    desk.enterprises(2)
    desk.launch()
    desk.suppress(phone(1))
    assert [claimed.message.to for claimed in desk.take(1)] == [phone(2)]
    assert skips(desk) == [("skipped", "suppressed"), ("sending", None)]
    assert desk.delivery(1).final_at is not None and desk.delivery(1).attempt == 0


@pytest.mark.parametrize("outcome", ["signed", "declined", "withdrawn"])
def test_who_has_settled_is_not_written_to_again(desk: Office, outcome: str) -> None:
    enterprise, _other = desk.enterprises(2)
    desk.launch()
    desk.settle_enterprise(enterprise, outcome=outcome)
    desk.take(1)
    assert skips(desk) == [("skipped", "goal_reached"), ("sending", None)]


def test_what_was_settled_before_the_approval_does_not_stop(desk: Office) -> None:
    """Only a newly approved campaign may write again: to those who withdrew last year, for one."""
    (enterprise,) = desk.enterprises(1)
    desk.settle_enterprise(enterprise, outcome="withdrawn", at=clock.now() - timedelta(days=300))
    desk.launch()
    desk.take(1)


def test_a_person_is_written_to_while_one_of_his_enterprises_is_open(desk: Office) -> None:
    one, two = desk.enterprises(2, phones=[phone(7), phone(7)])
    three, four = desk.enterprises(2, phones=[phone(8), phone(8)])
    desk.launch()
    desk.settle_enterprise(one)
    desk.settle_enterprise(three)
    desk.settle_enterprise(four)
    assert [claimed.message.to for claimed in desk.take(1)] == [phone(7)]
    assert ("skipped", "goal_reached") in skips(desk)
    assert two


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"erased_at": clock.now()}, "erased"),
        ({"revision": 2, "phone": phone(99)}, "address_changed"),
        ({"revision": 2, "erased_at": clock.now()}, "erased"),
    ],
)
def test_a_contact_that_changed_since_the_plan_is_not_written_to(desk: Office, change: Mapping[str, Any], reason: str) -> None:
    desk.enterprises(2)
    desk.launch()
    desk.write(update(Contact).where(Contact.phone == phone(1)).values(**change))
    desk.take(1)
    assert skips(desk)[0] == ("skipped", reason)


def test_an_address_that_had_its_share_of_the_week_waits_and_is_not_skipped(database: Database, tmp_path: Path) -> None:
    desk = office(database, tmp_path, weekly_cap=2)
    desk.enterprises(1)
    for name in ("first", "second", "third"):
        desk.launch(name)
    sent = desk.send_all()
    assert len(sent) == 2
    third = desk.deliveries()[-1]
    assert (third.state, third.attempt) == ("queued", 0)
    address = desk.address(phone(1))
    assert address.cap_used == 2
    assert third.due_at == address.cap_from + WEEK
    desk.elapse(WEEK)
    desk.take(1)
    assert desk.address(phone(1)).cap_used == 1


def test_what_was_never_sent_does_not_count_as_the_share_of_the_week(database: Database, tmp_path: Path) -> None:
    """A gateway under strain puts off one text many times; the person has received nothing."""
    desk = office(database, tmp_path, weekly_cap=1)
    desk.enterprises(1)
    desk.launch()
    for _ in range(3):
        (claimed,) = desk.take(1)
        desk.record((claimed, Deferred(timedelta(0))))
    assert desk.states() == ["queued"]
    (claimed,) = desk.take(1)
    desk.record((claimed, Accepted("SM1")))
    assert desk.states() == ["accepted"]


def test_a_text_that_cannot_be_written_fails_alone(desk: Office) -> None:
    desk.enterprises(3)
    desk.launch()
    desk.write(text("update recipient set fields = '{}' where id = (select min(id) from recipient)"))
    assert len(desk.take(2)) == 2
    assert skips(desk) == [("failed", "content"), ("sending", None), ("sending", None)]
    assert desk.campaign().state == "running"
    desk.fly_alone()


# --- one in flight an address ---


def two_on_one_phone(desk: Office) -> None:
    desk.enterprises(2, phones=[phone(7), phone(7)])
    desk.launch(one_per="enterprise")


def test_of_two_messages_to_one_phone_the_second_waits(desk: Office) -> None:
    two_on_one_phone(desk)
    (first,) = desk.take(1)
    assert desk.claim().claimed == ()
    desk.record((first, Accepted("SM1")))
    (second,) = desk.take(1)
    assert second.message.delivery != first.message.delivery
    desk.fly_alone()


def test_while_nobody_knows_of_the_first_the_second_waits_too(desk: Office) -> None:
    two_on_one_phone(desk)
    (first,) = desk.take(1)
    desk.record((first, Uncertain("TimeoutError")))
    assert desk.states() == ["unknown", "queued"]
    assert desk.claim().claimed == ()
    desk.fly_alone()
    desk.hear(Receipt("twilio", "SM1", "delivered", first.message.delivery, 1))
    desk.take(1)


def test_a_worker_that_died_keeps_its_address_until_that_is_settled(desk: Office) -> None:
    two_on_one_phone(desk)
    desk.take(1)
    desk.elapse(LEASE + timedelta(seconds=1))
    assert desk.expire() == 1
    assert desk.claim().claimed == ()
    desk.elapse(OVER)
    desk.ask(lambda _message: [])
    assert desk.states() == ["queued", "queued"]
    desk.take(1)


def test_two_campaigns_never_fly_to_one_phone_at_once(desk: Office) -> None:
    desk.enterprises(3)
    desk.launch("one")
    desk.launch("two")
    assert len(desk.take(3)) == 3
    assert desk.claim().claimed == ()
    desk.fly_alone()


# --- how much at once ---


def test_a_canary_takes_no_more_than_its_number(desk: Office) -> None:
    desk.enterprises(6)
    desk.launch(first=2)
    one, _two = desk.take(2)
    assert desk.claim().claimed == ()
    desk.record((one, Deferred(timedelta(0))))
    assert len(desk.take(1)) == 1  # what was put off has not gone


def test_who_is_refused_does_not_use_up_the_canary(desk: Office) -> None:
    desk.enterprises(4)
    desk.launch(first=2)
    desk.suppress(phone(1))
    desk.suppress(phone(2))
    taken = desk.take() + desk.take()
    assert [claimed.message.to for claimed in taken] == [phone(3), phone(4)]


def test_the_pace_of_a_campaign_is_in_messages_an_hour(desk: Office) -> None:
    desk.enterprises(100)
    desk.launch(pace={"per_hour": 1200})
    desk.write(update(Campaign).values(state="running", claim_limit=None))
    assert len(desk.take()) == 20  # a minute's worth
    assert desk.claim().claimed == ()
    desk.write(update(Campaign).values(tat=Campaign.tat - 30 * limits.SECOND))
    assert len(desk.take()) == 10


def test_the_pace_of_one_campaign_holds_up_no_other(desk: Office) -> None:
    desk.enterprises(70)
    desk.enterprises(2, town="逍林镇")
    desk.launch("slow", pace={"per_hour": 60})
    desk.launch("other", town="逍林镇")
    taken = desk.take(1) + desk.take(2)
    assert [claimed.campaign_id for claimed in taken] == [1, 2, 2]


def test_the_rate_of_a_sender_is_in_segments(database: Database, tmp_path: Path) -> None:
    desk = office(database, tmp_path, sender=[{"per_second": 8}])
    desk.enterprises(10)
    desk.launch(steps=[{"channel": "sms", "template": LONG}])
    segments = desk.deliveries()[0].segments
    assert segments >= 2
    taken = len(desk.take())
    assert 8 // segments - 1 <= taken <= 8 // segments
    empty = desk.claim()
    assert empty.claimed == () and empty.wait is not None and timedelta(0) <= empty.wait <= timedelta(seconds=1)
    desk.write(update(Sender).values(tat=Sender.tat - limits.SECOND))
    assert desk.take()


def test_a_day_has_no_more_segments_than_the_quota(database: Database, tmp_path: Path) -> None:
    desk = office(database, tmp_path, sender=[{"daily": 3}])
    desk.enterprises(5)
    desk.launch()
    assert sum(desk.delivery(item.message.delivery).segments for item in desk.take()) <= 3
    desk.take(0)
    assert desk.sender().day_used <= 3
    desk.write(update(Sender).values(day="2001-01-01"))
    assert desk.take()


def test_a_long_text_is_not_starved_by_short_ones(database: Database, tmp_path: Path) -> None:
    """The campaign whose turn it is keeps its turn while its text waits for room; or one of shorter texts would take every token."""
    desk = office(database, tmp_path, sender=[{"per_second": 1}])
    desk.enterprises(10)
    desk.enterprises(40, town="逍林镇")
    desk.launch("long", steps=[{"channel": "sms", "template": LONG}])
    desk.launch("short", town="逍林镇")
    desk.write(update(Campaign).values(state="running", claim_limit=None))
    taken: Counter[int | None] = Counter()
    for _ in range(30):
        taken.update(item.campaign_id for item in desk.take())
        desk.write(update(Sender).values(tat=Sender.tat - limits.SECOND))  # a second passes
    assert taken[1] >= 8 and taken[2] >= 12


# --- whose turn ---


def test_two_campaigns_of_one_sender_take_fair_turns(database: Database, tmp_path: Path) -> None:
    desk = office(database, tmp_path, sender=[{"per_second": 10}])
    desk.enterprises(40)
    desk.enterprises(40, town="逍林镇")
    desk.launch("one")
    desk.launch("two", town="逍林镇")
    taken: Counter[int | None] = Counter()
    for _ in range(6):
        taken.update(item.campaign_id for item in desk.take())
        desk.write(update(Sender).values(tat=Sender.tat - limits.SECOND))
    assert abs(taken[1] - taken[2]) <= 10 and sum(taken.values()) >= 50


def test_a_newcomer_does_not_take_everything(database: Database, tmp_path: Path) -> None:
    desk = office(database, tmp_path, sender=[{"per_second": 10}])
    desk.enterprises(40)
    desk.enterprises(40, town="逍林镇")
    desk.launch("one")
    for _ in range(3):
        desk.take()
        desk.write(update(Sender).values(tat=Sender.tat - limits.SECOND))
    served = desk.campaign("one").served
    desk.launch("two", town="逍林镇")
    assert served > 0 and desk.campaign("two").served == served


def test_a_message_outside_campaigns_goes_first_and_waits_for_nobody(desk: Office) -> None:
    """A signer waits for a one-time code: an unknown text of a campaign to the same phone must not lock her out."""
    desk.enterprises(2)
    desk.launch()
    for claimed in desk.take(2):
        desk.record((claimed, Uncertain("TimeoutError")))
    desk.enterprises(1)
    desk.launch("another")
    code = desk.alone("code:1", phone(1))
    (first,) = desk.take(1)
    assert (first.message.delivery, first.campaign_id) == (code, None)
    assert desk.address(phone(1)).holder == 1
    desk.fly_alone()
    assert [claimed.message.to for claimed in desk.take(1)] == [phone(3)]


def test_a_message_outside_campaigns_holds_up_nobody(desk: Office) -> None:
    desk.enterprises(1)
    desk.launch()
    code = desk.alone("code:1", phone(1))
    desk.take(1)
    assert [claimed.message.delivery for claimed in desk.take(1)] != [code]
    desk.fly_alone()


def test_a_message_outside_campaigns_ignores_hours_and_caps(database: Database, tmp_path: Path) -> None:
    desk = office(database, tmp_path, weekly_cap=1)
    desk.enterprises(1)
    desk.launch("one")
    desk.launch("two")
    desk.send_all()
    desk.alone("code:1", phone(1))
    assert len(desk.take(1, rules=replace(desk.rules, opens_at=at_night))) == 1


def at_night(_pace: Mapping[str, Any], now: datetime) -> datetime:
    return now + timedelta(hours=8)


def test_in_quiet_hours_a_campaign_stays_queued(desk: Office) -> None:
    desk.enterprises(2)
    desk.launch()
    assert desk.claim(rules=replace(desk.rules, opens_at=at_night)).claimed == ()
    assert skips(desk) == [("queued", None)] * 2
    desk.take(2)


def test_the_hours_are_asked_with_the_pace_of_the_campaign(desk: Office) -> None:
    desk.enterprises(1)
    desk.enterprises(1, town="逍林镇")
    desk.launch("early", pace={"hours": "06:00-08:00"})
    desk.launch("late", town="逍林镇", pace={"hours": "18:00-20:00"})

    def opens_at(pace: Mapping[str, Any], now: datetime) -> datetime:
        return now if pace["hours"] == "18:00-20:00" else now + timedelta(hours=1)

    (claimed,) = desk.take(1, rules=replace(desk.rules, opens_at=opens_at))
    assert claimed.campaign_id == 2


# --- who is stopped ---


@pytest.mark.parametrize("state", ["planned", "approved", "paused", "finished", "cancelled"])
def test_only_a_campaign_that_runs_is_served(desk: Office, state: str) -> None:
    desk.enterprises(1)
    desk.launch()
    desk.write(update(Campaign).values(state=state))
    assert desk.claim().claimed == ()
    assert desk.states() == ["queued"]


def test_a_paused_sender_sends_nothing(desk: Office) -> None:
    desk.enterprises(1)
    desk.launch()
    desk.alone("code:1", phone(1))
    desk.write(update(Sender).values(paused_at=clock.now(), paused_reason="account 20003"))
    assert desk.claim().claimed == ()


def broken(desk: Office, run: int = BREAKS_AFTER) -> None:
    desk.write(update(Sender).values(uncertain_run=run, breaker_until=clock.now() + timedelta(minutes=1)))


def test_while_the_breaker_is_open_nothing_goes(desk: Office) -> None:
    desk.enterprises(3)
    desk.launch()
    broken(desk)
    assert desk.claim().claimed == ()


def test_after_the_breaker_one_probe_goes_whatever_its_length(desk: Office) -> None:
    desk.enterprises(3)
    desk.launch(steps=[{"channel": "sms", "template": LONG}])
    broken(desk)
    desk.elapse(timedelta(minutes=1, seconds=1))
    (probe,) = desk.take(1)
    assert desk.delivery(probe.message.delivery).segments >= 2
    assert desk.claim().claimed == ()  # its answer decides
    desk.record((probe, Accepted("SM1")))
    assert len(desk.take(2)) == 2


def test_a_probe_without_a_good_answer_leaves_the_breaker_open(desk: Office) -> None:
    desk.enterprises(3)
    desk.launch()
    broken(desk)
    desk.elapse(timedelta(minutes=1, seconds=1))
    (probe,) = desk.take(1)
    desk.record((probe, Uncertain("TimeoutError")))
    assert desk.claim().claimed == ()
    desk.elapse(desk.patience.breaker + timedelta(seconds=1))
    desk.take(1)


def test_a_probe_whose_worker_died_is_followed_by_another_after_its_lease(desk: Office) -> None:
    desk.enterprises(3)
    desk.launch()
    broken(desk)
    desk.elapse(timedelta(minutes=1, seconds=1))
    desk.take(1)
    assert desk.claim().claimed == ()
    desk.elapse(LEASE + timedelta(seconds=1))
    desk.take(1)


# --- record: only where it is still ours ---


def test_each_outcome_makes_its_state(desk: Office) -> None:
    desk.enterprises(6)
    desk.launch()
    outcomes: list[Outcome] = [
        Accepted("SM1"),
        Rejected("address", "21211"),
        Rejected("opted_out", "21610"),
        Rejected("temporary", "21612"),
        Deferred(timedelta(seconds=9)),
        Uncertain("http 500"),
    ]
    desk.record(*zip(desk.take(6), outcomes, strict=True))
    found = [(row.state, row.reason, row.error_code, row.reference, row.final_at is not None) for row in desk.deliveries()]
    assert found == [
        ("accepted", None, None, "SM1", False),
        ("failed", "address", "21211", None, True),
        ("failed", "opted_out", "21610", None, True),
        ("failed", "temporary", "21612", None, True),
        ("queued", None, None, None, False),
        ("unknown", "http 500", None, None, False),
    ]
    suppressed = [desk.address(phone(number)).suppressed_reason for number in range(1, 7)]
    assert suppressed == [None, "address", "opted_out", None, None, None]
    assert desk.deliveries()[4].due_at > clock.now() + timedelta(seconds=5)
    assert all(row.lease_until is None for row in desk.deliveries())
    desk.fly_alone()


def test_an_answer_to_what_is_ours_no_longer_changes_nothing_but_keeps_its_reference(desk: Office) -> None:
    desk.enterprises(1)
    desk.launch()
    (first,) = desk.take(1)
    desk.elapse(OVER)
    desk.expire()
    desk.ask(lambda _message: [])
    assert desk.states() == ["queued"]
    desk.record((first, Rejected("address", "21211")))
    assert desk.states() == ["queued"] and desk.address(phone(1)).suppressed_at is None
    (second,) = desk.take(1)
    desk.record((first, Uncertain("TimeoutError")))
    assert desk.delivery(1).state == "sending"
    desk.record((first, Accepted("SM1")))  # at last: so it was sent after all
    assert (desk.delivery(1).state, desk.delivery(1).reference) == ("accepted", "SM1")
    desk.record((second, Accepted("SM2")))
    row = desk.delivery(1)
    assert (row.state, row.reference, row.doubled) == ("accepted", "SM1", True)
    desk.fly_alone()


def test_an_answer_after_the_lease_still_tells_us_that_it_went(desk: Office) -> None:
    desk.enterprises(1)
    desk.launch()
    (claimed,) = desk.take(1)
    desk.elapse(LEASE + timedelta(seconds=1))
    desk.expire()
    desk.record((claimed, Accepted("SM1")))
    row = desk.delivery(1)
    assert (row.state, row.reference, row.doubled) == ("accepted", "SM1", False)
    desk.fly_alone()


def test_an_account_that_is_refused_halts_the_sender_and_costs_nobody_his_message(desk: Office) -> None:
    desk.enterprises(2)
    desk.launch()
    one, two = desk.take(2)
    desk.record((one, Rejected("account", "20003")), (two, Accepted("SM2")))
    assert desk.states() == ["queued", "accepted"]
    sender = desk.sender()
    assert sender.paused_at is not None and sender.paused_reason == "account 20003"
    assert desk.claim().claimed == ()
    desk.fly_alone()


def test_a_text_that_is_refused_pauses_its_campaign_and_no_other(desk: Office) -> None:
    desk.enterprises(2)
    desk.enterprises(1, town="逍林镇")
    desk.launch("refused")
    desk.launch("other", town="逍林镇")
    one, two = desk.take(2)
    desk.record((one, Rejected("content", "21617")), (two, Accepted("SM2")))
    assert desk.states() == ["failed", "accepted", "queued"]
    assert (desk.campaign("refused").state, desk.campaign("refused").reason) == ("paused", "content")
    assert desk.campaign("other").state == "running"
    desk.take(1)


# --- the breaker ---


def uncertain(desk: Office, claimed: list[Claimed]) -> None:
    for item in claimed:
        desk.record((item, Uncertain("TimeoutError")))


def test_uncertain_answers_in_a_row_open_the_breaker_and_one_good_one_closes_it(desk: Office) -> None:
    desk.enterprises(BREAKS_AFTER + 2)
    desk.launch()
    claimed = desk.take(BREAKS_AFTER + 2)
    uncertain(desk, claimed[: BREAKS_AFTER - 1])
    assert desk.sender().breaker_until is None
    uncertain(desk, claimed[BREAKS_AFTER - 1 : BREAKS_AFTER])
    assert desk.sender().breaker_until > clock.now()
    desk.record((claimed[BREAKS_AFTER], Accepted("SM1")))
    assert (desk.sender().uncertain_run, desk.sender().breaker_until) == (0, None)
    uncertain(desk, claimed[BREAKS_AFTER + 1 :])
    assert (desk.sender().uncertain_run, desk.sender().breaker_until) == (1, None)


def test_a_good_answer_among_the_bad_ones_begins_the_count_anew(desk: Office) -> None:
    desk.enterprises(BREAKS_AFTER + 1)
    desk.launch()
    claimed = desk.take(BREAKS_AFTER + 1)
    answers: list[tuple[Claimed, Outcome]] = [(item, Uncertain("TimeoutError")) for item in claimed]
    answers[3] = (claimed[3], Rejected("address", "21211"))  # a refusal is an answer: the provider is well
    desk.record(*answers)
    assert (desk.sender().uncertain_run, desk.sender().breaker_until) == (BREAKS_AFTER - 3, None)


def test_strained_answers_count_and_what_was_given_back_unsent_says_nothing(desk: Office) -> None:
    desk.enterprises(BREAKS_AFTER * 2)
    desk.launch()
    claimed = desk.take(BREAKS_AFTER * 2)
    answers: list[tuple[Claimed, Outcome]] = []
    for item, unsent in zip(claimed[:BREAKS_AFTER], claimed[BREAKS_AFTER:], strict=True):
        answers += [(item, Deferred(timedelta(seconds=1), strained=True)), (unsent, Deferred(timedelta(0)))]
    desk.record(*answers)
    assert desk.sender().uncertain_run == BREAKS_AFTER
    assert desk.sender().breaker_until > clock.now()


# --- several workers at once ---


class Work:
    """Threads that claim and record until nothing is due, each claim noted; an error in any of them is the test's."""

    def __init__(self, desk: Office) -> None:
        self.desk = desk
        self.taken: list[tuple[int, int]] = []
        self.errors: list[BaseException] = []

    def run(self, *jobs: Callable[[], None]) -> None:
        threads = [threading.Thread(target=self._guarded, args=(job,)) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
        if self.errors:
            raise self.errors[0]

    def _guarded(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - it is raised again where the test sees it
            self.errors.append(error)

    def send(self) -> None:
        """Claim and record until nothing has been due for a while."""
        idle = 0
        while idle < 5:
            claimed = self.desk.take()
            idle = 0 if claimed else idle + 1
            self.taken += [(item.message.delivery, item.message.attempt) for item in claimed]
            answers: list[tuple[Claimed, Outcome]] = []
            for item in claimed:
                late = item.message.attempt == 1 and item.message.delivery % 7 == 0
                answers.append((item, Deferred(timedelta(0)) if late else Accepted(f"SM{item.message.attempt_id}")))
            self.desk.record(*reversed(answers))


def crowd(desk: Office, people: int) -> None:
    """Two campaigns of one sender; four recipients on each phone."""
    phones = [phone(number // 4) for number in range(people)]
    desk.enterprises(people, phones=phones)
    desk.enterprises(people, town="逍林镇", phones=phones)
    desk.launch("one", one_per="enterprise")
    desk.launch("two", town="逍林镇", one_per="enterprise")
    desk.write(update(Campaign).values(state="running", claim_limit=None))


def test_several_workers_take_everything_and_nothing_twice(desk: Office) -> None:
    people, workers = (100, 4) if desk.database.is_postgresql else (60, 2)
    crowd(desk, people)
    work = Work(desk)
    work.run(*[work.send] * workers)
    assert len(work.taken) == len(set(work.taken))
    assert {delivery for delivery, _attempt in work.taken} == set(range(1, 2 * people + 1))
    assert set(desk.states()) == {"accepted"}
    desk.fly_alone()


def test_workers_beside_receipts_suppressions_and_settling_never_wait_in_a_circle(desk: Office) -> None:
    people, workers = (80, 4) if desk.database.is_postgresql else (40, 2)
    crowd(desk, people)
    work = Work(desk)
    over = threading.Event()

    def send() -> None:
        try:
            work.send()
        finally:
            over.set()

    def hear() -> None:
        while not over.is_set():
            some = work.taken[-30:]
            desk.hear(*(Receipt("twilio", f"SM{key}.{attempt}", "delivered", key, attempt) for key, attempt in some))

    def suppress() -> None:
        numbers = iter(range(people // 4 - 1, 0, -2))
        while not over.wait(0.02) and (number := next(numbers, None)):
            with desk.database.write() as session:
                keys = [desk.address(phone(key)).id for key in (number, number - 1)]
                rows = [{"id": key, "suppressed_at": clock.now(), "suppressed_reason": "address", "suppressed_source": "x"} for key in keys]
                receipts.suppress(session, rows)

    def look_after() -> None:
        while not over.wait(0.01):
            desk.expire()
            with desk.database.write() as session:
                settle.fall_silent(session, patience={"sms": timedelta(hours=72)}, now=clock.now())
            with desk.database.write() as session:
                progress.review(session, settings=desk.settings, now=clock.now())

    work.run(*[send] * workers, hear, hear, suppress, look_after)
    assert len(work.taken) == len(set(work.taken))
    assert set(desk.states()) <= {"accepted", "delivered", "skipped"}
    assert all(row.state != "queued" for row in desk.deliveries())
    desk.fly_alone()
