"""Erasing a person in the middle of a drive: the statement adds up, nobody else is left out, and nothing goes to him any more."""

from datetime import timedelta

import pytest

from outreach import clock
from outreach.campaigns import approving, definition, ladder, launching, planning, progress
from outreach.campaigns.approving import ApprovalVoid
from outreach.channels.base import Receipt, Uncertain
from outreach.contacts import erasing
from outreach.contacts.erasing import MessageUnderWay
from outreach.pledges import erasing as pledges

from drive import OVER, REMINDER, SHORT, Office, phone, recount  # isort: skip

DAY = timedelta(days=1)
STEPS = [{"channel": "sms", "template": SHORT}, {"channel": "sms", "template": REMINDER, "after": "1d"}]


def erase(desk: Office, contact: int) -> None:
    with desk.database.write() as session:
        pledges.erase(session, contact, by="alice", now=clock.now())
        erasing.erase(session, contact, now=clock.now())


def tick(desk: Office) -> None:
    with desk.database.write() as session:
        progress.review(session, settings=desk.settings, now=clock.now())
        ladder.advance(session, mode="rehearsal", now=clock.now())


def deliver_all(desk: Office) -> list[str]:
    """Send what is due, let it be delivered, and return the numbers it went to."""
    items = desk.send_all()
    desk.hear(*(Receipt("twilio", f"SM{item.message.attempt_id}", "delivered", item.message.delivery, item.message.attempt) for item in items))
    return [item.message.to for item in items]


def test_one_erased_between_two_steps_is_written_to_no_more_and_the_statement_adds_up(desk: Office) -> None:
    desk.enterprises(3)
    campaign = desk.launch(steps=STEPS)
    assert len(deliver_all(desk)) == 3
    erase(desk, 1)
    desk.elapse(2 * DAY)
    tick(desk)
    assert sorted(deliver_all(desk)) == [phone(2), phone(3)]
    assert sorted(desk.states(campaign)) == ["delivered"] * 5 + ["skipped"]
    statement = desk.statement()
    assert all(step["adds_up"] for step in statement["steps"])
    assert statement["enterprises"]["adds_up"]
    assert {key: statement[key] for key in ("steps", "enterprises")} == {key: recount(desk)[key] for key in ("steps", "enterprises")}


def test_one_erased_while_his_message_waits_is_skipped_and_the_others_go_on(desk: Office) -> None:
    desk.enterprises(3)
    desk.launch()
    erase(desk, 2)
    assert sorted(deliver_all(desk)) == [phone(1), phone(3)]
    assert desk.statement()["steps"][0]["skipped"] == {"erased": 1}
    assert desk.statement()["enterprises"]["adds_up"]


def test_an_erasure_before_the_launch_voids_the_approval(desk: Office) -> None:
    desk.enterprises(3)
    values = {"name": "drive", "title": "年度无欠薪宣传", "audience": "镇街 = 桥头镇", "step": STEPS}
    with desk.database.write() as session:
        planned = planning.plan(session, definition.parse(values, path="drive.toml"), settings=desk.settings, path=None, planned_by="alice", now=clock.now())
        approving.approve(session, "drive", code=planned.summary["code"], account="bob", settings=desk.settings, now=clock.now())
    erase(desk, 1)
    with pytest.raises(ApprovalVoid), desk.database.write() as session:
        launching.launch(session, "drive", settings=desk.settings, first=None, now=clock.now())


def test_a_message_of_unknown_outcome_keeps_its_body_until_it_is_settled(desk: Office) -> None:
    desk.enterprises(1)
    desk.launch()
    claimed = desk.take(1)
    desk.record((claimed[0], Uncertain("timeout")))
    with pytest.raises(MessageUnderWay):
        erase(desk, 1)
    desk.elapse(OVER)
    assert [question.message.body for question in desk.ask(lambda _message: None)] == [claimed[0].message.body]
    desk.hear(Receipt("twilio", "SM1", "delivered", claimed[0].message.delivery, claimed[0].message.attempt))
    erase(desk, 1)
    assert desk.states() == ["delivered"]
