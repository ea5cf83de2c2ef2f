"""Set the letters of a batch, a chunk at a time: whoever takes a chunk holds its lease, and its letters are judged again before and after."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, case, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from outreach.contacts import postal
from outreach.database import bulk
from outreach.database.engine import database_now
from outreach.database.paper_tables import Letter, PrintBatch, PrintChunk
from outreach.database.tables import Campaign, Delivery
from outreach.errors import OutreachError
from outreach.letters import documents, material
from outreach.letters.documents import LetterText, Paper
from outreach.outbox import carried
from outreach.rendering.fonts import GlyphMissing
from outreach.settings import Settings


@dataclass(frozen=True, slots=True)
class Chunk:
    """Letters that one process sets: their deliveries in the order of printing, and what is printed in each."""

    id: int
    lease_until: datetime
    dated: datetime
    """The moment inside the PDF: that of the batch."""
    at: datetime
    """When the letters were judged."""
    text: LetterText
    letters: Sequence[int]
    papers: Sequence[Paper]


@dataclass(frozen=True, slots=True)
class Printed:
    """What was set: the PDF, the pages of each letter, and the letters that could not be."""

    content: bytes
    pages: Mapping[int, int]
    apart: Collection[int] = ()


def waits(session: Session, *, settings: Settings) -> bool:
    """Whether there is anything to do: a chunk that nobody sets at present, or a batch whose last chunk is set."""
    complete = select(PrintBatch.id).where(_of_mode(settings), *_complete()).limit(1)
    return session.scalar(_waiting(session, settings).limit(1)) is not None or session.scalar(complete) is not None


def claim(session: Session, *, settings: Settings, lease: timedelta, now: datetime) -> Chunk | None:
    """Take a chunk that waits, and judge its letters anew: what may not go any more is skipped and leaves the batch. None where none waits."""
    skipping_locked = {"of": PrintChunk, "skip_locked": True}
    while row := session.execute(_waiting(session, settings).order_by(PrintChunk.id).limit(1).with_for_update(**skipping_locked)).one_or_none():
        letters = _letters(session, row)
        going = _judged(session, letters, settings=settings, now=now)
        if going is None:
            return None
        if going:
            until = database_now(session) + lease
            session.execute(update(PrintChunk).where(PrintChunk.id == row.id).values(lease_until=until))
            text = material.text(session, row.text_id, row.campaign_id)
            papers = material.papers(session, going, settings=settings, at=now, forms=text.form)
            return Chunk(row.id, until, row.made_at, now, text, going, [papers[key] for key in going])
        session.execute(delete(PrintChunk).where(PrintChunk.id == row.id))
    return None


def set_letters(chunk: Chunk, *, settings: Settings) -> Printed:
    """Set a chunk, with no transaction open. A letter that cannot be set stops no other; where none can, what is wrong is raised."""
    try:
        return _set(chunk.text, dict(zip(chunk.letters, chunk.papers, strict=True)), settings=settings, dated=chunk.dated)
    except OutreachError as error:
        faults = {key: _fault(chunk, paper, settings=settings) for key, paper in zip(chunk.letters, chunk.papers, strict=True)}
        kept = {key: paper for key, paper in zip(chunk.letters, chunk.papers, strict=True) if faults[key] is None}
        if len(kept) == len(chunk.letters) or (not kept and not isinstance(error, GlyphMissing)):
            raise  # it is not one letter's fault
        printed = _set(chunk.text, kept, settings=settings, dated=chunk.dated) if kept else Printed(b"", {})
        return Printed(printed.content, printed.pages, set(chunk.letters) - set(kept))


def record(session: Session, chunk: Chunk, printed: Printed, *, settings: Settings, now: datetime) -> bool:
    """Keep what was set, where the lease is still ours and every letter of it may still go; else it is set again without those that left.

    Return whether it was kept.
    """
    ours = select(PrintChunk).where(PrintChunk.id == chunk.id, PrintChunk.lease_until == chunk.lease_until, PrintChunk.digest.is_(None))
    found = session.scalars(ours.with_for_update(key_share=True)).one_or_none()
    if found is None:
        return False
    bulk.lock_rows(session, Delivery, chunk.letters)
    going = _judged(session, chunk.letters, settings=settings, now=now)
    if going is None or list(going) != list(chunk.letters):
        found.lease_until = None
        return False
    _leave(session, printed.apart)
    if not printed.pages:
        session.delete(found)
        return True
    carried.accept(session, printed.pages, now=now)
    bulk.update_rows(session, Letter, [{"delivery_id": key, "pages": pages} for key, pages in printed.pages.items()], keys=["delivery_id"], sets=["pages"])
    found.content, found.digest = printed.content, hashlib.sha256(printed.content).hexdigest()
    found.pages, found.rendered_at, found.lease_until = sum(printed.pages.values()), chunk.at, None
    return True


def release(session: Session, chunk: Chunk) -> None:
    """Let go of a chunk that will not be set now."""
    session.execute(update(PrintChunk).where(PrintChunk.id == chunk.id, PrintChunk.lease_until == chunk.lease_until).values(lease_until=None))


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the setting of a campaign's batches is, in letters; `open` are those that are not set yet."""

    letters: int
    open: int
    batches: int
    """That are not printed to the end."""


def standing(session: Session, batches: Collection[int]) -> Standing:
    """Return how far the setting of these batches is."""
    mine = select(func.count(), func.count(case((Letter.pages == 0, 1)))).where(Letter.batch_id.in_(batches))
    letters, unset = session.execute(mine).one()
    going = select(func.count()).select_from(PrintBatch).where(PrintBatch.id.in_(batches), PrintBatch.state == "rendering")
    return Standing(letters, unset, session.execute(going).scalar_one())


def finish(session: Session, *, settings: Settings) -> list[int]:
    """Call each batch printed whose last chunk is set, its letters numbered without a gap; one that no letter is left of is discarded."""
    complete = select(PrintBatch).where(_of_mode(settings), *_complete()).order_by(PrintBatch.id).with_for_update(skip_locked=True)
    batches = session.scalars(complete).all()
    for batch in batches:
        letters = session.execute(select(Letter.delivery_id, Letter.place).where(Letter.batch_id == batch.id).order_by(Letter.place)).all()
        moved = [{"delivery_id": row.delivery_id, "place": place} for place, row in enumerate(letters, 1) if row.place != place]
        bulk.update_rows(session, Letter, moved, keys=["delivery_id"], sets=["place"])
        batch.state = "rendered" if letters else "discarded"
    return [batch.id for batch in batches]


def again(session: Session, batch: int, number: int, *, settings: Settings) -> Chunk:
    """Return a chunk that was set before, as it was judged then, to be set again from the frozen text."""
    row = session.execute(_chunks().where(PrintChunk.batch_id == batch, PrintChunk.number == number)).one()
    letters = _letters(session, row)
    text = material.text(session, row.text_id, row.campaign_id)
    at = row.rendered_at or row.made_at
    papers = material.papers(session, letters, settings=settings, at=at, forms=text.form)
    return Chunk(row.id, at, row.made_at, at, text, letters, [papers[key] for key in letters])


def alone(session: Session, rows: Sequence[Any], *, settings: Settings, now: datetime) -> Chunk:
    """Return letters of one text to be set by themselves, dated as the first was made: each row has the columns of `directory.rows`.

    They are nobody's chunk. Sheets for signing are printed behind them for those who have not answered now.
    """
    first, letters = rows[0], [row.delivery_id for row in rows]
    text = material.text(session, first.text_id, first.campaign_id)
    papers = material.papers(session, letters, settings=settings, at=now, forms=text.form)
    return Chunk(0, first.made_at, first.made_at, now, text, letters, [papers[key] for key in letters])


def prove(chunk: Chunk, *, settings: Settings) -> None:
    """Try some letters of a text; raise what is wrong where none of them can be set: then it is the text, or its layout."""
    faults = [_fault(chunk, paper, settings=settings) for paper in chunk.papers]
    if faults and all(faults):
        assert faults[0] is not None
        raise faults[0]


def _set(text: LetterText, papers: Mapping[int, Paper], *, settings: Settings, dated: datetime) -> Printed:
    made = documents.chunk(text, list(papers.values()), settings=settings, now=dated)
    return Printed(made.content, dict(zip(papers, made.pages, strict=True)))


def _fault(chunk: Chunk, paper: Paper, *, settings: Settings) -> OutreachError | None:
    """Return what keeps a letter from being set alone, if anything does."""
    try:
        documents.chunk(chunk.text, [paper], settings=settings, now=chunk.dated)
    except OutreachError as error:
        return error
    return None


def _judged(session: Session, letters: Sequence[int], *, settings: Settings, now: datetime) -> Sequence[int] | None:
    """Return which of these letters may still go; the others leave their batch. None, and nothing is changed, while their campaign rests."""
    state_of: dict[int, str] = dict(session.execute(select(Delivery.id, Delivery.state).where(Delivery.id.in_(letters))).all())
    judged = session.execute(carried.due(postal.CHANNEL, mode=settings.mode, now=now).where(Delivery.id.in_(letters))).all()
    refusals = {row.id: row.refusal for row in judged}
    queued = [key for key in letters if state_of.get(key) == "queued"]
    if any(key not in refusals for key in queued):
        return None
    refused = {key: refusals[key] for key in queued if refusals[key] is not None}
    carried.skip(session, refused, now=now)
    going = [key for key in queued if key not in refused]
    _leave(session, set(letters) - set(going))
    return going


def _leave(session: Session, letters: Collection[int]) -> None:
    """Take letters out of their batch."""
    if letters:
        session.execute(delete(Letter).where(Letter.delivery_id.in_(letters)))


def _letters(session: Session, row: Row[Any]) -> list[int]:
    mine = select(Letter.delivery_id).where(Letter.batch_id == row.batch_id, Letter.chunk == row.number)
    return list(session.scalars(mine.order_by(Letter.place)))


def _chunks() -> Any:
    return (
        select(PrintChunk.id, PrintChunk.batch_id, PrintChunk.number, PrintChunk.rendered_at)
        .add_columns(PrintBatch.made_at, PrintBatch.text_id, PrintBatch.campaign_id)
        .join(PrintBatch, PrintBatch.id == PrintChunk.batch_id)
    )


def _waiting(session: Session, settings: Settings) -> Any:
    """Select the chunks that nobody sets: not those of a campaign that rests."""
    free = or_(PrintChunk.lease_until.is_(None), PrintChunk.lease_until < database_now(session))
    rows = _chunks().join(Campaign, Campaign.id == PrintBatch.campaign_id)
    return rows.where(PrintChunk.digest.is_(None), free, PrintBatch.state == "rendering", Campaign.mode == settings.mode, Campaign.state != "paused")


def _of_mode(settings: Settings) -> Any:
    return exists().where(Campaign.id == PrintBatch.campaign_id, Campaign.mode == settings.mode)


def _complete() -> tuple[Any, Any]:
    waiting = exists().where(PrintChunk.batch_id == PrintBatch.id, PrintChunk.digest.is_(None)).correlate(PrintBatch)
    return PrintBatch.state == "rendering", ~waiting
