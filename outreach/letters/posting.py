"""Say that letters were handed to the post, whole batches or single ones; and put back what was printed and will not be posted."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, exists, select, update
from sqlalchemy.orm import Session

from outreach.clock import OFFICE_ZONE
from outreach.contacts import postal
from outreach.database import bulk
from outreach.database.paper_tables import Letter, PrintBatch, PrintChunk
from outreach.database.tables import Address, Campaign
from outreach.errors import Refused
from outreach.letters import directory, material, pulling
from outreach.outbox import carried
from outreach.settings import Settings


class BatchNotReady(Refused):
    """Batch {number} is being set still; wait for it: outreach letters render {campaign} --out DIR"""


class BatchPosted(Refused):
    """Batch {number} was posted on {day} already; single letters of it that go out again: outreach letters posted CODE"""


class BatchDiscarded(Refused):
    """Batch {number} was discarded; its letters wait to be printed again."""


class LetterPosted(Refused):
    """The letter {code} was posted on {day} already."""


class LetterNotReady(Refused):
    """The letter {code} is in batch {number}, which is being set still."""


class NotInBatch(Refused):
    """The letter {code} is in none of the batches that were posted: leave it out of --except."""


class AddressReturned(Refused):
    """A letter came back from the address of {code}; mend it with `outreach contacts import FILE`, then: outreach letters reprint {code} --out FILE"""


class BeforePrinting(Refused):
    """{day} is before the letters were printed; --date is the day on which they were handed to the post."""


@dataclass(frozen=True, slots=True)
class Posted:
    """What was posted: the letters, the batches that are posted with them, and what was put back."""

    letters: int
    batches: Sequence[int]
    put_back: int
    needless: int
    """Of the posted: those that need not have gone any more, as `pulling` knew."""


@dataclass(frozen=True, slots=True)
class Discarded:
    """What became of a batch: the letters that wait again, and those that were posted and stay so."""

    batch: int
    put_back: int
    posted: int


def post(
    session: Session,
    *,
    batches: Sequence[int] = (),
    codes: Sequence[str] = (),
    excepted: Sequence[str] = (),
    on: datetime,
    settings: Settings,
    by: str,
    now: datetime,
) -> Posted:
    """Mark batches and single letters as handed to the post at `on`; those excepted are put back and wait to be printed again.

    A returned letter goes out again by its code, once its address is another. Raises what is wrong before anything is changed.
    """
    whole = [_ready(session, number, settings=settings) for number in sorted(set(batches))]
    single = directory.require(session, codes, settings=settings)
    back = directory.require(session, excepted, settings=settings)
    _require_postable(session, single)
    if stray := next((code for code, row in back.items() if row.batch_id not in batches or row.posted_at is not None), None):
        raise NotInBatch(code=stray)
    made = [*(one.made_at for one in whole), *(row.made_at for row in single.values())]
    if any(_day(moment) > _day(on) for moment in made):
        raise BeforePrinting(day=_day(on))
    put_back = {row.delivery_id for row in back.values()}
    waiting = select(Letter.delivery_id).where(Letter.batch_id.in_([one.id for one in whole]), Letter.posted_at.is_(None))
    going = sorted((set(session.scalars(waiting)) | {row.delivery_id for row in single.values()}) - put_back)
    needless = len(pulling.needless(session, settings=settings).keys() & set(going))
    _put_back(session, put_back, now=now)
    carried.arrive(session, dict.fromkeys(going, "delivered"), at=on)
    news = [{"delivery_id": key, "posted_at": on} for key in going]
    bulk.update_rows(session, Letter, news, keys=["delivery_id"], sets=["posted_at"], extra="returned_at = null, returned_reason = null")
    touched = {one.id for one in whole} | {row.batch_id for row in single.values()}
    return Posted(len(going), _close(session, touched, on=on, by=by, now=now), len(put_back), needless)


def discard(session: Session, number: int, *, settings: Settings, by: str, now: datetime) -> Discarded:
    """Throw a batch away that was not posted: its letters wait to be printed again; single ones that were posted stay so."""
    found = directory.batch(session, number, settings=settings, lock=True)
    if found.state in ("posted", "discarded"):
        _refuse(found)
    session.execute(delete(PrintChunk).where(PrintChunk.batch_id == number))  # whoever sets one just now finds it gone
    letters = session.execute(select(Letter.delivery_id, Letter.posted_at).where(Letter.batch_id == number)).all()
    waiting = {row.delivery_id for row in letters if row.posted_at is None}
    _put_back(session, waiting, now=now)
    posted = len(letters) - len(waiting)
    found.state = "posted" if posted else "discarded"
    if posted:
        found.posted_on, found.posted_at, found.posted_by = max(row.posted_at for row in letters if row.posted_at), now, by
    return Discarded(number, len(waiting), posted)


def _ready(session: Session, number: int, *, settings: Settings) -> PrintBatch:
    found = directory.batch(session, number, settings=settings, lock=True)
    if found.state != "rendered":
        _refuse(found, campaign=session.scalar(select(Campaign.name).where(Campaign.id == found.campaign_id)) or "")
    return found


def _refuse(found: PrintBatch, *, campaign: str = "") -> None:
    if found.state == "posted":
        assert found.posted_on is not None
        raise BatchPosted(number=found.id, day=_day(found.posted_on))
    if found.state == "discarded":
        raise BatchDiscarded(number=found.id)
    raise BatchNotReady(number=found.id, campaign=campaign)


def _require_postable(session: Session, single: Mapping[str, Row[Any]]) -> None:
    """Refuse letters that are on their way already, not set yet, or would go where one came back from."""
    marked = _marked(session, single.values())
    for code, row in single.items():
        if row.posted_at is not None and row.returned_at is None:
            raise LetterPosted(code=code, day=_day(row.posted_at))
        if row.state == "queued":
            raise LetterNotReady(code=code, number=row.batch_id)
        if row.returned_at is not None and postal.written(row.address, row.enterprise) in marked:
            raise AddressReturned(code=code)


def _marked(session: Session, rows: Iterable[Row[Any]]) -> set[str]:
    written = [postal.written(row.address, row.enterprise) for row in rows]
    to = select(Address.value).where(Address.channel == postal.CHANNEL, Address.value.in_(written), Address.suppressed_at.is_not(None))
    return set(session.scalars(to))


def _close(session: Session, touched: Collection[int], *, on: datetime, by: str, now: datetime) -> list[int]:
    """Call those batches posted of which no letter waits; what was set is kept no longer, for it can be made again."""
    waits = exists().where(Letter.batch_id == PrintBatch.id, Letter.posted_at.is_(None)).correlate(PrintBatch)
    over = select(PrintBatch).where(PrintBatch.id.in_(touched), PrintBatch.state == "rendered", ~waits).order_by(PrintBatch.id)
    closed = session.scalars(over.with_for_update()).all()
    for one in closed:
        some = session.scalar(select(exists().where(Letter.batch_id == one.id)))
        one.state, one.posted_on, one.posted_at, one.posted_by = ("posted", on, now, by) if some else ("discarded", None, None, None)
        session.execute(update(PrintChunk).where(PrintChunk.batch_id == one.id).values(content=None))
    return [one.id for one in closed if one.state == "posted"]


def _put_back(session: Session, ids: Collection[int], *, now: datetime) -> None:
    """Take letters out of their batch: they are due again, unless their campaign is over."""
    for some in material.slices(sorted(ids)):
        session.execute(delete(Letter).where(Letter.delivery_id.in_(some)))
    carried.put_back(session, ids, now=now)


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(OFFICE_ZONE):%Y-%m-%d}"
