"""`outreach papers` at the command line: listed, asked for their fields, filled in from options and files, and made whole."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from gateway import Gateway
from openpyxl import Workbook
from papers import codes, words
from sqlalchemy import select

from outreach import cli
from outreach.database.engine import Database
from outreach.database.tables import AuditEntry
from outreach.database.wechat_tables import Scene
from outreach.staff import accounts

from conftest import NOON  # isort: skip

GOOD = "correct horse battery"
EVENT = ("--set", "活动名称=集中宣传日", "--set", "活动时间=1月18日", "--set", "venue=文化广场")
URL = "https://www.example.gov.cn/e/abc"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in an office that has no database: papers need none."""
    monkeypatch.setenv("OUTREACH_LANG", "en")
    monkeypatch.setenv("OUTREACH_HOME", str(tmp_path))

    def command(*arguments: str) -> tuple[int, str, str]:
        code = cli.run(["papers", *arguments])
        return code, *capsys.readouterr()

    return command


def document(answer: tuple[int, str, str]) -> Any:
    code, out, err = answer
    assert code == 0, err
    return json.loads(out)


def test_the_papers_are_listed_with_what_each_needs(run: Run, tmp_path: Path) -> None:
    own = tmp_path / "templates" / "paper"
    own.mkdir(parents=True)
    (own / "booklet.md").write_text('+++\ntitle = "本局手册"\nfold = true\nsize = ["a5"]\n+++\n正文', "utf-8")
    (own / "leaf.md").write_text('+++\nsize = ["a4"]\n+++\n', "utf-8")
    listed = document(run("list", "--format", "json"))
    rows = {row["name"]: row for row in listed["rows"]}
    assert listed["total"] == len(rows) and set(rows) >= {"answer-sheet", "booklet", "drive-poster", "event-poster", "leaf", "rights-board"}
    assert (rows["booklet"]["title"], rows["booklet"]["source"], rows["booklet"]["ok"]) == ("本局手册", "own", True)
    assert (rows["leaf"]["ok"], "title" in rows["leaf"]["title"]) == (False, True)
    assert rows["event-poster"]["needs"] == ["活动名称", "活动时间", "活动地点"] and rows["event-poster"]["qr"] == "required"
    shown = run("list")[1]
    assert "A3 A2 A4" in shown and "came with the program" in shown and "…（12）" in shown


def test_the_fields_of_a_paper_are_shown_and_written_as_a_file_to_fill_in(run: Run, tmp_path: Path) -> None:
    rows = document(run("fields", "rights-board", "--format", "json"))["rows"]
    by_label = {row["label"]: row for row in rows}
    assert (by_label["建设单位"]["field"], by_label["建设单位"]["required"], by_label["建设单位"]["default"]) == ("developer", True, "")
    assert by_label["劳动保障监察投诉举报电话"]["default"] == "12333"
    form, paper = tmp_path / "board.toml", tmp_path / "board.pdf"
    code, _out, err = run("fields", "rights-board", "--out", str(form))
    assert code == 0 and f"outreach papers make rights-board --data {form}" in err
    code, _out, err = run("make", "rights-board", "--data", str(form), "--out", str(paper))
    assert code == 1 and "建设单位、施工总承包单位" in err and err.count("\n") == 1 and not paper.exists()
    form.write_text(form.read_text("utf-8").replace('""', '"某某"').replace('"分包单位" = "某某"', '"分包单位" = ["甲队", "乙队"]'), "utf-8")
    made = document(run("make", "rights-board", "--data", str(form), "--out", str(paper), "--format", "json"))
    assert made == {
        "paper": "rights-board",
        "title": "维权信息告示牌",
        "file": str(paper),
        "bytes": paper.stat().st_size,
        "size": "a2",
        "papers": 1,
        "pages": 1,
        "sheets": 1,
        "layout": "screen",
        "qr": None,
    }
    assert "甲队" in words(paper.read_bytes()) and "乙队" in words(paper.read_bytes())


@pytest.mark.parametrize(
    ("name", "text", "key"),
    [
        ("e.toml", '"活动名称" = "一"\ntime = 2026-01-18\nvenue = ["甲", 7]\n', "event"),
        ("e.json", '{"活动名称": "一", "time": "2026年1月18日", "venue": ["甲", 7]}', "活动名称"),
        ("E.TOML", '\ufeffevent = "一"\n"活动时间" = "2026年1月18日"\n"活动地点" = ["甲", "7"]\n', "活动名称"),
    ],
)
def test_values_come_from_a_file_and_an_option_goes_before_it(run: Run, tmp_path: Path, name: str, text: str, key: str) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    paper = tmp_path / "event.pdf"
    assert run("make", "event-poster", "--data", str(tmp_path / name), "--set", f"{key}=二＝=二", "--qr", URL, "--out", str(paper))[0] == 0
    said = words(paper.read_bytes()).replace(" ", "")
    assert "二＝=二" in said and "2026年1月18日" in said and "甲、7" in said
    assert codes(paper.read_bytes()) == [URL]


ROWS = [
    ["序号", "活动名称", "time", "活动地点", "活动地点"],
    ["1", "第一场", "1月18日", "甲广场", ""],
    ["", "", "", "", ""],
    ["2", "第二场", "1月19日", "乙广场\n东门", "丙厅"],
]


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_a_list_gives_a_paper_for_each_of_its_rows(run: Run, tmp_path: Path, ending: str) -> None:
    path, out = tmp_path / f"events.{ending}", tmp_path / "events.pdf"
    if ending == "csv":
        with path.open("w", encoding="gb18030", newline="") as stream:
            csv.writer(stream).writerows(ROWS)
    else:
        book = Workbook()
        for row in ROWS:
            book.active.append(row)
        book.save(path)
    code, answered, err = run("make", "event-poster", "--data", str(path), "--set", "主办单位=本局", "--qr", URL, "--out", str(out), "--format", "json")
    made = json.loads(answered)
    assert (code, made["papers"], made["pages"], made["bytes"]) == (0, 2, 2, out.stat().st_size) and "序号" in err
    assert codes(out.read_bytes()) == [URL, URL]
    said = words(out.read_bytes()).replace(" ", "")
    assert said.index("第一场") < said.index("甲广场") < said.index("第二场") < said.index("乙广场、东门、丙厅") and said.count("本局") == 2


def test_of_a_list_the_row_that_lacks_something_is_named_and_nothing_is_written(run: Run, tmp_path: Path) -> None:
    path, out = tmp_path / "events.csv", tmp_path / "events.pdf"
    path.write_text("活动名称,活动时间,活动地点\n第一场,1月18日,甲广场\n第二场,,\n", "utf-8")
    code, _out, err = run("make", "event-poster", "--data", str(path), "--qr", URL, "--out", str(out))
    assert (code, out.exists()) == (1, False) and "row 3" in err and "活动时间、活动地点" in err and err.count("\n") == 1


def test_a_booklet_for_print_says_how_it_is_printed_and_folded(run: Run, tmp_path: Path) -> None:
    code, out, _err = run("make", "booklet", "--pages", "print", "--out", str(tmp_path / "b.pdf"))
    assert code == 0 and "A5, pages 8" in out and "both sides" in out and "Sheets a booklet: 2" in out
    code, out, _err = run("make", "booklet", "--out", str(tmp_path / "b.pdf"))
    assert code == 0 and "--pages print" in out


def test_a_qr_code_that_leads_nowhere_but_here_is_remarked_upon(run: Run, tmp_path: Path) -> None:
    code, _out, err = run("make", "drive-poster", "--qr", "http://127.0.0.1:8000/e/abc", "--out", str(tmp_path / "p.pdf"))
    assert code == 0 and "this machine only" in err
    assert "this machine only" not in run("make", "drive-poster", "--qr", URL, "--out", str(tmp_path / "p.pdf"))[2]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["make", "event-poster", *EVENT], 1, "--qr URL"),
        (["make", "event-poster", *EVENT, "--qr", URL, "--label", "广场"], 2, "not both"),
        (["make", "event-poster", *EVENT, "--qr", "广场"], 1, "https://"),
        (["make", "event-poster", *EVENT, "--qr", URL, "--size", "b5"], 1, "a3 a2 a4"),
        (["make", "event-poster", *EVENT, "--set", "地址=x", "--qr", URL], 1, "no field 地址"),
        (["make", "event-poster", *EVENT, "--set", "活动地点=x", "--qr", URL], 1, "both of its names"),
        (["make", "event-poster", *EVENT, "--set", "x", "--qr", URL], 2, "FIELD=VALUE"),
        (["make", "event-poster", *EVENT, "--set", "=x", "--qr", URL], 2, "FIELD=VALUE"),
        (["make", "answer-sheet", "--qr", URL], 1, "no place for a QR code"),
        (["make", "poster"], 1, "event-poster"),
        (["make", "booklet", "--data", "no.toml"], 1, "no.toml"),
        (["make", "booklet", "--data", "a.txt"], 1, ".toml or .json"),
        (["make", "booklet", "--data", "list.json"], 1, "a field a line"),
        (["make", "booklet", "--data", "bad.json"], 1, "line 2"),
        (["make", "booklet", "--data", "bad.toml"], 1, "followed by ="),
        (["make", "booklet", "--data", "deep.json"], 1, "deep.json"),
        (["make", "booklet", "--data", "odd.json"], 1, "咨询地点"),
        (["make", "booklet", "--data", "latin.toml"], 1, "UTF-8"),
        (["make", "booklet", "--format", "csv"], 2, "csv"),
        (["make", "booklet", "--data", "none.csv"], 1, "none.csv"),
        (["make", "booklet", "--data", "other.csv"], 1, "咨询地点"),
        (["make", "booklet", "--data", "head.csv"], 1, "no row"),
        (["make", "booklet", "--data", "many.csv"], 1, "500"),
        (["fields", "nothing"], 1, "nothing"),
    ],
)
def test_a_mistake_is_answered_in_one_line_and_nothing_is_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {"a.txt": b"", "list.json": b"[1]", "bad.json": b'{"a": "b"\n"c"}', "bad.toml": b'a = "b"\nc', "deep.json": b"[" * 100_000}
    files |= {"odd.json": '{"咨询地点": [{"a": 1}]}'.encode(), "latin.toml": b'a = "\xff"'}
    files |= {"other.csv": "甲,乙\n1,2\n".encode(), "head.csv": "咨询地点\n".encode(), "many.csv": ("咨询地点\n" + "某地\n" * 501).encode()}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    out = tmp_path / "out.pdf"
    found, answered, err = run(*arguments, *(["--out", str(out)] if arguments[0] == "make" else []))
    assert (found, answered, out.exists()) == (code, "", False)
    assert told in err and err.startswith("error: ") and err.count("\n") == 1


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("gateway") / "ledger.jsonl", wechat_url="http://127.0.0.1:9/hooks/wechat") as made:
        yield made


def test_a_label_puts_a_qr_code_of_the_offices_account_on_a_poster_and_asks_for_it_once(
    run: Run, tmp_path: Path, gateway: Gateway, new_sqlite: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "word").write_text(GOOD)
    with closing(Database(new_sqlite())) as database:
        with database.write() as session:
            for account, role in (("boss", "administrator"), ("li", "operator"), ("wang", "viewer")):
                accounts.add(session, account=account, role=role, town="", password=GOOD, now=NOON)
        for key, value in {"DATABASE_URL": database.url, "SANDBOX_URL": gateway.url, "STAFF_PASSWORD_FILE": tmp_path / "word"}.items():
            monkeypatch.setenv(f"OUTREACH_{key}", str(value))
        out = tmp_path / "p.pdf"
        lacking = run("make", "event-poster", "--label", "逍林镇公告栏", "--out", str(out))
        refused = run("make", "drive-poster", "--label", "逍林镇公告栏", "--out", str(out), "--as", "wang")
        with database.read() as session:
            assert (lacking[0], refused[0], session.scalars(select(Scene.url)).all()) == (1, 1, [])
        asking = ("make", "drive-poster", "--label", "逍林镇公告栏", "--out", str(out), "--as", "li", "--format", "json")
        first, again = document(run(*asking)), document(run(*asking))
        with database.read() as session:
            assert session.execute(select(Scene.label, Scene.url)).all() == [("逍林镇公告栏", first["qr"])]
            assert session.scalars(select(AuditEntry.act).where(AuditEntry.act == "wechat.poster")).all() == ["wechat.poster"]
    assert first["qr"] == again["qr"] and codes(out.read_bytes()) == [first["qr"]]
