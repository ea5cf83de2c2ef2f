"""The directory: looked up, handed out, and who must not be written to."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime

import pytest
from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from outreach.contacts import directory
from outreach.contacts.directory import AddressMissing, ContactMissing, CursorWrong, PhoneWrong
from outreach.database.engine import Database
from outreach.database.tables import Address, Contact, Enterprise

P1, P2 = "+8613800138001", "+8613800138002"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database of either kind for all tests here: on PostgreSQL a new one for each would take longer than the tests."""
    with closing(Database(request.getfixturevalue(f"new_{request.param}")())) as database:
        yield database


@pytest.fixture
def database(opened: Database) -> Database:
    """That database, empty."""
    with opened.write() as session:
        for table in (Address, Contact, Enterprise):
            session.execute(delete(table))
    return opened


@pytest.fixture
def cast(database: Database, now: datetime) -> Database:
    """Three enterprises: 甲厂 with two contacts and one erased, 乙厂 with one without a phone, 丙厂 with none."""
    stamps = {"created_at": now, "updated_at": now}
    with database.write() as session:
        towns = {"甲厂": "逍林镇", "乙厂": "桥头镇", "丙厂": "逍林镇"}
        for number, (name, town) in enumerate(towns.items(), 1):
            session.execute(insert(Enterprise).values(id=number, name=name, town=town, above_scale=number == 1, **stamps))
        session.execute(insert(Contact).values(id=1, enterprise_id=1, name="李四", phone=P2, rank=1, **stamps))
        session.execute(insert(Contact).values(id=2, enterprise_id=1, name="张三", phone=P1, rank=0, wechat="o123456789", **stamps))
        session.execute(insert(Contact).values(id=3, enterprise_id=1, erased_at=now, **stamps))
        session.execute(insert(Contact).values(id=4, enterprise_id=2, name="王五", **stamps))
    return database


def suppressed(session: Session) -> list[tuple[str, str, str | None, str | None]]:
    a = Address.__table__.c
    return [tuple(row) for row in session.execute(select(a.channel, a.value, a.suppressed_reason, a.suppressed_source).order_by(a.id))]


def test_pages_follow_each_other_and_leave_nobody_out(cast: Database) -> None:
    seen, after = [], None
    with cast.read() as session:
        for _page in range(4):
            page = directory.listing(session, limit=1, after=after)
            assert page.total == 4
            seen += [(row["name"], row["id"]) for row in page.rows]
            after = page.next
        assert after is None
        assert seen == [("甲厂", 1), ("甲厂", 2), ("乙厂", 4), ("丙厂", None)]
        assert [(row["name"], row["id"]) for row in directory.listing(session, limit=9).rows] == seen


def test_a_condition_narrows_rows_and_total(cast: Database) -> None:
    with cast.read() as session:
        page = directory.listing(session, where=Enterprise.__table__.c.town == "逍林镇", limit=2)
        assert ([row["id"] for row in page.rows], page.total, page.next) == ([1, 2], 3, "1-2")
        exported = directory.everything(session, where=Contact.__table__.c.phone == P1)
        assert [row["contact"] for row in exported] == ["张三"]


@pytest.mark.parametrize("cursor", ["", "1", "x-1", "1-2-3", "99999999999999999999-1"])
def test_a_cursor_that_no_page_gave_is_refused(cast: Database, cursor: str) -> None:
    with cast.read() as session, pytest.raises(CursorWrong):
        directory.listing(session, after=cursor)


def test_an_export_gives_contacts_in_their_rank(cast: Database) -> None:
    with cast.read() as session:
        rows = list(directory.everything(session))
    assert [row["contact"] for row in rows] == ["张三", "李四", "王五", None]
    assert set(rows[0]) == set(directory.COLUMNS)


def test_one_contact_is_shown_with_the_enterprise_and_its_others(cast: Database, now: datetime) -> None:
    with cast.write() as session:
        directory.opt_out(session, channel="sms", value=P1, reason="来电要求", now=now)
        shown = directory.show(session, 2)
    assert (shown["name"], shown["contact"], shown["above_scale"], shown["opted_out"]) == ("甲厂", "张三", True, True)
    assert (shown["suppressed_at"], shown["suppressed_reason"], shown["suppressed_source"]) == (now, "来电要求", "staff")
    assert [(person["id"], person["opted_out"]) for person in shown["contacts"]] == [(2, True), (1, False)]


@pytest.mark.parametrize("number", [3, 99])
def test_an_erased_or_unknown_contact_is_not_there(cast: Database, number: int) -> None:
    with cast.read() as session:
        with pytest.raises(ContactMissing):
            directory.show(session, number)
        with pytest.raises(ContactMissing):
            directory.addresses_of(session, channel="sms", contact=number)


def test_opting_out_twice_is_opting_out_once_and_keeps_the_first_reason(cast: Database, now: datetime) -> None:
    with cast.write() as session:
        assert directory.opt_out(session, channel="sms", value=P1, reason="来电", now=now).changed
        assert not directory.opt_out(session, channel="sms", value=P1, reason="再来电", now=now).changed
        assert suppressed(session) == [("sms", P1, "来电", "staff")]


def test_opting_in_again_clears_the_list_and_does_nothing_to_others(cast: Database, now: datetime) -> None:
    with cast.write() as session:
        directory.opt_out(session, channel="sms", value=P1, now=now)
        directory.opt_out(session, channel="wechat", value=P1, now=now)
        assert directory.opt_in(session, channel="sms", value=P1).changed
        assert not directory.opt_in(session, channel="sms", value=P1).changed
        assert not directory.opt_in(session, channel="sms", value=P2).changed
        assert suppressed(session) == [("sms", P1, None, None), ("wechat", P1, "opted_out", "staff")]


def test_an_address_is_named_by_itself_or_by_its_contact(cast: Database) -> None:
    with cast.read() as session:
        assert directory.addresses_of(session, channel="sms", value="138 0013 8001") == [("sms", P1)]
        assert directory.addresses_of(session, channel="sms", contact=1) == [("sms", P2)]
        assert directory.addresses_of(session, channel="wechat", contact=2) == [("wechat", "o123456789")]
        assert directory.addresses_of(session, channel="wechat", value=" oABC ") == [("wechat", "oABC")]
        for value in ("", "无", "0574-63000000", "138"):
            with pytest.raises(PhoneWrong):
                directory.addresses_of(session, channel="sms", value=value)
        for channel, contact in (("sms", 4), ("wechat", 1)):
            with pytest.raises(AddressMissing):
                directory.addresses_of(session, channel=channel, contact=contact)
