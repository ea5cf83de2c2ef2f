"""Erasing a person takes his WeChat too: who he was there, what he wrote, where the conversation stood."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from signers import AT, PHONE, Signers
from sqlalchemy import insert, select, update

from outreach.channels.base import Reply as ChannelReply
from outreach.contacts import erasing
from outreach.contacts.erasing import MessageUnderWay
from outreach.database.engine import Database
from outreach.database.tables import Address, Base, Delivery, MessageText, Receipt, RecipientContact, Reply
from outreach.database.wechat_tables import Binding, Follower, Scene
from outreach.links import conversation
from outreach.settings import Settings

OPENID = "oRf1x5Gd_of-the-first"
SHARED = "oRf1x5Gd_of-two-firms"
LATER = AT + timedelta(days=1)


@pytest.fixture
def office(database: Database) -> Signers:
    """The first contact has two openids, one of them with the second contact, who is the same person at another firm."""
    made = Signers(database).found()
    rows: dict[type[Base], list[dict[str, Any]]] = {
        Follower: [
            {"openid": openid, "follows": True, "asked_code": made.codes[0], "asked_way": "scene", "asked_at": AT} for openid in (OPENID, SHARED, "oThird")
        ],
        Binding: [
            {"openid": OPENID, "contact_id": made.contacts[0], "phone": PHONE, "way": "scene", "bound_at": AT, "ended_at": AT, "ended_reason": "rebound"},
            {"openid": SHARED, "contact_id": made.contacts[0], "phone": PHONE, "way": "oauth", "bound_at": AT, "ended_at": None, "ended_reason": None},
            {"openid": SHARED, "contact_id": made.contacts[1], "phone": PHONE, "way": "oauth", "bound_at": AT, "ended_at": None, "ended_reason": None},
            {"openid": OPENID, "contact_id": made.contacts[2], "phone": PHONE, "way": "oauth", "bound_at": AT, "ended_at": AT, "ended_reason": "rebound"},
        ],
        Reply: [
            {"channel": "wechat", "reference": f"{OPENID}:1:subscribe", "sender": OPENID, "body": "", "answer": "您好", "received_at": AT},
            {"channel": "wechat", "reference": "24001", "sender": OPENID, "body": "我是王小明", "answer": f"王小明，{PHONE}", "received_at": AT},
            {"channel": "wechat", "reference": "24002", "sender": SHARED, "body": "好", "answer": None, "received_at": AT},
        ],
        Receipt: [{"provider": "wechat", "reference": f"{OPENID}:7:templatesendjobfinish", "status": "delivered", "received_at": AT}],
        Address: [{"channel": "wechat", "value": OPENID}, {"channel": "wechat", "value": SHARED}],
        Scene: [{"scene": f"r{key}", "recipient_id": recipient, "url": f"u{key}", "made_at": AT} for key, recipient in enumerate(made.recipients)],
    }
    for table, values in rows.items():
        made.write(insert(table).values(values))
    return made


def erase(office: Signers, number: int = 0) -> erasing.Erased:
    with office.database.write() as session:
        return erasing.erase(session, office.contacts[number], now=LATER)


def tables_with(office: Signers, word: str) -> set[str]:
    """Say in which tables a word still stands, whatever the column."""
    with office.database.read() as session:
        found = {table.name: session.execute(select(table)).all() for table in Base.metadata.sorted_tables}
    return {name for name, rows in found.items() if word in json.dumps([list(row) for row in rows], default=str, ensure_ascii=False)}


def test_no_openid_that_is_his_alone_is_left_in_any_table(office: Signers) -> None:
    assert tables_with(office, OPENID) == {"follower", "binding", "reply", "address", "receipt"}
    assert erase(office).changed
    assert tables_with(office, OPENID) == set()
    assert "我是王小明" not in str(office.rows("select * from reply"))
    assert PHONE not in str(office.rows("select answer from reply"))
    assert {row.openid for row in office.rows("select openid from follower")} == {SHARED, "oThird"}


def test_his_bindings_are_ended_and_stay_counted(office: Signers) -> None:
    erase(office)
    mine = office.rows(f"select openid, phone, way, ended_reason from binding where contact_id = {office.contacts[0]} order by id")
    gone = f"erased:{office.contacts[0]}"
    assert [tuple(row) for row in mine] == [(gone, "", "scene", "rebound"), (gone, "", "oauth", "erased")]


def test_an_openid_that_is_bound_to_another_contact_stays_that_ones(office: Signers) -> None:
    erase(office)
    held = office.rows("select contact_id from binding where ended_at is null")
    assert [row.contact_id for row in held] == [office.contacts[1]]
    assert tables_with(office, SHARED) == {"follower", "binding", "reply", "address"}


def test_a_second_erasure_finds_two_replies_emptied_under_names_of_their_own(office: Signers) -> None:
    """The provider's reference of an event holds the openid; emptied, it must still be one of a kind."""
    erase(office)
    assert not erase(office).changed
    references = [row.reference for row in office.rows("select reference from reply order by id")]
    assert references[0].startswith("erased:")
    assert references[1:] == ["24001", "24002"]


def test_an_openid_that_must_not_be_written_to_stays_on_that_list_alone(office: Signers) -> None:
    office.write(update(Address).where(Address.value == OPENID).values(suppressed_at=AT, suppressed_reason="opted_out"))
    assert erase(office).kept == 1
    assert tables_with(office, OPENID) == {"address"}


def test_the_qr_code_goes_where_nobody_else_can_be_reached_by_it(office: Signers) -> None:
    with office.database.write() as session:
        other = {"rank": 1, "contact_id": office.contacts[2], "revision": 1, "name": "李2", "phone": ""}
        session.execute(insert(RecipientContact).values(recipient_id=office.recipients[1], **other))
    erase(office, 0)
    erase(office, 1)
    assert [row.scene for row in office.rows("select scene from scene order by id")] == ["r1", "r2"]


def test_an_answer_that_waits_for_his_openid_is_skipped_and_one_under_way_forbids_the_erasure(office: Signers) -> None:
    with office.database.write() as session:
        text = session.execute(insert(MessageText).values(digest="x", name="wechat/x", source="x", signature="").returning(MessageText.id)).scalar_one()
        address = session.scalar(select(Address.id).where(Address.value == OPENID))
        known = {"channel": "wechat", "address_id": address, "text_id": text, "segments": 1, "due_at": AT, "fields": {"contact": "王小明"}}
        session.execute(insert(Delivery).values(purpose="answer:1", state="queued", **known))
    office.write("update delivery set state = 'sending'")
    with pytest.raises(MessageUnderWay):
        erase(office)
    office.write("update delivery set state = 'queued'")
    erase(office)
    assert [(row.state, row.reason) for row in office.rows("select state, reason from delivery")] == [("skipped", "erased")]
    assert tables_with(office, "王小明") == set()


def test_who_writes_while_he_is_erased_is_heard_as_a_stranger(new_postgresql: Callable[[], str]) -> None:
    with closing(Database(new_postgresql())) as database, ThreadPoolExecutor(1) as pool:
        office = Signers(database).found()
        office.write(insert(Follower).values(openid=OPENID, follows=True))
        office.write(insert(Binding).values(openid=OPENID, contact_id=office.contacts[0], phone=PHONE, way="scene", bound_at=AT))

        def hear() -> dict[str, str | None]:
            with database.write() as session:
                return conversation.hear(session, [ChannelReply("wechat", "24009", OPENID, "你好")], settings=Settings(office_key="0" * 64), now=LATER)

        with database.write() as session:
            erasing.erase(session, office.contacts[0], now=LATER)
            heard = pool.submit(hear)
            while not office.rows("select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"):
                assert not heard.done()
        assert heard.result(20)["24009"]
        assert [row.openid for row in office.rows("select openid from follower")] == [OPENID]
        assert office.rows("select 1 from binding where ended_at is null") == []
