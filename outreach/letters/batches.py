"""Make print batches of what is due: by town and print-house size; what may not go any more is skipped, each with its reason."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Row, exists, select
from sqlalchemy.orm import Session, aliased

from outreach.contacts import postal
from outreach.database import bulk
from outreach.database.paper_tables import Letter, PrintBatch, PrintChunk
from outreach.database.tables import Campaign, CampaignStep, Delivery, Enterprise, Recipient
from outreach.errors import NotFound, Refused
from outreach.letters import documents, material
from outreach.letters.documents import LetterText
from outreach.letters.printing import Chunk
from outreach.outbox import carried
from outreach.rendering import fonts
from outreach.rendering.characters import visible
from outreach.settings import Settings

CHUNK = 200
"""Letters that are set in one go: measured, from 50 on more make it no faster, only larger."""
PER_BATCH = 1000
"""Letters of a batch, unless the print house wants another size."""


class CampaignUnknown(NotFound):
    """There is no campaign {name} in this mode; `outreach campaign list` shows the campaigns."""


class NoLetters(Refused):
    """Campaign {name} sends no letters: none of its steps has the channel letter."""


class NotLaunched(Refused):
    """Campaign {name} is not launched yet, so nothing is due; first: outreach campaign launch {name}"""


@dataclass(frozen=True, slots=True)
class Sending:
    """A campaign that sends letters."""

    id: int
    name: str
    state: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Unsettable:
    """A letter that cannot be printed: which, and the characters that no font here has."""

    code: str
    enterprise: str
    characters: str


@dataclass(frozen=True, slots=True)
class Inspected:
    """What is due, looked through: `apart` are those that cannot be set, by delivery; `proofs` show what is wrong with a text or its layout."""

    apart: Mapping[int, Unsettable]
    proofs: Sequence[Chunk]


@dataclass(frozen=True, slots=True)
class Made:
    """What a print run took: due = letters + skipped + apart + left."""

    due: int
    batches: Sequence[int] = ()
    letters: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    apart: int = 0
    """Those that cannot be set, as `inspect` named them; they stay queued."""
    left: int = 0
    """Those beyond the limit that was given."""


def campaign(session: Session, name: str, *, settings: Settings, lock: bool = False) -> Sending:
    """Return a campaign that sends letters. Raises CampaignUnknown, NoLetters and NotLaunched.

    With `lock` nobody else makes batches of it, cancels or pauses it meanwhile.
    """
    wanted = select(Campaign.id, Campaign.name, Campaign.state, Campaign.reason).where(Campaign.name == name, Campaign.mode == settings.mode)
    found = session.execute(wanted.with_for_update(key_share=True) if lock else wanted).one_or_none()
    if found is None:
        raise CampaignUnknown(name=name)
    on_paper = select(CampaignStep.id).where(CampaignStep.campaign_id == found.id, CampaignStep.channel == postal.CHANNEL)
    if session.scalar(on_paper.limit(1)) is None:
        raise NoLetters(name=name)
    if found.state in ("planned", "approved"):
        raise NotLaunched(name=name)
    return Sending(*found)


def inspect(session: Session, name: str, *, settings: Settings, town: str = "", now: datetime) -> Inspected:
    """Look through what is due before a batch is made of it: which letters cannot be set, and some of each text to try."""
    found = campaign(session, name, settings=settings)
    rows = [row for row in _due(session, found, settings=settings, town=town, now=now) if row.refusal is None]
    apart: dict[int, Unsettable] = {}
    proofs: list[Chunk] = []
    for text_id, same in groupby(sorted(rows, key=lambda row: (row.text_id, row.id)), key=lambda row: row.text_id):
        text, of_text = material.text(session, text_id, found.id), list(same)
        for some in material.slices(of_text):
            apart |= _unsettable(session, text, some, settings=settings, now=now)
        if settable := [row.id for row in of_text if row.id not in apart]:
            proofs.append(_proof(session, text, sorted({settable[0], settable[len(settable) // 2], settable[-1]}), settings=settings, now=now))
    return Inspected(apart, proofs)


def _proof(session: Session, text: LetterText, letters: Sequence[int], *, settings: Settings, now: datetime) -> Chunk:
    papers = material.papers(session, letters, settings=settings, at=now, forms=text.form)
    return Chunk(0, now, now, now, text, letters, [papers[key] for key in letters])


def _unsettable(session: Session, text: LetterText, rows: Sequence[Row[Any]], *, settings: Settings, now: datetime) -> dict[int, Unsettable]:
    papers = material.papers(session, [row.id for row in rows], settings=settings, at=now, forms=text.form)
    within = documents.missing(text, [papers[row.id] for row in rows], settings=settings)
    shelf = fonts.shelf(settings.home)
    found = {}
    for place, row in enumerate(rows):
        characters = [*within.get(place, "").split(), *fonts.missing(visible(row.address + row.enterprise), shelf)]
        if characters:
            found[row.id] = Unsettable(papers[row.id].code, row.enterprise, fonts.named(dict.fromkeys(characters)))
    return found


def open_batches(session: Session, name: str, *, settings: Settings, town: str = "") -> list[int]:
    """Return the batches of a campaign that are being set, or are printed and not posted."""
    mine = select(PrintBatch.id).join(Campaign, Campaign.id == PrintBatch.campaign_id).where(Campaign.name == name, Campaign.mode == settings.mode)
    mine = mine.where(PrintBatch.state.in_(("rendering", "rendered"))).order_by(PrintBatch.id)
    return list(session.scalars(mine.where(PrintBatch.town == town) if town else mine))


def make(
    session: Session,
    name: str,
    *,
    settings: Settings,
    town: str = "",
    per_batch: int = PER_BATCH,
    limit: int | None = None,
    apart: Collection[int] = (),
    by: str,
    now: datetime,
) -> Made:
    """Put what is due and in no batch yet into batches, of a town each, and skip what may not go; `apart` stays where it is."""
    found = campaign(session, name, settings=settings, lock=True)
    rows = _due(session, found, settings=settings, town=town, now=now)
    reasons = {row.id: row.refusal for row in rows if row.refusal is not None}
    carried.skip(session, reasons, now=now)
    settable = [row for row in rows if row.refusal is None and row.id not in apart]
    taken = settable[:limit]
    batches = [_store(session, some, by=by, now=now) for some in _sized(taken, per_batch)]
    bulk.take_stock(session, Letter, PrintChunk)
    return Made(
        due=len(rows),
        batches=batches,
        letters=len(taken),
        skipped=dict(sorted(Counter(reasons.values()).items())),
        apart=len(rows) - len(reasons) - len(settable),
        left=len(settable) - len(taken),
    )


def _due(session: Session, found: Sending, *, settings: Settings, town: str, now: datetime) -> Sequence[Row[Any]]:
    """Return what is due and in no batch, in the order of its printing, with its addressee and why it may not go."""
    mine = aliased(Enterprise)
    to = postal.addressee(Recipient.id.expression, approved_at=Campaign.approved_at.expression)
    statement = (
        carried.due(postal.CHANNEL, mode=settings.mode, now=now)
        .outerjoin(mine, mine.id == to)
        .add_columns(mine.id.label("enterprise_id"), mine.name.label("enterprise"), mine.address, Recipient.fields)
        .add_columns(mine.town.label("town"))
        .where(Delivery.campaign_id == found.id, ~exists().where(Letter.delivery_id == Delivery.id))
        .order_by(Delivery.step, Delivery.occurrence, Delivery.text_id, mine.town, mine.village, mine.name, Delivery.id)
    )
    return session.execute(statement.where(mine.town == town) if town else statement).all()


def _sized(rows: Sequence[Row[Any]], per_batch: int) -> Iterator[Sequence[Row[Any]]]:
    """Yield the letters of each batch: one step and occurrence, one text, one town, so many at most."""
    for _key, same in groupby(rows, key=lambda row: (row.step, row.occurrence, row.text_id, row.town)):
        yield from material.slices(list(same), per_batch)


def _store(session: Session, rows: Sequence[Row[Any]], *, by: str, now: datetime) -> int:
    """Keep one batch with its chunks and letters, and return its number."""
    first = rows[0]
    text = material.text(session, first.text_id, first.campaign_id)
    (batch,) = bulk.new_ids(session, PrintBatch, 1)
    head = {"id": batch, "campaign_id": first.campaign_id, "step": first.step, "occurrence": first.occurrence, "town": first.town, "text_id": first.text_id}
    bulk.insert_rows(session, PrintBatch, [{**head, "enclosures": list(text.enclosures), "made_at": now, "made_by": by}])
    chunks = range(1, (len(rows) - 1) // CHUNK + 2)
    bulk.insert_rows(session, PrintChunk, [{"batch_id": batch, "number": number} for number in chunks])
    bulk.insert_rows(session, Letter, [_letter(row, batch, place) for place, row in enumerate(rows, 1)])
    return batch


def _letter(row: Row[Any], batch: int, place: int) -> dict[str, Any]:
    return {
        "delivery_id": row.id,
        "batch_id": batch,
        "chunk": (place - 1) // CHUNK + 1,
        "place": place,
        "enterprise_id": row.enterprise_id,
        "enterprise": row.enterprise,
        "person": str(row.fields.get("contact", "")),
        "address": row.address,
    }
