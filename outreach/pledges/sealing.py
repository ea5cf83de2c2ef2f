"""Write evidence down, and close what was written into blocks: a Merkle root over the new rows, chained to the block before.

Whoever signs only inserts rows, without any lock; once a minute the worker closes a block over them.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.database import bulk
from outreach.database.pledge_tables import Evidence, EvidenceBlock, EvidencePersonal
from outreach.pledges import evidence
from outreach.pledges.evidence import GENESIS, Entry, Header

BLOCK = 4096
"""Rows of a block at most: enough for sixty signatures a second, and a proof stays within twelve digests."""


def append(session: Session, entries: Sequence[Entry]) -> None:
    """Write down what happened, in the transaction in which it happens; a few statements, however many entries."""
    if not entries:
        return
    salts = [None if entry.personal is None else tokens.salt() for entry in entries]
    rows, personal = [], []
    for number, entry, salt in zip(bulk.new_ids(session, Evidence, len(entries)), entries, salts, strict=True):
        text_of = evidence.body(entry, salt)
        known = {"id": number, "act": entry.act, "at": entry.at, "body": text_of, "leaf": evidence.leaf(text_of)}
        rows.append(known | {"enterprise_id": entry.enterprise_id, "recipient_id": entry.recipient_id, "signature_id": entry.signature_id})
        if entry.personal is not None:
            personal.append({"evidence_id": number, "contact_id": entry.contact_id, "salt": salt, "content": dict(entry.personal)})
    bulk.insert_rows(session, Evidence, rows)
    bulk.insert_rows(session, EvidencePersonal, personal)


def close_block(session: Session, *, now: datetime) -> int | None:
    """Close a block over the oldest open rows, at most BLOCK of them, and return its number; none where no row is open.

    Only one closer works at a time; what another transaction has not committed yet stays open for a later block.
    """
    _lock(session)
    open_rows = select(Evidence.id, Evidence.leaf).where(Evidence.block_id.is_(None)).order_by(Evidence.id).limit(BLOCK)
    rows = session.execute(open_rows).all()
    if not rows:
        return None
    newest = session.execute(select(EvidenceBlock.id, EvidenceBlock.digest).order_by(EvidenceBlock.id.desc()).limit(1)).first()
    header = Header(
        number=newest.id + 1 if newest else 1,
        previous=newest.digest if newest else GENESIS,
        root=evidence.merkle_root(row.leaf for row in rows),
        size=len(rows),
        closed_at=now,
    )
    known = {"previous": header.previous, "root": header.root, "size": header.size, "closed_at": now, "digest": header.digest}
    bulk.insert_rows(session, EvidenceBlock, [{"id": header.number, **known}])
    places = [{"id": row.id, "block_id": header.number, "position": position} for position, row in enumerate(rows)]
    bulk.update_rows(session, Evidence, places, keys=["id"], sets=["block_id", "position"])
    return header.number


def _lock(session: Session) -> None:
    """Let no other closer in until this transaction ends; SQLite has one writer anyway. Readers and those who append go on."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("lock table evidence_block in share row exclusive mode"))
