"""Hand out the evidence of one signature as a file that anybody can check on another machine."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from io import BytesIO
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from sqlalchemy import ColumnElement, Row, and_, or_, select
from sqlalchemy.orm import Session, aliased

from outreach.database.pledge_tables import Evidence, EvidenceBlock, EvidencePersonal, Scan, Signature
from outreach.database.tables import PledgeVersion, Recipient
from outreach.errors import NotFound
from outreach.links import resolving
from outreach.pledges import bundle_parts as parts
from outreach.pledges import evidence
from outreach.pledges.bundle_parts import About, BlockPart, Part, RowPart, SignaturePart, VersionPart
from outreach.rendering import ink

SLICE = 1000
ENDINGS = {"image/jpeg": "jpg", "image/png": "png", "application/pdf": "pdf"}


class EvidenceUnknown(NotFound):
    """There is no evidence of {name}. Give the serial of a signature, such as 2026-000317, or the code of a letter."""


def export(session: Session, serial_or_code: str) -> bytes:
    """Return a zip with the evidence of a signature, or of all that came in by a recipient's code. Raises EvidenceUnknown.

    Close the open rows before (`sealing.close_block`): a row that no block holds is in the bundle, but nothing proves it.
    """
    mine, signatures = _chosen(session, serial_or_code.strip())
    rows = _rows(session, mine)
    if not rows:
        raise EvidenceUnknown(what="evidence", name=serial_or_code)
    packed = BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
        newest = _write_blocks(archive, session, [row.block_id for row in rows if row.block_id is not None])
        about = About(format=parts.FORMAT, newest_block=newest.number if newest else None, newest_digest=newest.digest if newest else None)
        _put(archive, parts.README, parts.README_TEXT.format(number=about.newest_block or "-", digest=about.newest_digest or "-"))
        _put(archive, parts.ABOUT, _text(about))
        _put(archive, parts.ROWS, _text(_with_proofs(session, rows)))
        found = _signatures(session, signatures)
        _put(archive, parts.SIGNATURES, _text(found))
        _write_ink(archive, found)
        _write_texts(archive, session, rows)
        _write_scans(archive, session, signatures)
    return packed.getvalue()


def _chosen(session: Session, named: str) -> tuple[ColumnElement[bool], list[int]]:
    """Return the condition for the rows of evidence that are meant, and the signatures."""
    signature = session.execute(select(Signature.id, Signature.recipient_id, Signature.enterprise_id).where(Signature.serial == named)).one_or_none()
    if signature is not None:
        own = or_(Evidence.enterprise_id.is_(None), Evidence.enterprise_id == signature.enterprise_id)
        link = and_(Evidence.signature_id.is_(None), Evidence.recipient_id == signature.recipient_id, own)
        return or_(Evidence.signature_id == signature.id, link), [signature.id]
    recipient = session.scalar(select(Recipient.id).where(Recipient.code == resolving.tidy(named)))
    if recipient is None:
        raise EvidenceUnknown(what="evidence", name=named)
    signatures = list(session.scalars(select(Signature.id).where(Signature.recipient_id == recipient).order_by(Signature.id)))
    return or_(Evidence.recipient_id == recipient, Evidence.signature_id.in_(signatures)), signatures


def _rows(session: Session, mine: ColumnElement[bool]) -> Sequence[Row[Any]]:
    columns: list[Any] = [Evidence.id, Evidence.body, Evidence.leaf, Evidence.block_id, Evidence.position]
    columns += [EvidencePersonal.salt, EvidencePersonal.content]
    query = select(*columns).outerjoin(EvidencePersonal, EvidencePersonal.evidence_id == Evidence.id)
    return session.execute(query.where(mine).order_by(Evidence.id)).all()


def _with_proofs(session: Session, rows: Sequence[Row[Any]]) -> list[RowPart]:
    """Return the rows, each with the digests that lead from it to its block's root."""
    leaves = {block: _leaves(session, block) for block in sorted({row.block_id for row in rows if row.block_id is not None})}
    return [
        RowPart(
            id=row.id,
            body=row.body,
            leaf=row.leaf,
            block=row.block_id,
            position=row.position,
            proof=evidence.proof(leaves[row.block_id], row.position) if row.block_id is not None else [],
            salt=row.salt,
            personal=row.content,
        )
        for row in rows
    ]


def _leaves(session: Session, block: int) -> list[str]:
    return list(session.scalars(select(Evidence.leaf).where(Evidence.block_id == block).order_by(Evidence.position)))


def _write_blocks(archive: ZipFile, session: Session, blocks: Collection[int]) -> BlockPart | None:
    """Write the heads from the first of these blocks to the newest, a line each, and return the newest."""
    last = None
    table = EvidenceBlock
    query = select(table.id, table.previous, table.root, table.size, table.closed_at, table.digest).where(table.id >= min(blocks, default=2**62))
    with archive.open(_named(parts.BLOCKS), "w") as stream:
        for row in session.execute(query.order_by(table.id), execution_options={"yield_per": SLICE}):
            closed_at = evidence.stamp(row.closed_at)
            last = BlockPart(number=row.id, previous=row.previous, root=row.root, size=row.size, closed_at=closed_at, digest=row.digest)
            stream.write(f"{last.model_dump_json()}\n".encode())
    return last


def _signatures(session: Session, numbers: Collection[int]) -> list[SignaturePart]:
    newer = aliased(Signature)
    query = (
        select(Signature, PledgeVersion.digest.label("version"), newer.serial.label("newer"))
        .join(PledgeVersion, PledgeVersion.id == Signature.version_id)
        .outerjoin(newer, newer.id == Signature.superseded_by)
        .where(Signature.id.in_(numbers))
        .order_by(Signature.id)
    )
    return [_signature(row[0], row.version, row.newer) for row in session.execute(query)]


def _signature(row: Signature, version: str, newer: str | None) -> SignaturePart:
    ended_at = evidence.stamp(row.ended_at) if row.ended_at else None
    named = {name: getattr(row, name) for name in SignaturePart.model_fields if name not in ("version", "newer", "signed_at", "ended_at")}
    return SignaturePart(**named, version=version, newer=newer, signed_at=evidence.stamp(row.signed_at), ended_at=ended_at)


def _write_ink(archive: ZipFile, signatures: Sequence[SignaturePart]) -> None:
    for signature in signatures:
        if signature.ink:
            _put(archive, f"ink/{signature.serial}.json", evidence.canonical(signature.ink))
            _put(archive, f"ink/{signature.serial}.svg", ink.svg(signature.ink))


def _write_texts(archive: ZipFile, session: Session, rows: Sequence[Row[Any]]) -> None:
    """Write the texts that the rows name by their digests."""
    named = {digest for row in rows if (digest := evidence.facts(row.body).get("version"))}
    for version in session.scalars(select(PledgeVersion).where(PledgeVersion.digest.in_(named)).order_by(PledgeVersion.id)):
        document = VersionPart(**{name: getattr(version, name) for name in evidence.VERSIONED})
        _put(archive, f"texts/{version.digest}/version.json", _text(document))
        for name, field in parts.TEXTS.items():
            _put(archive, f"texts/{version.digest}/{name}", getattr(version, field))


def _write_scans(archive: ZipFile, session: Session, signatures: Collection[int]) -> None:
    """Write the scanned sheets, each named by its digest; of an erased one nothing is left to write."""
    query = select(Scan.kind, Scan.content).where(Scan.signature_id.in_(signatures)).order_by(Scan.id)
    for row in session.execute(query, execution_options={"yield_per": 1}):
        if row.content:
            _put(archive, f"scans/{hashlib.sha256(row.content).hexdigest()}.{ENDINGS.get(row.kind, 'bin')}", row.content)


def _put(archive: ZipFile, name: str, content: str | bytes) -> None:
    archive.writestr(_named(name), content)


def _named(name: str) -> ZipInfo:
    """Name a file in the zip, without a time of its own: the same evidence makes the same bundle, byte for byte."""
    info = ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.compress_type, info.external_attr = ZIP_DEFLATED, 0o644 << 16
    return info


def _text(document: Part | Sequence[Part]) -> str:
    found: Mapping[str, Any] | list[Any] = document.model_dump() if isinstance(document, Part) else [part.model_dump() for part in document]
    return json.dumps(found, ensure_ascii=False, indent=1) + "\n"
