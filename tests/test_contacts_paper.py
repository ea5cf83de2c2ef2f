"""What paper knows of enterprises and people: no letters where one came back or none is wanted, and nobody's name after he was erased."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from outreach import cli, clock
from outreach.contacts import directory, erasing, postal
from outreach.contacts.directory import AddressMissing, EnterpriseMissing, NowhereToWrite
from outreach.contacts.importing import import_file
from outreach.database.paper_tables import Letter, PrintBatch, PrintChunk, VisitResult, VisitTask
from outreach.database.tables import Address, Contact, Enterprise
from outreach.outbox import carried, states
from outreach.staff import accounts

from drive import Office, phone  # isort: skip

LETTER = [{"channel": "letter", "template": "letter/open-letter"}]
ROAD = "示例路{number}号"
PDF = "%PDF 王1"
GOOD = "correct horse battery"


def housed(desk: Office, count: int = 1, **keys: Any) -> list[int]:
    """Found enterprises that have addresses."""
    ids = desk.enterprises(count, **keys)
    for number in ids:
        desk.write(update(Enterprise).where(Enterprise.id == number).values(address=ROAD.format(number=number)))
    return ids


def printed(desk: Office) -> None:
    """Print what is queued in one batch, as it stands once its first part is set and its second is being set."""
    now = clock.now()
    rows = [row for row in desk.deliveries() if row.channel == "letter" and row.state == "queued"]
    spoken = {row.id: row for row in desk.rows(Enterprise)}
    with desk.database.write() as session:
        batch = {"campaign_id": rows[0].campaign_id, "step": 1, "occurrence": 1, "text_id": rows[0].text_id, "made_at": now, "made_by": "alice"}
        number = session.execute(insert(PrintBatch).values(**batch, enclosures=[]).returning(PrintBatch.id)).scalar_one()
        session.execute(insert(PrintChunk).values(batch_id=number, number=1, content=PDF.encode(), digest="d"))
        session.execute(insert(PrintChunk).values(batch_id=number, number=2, lease_until=now))
        for place, row in enumerate(rows, 1):
            one = spoken[sorted(spoken)[place - 1]]
            letter = {"delivery_id": row.id, "batch_id": number, "chunk": place, "place": place, "enterprise_id": one.id}
            session.execute(insert(Letter).values(**letter, enterprise=one.name, person=f"王{place}", address=one.address))


def visited(desk: Office, enterprise: int, **detail: str) -> None:
    now = clock.now()
    known = {"enterprise_id": enterprise, "result": "met", "visitor": "赵六", "visited_on": now, "recorded_at": now, "recorded_by": "alice"}
    desk.write(insert(VisitResult).values(**known, detail=detail, fingerprint=f"{enterprise}{detail}"))


def test_an_enterprise_that_wants_no_letters_gets_none_and_its_neighbour_does(desk: Office) -> None:
    one, other = housed(desk, 2)
    desk.write(update(Enterprise).where(Enterprise.id == other).values(address=ROAD.format(number=one)))
    with desk.database.write() as session:
        [(channel, value)] = directory.addresses_of_enterprise(session, one, channel="letter")
        assert directory.opt_out(session, channel=channel, value=value, reason="来电要求", now=clock.now()).changed
        reached = set(session.scalars(select(Enterprise.id).where(postal.usable())))
    assert reached == {other}
    with desk.database.write() as session:
        assert directory.opt_in(session, channel=channel, value=value).changed
        assert set(session.scalars(select(Enterprise.id).where(postal.usable()))) == {one, other}


def test_the_addresses_of_an_enterprise_are_its_letters_its_phones_and_its_openids(desk: Office) -> None:
    [one] = housed(desk, contacts=2)
    [bare] = desk.enterprises(phones=[""])
    desk.bind(phone(1), "o1")
    with desk.database.read() as session:
        assert directory.addresses_of_enterprise(session, one) == [
            ("letter", f"{ROAD.format(number=one)}\n第1鞋业有限公司"),
            ("sms", phone(1)),
            ("sms", phone(1001)),
            ("wechat", "o1"),
        ]
        person = session.execute(select(Contact.id).where(Contact.enterprise_id == one).limit(1)).scalar_one()
        assert directory.addresses_of(session, contact=person, channel="letter") == directory.addresses_of_enterprise(session, one, channel="letter")
        assert {channel for channel, _value in directory.addresses_of(session, contact=person)} == {"sms", "wechat"}, "who says no by phone gets letters still"
        with pytest.raises(NowhereToWrite, match="letter"):
            directory.addresses_of_enterprise(session, bare)
        with pytest.raises(EnterpriseMissing, match="99"):
            directory.addresses_of_enterprise(session, 99)
        other = session.execute(select(Contact.id).where(Contact.enterprise_id == bare)).scalar_one()
        with pytest.raises(AddressMissing):
            directory.addresses_of(session, contact=other)


def test_an_enterprise_is_shown_with_its_letters_and_why_none_go_there(desk: Office) -> None:
    one, _other = housed(desk, 2)
    desk.launch(steps=LETTER)
    printed(desk)
    [first, _second] = desk.deliveries()
    now = clock.now()
    desk.write(update(Letter).where(Letter.delivery_id == first.id).values(posted_at=now, returned_at=now, returned_reason="moved"))
    back = {"suppressed_at": now, "suppressed_reason": "address", "suppressed_source": "returned"}
    desk.write(update(Address).where(Address.id == first.address_id).values(back))
    with desk.database.read() as session:
        shown = directory.show_enterprise(session, one)
    assert shown["letter_suppressed"] == back
    [letter] = shown["letters"]
    assert (letter["campaign"], letter["batch"], letter["address"], letter["returned_reason"]) == ("drive", 1, ROAD.format(number=one), "moved")
    assert (shown["contact"], len(shown["contacts"])) == ("王1", 1)


def test_an_enterprise_without_contacts_is_shown_too(desk: Office) -> None:
    [one] = housed(desk, contacts=0)
    with desk.database.read() as session:
        shown = directory.show_enterprise(session, one)
    assert (shown["id"], shown["contacts"], shown["letters"], shown["letter_suppressed"]["suppressed_at"]) == (None, [], [], None)


# --- erasing ---


def test_letters_go_on_without_the_name_of_an_erased_person_and_nothing_printed_holds_it(desk: Office) -> None:
    one, _other = housed(desk, 2)
    desk.launch(steps=LETTER)
    printed(desk)
    visited(desk, one, remark="王1说月底签", serial="2026-000001")
    visited(desk, _other, remark="王1的朋友", serial="2026-000002")
    with desk.database.write() as session:
        erasing.erase(session, session.execute(select(Contact.id).where(Contact.enterprise_id == one)).scalar_one(), now=clock.now())
        letters = session.execute(
            select(Letter.person, PrintChunk.content, PrintChunk.digest).join(PrintChunk, PrintChunk.number == Letter.chunk).order_by(Letter.place)
        ).all()
        remarks = list(session.scalars(select(VisitResult.detail).order_by(VisitResult.id)))
    assert [tuple(row) for row in letters] == [("", None, "d"), ("王2", None, None)]
    assert remarks == [{"remark": "", "serial": "2026-000001"}, {"remark": "王1的朋友", "serial": "2026-000002"}]
    assert desk.states() == ["queued", "queued"], "a letter goes to whoever is in charge"
    assert "王1" not in str(desk.recipients()[0].fields)


def test_a_part_that_is_being_set_while_its_person_is_erased_loses_its_lease(desk: Office) -> None:
    _one, other = housed(desk, 2)
    desk.launch(steps=LETTER)
    printed(desk)
    with desk.database.write() as session:
        erasing.erase(session, session.execute(select(Contact.id).where(Contact.enterprise_id == other)).scalar_one(), now=clock.now())
        leases = session.execute(select(PrintChunk.content, PrintChunk.lease_until).order_by(PrintChunk.number)).all()
    assert [tuple(row) for row in leases] == [(PDF.encode(), None), (None, None)]


def test_paper_that_bears_the_name_and_lies_here_still_is_named(desk: Office, at: Any, tmp_path: Path) -> None:
    one, other = housed(desk, 2)
    desk.launch(steps=LETTER)
    printed(desk)
    with desk.database.write() as session:
        carried.accept(session, [desk.deliveries()[0].id], now=clock.now())
        people = list(session.scalars(select(Contact.id).where(Contact.enterprise_id.in_((one, other))).order_by(Contact.id)))
        accounts.add(session, account="alice", role="administrator", password=GOOD, now=clock.now())
    (tmp_path / "password").write_text(GOOD)
    signed = ("--yes", "--as", "alice", "--password-file", str(tmp_path / "password"))
    code, out, err = at("erase", "--contact", str(people[0]), *signed)
    assert code == 0 and "printed and not posted, in batch 1" in out, err
    document = json.loads(at("erase", "--contact", str(people[1]), *signed, "--format", "json")[1])
    assert (document["changed"], document["printed_batches"]) == (True, [])


def test_what_people_carry_is_what_the_outbox_says() -> None:
    assert erasing.ON_PAPER == states.CARRIED


# --- a list that is imported again ---


def test_a_new_address_or_name_keeps_letters_and_visits_and_opens_the_way_for_letters_again(desk: Office, tmp_path: Path) -> None:
    [one] = housed(desk)
    desk.launch(steps=LETTER)
    printed(desk)
    [delivery] = desk.deliveries()
    desk.write(insert(VisitTask).values(delivery_id=delivery.id, visitor="赵六", issued_at=clock.now(), issued_by="alice"))
    visited(desk, one)
    with desk.database.write() as session:
        directory.opt_out(session, channel="letter", value=postal.written(ROAD.format(number=one), "第1鞋业有限公司"), source="returned", now=clock.now())
    file = tmp_path / "list.csv"
    file.write_text("企业名称,镇街,地址\n第1鞋业有限公司,桥头镇,新路9号\n", "utf-8")
    folders = desk.settings.mapping_folders
    result = import_file(desk.database, file, folders=folders, now=clock.now(), mapping=None, sheet=None, rejects=None, dry_run=False, max_cells=1000)
    assert result.updated == 1
    with desk.database.read() as session:
        assert session.execute(select(Letter.enterprise_id, Letter.address)).one() == (one, ROAD.format(number=one)), "what was printed stays as printed"
        assert list(session.scalars(select(VisitResult.enterprise_id))) == [one]
        assert list(session.scalars(select(VisitTask.visitor))) == ["赵六"]
        assert list(session.scalars(select(Enterprise.id).where(postal.usable()))) == [one]


# --- at the command line ---


@pytest.fixture
def at(desk: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setenv("OUTREACH_LANG", "en")
    monkeypatch.setenv("OUTREACH_DATABASE_URL", desk.database.url)

    def command(*arguments: str) -> tuple[int, str, str]:
        return cli.run(["--home", str(tmp_path), "contacts", *arguments]), *capsys.readouterr()

    return command


def test_letters_are_refused_shown_and_wanted_again_at_the_command_line(desk: Office, at: Any) -> None:
    [one] = housed(desk)
    which = ("--enterprise", str(one))
    code, out, err = at("opt-out", *which, "--channel", "letter")
    assert (code, out) == (0, f"{ROAD.format(number=one)}, 第1鞋业有限公司 will not be written to any more.\n"), err
    code, out, _err = at("show", *which)
    assert code == 0 and "No letters to this address since" in out and "said no" in out
    code, out, _err = at("opt-in", *which, "--format", "json")
    document = json.loads(out)
    assert (code, document["channel"], document["changed"]) == (0, "letter", True)
    assert [(one["channel"], one["address"], one["changed"]) for one in document["also"]] == [("sms", "138****0001", False)]
    shown = json.loads(at("show", *which, "--format", "json")[1])
    assert (shown["letters"], shown["letter_suppressed"]["suppressed_at"], shown["phone"]) == ([], None, "138****0001")


def test_which_address_is_meant_must_be_clear(desk: Office, at: Any) -> None:
    [one] = housed(desk)
    for arguments, exit_code, said in (
        (("opt-out",), 2, "--enterprise"),
        (("opt-out", "--enterprise", str(one), "--contact", "1"), 2, "Give one of"),
        (("opt-out", "--phone", "13800000001", "--channel", "letter"), 2, "no letters"),
        (("opt-out", "--enterprise", "99"), 1, "no enterprise 99"),
        (("show",), 2, "--enterprise"),
        (("show", "1", "--enterprise", str(one)), 2, "--enterprise"),
        (("show", "--enterprise", "99"), 1, "no enterprise 99"),
    ):
        code, out, err = at(*arguments)
        assert (code, out) == (exit_code, ""), arguments
        assert said in err and len(err.strip().splitlines()) == 1, err


def test_staff_of_a_town_change_nothing_elsewhere(desk: Office, at: Any, tmp_path: Path) -> None:
    [one] = housed(desk)
    password = tmp_path / "password"
    password.write_text(GOOD)
    with desk.database.write() as session:
        for account, role, town in (("alice", "administrator", ""), ("carol", "operator", "观海卫镇")):
            accounts.add(session, account=account, role=role, password=GOOD, town=town, now=clock.now())
    signed = ("--as", "carol", "--password-file", str(password))
    for verb in ("opt-out", "opt-in", "show"):
        code, out, err = at(verb, "--enterprise", str(one), *signed)
        assert (code, out) == (1, "") and "观海卫镇" in err
    assert not [row for row in desk.rows(Address) if row.suppressed_at]
