"""Who said "no more": his openid and the phones he confirmed are written to no more, whichever way he said it, until he says otherwise."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, select, tuple_, update
from sqlalchemy.orm import Session

from outreach.channels.base import Reply
from outreach.database import bulk, tables
from outreach.database.tables import Address
from outreach.links import bindings
from outreach.outbox import bound, receipts

GONE = ("address", "unfollowed")
"""Reasons of a suppression that the provider's answers set, and that coming back undoes."""
OWN = (bound.BY_REPLY, "page")
"""Sources of a suppression that the person asked for: by a message, or on the page of his link."""
Place = tuple[str, str]
"""A channel, and an address on it."""


def places(session: Session, openid: str) -> set[Place]:
    """Return what a word of this person holds for: his openid, and the phones of the contacts that it is bound to at this moment."""
    phones = bindings.phones_of(session, [openid])[openid]
    return {("wechat", openid)} | {("sms", phone) for phone in phones}


def obey(session: Session, said: Mapping[Place, bool], *, came: Collection[str], now: datetime) -> set[str]:
    """Suppress where somebody said stop (True), lift what those set themselves who said start (False), and what the provider said of who came.

    Return the openids that may still not be written to though they said start: that was not their own doing.
    """
    stops = {place for place, stop in said.items() if stop}
    starts = set(said) - stops
    returned = {("wechat", openid) for openid in came} | {place for place in stops if place[0] == "wechat"}
    bulk.insert_rows(session, Address, [{"channel": channel, "value": value} for channel, value in sorted(stops)], ignore_conflicts=True)
    ids = _ids(session, {*said, *returned})
    bulk.lock_rows(session, Address, ids.values())
    by_provider = Address.suppressed_reason.in_(GONE) & Address.suppressed_source.not_in(bound.BY_PEOPLE)
    _lift(session, [ids[place] for place in returned if place in ids], by_provider)  # first: what he says himself outlasts it
    _suppress(session, [ids[place] for place in stops], now=now)
    _lift(session, [ids[place] for place in starts if place in ids], Address.suppressed_source.in_(OWN))
    return _refused(session, {value for channel, value in starts if channel == "wechat"})


def fresh(session: Session, replies: Sequence[Reply]) -> dict[str, bool]:
    """Return which phones said stop (True) or start (False) in texts that are not kept yet; of several the last word."""
    meant = [reply for reply in replies if reply.channel == "sms" and (reply.stops or reply.restarts)]
    if not meant:
        return {}
    kept = tables.Reply
    wanted = select(kept.reference).where(kept.channel == "sms", kept.reference.in_({reply.reference for reply in meant}))
    known = set(session.scalars(wanted))
    return {reply.sender: reply.stops for reply in meant if reply.reference not in known}


def by_text(session: Session, said: Mapping[str, bool], *, now: datetime) -> None:
    """Do for the openids of the contacts with these phones what they said by text: stop (True), or start (False)."""
    openids = bindings.openids_of(session, said)
    stops = {("wechat", openid) for phone, stop in said.items() if stop for openid in openids.get(phone, ())}
    starts = {("wechat", openid) for phone, stop in said.items() if not stop for openid in openids.get(phone, ())}
    bulk.insert_rows(session, Address, [{"channel": channel, "value": value} for channel, value in sorted(stops)], ignore_conflicts=True)
    ids = _ids(session, stops | starts)
    bulk.lock_rows(session, Address, ids.values())
    _suppress(session, [ids[place] for place in stops], now=now)
    _lift(session, [ids[place] for place in starts if place in ids], Address.suppressed_source == bound.BY_REPLY)


def _ids(session: Session, places: Iterable[Place]) -> dict[Place, int]:
    wanted = list(places)
    if not wanted:
        return {}
    rows = session.execute(select(Address.id, Address.channel, Address.value).where(tuple_(Address.channel, Address.value).in_(wanted)))
    return {(row.channel, row.value): row.id for row in rows}


def _suppress(session: Session, ids: Collection[int], *, now: datetime) -> None:
    said = {"suppressed_at": now, "suppressed_reason": "opted_out", "suppressed_source": bound.BY_REPLY}
    receipts.suppress(session, [{"id": key, **said} for key in ids])


def _lift(session: Session, ids: Collection[int], condition: ColumnElement[bool]) -> None:
    cleared = {"suppressed_at": None, "suppressed_reason": None, "suppressed_source": None}
    if ids:
        session.execute(update(Address).where(Address.id.in_(ids), condition).values(cleared))


def _refused(session: Session, openids: Collection[str]) -> set[str]:
    if not openids:
        return set()
    wanted = (Address.channel == "wechat", Address.value.in_(openids), Address.suppressed_at.is_not(None))
    return set(session.scalars(select(Address.value).where(*wanted)))
