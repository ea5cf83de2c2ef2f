"""Who follows the office's account (粉丝), and whose WeChat it is, as far as people have shown it."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, select
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.database.tables import Contact, Enterprise
from outreach.database.wechat_tables import Binding, Follower
from outreach.i18n import gettext as _
from outreach.outbox.bound import bound
from outreach.reports import words
from outreach.reports.tables import Column, Table

STATES = ("bound", "unbound", "left")
LISTED = ("openid", "standing", "followed_at", "left_at", "spoke_at", "way", "bound_at", "contact", "phone", "enterprise", "town", "contacts")
SLICE = 1000


def counts(session: Session) -> dict[str, int]:
    """Return how many follow, how many of them are bound to a contact and not, how many left, and of how many contacts the WeChat is known."""
    follows, is_bound = Follower.follows.is_(True), _is_bound()
    figures = [follows, and_(follows, is_bound), and_(follows, ~is_bound), ~follows]
    counted: Sequence[int] = session.execute(select(*(func.count().filter(figure) for figure in figures)).select_from(Follower)).one()
    contacts = session.scalar(select(func.count()).select_from(Binding).join(Contact, bound())) or 0
    return dict(zip(("following", "bound", "unbound", "left"), counted, strict=True)) | {"contacts": contacts}


def _is_bound() -> ColumnElement[bool]:
    return exists(select(Binding.id).join(Contact, bound()).where(Binding.openid == Follower.openid).correlate(Follower))


def columns() -> list[Column]:
    """Return the columns of the list."""
    headings = {
        "openid": _("openid"),
        "standing": _("standing"),
        "followed_at": _("followed at"),
        "left_at": _("left at"),
        "spoke_at": _("last wrote at"),
        "way": _("how bound"),
        "contacts": _("contacts"),
    }
    return [Column(key, words.heading(headings.get(key) or words.field(key))) for key in LISTED]


def listing(session: Session, *, state: str | None = None, limit: int = 50, after: int | None = None, unmask: bool = False) -> Table:
    """Return a page of those whom the account knows; `state` is one of STATES; `next` is the cursor of the page after this one."""
    page = list(rows(session, state=state, limit=limit + 1, after=after, unmask=unmask))
    more = len(page) > limit
    return Table("followers", columns(), page[:limit], total=total(session, state=state), next=page[limit - 1]["id"] if more and limit else None)


def total(session: Session, *, state: str | None = None) -> int:
    """Return how many the list holds."""
    return session.scalar(_chosen(select(func.count()).select_from(Follower), state)) or 0


def rows(session: Session, *, state: str | None = None, limit: int | None = None, after: int | None = None, unmask: bool = False) -> Iterator[dict[str, Any]]:
    """Yield followers, each with the first contact whose WeChat it is and how many there are; openids and phones masked unless `unmask`."""
    query = _chosen(_query(), state).order_by(Follower.id)
    if after is not None:
        query = query.where(Follower.id > after)
    if limit is not None:
        query = query.limit(limit)
    for row in session.execute(query, execution_options={"yield_per": SLICE}):
        standing = ("bound" if row.contacts else "unbound") if row.follows else "left"
        shown = row._asdict() | {"standing": standing, "contact": row.contact or "", "enterprise": row.enterprise or "", "town": row.town or ""}
        del shown["follows"]
        for key in ("openid", "phone"):
            value = shown[key] or ""
            shown[key] = value if unmask or not value else tokens.mask(value)
        yield shown


def _chosen(query: Select[Any], state: str | None) -> Select[Any]:
    if state is None:
        return query
    if state == "left":
        return query.where(Follower.follows.is_(False))
    return query.where(Follower.follows.is_(True), _is_bound() if state == "bound" else ~_is_bound())


def _query() -> Select[Any]:
    held = (
        select(Binding.openid, func.min(Binding.id).label("first"), func.count().label("contacts")).join(Contact, bound()).group_by(Binding.openid).subquery()
    )
    shown: list[Any] = [
        Follower.id,
        Follower.openid,
        Follower.follows,
        Follower.followed_at,
        Follower.left_at,
        Follower.spoke_at,
        Binding.way,
        Binding.bound_at,
        Contact.name.label("contact"),
        Contact.phone,
        Enterprise.name.label("enterprise"),
        Enterprise.town,
        func.coalesce(held.c.contacts, 0).label("contacts"),
    ]
    return (
        select(*shown)
        .select_from(Follower)
        .outerjoin(held, held.c.openid == Follower.openid)
        .outerjoin(Binding, Binding.id == held.c.first)
        .outerjoin(Contact, Contact.id == Binding.contact_id)
        .outerjoin(Enterprise, Enterprise.id == Contact.enterprise_id)
    )
