"""Signatures are found page by page, by serial and by code, with all that happened; phones stay hidden, and a town sees its own."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from outreach import cli, i18n
from outreach.database.engine import Database
from outreach.database.pledge_tables import SIGNATURE_STATES, WAYS
from outreach.database.tables import Enterprise
from outreach.pledges import directory, sealing, signing
from outreach.pledges.corrections import CorrectionRequest, correct
from outreach.pledges.signing import DeclineRequest, SignRequest
from outreach.staff import accounts

from answers import NEW, OLD, write_answers  # isort: skip
from conftest import NOON  # isort: skip
from crowd import crowd, write  # isort: skip

PASSWORD = "木棉花开-2026-春"
CODE = "7K3M9P"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def office(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An office in production with enterprises of every history, of either kind, in which no test leaves anything."""
    make: Callable[[], str] = request.getfixturevalue(f"new_{request.param}")
    with closing(Database(make())) as database:
        with database.write() as session:
            write(session, crowd(110))
            write_answers(session)
            for account, role, town in (("alice", "administrator", ""), ("carol", "operator", "逍林镇")):
                accounts.add(session, account=account, role=role, password=PASSWORD, town=town, phone="", now=NOON)
        yield database


PLAIN = "select count(*) from signature s join enterprise e on e.id = s.enterprise_id join campaign c on c.id = s.campaign_id where c.mode = 'production'"
CHOICES: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    *(({"state": state}, f"and s.state = '{state}'") for state in SIGNATURE_STATES),
    *(({"way": way}, f"and s.way = '{way}'") for way in WAYS),
    ({"pledge": OLD}, f"and s.pledge = '{OLD}'"),
    ({"town": "桥头镇", "state": "signed"}, "and e.town = '桥头镇' and s.state = 'signed'"),
    ({"campaign": "second"}, f"and c.name = 'second' and s.pledge = '{NEW}'"),
    ({"enterprises": select(Enterprise.id).where(Enterprise.scale == "规上")}, "and e.scale = '规上'"),
]


@pytest.mark.parametrize(("which", "plain"), CHOICES)
def test_the_list_holds_what_plain_sql_counts_and_pages_lose_nobody(office: Database, which: dict[str, Any], plain: str) -> None:
    with office.read() as session:
        everybody = list(directory.rows(session, **which))
        page = directory.listing(session, limit=29, **which)
        paged = [*page.rows]
        while page.next is not None:
            page = directory.listing(session, limit=29, after=page.next, **which)
            paged += page.rows
        assert len(everybody) == page.total == session.scalar(text(f"{PLAIN} {plain}")) > 0
    assert paged == everybody
    assert set(everybody[0]) == {"id", *directory.LISTED}


def test_a_code_and_a_serial_show_all_that_happened(database: Database) -> None:
    def at(minutes: int) -> Any:
        return NOON + timedelta(minutes=minutes)

    with database.write() as session:
        write(session, crowd(12))
        write_answers(session)
        for table in ("scan", "correction", "refusal", "signature"):
            session.execute(text(f"delete from {table}"))
        recipient, campaign = session.execute(text("select r.id, r.campaign_id from recipient r order by r.id")).first() or (0, 0)
        session.execute(text("update recipient set code = :code, opened_at = null where id = :id"), {"code": CODE, "id": recipient})
        own = list(session.scalars(text(f"select enterprise_id from recipient_enterprise where recipient_id = {recipient} order by 1")))
        who: dict[str, Any] = {"enterprise_ids": own, "recipient_id": recipient, "campaign_id": campaign, "way": "link"}
        person: dict[str, Any] = {"method": "typed", "signer": "张建国", "capacity": "principal"}
        signing.opened(session, [recipient], now=at(0))
        signing.decline(session, [DeclineRequest(**who, version_id=2, reason="再考虑，请打139-1111-2222", at=at(1))])
        ((first, *_others),) = signing.sign(session, [SignRequest(**who, **person, version_id=2, at=at(2))])
        correct(session, [CorrectionRequest(recipient_id=recipient, kind="new_number", detail="", way="link", at=at(3))])
        signing.withdraw(session, first.serial, reason="情况有变", by="signer", now=at(4))
        sealing.close_block(session, now=at(5))
    with database.read() as session:
        by_code, by_serial = directory.show(session, CODE[:3].lower() + "-" + CODE[3:]), directory.show(session, first.serial)
        with pytest.raises(directory.PledgeMissing):
            directory.show(session, "2026-999999")
    assert [one["id"] for one in by_code["enterprises"]] == own
    (alone,) = by_serial["enterprises"]
    assert alone == by_code["enterprises"][0]
    (signature,), (refusal,) = alone["signatures"], alone["refusals"]
    assert (signature["state"], signature["ended_reason"], signature["signer"]) == ("withdrawn", "情况有变", "张建国")
    assert (refusal["reason"], refusal["declined_at"]) == ("再考虑，请打139****2222", at(1))
    assert [(act["at"], act["act"], act["serial"]) for act in by_serial["history"]] == [
        (at(0), "opened", None),
        (at(1), "declined", None),
        (at(2), "signed", first.serial),
        (at(3), "corrected", None),
        (at(4), "withdrawn", first.serial),
    ]
    assert {act["block"] for act in by_code["history"]} == {1}
    assert [said["kind"] for said in by_code["corrections"]] == ["new_number"]
    assert by_code["phone"].startswith("138****")


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(office: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in that office; answer with its exit code, stdout and stderr."""
    (tmp_path / "password").write_text(PASSWORD, "utf-8")
    for key, value in (("DATABASE_URL", office.url), ("HOME", str(tmp_path)), ("MODE", "production"), ("STAFF_PASSWORD_FILE", str(tmp_path / "password"))):
        monkeypatch.setenv(f"OUTREACH_{key}", value)

    def answered(*arguments: str) -> tuple[int, str, str]:
        code = cli.run([*arguments, "--lang", "en"])
        captured = capsys.readouterr()
        i18n.use("en")
        return code, captured.out, captured.err

    return answered


def test_signatures_are_listed_and_shown_at_the_command_line(run: Run) -> None:
    words = ("pledges", "list", "--campaign", "second", "--state", "withdrawn", "--where", "规模 = 规上")
    code, out, err = run(*words, "--limit", "2", "--format", "json")
    assert (code, err) == (0, "")
    page = json.loads(out)
    assert list(page) == ["rows", "total", "next"]
    whole = json.loads(run(*words, "--format", "json")[1])["rows"]
    assert whole == page["rows"] + json.loads(run(*words, "--after", str(page["next"]), "--format", "json")[1])["rows"]
    code, out, err = run(*words, "--limit", "2")
    assert "withdrawn" in out and page["rows"][0]["serial"] in out
    assert f"--limit 2 --after {page['next']}" in err
    code, out, err = run("pledges", "show", page["rows"][0]["serial"])
    assert (code, err) == (0, f"Next step: outreach pledges pdf {page['rows'][0]['serial']}\n")
    assert "; ended 2026-01-1" in out
    shown = json.loads(run("pledges", "show", page["rows"][0]["serial"], "--format", "json")[1])
    assert shown["enterprises"][0]["signatures"][0]["signed_at"].endswith("Z")


def test_a_town_sees_its_own_signatures_only(run: Run, office: Database) -> None:
    code, out, err = run("pledges", "list", "--as", "carol", "--format", "json")
    assert code == 0
    assert {row["town"] for row in json.loads(out)["rows"]} == {"逍林镇"}
    assert "Only 逍林镇" in err
    with office.read() as session:
        other = session.scalar(text("select s.serial from signature s join enterprise e on e.id = s.enterprise_id where e.town = '桥头镇'"))
    assert run("pledges", "show", str(other), "--as", "carol")[0] == 1
    assert run("pledges", "show", str(other))[0] == 0
    assert run("pledges", "show", "nothing")[0] == 1
