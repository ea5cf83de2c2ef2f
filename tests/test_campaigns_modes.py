"""What was rehearsed is never sent for real, and what only the sandbox said is not believed in production."""

from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from outreach import settings
from outreach.campaigns import approving, launching
from outreach.database.engine import Database
from outreach.database.tables import Address, Campaign, Contact, Delivery, Enterprise, MessageText, Sender
from outreach.database.wechat_tables import Binding, Follower
from outreach.outbox import senders
from outreach.outbox.claim import Rules, claim


@pytest.fixture
def offices(tmp_path):
    rehearsal = settings.load(tmp_path)
    return rehearsal, settings.load(tmp_path, mode="production", twilio_account_sid="AC" + "1" * 32, twilio_auth_token="x")


def test_a_message_queued_in_rehearsal_is_not_claimed_in_production(database: Database, offices, now: datetime) -> None:
    rehearsal, production = offices
    rules = Rules(rehearsal.lease, 0, lambda _pace, moment: moment)
    with database.write() as session:
        rehearsed = senders.store(session, rehearsal)["sms"]
        session.execute(
            insert(MessageText).values(id=1, digest="d", name="sms/x", source='+++\ntitle="x"\nchannel="sms"\nkind="通知"\n+++\n你好', signature="示例")
        )
        session.execute(insert(Address).values(id=1, channel="sms", value="+8613800138000"))
        row = {"purpose": "test:1", "channel": "sms", "sender_id": rehearsed, "address_id": 1, "text_id": 1, "state": "queued", "segments": 1, "due_at": now}
        session.add(Delivery(**row))
    with database.write() as session:
        earnest = senders.store(session, production)["sms"]
        assert earnest != rehearsed
        assert set(senders.ids(session, production)) == {earnest}
        assert claim(session, sender_id=earnest, rules=rules).claimed == ()
        assert [item.message.to for item in claim(session, sender_id=rehearsed, rules=rules).claimed] == ["+8613800138000"]


def test_a_campaign_of_the_rehearsal_is_not_launched_in_production(database: Database, offices, now: datetime) -> None:
    with database.write() as session:
        session.add(
            Campaign(
                name="drive",
                title="t",
                state="running",
                mode="rehearsal",
                definition={},
                fields={},
                inputs={},
                summary={},
                digest="0" * 64,
                planned_by="a",
                planned_at=now,
                launched_at=now,
                approved_at=now,
            )
        )
        session.flush()
        with pytest.raises(approving.OtherMode):
            launching.launch(session, "drive", settings=offices[1], first=None, now=now)


def test_followers_of_the_sandbox_are_nobodys_once_the_real_account_is_there(database: Database, offices, now: datetime, tmp_path: Path) -> None:
    def bound() -> list[str | None]:
        with database.read() as session:
            return list(session.scalars(select(Binding.ended_reason).order_by(Binding.id)))

    real = settings.load(tmp_path, database_url=database.url, mode="production", wechat_app_id="wx1234567890abcdef")
    with database.write() as session:
        enterprise = session.execute(insert(Enterprise).values(name="示例鞋业", created_at=now, updated_at=now).returning(Enterprise.id)).scalar_one()
        contact = {"enterprise_id": enterprise, "name": "王", "phone": "+8613800138000", "created_at": now, "updated_at": now}
        key = session.execute(insert(Contact).values(contact).returning(Contact.id)).scalar_one()
        session.execute(insert(Follower).values(openid="o-sandbox", follows=True))
        session.execute(insert(Binding).values(openid="o-sandbox", contact_id=key, phone="+8613800138000", way="conversation", bound_at=now))
        senders.store(session, offices[0])
    assert bound() == [None]
    with database.write() as session:
        senders.store(session, real)
    assert bound() == ["rehearsal"]
    with database.write() as session:
        session.execute(insert(Binding).values(openid="o-real", contact_id=key, phone="+8613800138000", way="conversation", bound_at=now))
    with database.write() as session:
        senders.store(session, real)
    assert bound() == ["rehearsal", None]


def test_production_forgets_what_only_the_sandbox_said_of_an_address_but_no_word_of_a_person(database: Database, offices, now: datetime) -> None:
    said = {1: ("address", "30005"), 2: ("opted_out", "reply"), 3: ("asked by phone", "staff"), 4: ("opted_out", "21610")}
    with database.write() as session:
        for key, (reason, source) in said.items():
            values = {"id": key, "channel": "sms", "value": f"+86138001380{key:02d}", "suppressed_at": now}
            session.execute(insert(Address).values(**values, suppressed_reason=reason, suppressed_source=source))
        senders.store(session, offices[0])
        assert len(session.scalars(select(Address.id).where(Address.suppressed_at.is_not(None))).all()) == 4
        senders.store(session, offices[1])
        assert sorted(session.scalars(select(Address.id).where(Address.suppressed_at.is_not(None)))) == [2, 3]
        assert set(session.scalars(select(Sender.mode))) == {"production", "rehearsal"}
