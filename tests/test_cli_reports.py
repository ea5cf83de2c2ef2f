"""The reports at the command line: every format, whole files, masked phones, and one line for what is wrong."""

import csv
import io
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from sqlalchemy import text

from outreach import cli, i18n
from outreach.database import bulk, tables
from outreach.database.engine import Database
from outreach.reports import deliveries as messages
from outreach.staff import accounts

from conftest import NOON  # isort: skip
from crowd import crowd, write  # isort: skip

PASSWORD = "木棉花开-2026-春"


@dataclass
class Answer:
    """What a command answered."""

    code: int
    out: bytes
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[list[str]]:
        return list(csv.reader(io.StringIO(self.out.decode("utf-8-sig"), newline="")))


Run = Callable[..., Answer]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def office_url(request: pytest.FixtureRequest) -> str:
    """The database of an office in production with two hundred recipients and three accounts: one of either kind for all tests here."""
    make: Callable[[], str] = request.getfixturevalue(f"new_{request.param}")
    url = make()
    database = Database(url)
    with database.write() as session:
        write(session, crowd(200))
        for account, role, town in (("alice", "administrator", ""), ("bob", "viewer", ""), ("carol", "operator", "逍林镇")):
            accounts.add(session, account=account, role=role, password=PASSWORD, town=town, phone="", now=NOON)
    database.close()
    return url


@pytest.fixture
def run(office_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run a command in that office, in an empty folder."""
    (tmp_path / "password").write_text(PASSWORD, "utf-8")
    monkeypatch.setenv("OUTREACH_DATABASE_URL", office_url)
    monkeypatch.setenv("OUTREACH_HOME", str(tmp_path))
    monkeypatch.setenv("OUTREACH_MODE", "production")
    monkeypatch.setenv("OUTREACH_STAFF_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)

    def answered(*arguments: str, lang: str = "en") -> Answer:
        code = cli.run([*arguments, "--lang", lang])
        captured = capsysbinary.readouterr()
        i18n.use("en")
        return Answer(code, captured.out, captured.err.decode())

    return answered


def test_json_is_the_report_with_ids_whatever_the_language(run: Run) -> None:
    found = run("report", "deliveries", "--by", "state", "--format", "json", lang="zh")
    assert (found.code, found.err) == (0, "")
    document = found.document
    assert list(document) == ["report", "by", "columns", "rows", "totals"]
    assert (document["report"], document["by"]) == ("deliveries", ["state"])
    assert [row["state"] for row in document["rows"]] == list(tables.DELIVERY_STATES)
    assert document["columns"][1]["id"] == "included"
    assert document["totals"]["included"] == sum(row["included"] for row in document["rows"]) > 200


def test_fields_to_group_by_are_known_in_both_languages_and_others_are_refused(run: Run) -> None:
    chinese = run("report", "deliveries", "--by", "镇街，状态,镇街", "--format", "json").document
    assert chinese == run("report", "deliveries", "--by", " town, STATE", "--format", "json").document
    wrong = run("report", "deliveries", "--by", "town,colour")
    assert (wrong.code, wrong.out) == (2, b"")
    assert wrong.err.splitlines() == [f"error: There is no colour to group by; known are: {', '.join(messages.BY)}."]


def test_every_format_holds_the_same_figures(run: Run, tmp_path: Path) -> None:
    words = ("report", "deliveries", "--by", "town,error")
    document = run(*words, "--format", "json").document
    ids = [column["id"] for column in document["columns"]]
    plain = [["" if row[key] is None else str(row[key]) for key in ids] for row in document["rows"]]
    kinds = {"address": "bad number", "temporary": "cannot be reached at present", "content": "text refused"}
    in_words = [[kinds.get(cell, cell) for cell in row] for row in plain]
    assert run(*words, "--format", "csv").lines == [[column["label"] for column in document["columns"]], *in_words]
    sheet = openpyxl.load_workbook(io.BytesIO(run(*words, "--format", "xlsx").out)).worksheets[0]
    cells = [["" if value is None else str(value) for value in row] for row in sheet.values]
    assert cells[1:-1] == in_words
    assert cells[-1][ids.index("included")] == str(document["totals"]["included"])
    shown = run(*words).out.decode()
    assert shown.splitlines()[-1].split() == ["Total", *(str(document["totals"][key]) for key in messages.FIGURES)]


def test_out_writes_a_whole_file_in_the_format_of_its_name_and_says_so(run: Run, tmp_path: Path) -> None:
    everybody = run("report", "deliveries", "--rows", "--format", "json").document
    for name in ("各镇街.csv", "all.xlsx", "all.json"):
        written = run("report", "deliveries", "--rows", "--out", name)
        assert (written.code, written.out) == (0, b"")
        assert written.err.splitlines()[0] == f"Written: {name} (rows: {everybody['total']})"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.json", "all.xlsx", "password", "各镇街.csv"]
    assert json.loads((tmp_path / "all.json").read_text("utf-8")) == everybody
    assert len(Answer(0, (tmp_path / "各镇街.csv").read_bytes(), "").lines) == everybody["total"] + 1
    assert openpyxl.load_workbook(tmp_path / "all.xlsx").worksheets[0].max_row == everybody["total"] + 1
    figures = run("report", "deliveries", "--format", "csv", "--out", "figures.txt")
    assert figures.err.splitlines()[0] == "Written: figures.txt (rows: 4)"
    assert (tmp_path / "figures.txt").read_bytes().startswith(b"\xef\xbb\xbf")


WRONG = [
    ("report deliveries --out figures", 2, "could be csv, xlsx or json"),
    ("report deliveries --out missing/figures.csv", 1, "cannot be written"),
    ("report deliveries --limit 3", 2, "--limit belongs to a list: add --rows."),
    ("report deliveries --from 2026-01-16 --to 2026-01-15", 2, "--from 2026-01-16 is later than --to 2026-01-15."),
    ("report deliveries --from yesterday", 2, "yesterday"),
    ("report deliveries --town 逍林", 1, "There are: 逍林镇、桥头镇"),
    ("report deliveries --campaign nobody", 1, "There is no campaign nobody"),
    ("report deliveries --where 规", 1, "Audience, column 1"),
    ("report deliveries --state gone", 2, "gone"),
    ("report statement", 2, "--campaign"),
    ("report statement --campaign nobody", 1, "There is no campaign nobody"),
    ("report deliveries --rows --after x", 2, "x"),
]


def test_what_is_wrong_is_said_in_one_line(run: Run) -> None:
    for arguments, code, said in WRONG:
        wrong = run(*arguments.split())
        assert (wrong.code, wrong.out) == (code, b""), arguments
        assert len(wrong.err.splitlines()) == 1
        assert wrong.err.startswith("error: ")
        assert said in wrong.err


@pytest.mark.parametrize("town", ["无", "逍林", "N/A"])
def test_a_town_that_nobody_is_in_is_named_as_it_was_typed_with_those_there_are(run: Run, town: str) -> None:
    said = run("report", "deliveries", "--town", town).err
    assert said.startswith(f"error: There is no town {town} in the contacts. There are: ")
    assert "逍林镇" in said


def test_the_list_of_a_figure_has_as_many_rows_page_by_page(run: Run) -> None:
    figures = run("report", "deliveries", "--campaign", "second", "--by", "state", "--format", "json").document
    failed = next(row["failed"] for row in figures["rows"] if row["state"] == "failed")
    words = ("report", "deliveries", "--campaign", "second", "--rows", "--state", "failed", "--format", "json")
    whole = run(*words).document
    assert (len(whole["rows"]), whole["total"], whole["next"]) == (failed, failed, None)
    first = run(*words, "--limit", "5").document
    rest = run(*words, "--after", str(first["next"])).document
    assert first["rows"] + rest["rows"] == whole["rows"]
    assert all(row["phone"].startswith("138****") and row["state"] == "failed" for row in whole["rows"])
    assert whole["rows"][0]["time"].endswith("Z")
    shown = run("report", "deliveries", "--rows", "--by", "industry", "--state", "failed", "--limit", "2")
    cursor = run("report", "deliveries", "--rows", "--state", "failed", "--limit", "2", "--format", "json").document["next"]
    assert shown.err == f"Next step: outreach report deliveries --state failed --by industry --limit 2 --rows --after {cursor}\n"
    assert shown.out.decode().splitlines()[0].split()[:2] == ["Step", "Enterprise"]
    assert b"bad number" in shown.out or b"text refused" in shown.out or b"at present" in shown.out


def test_days_are_the_offices_and_the_last_one_is_in(run: Run) -> None:
    days = {row["day"]: row["included"] for row in run("report", "deliveries", "--by", "day", "--format", "json").document["rows"]}
    assert list(days) == ["2026-01-15", "2026-01-16", "2026-01-17"]
    for first, last in (("2026-01-15", "2026-01-15"), ("2026-01-16", "2026-01-17")):
        chosen = run("report", "deliveries", "--from", first, "--to", last, "--format", "json").document
        assert chosen["totals"]["included"] == sum(count for day, count in days.items() if first <= day <= last)


def test_whole_phones_need_an_operator_and_are_written_into_the_audit_log(run: Run, office_url: str) -> None:
    words = ("report", "deliveries", "--campaign", "second", "--rows", "--unmask")
    for account, code in (([], 1), (["--as", "bob"], 1), (["--as", "carol", "--town", "桥头镇"], 1), (["--as", "alice"], 0)):
        asked = run(*words, *account, "--format", "csv")
        assert asked.code == code
        if code:
            assert (asked.out, len(asked.err.splitlines())) == (b"", 1)
    phones = [line[asked.lines[0].index("Phone")] for line in asked.lines[1:]]
    assert all(len(phone) == 11 and phone.startswith("138") for phone in phones if phone)
    assert run(*words, "--as", "carol", "--town", "逍林镇").code == 0
    with closing(Database(office_url)) as database, database.read() as session:
        found = session.execute(text("select actor, act, subject, detail from audit_entry order by id")).mappings().all()
    assert [(row["actor"], row["act"], row["subject"]) for row in found] == [("alice", "report.unmask", "second"), ("carol", "report.unmask", "second")]
    assert "逍林镇" in str(found[1]["detail"])
    assert "1380" not in str([dict(row) for row in found])


def test_who_signs_in_for_a_town_sees_the_figures_of_that_town_only(run: Run) -> None:
    own = run("report", "deliveries", "--as", "carol", "--format", "json")
    assert own.document == run("report", "deliveries", "--town", "逍林镇", "--format", "json").document
    assert own.document != run("report", "deliveries", "--as", "alice", "--format", "json").document
    assert "Only 逍林镇, the town of account carol." in own.err
    rows = run("report", "deliveries", "--as", "carol", "--rows", "--format", "json").document["rows"]
    assert {row["town"] for row in rows} == {"逍林镇"}
    for other in (("deliveries", "--town", "桥头镇"), ("statement", "--campaign", "second", "--rows")):
        refused = run("report", *other, "--as", "carol")
        assert (refused.code, refused.out) == (1, b"")
        assert refused.err.endswith("Account carol belongs to 逍林镇 and sees 逍林镇 only.\n")


def test_figures_of_a_rehearsal_say_so_and_are_apart(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    production = run("report", "deliveries", "--format", "json")
    assert "trial" not in production.out.decode()
    assert production.err == ""
    named = run("report", "deliveries", "--campaign", "trial", "--format", "json")
    monkeypatch.setenv("OUTREACH_MODE", "rehearsal")
    rehearsal = run("report", "deliveries", "--format", "json")
    assert rehearsal.document == named.document
    assert rehearsal.err == named.err == "These figures are of a rehearsal: nothing was really sent.\n"


def test_the_statement_is_a_table_of_steps_and_one_of_enterprises(run: Run) -> None:
    steps = run("report", "statement", "--campaign", "second", "--format", "json").document
    assert [row["step"] for row in steps["rows"]] == [1, 2]
    assert all(row["adds_up"] for row in steps["rows"])
    enterprises = run("report", "statement", "--campaign", "second", "--enterprises", "--format", "json").document
    assert sum(row["enterprises"] for row in enterprises["rows"]) == enterprises["totals"]["enterprises"]
    listed = run("report", "statement", "--campaign", "second", "--rows", "--format", "json").document
    assert len(listed["rows"]) == listed["total"] == enterprises["totals"]["enterprises"]
    assert {row["column"] for row in listed["rows"]} <= {row["column"] for row in enterprises["rows"]}
    shown = run("report", "statement", "--campaign", "second")
    assert [line for line in shown.out.decode().splitlines() if line.strip() in ("Messages, step by step", "Enterprises")]
    assert run("report", "statement", "--campaign", "second", "--rows", "--limit", "3").out.decode().count("示例企业") == 3


def test_replies_are_listed_newest_first_with_their_meaning(run: Run, office_url: str) -> None:
    assert run("replies", "list").err == "Nobody has answered so far.\n"
    said = [("TD", "opt_out", "+8613800000001"), ("你好", None, "+8613911112222"), ("恢复", "opt_in", "+8613800000001")]
    with closing(Database(office_url)) as database, database.write() as session:
        rows = [
            {"channel": "sms", "reference": f"SM{n}", "sender": sender, "body": body, "meaning": meaning, "received_at": NOON + timedelta(minutes=n)}
            for n, (body, meaning, sender) in enumerate(said)
        ]
        bulk.insert_rows(session, tables.Reply, rows)
    document = run("replies", "list", "--format", "json").document
    assert [(row["body"], row["meaning"], row["phone"]) for row in document["rows"]] == [
        ("恢复", "opt_in", "138****0001"),
        ("你好", None, "139****2222"),
        ("TD", "opt_out", "138****0001"),
    ]
    assert [row["enterprise"] for row in document["rows"]] == ["示例企业1", "", "示例企业1"]
    assert document["rows"][0]["time"] == "2026-01-15T04:02:00Z"
    first = run("replies", "list", "--limit", "2", "--format", "json").document
    assert (first["total"], len(first["rows"])) == (3, 2)
    assert run("replies", "list", "--after", str(first["next"]), "--format", "json").document["rows"] == document["rows"][2:]
    assert "wants no more messages" in run("replies", "list").out.decode()
    assert "wants no more messages" in run("replies", "list", "--format", "csv").lines[3]
