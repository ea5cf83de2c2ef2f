"""Letters at the command line: printed by town into files that are the same each time, posted, returned and printed again, in figures that add up."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from letters import (
    LETTER,
    addressed,
    codes,
    printed_codes,
    words,
    write_plain,
)
from sqlalchemy import select, update

from outreach import cli, clock
from outreach.campaigns import launching
from outreach.database.engine import Database
from outreach.database.paper_tables import PrintBatch
from outreach.database.tables import AuditEntry, Enterprise, MessageText
from outreach.staff import accounts

from drive import PLEDGE, Office, office  # isort: skip

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Office:
    """Three enterprises in one town and one in another, all to be written to by letter."""
    write_plain(tmp_path)
    desk = office(database, tmp_path)
    addressed(desk, 3)
    addressed(desk, town="观海卫镇")
    desk.asking(steps=[LETTER], audience="全部")
    return desk


@pytest.fixture
def run(desk: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("OUTREACH_LANG", "en")
    monkeypatch.setenv("OUTREACH_DATABASE_URL", desk.database.url)
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int, str, str]:
        code = cli.run(["--home", str(tmp_path), "letters", *arguments])
        return code, *capsys.readouterr()

    return command


@pytest.fixture
def ask(run: Run) -> Callable[..., Any]:
    """Run a command and return its answer as data."""

    def answer(*arguments: str) -> Any:
        code, out, err = run(*arguments, "--format", "json")
        assert code == 0, err
        return json.loads(out)

    return answer


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_a_run_writes_the_files_of_each_town_and_the_same_again(ask: Callable[..., Any], desk: Office, tmp_path: Path) -> None:
    first = ask("render", "drive", "--out", "out")
    assert {key: first[key] for key in ("due", "letters", "skipped", "unsettable", "left", "adds_up")} == {
        "due": 4,
        "letters": 4,
        "skipped": {},
        "unsettable": [],
        "left": 0,
        "adds_up": True,
    }
    names = [
        f"{town}-{number}{kind}" for town, number in (("桥头镇", 1), ("观海卫镇", 2)) for kind in (".pdf", "-交接单.pdf", "-信封.pdf", "-标签.pdf", "-清单.csv")
    ]
    before = digests(tmp_path / "out")
    assert sorted(before) == sorted(names)
    killed = subprocess.Popen(["true"])
    killed.wait()
    (tmp_path / "out" / f"桥头镇-1.pdf.{killed.pid}.part").write_bytes(b"what a process that was killed had begun")
    assert before["桥头镇-1.pdf"] == first["batches"][0]["sha256"]
    again = ask("render", "drive", "--out", "out")
    assert (again["due"], again["new_batches"], len(again["batches"])) == (0, [], 2)
    assert digests(tmp_path / "out") == before
    content = (tmp_path / "out" / "桥头镇-1.pdf").read_bytes()
    assert len(printed_codes(content, codes(desk))) == 3
    listed = (tmp_path / "out" / "桥头镇-1-清单.csv").read_text("utf-8-sig").splitlines()
    assert len(listed) == 4 and "示例路1号" in listed[1]
    for kind in ("标签", "信封"):
        assert "示例路1号" in words((tmp_path / "out" / f"桥头镇-1-{kind}.pdf").read_bytes()).replace(" ", "")
    assert "桥头镇" in words((tmp_path / "out" / "桥头镇-1-交接单.pdf").read_bytes())


def test_only_a_towns_letters_so_many_a_batch_and_a_rehearsal_that_changes_nothing(ask: Callable[..., Any], desk: Office, tmp_path: Path) -> None:
    rehearsed = ask("render", "drive", "--out", "out", "--dry-run")
    assert (rehearsed["letters"], rehearsed["batches"], rehearsed["dry_run"]) == (4, [], True)
    assert not desk.rows(PrintBatch) and not (tmp_path / "out").exists()
    made = ask("render", "drive", "--out", "out", "--town", "桥头镇", "--per-batch", "2")
    assert [(one["town"], one["letters"]) for one in made["batches"]] == [("桥头镇", 2), ("桥头镇", 1)]
    limited = ask("render", "drive", "--out", "out", "--limit", "1")
    assert (limited["due"], limited["letters"], len(limited["batches"])) == (1, 1, 3)


def test_what_may_not_go_and_what_cannot_be_set_is_said_with_its_reason(run: Run, ask: Callable[..., Any], desk: Office) -> None:
    first, second, *_others = desk.rows(Enterprise)
    desk.settle_enterprise(first.id)
    desk.write(update(Enterprise).where(Enterprise.id == second.id).values(address="示例路\U0001f9a2号"))
    code, out, _err = run("render", "drive", "--out", "out")
    assert code == 0
    assert out.splitlines()[0] == "Due 4 = into batches 2 + not sent 1 + not to be set 1 + left for later 0"
    assert "not sent, goal reached: 1" in out
    assert f"{codes(desk)[1]} {second.name}, which holds \U0001f9a2" in out
    assert ask("render", "drive", "--out", "out")["unsettable"] == [{"code": codes(desk)[1], "enterprise": second.name, "characters": "\U0001f9a2 (U+1F9A2)"}]


def test_who_answered_after_the_printing_is_named_to_be_pulled_out(run: Run, ask: Callable[..., Any], desk: Office) -> None:
    ask("render", "drive", "--out", "out")
    desk.settle_enterprise(desk.rows(Enterprise)[0].id)
    code, out, err = run("render", "drive", "--out", "out")
    assert code == 0
    assert f"they need not go any more: {codes(desk)[0]}" in out
    assert "outreach letters posted 1 2" in err
    posted = ask("posted", "1", "2", "--except", codes(desk)[0])
    assert (posted["letters"], posted["batches"], posted["put_back"], posted["needless"]) == (3, [1, 2], 1, 0)


def test_posted_returned_and_printed_again_in_figures_that_add_up(run: Run, ask: Callable[..., Any], desk: Office, tmp_path: Path) -> None:
    ask("render", "drive", "--out", "out")
    first, second, third, _other = codes(desk)
    assert ask("posted", "1", "--dry-run")["letters"] == 3
    assert ask("posted", "1")["batches"] == [1]
    (tmp_path / "back.csv").write_text(f"签署码,备注\n{second},退\n{third.lower()},\n2A2A2A,\n{second},\n", "utf-8")
    news = ask("returned", first, "--file", "back.csv", "--reason", "moved")
    assert {key: news[key] for key in ("read", "changed", "already", "rejected")} == {"read": 4, "changed": 3, "already": 0, "rejected": 1}
    assert news["rejects"] == [{"line": 4, "value": "2A2A2A", "reason": "no_code"}]
    assert ask("returned", third, "--undo")["changed"] == 1
    rows = ask("batches")["rows"]
    assert [(row["letters"], row["waiting"], row["posted"], row["returned"], row["state"]) for row in rows] == [
        (1, 1, 0, 0, "rendered"),
        (3, 0, 1, 2, "posted"),
    ]
    shown = ask("batches", "--show", "1")["rows"]
    assert [(row["code"], row["state"], row["reason"]) for row in shown] == [
        (first, "undelivered", "moved"),
        (second, "undelivered", "moved"),
        (third, "delivered", None),
    ]
    code, out, _err = run("reprint", first, "--out", "again.pdf", "--envelope")
    assert code == 0 and f"still the same; mend it before they go out again: {first}" in out
    desk.write(update(Enterprise).where(Enterprise.id == 1).values(address="新路1号"))
    printed = ask("reprint", first, "--out", "again.pdf", "--envelope")
    assert printed == {"letters": 1, "moved": [first], "files": ["again.pdf", "again-信封.pdf"]}
    assert "新路1号" in words((tmp_path / "again-信封.pdf").read_bytes()).replace(" ", "")
    assert ask("posted", first)["letters"] == 1
    acts = [(row.act, row.actor.split(":")[0]) for row in desk.rows(AuditEntry) if row.act.startswith("letters.")]
    assert acts == [(f"letters.{verb}", "os") for verb in ("render", "posted", "returned", "returned", "reprint", "reprint", "posted")]


def test_a_posted_batch_is_written_again_by_its_number(run: Run, ask: Callable[..., Any], tmp_path: Path) -> None:
    ask("render", "drive", "--out", "out")
    ask("posted", "1")
    before = digests(tmp_path / "out")
    assert [one["batch"] for one in ask("render", "drive", "--out", "other")["batches"]] == [2]
    assert ask("render", "drive", "--batch", "1", "--out", "other")["batches"][0]["same"]
    assert digests(tmp_path / "other") == before
    code, _out, err = run("render", "drive", "--batch", "1", "--limit", "3", "--out", "other")
    assert code == 2 and "leave --limit out" in err


def test_what_lies_in_the_envelope_is_counted_with_what_was_posted_and_the_sheets_for_signing_are_pages(
    run: Run, ask: Callable[..., Any], desk: Office, tmp_path: Path
) -> None:
    source = (Path(__file__).parent.parent / "templates" / "letter" / "open-letter.md").read_text("utf-8")
    head = '+++\ntitle = "公开信"\nenclosures = ["《宣传册》", "回执"]\nform = true\n+++\n'
    own = tmp_path / "templates" / "letter" / "own-letter.md"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text(head + source.split("+++\n", 2)[2], "utf-8")
    desk.launch("other", goal={"pledge": PLEDGE}, steps=[{"channel": "letter", "template": "letter/own-letter"}])
    signed = desk.rows(Enterprise)[0].id
    desk.settle_enterprise(signed)
    printed = ask("render", "other", "--out", "out")
    (one,) = printed["batches"]
    assert (one["letters"], one["pages"]) == (2, 4), "a letter and a sheet each"
    assert words((tmp_path / one["files"][0]).read_bytes()).count("\f") == 4
    (path,) = [file for file in one["files"] if file.endswith("交接单.pdf")]
    assert "《宣传册》" in words((tmp_path / path).read_bytes())
    one_of_them = desk.recipients(desk.campaign("other").id)[2].code
    ask("posted", str(one["batch"]), "--except", one_of_them)
    row = next(row for row in ask("batches", "other")["rows"] if row["batch"] == one["batch"])
    assert row["enclosures"] == [{"item": "《宣传册》", "count": 1, "needed": 1}, {"item": "回执", "count": 1, "needed": 1}]
    assert "《宣传册》 1，回执 1" in run("batches", "other")[1]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("render", "nobody", "--out", "out"), 1, "There is no campaign nobody"),
        (("render", "drive", "--town", "无此镇", "--out", "out"), 1, "There is no town 无此镇"),
        (("batches", "nobody"), 1, "There is no campaign nobody"),
        (("batches", "--show", "9"), 1, "There is no print batch 9"),
        (("posted", "9"), 1, "There is no print batch 9"),
        (("posted",), 2, "Name the batches"),
        (("posted", "--except", "ABCDEF"), 2, "Name the batches"),
        (("posted", "ABCDEF"), 1, "No letter in a batch bears the code ABCDEF"),
        (("posted", "ABCDEF", "--except", "ABCDEF"), 2, "name the batch too"),
        (("posted", "1", "--date", "2999-01-01"), 2, "2999-01-01 is still to come"),
        (("returned",), 2, "Name the letters"),
        (("returned", "ABCDEF", "--undo", "--reason", "moved"), 2, "no --reason"),
        (("returned", "--file", "nowhere.csv"), 1, "There is no file nowhere.csv"),
        (("reprint", "ABCDEF", "--out", "x.pdf"), 1, "No letter in a batch bears the code ABCDEF"),
        (("discard", "9"), 1, "There is no print batch 9"),
        (("render", "drive", "--batch", "9", "--out", "out"), 1, "There is no print batch 9"),
    ],
)
def test_what_is_wrong_is_one_line_that_says_what_to_do(run: Run, arguments: tuple[str, ...], code: int, said: str) -> None:
    found, out, err = run(*arguments)
    assert (found, out) == (code, "")
    assert said in err.strip().splitlines()[-1]


def test_a_broken_layout_is_said_before_a_batch_is_made(run: Run, desk: Office, tmp_path: Path) -> None:
    desk.write(update(MessageText).where(MessageText.name == "letter/open-letter").values(layout={"letter/letter.typ": "I3BhbmljKCJ4Iik="}))
    code, _out, err = run("render", "drive", "--out", "out")
    assert code == 1 and "cannot be set" in err
    assert not desk.rows(PrintBatch) and not (tmp_path / "out").exists()


def test_a_character_in_the_text_itself_that_no_font_has_is_said_before_a_batch_is_made(run: Run, desk: Office) -> None:
    with desk.database.read() as session:
        source = session.execute(select(MessageText.source).where(MessageText.name == "letter/open-letter")).scalar_one()
    desk.write(update(MessageText).where(MessageText.name == "letter/open-letter").values(source=source.replace("您好", "\U0001f9a2您好")))
    code, _out, err = run("render", "drive", "--out", "out")
    assert code == 1 and "\U0001f9a2" in err
    assert not desk.rows(PrintBatch)


def test_a_campaign_that_rests_prints_what_is_set_and_says_so(run: Run, desk: Office) -> None:
    with desk.database.write() as session:
        launching.pause(session, "drive")
    code, out, _err = run("render", "drive", "--out", "out")
    assert code == 0
    assert "Due 0" in out
    code, _out, err = run("batches")
    assert "Nothing was printed so far." in err


def test_staff_of_a_town_print_and_post_their_own_only(run: Run, ask: Callable[..., Any], desk: Office, tmp_path: Path) -> None:
    with desk.database.write() as session:
        for account, role, town in (("alice", "administrator", ""), ("carol", "operator", "观海卫镇")):
            accounts.add(session, account=account, password="a long pass phrase", role=role, town=town, now=clock.now())
    (tmp_path / "carol").write_text("a long pass phrase\n")
    carol = ("--as", "carol", "--password-file", "carol")
    assert [one["town"] for one in ask("render", "drive", "--out", "out", *carol)["batches"]] == ["观海卫镇"]
    ask("render", "drive", "--out", "out")
    assert [row["town"] for row in ask("batches", *carol)["rows"]] == ["观海卫镇"]
    of_others = [("posted", "2"), ("posted", codes(desk)[0]), ("discard", "2"), ("batches", "--show", "2"), ("reprint", codes(desk)[0], "--out", "x.pdf")]
    for arguments in of_others:
        code, _out, err = run(*arguments, *carol)
        assert code == 1 and "belongs to 观海卫镇" in err, arguments
    assert ask("posted", "1", *carol)["letters"] == 1
    assert run("returned", codes(desk)[0], *carol)[0] == 1


def test_ctrl_c_lets_go_of_what_is_being_set_and_the_same_command_goes_on(desk: Office, tmp_path: Path) -> None:
    environment = {**os.environ, "OUTREACH_HOME": str(tmp_path), "OUTREACH_DATABASE_URL": desk.database.url, "OUTREACH_LANG": "en"}
    words_ = [sys.executable, "-m", "outreach", "letters", "render", "drive", "--out", "out", "--format", "json"]
    process = subprocess.Popen(words_, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while process.poll() is None and not desk.rows(PrintBatch):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _out, err = process.communicate(timeout=60)
    assert process.returncode in (130, 0), err
    done = subprocess.run(words_, env=environment, cwd=tmp_path, capture_output=True, timeout=60, check=True)
    assert sum(one["letters"] for one in json.loads(done.stdout)["batches"]) == 4
