"""The accounts of the staff at the command line: who may make, change and close them, and what is asked of whom."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from outreach import cli
from outreach.database.engine import Database
from outreach.staff import audit

GOOD = "correct horse battery"


@dataclass
class Desk:
    """A desk with a keyboard: runs commands and keeps what they said."""

    folder: Path
    url: str
    capsys: pytest.CaptureFixture[str]
    out: str = ""
    err: str = ""

    def run(self, *arguments: str) -> int:
        code = cli.run(["--home", str(self.folder), *arguments])
        said = self.capsys.readouterr()
        self.out, self.err = said.out, said.err
        return code

    def secret(self, name: str, password: str = GOOD) -> str:
        path = self.folder / f"{name}.txt"
        path.write_text(password + "\n")
        return str(path)

    def add(self, name: str, role: str, *before: str) -> int:
        return self.run(*before, "staff", "add", name, "--role", role, "--password-file", self.secret(name))

    def answer(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def desk(tmp_path: Path, new_sqlite: Callable[[], str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    desk = Desk(tmp_path, new_sqlite(), capsys)
    monkeypatch.setenv("OUTREACH_DATABASE_URL", desk.url)
    monkeypatch.setenv("OUTREACH_LANG", "en")
    return desk


@pytest.fixture
def boss(desk: Desk) -> tuple[str, ...]:
    """The options with which the administrator signs in."""
    assert desk.add("boss", "administrator") == 0
    return "--as", "boss", "--password-file", desk.secret("boss")


def test_the_first_account_needs_no_sign_in_and_is_an_administrator_whatever_was_asked(desk: Desk) -> None:
    assert desk.add("boss", "viewer") == 0
    assert "boss is there, as administrator" in desk.out
    assert "whatever role was asked for" in desk.err


def test_later_accounts_are_made_by_an_administrator_who_signs_in_before_the_group(desk: Desk, boss: tuple[str, ...]) -> None:
    assert desk.add("li", "viewer") == 1
    assert desk.err.startswith("error: An account and its password are needed")
    assert desk.add("li", "approver", *boss) == 0
    assert desk.add("wang", "viewer", "--as", "li", "--password-file", desk.secret("li")) == 1
    assert "may not do this" in desk.err


def test_the_environment_signs_in_and_the_option_behind_the_verb_is_the_new_accounts(
    desk: Desk, boss: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTREACH_STAFF", boss[1])
    monkeypatch.setenv("OUTREACH_STAFF_PASSWORD_FILE", boss[3])
    desk.secret("li", "another good one")
    assert desk.run("staff", "add", "li", "--role", "viewer", "--password-file", str(desk.folder / "li.txt")) == 0
    assert desk.run("--as", "li", "--password-file", str(desk.folder / "li.txt"), "staff", "password", "li") == 1
    assert desk.err.startswith("error: There is nobody to ask for the password of account li")


def test_the_list_masks_phones_and_names_the_disabled(desk: Desk, boss: tuple[str, ...]) -> None:
    more = ("--town", "逍林镇", "--phone", "138 0013 8000", "--password-file", desk.secret("li"))
    assert desk.run(*boss, "staff", "add", "li", "--role", "operator", *more) == 0
    assert desk.run(*boss, "staff", "disable", "li") == 0
    assert desk.run(*boss, "staff", "list", "--format", "json") == 0
    rows = desk.answer()["rows"]
    assert [row["account"] for row in rows] == ["boss", "li"]
    assert rows[1]["disabled_at"].endswith("Z")
    assert {**rows[1], "disabled_at": ""} == {"account": "li", "role": "operator", "town": "逍林镇", "phone": "138****8000", "disabled_at": ""}
    assert desk.run("--lang", "zh", *boss, "staff", "list") == 0
    assert "经办人" in desk.out


def test_everybody_changes_his_own_password_and_an_administrator_anybodys(desk: Desk, boss: tuple[str, ...]) -> None:
    assert desk.add("li", "viewer", *boss) == desk.add("wang", "viewer", *boss) == 0
    li = ("--as", "li", "--password-file", desk.secret("li"))
    assert desk.run(*li, "staff", "password", "li", "--password-file", desk.secret("new", "another good one")) == 0
    assert desk.run(*li, "staff", "password", "li", "--password-file", desk.secret("new")) == 1
    assert "password is wrong" in desk.err
    li = ("--as", "li", "--password-file", desk.secret("li", "another good one"))
    assert desk.run(*li, "staff", "password", "wang", "--password-file", desk.secret("new")) == 1
    assert desk.run(*boss, "staff", "password", "wang", "--password-file", desk.secret("new", "a third good one")) == 0
    assert desk.run("--as", "wang", "--password-file", desk.secret("new", "a third good one"), "staff", "list") == 1
    assert "may not do this" in desk.err


def test_a_mistake_is_told_in_one_line(desk: Desk, boss: tuple[str, ...]) -> None:
    assert desk.run(*boss, "staff", "add", "li", "--role", "viewer", "--password-file", str(desk.folder / "none")) == 1
    assert desk.err == f"error: The password file {desk.folder / 'none'} cannot be read as text.\n"
    assert desk.run(*boss, "staff", "add", "li", "--role", "viewer", "--phone", "12", "--password-file", desk.secret("li")) == 1
    assert "12 is not a mobile number" in desk.err
    assert desk.run(*boss, "staff", "add", "li", "--role", "king") == 2
    assert desk.run(*boss, "staff", "disable", "nobody") == 1
    assert desk.run(*boss, "staff", "disable", "boss") == 1
    assert "last administrator" in desk.err


def test_each_act_is_in_the_audit_log_without_phones_and_passwords(desk: Desk, boss: tuple[str, ...]) -> None:
    more = ("--phone", "13800138000", "--password-file", desk.secret("li"))
    assert desk.run(*boss, "staff", "add", "li", "--role", "operator", *more) == 0
    assert desk.run(*boss, "staff", "password", "li", "--password-file", desk.secret("li")) == 0
    assert desk.run(*boss, "staff", "disable", "li") == 0
    database = Database(desk.url)
    with database.read() as session:
        entries = audit.listing(session)
    database.close()
    assert [(entry.act, entry.subject) for entry in reversed(entries)] == [
        ("staff.add", "boss"),
        ("staff.add", "li"),
        ("staff.password", "li"),
        ("staff.disable", "li"),
    ]
    assert [entry.actor.startswith("os:") for entry in reversed(entries)] == [True, False, False, False]
    assert "138" not in str([entry.detail for entry in entries]) and GOOD not in str(entries)


def test_at_a_terminal_a_new_password_is_asked_for_twice(desk: Desk) -> None:
    keyboard, terminal = pty.openpty()
    command = [sys.executable, "-m", "outreach", "--home", str(desk.folder), "staff", "add", "boss", "--role", "administrator"]
    process = subprocess.Popen(command, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None and process.stderr is not None
    with process.stdout, process.stderr:
        for question in (b"New password of boss: ", b"Repeat for confirmation: "):
            asked = b""
            while not asked.endswith(question):
                asked += process.stderr.read(1) or pytest.fail(f"said instead: {asked.decode()}")
            os.write(keyboard, GOOD.encode() + b"\n")
        assert b"boss is there" in process.stdout.read()
    assert process.wait() == 0
    os.close(keyboard)
    os.close(terminal)
    assert desk.run("--as", "boss", "--password-file", desk.secret("boss"), "staff", "list") == 0
