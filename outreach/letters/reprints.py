"""Print single letters again: the same letter, to where its enterprise is now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach.database import bulk
from outreach.database.paper_tables import Letter
from outreach.database.tables import Enterprise
from outreach.errors import Refused
from outreach.letters import directory, documents, printing
from outreach.letters.documents import Addressee
from outreach.letters.printing import Chunk
from outreach.rendering import documents as papers
from outreach.settings import Settings


class NotSet(Refused):
    """The letter {code} is being set for the first time, in batch {batch}; print it again once that is done."""


class AddressGone(Refused):
    """The enterprise of letter {code} has no address any more: {enterprise}. Mend it with: outreach contacts import FILE"""


@dataclass(frozen=True, slots=True)
class Reprint:
    """Letters to be printed again, with where each goes now; `rows` are those of `directory.rows`."""

    rows: Sequence[Any]
    to: Sequence[tuple[str, str]]
    """Name and address of each enterprise, as they are now."""
    parts: Sequence[Chunk]

    @property
    def moved(self) -> list[str]:
        """The codes of those that go elsewhere than before."""
        return [row.code for row, now in zip(self.rows, self.to, strict=True) if (row.enterprise, row.address) != now]


def find(session: Session, codes: Sequence[str], *, settings: Settings, now: datetime) -> Reprint:
    """Return letters by their codes, in that order. Raises LettersUnknown, NotSet and AddressGone."""
    rows = list(directory.require(session, codes, settings=settings).values())
    if unset := next((row for row in rows if row.state == "queued"), None):
        raise NotSet(code=unset.code, batch=unset.batch_id)
    wanted = select(Enterprise.id, Enterprise.name, Enterprise.address).where(Enterprise.id.in_([row.enterprise_id for row in rows]))
    to = {row.id: (row.name, row.address) for row in session.execute(wanted)}
    if gone := next((row for row in rows if not to[row.enterprise_id][1]), None):
        raise AddressGone(code=gone.code, enterprise=gone.enterprise)
    parts = [printing.alone(session, list(same), settings=settings, now=now) for _key, same in groupby(rows, key=lambda row: (row.text_id, row.campaign_id))]
    return Reprint(rows, [to[row.enterprise_id] for row in rows], parts)


def pdf(found: Reprint, *, settings: Settings) -> bytes:
    """Return the letters in one PDF, in the order in which they were asked for, dated as the first of them was."""
    parts = [printing.set_letters(part, settings=settings).content for part in found.parts]
    return parts[0] if len(parts) == 1 else papers.joined(parts, now=found.parts[0].dated)


def envelopes(found: Reprint, *, settings: Settings) -> bytes:
    """Return their envelopes, with the addresses of now."""
    rows = [Addressee(row.place, row.code, name, row.person, row.town, address) for row, (name, address) in zip(found.rows, found.to, strict=True)]
    return documents.envelopes(rows, settings=settings, now=found.parts[0].dated)


def count(session: Session, found: Reprint) -> None:
    """Write down that these were printed again, and where they go from now on."""
    moved = [{"delivery_id": row.delivery_id, "enterprise": name, "address": address} for row, (name, address) in zip(found.rows, found.to, strict=True)]
    bulk.update_rows(session, Letter, moved, keys=["delivery_id"], sets=["enterprise", "address"], extra="reprints = reprints + 1")
