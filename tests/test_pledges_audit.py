"""The audit: what is as it was passes; whatever is altered, lost or slipped in is found and named."""

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from signers import AT, NAME, Signers
from sqlalchemy import delete, insert, select, update

from outreach.database.engine import Database
from outreach.database.pledge_tables import Correction, Evidence, EvidenceBlock, EvidencePersonal, Refusal, Scan, SealedPdf, Signature
from outreach.pledges import corrections, evidence, sealing, signing
from outreach.pledges.corrections import CorrectionRequest
from outreach.pledges.evidence import Entry
from outreach.pledges.signing import DeclineRequest


@pytest.fixture
def office(database: Database) -> Signers:
    return Signers(database).found()


@pytest.fixture
def signed(office: Signers) -> Signers:
    """Two have signed, in a block each; of the third only the opening is known, in no block yet. Rows: 1 opened, 2 signed; 3, 4; 5."""
    for number in (0, 1):
        office.sign(number)
        office.close(minutes=number)
    with office.database.write() as session:
        signing.opened(session, [office.recipients[2]], now=AT)
    return office


def withdraw(office: Signers, serial: str) -> None:
    with office.database.write() as session:
        signing.withdraw(session, serial, reason="签错了", by="signer", now=AT + timedelta(hours=1))


def test_what_was_not_touched_passes(signed: Signers) -> None:
    report = signed.audit()
    assert (report.faults, report.checked, report.open) == ([], 5, 1)
    block = signed.blocks()[-1]
    assert report.newest == (2, block.digest)
    assert report.document() == {"ok": True, "checked": 5, "faults": [], "open": 1, "newest_block": {"number": 2, "digest": block.digest}}


def test_an_office_without_evidence_has_nothing_to_find(office: Signers) -> None:
    report = office.audit()
    assert (report.ok, report.checked, report.newest) == (True, 0, None)


def test_a_signature_through_its_whole_life_passes(office: Signers) -> None:
    paper = office.sign(0, method="paper", way="paper", ink=None, state="pending", recorded_by="alice")
    assert office.faults() == []
    office.sign(0, at=AT + timedelta(minutes=1))  # with the same text, and this one counts
    typed = office.sign(1, method="typed", ink=None, checks=["phone_last4"])
    withdraw(office, typed)
    office.sign(1, at=AT + timedelta(hours=2))
    office.close()
    assert office.signature(paper).state == "superseded"
    assert office.signature(typed).state == "withdrawn"
    assert office.faults() == []


def test_a_scan_that_came_later_makes_a_pending_paper_count(office: Signers) -> None:
    serial = office.sign(0, method="paper", way="paper", state="pending")
    key = office.signature(serial).id
    office.write(update(Signature).values(state="signed"))
    assert office.faults() == [("state_wrong", f"signature {serial} state")]
    with office.database.write() as session:
        added = Entry(act="scan_added", at=AT, enterprise_id=office.enterprises[0], recipient_id=None, signature_id=key, facts={"serial": serial})
        sealing.append(session, [added])
    assert office.faults() == []


EVIDENCE = {
    "body": ("update evidence set body = replace(body, '鞋业', '皮业') where id = 2", [("root_wrong", "block 1"), ("row_altered", "evidence 2")]),
    "leaf": ("update evidence set leaf = 'ab' || substr(leaf, 3) where id = 4", [("row_altered", "evidence 4")]),
    "act": ("update evidence set act = 'code_sent' where id = 1", [("row_altered", "evidence 1")]),
    "enterprise": ("update evidence set enterprise_id = null where id = 2", [("row_altered", "evidence 2")]),
    "recipient": ("update evidence set recipient_id = 2 where id = 1", [("row_altered", "evidence 1")]),
    "open row": ("update evidence set body = '{}' where id = 5", [("row_altered", "evidence 5")]),
    "position": ("update evidence set position = 1 - position where block_id = 1", [("root_wrong", "block 1")]),
    "lost": ("delete from evidence where id = 1", [("position_wrong", "block 1"), ("root_wrong", "block 1")]),
    "taken out": ("update evidence set block_id = null, position = null where id = 3", [("position_wrong", "block 2"), ("root_wrong", "block 2")]),
    "moved": ("update evidence set block_id = 2, position = 2 where id = 1", [("root_wrong", "block 1"), ("position_wrong", "block 2")]),
}


@pytest.mark.parametrize("office", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("statement", "found"), EVIDENCE.values(), ids=EVIDENCE)
def test_an_altered_row_of_evidence_is_found(signed: Signers, statement: str, found: list[tuple[str, str]]) -> None:
    signed.unguard()
    signed.write(statement)
    faults = signed.faults()
    assert set(found) <= set(faults)
    assert {where for _what, where in faults} <= {where for _what, where in found} | {"block 1", "block 2", "signature 2026-000001 enterprise"}


def test_a_row_whose_leaf_was_forged_with_its_body_is_found_by_the_root(signed: Signers) -> None:
    signed.unguard()
    body = signed.rows("select body from evidence where id = 1")[0].body
    signed.forge(1, body.replace('"opened"', '"code_sent"'))
    signed.write("update evidence set act = 'code_sent' where id = 1")
    assert signed.faults() == [("root_wrong", "block 1")]


def test_a_row_slipped_in_is_found(signed: Signers) -> None:
    body = evidence.body(Entry(act="opened", at=AT, enterprise_id=None, recipient_id=None, signature_id=None, facts={}), None)
    row = {"id": 77, "act": "opened", "at": AT, "body": body, "leaf": evidence.leaf(body)}
    signed.write(insert(Evidence).values(**row, block_id=1, position=2))
    assert signed.faults() == [("position_wrong", "block 1"), ("root_wrong", "block 1")]


BLOCKS = {
    "root": ("update evidence_block set root = 'ab' || substr(root, 3) where id = 1", {"block_altered", "root_wrong"}),
    "size": ("update evidence_block set size = 3 where id = 1", {"block_altered", "position_wrong"}),
    "digest": ("update evidence_block set digest = 'ab' || substr(digest, 3) where id = 1", {"block_altered", "chain_broken"}),
    "previous": ("update evidence_block set previous = 'ab' || substr(previous, 3) where id = 2", {"block_altered", "chain_broken"}),
}


@pytest.mark.parametrize("office", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("statement", "found"), BLOCKS.values(), ids=BLOCKS)
def test_an_altered_head_of_a_block_is_found(signed: Signers, statement: str, found: set[str]) -> None:
    signed.write(statement)
    assert {what for what, _where in signed.faults()} == found


def test_a_block_dated_back_is_found(signed: Signers) -> None:
    signed.write(update(EvidenceBlock).where(EvidenceBlock.id == 1).values(closed_at=AT - timedelta(days=30)))
    assert signed.faults() == [("block_altered", "block 1")]


def test_a_lost_block_is_found(signed: Signers) -> None:
    signed.unguard()
    signed.write("update evidence set block_id = null, position = null where block_id = 1")
    signed.write("delete from evidence_block where id = 1")
    assert signed.faults() == [("block_missing", "block 1")]


def test_altered_personal_data_are_found(signed: Signers) -> None:
    with signed.database.write() as session:
        session.get_one(EvidencePersonal, 2).content = {"signer": "李四"}
        session.get_one(EvidencePersonal, 4).salt = "00" * 16
    assert [fault for fault in signed.faults() if fault[0] == "personal_altered"] == [("personal_altered", "evidence 2"), ("personal_altered", "evidence 4")]


def test_personal_data_that_are_gone_without_an_erasure_are_found(signed: Signers) -> None:
    signed.write("delete from evidence_personal where evidence_id = 4")
    assert ("personal_missing", "evidence 4") in signed.faults()


SIGNATURE: dict[str, Any] = {
    "signer": "李四",
    "capacity": "principal",
    "relation": "",
    "ink": [[[1, 2, 3]]],
    "enterprise": "别的企业",
    "serial": "2026-999999",
    "way": "staff",
    "method": "typed",
    "checks": ["one_time_code"],
    "honour": False,
    "recorded_by": "bob",
    "signed_at": AT - timedelta(days=1),
    "recipient_id": 2,
    "enterprise_id": 3,
}


@pytest.mark.parametrize("office", ["sqlite"], indirect=True)
@pytest.mark.parametrize("column", SIGNATURE)
def test_a_signature_altered_after_signing_is_found(signed: Signers, column: str) -> None:
    signed.write(update(Signature).where(Signature.id == 1).values({column: SIGNATURE[column]}))
    serial = "2026-999999" if column == "serial" else "2026-000001"
    assert signed.faults() == [("signature_altered", f"signature {serial} {column}")]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"state": "withdrawn"}, ["state"]),
        ({"state": "superseded", "superseded_by": 2}, ["state", "superseded_by"]),
        ({"state": "pending"}, ["state"]),
        ({"ended_at": AT}, ["ended_at"]),
        ({"ended_reason": "自愿"}, ["ended_reason"]),
    ],
)
def test_a_state_that_nothing_brought_about_is_found(signed: Signers, values: dict[str, Any], told: list[str]) -> None:
    signed.write(update(Signature).where(Signature.id == 1).values(**values))
    assert signed.faults() == [("state_wrong", f"signature 2026-000001 {name}") for name in told]


def test_a_withdrawal_that_was_undone_is_found(signed: Signers) -> None:
    withdraw(signed, "2026-000001")
    assert signed.faults() == []
    signed.write("update signature set state = 'signed', ended_at = null, ended_reason = null where id = 1")
    assert signed.faults() == [("state_wrong", f"signature 2026-000001 {name}") for name in ("state", "ended_at", "ended_reason")]


def test_a_signature_without_evidence_and_evidence_without_its_signature_are_found(signed: Signers) -> None:
    with signed.database.write() as session:
        known = dict(session.execute(select(Signature.__table__).where(Signature.id == 1)).one()._mapping)
        session.execute(insert(Signature).values(known | {"id": 9, "serial": "2026-000009", "enterprise_id": signed.enterprises[2]}))
    assert signed.faults() == [("signature_unproved", "signature 2026-000009")]
    signed.write("delete from signature where id in (2, 9)")
    assert signed.faults() == [("signature_missing", "signature 2")]


@pytest.mark.parametrize("office", ["sqlite"], indirect=True)
@pytest.mark.parametrize("column", ["source", "letter", "privacy", "title"])
def test_an_altered_text_is_found(signed: Signers, column: str) -> None:
    signed.write(f"update pledge_version set {column} = 'x'")
    assert signed.faults() == [("text_altered", "pledge no-arrears-2026 1")]


def sheet(office: Signers, content: bytes = b"one", **changes: Any) -> str:
    """Keep a scanned sheet of the first signature, with its evidence; return its digest."""
    digest = hashlib.sha256(content).hexdigest()
    known = {"name": "1.png", "kind": "image/png", "recorded_by": "alice", "recorded_at": AT, "signature_id": 1}
    office.write(insert(Scan).values(digest=digest, content=content, **known | changes))
    told = {"serial": "2026-000001", "scan": digest, "by": "alice"}
    added = Entry(act="scan_added", at=AT, enterprise_id=office.enterprises[0], recipient_id=None, signature_id=1, facts=told)
    with office.database.write() as session:
        sealing.append(session, [added])
    return digest


def test_an_altered_scan_and_an_altered_pdf_are_found(signed: Signers) -> None:
    digest = sheet(signed)
    sheet(signed, b"its back")
    signed.write(insert(SealedPdf).values(signature_id=1, content=b"one", digest=digest, made_at=AT, sealed=True))
    assert signed.faults() == []
    signed.write(update(Scan).where(Scan.digest == digest).values(content=b"two"))
    signed.write(update(SealedPdf).values(content=b"two"))
    assert signed.faults() == [("scan_altered", "scan 1"), ("pdf_altered", "signature 2026-000001")]
    signed.write(update(Scan).where(Scan.digest == digest).values(content=b""))
    assert ("scan_altered", "scan 1") in signed.faults()


def test_a_sheet_that_is_gone_or_was_slipped_in_is_found(signed: Signers) -> None:
    digest = sheet(signed)
    signed.write(delete(Scan))
    assert signed.faults() == [("scan_missing", "signature 1")]
    known = {"name": "1.png", "kind": "image/png", "recorded_by": "alice", "recorded_at": AT}
    signed.write(insert(Scan).values(id=8, digest=hashlib.sha256(b"x").hexdigest(), content=b"x", signature_id=1, **known))
    signed.write(insert(Scan).values(id=9, digest=digest, content=b"one", signature_id=2, **known))
    assert signed.faults() == [("scan_missing", "signature 1"), ("scan_unproved", "scan 9")]
    signed.write(update(Scan).where(Scan.id == 9).values(signature_id=1))
    assert signed.faults() == [("scan_unproved", "signature 1")]
    signed.write(delete(Scan).where(Scan.id == 8))
    assert signed.faults() == []


def test_no_fault_tells_anything_personal(signed: Signers) -> None:
    signed.write("update signature set signer = '李四'")
    signed.write("delete from evidence_personal where evidence_id = 4")
    assert NAME not in str(signed.audit())
    assert "李四" not in str(signed.audit())


def test_a_refusal_or_a_correction_that_is_gone_or_was_slipped_in_is_found(office: Signers) -> None:
    one, two = office.recipients[:2]
    no = DeclineRequest(enterprise_ids=[office.enterprises[0]], version_id=office.version, way="link", reason="不签", at=AT, recipient_id=one)
    with office.database.write() as session:
        signing.decline(session, [no])
        corrections.correct(session, [CorrectionRequest(recipient_id=two, kind="closed", detail="", way="link", at=AT)])
    assert office.faults() == []
    office.write(delete(Refusal))
    office.write(insert(Correction).values(recipient_id=one, kind="closed", detail="", way="link", said_at=AT))
    assert {what for what, _where in office.faults()} == {"answer_missing", "answer_unproved"}
