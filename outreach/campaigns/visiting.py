"""What a visit means beyond itself: a pledge signed on paper, a "no", a new number, an enterprise that is closed. All of it, or nothing.

Lock order: imports take turns, then enterprises by id, then everything else.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import and_, exists, or_, select, update
from sqlalchemy.orm import Session, aliased

from outreach.clock import OFFICE_ZONE
from outreach.contacts import renumbering, storing
from outreach.database import bulk
from outreach.database.paper_tables import VisitResult
from outreach.database.tables import OPEN, Campaign, Contact, Delivery, Enterprise, PledgeVersion, Recipient, RecipientContact, RecipientEnterprise
from outreach.pledges import paper, signing
from outreach.pledges.paper import Paper, SignedBeforeText
from outreach.pledges.routing import Route
from outreach.pledges.scans import Kept
from outreach.pledges.signing import DeclineRequest, SignRequest
from outreach.settings import Settings
from outreach.visits import results, tasks
from outreach.visits.results import Visit
from outreach.visits.tasks import Spoken

CAPACITY = "principal"
"""In which capacity whoever signed is put down, until a person has read the sheet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What stands on the sheet that a visitor brought along; without a name our list's contact is put down, to be looked at."""

    signer: str = ""
    capacity: str = ""
    relation: str = ""
    scans: Sequence[Kept] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What a visit to an enterprise brought: `at` when it was, `day` whether that was written down, `phone` in E.164.

    `visit` is the delivery that the list or the code names; else the enterprise's open visit is meant. So is `campaign_id`.
    """

    enterprise_id: int
    result: str
    at: datetime
    day: bool = True
    visitor: str = ""
    campaign_id: int | None = None
    visit: int | None = None
    phone: str = ""
    remark: str = ""
    sheet: Sheet = field(default_factory=Sheet)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of it: recorded, already (it was known), or rejected for a reason of `workbook.REASONS`.

    `signature` is what became of a paper (pending, recorded, completed, already), `serial` its number; `phone` whether a number changed.
    """

    enterprise_id: int
    enterprise: str
    result: str
    state: str
    reason: str = ""
    signature: str = ""
    serial: str = ""
    phone: bool = False


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which pledge an enterprise is asked for: by which campaign, as which recipient, and who is its contact."""

    version: PledgeVersion
    campaign_id: int
    recipient_id: int
    code: str
    town: str
    contact_id: int | None
    contact: str

    def route(self, enterprise: int, name: str) -> Route:
        return Route(
            enterprises={enterprise: name},
            version=self.version,
            code=self.code,
            town=self.town,
            recipient_id=self.recipient_id,
            campaign_id=self.campaign_id,
            contact_id=self.contact_id,
            contact=self.contact,
        )


@dataclass(frozen=True, slots=True)
class _Item:
    """What was brought, with what is known of its enterprise: whose visit it was, and what it is asked for."""

    brought: Brought
    name: str
    delivery: int | None
    recipient: int | None
    asked: _Asked | None
    mark: str

    @property
    def enterprise(self) -> int:
        return self.brought.enterprise_id


def record(session: Session, brought: Sequence[Brought], *, settings: Settings, by: str, now: datetime) -> list[Outcome]:
    """Write down what visits brought, and what follows from each; return the outcomes in the same order.

    The same visit again changes nothing, except that a scan completes the paper that waited for it. Raises `paper.ScanTaken`.
    """
    items = _opened(session, brought, settings)
    seen = results.known(session, [item.mark for item in items])
    states: list[tuple[str, str]] = []
    for item in items:
        states.append(("already", "") if item.mark in seen else ("rejected", why) if (why := _refusal(item)) else ("recorded", ""))
        if states[-1][0] == "recorded":
            seen.add(item.mark)
    judged = list(zip(items, states, strict=True))
    fresh = [item for item, (state, _why) in judged if state == "recorded"]
    numbers = _renumber(session, fresh, now=now)
    signed = _sign(session, [item for item, (state, _why) in judged if _signs(item, state)], by=by, now=now)
    _refuse(session, fresh, now=now)
    _close(session, fresh, now=now)
    results.keep(session, [_kept(item, signed, numbers) for item in fresh], by=by, now=now)
    return [_outcome(item, state, why, signed, numbers) for item, (state, why) in judged]


def _signs(item: _Item, state: str) -> bool:
    """Whether a paper is to be recorded: a new one, or the scan of one that was typed in before."""
    return item.brought.result == "paper" and (state == "recorded" or (state == "already" and bool(item.brought.sheet.scans)))


def _outcome(item: _Item, state: str, why: str, signed: Mapping[int, tuple[str, str]], numbers: Collection[int]) -> Outcome:
    signature, serial = signed[item.enterprise] if _signs(item, state) else ("", "")
    return Outcome(
        enterprise_id=item.enterprise,
        enterprise=item.name,
        result=item.brought.result,
        state=state,
        reason=why,
        signature=signature,
        serial=serial,
        phone=state == "recorded" and bool(item.brought.phone) and item.enterprise in numbers,
    )


def _opened(session: Session, brought: Sequence[Brought], settings: Settings) -> list[_Item]:
    """Lock what will be written, and look up all that is needed to judge it."""
    storing.lock(session)
    ids = sorted({one.enterprise_id for one in brought})
    spoken = tasks.spoken_for(session, ids, mode=settings.mode)
    bulk.lock_rows(session, Enterprise, [*ids, *_beside(session, spoken)])
    names: dict[int, str] = dict(session.execute(select(Enterprise.id, Enterprise.name).where(Enterprise.id.in_(ids))).all())
    asked = _asked(session, spoken)
    named = _named(session, {one.visit for one in brought if one.visit}, mode=settings.mode)
    open_visits = {key: visit for key, visit in tasks.of_enterprises(session, spoken).items() if visit.state in OPEN}
    items = []
    for one in brought:
        visit = named.get((one.visit, one.enterprise_id))
        answered = visit or (None if one.campaign_id else open_visits.get(one.enterprise_id))
        campaign = visit.campaign_id if visit else one.campaign_id
        mine = asked.get(one.enterprise_id, {})
        wanted = mine.get(answered.campaign_id if answered else campaign or 0) or next(reversed(mine.values()), None)
        mark = _mark(one, campaign, visit.id if visit else None, settings)
        items.append(_Item(one, names[one.enterprise_id], answered.id if answered else None, answered.recipient_id if answered else None, wanted, mark))
    return items


def _mark(one: Brought, campaign: int | None, visit: int | None, settings: Settings) -> str:
    """Return by what this visit is known again: its day, or where none was written down its number on the list."""
    day = f"{one.at.astimezone(OFFICE_ZONE):%Y-%m-%d}" if one.day else f"visit {visit}" if visit else ""
    key, who = settings.office_key, one.enterprise_id
    return results.fingerprint(key, campaign=campaign, enterprise=who, result=one.result, visitor=one.visitor, day=day, phone=one.phone)


def _beside(session: Session, spoken: Collection[Spoken]) -> list[int]:
    """Return all enterprises for which the recipients of these speak: an answer of one locks them too."""
    mine = RecipientEnterprise.recipient_id.in_({one.recipient_id for one in spoken})
    return list(session.scalars(select(RecipientEnterprise.enterprise_id).where(mine).distinct()))


def _asked(session: Session, spoken: Collection[Spoken]) -> dict[int, dict[int, _Asked]]:
    """Return what each enterprise is asked for, by campaign, the newest last."""
    versions = select(Campaign.id, PledgeVersion).join(PledgeVersion, PledgeVersion.id == Campaign.pledge_version_id)
    asking = {row.id: row.PledgeVersion for row in session.execute(versions.where(Campaign.id.in_({one.campaign_id for one in spoken})))}
    recipients = {one.recipient_id for one in spoken if one.campaign_id in asking}
    rows = session.execute(select(Recipient.id, Recipient.code, Recipient.town).where(Recipient.id.in_(recipients)))
    known, people = {row.id: row for row in rows}, _people(session, recipients)
    found: dict[int, dict[int, _Asked]] = {}
    for one in spoken:
        if one.campaign_id in asking:
            row, (contact, name) = known[one.recipient_id], people.get(one.recipient_id, (None, ""))
            wanted = _Asked(asking[one.campaign_id], one.campaign_id, row.id, row.code or "", row.town, contact, name)
            found.setdefault(one.enterprise_id, {})[one.campaign_id] = wanted
    return found


def _people(session: Session, recipients: Collection[int]) -> dict[int, tuple[int, str]]:
    """Return the first contact of each recipient who was not erased."""
    statement = (
        select(RecipientContact.recipient_id, RecipientContact.contact_id, RecipientContact.name)
        .join(Contact, Contact.id == RecipientContact.contact_id)
        .where(RecipientContact.recipient_id.in_(recipients), Contact.erased_at.is_(None))
        .order_by(RecipientContact.rank.desc())
    )
    return {row.recipient_id: (row.contact_id, row.name) for row in session.execute(statement)}


def _named(session: Session, visits: Collection[int], *, mode: str) -> Mapping[tuple[int | None, int], Any]:
    """Return the visits that these numbers mean, by number and enterprise; a number from elsewhere means none."""
    statement = (
        select(Delivery.id, Delivery.campaign_id, Delivery.recipient_id, RecipientEnterprise.enterprise_id)
        .join(RecipientEnterprise, RecipientEnterprise.recipient_id == Delivery.recipient_id)
        .join(Campaign, Campaign.id == Delivery.campaign_id)
        .where(Delivery.id.in_(visits), Delivery.channel == tasks.CHANNEL, Campaign.mode == mode)
    )
    return {(row.id, row.enterprise_id): row for row in session.execute(statement)}


def _refusal(item: _Item) -> str:
    """Say why a result cannot be recorded, as an id; nothing where it can."""
    if item.brought.result != "paper":
        return ""
    if item.asked is None:
        return "not_asked"
    try:
        paper.require_text(item.asked.version, item.brought.at)
    except SignedBeforeText:
        return "before_text"
    return ""


def _renumber(session: Session, items: Sequence[_Item], *, now: datetime) -> set[int]:
    news = {item.enterprise: item.brought.phone for item in items if item.brought.phone}
    first = {item.asked.contact_id for item in items if item.asked and item.asked.contact_id}
    return renumbering.renumber(session, news, first=first, now=now) if news else set()


def _sign(session: Session, items: Sequence[_Item], *, by: str, now: datetime) -> dict[int, tuple[str, str]]:
    """Record papers, and return by enterprise what became of each and its number: with its scan it counts, without it waits."""
    found: dict[int, tuple[str, str]] = {}
    for item in items:
        assert item.asked is not None
        if item.brought.sheet.scans:
            route, sheet = item.asked.route(item.enterprise, item.name), item.brought.sheet
            written = Paper(**_person(item), relation=sheet.relation, at=item.brought.at, now=now, by=by)
            [done] = paper.record(session, route, [item.enterprise], written, sheet.scans)
            found[item.enterprise] = (done.result, done.serial)
    waiting = sorted((item for item in items if not item.brought.sheet.scans), key=_version)
    for _version_id, of_version in groupby(waiting, key=_version):
        found |= _pending(session, list(of_version), by)
    return found


def _version(item: _Item) -> int:
    assert item.asked is not None
    return item.asked.version.id


def _person(item: _Item) -> dict[str, Any]:
    """Return who signed: as the visitor wrote it, else whom our list names, for a person to look at."""
    assert item.asked is not None
    sheet = item.brought.sheet
    return {"signer": sheet.signer or item.asked.contact, "capacity": sheet.capacity or CAPACITY, "review": not sheet.signer}


def _pending(session: Session, items: Sequence[_Item], by: str) -> dict[int, tuple[str, str]]:
    """Record papers of one version that have no scan yet, in one go."""
    version = items[0].asked.version  # type: ignore[union-attr]
    before = paper.standing(session, [item.enterprise for item in items], version)
    fresh = [item for item in items if paper.verdict(before.get(item.enterprise), version)[0] == "recorded"]
    made = signing.sign(session, [_request(item, by) for item in fresh])
    found = {key: ("already", stands.serial) for key, stands in before.items()}
    return found | {one.enterprise_id: ("pending", one.serial) for of_request in made for one in of_request}


def _request(item: _Item, by: str) -> SignRequest:
    assert item.asked is not None
    return SignRequest(
        enterprise_ids=[item.enterprise],
        version_id=item.asked.version.id,
        way="paper",
        method="paper",
        **_person(item),
        relation=item.brought.sheet.relation,
        at=item.brought.at,
        recipient_id=item.asked.recipient_id,
        campaign_id=item.asked.campaign_id,
        contact_id=item.asked.contact_id,
        state="pending",
        recorded_by=by,
    )


def _refuse(session: Session, items: Iterable[_Item], *, now: datetime) -> None:
    """Write down each "no" to a pledge: it settles from now on. Where no pledge was asked for, nothing more is written to that recipient."""
    said_no = [item for item in items if item.brought.result == "refused"]
    asked = [item for item in said_no if item.asked is not None]
    signing.decline(session, [_decline(item) for item in asked])
    moments = {item.brought.at for item in asked}
    settled = update(Enterprise).where(Enterprise.id.in_({item.enterprise for item in asked}), Enterprise.outcome == "declined")
    session.execute(settled.where(Enterprise.settled_at.in_(moments)).values(settled_at=now))  # a visit of this morning settles what was approved at noon
    _stop(session, {item.recipient for item in said_no if item.asked is None and item.recipient}, now=now)


def _decline(item: _Item) -> DeclineRequest:
    assert item.asked is not None
    return DeclineRequest(
        enterprise_ids=[item.enterprise],
        version_id=item.asked.version.id,
        way="staff",
        reason=item.brought.remark,
        at=item.brought.at,
        recipient_id=item.asked.recipient_id,
        campaign_id=item.asked.campaign_id,
        contact_id=item.asked.contact_id,
    )


def _close(session: Session, items: Sequence[_Item], *, now: datetime) -> None:
    """Close the enterprises that are no more, and open again one where somebody was met later than it was found closed."""
    gone = {item.enterprise: item.brought.at for item in sorted(items, key=_moment) if item.brought.result == "closed"}
    met = {item.enterprise: item.brought.at for item in sorted(items, key=_moment) if item.brought.result in results.MADE}
    for key, at in _met_before(session, gone).items():
        met[key] = max(met.get(key, at), at)
    closed: list[dict[str, Any]] = [{"id": key, "closed_at": at, "updated_at": now} for key, at in gone.items() if key not in met or met[key] <= at]
    bulk.update_rows(session, Enterprise, closed, keys=["id"], sets=["closed_at", "updated_at"], where="(d.closed_at is null or d.closed_at < v.closed_at)")
    shut = session.execute(select(Enterprise.id, Enterprise.closed_at).where(Enterprise.id.in_(met), Enterprise.closed_at.is_not(None))).all()
    alive = [row.id for row in shut if row.closed_at < met[row.id]]
    session.execute(update(Enterprise).where(Enterprise.id.in_(alive)).values(closed_at=None, updated_at=now))
    _stop(session, _with_nobody_left(session, {int(row["id"]) for row in closed}), now=now)


def _moment(item: _Item) -> datetime:
    return item.brought.at


def _met_before(session: Session, enterprises: Collection[int]) -> dict[int, datetime]:
    """Return when somebody was last met at these, as far as that was typed in before."""
    rows = select(VisitResult.enterprise_id, VisitResult.visited_on).where(VisitResult.enterprise_id.in_(enterprises), VisitResult.result.in_(results.MADE))
    return dict(session.execute(rows.order_by(VisitResult.visited_on)).all())


def _with_nobody_left(session: Session, closed: Collection[int]) -> set[int]:
    """Return the recipients of these enterprises who speak for none any more that is still to be asked."""
    other, theirs = aliased(RecipientEnterprise), aliased(Enterprise)
    unsettled = or_(theirs.settled_at.is_(None), theirs.settled_at <= Campaign.approved_at)
    left = exists().where(other.recipient_id == Recipient.id, theirs.id == other.enterprise_id, theirs.closed_at.is_(None), unsettled)
    rows = (
        select(Recipient.id)
        .join(RecipientEnterprise, and_(RecipientEnterprise.recipient_id == Recipient.id, RecipientEnterprise.enterprise_id.in_(closed)))
        .join(Campaign, Campaign.id == Recipient.campaign_id)
        .where(~left.correlate(Recipient, Campaign))
    )
    return set(session.scalars(rows))


def _stop(session: Session, recipients: Collection[int], *, now: datetime) -> None:
    """Write nothing more to these recipients."""
    session.execute(update(Recipient).where(Recipient.id.in_(recipients), Recipient.stopped_at.is_(None)).values(stopped_at=now))


def _kept(item: _Item, signed: Mapping[int, tuple[str, str]], numbers: Collection[int]) -> Visit:
    one = item.brought
    serial = signed.get(item.enterprise, ("", ""))[1] if one.result == "paper" else ""
    phone = ("changed" if item.enterprise in numbers else "known") if one.phone else ""
    detail = {key: value for key, value in (("remark", one.remark), ("serial", serial), ("phone", phone)) if value}
    return Visit(
        enterprise_id=item.enterprise,
        result=one.result,
        visitor=one.visitor,
        visited_on=one.at,
        fingerprint=item.mark,
        delivery_id=item.delivery,
        detail=detail,
    )
