"""Contacts at the command line: lists come in and go out, people opt out, phones stay masked."""

import csv
import io
import json
import os
import re
import shlex
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from outreach import cli, clock, i18n
from outreach.contacts import importing
from outreach.database.engine import Database
from outreach.links import bindings
from outreach.staff import accounts, audit

HEADINGS = "企业名称,信用代码,镇街,规上,联系人,手机\n"
LIST = HEADINGS + "甲厂,,逍林镇,是,张三,13800138001\n乙厂,,桥头镇,否,李四,\n=丙厂,,桥头镇,,王五,+852 9123 4567\n"
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

    def file(self, text: str = LIST, name: str = "名单.csv") -> str:
        path = self.folder / name
        path.write_text(text, "utf-8")
        return str(path)

    def answer(self) -> Any:
        return json.loads(self.out)

    def acts(self) -> list[tuple[str, str]]:
        database = Database(self.url)
        with database.read() as session:
            found = [(entry.act, entry.subject) for entry in audit.listing(session)]
        database.close()
        return found


@pytest.fixture
def desk(tmp_path: Path, new_sqlite: Callable[[], str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    desk = Desk(tmp_path, new_sqlite(), capsys)
    monkeypatch.setenv("OUTREACH_DATABASE_URL", desk.url)
    monkeypatch.setenv("OUTREACH_LANG", "en")
    monkeypatch.setenv("COLUMNS", "200")
    return desk


@pytest.fixture
def operator(desk: Desk, now: Any) -> tuple[str, ...]:
    """The options with which an operator signs in."""
    database = Database(desk.url)
    with database.write() as session:
        for account, role, town in (("boss", "administrator", ""), ("li", "operator", ""), ("qiao", "operator", "桥头镇")):
            accounts.add(session, account=account, role=role, town=town, password=GOOD, now=now)
    database.close()
    return "--as", "li", "--password-file", desk.file(GOOD, "li.txt")


def test_an_import_that_is_stopped_says_how_far_it_came_and_the_audit_log_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "SLICE", 2)
    rows = desk.file(HEADINGS + "".join(f"第{number}厂,,逍林镇,是,,\n" for number in range(9)))
    commits: list[int] = []

    def press(_session: Session) -> None:
        commits.append(len(commits))
        if len(commits) == 3:
            os.kill(os.getpid(), signal.SIGINT)

    event.listen(Session, "after_commit", press)
    stopped = desk.run("contacts", "import", rows)
    event.remove(Session, "after_commit", press)
    assert (stopped, desk.err.splitlines()[0]) == (130, "Broken off after 5 rows; what stands in them is kept.")
    assert desk.acts() == [("contacts.import", "名单.csv")]
    assert desk.run("contacts", "import", rows) == 0
    assert desk.out == "Rows read 9: added 4, unchanged 5\n"


def test_an_import_says_what_happened_and_the_next_step_and_is_in_the_audit_log(desk: Desk) -> None:
    assert desk.run("contacts", "import", desk.file()) == 0
    assert desk.out == "Rows read 3: added 3\n"
    assert "outreach audience count" in desk.err
    assert desk.acts() == [("contacts.import", "名单.csv")]


def test_figures_are_worded_so_that_one_and_many_read_alike(desk: Desk) -> None:
    plural = re.compile(r"\b1 [a-z]+s\b")
    file = desk.file(HEADINGS + "甲厂,,逍林镇,是,张三,13800138001\n")
    for arguments in (("contacts", "import", file), ("audience", "count", "全部"), ("audience", "save", "all", "全部")):
        assert desk.run(*arguments) == 0
        assert not plural.search(desk.out + desk.err), desk.out


def test_refused_rows_are_no_failure_and_are_counted_by_reason(desk: Desk) -> None:
    assert desk.run("contact", "import", desk.file(LIST + "丁厂,,,,,63000000\n戊厂,123,,,,\n")) == 0
    assert "Rows read 5: added 3, refused 2 (phone 1, credit code 1)" in desk.out
    assert f"Refused rows, with the reasons: {desk.folder / '名单-退回.csv'}" in desk.out
    assert desk.run("contacts", "import", desk.file(LIST + "丁厂,,,,,63000000\n"), "--format", "json") == 0
    assert desk.answer() == {
        "file": str(desk.folder / "名单.csv"),
        "mapping": "enterprises",
        "read": 4,
        "added": 0,
        "updated": 0,
        "unchanged": 3,
        "rejected": 1,
        "reasons": {"phone": 1},
        "rejects": str(desk.folder / "名单-退回.csv"),
        "dry_run": False,
    }


def test_a_rehearsal_says_so_and_leaves_no_trace(desk: Desk) -> None:
    assert desk.run("contacts", "import", desk.file(), "--dry-run") == 0
    assert "A rehearsal: nothing was imported." in desk.out
    assert desk.acts() == []
    assert desk.run("contacts", "list", "--format", "json") == 0
    assert desk.answer() == {"rows": [], "total": 0, "next": None}


def test_a_rehearsal_writes_no_file_unless_it_is_told_where(desk: Desk) -> None:
    file = desk.file(HEADINGS + "甲厂,,,,,63000000\n")
    before = sorted(desk.folder.iterdir())
    assert desk.run("contacts", "import", file, "--dry-run") == 0
    assert "Rows read 1: refused 1 (phone 1)" in desk.out
    assert "--rejects PATH" in desk.out
    assert sorted(desk.folder.iterdir()) == before
    asked = desk.folder / "坏.csv"
    assert desk.run("contacts", "import", file, "--dry-run", "--rejects", str(asked), "--format", "json") == 0
    assert desk.answer()["rejects"] == str(asked)
    assert sorted(desk.folder.iterdir()) == sorted([*before, asked])


def test_the_command_named_after_a_rehearsal_does_what_was_rehearsed(desk: Desk) -> None:
    book = openpyxl.Workbook()
    book.create_sheet("第 2 表").append(["企业名称", "手机"])
    book.worksheets[1].append(["甲厂", "13800138001"])
    path = desk.folder / "一月 名单.xlsx"
    book.save(path)
    assert desk.run("contacts", "import", str(path), "--sheet", "第 2 表", "--mapping", "enterprises", "--dry-run") == 0
    program, *named = shlex.split(desk.err.strip().removeprefix("Next step: "))
    assert (program, *named) == ("outreach", "contacts", "import", str(path), "--mapping", "enterprises", "--sheet", "第 2 表")
    assert desk.run(*named, "--format", "json") == 0
    assert desk.answer()["added"] == 1


def test_a_sheet_with_nothing_but_headings_or_without_any_names_the_other_sheets(desk: Desk) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].append(["企业名称", "手机"])
    for name in ("逍林镇", "桥头镇", "内部"):
        book.create_sheet(name).append(["企业名称", "手机"])
    book.worksheets[3].sheet_state = "hidden"
    path = desk.folder / "名单.xlsx"
    book.save(path)
    assert desk.run("contacts", "import", str(path)) == 0
    assert desk.out.splitlines() == ["No rows beneath the headings.", "Other sheets of this workbook: 逍林镇, 桥头镇. To read one: --sheet S"]
    book.worksheets[0]["A1"].value = "填表说明"
    book.save(path)
    assert desk.run("contacts", "import", str(path)) == 1
    assert "Its other sheets: 逍林镇、桥头镇." in desk.err
    book.worksheets[1].append(["甲厂", "13800138001"])
    book.save(path)
    assert desk.run("contacts", "import", str(path), "--sheet", "逍林镇") == 0
    assert "sheets" not in desk.out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("甲,乙\n1,2\n", "Headings seen: 甲、乙"),
        ("<html>企业名称</html>", "is not a list but a web page"),
    ],
)
def test_a_file_that_cannot_be_read_gets_one_line_that_says_what_to_do(desk: Desk, text: str, said: str) -> None:
    assert desk.run("contacts", "import", desk.file(text, "企业.xls")) == 1
    assert desk.out == ""
    assert desk.err.startswith("error: ")
    assert desk.err.count("\n") == 1
    assert said in desk.err


def test_missing_files_and_unknown_mappings_and_sheets_are_refused(desk: Desk) -> None:
    assert desk.run("contacts", "import", "没有.csv") == 1
    assert desk.run("contacts", "import", desk.file(), "--mapping", "没有") == 1
    assert "There are: enterprises" in desk.err
    assert desk.run("contacts", "import", desk.file(), "--sheet", "表1") == 1
    assert desk.run("contacts", "import") == 2


def test_the_offices_own_mapping_is_found_beside_its_settings(desk: Desk) -> None:
    (desk.folder / "contacts" / "mappings").mkdir(parents=True)
    (desk.folder / "contacts" / "mappings" / "工商.toml").write_text('[columns]\nname = ["字号"]\nphone = ["电话"]\n', "utf-8")
    assert desk.run("contacts", "import", desk.file("字号,电话\n甲厂,13800138001\n"), "--format", "json") == 0
    assert desk.answer()["mapping"] == "工商"


def test_a_list_is_paged_narrowed_and_masked(desk: Desk) -> None:
    desk.run("contacts", "import", desk.file())
    assert desk.run("contacts", "list", "--limit", "2", "--format", "json") == 0
    page = desk.answer()
    assert (len(page["rows"]), page["total"], page["next"]) == (2, 3, "2-2")
    assert page["rows"][0] | {"id": 1, "name": "甲厂", "contact": "张三", "phone": "138****8001", "above_scale": True, "opted_out": False} == page["rows"][0]
    assert desk.run("contacts", "list", "--after", page["next"], "--format", "json") == 0
    assert [row["name"] for row in desk.answer()["rows"]] == ["=丙厂"]
    assert desk.run("contacts", "list", "--where", "镇街 = 桥头镇 and 规上 = 否", "--format", "json") == 0
    assert [row["name"] for row in desk.answer()["rows"]] == ["乙厂"]
    assert desk.run("contacts", "list") == 0
    assert "138****8001" in desk.out
    assert "13800138001" not in desk.out
    assert desk.run("contacts", "list", "--where", "镇街 =") == 1
    assert desk.run("contacts", "list", "--after", "x") == 1


def test_phones_in_full_take_a_sign_in_and_are_written_down(desk: Desk, operator: tuple[str, ...]) -> None:
    desk.run("contacts", "import", desk.file())
    for arguments in (("list",), ("show", "1"), ("export",)):
        assert desk.run("contacts", *arguments, "--unmask") == 1
        assert "account" in desk.err
        assert desk.run("contacts", *arguments, "--unmask", *operator) == 0
        assert "13800138001" in desk.out
    assert desk.acts()[:3] == [("contacts.export", ""), ("contacts.show", "1"), ("contacts.list", "")]


@pytest.mark.parametrize("unmask", [(), ("--unmask",)])
def test_who_signs_in_for_a_town_sees_that_town_only(desk: Desk, operator: tuple[str, ...], unmask: tuple[str, ...]) -> None:
    desk.run("contacts", "import", desk.file())
    signed = ("--as", "qiao", *operator[2:], *unmask)
    for arguments, code in (("list",), 0), (("export",), 0), (("show", "2"), 0), (("show", "1"), 1):
        assert desk.run("contacts", *arguments, *signed) == code
        assert ("乙厂" in desk.out, "甲厂" in desk.out) == (code == 0, False)
    assert desk.err.endswith("error: Account qiao belongs to 桥头镇 and sees 桥头镇 only.\n")
    assert desk.run("contacts", "list", "--where", "镇街 = 逍林镇", *signed, "--format", "json") == 0
    assert (desk.answer()["rows"], desk.answer()["total"]) == ([], 0)
    assert desk.run("audience", "preview", "全部", *signed, "--format", "json") == 0
    assert [row["name"] for row in desk.answer()["rows"]] == ["乙厂", "=丙厂"]
    assert "Only 桥头镇" in desk.err
    assert desk.run("contacts", "list", *operator, "--format", "json") == 0
    assert (desk.answer()["total"], desk.err) == (3, "")
    assert desk.run("contacts", "list", "--as", "qiao") == 1


def test_one_contact_is_shown_for_people_and_as_data(desk: Desk) -> None:
    desk.run("contacts", "import", desk.file())
    assert desk.run("contacts", "show", "1") == 0
    assert "Enterprise: 甲厂" in desk.out
    assert "Phone: 138****8001" in desk.out
    assert desk.run("contacts", "show", "1", "--format", "json") == 0
    assert desk.answer()["contacts"] == [{"id": 1, "contact": "张三", "role": "", "phone": "138****8001", "rank": 0, "opted_out": False}]
    assert desk.run("contacts", "show", "99") == 1
    assert desk.err == "error: There is no contact 99. `outreach contacts list` shows the numbers of those there are.\n"


def test_mobiles_are_eleven_digits_wherever_people_read_them(desk: Desk, operator: tuple[str, ...]) -> None:
    desk.run("contacts", "import", desk.file(LIST + "甲厂,,逍林镇,是,赵六,13800138006\n"))
    for arguments in (("show", "1"), ("list",), ("list", "--format", "csv"), ("export",)):
        assert desk.run("contacts", *arguments, "--unmask", *operator) == 0
        assert "13800138006" in desk.out
        assert "+86138" not in desk.out


def test_every_column_of_a_list_has_a_heading_in_words(desk: Desk) -> None:
    desk.run("contacts", "import", desk.file())
    assert desk.run("contacts", "list", "--format", "csv") == 0
    headings = desk.out.removeprefix("\ufeff").splitlines()[0].split(",")
    assert headings[:3] == ["Contact no.", "Enterprise no.", "Enterprise"]
    assert [heading for heading in headings if "_" in heading] == []


def test_moments_are_the_offices_clock_for_people_and_utc_for_programs(desk: Desk) -> None:
    desk.run("contacts", "import", desk.file())
    desk.run("contacts", "opt-out", "--contact", "1")
    desk.run("audience", "save", "大", "规上")
    for group, people, programs in (("contacts", ("show", "1"), ("json",)), ("audience", ("list",), ("json", "csv"))):
        assert desk.run(group, *people) == 0
        assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d *\n", desk.out), desk.out
        for format in programs:
            assert desk.run(group, *people, "--format", format) == 0
            assert re.search(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\W", desk.out), desk.out


@pytest.mark.parametrize("which", [("--phone", "138 0013 8001"), ("--contact", "1")])
def test_opting_out_and_in_again_is_said_shown_and_written_down_without_the_number(desk: Desk, which: tuple[str, str]) -> None:
    desk.run("contacts", "import", desk.file())
    assert desk.run("contacts", "opt-out", *which, "--reason", "来电要求", "--format", "json") == 0
    assert desk.answer() == {"channel": "sms", "address": "138****8001", "opted_out": True, "changed": True, "also": []}
    assert desk.run("contacts", "opt-out", *which) == 0
    assert desk.out == "138****8001 had opted out before.\n"
    assert desk.run("contacts", "show", "1") == 0
    assert "Opted out: yes" in desk.out
    assert "Reason: 来电要求" in desk.out
    assert desk.run("contacts", "opt-in", *which) == 0
    assert desk.out == "138****8001 may be written to again.\n"
    assert [act for act in desk.acts() if act[0] != "contacts.import"] == [
        ("contacts.opt-in", "138****8001"),
        ("contacts.opt-out", "138****8001"),
        ("contacts.opt-out", "138****8001"),
    ]


@pytest.mark.parametrize("which", [("--phone", "13800138001"), ("--contact", "1")])
def test_whoever_opts_out_is_left_alone_on_every_channel(desk: Desk, which: tuple[str, str]) -> None:
    desk.run("contacts", "import", desk.file())
    database = Database(desk.url)
    with database.write() as session:
        bindings.bind(session, "oAnna_0000000000000000000001", [1], way="conversation", now=clock.now())
    database.close()
    assert desk.run("contacts", "opt-out", *which, "--format", "json") == 0
    answer = desk.answer()
    assert [(one["channel"], one["address"], one["changed"]) for one in (answer, *answer["also"])] == [
        ("sms", "138****8001", True),
        ("wechat", "oAn****0001", True),
    ]
    assert desk.run("contacts", "opt-in", *which, "--channel", "wechat") == 0
    assert desk.out == "oAn****0001 may be written to again.\n"
    assert desk.run("contacts", "opt-in", *which) == 0
    assert desk.out == "138****8001 may be written to again.\noAn****0001 had not opted out.\n"


def test_opting_out_takes_one_address(desk: Desk) -> None:
    assert desk.run("contacts", "opt-out") == 2
    assert desk.run("contacts", "opt-out", "--phone", "13800138001", "--contact", "1") == 2
    assert desk.run("contacts", "opt-out", "--phone", "63000000") == 1
    assert desk.run("contacts", "opt-out", "--contact", "1") == 1
    assert desk.run("contacts", "opt-out", "--channel", "fax", "--phone", "13800138001") == 2
    assert desk.run("contacts", "opt-out", "--channel", "wechat", "--phone", "oABCDEFGHIJKLMN") == 0


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_an_export_is_a_list_that_changes_nothing_when_it_is_imported(desk: Desk, operator: tuple[str, ...], ending: str, lang: str) -> None:
    desk.run("contacts", "import", desk.file())
    out = desk.folder / f"导出.{ending}"
    assert desk.run("contacts", "export", "--unmask", "--out", str(out), "--lang", lang, *operator) == 0
    i18n.use("en")
    if ending == "csv":
        rows = list(csv.reader(io.StringIO(out.read_text("utf-8-sig"), newline="")))
    else:
        rows = [[str(cell) if cell is not None else "" for cell in row] for row in openpyxl.load_workbook(out).worksheets[0].iter_rows(values_only=True)]
    assert [row[7] for row in rows] == ["规上", "是", "否", ""]
    assert [row[15] for row in rows] == ["拒收", "否", "否", "否"]
    assert [row[11] for row in rows] == ["手机", "13800138001", "", "'+85291234567" if ending == "csv" else "+85291234567"]
    assert desk.run("contacts", "import", str(out), "--format", "json") == 0
    assert (desk.answer()["read"], desk.answer()["unchanged"]) == (3, 3)


def test_a_masked_export_cannot_overwrite_what_is_known(desk: Desk) -> None:
    desk.run("contacts", "import", desk.file())
    out = desk.folder / "导出.csv"
    assert desk.run("contacts", "export", "--where", "联系人 = 张三", "--out", str(out)) == 0
    assert desk.run("contacts", "import", str(out), "--format", "json") == 0
    assert desk.answer()["reasons"] == {"phone": 1}


def test_an_export_is_no_json_and_says_where_it_cannot_write(desk: Desk) -> None:
    assert desk.run("contacts", "export", "--format", "json") == 2
    assert desk.run("contacts", "export", "--out", str(desk.folder / "没有" / "导出.csv")) == 1
    assert desk.err.startswith("error: The file")
