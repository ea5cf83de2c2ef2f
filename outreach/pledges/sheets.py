"""Whose sheets are to be printed for signing by hand: those of some codes, of a campaign, of towns and villages; and blank ones for an event.

Of a campaign or a place they are for whoever has not answered: neither signed nor declined nor said that the letter is not for him.
"""

from collections import ChainMap
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from typing import IO, Any

from sqlalchemy import Row, Select, exists, func, select
from sqlalchemy.orm import Session, aliased

from outreach.database.pledge_tables import CURRENT, Refusal, Signature
from outreach.database.tables import Campaign, Enterprise, PledgeVersion, Recipient, RecipientEnterprise
from outreach.errors import BadInput, NotFound, Refused
from outreach.links import personal, resolving
from outreach.pledges import documents, versions
from outreach.pledges.documents import Sheet
from outreach.rendering import joining
from outreach.rendering.documents import joined
from outreach.settings import Settings

LONGEST_TITLE = 60
Progress = Callable[[int], None]
"""Is told how many sheets are set."""


class CodesUnknown(NotFound):
    """There is no signing code {codes} in any campaign that asks for a pledge; compare it with the letter or text."""


class CampaignUnknown(NotFound):
    """There is no campaign {name} that asks for a pledge; `outreach campaign list` shows the campaigns."""


class PlaceUnknown(NotFound):
    """No enterprise is in {places}; `outreach contacts list` shows how towns and villages are written."""


class TitleTooLong(BadInput):
    """The title of the event has {length} characters; on a sheet there is room for {longest}."""


class NobodyLeft(Refused):
    """Nobody is left to sign by hand: all of these have signed, declined or closed down."""


class NothingAsked(Refused):
    """No campaign asks for a pledge yet; say which one to print: --pledge NAME"""


@dataclass(frozen=True, slots=True)
class Batch:
    """Sheets of one version of a pledge, in the order in which they are printed."""

    version: PledgeVersion
    sheets: Sequence[Sheet]


@dataclass(frozen=True, slots=True)
class Where:
    """Which enterprises: in one of these towns and one of these villages, where any are given, and among those selected by `chosen`."""

    towns: Collection[str] = ()
    villages: Collection[str] = ()
    chosen: Select[int] | None = field(default=None, compare=False)

    def narrow(self, statement: Select[Any]) -> Select[Any]:
        """Return a select over enterprises with these conditions."""
        if self.towns:
            statement = statement.where(Enterprise.town.in_(self.towns))
        if self.villages:
            statement = statement.where(Enterprise.village.in_(self.villages))
        return statement if self.chosen is None else statement.where(Enterprise.id.in_(self.chosen))


EVERYWHERE = Where()


def of_codes(session: Session, codes: Sequence[str], *, settings: Settings, where: Where = EVERYWHERE) -> list[Batch]:
    """Return the sheets of the enterprises that these codes speak for and that have not signed. Raises CodesUnknown and NobodyLeft.

    Enterprises elsewhere than `where` are none.
    """
    wanted = dict.fromkeys(resolving.tidy(code) for code in codes)
    of_these = where.narrow(_included(settings)).where(Recipient.code.in_(list(wanted)))
    known = set(session.scalars(of_these.with_only_columns(Recipient.code)))
    if missing := [code for code in wanted if code not in known]:
        raise CodesUnknown(what="code", name=missing[0], codes=" ".join(missing))
    return _batches(session, _unsigned(of_these), settings)


def of_campaign(session: Session, name: str, *, settings: Settings, where: Where = EVERYWHERE) -> list[Batch]:
    """Return the sheets of a campaign's enterprises that have not answered, by town, village and name.

    Raises CampaignUnknown, PlaceUnknown and NobodyLeft.
    """
    version_of_campaign(session, name, settings=settings)
    of_these = _unanswered(_included(settings)).where(Campaign.name == name)
    return _somewhere(session, of_these, where, settings)


def of_place(session: Session, *, settings: Settings, where: Where) -> list[Batch]:
    """Return the sheets of all enterprises there that were asked and have not answered, each by the newest campaign that asks for a pledge.

    Raises PlaceUnknown and NobodyLeft.
    """
    newest = func.row_number().over(partition_by=[Enterprise.id, PledgeVersion.pledge], order_by=[Campaign.launched_at.desc(), Campaign.id.desc()])
    asking = (Campaign.launched_at.is_not(None), Campaign.state != "cancelled")
    place = _included(settings).where(*asking).with_only_columns(Recipient.id, Enterprise.id.label("enterprise_id"), newest.label("place")).subquery()
    of_these = _unanswered(_included(settings)).join(place, (place.c.id == Recipient.id) & (place.c.enterprise_id == Enterprise.id))
    return _somewhere(session, of_these.where(place.c.place == 1), where, settings)


def blank(version: PledgeVersion, count: int, *, town: str = "", event: str = "", settings: Settings) -> Batch:
    """Return sheets for whoever walks in: enterprise and code are written by hand, and the QR code leads to the office's page."""
    one = Sheet("", town, "", f"{settings.public_url.rstrip('/')}/", event=event)
    return Batch(version, [one] * count)


def version_of_campaign(session: Session, name: str, *, settings: Settings) -> PledgeVersion:
    """Return the text that a campaign asks to be signed. Raises CampaignUnknown."""
    asked = select(PledgeVersion).join(Campaign, Campaign.pledge_version_id == PledgeVersion.id)
    found = session.scalar(asked.where(Campaign.name == name, Campaign.mode == settings.mode))
    if found is None:
        raise CampaignUnknown(what="campaign", name=name)
    return found


def version_asked(session: Session, pledge: str, *, settings: Settings, now: datetime) -> PledgeVersion:
    """Return the newest text of a pledge, or, where none is named, what the newest campaign asks for.

    A pledge that nobody was asked for yet is frozen as its file stands: what is signed by hand must be known word for word.
    Raises NothingAsked and PledgeUnknown.
    """
    if pledge:
        try:
            return versions.numbered(session, pledge, None)
        except versions.PledgeUnknown:
            return versions.freeze(session, pledge, settings=settings, now=now)
    asked = select(PledgeVersion).join(Campaign, Campaign.pledge_version_id == PledgeVersion.id).where(Campaign.mode == settings.mode)
    found = session.scalar(asked.where(Campaign.launched_at.is_not(None)).order_by(Campaign.launched_at.desc(), Campaign.id.desc()).limit(1))
    if found is None:
        raise NothingAsked(what="sheet")
    return found


def at_event(batches: Iterable[Batch], event: str) -> list[Batch]:
    """Return the same sheets with the title of an event on each. Raises TitleTooLong."""
    if len(event) > LONGEST_TITLE:
        raise TitleTooLong(what="event", length=len(event), longest=LONGEST_TITLE)
    return [Batch(batch.version, [replace(sheet, event=event) for sheet in batch.sheets]) for batch in batches]


def printable(batches: Iterable[Batch], *, settings: Settings) -> tuple[list[Batch], dict[str, str]]:
    """Return the sheets that can be set, and of the others the enterprise with the characters that no font here has."""
    left_out: dict[str, str] = {}
    kept = []
    for batch in batches:
        lacking = [documents.lacking(sheet, settings=settings) for sheet in batch.sheets]
        left_out |= {sheet.enterprise: characters for sheet, characters in zip(batch.sheets, lacking, strict=True) if characters}
        kept.append(Batch(batch.version, [sheet for sheet, characters in zip(batch.sheets, lacking, strict=True) if not characters]))
    return [batch for batch in kept if batch.sheets], left_out


def pdf(batches: Iterable[Batch], *, settings: Settings, now: datetime) -> bytes:
    """Return all sheets in one PDF. Raises SheetTooLong and GlyphMissing."""
    parts = [documents.sheets_pdf(batch.version, batch.sheets, settings=settings, now=now) for batch in batches]
    return parts[0] if len(parts) == 1 else joined(parts, now=now)


def write(batches: Sequence[Batch], stream: IO[bytes], *, settings: Settings, now: datetime, progress: Progress) -> int:
    """Write all sheets as one PDF, any number of them in the same memory, and return how many bytes. Raises SheetTooLong and GlyphMissing."""
    if len(batches) == 1 and len(batches[0].sheets) <= documents.AT_ONCE:
        content = pdf(batches, settings=settings, now=now)
        progress(len(batches[0].sheets))
        stream.write(content)
    else:
        joining.join(_parts(batches, settings=settings, now=now, progress=progress), stream, now=now)
    return stream.tell()


def _parts(batches: Iterable[Batch], *, settings: Settings, now: datetime, progress: Progress) -> Iterator[bytes]:
    count = 0
    for batch in batches:
        for start in range(0, len(batch.sheets), documents.AT_ONCE):
            some = batch.sheets[start : start + documents.AT_ONCE]
            yield from documents.sheet_parts(batch.version, some, settings=settings, now=now)
            count += len(some)
            progress(count)


def _included(settings: Settings) -> Select[Any]:
    """Select every enterprise of every included recipient of a campaign that asks for a pledge."""
    spoken = aliased(RecipientEnterprise)
    spoken_for = select(func.count()).select_from(spoken).where(spoken.recipient_id == Recipient.id).scalar_subquery()
    return (
        select(Recipient.id, Recipient.code, Recipient.generation, Recipient.fields, spoken_for.label("spoken_for"))
        .add_columns(Enterprise.id.label("enterprise_id"), Enterprise.name, Enterprise.town)
        .add_columns(Campaign.id.label("campaign_id"), PledgeVersion)
        .join(RecipientEnterprise, RecipientEnterprise.recipient_id == Recipient.id)
        .join(Enterprise, Enterprise.id == RecipientEnterprise.enterprise_id)
        .join(Campaign, Campaign.id == Recipient.campaign_id)
        .join(PledgeVersion, PledgeVersion.id == Campaign.pledge_version_id)
        .where(Recipient.exclusion.is_(None))
        .where(Campaign.mode == settings.mode)
    )


def _unanswered(statement: Select[Any]) -> Select[Any]:
    said_no = exists().where(Refusal.enterprise_id == Enterprise.id, Refusal.pledge == PledgeVersion.pledge)
    withdrew = exists().where(Signature.enterprise_id == Enterprise.id, Signature.pledge == PledgeVersion.pledge, Signature.state == "withdrawn")
    return statement.where(Recipient.stopped_at.is_(None), ~said_no, ~withdrew)


def _unsigned(statement: Select[Any]) -> Select[Any]:
    signed = exists().where(Signature.enterprise_id == Enterprise.id, Signature.pledge == PledgeVersion.pledge, Signature.state.in_(CURRENT))
    return statement.where(~signed, Enterprise.closed_at.is_(None))


def _somewhere(session: Session, statement: Select[Any], where: Where, settings: Settings) -> list[Batch]:
    """Return the sheets of those who are there; where nobody is, say which place it is that nobody knows."""
    try:
        return _batches(session, _unsigned(where.narrow(statement)), settings)
    except NobodyLeft:
        for column, named in ((Enterprise.town, where.towns), (Enterprise.village, where.villages)):
            known = set(session.scalars(select(column).where(column.in_(named)).distinct()))
            if unknown := [name for name in named if name not in known]:
                raise PlaceUnknown(what="place", name=unknown[0], places=" ".join(unknown)) from None
        raise


def _batches(session: Session, statement: Select[Any], settings: Settings) -> list[Batch]:
    rows = session.execute(statement.order_by(PledgeVersion.id, Enterprise.town, Enterprise.village, Enterprise.name, Enterprise.id)).all()
    if not rows:
        raise NobodyLeft(what="sheet")
    campaigns = select(Campaign.id, Campaign.fields).where(Campaign.id.in_({row.campaign_id for row in rows}))
    common = {row.id: row.fields for row in session.execute(campaigns)}
    by_version = groupby(rows, key=lambda row: row.PledgeVersion)
    return [Batch(version, [_sheet(row, common[row.campaign_id], settings) for row in group]) for version, group in by_version]


def _sheet(row: Row[Any], common: dict[str, Any], settings: Settings) -> Sheet:
    """Make the sheet of one enterprise; where its principal speaks for several, the address says for which of them it was printed."""
    token = personal.make(settings.office_key, row.id, row.generation, "paper")
    address = personal.url(settings.public_url, token) + (f"#{row.enterprise_id}" if row.spoken_for > 1 else "")
    return Sheet(row.name, row.town, row.code, address, ChainMap(row.fields, common))
