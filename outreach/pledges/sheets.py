"""Whose sheets are to be printed for signing by hand: those of some codes, or all of a campaign that have not answered."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Row, Select, exists, func, select
from sqlalchemy.orm import Session, aliased

from outreach.database.pledge_tables import CURRENT, Refusal, Signature
from outreach.database.tables import Campaign, Enterprise, PledgeVersion, Recipient, RecipientEnterprise
from outreach.errors import NotFound, Refused
from outreach.links import personal, resolving
from outreach.pledges import documents
from outreach.pledges.documents import Sheet
from outreach.rendering.documents import joined
from outreach.settings import Settings


class CodesUnknown(NotFound):
    """There is no signing code {codes} in any campaign that asks for a pledge; compare it with the letter or text."""


class CampaignUnknown(NotFound):
    """There is no campaign {name} that asks for a pledge; `outreach campaign list` shows the campaigns."""


class NobodyLeft(Refused):
    """Nobody is left to sign by hand: all of these have signed, declined or closed down."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Sheets of one version of a pledge, in the order in which they are printed."""

    version: PledgeVersion
    sheets: Sequence[Sheet]


def of_codes(session: Session, codes: Sequence[str], *, settings: Settings, town: str = "") -> list[Batch]:
    """Return the sheets of the enterprises that these codes speak for and that have not signed. Raises CodesUnknown and NobodyLeft.

    Enterprises of another town than `town`, where one is given, are none.
    """
    wanted = dict.fromkeys(resolving.tidy(code) for code in codes)
    of_these = _included(settings, town).where(Recipient.code.in_(list(wanted)))
    known = set(session.scalars(of_these.with_only_columns(Recipient.code)))
    if missing := [code for code in wanted if code not in known]:
        raise CodesUnknown(what="code", name=missing[0], codes=" ".join(missing))
    return _batches(session, _unsigned(of_these), settings)


def of_campaign(session: Session, name: str, *, settings: Settings, town: str = "") -> list[Batch]:
    """Return the sheets of a campaign's enterprises that have neither signed nor declined nor said that the letter is not for them,
    by town and name. Raises CampaignUnknown and NobodyLeft.
    """
    asked = select(Campaign.id).where(Campaign.name == name, Campaign.pledge_version_id.is_not(None), Campaign.mode == settings.mode)
    if session.scalar(asked) is None:
        raise CampaignUnknown(what="campaign", name=name)
    said_no = exists().where(Refusal.enterprise_id == Enterprise.id, Refusal.pledge == PledgeVersion.pledge)
    withdrew = exists().where(Signature.enterprise_id == Enterprise.id, Signature.pledge == PledgeVersion.pledge, Signature.state == "withdrawn")
    of_these = _included(settings, town).where(Campaign.name == name, Recipient.stopped_at.is_(None), ~said_no, ~withdrew)
    return _batches(session, _unsigned(of_these), settings)


def pdf(batches: Iterable[Batch], *, settings: Settings, now: datetime) -> bytes:
    """Return all sheets in one PDF. Raises SheetTooLong and GlyphMissing."""
    parts = [documents.sheets_pdf(batch.version, batch.sheets, settings=settings, now=now) for batch in batches]
    return parts[0] if len(parts) == 1 else joined(parts, now=now)


def _included(settings: Settings, town: str) -> Select[Any]:
    """Select every enterprise of every included recipient of a campaign that asks for a pledge."""
    spoken = aliased(RecipientEnterprise)
    spoken_for = select(func.count()).select_from(spoken).where(spoken.recipient_id == Recipient.id).scalar_subquery()
    statement = (
        select(Recipient.id, Recipient.code, Recipient.generation, Recipient.fields, spoken_for.label("spoken_for"))
        .add_columns(Enterprise.id.label("enterprise_id"), Enterprise.name, Enterprise.town)
        .add_columns(Campaign.fields.label("common"), PledgeVersion)
        .join(RecipientEnterprise, RecipientEnterprise.recipient_id == Recipient.id)
        .join(Enterprise, Enterprise.id == RecipientEnterprise.enterprise_id)
        .join(Campaign, Campaign.id == Recipient.campaign_id)
        .join(PledgeVersion, PledgeVersion.id == Campaign.pledge_version_id)
        .where(Recipient.exclusion.is_(None))
        .where(Campaign.mode == settings.mode)
    )
    return statement.where(Enterprise.town == town) if town else statement


def _unsigned(statement: Select[Any]) -> Select[Any]:
    signed = exists().where(Signature.enterprise_id == Enterprise.id, Signature.pledge == PledgeVersion.pledge, Signature.state.in_(CURRENT))
    return statement.where(~signed, Enterprise.closed_at.is_(None))


def _batches(session: Session, statement: Select[Any], settings: Settings) -> list[Batch]:
    rows = session.execute(statement.order_by(PledgeVersion.id, Enterprise.town, Enterprise.name, Enterprise.id)).all()
    if not rows:
        raise NobodyLeft(what="sheet")
    return [Batch(version, [_sheet(row, settings) for row in group]) for version, group in groupby(rows, key=lambda row: row.PledgeVersion)]


def _sheet(row: Row[Any], settings: Settings) -> Sheet:
    """Make the sheet of one enterprise; where its principal speaks for several, the address says for which of them it was printed."""
    token = personal.make(settings.office_key, row.id, row.generation, "paper")
    address = personal.url(settings.public_url, token) + (f"#{row.enterprise_id}" if row.spoken_for > 1 else "")
    return Sheet(row.name, row.town, row.code, address, {**row.common, **row.fields})
