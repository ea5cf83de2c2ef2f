"""Take a person out of signatures and evidence: what is personal goes, and every digest still verifies."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, null, or_, select, update
from sqlalchemy.orm import Session

from outreach.contacts.erasing import overwrite_what_goes
from outreach.database.pledge_tables import Correction, Evidence, EvidencePersonal, Refusal, Scan, SealedPdf, Signature
from outreach.database.tables import Contact, RecipientContact
from outreach.pledges import sealing
from outreach.pledges.evidence import Entry

Owner = tuple[int | None, int | None, int | None]
"""Whose evidence it is: enterprise, recipient, signature."""


@dataclass(frozen=True, slots=True)
class Emptied:
    """What was emptied: signatures by their serials, rows of evidence that lost their personal part, scanned sheets."""

    signatures: Sequence[str]
    rows: int
    scans: int


def erase(session: Session, contact: int, *, by: str, now: datetime) -> Emptied:
    """Empty all that is personal of what this contact signed, declined or told us, and append evidence of it.

    The signatures stand and count as before. Doing it again takes away what came since, and writes nothing where that is nothing.
    """
    overwrite_what_goes(session)
    signed = select(Signature.id, Signature.serial, Signature.enterprise_id, Signature.recipient_id).where(Signature.contact_id == contact)
    signatures = {row.id: row for row in session.execute(signed.order_by(Signature.id).with_for_update())}
    recipients = list(session.scalars(select(RecipientContact.recipient_id).where(RecipientContact.contact_id == contact)))
    rows = _personal_rows(session, contact, signatures, recipients)
    scans = _empty_files(session, signatures)
    _empty_words(session, rows, recipients)
    gone = {"signer": "", "relation": "", "ink": null(), "ended_reason": null()}
    session.execute(update(Signature).where(Signature.id.in_(signatures)).values(**gone))
    session.execute(delete(EvidencePersonal).where(EvidencePersonal.evidence_id.in_(rows)))
    owners: dict[Owner, list[int]] = {}
    for number, owner in rows.items():
        owners.setdefault(owner, []).append(number)
    if not owners and not _erased_before(session, contact):
        owners[session.scalar(select(Contact.enterprise_id).where(Contact.id == contact)), None, None] = []
    sealing.append(session, [_entry(owner, numbers, contact, signatures, by=by, now=now) for owner, numbers in owners.items()])
    return Emptied([row.serial for row in signatures.values()], len(rows), scans)


def _personal_rows(session: Session, contact: int, signatures: Collection[int], recipients: Collection[int]) -> dict[int, Owner]:
    """Return the rows with something personal of this contact: his own, those of his signatures, and those that only name his link."""
    nobodys = and_(EvidencePersonal.contact_id.is_(None), Evidence.recipient_id.in_(recipients))
    query = (
        select(Evidence.id, Evidence.enterprise_id, Evidence.recipient_id, Evidence.signature_id)
        .join(EvidencePersonal, EvidencePersonal.evidence_id == Evidence.id)
        .where(or_(EvidencePersonal.contact_id == contact, Evidence.signature_id.in_(signatures), nobodys))
        .order_by(Evidence.id)
    )
    return {row.id: (row.enterprise_id, row.recipient_id, row.signature_id) for row in session.execute(query)}


def _empty_files(session: Session, signatures: Collection[int]) -> int:
    """Empty the scanned sheets, whose digests stay known, and drop the kept PDFs; return how many sheets there were."""
    session.execute(delete(SealedPdf).where(SealedPdf.signature_id.in_(signatures)))
    sheets = update(Scan).where(Scan.signature_id.in_(signatures), Scan.content != b"").values(content=b"", name="").returning(Scan.id)
    return len(session.scalars(sheets).all())


def _empty_words(session: Session, rows: Mapping[int, Owner], recipients: Collection[int]) -> None:
    """Empty what was typed into fields where people write as they like: reasons of a refusal, details of a correction."""
    declined = select(Evidence.enterprise_id, Evidence.recipient_id).where(Evidence.id.in_(rows), Evidence.act == "declined")
    for enterprise, recipient in session.execute(declined).all():
        of_recipient = Refusal.recipient_id.is_(None) if recipient is None else Refusal.recipient_id == recipient
        session.execute(update(Refusal).where(Refusal.enterprise_id == enterprise, of_recipient).values(reason=""))
    session.execute(update(Correction).where(Correction.recipient_id.in_(recipients)).values(detail=""))


def _erased_before(session: Session, contact: int) -> bool:
    return session.scalar(select(Contact.erased_at).where(Contact.id == contact)) is not None


def _entry(owner: Owner, rows: Sequence[int], contact: int, signatures: Mapping[int, Any], *, by: str, now: datetime) -> Entry:
    enterprise, recipient, signature = owner
    facts: dict[str, Any] = {"contact": contact, "rows": list(rows), "by": by}
    if signature is not None and signature in signatures:
        facts["serial"] = signatures[signature].serial
    return Entry(act="erased", at=now, enterprise_id=enterprise, recipient_id=recipient, signature_id=signature, facts=facts)
