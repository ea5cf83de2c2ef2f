"""What is printed in each letter: the frozen fields of its recipient, the personal link, and the sheets behind it for those who have not answered."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Row, exists, or_, select
from sqlalchemy.orm import Session

from outreach.database.pledge_tables import Refusal, Signature
from outreach.database.tables import Campaign, Delivery, Enterprise, MessageText, PledgeVersion, Recipient, RecipientEnterprise
from outreach.letters import documents
from outreach.letters.documents import LetterText, Paper
from outreach.links import personal
from outreach.settings import Settings

SLICE = 1000
T = TypeVar("T")


def text(session: Session, text_id: int, campaign_id: int) -> LetterText:
    """Return a frozen letter, ready to be filled with what is each recipient's own."""
    row = session.execute(select(MessageText).where(MessageText.id == text_id)).scalar_one()
    of_campaign = select(Campaign.fields, PledgeVersion).outerjoin(PledgeVersion, PledgeVersion.id == Campaign.pledge_version_id)
    campaign = session.execute(of_campaign.where(Campaign.id == campaign_id)).one()
    return documents.text_of(row, campaign.fields, pledge=campaign.PledgeVersion)


def papers(session: Session, ids: Collection[int], *, settings: Settings, at: datetime, forms: bool) -> dict[int, Paper]:
    """Return what is printed for each of these deliveries, by its id.

    With `forms` a sheet for signing lies behind the letter for each enterprise that, at the moment `at`, had not answered: the same
    moment gives the same letter, however often it is printed again.
    """
    found: dict[int, Paper] = {}
    for some in slices(sorted(ids)):
        rows = session.execute(_recipients().where(Delivery.id.in_(some))).all()
        unanswered = _unanswered(session, rows, settings=settings, at=at) if forms else {}
        for row in rows:
            found[row.delivery_id] = _paper(row, unanswered.get(row.id, ()), settings)
    return found


def slices(rows: Sequence[T], size: int = SLICE) -> Iterator[Sequence[T]]:
    """Yield a sequence in parts."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _recipients() -> Any:
    return (
        select(Delivery.id.label("delivery_id"), Recipient.id, Recipient.code, Recipient.generation, Recipient.town, Recipient.fields)
        .add_columns(Campaign.fields.label("common"), PledgeVersion.pledge)
        .join(Recipient, Recipient.id == Delivery.recipient_id)
        .join(Campaign, Campaign.id == Delivery.campaign_id)
        .outerjoin(PledgeVersion, PledgeVersion.id == Campaign.pledge_version_id)
    )


def _paper(row: Row[Any], forms: Sequence[tuple[int, str, str, str]], settings: Settings) -> Paper:
    fields = {**row.common, **row.fields, "code": row.code}
    link = personal.url(settings.public_url, personal.make(settings.office_key, row.id, row.generation, "link"))
    return Paper(
        code=row.code,
        enterprise=str(fields.get("enterprise", "")),
        person=str(fields.get("contact", "")),
        town=row.town,
        address_of_link=link,
        fields=fields,
        forms=forms,
    )


def _unanswered(session: Session, rows: Sequence[Row[Any]], *, settings: Settings, at: datetime) -> Mapping[int, Sequence[tuple[int, str, str, str]]]:
    """Return for each recipient the enterprises whose sheets are printed: (id, name, town, link)."""
    asked = {row.id: row for row in rows if row.pledge is not None}
    sheets: dict[int, list[tuple[int, str, str, str]]] = {}
    spoken_for = dict.fromkeys(asked, 0)
    for one in _spoken(session, asked, at):
        spoken_for[one.recipient_id] += 1
        if not one.answered:
            sheets.setdefault(one.recipient_id, []).append((one.id, one.name, one.town, ""))
    return {key: [_linked(asked[key], sheet, settings, several=spoken_for[key] > 1) for sheet in own] for key, own in sheets.items()}


def _spoken(session: Session, asked: Mapping[int, Row[Any]], at: datetime) -> Sequence[Any]:
    signed = exists().where(Signature.enterprise_id == Enterprise.id, Signature.pledge == PledgeVersion.pledge, Signature.signed_at <= at)
    declined = exists().where(Refusal.enterprise_id == Enterprise.id, Refusal.pledge == PledgeVersion.pledge, Refusal.declined_at <= at)
    closed = Enterprise.closed_at.is_not(None) & (Enterprise.closed_at <= at)
    statement = (
        select(RecipientEnterprise.recipient_id, Enterprise.id, Enterprise.name, Enterprise.town, or_(signed, declined, closed).label("answered"))
        .join(Enterprise, Enterprise.id == RecipientEnterprise.enterprise_id)
        .join(Campaign, Campaign.id == RecipientEnterprise.campaign_id)
        .join(PledgeVersion, PledgeVersion.id == Campaign.pledge_version_id)
        .where(RecipientEnterprise.recipient_id.in_(list(asked)))
        .order_by(RecipientEnterprise.recipient_id, Enterprise.id)
    )
    return session.execute(statement).all()


def _linked(row: Row[Any], sheet: tuple[int, str, str, str], settings: Settings, *, several: bool) -> tuple[int, str, str, str]:
    """Return a sheet with its link; where one person speaks for several enterprises, the link says for which of them it was printed."""
    key, name, town, _none = sheet
    address = personal.url(settings.public_url, personal.make(settings.office_key, row.id, row.generation, "paper"))
    return key, name, town, address + (f"#{key}" if several else "")
