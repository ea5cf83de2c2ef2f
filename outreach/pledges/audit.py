"""Audit the evidence: recompute every leaf, root and link of the chain, and hold personal data and signatures against it."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from sqlalchemy import Row, Select, exists, func, select, text
from sqlalchemy.orm import Session

from outreach.database.pledge_tables import Evidence, EvidenceBlock, EvidencePersonal
from outreach.pledges import audit_answers, audit_signatures, evidence
from outreach.pledges.evidence import GENESIS, Header
from outreach.pledges.faults import Report

SLICE = 1000
ROW = (Evidence.id, Evidence.act, Evidence.at, Evidence.enterprise_id, Evidence.recipient_id, Evidence.signature_id, Evidence.body, Evidence.leaf)
PERSONAL = (EvidencePersonal.evidence_id.label("personal_id"), EvidencePersonal.salt, EvidencePersonal.content)


def audit(session: Session, *, published: str = "") -> Report:
    """Examine all evidence and return what was found; `checked` counts rows of evidence. Memory stays flat.

    `published` is the digest of a block as it was made known elsewhere: it must be in the chain, or all of it was written anew.
    It must be the first thing its transaction does: on PostgreSQL all of it is read as of one moment.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("set transaction isolation level repeatable read"))
    report, erased = Report(), _erased_rows(session)
    _audit_blocks(session, report, erased)
    _audit_open_rows(session, report, erased)
    audit_signatures.audit(session, report)
    audit_answers.audit(session, report)
    if published and session.scalar(select(EvidenceBlock.id).where(EvidenceBlock.digest == published.strip().lower())) is None:
        report.add("chain_foreign", published.strip())
    return report


def _erased_rows(session: Session) -> set[int]:
    """Return the rows whose personal data an erasure took away; they are few, and each erasure names its own."""
    bodies = session.scalars(select(Evidence.body).where(Evidence.act == "erased").execution_options(yield_per=SLICE))
    return {number for body in bodies for number in evidence.erased_rows(body)}


def _audit_blocks(session: Session, report: Report, erased: set[int]) -> None:
    """Go along the chain, block by block."""
    block = EvidenceBlock
    head: list[Any] = [block.id.label("number"), block.previous, block.root, block.size, block.closed_at, block.digest, Evidence.position]
    query = (
        select(*head, *ROW, *PERSONAL)
        .outerjoin(Evidence, Evidence.block_id == block.id)
        .outerjoin(EvidencePersonal, EvidencePersonal.evidence_id == Evidence.id)
        .order_by(block.id, Evidence.position, Evidence.id)
    )
    last, previous = 0, GENESIS
    for number, rows in groupby(_stream(session, query), key=lambda row: int(row.number)):
        held = list(rows)
        if number != last + 1:
            report.add("block_missing", f"block {last + 1}")
        elif held[0].previous != previous:
            report.add("chain_broken", f"block {number}")
        last, previous = number, held[0].digest
        _audit_block(held, report, erased)
    report.newest = (last, previous) if last else None


def _stream(session: Session, query: Select[Any]) -> Iterator[Row[Any]]:
    yield from session.execute(query, execution_options={"yield_per": SLICE})


def _audit_block(rows: list[Row[Any]], report: Report, erased: set[int]) -> None:
    head, rows = rows[0], [row for row in rows if row.id is not None]
    header = Header(number=head.number, previous=head.previous, root=head.root, size=head.size, closed_at=head.closed_at)
    where = f"block {head.number}"
    if header.digest != head.digest:
        report.add("block_altered", where)
    if [row.position for row in rows] != list(range(head.size)):
        report.add("position_wrong", where)
    if evidence.merkle_root(evidence.leaf(row.body) for row in rows) != head.root:
        report.add("root_wrong", where)
    for row in rows:
        _audit_row(row, report, erased)


def _audit_open_rows(session: Session, report: Report, erased: set[int]) -> None:
    """Look at the rows that no block holds yet, or that name one that is not there."""
    query = (
        select(*ROW, *PERSONAL)
        .outerjoin(EvidencePersonal, EvidencePersonal.evidence_id == Evidence.id)
        .where(Evidence.block_id.is_(None))
        .order_by(Evidence.id)
    )
    for row in _stream(session, query):
        report.open += 1
        _audit_row(row, report, erased)
    loose = select(Evidence.id).where(Evidence.block_id.is_not(None), ~exists().where(EvidenceBlock.id == Evidence.block_id)).order_by(Evidence.id)
    for number in session.scalars(loose.execution_options(yield_per=SLICE)):
        report.checked += 1
        report.add("row_loose", f"evidence {number}")
    orphans = select(func.count()).select_from(EvidencePersonal).where(~exists().where(Evidence.id == EvidencePersonal.evidence_id))
    if session.scalar(orphans):
        report.add("row_loose", "evidence_personal")


def _audit_row(row: Row[Any], report: Report, erased: set[int]) -> None:
    """Hold a row's leaf, columns and personal data against its body."""
    report.checked += 1
    told, where = evidence.told(row.body), f"evidence {row.id}"
    columns = {name: getattr(row, name) for name in ("act", "enterprise_id", "recipient_id", "signature_id")} | {"at": evidence.stamp(row.at)}
    if evidence.leaf(row.body) != row.leaf or {name: told.get(name) for name in columns} != columns:
        report.add("row_altered", where)
    fault = personal_fault(told.get("commitment"), row.salt, row.content, erased=row.id in erased)
    if fault:
        report.add(fault, where)


def personal_fault(committed: str | None, salt: str | None, content: Any, *, erased: bool) -> str | None:
    """Say what is wrong with the personal data of a row, if anything is: they must be those committed to, or rightly erased."""
    if content is None:
        return "personal_missing" if committed is not None and not erased else None
    try:
        same = committed == evidence.commitment(salt or "", content)
    except (ValueError, AttributeError, evidence.EvidenceUnwritable):
        same = False
    return None if same else "personal_altered"
