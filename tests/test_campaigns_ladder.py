"""Each step is due for whom its condition says, counted from what became of the steps before it; and a campaign ends when nothing is to come."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from outreach import clock
from outreach.campaigns import ladder, progress
from outreach.channels.base import Accepted, Receipt, Status, Uncertain
from outreach.database.engine import Database
from outreach.database.tables import Contact
from outreach.outbox import settle
from outreach.outbox.claim import Claimed
from outreach.pledges import signing

from drive import OVER, REMINDER, SHORT, Databases, Office, office, phone  # isort: skip

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def kept() -> Iterator[Databases]:
    databases = Databases()
    yield databases
    databases.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, kept: Databases) -> Database:
    return kept.empty(request)


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Office:
    return office(database, tmp_path)


def step(template: str = REMINDER, **keys: Any) -> Mapping[str, Any]:
    return {"channel": "sms", "template": template, **keys}


def tick(desk: Office) -> None:
    """What a worker's tick does for campaigns, in its order."""
    with desk.database.write() as session:
        progress.review(session, settings=desk.settings, now=clock.now())
        ladder.advance(session, mode="rehearsal", now=clock.now())


def days_pass(desk: Office, days: float) -> None:
    """Let days pass."""
    desk.elapse(days * DAY)


def send(desk: Office, *outcomes: Status) -> list[Claimed]:
    """Send what is due, and let these receipts come, in order."""
    items = desk.send_all()
    assert len(items) == len(outcomes), items
    news = [
        Receipt("twilio", f"SM{item.message.attempt_id}", outcome, item.message.delivery, item.message.attempt)
        for item, outcome in zip(items, outcomes, strict=True)
    ]
    desk.hear(*news)
    return items


def written(desk: Office) -> list[tuple[int | None, int, int, str]]:
    return sorted((row.recipient_id, row.step, row.rank, row.state) for row in desk.deliveries())


def launch(desk: Office, people: int, steps: Sequence[Mapping[str, Any]], **keys: Any) -> list[int]:
    contacts = keys.pop("contacts", 1)
    ids = desk.enterprises(people, contacts=contacts)
    desk.launch(steps=steps, **keys)
    return ids


def test_a_reminder_goes_to_who_has_not_signed_when_its_time_has_come(desk: Office) -> None:
    signer, *_others = launch(desk, 3, [step(SHORT), step(when="unsigned", after="3d")])
    send(desk, "delivered", "delivered", "undelivered")
    days_pass(desk, 2.9)
    tick(desk)
    assert len(desk.deliveries()) == 3
    desk.settle_enterprise(signer)
    days_pass(desk, 0.2)
    tick(desk)
    assert [row[:3] for row in written(desk) if row[1] == 2] == [(2, 2, 0), (3, 2, 0)]
    items = send(desk, "delivered", "delivered")
    assert all("待签订" in item.message.body for item in items)
    tick(desk)
    assert desk.campaign().state == "finished"


def test_who_was_reached_is_not_tried_by_the_next_way(desk: Office) -> None:
    launch(desk, 2, [step(SHORT), step(when="unreached")])
    send(desk, "delivered", "failed")
    tick(desk)
    assert [row[:3] for row in written(desk) if row[1] == 2] == [(2, 2, 0)]


def test_a_step_that_does_not_apply_is_passed_over_and_holds_up_none_behind_it(desk: Office) -> None:
    """WeChat, then a text where that did not reach, then a reminder: who was reached at once must still be reminded."""
    launch(desk, 2, [step(SHORT), step(when="unreached"), step(when="unsigned", after="3d")])
    send(desk, "delivered", "failed")
    tick(desk)
    send(desk, "delivered")
    days_pass(desk, 3.1)
    tick(desk)
    assert [row[:2] for row in written(desk)] == [(1, 1), (1, 3), (2, 1), (2, 2), (2, 3)]


def test_a_step_that_still_applies_is_not_overtaken_by_a_later_one(desk: Office) -> None:
    launch(desk, 1, [step(SHORT), step(when="unreached", after="7d"), step(when="unsigned", after="1d")])
    send(desk, "failed")
    days_pass(desk, 2)
    tick(desk)
    assert len(desk.deliveries()) == 1
    days_pass(desk, 5.1)
    tick(desk)
    assert [row[1] for row in written(desk)] == [1, 2]


def test_nothing_is_written_while_an_earlier_one_is_open(desk: Office) -> None:
    launch(desk, 1, [step(SHORT), step()])
    (item,) = desk.take(1)
    desk.record((item, Uncertain("TimeoutError")))
    for _ in range(2):
        tick(desk)
        days_pass(desk, 1)
    assert desk.states() == ["unknown"]


def test_a_tick_that_comes_twice_writes_nothing_twice(desk: Office) -> None:
    launch(desk, 2, [step(SHORT), step()])
    send(desk, "delivered", "delivered")
    tick(desk)
    tick(desk)
    assert len(desk.deliveries()) == 4


def test_after_a_non_delivery_the_next_contact_is_tried_under_its_own_name(desk: Office) -> None:
    launch(desk, 1, [step(SHORT)], contacts=2)
    desk.write(update(Contact).where(Contact.rank == 1).values(name="李财务"))
    desk.launch("again", steps=[step(SHORT)])
    first, other = desk.take(1), desk.take()
    assert first and not other  # the same phone
    desk.record(*((item, Accepted(f"SM{item.message.delivery}")) for item in first))
    (again,) = desk.take(1)
    desk.record((again, Accepted("SM9")))
    desk.hear(Receipt("twilio", "SM9", "undelivered"))
    tick(desk)
    (alternate,) = desk.take(1)
    assert alternate.message.to == phone(1001)
    assert alternate.message.body == again.message.body.replace("王1", "李财务") != again.message.body
    desk.record((alternate, Uncertain("TimeoutError")))
    (question,) = desk.ask(lambda _message: [])
    assert question.message == alternate.message


def test_the_last_one_who_was_not_reached_still_has_another_contact(desk: Office) -> None:
    """The campaign is not finished while somebody can be tried, though nothing is open at this moment."""
    launch(desk, 1, [step(SHORT)], contacts=2)
    send(desk, "undelivered")
    tick(desk)
    assert desk.campaign().state == "running"
    send(desk, "delivered")
    tick(desk)
    assert desk.campaign().state == "finished"
    (counted,) = desk.statement()["steps"]
    assert (counted["included"], counted["delivered"], counted["adds_up"]) == (1, 1, True)


def test_who_was_reached_or_settled_is_not_tried_at_another_contact(desk: Office) -> None:
    _reached, settled = launch(desk, 2, [step(SHORT)], contacts=2)
    desk.settle_enterprise(settled, outcome="declined")
    send(desk, "delivered")
    tick(desk)
    assert written(desk) == [(1, 1, 0, "delivered"), (2, 1, 0, "skipped")]
    tick(desk)
    assert desk.campaign().state == "finished"


def test_a_campaign_whose_later_steps_apply_to_nobody_is_finished(desk: Office) -> None:
    launch(desk, 2, [step(SHORT), step(when="unreached", after="7d")])
    send(desk, "delivered", "delivered")
    tick(desk)
    assert desk.campaign().state == "finished" and desk.campaign().finished_at is not None


def test_a_campaign_whose_next_step_is_to_come_is_not_finished(desk: Office) -> None:
    launch(desk, 2, [step(SHORT), step(when="unreached", after="7d")])
    send(desk, "delivered", "undelivered")
    for _ in range(2):
        tick(desk)
    assert desk.campaign().state == "running"


def test_who_opened_the_letter_is_not_reminded_to(desk: Office) -> None:
    launch(desk, 2, [step(SHORT), step(when="unopened")])
    send(desk, "delivered", "delivered")
    with desk.database.write() as session:
        signing.opened(session, [1], now=clock.now())
    tick(desk)
    assert [row[0] for row in written(desk) if row[1] == 2] == [2]


def test_a_silent_one_counts_as_not_reached(desk: Office) -> None:
    launch(desk, 1, [step(SHORT), step(when="unreached")])
    send(desk, "accepted")
    days_pass(desk, 3.1)
    with desk.database.write() as session:
        settle.fall_silent(session, patience={"sms": 3 * DAY}, now=clock.now())
    tick(desk)
    assert [row[1:] for row in written(desk)] == [(1, 0, "silent"), (2, 0, "queued")]


def test_the_ladder_waits_for_what_is_settled(desk: Office) -> None:
    launch(desk, 1, [step(SHORT), step()])
    (item,) = desk.take(1)
    desk.record((item, Uncertain("TimeoutError")))
    desk.elapse(OVER)
    desk.ask(lambda _message: [])
    tick(desk)
    assert desk.states() == ["queued"]
