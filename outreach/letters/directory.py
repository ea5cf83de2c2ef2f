"""Find print batches by their number and letters by the signing code that stands on them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from outreach.database.paper_tables import Letter, PrintBatch
from outreach.database.tables import Campaign, Delivery, Recipient
from outreach.errors import NotFound
from outreach.letters import material
from outreach.links import resolving
from outreach.settings import Settings


class BatchUnknown(NotFound):
    """There is no print batch {number}; `outreach letters batches` lists them."""


class LettersUnknown(NotFound):
    """No letter in a batch bears the code {codes}: compare it with the letter (outreach letters batches --show BATCH), or it was put back."""


def batch(session: Session, number: int, *, settings: Settings, lock: bool = False) -> PrintBatch:
    """Return a print batch. Raises BatchUnknown."""
    wanted = select(PrintBatch).join(Campaign, Campaign.id == PrintBatch.campaign_id).where(PrintBatch.id == number, Campaign.mode == settings.mode)
    found = session.scalars(wanted.with_for_update(of=PrintBatch) if lock else wanted).one_or_none()
    if found is None:
        raise BatchUnknown(number=number)
    return found


def tidied(codes: Iterable[str]) -> list[str]:
    """Return codes as they are printed, each once, in the order in which they came."""
    return list(dict.fromkeys(filter(None, map(resolving.tidy, codes))))


def letters(session: Session, codes: Iterable[str], *, settings: Settings) -> dict[str, Row[Any]]:
    """Return the letters with these codes, each with its batch; of several with one code the one printed last. Those unknown are left out."""
    found: dict[str, Row[Any]] = {}
    for some in material.slices(tidied(codes)):
        for row in session.execute(rows(settings).where(Recipient.code.in_(some)).order_by(Letter.delivery_id)):
            found[row.code] = row
    return found


def require(session: Session, codes: Sequence[str], *, settings: Settings) -> Mapping[str, Row[Any]]:
    """Return the letters with these codes. Raises LettersUnknown where there is no letter with one of them."""
    found = letters(session, codes, settings=settings)
    if unknown := [code for code in tidied(codes) if code not in found]:
        raise LettersUnknown(codes=" ".join(unknown))
    return {code: found[code] for code in tidied(codes)}


def rows(settings: Settings) -> Any:
    """Select letters with the code on them, their batch, and how their delivery stands."""
    of_letter = (Letter.delivery_id, Letter.batch_id, Letter.chunk, Letter.place, Letter.enterprise_id, Letter.enterprise, Letter.person, Letter.address)
    news = (Letter.pages, Letter.reprints, Letter.posted_at, Letter.returned_at, Letter.returned_reason)
    of_batch = (PrintBatch.town, PrintBatch.state.label("batch_state"), PrintBatch.text_id, PrintBatch.campaign_id, PrintBatch.made_at)
    return (
        select(*of_letter, *news, *of_batch)
        .add_columns(Recipient.code, Delivery.state, Delivery.recipient_id)
        .join(Delivery, Delivery.id == Letter.delivery_id)
        .join(Recipient, Recipient.id == Delivery.recipient_id)
        .join(PrintBatch, PrintBatch.id == Letter.batch_id)
        .join(Campaign, Campaign.id == PrintBatch.campaign_id)
        .where(Campaign.mode == settings.mode)
    )
