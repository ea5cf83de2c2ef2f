"""Hold each signature against its evidence: what was signed, by whom, and what became of it since."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Row, Select, case, exists, select
from sqlalchemy.orm import Session, aliased

from outreach.database.pledge_tables import Evidence, EvidencePersonal, Scan, SealedPdf, Signature
from outreach.database.tables import PledgeVersion
from outreach.pledges import evidence
from outreach.pledges.evidence import stamp
from outreach.pledges.faults import Report

SLICE = 500
BEGINNINGS = ("signed", "paper")
ENDS = {"withdrawn": "withdrawn", "superseded": "superseded"}
NAMED = ("serial", "enterprise", "pledge", "way", "method", "checks", "honour", "recorded_by")
"""Columns of a signature that the facts of its evidence hold under the same name."""
PERSONAL = ("signer", "capacity", "relation", "ink")
ERASABLE = ("signer", "relation", "ink")


def audit(session: Session, report: Report) -> None:
    """Examine texts, signatures, scans and kept PDFs."""
    _audit_versions(session, report)
    for rows in _signatures(session):
        for what, where in faults_of(rows):
            report.add(what, f"signature {rows[0].serial} {where}".rstrip())
    gone = select(Evidence.signature_id).where(Evidence.signature_id.is_not(None), ~exists().where(Signature.id == Evidence.signature_id)).distinct()
    for number in session.scalars(gone.order_by(Evidence.signature_id)):
        report.add("signature_missing", f"signature {number}")
    _audit_files(session, report)


def _audit_versions(session: Session, report: Report) -> None:
    for version in session.scalars(select(PledgeVersion).order_by(PledgeVersion.id).execution_options(yield_per=1)):
        if evidence.version_digest({name: getattr(version, name) for name in evidence.VERSIONED}) != version.digest:
            report.add("text_altered", f"pledge {version.pledge} {version.number}")
        session.expunge(version)


def _signatures(session: Session) -> Iterator[list[Row[Any]]]:
    """Yield the rows of each signature: itself beside each of its rows of evidence, in their order."""
    newer, table = aliased(Signature), Signature
    query = (
        select(
            *(table.id, table.serial, table.enterprise, table.pledge, table.way, table.method, table.checks, table.honour, table.recorded_by),
            *(table.enterprise_id, table.recipient_id, table.state, table.signed_at, table.ended_at, table.ended_reason),
            *(table.signer, table.capacity, table.relation, table.ink),
            PledgeVersion.digest.label("version"),
            newer.serial.label("newer"),
            *(Evidence.act, Evidence.body, EvidencePersonal.content),
        )
        .join(PledgeVersion, PledgeVersion.id == table.version_id)
        .outerjoin(newer, newer.id == table.superseded_by)
        .outerjoin(Evidence, Evidence.signature_id == table.id)
        .outerjoin(EvidencePersonal, EvidencePersonal.evidence_id == Evidence.id)
        .order_by(table.id, Evidence.id)
    )
    for _number, rows in groupby(session.execute(query, execution_options={"yield_per": SLICE}), key=lambda row: row.id):
        yield list(rows)


def faults_of(rows: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a signature, as (what, which column). Each of `rows` is the signature beside one row of its evidence."""
    begun = [row for row in rows if row.act in BEGINNINGS]
    if len(begun) != 1:
        yield "signature_unproved", "" if not begun else "twice"
        return
    yield from (("signature_altered", name) for name in _altered(begun[0]))
    yield from (("state_wrong", name) for name in _untold(rows, begun[0]))


def _altered(row: Any) -> Iterator[str]:
    """Name what of a signature differs from the row of evidence that it began with."""
    told = evidence.told(row.body)
    facts = evidence.facts(row.body)
    yield from (name for name in NAMED if name in facts and facts[name] != getattr(row, name))
    yield from (name for name in ("enterprise_id", "recipient_id") if told.get(name) != getattr(row, name))
    if facts.get("version") != row.version:
        yield "version"
    if told.get("at") != stamp(row.signed_at):
        yield "signed_at"
    if row.content is None:
        yield from (name for name in ERASABLE if getattr(row, name))
    else:
        yield from (name for name in PERSONAL if name in row.content and not _same(row.content[name], getattr(row, name)))


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) or evidence.canonical(one) == evidence.canonical(other)


def _untold(rows: Sequence[Any], begun: Any) -> Iterator[str]:
    """Name what of a signature's state its evidence does not tell."""
    row = rows[0]
    state, ended_at, newer, reason = evidence.facts(begun.body).get("state", "signed"), None, None, None
    for later in rows:
        told = evidence.told(later.body)
        if later.act == "scan_added" and state == "pending":
            state = "signed"
        if later.act in ENDS:
            state, ended_at, newer = ENDS[later.act], told.get("at"), evidence.facts(later.body).get("superseded_by")
            reason = later.content.get("reason") if later.content else None
    if row.state != state:
        yield "state"
    if ended_at != _stamped(row.ended_at):
        yield "ended_at"
    if newer != row.newer:
        yield "superseded_by"
    if (row.ended_reason or None) != (reason or None):
        yield "ended_reason"


def _stamped(moment: datetime | None) -> str | None:
    return stamp(moment) if moment else None


def _audit_files(session: Session, report: Report) -> None:
    """Hold scanned sheets and kept PDFs against their digests; one that an erasure emptied has nothing left to hold."""
    erased = exists().where(Evidence.signature_id == Scan.signature_id, Evidence.act == "erased")
    sheets = select(Scan.id, Scan.digest, Scan.content, case((erased, 1), else_=0).label("erased")).order_by(Scan.id)
    for row in session.execute(sheets, execution_options={"yield_per": 1}):
        if not (row.erased and not row.content) and hashlib.sha256(row.content).hexdigest() != row.digest:
            report.add("scan_altered", f"scan {row.id}")
    for number, rows in groupby(session.execute(_sheets_told(), execution_options={"yield_per": SLICE}), key=lambda row: row.signature_id):
        beside = list(rows)
        told, held = {evidence.facts(row.body).get("scan") for row in beside} - {None}, {row.digest for row in beside} - {None}
        if told != held:
            report.add("scan_missing" if told - held else "scan_unproved", f"signature {number}")
    added = exists().where(Evidence.signature_id == Scan.signature_id, Evidence.act == "scan_added")
    for number in session.scalars(select(Scan.id).where(Scan.signature_id.is_not(None), ~added).order_by(Scan.id)):
        report.add("scan_unproved", f"scan {number}")
    kept = select(Signature.serial, SealedPdf.digest, SealedPdf.content).join(Signature, Signature.id == SealedPdf.signature_id).order_by(Signature.id)
    for row in session.execute(kept, execution_options={"yield_per": 1}):
        if hashlib.sha256(row.content).hexdigest() != row.digest:
            report.add("pdf_altered", f"signature {row.serial}")


def _sheets_told() -> Select[int | None, str, str | None]:
    """Select each row that tells of a sheet beside each sheet of its signature."""
    beside = select(Evidence.signature_id, Evidence.body, Scan.digest).outerjoin(Scan, Scan.signature_id == Evidence.signature_id)
    return beside.where(Evidence.act == "scan_added").order_by(Evidence.signature_id, Evidence.id)
