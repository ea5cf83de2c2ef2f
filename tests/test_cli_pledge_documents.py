"""The papers of a pledge at the command line: sheets, signed pledges, and a certificate that says what it is worth."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from papers import codes, words
from sqlalchemy import update

from outreach import cli, clock
from outreach.database.engine import Database
from outreach.database.pledge_tables import Signature
from outreach.database.tables import Enterprise
from outreach.pledges import seals
from outreach.settings import load
from outreach.staff import accounts

from drive import PLEDGE, Office, office, phone  # isort: skip

Run = Callable[..., tuple[int, str, str]]
GOOD = "correct horse battery"


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Office:
    """Three enterprises that are asked, of which the first has signed."""
    desk = office(database, tmp_path)
    desk.enterprises(2)
    desk.enterprises(town="观海卫镇", phones=[phone(9)])
    desk.asking()
    desk.asking("other", town="观海卫镇")
    desk.sign(desk.signing(desk.recipients()[0].id))
    return desk


@pytest.fixture
def run(desk: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("OUTREACH_LANG", "en")
    monkeypatch.setenv("OUTREACH_DATABASE_URL", desk.database.url)
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int, str, str]:
        code = cli.run(["--home", str(tmp_path), "pledges", *arguments])
        return code, *capsys.readouterr()

    return command


def test_sheets_are_printed_for_codes_and_for_a_campaign(run: Run, desk: Office, tmp_path: Path) -> None:
    _signed, left, other = desk.recipients()
    code, out, err = run("form", left.code, other.code, "--out", "sheets.pdf")
    assert (code, out.strip()) == (0, "Sheets to sign by hand: 2, in sheets.pdf.")
    assert "record-paper" in err
    content = (tmp_path / "sheets.pdf").read_bytes()
    assert len(codes(content)) == 2 and left.code in words(content) and other.code in words(content)
    code, out, _err = run("form", "--campaign", "drive", "--town", "桥头镇", "--out", "town.pdf", "--format", "json")
    assert code == 0
    assert json.loads(out) == {"sheets": 1, "blank": 0, "file": "town.pdf", "bytes": (tmp_path / "town.pdf").stat().st_size, "left_out": {}}
    assert codes((tmp_path / "town.pdf").read_bytes())[0].endswith("/p/" + desk.link(left.id, way="paper"))


def test_an_event_gets_the_sheets_of_its_towns_and_blank_ones_behind_them(run: Run, desk: Office, tmp_path: Path) -> None:
    _signed, left, other = desk.recipients()
    place = ("--town", "桥头镇", "--town", "观海卫镇", "--event", "招聘会")
    code, out, _err = run("form", *place, "--out", "towns.pdf", "--format", "json")
    assert (code, json.loads(out)["sheets"]) == (0, 2)
    said = words((tmp_path / "towns.pdf").read_bytes())
    assert said.count("招聘会") == 2 and left.code in said and other.code in said
    code, out, _err = run("form", "--campaign", "drive", "--blank", "3", "--event", "招聘会", "--out", "both.pdf")
    assert code == 0 and out.splitlines() == ["Sheets to sign by hand: 4, in both.pdf.", "Of them blank, to be recorded by the number of the enterprise: 3"]
    found = codes((tmp_path / "both.pdf").read_bytes())
    assert [address.endswith("/p/" + desk.link(left.id, way="paper")) for address in found] == [True, False, False, False]
    code, out, _err = run("form", "--town", "桥头镇", "--blank", "2", "--out", "blank.pdf", "--format", "json")
    assert (code, json.loads(out)["sheets"], json.loads(out)["blank"]) == (0, 2, 2)
    assert words((tmp_path / "blank.pdf").read_bytes()).count("桥头镇") == 2
    assert run("form", "--blank", "1", "--pledge", PLEDGE, "--out", "named.pdf")[0] == 0
    assert run("form", "--town", "桥头镇", "--blank", "2", "--out", "again.pdf")[0] == 0
    assert (tmp_path / "again.pdf").read_bytes() == (tmp_path / "blank.pdf").read_bytes(), "the same sheets are the same file"


def test_an_audience_and_a_village_narrow_what_is_printed(run: Run, desk: Office) -> None:
    _signed, left, _other = desk.recipients()
    desk.write(update(Enterprise).where(Enterprise.name == left.fields["enterprise"]).values(village="五村"))
    for arguments, sheets in (
        (("--village", "五村"), 1),
        (("--village", "五村", "--village", "六村"), 1),
        (("--audience", f"企业名称 = {left.fields['enterprise']}"), 1),
        (("--campaign", "drive", "--audience", "手机 != 13800000009"), 1),
        ((left.code, "--village", "五村"), 1),
    ):
        code, out, _err = run("form", *arguments, "--out", "x.pdf", "--format", "json")
        assert (code, json.loads(out or "{}").get("sheets")) == (0, sheets), arguments


def test_a_town_s_staff_print_their_own_towns_sheets_only(run: Run, desk: Office, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(GOOD)
    with desk.database.write() as session:
        for account, role, town in (("alice", "administrator", ""), ("carol", "operator", "观海卫镇")):
            accounts.add(session, account=account, role=role, password=GOOD, town=town, now=clock.now())
    signed = ("--as", "carol", "--password-file", str(tmp_path / "password"), "--format", "json", "--out", "own.pdf")
    code, _out, err = run("form", "--town", "桥头镇", *signed)
    assert code == 1 and "观海卫镇" in err
    code, out, _err = run("form", "--audience", "全部", *signed)
    assert (code, json.loads(out)["sheets"]) == (0, 1)
    assert desk.recipients()[2].code in words((tmp_path / "own.pdf").read_bytes())


def test_a_name_without_type_is_left_out_and_named(run: Run, desk: Office) -> None:
    _signed, left, other = desk.recipients()
    desk.write(update(Enterprise).where(Enterprise.name == left.fields["enterprise"]).values(name="𪛖野食品厂"))
    code, out, err = run("form", left.code, other.code, "--out", "x.pdf", "--format", "json")
    assert (code, json.loads(out)["left_out"]) == (0, {"𪛖野食品厂": "𪛖 (U+2A6D6)"}) and "𪛖" in err
    code, out, err = run("form", left.code, "--out", "y.pdf")
    assert (code, out) == (1, "") and "U+2A6D6" in err


def test_what_cannot_be_printed_is_said_in_one_line_and_leaves_no_file(run: Run, desk: Office, tmp_path: Path) -> None:
    signed = desk.recipients()[0]
    for arguments, exit_code, said in (
        (("--out", "x.pdf"), 2, "Say whose sheets"),
        ((signed.code, "--campaign", "drive", "--out", "x.pdf"), 2, "not both"),
        (("AAAAAA", "--out", "x.pdf"), 1, "AAAAAA"),
        ((signed.code, "--out", "x.pdf"), 1, "Nobody is left"),
        (("--campaign", "nothing", "--out", "x.pdf"), 1, "nothing"),
        (("--blank", "2", "--village", "五村", "--out", "x.pdf"), 2, "--village"),
        (("--campaign", "drive", "--pledge", "other", "--out", "x.pdf"), 2, "--blank"),
        (("--blank", "2", "--pledge", "nothing", "--out", "x.pdf"), 1, "nothing"),
        (("--town", "无此镇", "--out", "x.pdf"), 1, "无此镇"),
        (("--campaign", "drive", "--event", "会" * 61, "--out", "x.pdf"), 1, "61"),
        (("--campaign", "other", "--out", "no/such/folder/x.pdf"), 1, "cannot be written"),
    ):
        code, out, err = run("form", *arguments)
        assert (code, out) == (exit_code, "")
        assert said in err and len(err.strip().splitlines()) == 1, err
    assert not list(tmp_path.rglob("x.pdf*"))


def test_the_pdf_of_a_signature_is_the_same_file_each_time(run: Run, desk: Office, tmp_path: Path) -> None:
    [signature] = desk.rows(Signature)
    code, out, err = run("pdf", signature.serial)
    assert code == 0 and "It bears no seal" in out and "pledges certificate" in err
    first = (tmp_path / f"{signature.serial}.pdf").read_bytes()
    code, out, _err = run("pdf", signature.serial, "--out", "again.pdf", "--format", "json")
    document = json.loads(out)
    assert (tmp_path / "again.pdf").read_bytes() == first
    assert (document["serial"], document["sealed"], document["sha256"]) == (signature.serial, False, hashlib.sha256(first).hexdigest())
    assert run("pdf", "2026-999999")[0] == 1


def test_a_certificate_is_made_once_says_what_it_is_worth_and_seals_from_then_on(run: Run, desk: Office, tmp_path: Path) -> None:
    [signature] = desk.rows(Signature)
    code, out, _err = run("certificate")
    assert code == 0
    assert "Nobody but this office vouches for it" in out and "自制演示证书" in out and "seal_key" in out
    code, out, _err = run("pdf", signature.serial, "--out", "sealed.pdf")
    assert code == 0 and "It bears the office's seal." in out
    found = seals.look((tmp_path / "sealed.pdf").read_bytes(), settings=load(tmp_path))
    assert (found.intact, found.ours, found.serial) == (True, True, signature.serial)
    code, _out, err = run("certificate")
    assert code == 1 and "seal.pem" in err


def test_check_names_the_type_and_the_seal(run: Run, desk: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def found() -> dict[str, tuple[str, str]]:
        cli.run(["--home", str(tmp_path), "check", "--format", "json"])
        return {item["name"]: (item["state"], item["detail"]) for item in json.loads(capsys.readouterr().out)["checks"]}

    assert found()["fonts"][0] == "ok" and "Noto Serif SC" in found()["fonts"][1]
    assert found()["seal"] == ("ok", "none: PDFs of signed pledges are handed out plain")
    run("certificate")
    assert found()["seal"][0] == "ok" and "自制演示证书" in found()["seal"][1]
    (tmp_path / "secrets" / "seal_key").write_text("no key")
    assert found()["papers"][0] == "fail"
