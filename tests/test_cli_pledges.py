"""Whoever acts on a signature at the command line does it under the name he signs in with, and only if he may."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from outreach import cli, clock
from outreach.database.engine import Database
from outreach.database.pledge_tables import Correction, Signature
from outreach.database.tables import AuditEntry
from outreach.pledges import corrections
from outreach.pledges.corrections import CorrectionRequest
from outreach.staff import accounts

from drive import Office, office  # isort: skip

PASSWORD = "a long pass phrase"
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Office:
    opened = office(database, tmp_path)
    with database.write() as session:
        for account, role in (("alice", "administrator"), ("vera", "viewer")):
            accounts.add(session, account=account, role=role, password=PASSWORD, town="", phone="", now=clock.now())
    opened.enterprises()
    opened.asking()
    opened.sign(opened.signing(opened.recipients()[0].id))
    (tmp_path / "good").write_text(PASSWORD, "utf-8")
    (tmp_path / "bad").write_text("another one", "utf-8")
    return opened


@pytest.fixture
def run(desk: Office, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("OUTREACH_DATABASE_URL", desk.database.url)

    def command(*arguments: str, signed: tuple[str, str] | None = None) -> tuple[int, str]:
        who = ["--as", signed[0], "--password-file", str(desk.settings.home / signed[1])] if signed else []
        code = cli.run(["--home", str(desk.settings.home), "--lang", "en", *who, "pledges", *arguments])
        said = capsys.readouterr()
        return code, said.out + said.err

    return command


def actors(desk: Office) -> list[str]:
    with desk.database.read() as session:
        return list(session.scalars(select(AuditEntry.actor).where(AuditEntry.act.like("pledges.%")).order_by(AuditEntry.id)))


@pytest.mark.parametrize("signed", [("vera", "good"), ("alice", "bad"), ("nobody", "good")])
def test_a_wrong_password_a_viewer_and_a_stranger_end_and_revoke_nothing(desk: Office, run: Run, signed: tuple[str, str]) -> None:
    [signature], [recipient] = desk.rows(Signature), desk.recipients()
    for arguments in (("withdraw", signature.serial, "--reason", "x"), ("revoke", recipient.code)):
        code, said = run(*arguments, signed=signed)
        assert (code, said.count("\n")) == (1, 1), said
    assert desk.rows(Signature)[0].state == "signed"
    assert desk.recipients()[0].generation == 1
    assert actors(desk) == []


def test_an_act_is_logged_as_the_account_that_signed_in_else_as_the_login_of_the_machine(desk: Office, run: Run) -> None:
    [signature], [recipient] = desk.rows(Signature), desk.recipients()
    assert run("revoke", recipient.code, signed=("alice", "good"))[0] == 0
    assert run("withdraw", signature.serial, "--reason", "签错单位")[0] == 0
    assert run("withdraw", signature.serial, "--reason", "再来")[0] == 1
    first, second = actors(desk)
    assert (first, second[:3]) == ("alice", "os:")


def test_a_code_that_nobody_has_is_said_to_be_unknown(run: Run) -> None:
    code, said = run("revoke", "222222")
    assert (code, "No recipient has the code" in said) == (1, True)


def test_what_is_said_again_in_other_words_or_after_it_was_dealt_with_is_on_the_list_again(desk: Office, run: Run) -> None:
    [recipient] = desk.recipients()

    def say(detail: str) -> None:
        with desk.database.write() as session:
            request = CorrectionRequest(recipient_id=recipient.id, kind="new_number", detail=detail, way="link", at=clock.now())
            corrections.correct(session, [request])

    for detail in ("13800138000", "13800138000", "13955556666"):
        say(detail)
    assert [row.detail for row in desk.rows(Correction)] == ["13800138000", "13955556666"]
    assert run("corrections", "--done", "1")[0] == 0
    say("13800138000")
    code, said = run("corrections", "--format", "json")
    listed = json.loads(said)["rows"]
    assert (code, [row["id"] for row in listed]) == (0, [2, 3])
    assert [row["detail"] for row in listed] == ["139****6666", "138****8000"]
    code, said = run("corrections", "--unmask", "--format", "json", signed=("alice", "good"))
    assert [row["detail"] for row in json.loads(said)["rows"]] == ["13955556666", "13800138000"]
    assert run("corrections", "--unmask", signed=("vera", "good"))[0] == 1
