"""Which visits there are: to whom, why, what was tried before, and who goes. A visit is one delivery, whatever its recipient speaks for."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypedDict

from sqlalchemy import ColumnElement, Row, ScalarSelect, Select, and_, case, func, or_, select, tuple_
from sqlalchemy.orm import Session, aliased

from outreach.database.paper_tables import VisitResult, VisitTask
from outreach.database.tables import OPEN, Campaign, CampaignStep, Contact, Delivery, Enterprise, Recipient, RecipientContact, RecipientEnterprise

CHANNEL = "visit"
DONE = ("delivered", "undelivered")
SLICE = 500
"""Visits that are read at a time."""


class Which(TypedDict, total=False):
    """Which visits: of a `mode`, and if they are named of a campaign, a town, a village, a visitor, or these codes; `stand` is open or done."""

    mode: str
    campaign: str | None
    town: str | None
    village: str | None
    visitor: str | None
    codes: Collection[str]
    stand: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """An enterprise that is to be seen; `settled` where it need not be asked any more, or is closed."""

    id: int
    name: str
    credit_code: str
    town: str
    village: str
    address: str
    settled: bool


@dataclass(frozen=True, slots=True)
class Try:
    """What was tried before: a message on a channel and what became of it, or an earlier visit and its result."""

    channel: str
    state: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A visit: whom to see at which enterprises, why (`condition` of its step), on whose list it is, and what was tried before.

    `state` is that of its delivery; `asks` tells whether the campaign asks for a pledge, so that the personal link leads somewhere.
    """

    id: int
    campaign: str
    title: str
    step: int
    text_id: int
    recipient_id: int
    generation: int
    code: str
    asks: bool
    state: str
    reason: str
    condition: str
    due_at: datetime
    opened_at: datetime | None
    visitor: str
    issued_at: datetime | None
    contact: str
    phone: str
    places: Sequence[Place]
    tried: Sequence[Try]


def tasks(session: Session, which: Which, *, limit: int | None = None, after: int | None = None) -> Iterator[Task]:
    """Yield visits by town and village; `after` is the id of the last one already seen."""
    query = joined(_COLUMNS).where(*conditions(which)).order_by(*ORDER)
    last, left = after, limit
    while left is None or left > 0:
        size = SLICE if left is None else min(SLICE, left)
        rows = session.execute(_beyond(session, query, last).limit(size)).all()
        yield from _filled(session, rows)
        if len(rows) < size:
            return
        last, left = rows[-1].id, None if left is None else left - size


def total(session: Session, which: Which) -> int:
    """Return how many visits there are."""
    return session.scalar(joined([func.count()]).where(*conditions(which))) or 0


def conditions(which: Which) -> list[ColumnElement[bool]]:
    """Return the conditions on `joined` rows that say which visits are meant."""
    found: list[ColumnElement[bool]] = [Delivery.channel == CHANNEL, Campaign.mode == which.get("mode", "production")]
    if campaign := which.get("campaign"):
        found.append(Campaign.name == campaign)
    if town := which.get("town"):
        found.append(_first.town == town)
    if village := which.get("village"):
        found.append(_first.village == village)
    if visitor := which.get("visitor"):
        found.append(_goes() == visitor)
    if (codes := which.get("codes")) is not None:
        found.append(Recipient.code.in_(codes))
    if stand := which.get("stand"):
        found.append(Delivery.state.in_(OPEN if stand == "open" else DONE))
    return found


_first = aliased(Enterprise, name="first_enterprise")


def _main() -> ColumnElement[Any]:
    """Return the enterprise by which a visit is sorted: of those spoken for the first that is still to be asked."""

    def first(*conditions: ColumnElement[bool]) -> ScalarSelect[Any]:
        mine = (RecipientEnterprise.recipient_id == Recipient.id, Enterprise.id == RecipientEnterprise.enterprise_id)
        return select(func.min(Enterprise.id)).where(*mine, *conditions).correlate(Recipient, Campaign).scalar_subquery()

    unsettled = or_(Enterprise.settled_at.is_(None), Enterprise.settled_at <= Campaign.approved_at)
    return func.coalesce(first(unsettled, Enterprise.closed_at.is_(None)), first())


def joined(columns: Sequence[Any]) -> Select[Any]:
    """Select columns of visits, joined with recipient, campaign, step, first enterprise and whose list they are on."""
    return (
        select(*columns)
        .select_from(Delivery)
        .join(Recipient, Recipient.id == Delivery.recipient_id)
        .join(Campaign, Campaign.id == Delivery.campaign_id)
        .join(CampaignStep, and_(CampaignStep.campaign_id == Delivery.campaign_id, CampaignStep.number == Delivery.step))
        .join(_first, _first.id == _main())
        .outerjoin(VisitTask, and_(VisitTask.delivery_id == Delivery.id, Delivery.state != "queued"))
    )


def _goes() -> ColumnElement[str]:
    """Return whose list a visit is on; of one that was on nobody's, who made it."""
    went = select(VisitResult.visitor).where(VisitResult.delivery_id == Delivery.id).order_by(VisitResult.id.desc()).limit(1)
    return func.coalesce(VisitTask.visitor, went.correlate(Delivery).scalar_subquery())


ORDER = (_first.town, _first.village, Delivery.id)
"""Visits as somebody goes round: by town and village."""
_COLUMNS: list[Any] = [
    Delivery.id,
    Delivery.step,
    Delivery.text_id,
    Delivery.state,
    Delivery.reason,
    Delivery.due_at,
    Delivery.recipient_id,
    Recipient.code,
    Recipient.generation,
    Recipient.opened_at,
    Campaign.name.label("campaign"),
    Campaign.title,
    Campaign.pledge_version_id,
    CampaignStep.condition,
    _goes().label("visitor"),
    VisitTask.issued_at,
    _first.id.label("enterprise_id"),
]


def _beyond(session: Session, query: Select[Any], after: int | None) -> Select[Any]:
    """Begin behind a visit in the order of the list; one that is not there any more counts by its number alone."""
    if after is None:
        return query
    place = session.execute(joined([_first.town, _first.village, Delivery.id]).where(Delivery.id == after)).first()
    return query.where(tuple_(*ORDER) > tuple_(*place)) if place else query.where(Delivery.id > after)


def _filled(session: Session, rows: Sequence[Row[Any]]) -> Iterator[Task]:
    people = _people(session, {row.recipient_id: row.enterprise_id for row in rows})
    places = _places(session, {row.recipient_id for row in rows})
    tried = _tried(session, {row.recipient_id for row in rows})
    for row in rows:
        contact, phone = people.get(row.recipient_id, ("", ""))
        spoken = sorted(places[row.recipient_id], key=lambda place: place.id != row.enterprise_id)
        yield Task(
            id=row.id,
            campaign=row.campaign,
            title=row.title,
            step=row.step,
            text_id=row.text_id,
            recipient_id=row.recipient_id,
            generation=row.generation,
            code=row.code or "",
            asks=row.pledge_version_id is not None,
            state=row.state,
            reason=row.reason or "",
            condition=row.condition,
            due_at=row.due_at,
            opened_at=row.opened_at,
            visitor=row.visitor or "",
            issued_at=row.issued_at,
            contact=contact,
            phone=phone,
            places=spoken,
            tried=tried.get(row.recipient_id, ()),
        )


def _people(session: Session, asked: Mapping[int, int]) -> dict[int, tuple[str, str]]:
    """Return name and phone of whom to ask for, by recipient: at the enterprise the contact who was written to, else its first."""
    written = select(RecipientContact.recipient_id, RecipientContact.contact_id).where(RecipientContact.recipient_id.in_(asked))
    known = {tuple(row) for row in session.execute(written)}
    columns = (Contact.id, Contact.enterprise_id, Contact.name, Contact.phone)
    alive = select(*columns).where(Contact.enterprise_id.in_(set(asked.values())), Contact.erased_at.is_(None))
    people: dict[int, list[Any]] = defaultdict(list)
    for row in session.execute(alive.order_by(Contact.rank, Contact.id)):
        people[row.enterprise_id].append(row)
    found = {}
    for recipient, enterprise in asked.items():
        if mine := people[enterprise]:
            chosen = next((row for row in mine if (recipient, row.id) in known), mine[0])
            found[recipient] = (chosen.name, chosen.phone)
    return found


def _places(session: Session, recipients: Collection[int]) -> dict[int, list[Place]]:
    """Return the enterprises that each recipient speaks for."""
    statement = (
        select(RecipientEnterprise.recipient_id, Enterprise, Campaign.approved_at)
        .join(Enterprise, Enterprise.id == RecipientEnterprise.enterprise_id)
        .join(Campaign, Campaign.id == RecipientEnterprise.campaign_id)
        .where(RecipientEnterprise.recipient_id.in_(recipients))
        .order_by(Enterprise.id)
    )
    found: dict[int, list[Place]] = defaultdict(list)
    for recipient, one, approved in session.execute(statement):
        settled = one.closed_at is not None or bool(one.settled_at and approved and one.settled_at > approved)
        found[recipient].append(Place(one.id, one.name, one.credit_code or "", one.town, one.village, one.address, settled))
    return found


_IN_TIME = (VisitResult.visited_on, VisitResult.id)


def _tried(session: Session, recipients: Collection[int]) -> dict[int, list[Try]]:
    """Return what was tried with each recipient: messages that went out, or did not, and why; and visits with their results."""
    moment = func.coalesce(Delivery.final_at, Delivery.claimed_at, Delivery.due_at).label("at")
    messages = select(Delivery.recipient_id, Delivery.channel, Delivery.state, Delivery.reason, moment)
    messages = messages.where(Delivery.recipient_id.in_(recipients), Delivery.channel != CHANNEL, Delivery.state != "queued")
    visited: Any = select(Delivery.recipient_id, Delivery.channel, VisitResult.result, VisitResult.visited_on)
    results = visited.join(VisitResult, VisitResult.delivery_id == Delivery.id)
    found: dict[int, list[Try]] = defaultdict(list)
    for row in session.execute(messages.order_by(Delivery.id)):
        found[row.recipient_id].append(Try(row.channel, row.state, row.reason or "", row.at))
    for recipient, channel, result, day in session.execute(results.where(Delivery.recipient_id.in_(recipients)).order_by(*_IN_TIME)):
        found[recipient].append(Try(channel, result, "", day))
    return found


@dataclass(frozen=True, slots=True)
class Standing:
    """The visit of an enterprise: the open one, else the newest; with its campaign, and whose list it is on."""

    id: int
    campaign_id: int
    recipient_id: int
    state: str
    visitor: str


class Spoken(NamedTuple):
    """Who speaks for an enterprise in a campaign."""

    enterprise_id: int
    recipient_id: int
    campaign_id: int


def spoken_for(session: Session, enterprises: Collection[int], *, mode: str) -> list[Spoken]:
    """Return who speaks for these enterprises in the launched campaigns of a mode, the newest last.

    The campaigns are named, for the index begins with them: without, each of thousands of rows would be read for a few (measured: 0.7 s).
    """
    launched = select(Campaign.id).where(Campaign.mode == mode, Campaign.launched_at.is_not(None)).order_by(Campaign.launched_at, Campaign.id)
    place = {campaign: number for number, campaign in enumerate(session.scalars(launched))}
    mine = (RecipientEnterprise.campaign_id.in_(place), RecipientEnterprise.enterprise_id.in_(enterprises))
    rows = session.execute(select(RecipientEnterprise.enterprise_id, RecipientEnterprise.recipient_id, RecipientEnterprise.campaign_id).where(*mine))
    return sorted((Spoken(*row) for row in rows), key=lambda one: (place[one.campaign_id], one.enterprise_id))


def of_enterprises(session: Session, spoken: Collection[Spoken]) -> Mapping[int, Standing]:
    """Return the visit of each of these enterprises that has one."""
    recipients = {one.recipient_id for one in spoken}
    wanted = {one.enterprise_id for one in spoken}
    found = all_standing(session, RecipientEnterprise.recipient_id.in_(recipients))
    return {key: visit for key, visit in found.items() if key in wanted}


def all_standing(session: Session, condition: ColumnElement[bool]) -> Mapping[int, Standing]:
    """Return the visit of each enterprise that has one, by enterprise; `condition` is on Campaign and RecipientEnterprise."""
    statement = (
        select(RecipientEnterprise.enterprise_id, Delivery.id, Delivery.campaign_id, Delivery.recipient_id, Delivery.state, VisitTask.visitor)
        .join(Delivery, Delivery.recipient_id == RecipientEnterprise.recipient_id)
        .join(Campaign, Campaign.id == Delivery.campaign_id)
        .outerjoin(VisitTask, and_(VisitTask.delivery_id == Delivery.id, Delivery.state != "queued"))
        .where(Delivery.channel == CHANNEL, condition)
        .order_by(case((Delivery.state.in_(OPEN), 1), else_=0), Delivery.id)  # the last one stays
    )
    found = {}
    for enterprise, number, campaign, recipient, state, visitor in session.execute(statement):
        assert campaign is not None and recipient is not None  # a visit belongs to a campaign
        found[enterprise] = Standing(number, campaign, recipient, state, visitor or "")
    return found
