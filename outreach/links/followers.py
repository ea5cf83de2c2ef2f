"""Who follows the office's account, held against the provider's own list: an event may have been lost while the office was away."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from outreach.database import bulk
from outreach.database.tables import Address
from outreach.database.wechat_tables import Follower
from outreach.errors import Refused
from outreach.links import bindings, refusals
from outreach.outbox import bound

SLICE = 1000
FEW = 100
"""So many may be found gone without a question, whatever share they are."""
SHARE = 0.2


class TooManyGone(Refused):
    """The list holds {listed} followers, so {gone} of our {known} would be taken for gone. If this is the right account: outreach wechat sync --yes"""


def found_following(session: Session, openids: Sequence[str], *, since: datetime) -> int:
    """Note that these openids follow, but for those that left after `since`, when the list was asked for; return how many were not known to."""
    listed = sorted(set(openids))
    known = {openid for some in _slices(listed) for openid in session.scalars(select(Follower.openid).where(Follower.openid.in_(some)))}
    new = [openid for openid in listed if openid not in known]
    bulk.insert_rows(session, Follower, [{"openid": openid, "follows": True} for openid in new], ignore_conflicts=True)
    _hold(session, listed)
    stayed = or_(Follower.left_at.is_(None), Follower.left_at < since)
    back: list[str] = []
    for some in _slices(listed):
        again = update(Follower).where(Follower.openid.in_(some), Follower.follows.is_(False), stayed).values(follows=True, left_at=None)
        back += session.scalars(again.returning(Follower.openid))
    for some in _slices(back):
        _let_in(session, some)
    return len(new) + len(back)


def _hold(session: Session, openids: Sequence[str]) -> None:
    """Lock followers, all at once and in the order in which the conversation does, once those are there that were new."""
    ids = [key for some in _slices(openids) for key in session.scalars(select(Follower.id).where(Follower.openid.in_(some)))]
    bulk.lock_rows(session, Follower, ids)


def _let_in(session: Session, openids: Collection[str]) -> None:
    """Write again to whom the provider refused only because they did not follow."""
    free = {"suppressed_at": None, "suppressed_reason": None, "suppressed_source": None}
    by_provider = (Address.suppressed_reason.in_(refusals.GONE), Address.suppressed_source.not_in(bound.BY_PEOPLE))
    mine = (Address.channel == "wechat", Address.value.in_(openids), *by_provider)
    ids = list(session.scalars(select(Address.id).where(*mine)))
    bulk.lock_rows(session, Address, ids)
    session.execute(update(Address).where(Address.id.in_(ids), *by_provider).values(**free))


def gone(session: Session, listed: Collection[str], *, since: datetime, sure: bool = False) -> list[str]:
    """Return those whom we think to follow and whom the whole list, asked for at `since`, does not hold.

    Raises TooManyGone where they are so many that the list is more likely another account's, unless `sure`.
    """
    missing = [openid for openid in _following(session) if openid not in listed]
    absent: list[str] = []
    for some in _slices(missing):
        absent += session.scalars(select(Follower.openid).where(Follower.openid.in_(some), Follower.follows.is_(True), _came_before(since)))
    known = session.scalar(select(func.count()).select_from(Follower).where(Follower.follows.is_(True))) or 0
    if not sure and len(absent) > max(FEW, SHARE * known):
        raise TooManyGone(listed=len(listed), gone=len(absent), known=known)
    return absent


def _following(session: Session) -> Iterator[str]:
    yield from session.scalars(select(Follower.openid).where(Follower.follows.is_(True)), execution_options={"yield_per": SLICE})


def left(session: Session, openids: Sequence[str], *, since: datetime, now: datetime) -> int:
    """Note that these follow no more, but for those that came after `since`, and end their bindings; return how many of those were held."""
    _hold(session, openids)
    ended = 0
    for some in _slices(openids):
        away = update(Follower).where(Follower.openid.in_(some), Follower.follows.is_(True), _came_before(since)).values(follows=False, left_at=now)
        parted = session.scalars(away.returning(Follower.openid)).all()
        ended += bindings.unbind_all(session, parted, reason=bindings.UNSUBSCRIBED, now=now)
    return ended


def _came_before(moment: datetime) -> ColumnElement[bool]:
    return or_(Follower.followed_at.is_(None), Follower.followed_at < moment)


def _slices(openids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (openids[start : start + SLICE] for start in range(0, len(openids), SLICE))
