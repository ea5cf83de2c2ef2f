"""The ladder over channels: WeChat where somebody is bound, then the enterprise's next contact, then a text; never two at once."""

from datetime import timedelta

import drive
import pytest
from drive import Office, phone
from sqlalchemy import select, update

from outreach import clock
from outreach.campaigns import progress
from outreach.campaigns.figures import NobodyReachable
from outreach.channels.base import Accepted, Deferred, Found, Receipt, Rejected, Review, Uncertain
from outreach.database.tables import Campaign, Contact, Delivery, Sender
from outreach.outbox import limits, record, settle

WECHAT = {"channel": "wechat", "template": "wechat/pledge-invitation"}
THEN_TEXT = {"channel": "sms", "template": drive.SHORT, "when": "unreached"}
LADDER = (WECHAT, THEN_TEXT)
TEN_MINUTES = timedelta(minutes=10)


def in_wechat(desk: Office, how_many: int | None = None):
    return desk.take(how_many, sender_id=desk.wechat_id)


def steps_and_states(desk: Office) -> list[tuple[int, int, str, str | None]]:
    return [(row.step, row.rank, row.state, row.reason) for row in desk.deliveries()]


def test_who_is_bound_gets_wechat_and_all_others_a_text_at_once(desk: Office) -> None:
    desk.enterprises(3)
    desk.bind(phone(2), "o-second")
    desk.launch(steps=LADDER, alternates=0)
    summary = desk.campaign().summary
    assert (summary["recipients"], summary["steps"][0]["messages"], summary["steps"][0]["skipped"]) == (3, 1, {"no_address": 2})
    (claimed,) = in_wechat(desk, 1)
    assert (claimed.message.to, claimed.message.via) == ("o-second", "template")
    assert claimed.message.variables["character_string5"] == desk.recipients()[1].code
    assert claimed.message.link.startswith(f"{desk.settings.public_url}/p/")
    desk.advance()
    assert sorted(item.message.to for item in desk.take()) == [phone(1), phone(3)]
    assert not desk.take(), "nobody gets a text while his WeChat message is under way"
    assert desk.statement()["steps"][0]["skipped"] == {"no_address": 2}


def test_the_next_contact_is_tried_before_the_next_channel(desk: Office) -> None:
    desk.enterprises(1, contacts=2)
    desk.bind(phone(1001), "o-deputy")
    desk.launch(steps=LADDER)
    desk.advance()
    (claimed,) = in_wechat(desk, 1)
    assert claimed.message.to == "o-deputy"
    assert steps_and_states(desk) == [(1, 0, "skipped", "no_address"), (1, 1, "sending", None)]
    desk.record((claimed, Rejected("address", "43004")), sender_id=desk.wechat_id)
    desk.advance()
    assert [item.message.to for item in desk.take()] == [phone(1)]


def test_who_was_tried_in_vain_counts_as_such_though_the_next_contact_has_no_wechat(desk: Office) -> None:
    desk.enterprises(1, contacts=2)
    desk.bind(phone(1), "o-first")
    desk.launch(steps=LADDER)
    desk.record((in_wechat(desk, 1)[0], Rejected("address", "43004")), sender_id=desk.wechat_id)
    desk.advance()
    assert steps_and_states(desk)[:2] == [(1, 0, "failed", "address"), (1, 1, "skipped", "no_address")]
    (step, _texts) = desk.statement()["steps"]
    assert (step["failed"], step["skipped"], step["adds_up"]) == (1, {}, True)


@pytest.mark.parametrize("outcome", [Accepted("7"), Uncertain("TimeoutError"), Review("")])
def test_no_text_goes_while_the_wechat_message_is_not_final(desk: Office, outcome) -> None:
    desk.enterprises(1)
    desk.bind(phone(1), "o-first")
    desk.launch(steps=LADDER)
    (claimed,) = in_wechat(desk, 1)
    desk.record((claimed, outcome), sender_id=desk.wechat_id)
    desk.advance()
    assert not desk.take()
    desk.hear(Receipt("wechat", "7", "undelivered", to="o-first", error_code="user block"))
    desk.advance()
    assert [item.message.to for item in desk.take()] == [phone(1)]
    assert desk.statement()["steps"][0]["undelivered"] == 1


def test_who_came_by_wechat_gets_no_text(desk: Office) -> None:
    desk.enterprises(1)
    desk.bind(phone(1), "o-first")
    desk.launch(steps=LADDER)
    (claimed,) = in_wechat(desk, 1)
    desk.record((claimed, Accepted("7")), sender_id=desk.wechat_id)
    desk.hear(Receipt("wechat", "7", "delivered", to="o-first"))
    desk.advance()
    assert not desk.take()
    assert desk.campaign().state == "finished"


def test_who_is_bound_after_the_plan_gets_the_reminder_in_wechat(desk: Office) -> None:
    desk.enterprises(1)
    reminder = {"channel": "wechat", "template": "wechat/pledge-reminder", "when": "unsigned"}
    desk.launch(steps=({"channel": "sms", "template": drive.SHORT}, reminder))
    desk.send_all()
    desk.bind(phone(1), "o-first")
    (only,) = desk.deliveries()
    desk.hear(Receipt("twilio", only.reference, "delivered"))
    desk.advance()
    assert [item.message.to for item in in_wechat(desk)] == ["o-first"]


def test_who_has_left_or_has_a_new_phone_is_not_written_to_in_wechat(desk: Office) -> None:
    desk.enterprises(2)
    desk.bind(phone(1), "o-first")
    desk.bind(phone(2), "o-second")
    desk.launch(steps=(WECHAT,), alternates=0)
    desk.unfollow("o-first")
    desk.write(update(Contact).where(Contact.phone == phone(2)).values(phone=phone(9)))
    assert not in_wechat(desk)
    assert [(row.state, row.reason) for row in desk.deliveries()] == [("skipped", "address_changed")] * 2


def test_an_enterprise_whose_contact_has_no_phone_is_reached_by_wechat(desk: Office) -> None:
    desk.enterprises(1)
    desk.write(update(Contact).values(phone=""))
    desk.bind("", "o-first")
    desk.launch(steps=LADDER)
    assert [item.message.to for item in in_wechat(desk)] == ["o-first"]


def test_a_receipt_that_knows_only_the_openid_settles_what_nobody_knew(desk: Office) -> None:
    desk.enterprises(2)
    desk.bind(phone(1), "o-first")
    desk.bind(phone(2), "o-second")
    desk.launch(steps=(WECHAT,))
    first, second = in_wechat(desk, 2)
    desk.record((first, Uncertain("TimeoutError")), (second, Accepted("8")), sender_id=desk.wechat_id)
    for _repetition in range(2):
        desk.hear(Receipt("wechat", "7000000000", "delivered", to="o-first"))
    desk.hear(Receipt("wechat", "999", "undelivered", to="o-second"), Receipt("wechat", "999", "undelivered", to="o-nobody"))
    assert [(row.state, row.reference, row.doubled) for row in desk.deliveries()] == [("delivered", "7000000000", False), ("accepted", "8", False)]
    desk.fly_alone()


def test_an_event_before_our_own_record_counts_once_whatever_id_it_bears(desk: Office) -> None:
    desk.enterprises(1)
    desk.bind(phone(1), "o-first")
    desk.launch(steps=(WECHAT,))
    (claimed,) = in_wechat(desk, 1)
    desk.hear(Receipt("wechat", "o-first:1700000000:templatesendjobfinish", "delivered", to="o-first"))
    desk.record((claimed, Accepted("7")), sender_id=desk.wechat_id)
    (row,) = desk.deliveries()
    assert (row.state, row.reference, row.doubled) == ("delivered", "7", False)


def test_a_message_under_review_waits_for_its_verdict(desk: Office) -> None:
    desk.enterprises(3)
    for number in (1, 2, 3):
        desk.bind(phone(number), f"o-{number}")
    desk.launch(steps=(WECHAT,))
    claimed = in_wechat(desk, 3)
    desk.record(*((item, Review("")) for item in claimed), sender_id=desk.wechat_id)
    assert desk.statement()["steps"][0]["review"] == 3
    verdicts = {"o-1": [Found("", "failed", "40252", "content")]}
    desk.ask(lambda message: verdicts.get(message.to, []), sender_id=desk.wechat_id)
    desk.hear(Receipt("wechat", "22", "delivered", to="o-2"))
    assert desk.states() == ["failed", "delivered", "review"]
    assert desk.campaign().reason == "content", "a text that was blocked is blocked for all"
    desk.elapse(timedelta(hours=25))
    with desk.database.write() as session:
        settle.fall_silent(session, patience={"wechat": timedelta(hours=24)}, now=clock.now())
    assert desk.states()[2] == "silent"
    desk.fly_alone()


def test_only_within_ten_minutes_the_same_attempt_is_sent_once_more(desk: Office) -> None:
    desk.enterprises(1)
    desk.bind(phone(1), "o-first")
    desk.launch(steps=(WECHAT,))
    (claimed,) = in_wechat(desk, 1)
    desk.record((claimed, Uncertain("TimeoutError")), sender_id=desk.wechat_id)
    (question,) = desk.ask(lambda _message: None, sender_id=desk.wechat_id)
    assert question.message.attempt_id == claimed.message.attempt_id
    assert question.message == claimed.message
    assert question.repeatable(TEN_MINUTES, timedelta(seconds=5))
    with desk.database.write() as session:
        answers = [(question.claimed, Uncertain("http 502"))]
        record.record_again(session, sender_id=desk.wechat_id, provider="wechat", answers=answers, patience=desk.patience)
    assert desk.states() == ["unknown"]
    with desk.database.write() as session:
        record.record_again(session, sender_id=desk.wechat_id, provider="wechat", answers=[(question.claimed, Accepted("7"))], patience=desk.patience)
    (row,) = desk.deliveries()
    assert (row.state, row.attempt, row.reference) == ("accepted", 1, "7")
    desk.fly_alone()


def test_what_was_tried_ten_minutes_ago_is_sent_again_by_nobody(desk: Office) -> None:
    desk.enterprises(1)
    desk.bind(phone(1), "o-first")
    desk.launch(steps=(WECHAT,))
    desk.record((in_wechat(desk, 1)[0], Uncertain("TimeoutError")), sender_id=desk.wechat_id)
    desk.elapse(TEN_MINUTES)
    (question,) = desk.ask(lambda _message: None, sender_id=desk.wechat_id)
    assert not question.repeatable(TEN_MINUTES, timedelta(seconds=5))
    assert desk.states() == ["unknown"]


def test_when_the_days_quota_is_used_up_nothing_goes_before_midnight_in_shanghai(desk: Office) -> None:
    desk.enterprises(3)
    for number in (1, 2, 3):
        desk.bind(phone(number), f"o-{number}")
    desk.launch(steps=(WECHAT,))
    desk.record((in_wechat(desk, 3)[0], Deferred(timedelta(0), day_over=True)), sender_id=desk.wechat_id)
    with desk.database.read() as session:
        row = session.execute(select(Sender).where(Sender.id == desk.wechat_id)).scalar_one()
    midnight = row.quota_until.astimezone(clock.OFFICE_ZONE)
    assert (midnight.hour, midnight.minute) == (0, 0)
    assert clock.now() < row.quota_until <= clock.now() + timedelta(days=1)
    assert not in_wechat(desk)
    desk.write(update(Campaign).values(state="canary", claim_limit=2))
    desk.elapse(timedelta(seconds=21))
    desk.expire()
    desk.write(update(Delivery).where(Delivery.state == "unknown").values(state="delivered", final_at=clock.now()))
    with desk.database.read() as session:
        assert progress.resting(session, desk.campaign(), settings=desk.settings, now=clock.now()), "a launch does not wait for midnight"
    desk.write(update(Campaign).values(state="running", claim_limit=None))
    desk.elapse(timedelta(days=1))
    assert len(in_wechat(desk)) == 1


def test_a_new_token_is_forced_twenty_times_a_day_at_most_and_half_a_minute_apart(desk: Office) -> None:
    def allowed() -> bool:
        with desk.database.write() as session:
            return limits.allow_refresh(session, desk.wechat_id, now=noon)

    noon = clock.now().astimezone(clock.OFFICE_ZONE).replace(hour=12, minute=0)
    granted = []
    for _ in range(25):
        granted += [allowed(), allowed()]
        noon += timedelta(seconds=31)
    assert granted == [True, False] * 20 + [False, False] * 5
    noon += timedelta(days=1)
    assert allowed()


def test_who_said_no_to_texts_is_not_written_to_in_wechat_though_he_was_bound_later_nor_the_other_way(desk: Office) -> None:
    desk.enterprises(2)
    desk.launch("earlier", steps=({"channel": "sms", "template": drive.SHORT},))
    desk.suppress(phone(1))
    desk.bind(phone(1), "o-first")
    desk.bind(phone(2), "o-second")
    desk.refuse("o-second")
    assert not desk.take(), "not even what was queued before the no"
    assert [(row.state, row.reason) for row in desk.deliveries()] == [("skipped", "suppressed")] * 2
    with pytest.raises(NobodyReachable, match="suppressed 2"):
        desk.launch(steps=LADDER)


def test_the_first_ones_are_so_many_over_both_channels_and_then_the_campaign_pauses(desk: Office) -> None:
    desk.enterprises(6)
    desk.bind(phone(1), "o-first")
    desk.launch(steps=LADDER, first=3)
    desk.record((in_wechat(desk, 1)[0], Accepted("7")), sender_id=desk.wechat_id)
    desk.hear(Receipt("wechat", "7", "delivered", to="o-first"))
    desk.advance()
    texted = desk.take(2)
    desk.record(*((item, Accepted(f"SM{item.message.delivery}")) for item in texted))
    desk.hear(*(Receipt("twilio", f"SM{item.message.delivery}", "delivered") for item in texted))
    desk.advance()
    assert (desk.campaign().state, desk.campaign().reason) == ("paused", "first")
    assert not desk.take()
