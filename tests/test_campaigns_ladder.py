"""Each step is due for whom its condition says, counted from what became of the steps before it; and a campaign ends when nothing is to come."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, update

from outreach import clock
from outreach.campaigns import ladder, launching, progress, status
from outreach.channels.base import Accepted, Deferred, Receipt, Status, Uncertain
from outreach.database.tables import Contact, Delivery
from outreach.outbox import settle
from outreach.outbox.claim import Claimed
from outreach.pledges import corrections, signing
from outreach.pledges.corrections import CorrectionRequest

from drive import OVER, PLEDGE, REMINDER, SHORT, Office, phone, recount  # isort: skip

DAY = timedelta(days=1)


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


# --- who was stopped, who has signed ---


def asking(desk: Office, people: int, steps: Sequence[Mapping[str, Any]], **keys: Any) -> list[int]:
    """Launch a campaign for the pledge; recipients and enterprises are numbered alike unless one speaks for several."""
    return launch(desk, people, steps, goal={"pledge": PLEDGE}, **keys)


def stop(desk: Office, recipient: int) -> None:
    with desk.database.write() as session:
        corrections.correct(session, [CorrectionRequest(recipient_id=recipient, kind="not_principal", detail="", way="link", at=clock.now())])


def test_nothing_more_is_written_to_who_said_that_the_letter_is_not_for_him(desk: Office) -> None:
    asking(desk, 3, [step(SHORT), step()], contacts=2)
    first, second, _third = send(desk, "delivered", "undelivered", "delivered")
    for recipient in (1, 2):
        stop(desk, recipient)
    tick(desk)
    assert [row[:3] for row in written(desk)] == [(1, 1, 0), (2, 1, 0), (3, 1, 0), (3, 2, 0)], "no next step, no other contact"
    assert first.message.to != second.message.to


def test_what_is_queued_for_who_was_stopped_is_skipped_as_stopped(desk: Office) -> None:
    asking(desk, 2, [step(SHORT)])
    stop(desk, 1)
    send(desk, "delivered")
    tick(desk)
    assert desk.campaign().state == "finished"
    told = desk.statement()
    assert told["steps"][0]["skipped"] == {"stopped": 1}
    assert {key: value for key, value in told["enterprises"].items() if value} == {"selected": 2, "reached": 1, "not_reached": 1, "adds_up": True}


def test_a_reminder_to_sign_passes_over_a_signature_of_an_earlier_campaign_and_a_paper_without_its_scan(desk: Office) -> None:
    asking(desk, 3, [step(SHORT)])
    send(desk, "delivered", "delivered", "delivered")
    desk.sign(desk.signing(1))
    desk.asking("again", steps=[step(SHORT, when="unsigned"), step(), step(when="unsigned")])
    for _round in range(3):
        tick(desk)
        desk.send_all()
        news = [Receipt("twilio", row.reference, "delivered", row.id, row.attempt) for row in desk.deliveries(2) if row.state == "accepted"]
        desk.hear(*news)
        if not _round:
            desk.sign(desk.signing(5, way="paper", method="paper", state="pending"))
    became = {(row.recipient_id - 3, row.step): row.reason or row.state for row in desk.deliveries(2)}
    assert became == {(1, 1): "goal_reached"} | dict.fromkeys([(1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3)], "delivered")
    told = desk.statement("again")["enterprises"]
    assert (told["signed"], told["reached"]) == (1, 2)


def test_a_reminder_that_waits_is_not_sent_once_all_have_signed_be_it_some_before_the_approval(desk: Office) -> None:
    """One person speaks for two enterprises; one of them signed in an earlier campaign."""
    earlier, other = desk.enterprises(2, phones=[phone(1), phone(1)])
    desk.asking("first", one_per="enterprise")
    desk.sign(desk.signing(1, earlier))
    desk.asking(steps=[step(SHORT), step(when="unsigned")])
    desk.write(delete(Delivery).where(Delivery.campaign_id == 1))
    send(desk, "delivered")
    tick(desk)
    assert [row.state for row in desk.deliveries(2)] == ["delivered", "queued"]
    desk.sign(desk.signing(3, other))
    assert desk.take() == []
    assert [row.reason for row in desk.deliveries(2)] == [None, "goal_reached"]


def test_a_person_of_several_enterprises_is_reminded_until_all_of_them_have_settled(desk: Office) -> None:
    one, two = desk.enterprises(2, phones=[phone(1), phone(1)])
    desk.asking(steps=[step(SHORT), step(when="unsigned"), step(when="unsigned")])
    send(desk, "delivered")
    desk.sign(desk.signing(1, one))
    tick(desk)
    send(desk, "delivered")
    desk.settle_enterprise(two, outcome="declined")
    tick(desk)
    assert [row[1] for row in written(desk)] == [1, 2]
    assert desk.campaign().state == "finished"


def test_what_was_claimed_when_its_enterprise_signed_may_leave_and_nothing_after_it(desk: Office) -> None:
    asking(desk, 2, [step(SHORT), step(when="unsigned")])
    items = desk.take(2)
    desk.sign(desk.signing(1))
    with desk.database.write() as session:
        assert launching.pause(session, "drive") == {"claimed": 2, "queued": 0, "on_the_way": 0}
        launching.resume(session, "drive")
    deferred, accepted = items
    desk.record((deferred, Deferred(timedelta(0))), (accepted, Accepted("SM2")))
    desk.hear(Receipt("twilio", "SM2", "delivered"))
    assert desk.take() == []
    tick(desk)
    assert [(row.recipient_id, row.step, row.reason) for row in desk.deliveries()] == [(1, 1, "goal_reached"), (2, 1, None), (2, 2, None)]


# --- a start, and what comes again ---


def again(desk: Office, *, every: str, days: float, **keys: Any) -> Mapping[str, Any]:
    return step(every=every, until=(clock.now() + days * DAY).isoformat(), **keys)


def occurrences(desk: Office, recipient: int = 1) -> list[int]:
    return [row.occurrence for row in desk.deliveries() if row.step == 2 and row.recipient_id == recipient]


def status_of(desk: Office) -> dict[str, Any]:
    with desk.database.read() as session:
        return status.status(session, "drive", now=clock.now())


def next_in_days(desk: Office) -> float | None:
    due = status_of(desk)["next"]
    return due and round((datetime.fromisoformat(due["at"]) - clock.now()) / DAY, 2)


def test_a_step_comes_again_until_its_last_day(desk: Office) -> None:
    asking(desk, 2, [step(SHORT), again(desk, every="7d", days=20, when="unsigned", after="3d")])
    send(desk, "delivered", "delivered")
    seen = []
    for _day in range(24):
        tick(desk)
        seen.append((len(send(desk, *["delivered"] * desk.states().count("queued"))), next_in_days(desk), desk.campaign().state))
        days_pass(desk, 1)
    sent = [count for count, _next, _state in seen]
    assert sent == [2 if day in (3, 10, 17) else 0 for day in range(24)]
    assert [moment for _count, moment, _state in seen][:12] == [3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 7, 6]
    assert [moment for _count, moment, _state in seen][17:] == [None] * 7, "24 days from the first is past the last day"
    assert [state for _count, _next, state in seen] == ["running"] * 20 + ["finished"] * 4
    assert occurrences(desk) == [1, 2, 3]
    told = desk.statement()
    assert [(row["step"], row["occurrence"], row["included"], row["delivered"]) for row in told["steps"]] == [(1, 1, 2, 2), *((2, n, 2, 2) for n in (1, 2, 3))]
    assert told | {"at": None} == recount(desk) | {"at": None}


def test_occurrences_that_were_missed_collapse_into_the_latest(desk: Office) -> None:
    asking(desk, 1, [step(SHORT), again(desk, every="7d", days=100, after="7d")])
    send(desk, "delivered")
    days_pass(desk, 7.1)
    tick(desk)
    send(desk, "delivered")
    days_pass(desk, 30)
    tick(desk)
    assert len(send(desk, "delivered")) == 1
    tick(desk)
    assert occurrences(desk) == [1, 5]
    assert next_in_days(desk) == 4.9


def test_what_left_late_stands_for_the_occurrences_that_passed_meanwhile(desk: Office) -> None:
    """Queued before an outage and sent after it: nobody gets the latest one on its heels."""
    asking(desk, 1, [step(SHORT), again(desk, every="7d", days=100)])
    send(desk, "delivered")
    tick(desk)
    assert occurrences(desk) == [1]
    days_pass(desk, 22)
    send(desk, "delivered")
    for days in (0, 5.9):
        days_pass(desk, days)
        tick(desk)
        assert occurrences(desk) == [1]
    days_pass(desk, 0.2)
    tick(desk)
    assert occurrences(desk) == [1, 5]


def test_a_late_receipt_of_the_invitation_brings_no_occurrence_twice(desk: Office) -> None:
    asking(desk, 1, [step(SHORT), again(desk, every="7d", days=30)])
    (invitation,) = send(desk, "accepted")
    days_pass(desk, 3.1)
    with desk.database.write() as session:
        settle.fall_silent(session, patience={"sms": 3 * DAY}, now=clock.now())
    tick(desk)
    send(desk, "delivered")
    days_pass(desk, 1)
    desk.hear(Receipt("twilio", "SM" + invitation.message.attempt_id, "delivered", invitation.message.delivery, 1))
    for days, seen in ((0, [1]), (6.9, [1]), (0.2, [1, 2])):
        days_pass(desk, days)
        tick(desk)
        assert occurrences(desk) == seen


def test_who_signs_is_reminded_no_more_and_when_all_have_the_campaign_ends(desk: Office) -> None:
    asking(desk, 2, [step(SHORT), again(desk, every="1d", days=30, when="unsigned", after="1d")])
    send(desk, "delivered", "delivered")
    for signer in (1, 2):
        days_pass(desk, 1.01)
        tick(desk)
        send(desk, *["delivered"] * (3 - signer))
        desk.sign(desk.signing(signer))
    tick(desk)
    assert (occurrences(desk, 1), occurrences(desk, 2)) == ([1], [1, 2])
    assert (desk.campaign().state, status_of(desk)["next"]) == ("finished", None)


def test_each_occurrence_tries_the_other_contact_of_whom_it_did_not_reach(desk: Office) -> None:
    asking(desk, 1, [step(SHORT), again(desk, every="7d", days=30)], contacts=2)
    send(desk, "delivered")
    for _week in range(2):
        tick(desk)
        send(desk, "undelivered")
        tick(desk)
        send(desk, "delivered")
        tick(desk)
        days_pass(desk, 7.1)
    assert [(row.occurrence, row.rank, row.state) for row in desk.deliveries() if row.step == 2] == [
        (1, 0, "undelivered"),
        (1, 1, "delivered"),
        (2, 0, "undelivered"),
        (2, 1, "delivered"),
    ]
    assert [(row["occurrence"], row["included"], row["delivered"]) for row in desk.statement()["steps"]] == [(1, 1, 1), (1, 1, 1), (2, 1, 1)]


def test_the_only_step_can_come_again(desk: Office) -> None:
    asking(desk, 1, [again(desk, every="7d", days=15, template=SHORT)])
    for _week in range(4):
        tick(desk)
        send(desk, *["delivered"] * desk.states().count("queued"))
        days_pass(desk, 7.01)
    tick(desk)
    assert [(row.step, row.occurrence) for row in desk.deliveries()] == [(1, 1), (1, 2), (1, 3)]
    assert desk.campaign().state == "finished"


def test_a_campaign_with_a_start_waits_for_its_day_and_says_so(desk: Office) -> None:
    starts = (clock.now() + 2 * DAY).replace(microsecond=0)
    launch(desk, 2, [step(SHORT, after="1d")], start=starts.isoformat())
    told = status_of(desk)
    assert told["start"] == clock.wire(starts)
    assert (next_in_days(desk), told["next"]["step"]) == (3, 1)
    with desk.database.read() as session:
        assert progress.resting(session, desk.campaign(), settings=desk.settings, now=clock.now()), "nobody needs to wait at the terminal"
    assert desk.take() == []
    days_pass(desk, 3.01)
    assert len(desk.take()) == 2


# --- the funnel ---


def funnel_of(desk: Office) -> list[tuple[int, ...]]:
    return [tuple(row[key] for key in ("step", "occurrence", "included", "sent", "delivered", "opened", "signed")) for row in status_of(desk)["funnel"]]


def test_the_funnel_gives_each_opening_and_signature_to_the_last_message_before_it(desk: Office) -> None:
    asking(desk, 5, [step(SHORT), step(after="1d", when="unsigned")])
    send(desk, "delivered", "delivered", "delivered", "delivered", "failed")
    with desk.database.write() as session:
        signing.opened(session, [1, 2], now=clock.now())
    desk.sign(desk.signing(1))
    days_pass(desk, 1.1)
    tick(desk)
    assert funnel_of(desk) == [(1, 1, 5, 4, 4, 2, 1), (2, 1, 4, 0, 0, 0, 0)]
    send(desk, "delivered", "delivered", "accepted", "delivered")
    desk.sign(desk.signing(2))
    desk.sign(desk.signing(3), desk.signing(5, way="paper", method="paper", recorded_by="alice"))
    assert funnel_of(desk) == [(1, 1, 5, 4, 4, 2, 1), (2, 1, 4, 4, 3, 1, 3)]
    assert desk.statement()["enterprises"]["signed"] == 4


def test_the_funnel_counts_a_person_of_several_enterprises_once_and_no_signature_that_was_withdrawn(desk: Office) -> None:
    one, two = desk.enterprises(2, phones=[phone(1), phone(1)])
    desk.asking()
    send(desk, "delivered")
    ((signed,),) = desk.sign(desk.signing(1, one))
    desk.sign(desk.signing(1, two))
    assert funnel_of(desk) == [(1, 1, 1, 1, 1, 1, 1)]
    with desk.database.write() as session:
        signing.withdraw(session, signed.serial, reason="", by="signer", now=clock.now())
    assert funnel_of(desk) == [(1, 1, 1, 1, 1, 1, 1)]
    assert desk.statement()["enterprises"] | {"signed": 1, "withdrawn": 1} == desk.statement()["enterprises"]
