"""The papers of a pledge at the command line: sheets, signed pledges, and a certificate that says what it is worth."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from papers import codes, words

from outreach import cli
from outreach.database.engine import Database
from outreach.database.pledge_tables import Signature
from outreach.pledges import seals
from outreach.settings import load

from drive import Office, office, phone  # isort: skip

Run = Callable[..., tuple[int, str, str]]


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
    assert json.loads(out) == {"sheets": 1, "file": "town.pdf", "bytes": (tmp_path / "town.pdf").stat().st_size}
    assert codes((tmp_path / "town.pdf").read_bytes())[0].endswith("/p/" + desk.link(left.id, way="paper"))


def test_what_cannot_be_printed_is_said_in_one_line_and_leaves_no_file(run: Run, desk: Office, tmp_path: Path) -> None:
    signed = desk.recipients()[0]
    for arguments, exit_code, said in (
        (("--out", "x.pdf"), 2, "Name the codes"),
        ((signed.code, "--campaign", "drive", "--out", "x.pdf"), 2, "not both"),
        (("AAAAAA", "--out", "x.pdf"), 1, "AAAAAA"),
        ((signed.code, "--out", "x.pdf"), 1, "Nobody is left"),
        (("--campaign", "nothing", "--out", "x.pdf"), 1, "nothing"),
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
