"""The PDF of each signed pledge as it was first handed out: made once, sealed where the office has a seal, the same file ever after.

Setting and sealing take their time, so they stand between two short transactions: read the `Material`, make the copy with none open,
keep it. Whoever comes second gets the first copy.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from outreach.database.pledge_tables import SealedPdf, Signature
from outreach.database.tables import Campaign, PledgeVersion, Recipient
from outreach.pledges import documents, seals
from outreach.pledges.signing import SignatureUnknown
from outreach.settings import Settings


@dataclass(frozen=True, slots=True)
class Copy:
    """A PDF that was, or is about to be, handed out."""

    signature_id: int
    serial: str
    content: bytes
    digest: str
    made_at: datetime
    sealed: bool

    @property
    def name(self) -> str:
        """What the file is called on the reader's machine; plain letters, for old phones."""
        return f"{self.serial}.pdf"


@dataclass(frozen=True, slots=True)
class Material:
    """All that a PDF is made of, and the copy that is kept already."""

    signature: Signature
    version: PledgeVersion
    fields: Mapping[str, Any]
    copy: Copy | None


def material(session: Session, serial: str) -> Material:
    """Return what the PDF of a signature is made of. Raises SignatureUnknown."""
    found = _materials(session, select(Signature.id).where(Signature.serial == serial))
    if not found:
        raise SignatureUnknown(what="signature", serial=serial)
    return found[0]


def made(of: Material, *, settings: Settings, now: datetime) -> Copy:
    """Return the copy that is kept, else set and seal one. Raises NotCounted, GlyphMissing, and what is wrong with the seal.

    Not inside an event loop.
    """
    if of.copy is not None:
        return of.copy
    seal = seals.configured(settings)
    content = documents.signed_pdf(of.signature, of.version, settings=settings, fields=of.fields, seal=seal.words if seal else seals.NONE)
    if seal is not None:
        content = seals.put_on(content, seal, now=now)
    return Copy(of.signature.id, of.signature.serial, content, _digest(content), now, seal is not None)


def keep(session: Session, copy: Copy) -> Copy:
    """Keep a copy and return the one that is handed out: the first that was kept."""
    row = {"signature_id": copy.signature_id, "content": copy.content, "digest": copy.digest, "made_at": copy.made_at, "sealed": copy.sealed}
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    session.execute(insert(SealedPdf).values(row).on_conflict_do_nothing())
    return next(one.copy for one in _materials(session, select(Signature.id).where(Signature.id == copy.signature_id)) if one.copy)


def waiting(session: Session, *, limit: int) -> Sequence[Material]:
    """Return signatures whose PDF nobody has asked for yet, the oldest first, for the worker to make in quiet hours."""
    none_yet = (
        select(Signature.id)
        .outerjoin(SealedPdf, SealedPdf.signature_id == Signature.id)
        .where(SealedPdf.signature_id.is_(None))
        .where(Signature.state == "signed")
        .order_by(Signature.id)
        .limit(limit)
    )
    return _materials(session, none_yet)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an uploaded file is. `kind`: same (byte for byte the copy that we keep), sealed (our seal on it, unchanged since), altered
    (it names one of our serials or bears our seal, and is not what we issued), foreign (not from us at all)."""

    kind: str
    serial: str | None
    seal: seals.Found

    @property
    def good(self) -> bool:
        """Whether the file is what the office issued."""
        return self.kind in ("same", "sealed")


def check(session: Session, content: bytes, *, settings: Settings) -> Verdict:
    """Say what an uploaded file is: ours or not, changed or not, of which signature. It only reads, and never fails."""
    seal = seals.look(content, settings=settings)
    known = session.scalar(select(Signature.serial).join(SealedPdf, SealedPdf.signature_id == Signature.id).where(SealedPdf.digest == _digest(content)))
    if known is not None:
        return Verdict("same", known, seal)
    ours = seal.serial is not None and session.scalar(select(Signature.id).where(Signature.serial == seal.serial)) is not None
    if seal.ours and seal.intact and ours:
        return Verdict("sealed", seal.serial, seal)
    return Verdict("altered" if ours or seal.ours else "foreign", seal.serial if ours else None, seal)


def _materials(session: Session, ids: Select[int]) -> list[Material]:
    """Return the material of some signatures, in the order of their ids."""
    statement = (
        select(Signature, PledgeVersion, Recipient.fields, Campaign.fields.label("common"), SealedPdf)
        .join(PledgeVersion, PledgeVersion.id == Signature.version_id)
        .outerjoin(Recipient, Recipient.id == Signature.recipient_id)
        .outerjoin(Campaign, Campaign.id == Signature.campaign_id)
        .outerjoin(SealedPdf, SealedPdf.signature_id == Signature.id)
        .where(Signature.id.in_(ids))
        .order_by(Signature.id)
    )
    return [
        Material(row.Signature, row.PledgeVersion, {**(row.common or {}), **(row.fields or {})}, _copy(row.Signature, row.SealedPdf))
        for row in session.execute(statement)
    ]


def _copy(signature: Signature, kept: SealedPdf | None) -> Copy | None:
    return Copy(signature.id, signature.serial, kept.content, kept.digest, kept.made_at, kept.sealed) if kept else None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
