"""What nobody knows is asked about, and sent again only when the provider cannot have had it: never on a guess."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from outreach import clock
from outreach.campaigns import launching, progress
from outreach.channels.base import Accepted, Deferred, Found, Message, Receipt, Uncertain
from outreach.database.tables import Delivery
from outreach.outbox import settle
from outreach.outbox.claim import Claimed
from outreach.outbox.settle import ASK_AGAIN

from drive import GRACE, LEASE, OVER, Office, phone  # isort: skip

MOMENT = timedelta(seconds=1)
DAYS = {"sms": timedelta(hours=72)}


def nothing(_message: Message) -> Sequence[Found]:
    """A list that shows nothing."""
    return []


def down(_message: Message) -> None:
    """A provider that does not answer."""


def shows(**references: str) -> Callable[[Message], Sequence[Found]]:
    """A list that shows, by delivery (`d1="SM1 SM2"`), these messages."""
    return lambda message: [Found(reference, "accepted") for reference in references.get(f"d{message.delivery}", "").split()]


def unknown(desk: Office, people: int = 1) -> list[Claimed]:
    """So many deliveries without an answer."""
    desk.enterprises(people)
    desk.launch()
    items = desk.take(people)
    desk.record(*((item, Uncertain("TimeoutError")) for item in items))
    return items


# --- leases ---


def test_a_lease_that_ran_out_leaves_an_unknown_one_whose_address_stays_held(desk: Office) -> None:
    desk.enterprises(1)
    desk.launch()
    desk.take(1)
    desk.elapse(LEASE - MOMENT)
    assert desk.expire() == 0
    desk.elapse(2 * MOMENT)
    assert desk.expire() == 1
    row = desk.delivery(1)
    assert (row.state, row.reason, row.lease_until) == ("unknown", "lease_over", None)
    assert desk.address(phone(1)).holder == 1
    desk.fly_alone()
    assert desk.expire() == 0


# --- asking ---


def test_what_the_list_shows_was_accepted(desk: Office) -> None:
    unknown(desk)
    (question,) = desk.ask(shows(d1="SM1"))
    assert question.message.to == phone(1) and question.message.attempt_id == "1.1"
    row = desk.delivery(1)
    assert (row.state, row.reason, row.reference, row.doubled) == ("accepted", None, "SM1", False)
    desk.fly_alone()
    desk.hear(Receipt("twilio", "SM1", "delivered"))
    assert desk.states() == ["delivered"]


def test_the_question_carries_the_very_body_that_was_sent(desk: Office) -> None:
    (item,) = unknown(desk)
    (question,) = desk.ask(nothing)
    assert question.message == item.message
    assert question.claimed_at == desk.delivery(1).claimed_at


def test_a_message_outside_campaigns_is_asked_about_with_its_own_fields(desk: Office) -> None:
    desk.alone("code:1", phone(1))
    (item,) = desk.take(1)
    desk.record((item, Uncertain("TimeoutError")))
    (question,) = desk.ask(shows(d1="SM1"))
    assert question.message == item.message and "482913" in item.message.body
    assert desk.states() == ["accepted"]


def test_before_the_grace_is_over_an_empty_list_means_nothing(desk: Office) -> None:
    unknown(desk)
    desk.ask(nothing)
    assert desk.states() == ["unknown"]
    assert desk.ask(nothing) == []  # its turn comes when silence counts
    desk.elapse(GRACE.lease + GRACE.request_timeout + GRACE.settle_grace - 2 * MOMENT)
    assert desk.ask(nothing) == []
    assert desk.states() == ["unknown"]
    assert desk.claim().claimed == ()


def test_after_the_grace_it_goes_again_as_a_second_attempt(desk: Office) -> None:
    (first,) = unknown(desk)
    desk.elapse(OVER)
    assert len(desk.ask(nothing)) == 1
    assert desk.states() == ["queued"]
    desk.fly_alone()
    (second,) = desk.take(1)
    assert second.message == replace(first.message, attempt=2)
    desk.record((second, Accepted("SM1")))
    assert (desk.delivery(1).state, desk.delivery(1).doubled) == ("accepted", False)


def test_a_list_that_was_asked_too_early_is_not_believed_later(desk: Office) -> None:
    """What counts is when the list was asked, not when its answer is written down."""
    unknown(desk)
    with desk.database.write() as session:
        asked = settle.questions(session, sender_id=desk.sender_id, grace=GRACE)
    answers = [settle.Answer(question, []) for question in asked]
    desk.elapse(OVER)
    with desk.database.write() as session:
        settle.answer(session, provider="twilio", answers=answers, grace=GRACE, now=clock.now())
    assert desk.states() == ["unknown"]


def test_an_answer_about_an_attempt_that_is_past_settles_nothing(desk: Office) -> None:
    unknown(desk)
    desk.elapse(OVER)
    with desk.database.write() as session:
        asked = settle.questions(session, sender_id=desk.sender_id, grace=GRACE)
    desk.elapse(ASK_AGAIN)
    desk.ask(nothing)
    (second,) = desk.take(1)
    desk.record((second, Uncertain("TimeoutError")))
    with desk.database.write() as session:
        settle.answer(session, provider="twilio", answers=[settle.Answer(question, []) for question in asked], grace=GRACE, now=clock.now())
    assert (desk.delivery(1).state, desk.delivery(1).attempt) == ("unknown", 2)
    desk.fly_alone()


def test_a_provider_that_does_not_answer_settles_nothing(desk: Office) -> None:
    unknown(desk)
    for _ in range(3):
        desk.elapse(OVER)
        assert len(desk.ask(down)) == 1
        assert desk.states() == ["unknown"]
    desk.elapse(OVER)
    desk.ask(shows(d1="SM1"))
    assert desk.states() == ["accepted"]


def test_where_a_person_settles_nothing_goes_again_by_itself(desk: Office) -> None:
    unknown(desk, 2)
    by_person = replace(GRACE, by_person=True)
    for _ in range(3):
        desk.elapse(OVER)
        desk.ask(shows(d2="SM2"), grace=by_person)
    assert desk.states() == ["unknown", "accepted"]


@pytest.mark.parametrize(("verdict", "state"), [("accepted", "accepted"), ("again", "queued"), ("failed", "failed")])
def test_a_persons_verdict_settles_and_frees_the_address(desk: Office, verdict: str, state: str) -> None:
    unknown(desk)
    assert decide(desk, verdict)
    row = desk.delivery(1)
    assert (row.state, row.reason, row.final_at is not None) == (state, "person", state == "failed")
    desk.fly_alone()
    assert not decide(desk, verdict)
    assert len(desk.take()) == (state == "queued")


def decide(desk: Office, verdict: str) -> bool:
    with desk.database.write() as session:
        return settle.decide(session, delivery=1, verdict=verdict, now=clock.now())


def test_a_person_decides_only_what_is_unknown(desk: Office) -> None:
    desk.enterprises(1)
    desk.launch()
    (item,) = desk.take(1)
    assert not decide(desk, "again")
    desk.record((item, Accepted("SM1")))
    assert not decide(desk, "failed")
    assert desk.states() == ["accepted"]


# --- one reference, one delivery ---


def two_of_one_body(desk: Office) -> list[Claimed]:
    """Two equal texts to one phone, outside campaigns: of both nobody knows."""
    for number in (1, 2):
        desk.alone(f"test:{number}", phone(1))
    items = [*desk.take(1), *desk.take(1)]
    assert items[0].message.body == items[1].message.body
    return items


def test_two_unknown_ones_of_one_body_never_bind_one_reference(desk: Office) -> None:
    desk.record(*((item, Uncertain("TimeoutError")) for item in two_of_one_body(desk)))
    desk.ask(shows(d1="SM1 SM2", d2="SM1 SM2"))
    assert [(row.state, row.reference) for row in desk.deliveries()] == [("accepted", "SM1"), ("accepted", "SM2")]


def test_of_two_unknown_ones_of_one_body_the_one_that_was_never_had_goes_again(desk: Office) -> None:
    desk.record(*((item, Uncertain("TimeoutError")) for item in two_of_one_body(desk)))
    desk.elapse(OVER)
    desk.ask(shows(d1="SM1", d2="SM1"))
    assert sorted(desk.states()) == ["accepted", "queued"]


def test_what_is_bound_already_is_nobody_elses(desk: Office) -> None:
    one, two = two_of_one_body(desk)
    desk.record((one, Accepted("SM1")), (two, Uncertain("TimeoutError")))
    desk.elapse(OVER)
    desk.ask(shows(d2="SM1"))
    assert [(row.state, row.reference) for row in desk.deliveries()] == [("accepted", "SM1"), ("queued", None)]


def test_what_may_be_the_others_is_not_bound_while_the_other_is_being_sent(desk: Office) -> None:
    one, two = two_of_one_body(desk)
    desk.record((one, Uncertain("TimeoutError")))
    desk.ask(shows(d1="SM2"))
    assert desk.states() == ["unknown", "sending"]
    desk.record((two, Accepted("SM2")))
    desk.elapse(OVER)
    desk.ask(shows(d1="SM2"))
    assert [(row.state, row.reference) for row in desk.deliveries()] == [("queued", None), ("accepted", "SM2")]


# --- what a stop means for what comes back ---


def test_what_comes_back_to_a_cancelled_campaign_is_skipped(desk: Office) -> None:
    """It was claimed when the campaign was cancelled; now the provider says that it was never sent, so it never will be."""
    desk.enterprises(3)
    desk.launch()
    one, two, _dead = desk.take(3)
    with desk.database.write() as session:
        launching.cancel(session, "drive", now=clock.now())
    desk.record((one, Deferred(timedelta(0))), (two, Uncertain("TimeoutError")))
    desk.elapse(LEASE + MOMENT)
    desk.expire()
    desk.elapse(OVER)
    desk.ask(nothing)
    with desk.database.write() as session:
        progress.review(session, settings=desk.settings, now=clock.now())
    assert [(row.state, row.reason) for row in desk.deliveries()] == [("skipped", "cancelled")] * 3
    assert all(row.final_at for row in desk.deliveries())
    (step,) = desk.statement()["steps"]
    assert step["skipped"] == {"cancelled": 3} and step["adds_up"]


# --- patience ---


def test_what_nothing_is_heard_of_falls_silent_after_the_patience(desk: Office) -> None:
    desk.enterprises(4)
    desk.launch()
    one, two, three, _four = desk.take(4)
    desk.record((one, Accepted("SM1")), (two, Uncertain("TimeoutError")), (three, Accepted("SM3")))
    desk.hear(Receipt("twilio", "SM3", "delivered"))
    assert fall_silent(desk) == 0
    desk.elapse(DAYS["sms"] + MOMENT)
    assert fall_silent(desk) == 2
    assert desk.states() == ["silent", "silent", "delivered", "sending"]
    assert desk.delivery(1).final_at is not None
    desk.fly_alone()
    desk.hear(Receipt("twilio", "SM1", "delivered"))
    assert desk.delivery(1).state == "delivered"


def fall_silent(desk: Office) -> int:
    with desk.database.write() as session:
        return settle.fall_silent(session, patience=DAYS, now=clock.now())


def test_the_patience_begins_anew_with_each_attempt(desk: Office) -> None:
    unknown(desk)
    desk.elapse(DAYS["sms"] - MOMENT)
    desk.ask(nothing)
    (again,) = desk.take(1)
    desk.record((again, Accepted("SM1")))
    desk.elapse(OVER)
    assert fall_silent(desk) == 0


def test_each_sender_is_asked_about_its_own(desk: Office) -> None:
    unknown(desk)
    desk.write(update(Delivery).values(sender_id=None))
    assert desk.ask(nothing) == []
