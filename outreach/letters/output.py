"""What the print house and the post are given of a batch: its letters in one PDF, the hand-over sheet, labels and envelopes, and the list."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from outreach.database.paper_tables import Letter, PrintBatch, PrintChunk
from outreach.database.tables import Campaign
from outreach.errors import Refused
from outreach.letters import directory, documents, printing
from outreach.letters.documents import Addressee, HandOver
from outreach.letters.printing import Chunk
from outreach.rendering import documents as papers
from outreach.settings import Settings


class BatchEmpty(Refused):
    """Batch {number} was discarded: there is nothing to print of it."""


class BatchUnfinished(Refused):
    """Batch {number} is being set still; wait for it: outreach letters render {campaign} --out DIR"""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that is set: what its papers say, and its chunks, each with its PDF or what it is made again from."""

    number: int
    campaign: str
    title: str
    town: str
    made_at: datetime
    made_by: str
    enclosures: Sequence[str]
    letters: Sequence[Row[Any]]
    """Rows of `directory.rows`, in the order of printing."""
    chunks: Sequence[tuple[str, bytes | Chunk]]
    """The digest of each, and its PDF; once posted, what it is set from."""

    @property
    def pages(self) -> int:
        """The pages of all its letters."""
        return sum(row.pages for row in self.letters)


@dataclass(frozen=True, slots=True)
class Whole:
    """The letters of a batch in one PDF; `same` where they are what was printed, byte for byte."""

    content: bytes
    same: bool


def batch(session: Session, number: int, *, settings: Settings) -> Batch:
    """Return a batch that is set. Raises BatchUnknown, BatchEmpty and BatchUnfinished."""
    found = directory.batch(session, number, settings=settings)
    name, title = session.execute(select(Campaign.name, Campaign.title).where(Campaign.id == found.campaign_id)).one()
    if found.state == "discarded":
        raise BatchEmpty(number=number)
    if found.state == "rendering":
        raise BatchUnfinished(number=number, campaign=name)
    letters = session.execute(directory.rows(settings).where(Letter.batch_id == number).order_by(Letter.place)).all()
    return Batch(number, name, title, found.town, found.made_at, found.made_by, found.enclosures, letters, _chunks(session, found, settings=settings))


def _chunks(session: Session, found: PrintBatch, *, settings: Settings) -> list[tuple[str, bytes | Chunk]]:
    rows = session.execute(select(PrintChunk.number, PrintChunk.digest, PrintChunk.content).where(PrintChunk.batch_id == found.id).order_by(PrintChunk.number))
    return [(row.digest or "", row.content or printing.again(session, found.id, row.number, settings=settings)) for row in rows]


def whole(batch: Batch, *, settings: Settings) -> Whole:
    """Return the letters of a batch in one PDF: what was set, else set again from the frozen text."""
    parts = [part if isinstance(part, bytes) else _set(part, settings) for _digest, part in batch.chunks]
    same = all(hashlib.sha256(part).hexdigest() == digest for (digest, _kept), part in zip(batch.chunks, parts, strict=True))
    there = [part for part in parts if part]
    return Whole(there[0] if len(there) == 1 else papers.joined(there, now=batch.made_at), same)


def _set(chunk: Chunk, settings: Settings) -> bytes:
    return printing.set_letters(chunk, settings=settings).content if chunk.letters else b""


def addressees(letters: Sequence[Any]) -> list[Addressee]:
    """Return what stands on the labels and envelopes of letters."""
    return [Addressee(row.place, row.code, row.enterprise, row.person, row.town, row.address) for row in letters]


def labels(batch: Batch, *, settings: Settings) -> bytes:
    """Return the address labels of a batch."""
    return documents.labels(addressees(batch.letters), settings=settings, now=batch.made_at)


def envelopes(batch: Batch, *, settings: Settings) -> bytes:
    """Return the envelopes of a batch."""
    return documents.envelopes(addressees(batch.letters), settings=settings, now=batch.made_at)


def handover(batch: Batch, files: Sequence[tuple[str, int | None, str]], *, settings: Settings) -> bytes:
    """Return the hand-over sheet of a batch; `files` are those handed over with it: name, pages (None where it has none), SHA-256."""
    sheet = HandOver(
        number=batch.number,
        campaign=batch.campaign,
        title=batch.title,
        town=batch.town,
        letters=len(batch.letters),
        pages=batch.pages,
        made_at=batch.made_at,
        made_by=batch.made_by,
        enclosures=[(item, len(batch.letters)) for item in batch.enclosures],
        files=files,
    )
    return documents.handover(sheet, settings=settings, now=batch.made_at)
