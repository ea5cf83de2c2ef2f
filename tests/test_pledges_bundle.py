"""The bundle: the evidence of a signature checked on another machine, where any change shows, and whatever is in the file nothing breaks."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signers import AT, INK, NAME, Signers
from sqlalchemy import insert, update

from outreach import cli
from outreach.contacts import erasing
from outreach.database.engine import Database
from outreach.database.pledge_tables import Scan, SealedPdf, Signature
from outreach.pledges import bundle, copies, corrections, sealing, seals, signing, verifying
from outreach.pledges import erasing as pledges
from outreach.pledges.bundle import EvidenceUnknown
from outreach.pledges.corrections import CorrectionRequest
from outreach.pledges.evidence import Entry
from outreach.pledges.faults import Report
from outreach.settings import load
from outreach.staff import accounts, audit

GOOD = "correct horse battery"
SERIAL = "2026-000001"


@pytest.fixture
def office(database: Database) -> Signers:
    return signed(Signers(database).found())


def signed(office: Signers) -> Signers:
    """Three sign in one block, the first withdraws in a second, and a third block follows."""
    for number in range(3):
        office.sign(number, checks=["phone_last4"])
    office.close()
    with office.database.write() as session:
        signing.withdraw(session, SERIAL, reason="误签", by="signer", now=AT + timedelta(hours=1))
    office.close(minutes=61)
    office.sign(0, at=AT + timedelta(hours=2))
    office.close(minutes=121)
    return office


def export(office: Signers, named: str = SERIAL) -> bytes:
    with office.database.read() as session:
        return bundle.export(session, named)


def unpack(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def faults(report: Report) -> list[tuple[str, str]]:
    return [(fault.what, fault.where) for fault in report.faults]


def check(files: dict[str, bytes], **asked: str) -> list[tuple[str, str]]:
    return faults(verifying.verify_content(pack(files), **asked))


def edit(files: dict[str, bytes], name: str, change: Callable[[Any], Any]) -> dict[str, bytes]:
    """Change a JSON document in place."""
    document = json.loads(files[name])
    change(document)
    return files | {name: json.dumps(document, ensure_ascii=False).encode()}


def test_a_bundle_is_checked_without_a_database(office: Signers, tmp_path: Path) -> None:
    path = tmp_path / "存证.zip"
    path.write_bytes(export(office))
    report = verifying.verify(path)
    assert faults(report) == []
    assert report.checked == 3  # opened, signed, withdrawn
    newest = office.blocks()[-1]
    assert report.newest == (3, newest.digest)
    assert faults(verifying.verify(path, published=newest.digest.upper())) == []


def test_it_holds_the_texts_the_ink_the_proofs_and_words_for_people(office: Signers) -> None:
    files = unpack(export(office))
    version = office.rows("select digest from pledge_version")[0].digest
    texts = {f"texts/{version}/{name}" for name in ("version.json", "pledge.md", "letter.md", "privacy.md")}
    assert set(files) == {"README.txt", "bundle.json", "evidence.json", "blocks.jsonl", "signatures.json", f"ink/{SERIAL}.json", f"ink/{SERIAL}.svg"} | texts
    assert files[f"texts/{version}/pledge.md"].decode() == "不拖欠工资。"
    assert json.loads(files[f"ink/{SERIAL}.json"]) == INK
    assert files[f"ink/{SERIAL}.svg"].startswith(b"<svg ")
    readme = files["README.txt"].decode()
    for words in ("证明什么", "不证明签署人的法律身份", "What it does not prove", "legal identity", office.blocks()[-1].digest):
        assert words in readme


def test_a_stranger_can_check_it_by_the_recipe_in_the_readme(office: Signers) -> None:
    """Shares no code with the product."""
    files = unpack(export(office))

    def sha(*items: bytes) -> bytes:
        return hashlib.sha256(b"".join(items)).digest()

    def canonical(value: Any) -> bytes:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()

    heads = [json.loads(line) for line in files["blocks.jsonl"].splitlines()]
    for before, head in zip([None, *heads], heads, strict=False):
        assert sha(canonical({key: head[key] for key in head if key != "digest"})).hex() == head["digest"]
        assert before is None or head["previous"] == before["digest"]
    for row in json.loads(files["evidence.json"]):
        top = sha(b"\0", row["body"].encode())
        head = next(head for head in heads if head["number"] == row["block"])
        here, last = row["position"], head["size"] - 1
        for sibling in map(bytes.fromhex, row["proof"]):
            while here == last and not here & 1:
                here, last = here >> 1, last >> 1
            top = sha(b"\1", sibling, top) if here & 1 else sha(b"\1", top, sibling)
            here, last = here >> 1, last >> 1
        assert top.hex() == head["root"]
        committed = json.loads(row["body"])["commitment"]
        assert committed is None or committed == sha(bytes.fromhex(row["salt"]), canonical(row["personal"])).hex()


def test_the_same_evidence_makes_the_same_file_and_tells_nothing_of_others(office: Signers) -> None:
    assert export(office) == export(office)
    office.sign(1, at=AT + timedelta(hours=3))
    text = b"".join(unpack(export(office)).values()).decode()
    assert "第0鞋业有限公司" in text
    assert "第1鞋业有限公司" not in text


def test_a_code_gives_all_that_came_in_by_it_however_it_is_typed(office: Signers) -> None:
    code = office.codes[0]
    content = export(office, f" {code[:3].lower()}-{code[3:].lower()} ")
    serials = [one["serial"] for one in json.loads(unpack(content)["signatures.json"])]
    assert serials == [SERIAL, "2026-000004"]
    report = verifying.verify_content(content)
    assert (faults(report), report.checked) == ([], 4)


def test_who_only_opened_has_evidence_too_and_who_did_nothing_has_none(office: Signers) -> None:
    with office.database.write() as session:
        known = {"kind": "closed", "detail": "停业了", "way": "link", "at": AT}
        more = Signers(office.database, office.enterprises)
        more.version, more.campaign = office.version, office.campaign
        more._found(session, 7)
        corrections.correct(session, [CorrectionRequest(recipient_id=more.recipients[0], **known)])
        more._found(session, 8)
    office.close(minutes=200)
    report = verifying.verify_content(export(office, more.codes[0]))
    assert (faults(report), report.checked) == ([], 2)
    for nothing in (more.codes[1], "2026-999999", "", "QQQQQQ"):
        with pytest.raises(EvidenceUnknown):
            export(office, nothing)


def test_a_row_that_no_block_holds_yet_is_not_proved(office: Signers) -> None:
    serial = office.sign(1, at=AT + timedelta(hours=3), version_id=office.version) and SERIAL
    office.sign(0, at=AT + timedelta(hours=3))
    with office.database.write() as session:
        signing.withdraw(session, "2026-000002", reason="", by="signer", now=AT + timedelta(hours=4))
    report = verifying.verify_content(export(office, "2026-000002"))
    assert [what for what, _where in faults(report)] == ["row_open"]
    assert faults(verifying.verify_content(export(office, serial))) == []


def test_an_erased_signer_is_not_in_the_bundle_and_it_still_verifies(office: Signers) -> None:
    with office.database.write() as session:
        pledges.erase(session, office.contacts[0], by="alice", now=AT + timedelta(days=1))
        erasing.erase(session, office.contacts[0], now=AT + timedelta(days=1))
    office.close(minutes=2000)
    content = export(office)
    report = verifying.verify_content(content)
    assert (faults(report), report.checked) == ([], 4)
    files = unpack(content)
    assert NAME not in b"".join(files.values()).decode()
    assert not any(name.startswith("ink/") for name in files)


def test_scanned_sheets_come_along(office: Signers) -> None:
    sheet = {"name": "1.png", "kind": "image/png", "recorded_by": "alice", "recorded_at": AT, "content": b"one"}
    digest = hashlib.sha256(b"one").hexdigest()
    office.write(insert(Scan).values(id=1, digest=digest, signature_id=1, **sheet))
    told = {"serial": SERIAL, "scan": digest, "by": "alice"}
    added = Entry(act="scan_added", at=AT, enterprise_id=office.enterprises[0], recipient_id=None, signature_id=1, facts=told)
    with office.database.write() as session:
        sealing.append(session, [added])
    office.close(minutes=200)
    files = unpack(export(office))
    assert files[f"scans/{digest}.png"] == b"one"
    assert check(files) == []
    assert check({name: content for name, content in files.items() if not name.startswith("scans/")}) == [("scan_missing", "evidence 9")]
    assert check(files | {f"scans/{digest}.png": b"two"}) == [("scan_altered", f"scans/{digest}.png")]


# what was changed


KEPT_BUNDLE: list[bytes] = []


def original(new_sqlite: Callable[[], str]) -> dict[str, bytes]:
    """Return the files of a bundle, which is made once."""
    if not KEPT_BUNDLE:
        with closing(Database(new_sqlite())) as database:
            KEPT_BUNDLE.append(export(signed(Signers(database).found())))
    return unpack(KEPT_BUNDLE[0])


@pytest.fixture
def files(new_sqlite: Callable[[], str]) -> dict[str, bytes]:
    return original(new_sqlite)


def first(key: str, value: Any) -> Callable[[Any], Any]:
    return lambda rows: rows[1].__setitem__(key, value)


CHANGES: dict[str, tuple[str, Callable[[Any], Any], set[str]]] = {
    "body": ("evidence.json", lambda rows: rows[1].__setitem__("body", rows[1]["body"].replace("鞋业", "皮业")), {"row_altered", "signature_altered"}),
    "leaf": ("evidence.json", first("leaf", "ab" * 32), {"row_altered", "proof_wrong"}),
    "no hex": ("evidence.json", first("leaf", "xy"), {"row_altered", "proof_wrong"}),
    "position": ("evidence.json", first("position", 0), {"proof_wrong"}),
    "far position": ("evidence.json", first("position", 2**62), {"proof_wrong"}),
    "block": ("evidence.json", first("block", 2), {"proof_wrong"}),
    "no such block": ("evidence.json", first("block", 99), {"proof_wrong"}),
    "proof": ("evidence.json", lambda rows: rows[1]["proof"].reverse(), {"proof_wrong"}),
    "no hex in proof": ("evidence.json", lambda rows: rows[1]["proof"].append("zz"), {"proof_wrong"}),
    "signer": ("evidence.json", lambda rows: rows[1]["personal"].__setitem__("signer", "李四"), {"personal_altered", "signature_altered"}),
    "salt": ("evidence.json", first("salt", "00" * 16), {"personal_altered"}),
    "no salt": ("evidence.json", first("salt", None), {"personal_altered"}),
    "no personal": ("evidence.json", first("personal", None), {"personal_missing", "signature_altered"}),
    "signing left out": ("evidence.json", lambda rows: rows.pop(1), {"signature_unproved"}),
    "withdrawal left out": ("evidence.json", lambda rows: rows.pop(2), {"state_wrong"}),
    "state": ("signatures.json", lambda rows: rows[0].__setitem__("state", "signed"), {"state_wrong"}),
    "enterprise": ("signatures.json", lambda rows: rows[0].__setitem__("enterprise", "别的"), {"signature_altered"}),
    "moment": ("signatures.json", lambda rows: rows[0].__setitem__("signed_at", "yesterday"), {"signature_altered"}),
    "other ink": ("signatures.json", lambda rows: rows[0].__setitem__("ink", [[[1, 2, 3]]]), {"signature_altered", "ink_altered"}),
    "no ink at all": ("signatures.json", lambda rows: rows[0].__setitem__("ink", [["x"]]), {"signature_altered", "ink_altered"}),
    "signature left out": ("signatures.json", lambda rows: rows.clear(), {"signature_missing"}),
}


@pytest.mark.parametrize(("name", "change", "found"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_found_and_named(files: dict[str, bytes], name: str, change: Callable[[Any], Any], found: set[str]) -> None:
    assert {what for what, _where in check(edit(files, name, change))} == found


def lines(files: dict[str, bytes], change: Callable[[list[Any]], Any]) -> dict[str, bytes]:
    heads = [json.loads(line) for line in files["blocks.jsonl"].splitlines()]
    change(heads)
    return files | {"blocks.jsonl": "".join(json.dumps(head) + "\n" for head in heads).encode()}


HEADS: dict[str, tuple[Callable[[list[Any]], Any], set[str]]] = {
    "root": (lambda heads: heads[2].__setitem__("root", "ab" * 32), {"block_altered"}),
    "size": (lambda heads: heads[0].__setitem__("size", 99), {"block_altered", "proof_wrong"}),
    "moment": (lambda heads: heads[2].__setitem__("closed_at", "2020-01-01T00:00:00.000000Z"), {"block_altered"}),
    "no moment": (lambda heads: heads[2].__setitem__("closed_at", "never"), {"block_altered"}),
    "previous": (lambda heads: heads[1].__setitem__("previous", "ab" * 32), {"block_altered", "chain_broken"}),
    "genesis": (lambda heads: heads[0].__setitem__("previous", "ab" * 32), {"block_altered", "chain_broken"}),
    "gap": (lambda heads: heads.pop(1), {"block_missing", "proof_wrong"}),
    "cut short": (lambda heads: heads.pop(), {"block_missing"}),
    "none": (lambda heads: heads.clear(), {"block_missing", "proof_wrong"}),
    "huge": (lambda heads: heads[2].__setitem__("number", 2**60), {"block_altered", "block_missing"}),
}


@pytest.mark.parametrize(("change", "found"), HEADS.values(), ids=HEADS)
def test_a_change_in_the_chain_is_found(files: dict[str, bytes], change: Callable[[list[Any]], Any], found: set[str]) -> None:
    assert found <= {what for what, _where in check(lines(files, change))} <= found | {"block_missing"}


def test_a_changed_text_is_found_in_either_of_its_files(files: dict[str, bytes]) -> None:
    for name in [name for name in files if name.startswith("texts/")]:
        assert check(files | {name: files[name].replace("不拖欠".encode(), "可拖欠".encode()).replace(b"title", b"tit1e") + b" "}) != [], name
        assert check({other: content for other, content in files.items() if other != name}) != []


def test_a_changed_drawing_is_found(files: dict[str, bytes]) -> None:
    for name in (f"ink/{SERIAL}.json", f"ink/{SERIAL}.svg"):
        assert check(files | {name: files[name].replace(b"1", b"2")}) == [("ink_altered", f"signature {SERIAL}")]


def test_a_chain_that_is_not_the_published_one_is_found(files: dict[str, bytes]) -> None:
    assert check(files, published="ab" * 32) == [("chain_foreign", "ab" * 32)]


@pytest.mark.parametrize("name", ["bundle.json", "evidence.json", "blocks.jsonl", "signatures.json"])
def test_a_missing_or_unreadable_file_is_a_fault_and_no_crash(files: dict[str, bytes], name: str) -> None:
    assert check({other: content for other, content in files.items() if other != name}) == [("file_missing", name)]
    for rubbish in (b"{", b"\xff\xfe", b"[1]", b"[" * 100_000, b'{"format": 7}', b"null"):
        assert check(files | {name: rubbish}) == [("file_unreadable", name)]


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04" + b"\0" * 40, b"%PDF-1.7", pack({}), pack({"bundle.json": b"{}"})])
def test_what_is_no_bundle_is_a_fault_and_no_crash(content: bytes, tmp_path: Path) -> None:
    assert not verifying.verify_content(content).ok
    assert not verifying.verify(tmp_path / "not there.zip").ok


def test_a_bundle_that_would_fill_the_memory_is_not_unpacked(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> None:
    monkeypatch.setattr(verifying, "LARGEST", 10_000)
    assert check(files | {"bomb": b"\0" * 20_000}) == [("file_unreadable", "zip")]


@given(st.data())
@settings(max_examples=60)
def test_one_changed_byte_anywhere_that_counts_is_found(new_sqlite: Callable[[], str], data: st.DataObject) -> None:
    files = original(new_sqlite)
    name = data.draw(st.sampled_from(sorted(files.keys() - {"README.txt"})))
    raw = bytearray(files[name])
    place = data.draw(st.sampled_from([place for place, byte in enumerate(raw) if byte not in b" \n"]))
    raw[place] ^= data.draw(st.sampled_from([1, 2, 4]))
    if name.endswith(("json", "jsonl")) and _same(bytes(raw), files[name]):
        return  # the same document, written otherwise; or a row that nobody erased is called by another number
    assert check(files | {name: bytes(raw)}) != []


def _same(one: bytes, other: bytes) -> bool:
    try:
        return bool(_unnumbered(json.loads(one)) == _unnumbered(json.loads(other)))
    except ValueError:
        return False


def _unnumbered(document: Any) -> Any:
    """Leave out the numbers of rows: each is only what a row is called. Those of erased rows stand in the entry that erased them."""
    if not isinstance(document, list):
        return document
    return [{key: value for key, value in row.items() if key != "id"} if isinstance(row, dict) and "leaf" in row else row for row in document]


# the commands


@pytest.fixture
def desk(tmp_path: Path, new_sqlite: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Signers]:
    with closing(Database(new_sqlite())) as database:
        office = Signers(database).found()
        office.sign(0)
        with database.write() as session:
            for account, town in (("li", ""), ("qiao", "逍林镇")):
                accounts.add(session, account=account, role="administrator", town=town, password=GOOD, now=AT)
        (tmp_path / "word").write_text(GOOD)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("OUTREACH_HOME", str(tmp_path))
        monkeypatch.setenv("OUTREACH_DATABASE_URL", database.url)
        monkeypatch.setenv("OUTREACH_LANG", "en")
        yield office


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = cli.run(["pledges", *arguments, "--format", "json"])
    said = capsys.readouterr().out
    return code, json.loads(said) if said else None


def test_the_commands_export_and_verify_elsewhere(desk: Signers, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code, answer = run(capsys, "export-evidence", SERIAL, "--out", "proof.zip")
    assert (code, answer["file"], answer["rows"], answer["ok"]) == (0, "proof.zip", 2, True)
    assert answer["newest_block"]["digest"] == desk.blocks()[-1].digest
    with desk.database.read() as session:
        assert [(entry.act, entry.subject) for entry in audit.listing(session)] == [("pledges.export_evidence", SERIAL)]
    monkeypatch.setenv("OUTREACH_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("OUTREACH_DATABASE_URL", f"sqlite:///{tmp_path}/elsewhere/none.db")
    code, answer = run(capsys, "verify", "proof.zip")
    assert (code, answer["ok"], answer["checked"], answer["faults"]) == (0, True, 2, [])
    assert run(capsys, "verify", "proof.zip", "--digest", "ab" * 32)[0] == 1
    content = bytearray(Path("proof.zip").read_bytes())
    content[len(content) // 2] ^= 1
    Path("bad.zip").write_bytes(content)
    code, answer = run(capsys, "verify", "bad.zip")
    assert (code, answer["ok"], set(answer["faults"][0])) == (1, False, {"what", "where"})
    assert not (tmp_path / "elsewhere").exists()


def test_the_audit_command_answers_in_json_and_words_and_fails_with_a_fault(desk: Signers, capsys: pytest.CaptureFixture[str]) -> None:
    code, answer = run(capsys, "audit")
    assert (code, answer["ok"], answer["checked"], answer["faults"], answer["open"]) == (0, True, 2, [], 2)
    desk.close()
    assert run(capsys, "audit", "--digest", desk.blocks()[0].digest)[0] == 0
    assert run(capsys, "audit", "--digest", "ab" * 32)[0] == 1
    desk.write(update(Signature).values(signer="李四"))
    code, answer = run(capsys, "audit")
    assert (code, answer["faults"]) == (1, [{"what": "signature_altered", "where": f"signature {SERIAL} signer"}])
    assert cli.run(["pledges", "audit"]) == 1
    assert "a signature is not as it was signed" in capsys.readouterr().out


def test_a_pdf_is_checked_by_its_seal_and_by_the_copy_that_is_kept(desk: Signers, capsys: pytest.CaptureFixture[str]) -> None:
    Path("plain.pdf").write_bytes(b"%PDF-1.7 one")
    code, answer = run(capsys, "verify", "plain.pdf")
    assert (code, [fault["what"] for fault in answer["faults"]]) == (1, ["seal_missing"])
    digest = hashlib.sha256(b"%PDF-1.7 one").hexdigest()
    desk.write(insert(SealedPdf).values(signature_id=1, content=b"%PDF-1.7 one", digest=digest, made_at=AT, sealed=False))
    code, answer = run(capsys, "verify", "plain.pdf")
    assert (code, answer["ok"], answer["checked"]) == (0, True, 1)


def test_a_sealed_pdf_is_checked_on_any_machine_that_has_the_certificate(desk: Signers, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    seals.make_certificate(tmp_path, "示例市人社局", now=AT)
    office = load(tmp_path)
    with desk.database.read() as session:
        copy = copies.made(copies.material(session, SERIAL), settings=office, now=AT)
    Path("sealed.pdf").write_bytes(copy.content)
    code, answer = run(capsys, "verify", "sealed.pdf")
    assert (code, answer["faults"]) == (0, [])
    Path("altered.pdf").write_bytes(copy.content.replace(b"%%EOF", b"%%EOG", 1))
    code, answer = run(capsys, "verify", "altered.pdf")
    assert (code, [fault["what"] for fault in answer["faults"]]) == (1, ["seal_broken"])
    (tmp_path / "seal.pem").unlink()
    code, answer = run(capsys, "verify", "sealed.pdf")
    assert (code, answer["faults"]) == (1, [{"what": "seal_unknown", "where": SERIAL}])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["verify", "not there.zip"], 1, "not there.zip"),
        (["export-evidence", "2026-999999"], 1, "2026-999999"),
        (["export-evidence", SERIAL, "--out", "no/such/folder.zip"], 1, "folder.zip"),
        (["export-evidence", SERIAL, "--as", "qiao", "--password-file", "word"], 1, "逍林镇"),
        (["audit", "--format", "csv"], 2, "csv"),
    ],
)
def test_the_commands_refuse_in_one_line(desk: Signers, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str) -> None:
    assert cli.run(["pledges", *arguments]) == code
    told = capsys.readouterr()
    assert said in told.err
    assert told.out == ""
    assert list(Path().glob("*.zip*")) == []
