"""Visits at the command line: lists, sheets and results; every figure adds up, and each town sees its own."""

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import openpyxl
import papers
import piles as drawn
import pytest
from sqlalchemy import select

from outreach import cli, clock, i18n
from outreach.clock import OFFICE_ZONE
from outreach.database.engine import Database
from outreach.database.paper_tables import VisitResult
from outreach.database.pledge_tables import Signature
from outreach.database.tables import AuditEntry, Contact
from outreach.staff import accounts

from drive import Office, office  # isort: skip
from rounds import SEEN, enterprise, live  # isort: skip

PASSWORD = "木棉花开-2026-春"


@dataclass
class Answer:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        return self.err.strip().splitlines()[-1]


Run = Callable[..., Answer]


@pytest.fixture(scope="module")
def staffed(new_sqlite: Callable[[], str]) -> Path:
    """The file of an office with three accounts, to be copied: it takes a second to make them."""
    url = new_sqlite()
    database = Database(url)
    with database.write() as session:
        for account, role, town in (("alice", "administrator", ""), ("bob", "viewer", ""), ("carol", "operator", "逍林镇")):
            accounts.add(session, account=account, role=role, password=PASSWORD, town=town, phone="", now=clock.now())
    database.close()
    return Path(url.removeprefix("sqlite:///"))


@pytest.fixture
def desk(staffed: Path, tmp_path: Path) -> Iterator[Office]:
    database = Database(f"sqlite:///{shutil.copy(staffed, tmp_path / 'office.db')}")
    yield office(database, tmp_path)
    database.close()


@pytest.fixture
def run(desk: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run a command in that office, where nobody signs in unless it is said: a password takes a while to check."""
    (tmp_path / "password").write_text(PASSWORD, "utf-8")
    monkeypatch.setenv("OUTREACH_DATABASE_URL", desk.database.url)
    monkeypatch.setenv("OUTREACH_HOME", str(tmp_path))
    monkeypatch.setenv("OUTREACH_STAFF_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.chdir(tmp_path)

    def answered(*arguments: object, by: str | None = None, lang: str = "en") -> Answer:
        signed = ["--as", by] if by else []
        code = cli.run(["visits", *map(str, arguments), *signed, "--lang", lang])
        captured = capsysbinary.readouterr()
        i18n.use("en")
        return Answer(code, captured.out.decode("utf-8-sig"), captured.err.decode())

    return answered


def audit(desk: Office) -> list[tuple[str, str, str]]:
    with desk.database.read() as session:
        rows = session.execute(select(AuditEntry.act, AuditEntry.actor, AuditEntry.subject).order_by(AuditEntry.id))
        return [(row.act, row.actor, row.subject) for row in rows if row.act.startswith(("visits", "report"))]


def codes(desk: Office) -> list[str]:
    return [str(row.code) for row in desk.recipients()]


def drive(desk: Office, count: int = 3, **keys: Any) -> list[str]:
    desk.enterprises(count)
    desk.asking(steps=keys.pop("steps", SEEN), **keys)
    return codes(desk)


def test_a_round_from_the_list_to_the_result(run: Run, desk: Office, tmp_path: Path) -> None:
    first, second, third = drive(desk)
    live(desk, 2, village="甲村")
    shown = run("list", "--open", "--format", "json").document
    assert (shown["total"], [row["code"] for row in shown["rows"]]) == (3, [first, third, second])
    assert shown["rows"][0] | {"due_at": None} == {
        "id": 1,
        "campaign": "drive",
        "step": 1,
        "code": first,
        "enterprise": "第1鞋业有限公司",
        "others": [],
        "credit_code": "",
        "town": "桥头镇",
        "village": "",
        "address": "",
        "contact": "王1",
        "phone": "138****0001",
        "condition": "always",
        "state": "queued",
        "reason": "",
        "visitor": "",
        "issued_at": None,
        "due_at": None,
        "tried": [],
    }
    given = run("issue", "--visitor", "王村干", "--limit", 2, "--format", "json")
    assert given.document == {"visitor": "王村干", "given": 2, "taken_over": 0, "skipped": {}, "held": 0}
    sheet = run("sheet", "--visitor", "王村干", "--out", "王村干.pdf", "--format", "json")
    assert (sheet.code, sheet.document["visits"]) == (0, 2)
    assert len(papers.codes((tmp_path / "王村干.pdf").read_bytes(), dpi=150)) == 2
    done = run("done", first.lower(), "--result", "will_sign", "--remark", "月底前", "--format", "json")
    assert done.document["recorded"] == [
        {
            "enterprise_id": 1,
            "enterprise": "第1鞋业有限公司",
            "result": "will_sign",
            "state": "recorded",
            "signature": None,
            "serial": None,
            "phone_changed": False,
        }
    ]
    assert [row.visitor for row in desk.rows(VisitResult)] == ["王村干"]
    assert [row["code"] for row in run("list", "--done", "--format", "json").document["rows"]] == [first]
    assert [row["code"] for row in run("list", "--visitor", "王村干", "--open", "--format", "json").document["rows"]] == [third]
    assert run("recall", second, third, "--format", "json", by="alice").document == {"recalled": 1}
    assert [act for act, _who, _subject in audit(desk)] == ["visits.issue", "visits.done", "visits.recall"]
    assert audit(desk)[-1][1] == "alice"


def test_a_paper_is_brought_home_with_its_scan(run: Run, desk: Office, tmp_path: Path) -> None:
    [code] = drive(desk, 1)
    drawn.sheet("no code of ours").save(tmp_path / "scan.jpg")
    waiting = run("done", code, "--result", "paper", "--signer", "李四", "--capacity", "principal", "--format", "json").document["recorded"][0]
    assert (waiting["signature"], waiting["state"]) == ("pending", "recorded")
    counted = run("done", code, "--result", "paper", "--scan", "scan.jpg", "--format", "json").document["recorded"][0]
    assert (counted["signature"], counted["state"], counted["serial"]) == ("completed", "already", waiting["serial"])
    [row] = desk.rows(Signature)
    assert (row.state, row.signer) == ("signed", "李四")
    said = run("done", code, "--result", "paper", "--date", f"{clock.now().astimezone(OFFICE_ZONE):%Y-%m-%d}")
    assert (said.code, "known already" in said.out) == (0, True)
    assert [act for act, _who, _subject in audit(desk)] == ["visits.done"] * 2


def test_a_new_number_is_cleaned_and_never_shown_whole(run: Run, desk: Office) -> None:
    [code] = drive(desk, 1)
    wrong = run("done", code, "--result", "new_phone", "--phone", "63210000")
    assert (wrong.code, "63210000" in wrong.error) == (1, True)
    assert run("done", code, "--result", "new_phone").code == 2
    done = run("done", code, "--result", "new_phone", "--phone", "139 0000 0001")
    assert (done.code, "number was changed" in done.out, "13900000001" in done.out) == (0, True, False)
    assert [(row.phone, row.revision) for row in desk.rows(Contact)] == [("+8613900000001", 2)]
    shown = run("list", "--unmask", "--format", "json", by="alice")
    assert [row["phone"] for row in shown.document["rows"]] == ["+8613900000001"]
    assert audit(desk)[-1][0] == "report.unmask"


MISTAKES = [
    ((), 2, "Say who was visited"),
    (("{code}", "--signer", "李四"), 2, "--signer belongs to --result paper"),
    (("{code}", "--scan", "scan.jpg"), 2, "--scan belongs to --result paper"),
    (("AAAAAA",), 1, "There is no code AAAAAA"),
    (("--enterprise", "99"), 1, "There is no enterprise 99"),
    (("{code}", "--enterprise", "99"), 1, "Enterprise 99 is none of those that code"),
    (("{code}", "--phone", "13900000001"), 2, "speaks for several enterprises: 1 第1鞋业有限公司, 2 第2鞋业有限公司"),
    (("{code}", "--date", "2099-01-01"), 2, "2099-01-01 is still to come"),
    (("{code}", "--remark", "长" * 2001), 2, "at most 2000"),
    (("{code}", "--visitor", "长" * 61), 1, "no name of a visitor"),
]


@pytest.mark.parametrize(("typed", "code", "said"), MISTAKES)
def test_a_mistake_is_answered_in_one_line_and_nothing_is_recorded(run: Run, desk: Office, typed: tuple[str, ...], code: int, said: str) -> None:
    desk.enterprises(2, phones=["+8613800000009"] * 2)
    desk.asking(steps=SEEN)
    answer = run("done", *(part.format(code=codes(desk)[0]) for part in typed), "--result", "met")
    assert (answer.code, said in answer.error) == (code, True), answer.err
    assert desk.rows(VisitResult) == []


def test_what_holds_for_one_enterprise_is_asked_for_one(run: Run, desk: Office) -> None:
    desk.enterprises(2, phones=["+8613800000009"] * 2)
    desk.asking(steps=SEEN)
    [code] = codes(desk)
    assert run("done", code, "--result", "closed").code == 2
    assert run("done", code, "--result", "closed", "--enterprise", 1).code == 0
    assert (enterprise(desk, 1).closed_at is not None, enterprise(desk, 2).closed_at) == (True, None)
    both = run("done", code, "--result", "not_found", "--format", "json").document["recorded"]
    assert [one["enterprise_id"] for one in both] == [1, 2]
    assert desk.states() == ["undelivered"]


def test_a_paper_that_cannot_be_recorded_is_refused_in_words(run: Run, desk: Office) -> None:
    desk.enterprises()
    desk.launch(steps=SEEN)
    answer = run("done", codes(desk)[0], "--result", "paper")
    assert (answer.code, "no launched campaign asks this enterprise" in answer.error, desk.rows(VisitResult)) == (1, True, [])


def test_results_typed_into_a_list_are_imported_once(run: Run, desk: Office, tmp_path: Path) -> None:
    drive(desk, 4)
    run("issue", "--visitor", "王村干")
    assert run("sheet", "--town", "桥头镇", "--out", "桥头镇.xlsx").code == 0
    book = openpyxl.load_workbook(tmp_path / "桥头镇.xlsx")
    sheet = book.worksheets[0]
    places = {cell.value: cell.column for cell in sheet[1]}
    for row, result in zip((2, 3, 4), ("已签纸质件", "已停业", "写错了"), strict=True):
        sheet.cell(row, places["结果"], result)
    book.save(tmp_path / "桥头镇.xlsx")
    rehearsed = run("import", "桥头镇.xlsx", "--dry-run", "--format", "json").document
    assert (rehearsed["recorded"], rehearsed["dry_run"], desk.rows(VisitResult)) == (2, True, [])
    figures = {"read": 4, "recorded": 2, "already": 0, "unchanged": 1, "rejected": 1, "pending": 1, "phones": 0}
    first = run("import", "桥头镇.xlsx", "--format", "json").document
    assert first == {
        "file": "桥头镇.xlsx",
        **figures,
        "results": {"paper": 1, "closed": 1},
        "reasons": {"result": 1},
        "rejects": "桥头镇-退回.csv",
        "dry_run": False,
    }
    second = run("import", "桥头镇.xlsx")
    assert "Rows read 4: there already 2, nothing typed in 1, refused 1" in second.out
    assert "unknown result 1" in second.out
    told = list(csv.reader(io.StringIO((tmp_path / "桥头镇-退回.csv").read_text("utf-8-sig"))))
    assert told[1][:3] == ["4", "结果", "写错了"]
    assert [act for act, _who, _subject in audit(desk)] == ["visits.issue", "visits.import", "visits.import"]


def test_a_towns_staff_see_and_change_their_own(run: Run, desk: Office, tmp_path: Path) -> None:
    desk.enterprises(2, town="逍林镇")
    desk.enterprises(2)
    desk.asking("one", town="逍林镇", steps=SEEN)
    desk.asking("two", town="桥头镇", steps=SEEN)
    elsewhere = codes(desk)[-1]
    assert {row["town"] for row in run("list", "--format", "json", by="carol").document["rows"]} == {"逍林镇"}
    assert run("list", "--town", "桥头镇", by="carol").code == 1
    assert run("issue", "--visitor", "王村干", "--format", "json", by="carol").document["given"] == 2
    assert run("issue", elsewhere, "--visitor", "王村干", "--format", "json", by="carol").document["given"] == 0
    assert run("done", elsewhere, "--result", "met", by="carol").code == 1
    (tmp_path / "走访.csv").write_text("企业名称,结果\n第3鞋业有限公司,已见面\n第1鞋业有限公司,已见面\n", "utf-8")
    answer = run("import", "走访.csv", "--format", "json", by="carol").document
    assert (answer["recorded"], answer["reasons"]) == (1, {"other_town": 1})
    assert run("issue", "--visitor", "王村干", by="bob").code == 1
    assert {row.enterprise_id for row in desk.rows(VisitResult)} == {1}


def test_who_is_on_anothers_list_is_told(run: Run, desk: Office) -> None:
    [code, *_others] = drive(desk)
    run("issue", "--visitor", "王村干")
    held = run("issue", "--visitor", "李网格")
    assert "On the lists of others: 3" in held.out
    refused = run("issue", code, "--visitor", "李网格")
    assert (refused.code, "王村干" in refused.error, "--again" in refused.error) == (1, True, True)
    assert run("issue", "--visitor", "李网格", "--again", "--format", "json").document["taken_over"] == 3
    assert run("recall").code == 2


@pytest.mark.parametrize("kind", ["csv", "xlsx", "json"])
def test_the_list_is_written_as_a_file_whole(run: Run, desk: Office, tmp_path: Path, kind: str) -> None:
    drive(desk, 3)
    assert run("list", "--out", f"走访.{kind}").code == 0
    content = (tmp_path / f"走访.{kind}").read_bytes()
    assert len(content) > 100
    if kind == "csv":
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
        assert [row["State"] for row in rows] == ["to be visited"] * 3
    if kind == "json":
        assert [row["state"] for row in json.loads(content)["rows"]] == ["queued"] * 3


def test_pages_follow_each_other_and_people_read_words(run: Run, desk: Office) -> None:
    drive(desk, 3)
    first = run("list", "--limit", 2, "--format", "json").document
    second = run("list", "--limit", 2, "--after", first["next"], "--format", "json").document
    assert [len(first["rows"]), len(second["rows"]), second["next"]] == [2, 1, None]
    shown = run("list", lang="zh")
    assert "待走访" in shown.out
    assert run("list", "--open", "--done").code == 2
    assert "no such visits" in run("list", "--village", "没有").err


def test_a_sheet_is_a_pdf_or_a_workbook_of_somebody(run: Run, desk: Office) -> None:
    assert run("sheet", "--out", "走访.doc").code == 2
    for name in ("走访.pdf", "走访.xlsx"):
        answer = run("sheet", "--out", name)
        assert (answer.code, "nobody to visit" in answer.error) == (1, True)
    drive(desk, 1)
    assert run("done", "--enterprise", 1, "--result", "met", "--date", f"{clock.now() - timedelta(days=1):%Y-%m-%d}").code == 0
    assert desk.states() == ["delivered"]
    assert run("sheet", "--out", "走访.pdf").code == 1
