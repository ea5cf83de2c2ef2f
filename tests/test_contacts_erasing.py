"""Erasing a person: nothing that names him is left in any table, what he signed still counts, and the evidence still verifies."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from databases import Databases
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from signers import AT, NAME, PHONE, Signers
from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from outreach import cli
from outreach.contacts import directory, erasing
from outreach.contacts.directory import ContactMissing
from outreach.contacts.erasing import Erased, MessageUnderWay
from outreach.database.engine import Database
from outreach.database.pledge_tables import EvidencePersonal, Scan, SealedPdf, Signature
from outreach.database.tables import Address, Base, Contact, Delivery, MessageText, Recipient, RecipientContact, Reply
from outreach.pledges import corrections, sealing, signing
from outreach.pledges import erasing as pledges
from outreach.pledges.corrections import CorrectionRequest
from outreach.pledges.evidence import Entry
from outreach.pledges.signing import DeclineRequest
from outreach.staff import accounts, audit

LATER = AT + timedelta(days=1)
GOOD = "correct horse battery"


@pytest.fixture
def office(database: Database) -> Signers:
    return Signers(database).found()


def erase(office: Signers, number: int = 0) -> Erased:
    """Erase one contact, as the command does."""
    with office.database.write() as session:
        pledges.erase(session, office.contacts[number], by="alice", now=LATER)
        return erasing.erase(session, office.contacts[number], now=LATER)


def traces(office: Signers, *words: str) -> set[str]:
    """Say in which tables a word still stands, whatever the column."""
    found = set()
    with office.database.read() as session:
        for table in Base.metadata.sorted_tables:
            for row in session.execute(select(table)):
                text = json.dumps([value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in row], default=str, ensure_ascii=False)
                found |= {table.name for word in words if word in text}
    return found


def queue(session: Session, office: Signers, state: str = "queued", **values: Any) -> int:
    """Queue a message to the first contact's phone, and return its delivery."""
    text_id = session.scalar(select(MessageText.id)) or _new(session, MessageText, digest="x", name="sms/x", source="x", signature="x")
    address = session.scalar(select(Address.id).where(Address.value == PHONE)) or _new(session, Address, channel="sms", value=PHONE)
    known = {"channel": "sms", "address_id": address, "text_id": text_id, "state": state, "segments": 1, "due_at": AT}
    return _new(session, Delivery, **known | values)


def _new(session: Session, table: type[Base], **values: Any) -> int:
    return int(session.execute(insert(table).values(**values).returning(table.__table__.c.id)).scalar_one())


@pytest.fixture
def busy(office: Signers) -> Signers:
    """The first contact signed by hand and on paper, withdrew and said why, declined, corrected, replied, and was written to."""
    serial = office.sign(0)
    with office.database.write() as session:
        signing.withdraw(session, serial, reason=f"{NAME}离职了", by="signer", now=AT + timedelta(hours=1))
        known = {"version_id": office.version, "way": "link", "at": AT + timedelta(hours=2), "contact_id": office.contacts[0]}
        declined = DeclineRequest(enterprise_ids=[office.enterprises[0]], recipient_id=office.recipients[0], reason=f"问{NAME}", **known)
        signing.decline(session, [declined])
        told = CorrectionRequest(recipient_id=office.recipients[0], kind="new_number", detail=f"{NAME} 13800138000", way="link", at=AT)
        corrections.correct(session, [told])
        address = {"delivered": {"contact_id": office.contacts[0], "recipient_id": office.recipients[0], "campaign_id": office.campaign, "contact_revision": 1}}
        queue(session, office, "delivered", **address["delivered"])
        queue(session, office, purpose="confirmation:1", fields={"contact": NAME, "serial": serial, "again": f"{NAME}，{PHONE}"})
        session.execute(insert(Reply).values(channel="sms", reference="SM1", sender=PHONE, body=f"我是{NAME}", received_at=AT))
    office.sign(0, at=AT + timedelta(hours=3), method="paper", way="paper", recorded_by="alice")
    paper = {"name": f"{NAME}.png", "kind": "image/png", "content": NAME.encode(), "recorded_by": "alice", "recorded_at": AT, "digest": "0" * 64}
    office.write(insert(Scan).values(id=1, signature_id=2, **paper))
    told = {"serial": "2026-000002", "scan": "0" * 64, "by": "alice"}
    added = Entry(act="scan_added", at=AT, enterprise_id=office.enterprises[0], recipient_id=None, signature_id=2, facts=told)
    with office.database.write() as session:
        sealing.append(session, [added])
    office.write(insert(SealedPdf).values(signature_id=2, content=NAME.encode(), digest="1" * 64, made_at=AT, sealed=False))
    office.sign(1, signer="李1")
    office.close()
    return office


def test_nothing_that_names_the_person_is_left_in_any_table(busy: Signers) -> None:
    assert {"contact", "recipient", "recipient_contact", "signature", "evidence_personal", "refusal", "correction"} <= traces(busy, NAME, PHONE[3:])
    assert {"scan", "sealed_pdf", "delivery", "reply", "campaign", "address"} <= traces(busy, NAME, PHONE[3:])
    done = erase(busy)
    assert (done.changed, done.kept, done.others) == (True, 0, [])
    assert traces(busy, NAME, PHONE[3:]) == set()


def test_what_was_signed_stands_and_counts_and_the_evidence_still_verifies(busy: Signers) -> None:
    before = busy.rows("select id, serial, enterprise, state, capacity, way from signature order by id")
    chain = busy.rows("select * from evidence order by id")
    blocks = busy.rows("select * from evidence_block")
    erase(busy)
    assert busy.rows("select id, serial, enterprise, state, capacity, way from signature order by id") == before
    assert busy.rows("select * from evidence order by id")[: len(chain)] == chain
    assert busy.rows("select * from evidence_block") == blocks
    assert [row.act for row in busy.rows("select act from evidence order by id")[len(chain) :]] == ["erased"] * 4  # two signatures, a refusal, a correction
    assert busy.faults() == []
    busy.close(minutes=9)
    assert busy.faults() == []
    with busy.database.read() as session:
        other = session.execute(select(Signature).where(Signature.enterprise_id == busy.enterprises[1])).scalar_one()
        assert (other.signer, bool(other.ink)) == ("李1", True)


def test_erasing_twice_changes_nothing_more(busy: Signers) -> None:
    erase(busy)
    rows = busy.rows("select * from evidence order by id")
    assert erase(busy) == Erased(busy.contacts[0], busy.enterprises[0], changed=False)
    assert busy.rows("select * from evidence order by id") == rows
    assert busy.rows("select revision from contact where id = 1")[0].revision == 2


def test_one_who_never_signed_is_erased_and_that_is_evidence_too(office: Signers) -> None:
    erase(office)
    row = office.rows("select act, enterprise_id, signature_id from evidence")
    assert [tuple(one) for one in row] == [("erased", office.enterprises[0], None)]
    assert traces(office, NAME, PHONE[3:]) == set()
    assert office.faults() == []


def test_the_directory_and_audiences_know_an_erased_contact_no_more(office: Signers) -> None:
    erase(office)
    with office.database.read() as session:
        assert [row["id"] for row in directory.listing(session).rows] == [None, *office.contacts[1:]]
        with pytest.raises(ContactMissing):
            directory.show(session, office.contacts[0])


def test_a_number_that_opted_out_stays_on_the_list_and_stands_nowhere_else(busy: Signers) -> None:
    with busy.database.write() as session:
        directory.opt_out(session, channel="sms", value=PHONE, now=AT)
    assert erase(busy).kept == 1
    assert traces(busy, NAME, PHONE[3:]) == {"address"}
    with busy.database.write() as session:
        assert not directory.opt_out(session, channel="sms", value=PHONE, now=LATER).changed


def test_a_number_that_another_contact_has_stays_his(office: Signers) -> None:
    office.write(update(Contact).where(Contact.id == office.contacts[1]).values(phone=PHONE))
    office.write(insert(Address).values(channel="sms", value=PHONE))
    assert erase(office).others == [office.contacts[1]]
    assert [row.value for row in office.rows("select value from address")] == [PHONE]
    assert traces(office, NAME) == set()


def test_what_waits_to_be_sent_to_him_is_skipped(office: Signers) -> None:
    with office.database.write() as session:
        known = {"contact_id": office.contacts[0], "recipient_id": office.recipients[0], "campaign_id": office.campaign, "contact_revision": 1}
        queue(session, office, **known)
        queue(session, office, purpose="confirmation:1", fields={})
    erase(office)
    assert {(row.state, row.reason) for row in office.rows("select state, reason from delivery")} == {("skipped", "erased")}


@pytest.mark.parametrize("state", ["sending", "unknown", "review"])
def test_nobody_is_erased_while_a_message_to_him_is_under_way(office: Signers, state: str) -> None:
    with office.database.write() as session:
        queue(session, office, state, contact_id=office.contacts[0], recipient_id=office.recipients[0], campaign_id=office.campaign, contact_revision=1)
    office.sign(0)
    with pytest.raises(MessageUnderWay):
        erase(office)
    assert office.signature("2026-000001").signer == NAME
    assert office.faults() == []


def test_two_of_one_enterprise_can_be_erased(office: Signers) -> None:
    stamps = {"created_at": AT, "updated_at": AT}
    office.write(insert(Contact).values(id=77, enterprise_id=office.enterprises[0], name="赵六", phone="+8613800138099", **stamps))
    office.contacts.append(77)
    erase(office, 0)
    erase(office, 3)
    assert traces(office, NAME, "赵六", "13800138099") == set()


def test_the_name_of_an_enterprise_and_of_others_stays_in_the_frozen_fields(office: Signers) -> None:
    erase(office)
    with office.database.read() as session:
        fields = session.scalars(select(Recipient.fields).order_by(Recipient.id)).all()
        names = session.execute(select(RecipientContact.name, RecipientContact.phone).order_by(RecipientContact.recipient_id)).all()
    assert [field["contact"] for field in fields] == ["负责人", "李1", "李2"]
    assert [field["enterprise"] for field in fields] == ["第0鞋业有限公司", "第1鞋业有限公司", "第2鞋业有限公司"]
    assert [field["code"] for field in fields] == office.codes
    assert [tuple(row) for row in names[:1]] == [("", "")]


@given(st.data())
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_of_the_signers_erased_in_any_order_the_rest_still_verifies(databases: Databases, data: st.DataObject) -> None:
    office = Signers(databases.empty("postgresql")).found(4)
    for number in range(4):
        office.sign(number, signer=f"签{number}")
        if data.draw(st.booleans()):
            office.close()
    gone = data.draw(st.lists(st.sampled_from(range(4)), unique=True))
    for number in gone:
        erase(office, number)
        if data.draw(st.booleans()):
            office.close()
    assert office.faults() == []
    assert [bool(row.signer) for row in office.rows("select signer from signature order by id")] == [number not in gone for number in range(4)]
    kept = set(range(4)) - set(gone)
    if kept:
        lost = min(kept)
        office.write(delete(EvidencePersonal).where(EvidencePersonal.contact_id == office.contacts[lost]))
        assert "personal_missing" in {what for what, _where in office.faults()}


def test_nothing_of_him_is_left_in_the_free_space_of_the_file(new_sqlite: Callable[[], str]) -> None:
    url = new_sqlite()
    with closing(Database(url)) as database:
        office = Signers(database).found()
        office.sign(0, ink=[[[place, 7, place] for place in range(600)]])
    path = Path(url.removeprefix("sqlite:///"))
    assert NAME.encode() in path.read_bytes()
    with closing(Database(url)) as database:
        erase(Signers(database, contacts=office.contacts))
    for word in (NAME, PHONE, "203.0.113.9", "[599,7,599]"):
        assert word.encode() not in path.read_bytes()


# the command


@pytest.fixture
def desk(tmp_path: Path, new_sqlite: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Signers]:
    """An office with accounts: li may erase, wang may only look, qiao is of another town."""
    with closing(Database(new_sqlite())) as database:
        office = Signers(database).found()
        with database.write() as session:
            for account, role, town in (("boss", "administrator", ""), ("li", "operator", ""), ("wang", "viewer", ""), ("qiao", "operator", "逍林镇")):
                accounts.add(session, account=account, role=role, town=town, password=GOOD, now=AT)
        (tmp_path / "word").write_text(GOOD)
        monkeypatch.setenv("OUTREACH_HOME", str(tmp_path))
        monkeypatch.setenv("OUTREACH_DATABASE_URL", database.url)
        monkeypatch.setenv("OUTREACH_LANG", "en")
        monkeypatch.setenv("OUTREACH_STAFF_PASSWORD_FILE", str(tmp_path / "word"))
        yield office


def test_the_command_erases_answers_and_is_in_the_audit_log(desk: Signers, capsys: pytest.CaptureFixture[str]) -> None:
    serial = desk.sign(0)
    assert cli.run(["contacts", "erase", "--contact", "1", "--yes", "--as", "li", "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer == {
        "contact": 1,
        "changed": True,
        "signatures": [serial],
        "evidence_rows": 1,
        "scans": 0,
        "suppressed_addresses_kept": 0,
        "same_phone": [],
        "printed_batches": [],
    }
    assert cli.run(["contacts", "erase", "--contact", "1", "--yes", "--as", "li"]) == 0
    assert "was erased before" in capsys.readouterr().out
    with desk.database.read() as session:
        acts = [(entry.actor, entry.act, entry.subject, entry.detail["signatures"]) for entry in audit.listing(session)]
    assert acts == [("li", "contacts.erase", "1", [serial])] * 2
    assert traces(desk, NAME, PHONE[3:]) == set()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--contact", "1", "--yes"], 1, "account"),
        (["--contact", "1", "--yes", "--as", "wang"], 1, "operator"),
        (["--contact", "1", "--yes", "--as", "qiao"], 1, "逍林镇"),
        (["--contact", "99", "--yes", "--as", "li"], 1, "no contact 99"),
        (["--contact", "1", "--as", "li"], 2, "--yes"),
        (["--yes", "--as", "li"], 2, "--contact"),
        (["--contact", "1", "--yes", "--as", "li", "--format", "csv"], 2, "csv"),
    ],
)
def test_the_command_refuses_whom_it_must(desk: Signers, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str) -> None:
    assert cli.run(["contacts", "erase", *arguments]) == code
    assert said in capsys.readouterr().err
    assert desk.rows("select name from contact where id = 1")[0].name == NAME
    assert desk.rows("select 1 from evidence") == []
