"""Papers at the command line: one sheet, a pile, the list of what a person must look at; every figure adds up."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import piles as drawn
import pytest
from PIL import Image
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from outreach import cli, clock, i18n
from outreach.database.engine import Database
from outreach.database.pledge_tables import Scan, Signature
from outreach.database.tables import AuditEntry
from outreach.links import personal
from outreach.staff import accounts

from drive import Office, office, phone  # isort: skip

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
def run(desk: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in that office, as alice unless somebody else signs in."""
    (tmp_path / "password").write_text(PASSWORD, "utf-8")
    monkeypatch.setenv("OUTREACH_DATABASE_URL", desk.database.url)
    monkeypatch.setenv("OUTREACH_HOME", str(tmp_path))
    monkeypatch.setenv("OUTREACH_STAFF_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.chdir(tmp_path)

    def answered(*arguments: object, by: str = "alice", lang: str = "en") -> Answer:
        code = cli.run(["pledges", *map(str, arguments), "--as", by, "--lang", lang])
        captured = capsys.readouterr()
        i18n.use("en")
        return Answer(code, captured.out, captured.err)

    return answered


def address(desk: Office, recipient: int) -> str:
    return personal.url(desk.settings.public_url, desk.link(recipient, way="paper"))


def audit(desk: Office) -> list[tuple[str, str]]:
    with desk.database.read() as session:
        rows = session.execute(select(AuditEntry.act, AuditEntry.actor).where(AuditEntry.act.like("pledges.%")).order_by(AuditEntry.id))
        return [(row.act, row.actor) for row in rows]


def test_a_paper_is_recorded_then_its_scan_is_added(run: Run, desk: Office, tmp_path: Path) -> None:
    desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    first = run("record-paper", recipient.code.lower(), "--signer", "李四", "--capacity", "agent", "--relation", "财务", "--format", "json")
    [row] = desk.rows(Signature)
    assert first.code == 0, first.err
    assert first.document["recorded"][0] == {"enterprise_id": 1, "enterprise": row.enterprise, "serial": row.serial, "result": "pending", "reason": ""}
    assert (row.signer, row.capacity, row.relation, row.recorded_by) == ("李四", "agent", "财务", "alice")
    wrong = run("record-paper", row.serial)
    assert (wrong.code, row.serial in wrong.error) == (2, True)
    scan = drawn.jpeg(drawn.sheet(address(desk, recipient.id)), tmp_path / "1.jpg")
    done = run("record-paper", row.serial, "--scan", scan, lang="zh")
    assert (done.code, row.serial in done.out) == (0, True)
    assert (desk.rows(Signature)[0].state, len(desk.rows(Scan))) == ("signed", 1)
    assert audit(desk) == [("pledges.record_paper", "alice")] * 2


def test_what_is_missing_or_wrong_is_said_in_one_line_and_nothing_is_recorded(run: Run, desk: Office, tmp_path: Path) -> None:
    desk.enterprises(2)
    desk.asking()
    one, two = desk.recipients()
    (tmp_path / "1.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    other = drawn.jpeg(drawn.sheet(address(desk, two.id)), tmp_path / "2.jpg")
    signer = ("--signer", "李四", "--capacity", "principal")
    wrong = {
        (): 2,
        (one.code,): 2,
        (one.code, "--signer", "李四"): 2,
        (one.code, "--signer", "李四", "--capacity", "agent"): 2,
        (one.code, two.code, *signer): 2,
        (one.code, *signer, "--date", "2999-01-01"): 2,
        (one.code, *signer, "--scan", tmp_path / "missing.jpg"): 1,
        (one.code, *signer, "--scan", tmp_path / "1.heic"): 1,
        (one.code, *signer, "--scan", other): 1,
        (one.code, *signer, "--scan-id", 7): 1,
        ("--enterprise", 7, *signer): 1,
        ("1999-000001", "--scan", other): 1,
        ("--pile",): 2,
        ("--pile", other, "--signer", "李四"): 2,
        (one.code, *signer, "--format", "csv"): 2,
    }
    for arguments, code in wrong.items():
        answer = run("record-paper", *arguments)
        assert (answer.code, answer.out, answer.err.count("\n")) == (code, "", 1), (arguments, answer)
        assert answer.error.startswith("error: ")
    assert run("record-paper", one.code, *signer, by="bob").code == 1, "a viewer records nothing"
    assert run("record-paper", one.code, *signer, by="carol").code == 1, "nor who belongs to another town"
    assert desk.rows(Signature) == desk.rows(Scan) == []


def test_a_pile_says_in_figures_that_add_up_what_became_of_it(run: Run, desk: Office, tmp_path: Path) -> None:
    desk.enterprises(2)
    desk.asking()
    sheets = [drawn.sheet(address(desk, recipient.id)) for recipient in desk.recipients()]
    pile = drawn.folder([*sheets, drawn.turned(sheets[0], 180), drawn.blank(), drawn.sheet("https://qr.alipay.com/1")], tmp_path / "pile")
    figures = {"read": 5, "recorded": 2, "completed": 0, "already": 1, "unreadable": 1, "foreign": 1}
    rehearsed = run("record-paper", "--pile", pile, "--dry-run", "--format", "json").document
    assert ({key: rehearsed[key] for key in figures}, rehearsed["dry_run"], desk.rows(Signature)) == (figures, True, [])
    found = run("record-paper", "--pile", pile, "--format", "json")
    assert (found.code, {key: found.document[key] for key in figures}) == (0, figures)
    assert [line["result"] for line in found.document["files"]] == ["recorded", "recorded", "already", "unreadable", "foreign"]
    assert set(found.document["files"][0]) == {"file", "page", "result", "reason", "enterprise", "serial", "scan_id"}
    again = run("record-paper", "--pile", pile, lang="zh")
    assert again.out.splitlines()[0] == "读取5页 = 新录0 + 补件0 + 已有3 + 待人工辨认1 + 外来1"
    assert "outreach pledges scans --open" in again.err
    assert audit(desk) == [("pledges.record_pile", "alice")] * 2


def test_what_a_person_has_looked_at_is_off_the_list(run: Run, desk: Office, tmp_path: Path) -> None:
    desk.enterprises(2)
    desk.asking()
    run("record-paper", "--pile", drawn.folder([drawn.sheet(address(desk, recipient.id)) for recipient in desk.recipients()], tmp_path / "pile"))
    first, second = (row.serial for row in desk.rows(Signature))
    assert run("reviewed", first, by="carol").code == 1, "another town's"
    assert run("reviewed", first, "1999-000001").code == 1
    assert run("reviewed", first, "--format", "json").document == {"reviewed": [first]}
    assert run("reviewed", first, second, "--format", "json").document == {"reviewed": [second]}
    assert [row.review for row in desk.rows(Signature)] == [False, False]
    assert run("audit").code == 0, "the evidence says that it was recorded for review, and stays so"


def test_what_nobody_could_tell_is_listed_looked_at_assigned_or_thrown_away(run: Run, desk: Office, tmp_path: Path) -> None:
    desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    torn = drawn.sheet("x")
    torn.paste((255, 255, 255), (400, 600, 620, 877))
    run("record-paper", "--pile", drawn.folder([torn, drawn.sheet("https://qr.alipay.com/1")], tmp_path / "pile"))
    listed = run("scans", "--open", "--format", "json").document["rows"]
    assert [(row["reason"], row["recorded_by"], row["serial"]) for row in listed] == [("no_code", "alice", None), ("foreign_code", "alice", None)]
    words = run("scans", "--open", lang="zh").out
    assert "二维码" in words
    first, second = (row["id"] for row in listed)
    assert run("scans", "--show", first).code == 2
    assert run("scans", "--show", first, "--out", "look.jpg").code == 0
    with Image.open(tmp_path / "look.jpg") as look:
        assert look.size == torn.size
    assert run("record-paper", recipient.code, "--scan-id", first, "--signer", "李四", "--capacity", "principal").code == 0
    assert run("scans", "--discard", first).code == 1, "it belongs to a signature now"
    assert run("scans", "--discard", second).code == 0
    assert run("scans", "--open", "--format", "json").document == {"rows": [], "total": 0, "next": None}
    assert run("scans", "--format", "csv").out.count("\n") == 2
    assert [row.state for row in desk.rows(Signature)] == ["signed"]
    assert [act for act, _by in audit(desk)] == ["pledges.record_pile", "pledges.show_scan", "pledges.record_paper", "pledges.discard_scan"]


def test_who_belongs_to_a_town_sees_only_the_scans_that_he_read_in(run: Run, desk: Office, tmp_path: Path) -> None:
    desk.enterprises()
    desk.asking()
    pages = [drawn.sheet(address(desk, desk.recipients()[0].id)), drawn.sheet("https://qr.alipay.com/1")]
    run("record-paper", "--pile", drawn.folder(pages[1:], tmp_path / "mine"))
    run("record-paper", "--pile", drawn.folder(pages[:1], tmp_path / "hers"), by="carol")
    [his, hers] = desk.rows(Scan)
    assert (hers.reason, desk.rows(Signature)) == ("other_town", [])
    assert [row["id"] for row in run("scans", "--format", "json", by="carol").document["rows"]] == [hers.id]
    assert run("scans", "--show", his.id, "--out", "x.jpg", by="carol").code == 1
    assert run("scans", "--show", hers.id, "--out", "x.jpg", by="carol").code == 0
    assert run("scans", by="bob").code == 1


def test_a_dry_run_of_one_sheet_writes_nothing(run: Run, desk: Office, tmp_path: Path) -> None:
    desk.enterprises(2, phones=[phone(7)] * 2)
    desk.asking()
    [recipient] = desk.recipients()
    told = run("record-paper", recipient.code, "--signer", "李四", "--capacity", "principal", "--dry-run", "--format", "json").document
    assert (told["dry_run"], [one["result"] for one in told["recorded"]], {one["serial"] for one in told["recorded"]}) == (True, ["pending"] * 2, {""})
    assert desk.rows(Signature) == []
    assert audit(desk) == []


def test_ctrl_c_between_the_commit_of_a_page_and_its_count_is_taken_once_it_is_counted(run: Run, desk: Office, tmp_path: Path) -> None:
    desk.enterprises(5)
    desk.asking()
    pile = drawn.folder([drawn.sheet(address(desk, recipient.id)) for recipient in desk.recipients()], tmp_path / "pile")
    pressed: list[int] = []

    def press(_session: Session) -> None:
        if not pressed and len(desk.rows(Signature)) == 3:
            pressed.append(os.getpid())
            os.kill(os.getpid(), signal.SIGINT)

    event.listen(Session, "after_commit", press)
    stopped = run("record-paper", "--pile", pile)
    event.remove(Session, "after_commit", press)
    assert (stopped.code, len(pressed), len(desk.rows(Signature))) == (130, 1, 3)
    assert "Pages read 3 = recorded 3 " in stopped.err
    assert audit(desk) == [("pledges.record_pile", "alice")]
    assert run("record-paper", "--pile", pile, "--format", "json").document["recorded"] == 2


@pytest.mark.long
def test_ctrl_c_keeps_what_was_read_says_so_and_the_same_command_goes_on(run: Run, desk: Office, tmp_path: Path) -> None:
    desk.enterprises(40)
    desk.asking()
    pile = drawn.folder([drawn.sheet(address(desk, recipient.id)) for recipient in desk.recipients()], tmp_path / "pile")
    command = [sys.executable, "-m", "outreach", "pledges", "record-paper", "--pile", str(pile), "--as", "alice", "--lang", "en", "--format", "json"]
    process = subprocess.Popen(command, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while len(desk.rows(Signature)) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    kept = len(desk.rows(Signature))
    assert (process.returncode, out) == (130, ""), err
    assert 2 <= kept < 40
    assert f"Pages read {kept} = recorded {kept}" in err
    document = run("record-paper", "--pile", pile, "--format", "json").document
    assert (document["recorded"], document["already"]) == (40 - kept, kept)
    assert (len(desk.rows(Signature)), len(desk.rows(Scan))) == (40, 40)
