"""The print batches and what became of each, and the letters of one: letters = waiting + posted + returned, in every row."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Row, Select, and_, case, func, select
from sqlalchemy.orm import Session

from outreach.clock import OFFICE_ZONE
from outreach.database.paper_tables import Letter, PrintBatch
from outreach.database.tables import Campaign
from outreach.letters import directory, pulling
from outreach.reports import words
from outreach.reports.tables import Column, Table
from outreach.settings import Settings

BATCHES = "batch campaign town state letters waiting posted returned pull_out pages enclosures made_at made_by posted_on posted_by".split()
ROOM = "batch campaign town state letters waiting posted returned pull_out pages enclosures posted_on".split()
"""The columns for which a terminal has room."""
LETTERS = "place code enterprise person address town state reason needless pages posted_on returned_at reprints".split()
LETTER_ROOM = "place code enterprise person address state reason needless".split()
SLICE = 1000


class Enclosed(list[dict[str, Any]]):
    """What lies in the envelopes: [{"item", "count", "needed"}] in JSON, and how many are needed in a line for people.

    `count` are those that left with posted letters, `needed` one for each letter of the batch.
    """

    def __str__(self) -> str:
        return "，".join(f"{one['item']} {one['needed']}" for one in self)


def batches(
    session: Session, *, settings: Settings, campaign: str | None = None, town: str = "", limit: int | None = None, after: int | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the batches, newest first; `pull_out` are the letters that wait for the post and need not go any more."""
    query = _narrowed(_batches(settings), campaign, town).order_by(PrintBatch.id.desc())
    if after is not None:
        query = query.where(PrintBatch.id < after)
    for row in session.execute(query.limit(limit) if limit else query):
        posted = row.posted + row.returned
        enclosed = Enclosed({"item": item, "count": posted, "needed": row.letters} for item in row.enclosures)
        yield row._asdict() | {"enclosures": enclosed, "posted_on": _day(row.posted_on)}


def batches_table(
    session: Session, *, settings: Settings, campaign: str | None = None, town: str = "", limit: int | None = None, after: int | None = None
) -> Table:
    """Return a page of the batches; `next` is the cursor of the page after."""
    count = _narrowed(select(func.count()).select_from(PrintBatch).join(Campaign, Campaign.id == PrintBatch.campaign_id), campaign, town)
    total = session.scalar(count.where(Campaign.mode == settings.mode)) or 0
    page = list(batches(session, settings=settings, campaign=campaign, town=town, limit=limit + 1, after=after)) if limit else []
    shown = page[:limit]
    return Table("batches", _columns(BATCHES), shown, total=total, next=shown[-1]["batch"] if len(page) > len(shown) else None)


def letters(session: Session, batch: int, *, settings: Settings, limit: int | None = None, after: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the letters of a batch in the order of printing; `needless` says why one that waits need not be posted any more."""
    needless = pulling.needless(session, settings=settings, batch=batch)
    query = directory.rows(settings).where(Letter.batch_id == batch).order_by(Letter.place)
    if after is not None:
        query = query.where(Letter.place > after)
    for row in session.execute(query.limit(limit) if limit else query, execution_options={"yield_per": SLICE}):
        yield _letter(row, needless)


def letters_table(session: Session, batch: int, *, settings: Settings, limit: int | None = None, after: int | None = None) -> Table:
    """Return a page of the letters of a batch; `next` is the cursor of the page after."""
    total = session.scalar(select(func.count()).where(Letter.batch_id == batch)) or 0
    page = list(letters(session, batch, settings=settings, limit=limit + 1, after=after)) if limit else []
    shown = page[:limit]
    return Table("letters", _columns(LETTERS), shown, total=total, next=shown[-1]["place"] if len(page) > len(shown) else None)


def printed_list(rows: Sequence[Any]) -> Table:
    """Return the list that goes to the print house with a batch: whose letter lies where, and how many pages it has."""
    columns = ("place", "code", "enterprise", "person", "address", "town", "pages")
    return Table("letters", _columns(columns), [{key: getattr(row, key) for key in columns} for row in rows])


def _columns(ids: Sequence[str]) -> list[Column]:
    return [Column(key, words.heading(words.field(key))) for key in ids]


def _letter(row: Row[Any], needless: Mapping[int, str]) -> dict[str, Any]:
    return {
        "place": row.place,
        "code": row.code,
        "enterprise": row.enterprise,
        "person": row.person,
        "address": row.address,
        "town": row.town,
        "channel": "letter",
        "state": row.state,
        "reason": row.returned_reason,
        "needless": needless.get(row.delivery_id),
        "pages": row.pages,
        "posted_on": _day(row.posted_at),
        "returned_at": row.returned_at,
        "reprints": row.reprints,
    }


def _day(moment: datetime | None) -> date | None:
    """Return the day that staff gave: nobody said an hour."""
    return moment.astimezone(OFFICE_ZONE).date() if moment else None


def _batches(settings: Settings) -> Select[Any]:
    waiting = pulling.waiting(settings).subquery()
    pull_out = select(waiting.c.batch_id, func.count().label("letters")).where(waiting.c.reason.is_not(None)).group_by(waiting.c.batch_id).subquery()
    back, gone = Letter.returned_at.is_not(None), Letter.posted_at.is_not(None)
    figures = (
        select(Letter.batch_id, func.count().label("letters"), func.sum(Letter.pages).cast(BigInteger).label("pages"))
        .add_columns(func.sum(case((and_(gone, ~back), 1), else_=0)).label("posted"), func.sum(case((back, 1), else_=0)).label("returned"))
        .add_columns(func.sum(case((gone, 0), else_=1)).label("waiting"))
        .group_by(Letter.batch_id)
        .subquery()
    )
    counted = [func.coalesce(figures.c[key], 0).label(key) for key in ("letters", "waiting", "posted", "returned")]
    return (
        select(PrintBatch.id.label("batch"), Campaign.name.label("campaign"), PrintBatch.town, PrintBatch.state)
        .add_columns(*counted, func.coalesce(pull_out.c.letters, 0).label("pull_out"), func.coalesce(figures.c.pages, 0).label("pages"))
        .add_columns(PrintBatch.enclosures, PrintBatch.made_at, PrintBatch.made_by, PrintBatch.posted_on, PrintBatch.posted_by)
        .join(Campaign, Campaign.id == PrintBatch.campaign_id)
        .outerjoin(figures, figures.c.batch_id == PrintBatch.id)
        .outerjoin(pull_out, pull_out.c.batch_id == PrintBatch.id)
        .where(Campaign.mode == settings.mode)
    )


def _narrowed(query: Select[Any], campaign: str | None, town: str) -> Select[Any]:
    if campaign is not None:
        query = query.where(Campaign.name == campaign)
    return query.where(PrintBatch.town == town) if town else query
