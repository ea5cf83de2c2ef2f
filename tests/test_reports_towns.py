"""The workbooks of the towns hold every enterprise once, can be typed into and read back, and hide what they should."""

import io
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from outreach import cli, i18n
from outreach.database.engine import Database
from outreach.reports import signatures, town_books
from outreach.staff import accounts

from answers import NEW, write_answers  # isort: skip
from conftest import NOON  # isort: skip
from crowd import crowd, write  # isort: skip

PASSWORD = "木棉花开-2026-春"
HOSTILE = {1: "=cmd|' /C calc'!A0", 2: "CON", 3: "甲/乙", 4: "甲:乙", 5: "..", 6: "镇" * 200}
"""Enterprises of the crowd whose town somebody typed with other things in mind."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def office_url(request: pytest.FixtureRequest) -> str:
    """An office in production with some two hundred enterprises of every history, of either kind, for all tests here."""
    make: Callable[[], str] = request.getfixturevalue(f"new_{request.param}")
    url = make()
    with closing(Database(url)) as database, database.write() as session:
        write(session, crowd(110))
        write_answers(session)
        for key, town in HOSTILE.items():
            session.execute(text("update enterprise set town = :town, name = :name where id = :id"), {"id": key, "town": town, "name": f"=SUM({key})"})
        for account, role, town in (("alice", "administrator", ""), ("bob", "viewer", ""), ("carol", "operator", "逍林镇")):
            accounts.add(session, account=account, role=role, password=PASSWORD, town=town, phone="", now=NOON)
    return url


@pytest.fixture
def office(office_url: str) -> Iterator[Database]:
    with closing(Database(office_url)) as database:
        yield database


def opened(town: town_books.Town, *, unmask: bool = False) -> Any:
    stream = io.BytesIO()
    town_books.write(town, stream, unmask=unmask)
    return openpyxl.load_workbook(stream)


def table(sheet: Any) -> list[dict[str, Any]]:
    headings, *rows = sheet.values
    return [dict(zip(headings, row, strict=True)) for row in rows]


def test_the_sheets_of_all_towns_hold_every_enterprise_once(office: Database) -> None:
    with office.read() as session:
        figures = {row["town"]: row for row in signatures.signatures(session, pledge=NEW).rows}
        books = {town.name: (town.figures(), opened(town)) for town in town_books.towns(session, pledge=NEW)}
        everybody = dict(session.execute(text("select id, name from enterprise")).all())
    seen: Counter[str] = Counter()
    for town, (counted, book) in books.items():
        not_signed, signed, refused, wrong = map(table, book.worksheets)
        assert book.sheetnames == ["未签署", "已签署", "拒绝和撤回", "信息有误"]
        assert len(signed) == counted["signed"] == figures[town]["signed"]
        assert len(refused) == counted["refused"] == figures[town]["declined"] + figures[town]["withdrawn"]
        assert len(not_signed) == counted["not_signed"] == counted["enterprises"] - counted["signed"] - counted["refused"]
        assert len(wrong) == counted["corrections"]
        seen.update(row["企业名称"] for rows in (not_signed, signed, refused) for row in rows)
        assert all(everybody[row["企业编号"]] == row["企业名称"] for row in not_signed)
    assert seen == Counter(everybody.values())
    assert sum(counted["corrections"] for counted, _book in books.values()) > 0


def test_whoever_visits_chooses_a_result_and_the_enterprise_is_known_by_a_hidden_number(office: Database) -> None:
    with office.read() as session:
        book = opened(next(town for town in town_books.towns(session) if town.name == "逍林镇"))
    sheet = book.worksheets[0]
    places = {heading.value: heading.column_letter for heading in sheet[1]}
    assert list(places) == list(town_books.HEADINGS.values())
    assert sheet.column_dimensions[places["企业编号"]].hidden
    (validation,) = sheet.data_validations.dataValidation
    assert validation.formula1 == f'"{",".join(town_books.RESULTS.values())}"'
    assert str(validation.sqref) == f"{places['结果']}2:{places['结果']}{sheet.max_row}"
    for row in table(sheet):
        assert [row[heading] for heading in ("走访人", "结果", "新手机", "走访说明")] == [None] * 4


def test_it_is_said_how_each_was_reached_and_what_is_known_of_it(office: Database) -> None:
    with office.read() as session:
        towns = list(town_books.towns(session, pledge=NEW))
        last = dict(
            session.execute(
                text(
                    "select y.enterprise_id, d.state from recipient_enterprise y join delivery d on d.recipient_id = y.recipient_id"
                    " join campaign c on c.id = y.campaign_id where c.mode = 'production'"
                    " and d.id = (select max(x.id) from delivery x where x.recipient_id = y.recipient_id)"
                )
            ).all()
        )
        rows = [row for town in towns for row in table(opened(town).worksheets[0])]
        pending = {row["enterprise"]: row["pending"] for row in signatures.rows(session, column="pending", pledge=NEW)}
    said = {"delivered": "送达", "silent": "已提交未回执", "failed": "失败"}
    for row in rows:
        state = last.get(row["企业编号"])
        assert (row["送达情况"] is None) == (state is None)
        assert said.get(state or "", "") in (row["送达情况"] or "")
        assert row["送达情况"] is None or row["送达情况"].startswith("短信 2026-01-1")
        assert row["是否打开"].startswith(("已打开 2026-01-", "未打开"))
    noted = {row["企业名称"]: row["备注"] for row in rows if row["备注"]}
    assert all(pending[name] in noted[name] for name in noted.keys() & pending.keys())
    assert noted.keys() & pending.keys()


def test_phones_are_masked_unless_asked_for_those_that_people_typed_too(office: Database) -> None:
    with office.read() as session:
        towns = list(town_books.towns(session))
        masked = [row for town in towns for sheet in opened(town).worksheets for row in table(sheet)]
        whole = [row for town in towns for sheet in opened(town, unmask=True).worksheets for row in table(sheet)]
    assert {row["手机"] for row in masked if row.get("手机")} == {f"138****{row['手机'][-4:]}" for row in whole if row.get("手机")}
    assert all(len(row["手机"]) == 11 and row["手机"].isdigit() for row in whole if row.get("手机"))
    assert "13911112222" not in str(masked) and "139 1111 2222" not in str(masked)
    assert "139****2222" in str(masked)
    assert "139 1111 2222" in str(whole) and "13911112222" in str(whole)


@given(st.lists(st.text(st.sampled_from("甲aA.C ON:/\\<\u202e\x00=1 ") | st.characters(codec="utf-8"), max_size=8), max_size=6))
@settings(max_examples=60, deadline=None)
def test_any_towns_get_names_of_their_own_that_windows_takes(names: list[str]) -> None:
    taken = {town_books.STATEMENT.casefold()}
    files = [town_books.file_name(name, taken) for name in names]
    assert len({file.casefold() for file in files}) == len(files)
    for file in files:
        assert not set(file) & set('<>:"/\\|?*\x00\u202e')
        stem = file.removesuffix(".xlsx")
        assert stem == stem.strip(" .") != ""
        assert stem.split(".")[0].upper() not in ("CON", "PRN", "AUX", "NUL", "COM1", "LPT1")
        assert len(file.encode()) < 255


@dataclass
class Answer:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Answer]


@pytest.fixture
def run(office_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in that office, in an empty folder."""
    (tmp_path / "password").write_text(PASSWORD, "utf-8")
    for key, value in (("DATABASE_URL", office_url), ("HOME", str(tmp_path)), ("MODE", "production"), ("STAFF_PASSWORD_FILE", str(tmp_path / "password"))):
        monkeypatch.setenv(f"OUTREACH_{key}", value)
    monkeypatch.chdir(tmp_path)

    def answered(*arguments: str, lang: str = "en") -> Answer:
        code = cli.run([*arguments, "--lang", lang])
        captured = capsys.readouterr()
        i18n.use("en")
        return Answer(code, captured.out, captured.err)

    return answered


def test_a_folder_gets_a_workbook_for_each_town_and_the_statement_of_the_campaign(run: Run, tmp_path: Path) -> None:
    answer = run("report", "towns", "--campaign", "second", "--split", "--out", "各镇街/一月", "--format", "json")
    assert answer.code == 0
    document = answer.document
    files = {path.name for path in (tmp_path / "各镇街" / "一月").iterdir()}
    assert files == {*(row["file"] for row in document["files"]), "宣传任务对账表.xlsx"}
    assert document["statement"] == "宣传任务对账表.xlsx"
    assert all(row["enterprises"] == row["not_signed"] + row["signed"] + row["refused"] for row in document["files"])
    statement = run("campaign", "statement", "second", "--format", "json").document["enterprises"]
    assert sum(row["enterprises"] for row in document["files"]) == statement["selected"]
    book = openpyxl.load_workbook(tmp_path / "各镇街" / "一月" / "宣传任务对账表.xlsx")
    assert book.sheetnames == ["步骤", "企业", "企业名单"]
    assert book["企业名单"].max_row == statement["selected"] + 1
    assert book["企业"].cell(1, 1).value.isascii() is False


def test_results_that_somebody_typed_are_not_written_over_by_the_way(run: Run, tmp_path: Path) -> None:
    words = ("report", "towns", "--split", "--out", "towns")
    first = run(*words)
    assert first.code == 0
    assert "Workbooks in towns: " in first.out
    book = tmp_path / "towns" / "逍林镇.xlsx"
    book.write_bytes(b"typed into")
    again = run(*words)
    assert (again.code, again.out, len(again.err.splitlines())) == (1, "", 1)
    assert "holds workbooks already" in again.err
    assert book.read_bytes() == b"typed into"
    assert run(*words, "--replace").code == 0
    assert book.read_bytes() != b"typed into"
    assert not list((tmp_path / "towns").glob("*.part"))


def test_a_split_that_is_stopped_leaves_no_workbooks_so_that_the_same_command_goes_on(run: Run, tmp_path: Path) -> None:
    words = ("report", "towns", "--split", "--out", "towns")

    def press() -> None:
        while not list(tmp_path.glob("towns/*.xlsx")):
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()
    assert run(*words).code == 130
    assert list((tmp_path / "towns").iterdir()) == []
    assert run(*words).code == 0


def test_whole_phones_take_a_sign_in_and_a_town_sees_its_own_only(run: Run, office: Database) -> None:
    words = ("report", "towns", "--split", "--unmask", "--campaign", "second")
    assert run(*words, "--out", "a").code == run(*words, "--out", "a", "--as", "bob").code == 1
    assert not Path("a").exists()
    assert run(*words, "--out", "b", "--as", "alice").code == 0
    own = run(*words, "--out", "c", "--as", "carol", "--format", "json").document
    assert [row["town"] for row in own["files"]] == ["逍林镇"]
    assert own["statement"] is None
    assert [path.name for path in Path("c").iterdir()] == ["逍林镇.xlsx"]
    with office.read() as session:
        acts = session.execute(text("select actor, subject from audit_entry where act = 'report.unmask'")).all()
    assert {tuple(row) for row in acts} == {("alice", "second"), ("carol", "second")}
    listed = run("report", "signatures", "--rows", "--state", "signed", "--unmask", "--as", "carol", "--format", "json").document
    assert {row["town"] for row in listed["rows"]} == {"逍林镇"}
    assert any(row["phone"].startswith("+86138") for row in listed["rows"])


WRONG = [
    ("report towns --split", 2, "--out DIR"),
    ("report towns --unmask", 2, "--unmask belongs to the workbooks"),
    ("report towns --replace", 2, "--replace belongs to the workbooks"),
    ("report towns --split --out password", 1, "password"),
    ("report towns --split --out d --format csv", 2, "not as csv"),
    ("report towns --campaign nobody", 1, "There is no campaign nobody"),
    ("report signatures --pledge nothing", 1, "no-arrears-2025、no-arrears-2026"),
    ("report signatures --by colour", 2, "town, village"),
    ("report signatures --limit 3", 2, "--limit belongs to a list"),
    ("report signatures --state gone", 2, "gone"),
]


def test_what_is_wrong_is_said_in_one_line(run: Run) -> None:
    for arguments, code, said in WRONG:
        wrong = run(*arguments.split())
        assert (wrong.code, wrong.out) == (code, ""), arguments
        assert len(wrong.err.splitlines()) == 1
        assert said in wrong.err


def test_the_reports_are_data_with_ids_and_tables_with_words(run: Run) -> None:
    league = run("report", "towns", "--format", "json").document
    assert (league["report"], league["by"]) == ("towns", ["town"])
    assert [column["id"] for column in league["columns"]][:5] == ["rank", "town", "enterprises", "signed", "share"]
    figures = run("report", "signatures", "--by", "镇街，方式", "--format", "json", lang="zh").document
    assert (figures["report"], figures["by"]) == ("signatures", ["town", "way"])
    assert figures["totals"]["enterprises"] == league["totals"]["enterprises"]
    assert figures["totals"]["signed"] == league["totals"]["signed"]
    first = run("report", "signatures", "--rows", "--state", "withdrawn", "--limit", "2", "--format", "json").document
    rest = run("report", "signatures", "--rows", "--state", "withdrawn", "--after", str(first["next"]), "--format", "json").document
    assert len(first["rows"]) + len(rest["rows"]) == first["total"] == figures["totals"]["withdrawn"]
    shown = run("report", "signatures", "--by", "way")
    assert "on paper" in shown.out
    assert shown.out.splitlines()[-1].split()[:2] == ["Total", str(league["totals"]["enterprises"])]
    assert shown.err == "Next step: outreach report signatures --rows\n"
