"""Who signed is told so once, by a text to the registered phone; and never at night, on paper, or after a "no"."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from outreach import clock
from outreach.channels.base import Accepted
from outreach.database.engine import Database
from outreach.database.tables import Campaign, Contact, Delivery
from outreach.outbox import hours
from outreach.pledges import confirming, signing

from drive import Office, office, phone  # isort: skip

MORNING = datetime(2026, 1, 15, 10, tzinfo=clock.OFFICE_ZONE)
NIGHT = datetime(2026, 1, 15, 23, tzinfo=clock.OFFICE_ZONE)


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Office:
    made = office(database, tmp_path)
    made.enterprises(3)
    made.asking()
    made.write(update(Delivery).values(state="delivered", final_at=clock.now()))
    return made


def confirm(desk: Office, now: datetime | None = None, **changed: Any) -> int:
    with desk.database.write() as session:
        return confirming.confirm(session, settings=desk.settings.model_copy(update=changed), now=now or clock.now())


def texts(desk: Office) -> list[str]:
    """Send what is due, and return the bodies."""
    return [item.message.body for item in desk.send_all()]


def test_who_signed_gets_one_text_with_the_number_of_the_signature(desk: Office) -> None:
    ((signed,),) = desk.sign(desk.signing(1))
    assert confirm(desk) == 1
    (item,) = desk.send_all()
    assert item.message.to == phone(1)
    assert re.fullmatch(rf"【.+】第1鞋业.*《不欠薪倡议书》已签订，编号{signed.serial}，谢谢支持。非本人办理请拨.+。", item.message.body)
    assert item.campaign_id is None
    assert (confirm(desk), texts(desk)) == (0, [])


def test_two_workers_at_once_make_one_text(desk: Office) -> None:
    desk.sign(desk.signing(1), desk.signing(2))
    with ThreadPoolExecutor() as pool:
        with desk.database.write() as session:
            assert confirming.confirm(session, settings=desk.settings, now=clock.now()) == 2
            other = pool.submit(confirm, desk)
            time.sleep(0.2)
        other.result(timeout=10)
    assert len(texts(desk)) == 2


def test_several_enterprises_signed_in_one_act_are_confirmed_in_one_text(desk: Office) -> None:
    one, _two = desk.enterprises(2, phones=[phone(50), phone(50)], town="观海卫镇")
    desk.asking("second", town="观海卫镇")
    (recipient,) = [row.id for row in desk.recipients() if len(row.fields["enterprises"]) == 2]
    ((first, second),) = desk.sign(desk.signing(recipient))
    assert confirm(desk) == 1
    desk.write(update(Delivery).where(Delivery.campaign_id.is_not(None)).values(state="delivered", final_at=clock.now()))
    (body,) = texts(desk)
    assert "等2家企业" in body and f"编号{first.serial}等，" in body and second.serial not in body
    with desk.database.write() as session:
        signing.withdraw(session, first.serial, reason="", by="signer", now=clock.now())
    assert confirm(desk) == 0, "the second one was told of already"
    desk.sign(desk.signing(recipient, one))
    assert confirm(desk) == 1, "a new act"


@pytest.mark.parametrize(
    "keys",
    [
        {"way": "paper", "method": "paper"},
        {"way": "staff", "recorded_by": "alice"},
        {"way": "paper", "method": "paper", "state": "pending"},
        {"contact_id": None},
        {"at": clock.now() - timedelta(hours=25)},
    ],
)
def test_paper_staff_strangers_and_what_is_long_ago_are_not_confirmed(desk: Office, keys: dict[str, Any]) -> None:
    desk.sign(desk.signing(1, **keys))
    assert confirm(desk) == 0


def test_who_said_no_to_texts_who_was_erased_and_what_was_withdrawn_get_none(desk: Office) -> None:
    desk.suppress(phone(1))
    requests = [desk.signing(key) for key in (1, 2, 3)]
    _first, _second, ((third),) = desk.sign(*requests)
    desk.write(update(Contact).where(Contact.id == 2).values(phone="", erased_at=clock.now()))
    with desk.database.write() as session:
        signing.withdraw(session, third.serial, reason="", by="signer", now=clock.now())
    assert confirm(desk) == 0


def test_what_was_signed_in_a_rehearsal_is_not_confirmed_in_production(desk: Office) -> None:
    desk.sign(desk.signing(1))
    desk.write(update(Campaign).values(mode="production"))
    assert confirm(desk) == 0


def test_nothing_is_confirmed_at_night_unless_it_is_a_rehearsal(desk: Office) -> None:
    desk.sign(desk.signing(1, at=NIGHT), desk.signing(2, at=NIGHT))
    assert confirm(desk, NIGHT + timedelta(minutes=1), ignore_hours=False) == 0
    assert confirm(desk, NIGHT + timedelta(hours=11), ignore_hours=False) == 2


def test_a_confirmation_that_was_held_up_until_the_night_waits_for_the_morning_and_hears_a_no(desk: Office) -> None:
    desk.sign(desk.signing(1), desk.signing(2))
    assert confirm(desk) == 2
    sleeping = replace(desk.rules, opens_at=lambda _pace, now: now + timedelta(hours=9))
    assert desk.take(rules=sleeping) == []
    code = desk.alone("one-time-code:1", phone(1))
    assert [item.message.delivery for item in desk.take(rules=sleeping)] == [code], "a code is wanted now"
    desk.suppress(phone(2))
    assert desk.take() == []
    desk.elapse(timedelta(hours=9, minutes=1))
    (item,) = desk.take()
    desk.record((item, Accepted("SM1")))
    assert item.message.to == phone(1)
    with desk.database.read() as session:
        assert session.scalars(select(Delivery.reason).where(Delivery.purpose.like("confirmation:%")).order_by(Delivery.id)).all() == [None, "suppressed"]


def test_the_night_of_the_office_is_that_of_shanghai(desk: Office) -> None:
    settings = desk.settings.model_copy(update={"ignore_hours": False})
    assert hours.campaign_opens_at(settings, {}, MORNING) == MORNING
    assert hours.campaign_opens_at(settings, {}, NIGHT) > NIGHT
