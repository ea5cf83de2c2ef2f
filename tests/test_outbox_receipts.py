"""What comes back: in any order, any number of times, early, late or for nobody, it ends alike and is never lost."""

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import func, select, update

from outreach import clock
from outreach.channels.base import Accepted, Kind, Receipt, Reply, Review, Status, Uncertain
from outreach.database.tables import Campaign, Delivery, Sender
from outreach.database.tables import Receipt as Kept
from outreach.database.tables import Reply as KeptReply
from outreach.outbox import receipts
from outreach.outbox.claim import Claimed

from drive import LEASE, OVER, Office, phone  # isort: skip


def receipt(item: Claimed, status: Status, *, reference: str = "SM1", attempt: int | None = None, code: str | None = None, kind: Kind | None = None) -> Receipt:
    """A receipt as the callback brings it, with the attempt in its query."""
    return Receipt("twilio", reference, status, item.message.delivery, attempt or item.message.attempt, code, kind)


def of_reference(reference: str, status: Status, code: str | None = None) -> Receipt:
    """A receipt that names nothing but the provider's own id."""
    return Receipt("twilio", reference, status, None, None, code)


def claimed(desk: Office, people: int = 1, **keys: Any) -> list[Claimed]:
    desk.enterprises(people)
    desk.launch(**keys)
    return desk.take(people)


def accepted(desk: Office, people: int = 1) -> list[Claimed]:
    items = claimed(desk, people)
    desk.record(*((item, Accepted(f"SM{item.message.delivery}")) for item in items))
    return items


def stored(desk: Office) -> list[tuple[str, str, int | None]]:
    with desk.database.read() as session:
        rows = session.execute(select(Kept.reference, Kept.status, Kept.delivery_id).order_by(Kept.id))
        return [(row.reference, row.status, row.delivery_id) for row in rows]


# --- when it comes ---


def test_a_receipt_moves_its_delivery_and_is_kept(desk: Office) -> None:
    (item,) = accepted(desk)
    desk.hear(receipt(item, "delivered"))
    row = desk.delivery(1)
    assert (row.state, row.reason, row.reference, row.doubled) == ("delivered", None, "SM1", False)
    assert row.final_at is not None
    assert stored(desk) == [("SM1", "delivered", 1)]


@pytest.mark.parametrize("status", ["accepted", "delivered", "undelivered", "failed"])
def test_a_receipt_may_come_before_our_own_record_of_the_send(desk: Office, status: Status) -> None:
    (item,) = claimed(desk)
    desk.hear(receipt(item, status, code="30003" if status == "undelivered" else None))
    desk.fly_alone()
    before = desk.delivery(1)
    assert (before.state, before.reference) == (status, "SM1")
    desk.record((item, Accepted("SM1")))
    after = desk.delivery(1)
    assert (after.state, after.reference, after.doubled) == (status, "SM1", False)
    assert (after.final_at, after.error_code) == (before.final_at, before.error_code)


@pytest.mark.parametrize("order", list(permutations(["accepted", "undelivered", "delivered"])))
def test_receipts_in_any_order_and_twice_over_end_alike(desk: Office, order: tuple[Status, ...]) -> None:
    (item,) = accepted(desk)
    for status in order + order:
        desk.hear(receipt(item, status, code="30003" if status == "undelivered" else None))
    row = desk.delivery(1)
    assert (row.state, row.error_code, row.reason, row.doubled) == ("delivered", None, None, False)
    assert len(stored(desk)) == 6


def test_a_group_of_receipts_ends_like_one_after_the_other(desk: Office) -> None:
    one, two, three = accepted(desk, 3)
    desk.hear(
        receipt(one, "delivered"),
        receipt(two, "undelivered", reference="SM2", code="30005", kind="address"),
        receipt(one, "accepted"),
        receipt(two, "accepted", reference="SM2"),
        of_reference("SM3", "delivered"),
        receipt(one, "delivered"),
    )
    assert [(row.state, row.error_code, row.reason) for row in desk.deliveries()] == [
        ("delivered", None, None),
        ("undelivered", "30005", "address"),
        ("delivered", None, None),
    ]
    assert three
    assert not any(row.doubled for row in desk.deliveries())


def test_the_moment_of_the_end_is_that_of_the_news_that_ended_it(desk: Office) -> None:
    (item,) = accepted(desk)
    desk.hear(receipt(item, "undelivered"))
    first = desk.delivery(1).final_at
    desk.hear(receipt(item, "undelivered"))
    assert desk.delivery(1).final_at == first
    desk.hear(receipt(item, "delivered"))
    assert desk.delivery(1).final_at > first


def test_a_review_is_decided_by_a_receipt(desk: Office) -> None:
    (item,) = claimed(desk)
    desk.record((item, Review("SM1")))
    assert desk.states() == ["review"]
    desk.fly_alone()
    desk.hear(of_reference("SM1", "accepted"))
    assert desk.states() == ["accepted"]
    desk.fly_alone()


# --- whose it is ---


def test_a_receipt_by_reference_alone_finds_its_delivery(desk: Office) -> None:
    accepted(desk)
    desk.hear(of_reference("SM1", "delivered"))
    assert desk.states() == ["delivered"]
    assert stored(desk) == [("SM1", "delivered", 1)]


def test_a_receipt_for_nobody_is_kept_and_finds_its_delivery_later(desk: Office) -> None:
    (item,) = claimed(desk)
    desk.hear(of_reference("SM1", "undelivered", "30003"), of_reference("SM99", "delivered"))
    assert desk.states() == ["sending"]
    assert stored(desk) == [("SM1", "undelivered", None), ("SM99", "delivered", None)]
    assert match_kept(desk) == 0
    desk.record((item, Accepted("SM1")))
    assert match_kept(desk) == 1
    row = desk.delivery(1)
    assert (row.state, row.error_code) == ("undelivered", "30003")
    assert stored(desk)[0] == ("SM1", "undelivered", 1)
    assert match_kept(desk) == 0


def match_kept(desk: Office) -> int:
    with desk.database.write() as session:
        return receipts.match_kept(session, now=clock.now())


@pytest.mark.parametrize(("delivery", "attempt"), [(1, 2), (1, 999_999_999), (1, 0), (77, 1), (10**17, 1)])
def test_an_attempt_that_was_never_made_is_no_news(desk: Office, delivery: int, attempt: int) -> None:
    accepted(desk)
    forged = Receipt("twilio", "SMx", "failed", delivery, attempt, "30005", "address")
    desk.hear(forged)
    row = desk.delivery(1)
    assert (row.state, row.reference, row.doubled) == ("accepted", "SM1", False)
    assert desk.address(phone(1)).suppressed_at is None
    assert stored(desk) == [("SMx", "failed", None)]


def test_a_queued_message_cannot_have_been_received(desk: Office) -> None:
    desk.enterprises(1)
    desk.launch()
    desk.hear(Receipt("twilio", "SM1", "delivered", 1, 0), Receipt("twilio", "SM1", "delivered", 1, 1))
    assert desk.states() == ["queued"]


def resent(desk: Office) -> tuple[Claimed, Claimed]:
    """A delivery that the provider's list did not show in time, and that went again."""
    (first,) = claimed(desk)
    desk.elapse(LEASE + timedelta(seconds=1))
    desk.expire()
    desk.elapse(OVER)
    desk.ask(lambda _message: [])
    (second,) = desk.take(1)
    assert (first.message.attempt, second.message.attempt) == (1, 2)
    return first, second


def test_news_of_an_older_attempt_after_a_resend_counts_as_doubled(desk: Office) -> None:
    first, second = resent(desk)
    desk.record((second, Accepted("SM2")))
    desk.hear(receipt(first, "delivered", reference="SM1"))
    row = desk.delivery(1)
    assert (row.state, row.reference, row.doubled) == ("delivered", "SM2", True)
    (step,) = desk.statement()["steps"]
    assert (step["doubled"], step["delivered"], step["adds_up"]) == (1, 1, True)


def test_news_of_an_older_attempt_counts_as_doubled_whichever_comes_first(desk: Office) -> None:
    first, second = resent(desk)
    desk.hear(receipt(first, "delivered", reference="SM1"))
    desk.record((second, Accepted("SM2")))
    assert desk.delivery(1).doubled


def test_news_of_the_first_attempt_before_it_goes_again_keeps_it_from_going(desk: Office) -> None:
    (first,) = claimed(desk)
    desk.elapse(LEASE + timedelta(seconds=1))
    desk.expire()
    desk.elapse(OVER)
    desk.ask(lambda _message: [])
    assert desk.states() == ["queued"]
    desk.hear(receipt(first, "accepted"))
    assert desk.states() == ["accepted"]
    assert desk.claim().claimed == ()
    assert not desk.delivery(1).doubled


def test_news_of_what_was_skipped_meanwhile_is_told_without_opening_it(desk: Office) -> None:
    (first,) = claimed(desk)
    desk.elapse(LEASE + timedelta(seconds=1))
    desk.expire()
    desk.elapse(OVER)
    desk.ask(lambda _message: [])
    desk.write(update(Delivery).values(state="skipped", reason="cancelled", final_at=clock.now()))
    desk.hear(receipt(first, "accepted"))
    assert (desk.delivery(1).state, desk.delivery(1).reference) == ("silent", "SM1")
    desk.hear(receipt(first, "delivered"))
    assert desk.states() == ["delivered"]


def test_a_reference_that_was_guessed_goes_to_the_delivery_that_its_receipt_names(desk: Office) -> None:
    """Two equal texts to one phone: the list cannot tell them apart, the attempt in the callback can."""
    one, two = (desk.alone(f"test:{number}", phone(1)) for number in (1, 2))
    items = [*desk.take(1), *desk.take(1)]
    desk.record(*((item, Uncertain("TimeoutError")) for item in items))
    desk.write(update(Delivery).where(Delivery.id == one).values(state="accepted", reference="SM2"))  # as settling bound it
    desk.hear(Receipt("twilio", "SM2", "delivered", two, 1))
    desk.hear(Receipt("twilio", "SM1", "delivered", one, 1))
    assert [(row.state, row.reference, row.doubled) for row in desk.deliveries()] == [("delivered", "SM1", False), ("delivered", "SM2", False)]


# --- what it lets go ---


@pytest.mark.parametrize("status", ["accepted", "delivered", "undelivered", "failed"])
def test_any_news_of_an_unknown_one_frees_its_address(desk: Office, status: Status) -> None:
    desk.enterprises(2, phones=[phone(1), phone(1)])
    desk.launch(one_per="enterprise")
    (item,) = desk.take(1)
    desk.record((item, Uncertain("TimeoutError")))
    assert desk.address(phone(1)).holder == item.message.delivery
    desk.hear(receipt(item, status))
    assert desk.address(phone(1)).holder is None
    assert len(desk.take(1)) == 1
    desk.fly_alone()


def test_news_of_one_delivery_never_frees_what_another_holds(desk: Office) -> None:
    desk.enterprises(2, phones=[phone(1), phone(1)])
    desk.launch(one_per="enterprise")
    (first,) = desk.take(1)
    desk.record((first, Accepted("SM1")))
    (second,) = desk.take(1)
    desk.hear(receipt(first, "delivered"))
    assert desk.address(phone(1)).holder == second.message.delivery
    desk.fly_alone()


def test_an_older_attempt_frees_the_address_once_nothing_is_in_flight(desk: Office) -> None:
    first, second = resent(desk)
    desk.record((second, Uncertain("TimeoutError")))
    desk.hear(receipt(first, "delivered"))
    assert desk.address(phone(1)).holder is None
    desk.fly_alone()


# --- what it makes us do ---


@pytest.mark.parametrize(("kind", "suppressed"), [("address", True), ("opted_out", True), ("temporary", False), ("content", False), ("account", False)])
def test_a_bad_address_is_suppressed_and_no_other_kind_is(desk: Office, kind: Kind, suppressed: bool) -> None:
    (item,) = accepted(desk)
    desk.hear(receipt(item, "undelivered", code="30005", kind=kind))
    address = desk.address(phone(1))
    assert (address.suppressed_at is not None) == suppressed
    assert (address.suppressed_reason, address.suppressed_source) == ((kind, "30005") if suppressed else (None, None))


def test_a_text_that_is_filtered_pauses_its_campaign_once(desk: Office) -> None:
    (item,) = accepted(desk)
    filtered = receipt(item, "undelivered", code="30007", kind="content")
    desk.hear(filtered)
    assert (desk.campaign().state, desk.campaign().reason) == ("paused", "content")
    desk.write(update(Campaign).values(state="running", reason=None))
    desk.hear(filtered)  # the provider repeats itself: no news
    assert desk.campaign().state == "running"


def test_an_account_that_is_suspended_halts_its_sender_once(desk: Office) -> None:
    (item,) = accepted(desk)
    suspended = receipt(item, "failed", code="30002", kind="account")
    desk.hear(suspended)
    assert desk.sender().paused_reason == "account 30002"
    desk.write(update(Sender).values(paused_at=None, paused_reason=None))
    desk.hear(suspended)
    assert desk.sender().paused_at is None


# --- what people say ---


def reply(reference: str, *, stops: bool = False, restarts: bool = False, sender: str = phone(1), body: str = "") -> Reply:
    return Reply("sms", reference, sender, body, stops=stops, restarts=restarts)


def test_who_says_stop_is_never_written_to_again(desk: Office) -> None:
    desk.enterprises(1)
    desk.launch()
    desk.hear(reply("IN1", stops=True, body="退订"))
    address = desk.address(phone(1))
    assert (address.suppressed_reason, address.suppressed_source) == ("opted_out", "reply")
    assert desk.claim().claimed == ()
    assert [(row.state, row.reason) for row in desk.deliveries()] == [("skipped", "suppressed")]


def test_who_says_stop_before_we_know_him_is_left_out_of_the_plan(desk: Office) -> None:
    desk.hear(reply("IN1", stops=True), reply("IN2", stops=True, sender=phone(5)))
    desk.enterprises(2)
    desk.launch()
    assert [item.message.to for item in desk.take(1)] == [phone(2)]


def test_a_reply_is_kept_once_with_its_meaning(desk: Office) -> None:
    said = reply("IN1", stops=True, body="退订")
    desk.hear(said, said)
    desk.hear(said, reply("IN2", body="什么时候交？"), reply("IN3", restarts=True, body="恢复"))
    with desk.database.read() as session:
        rows = session.execute(select(KeptReply.reference, KeptReply.body, KeptReply.meaning).order_by(KeptReply.id)).all()
    assert [tuple(row) for row in rows] == [("IN1", "退订", "opt_out"), ("IN2", "什么时候交？", None), ("IN3", "恢复", "opt_in")]


def test_start_lifts_what_the_persons_own_stop_set(desk: Office) -> None:
    desk.hear(reply("IN1", stops=True))
    desk.hear(reply("IN2", restarts=True))
    assert desk.address(phone(1)).suppressed_at is None


def test_start_lifts_nothing_that_others_set(desk: Office) -> None:
    (item,) = accepted(desk)
    desk.hear(receipt(item, "undelivered", code="30005", kind="address"))
    desk.hear(reply("IN1", stops=True), reply("IN2", restarts=True))
    assert desk.address(phone(1)).suppressed_reason == "address"


def test_of_two_words_in_one_group_the_last_one_counts(desk: Office) -> None:
    desk.hear(reply("IN1", restarts=True), reply("IN2", stops=True), reply("IN3", stops=True, sender=phone(2)), reply("IN4", restarts=True, sender=phone(2)))
    assert desk.address(phone(1)).suppressed_at is not None
    assert desk.address(phone(2)).suppressed_at is None


def test_an_old_word_that_comes_again_does_not_undo_a_later_one(desk: Office) -> None:
    start = reply("IN1", restarts=True)
    desk.hear(start)
    desk.hear(reply("IN2", stops=True))
    desk.hear(start)
    assert desk.address(phone(1)).suppressed_at is not None


def test_receipts_and_replies_of_one_group_are_all_stored(desk: Office) -> None:
    one, two = accepted(desk, 2)
    desk.hear(receipt(one, "delivered"), reply("IN1", stops=True, sender=phone(2)), receipt(two, "delivered", reference="SM2"), reply("IN2", body="?"))
    assert desk.states() == ["delivered", "delivered"]
    assert desk.address(phone(2)).suppressed_at is not None
    with desk.database.read() as session:
        assert session.scalar(select(func.count()).select_from(KeptReply)) == 2


def test_nothing_to_store_is_nothing_to_do(desk: Office) -> None:
    desk.hear()
    assert stored(desk) == []
