"""Who can be reached by what: enterprises by WeChat, text message and letter, and those whom nothing reaches, each figure with its list.

An enterprise that several channels reach counts under each of them, and `enterprises = none + those that at least one reaches`. Grouped
by `first` it stands once, under the first of CHANNELS that reaches it. WeChat reaches who is bound and follows the account (`bound`), a
text message a phone for which there is a sender, a letter a postal address from which none came back. What must not be written to
reaches nobody; so does nothing a closed enterprise.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypedDict, Unpack

from sqlalchemy import ColumnElement, Select, Subquery, Text, and_, case, false, func, literal, or_, select
from sqlalchemy.orm import Session, aliased

from outreach import tokens
from outreach.audiences import conditions, segments
from outreach.campaigns import directory
from outreach.contacts import postal
from outreach.database.tables import Address, Contact, Enterprise, RecipientEnterprise
from outreach.database.wechat_tables import Binding
from outreach.outbox.bound import bound, refused_elsewhere
from outreach.reports import grouping as grouped
from outreach.reports import words
from outreach.reports.tables import Column, Table

CHANNELS = ("wechat", "sms", "letter")
"""In the order in which the ladder tries them."""
WAYS = (*CHANNELS, "none")
FIGURES = ("enterprises", *WAYS)
BY = ("town", "village", "industry", "scale", "above_scale", "department", "first")
"""What figures can be grouped by."""
DEFAULT_BY = ("town",)
SLICE = 1000
ANY_NUMBER = ("+",)
CHINESE = MappingProxyType(
    {"镇街": "town", "村社区": "village", "行业": "industry", "规模": "scale", "规上": "above_scale", "主管部门": "department", "首选渠道": "first"}
)
LISTED = ("enterprise", "town", "credit_code", "first", *CHANNELS, "contact", "phone", "bound_at")


class Which(TypedDict, total=False):
    """Which enterprises: those that a campaign selected, else all; of one town; those with a contact whom the audience `where` hits.

    `way` is one of WAYS: who can be reached so, by whatever else too; `first` one of them too: whom it reaches first. `prefixes` are
    those of the numbers to which texts can be sent.
    """

    campaign: str | None
    town: str | None
    where: str | None
    way: str | None
    first: str | None
    prefixes: Sequence[str]


def grouping(names: Iterable[str]) -> tuple[str, ...]:
    """Return the fields to group by, each once, from their English or Chinese names. Raises FieldUnknown."""
    return grouped.fields(names, known=BY, chinese=CHINESE)


def reach(session: Session, *, by: Sequence[str] = DEFAULT_BY, **which: Unpack[Which]) -> Table:
    """Return the figures FIGURES for each group of enterprises, groups in order. Raises FieldUnknown, CampaignNotFound and AudienceError."""
    by = grouping(by)
    found: dict[tuple[Any, ...], dict[str, int]] = defaultdict(lambda: dict.fromkeys(FIGURES, 0))
    for *values, wechat, sms, letter, count in _counted(session, by, which):
        figures = found[tuple(values)]
        figures["enterprises"] += count
        for way, counts in zip(WAYS, (wechat, sms, letter, not (wechat or sms or letter)), strict=True):
            figures[way] += count if counts else 0
    rows = [grouped.row(by, values) | figures for values, figures in sorted(found.items(), key=lambda item: grouped.order(by, item[0]))]
    totals = {figure: sum(row[figure] for row in rows) for figure in FIGURES}
    return Table("reach", columns_of(by), rows, by=by, totals=totals)


def columns_of(by: Sequence[str]) -> list[Column]:
    """Return the columns of the figures."""
    return [grouped.column(key) for key in (*by, "enterprises")] + [_way_column(way) for way in WAYS]


def _way_column(way: str) -> Column:
    return Column(way, words.heading(words.channel(way)))


def _counted(session: Session, by: Sequence[str], which: Which) -> Iterator[Sequence[Any]]:
    """Yield each group's values, by what its enterprises can be reached, and how many they are."""
    ways = _ways(which.get("prefixes", ANY_NUMBER))
    each = (
        select(*(_group(ways, key).label(key) for key in by), *_reached(ways)).select_from(_joined(ways)).where(*_conditions(session, ways, which)).subquery()
    )
    counted: Iterable[Sequence[Any]] = session.execute(select(*each.c, func.count()).group_by(*each.c))
    yield from counted


def _ways(prefixes: Sequence[str]) -> Subquery:
    """Return for each enterprise with contacts the one who is best reached, and whether any is by WeChat and by text message."""
    openid, phone = aliased(Address), aliased(Address)
    held = select(Binding.contact_id, Binding.openid, Binding.bound_at).join(Contact, bound()).subquery()
    wechat = _flag(and_(held.c.contact_id.is_not(None), openid.suppressed_at.is_(None), ~refused_elsewhere("wechat")))
    served = or_(false(), *(Contact.phone.startswith(prefix, autoescape=True) for prefix in prefixes))
    sms = _flag(and_(Contact.phone != "", served, phone.suppressed_at.is_(None), ~refused_elsewhere("sms")))
    enterprise: dict[str, Any] = {"partition_by": Contact.enterprise_id}
    best = func.row_number().over(order_by=[wechat.desc(), sms.desc(), Contact.rank, Contact.id], **enterprise).label("place")
    people = (
        select(
            Contact.enterprise_id,
            Contact.id.label("contact_id"),
            held.c.bound_at,
            func.max(wechat).over(**enterprise).label("wechat"),
            func.max(sms).over(**enterprise).label("sms"),
            best,
        )
        .outerjoin(held, held.c.contact_id == Contact.id)
        .outerjoin(openid, and_(openid.channel == "wechat", openid.value == held.c.openid))
        .outerjoin(phone, and_(phone.channel == "sms", phone.value == Contact.phone))
        .where(Contact.erased_at.is_(None))
        .subquery()
    )
    return select(people).where(people.c.place == 1).subquery("ways")


def _flag(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return case((condition, 1), else_=0)


def _reached(ways: Subquery) -> list[ColumnElement[int]]:
    """Return for each of CHANNELS whether it reaches the enterprise: 1 or 0."""
    stands = Enterprise.closed_at.is_(None)
    flags = {"wechat": func.coalesce(ways.c.wechat, 0) == 1, "sms": func.coalesce(ways.c.sms, 0) == 1, "letter": postal.usable()}
    return [_flag(and_(stands, flags[channel])).label(channel) for channel in CHANNELS]


def _group(ways: Subquery, key: str) -> ColumnElement[Any]:
    if key != "first":
        column: ColumnElement[Any] = getattr(Enterprise, key).expression
        return column
    flags = zip(CHANNELS, _reached(ways), strict=True)
    return case(*((flag == 1, literal(channel, Text())) for channel, flag in flags), else_=literal("none", Text()))


def _conditions(session: Session, ways: Subquery, which: Which) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if campaign := which.get("campaign"):
        chosen = select(RecipientEnterprise.enterprise_id).where(RecipientEnterprise.campaign_id == directory.named(session, campaign).id)
        found.append(Enterprise.id.in_(chosen))
    if town := which.get("town"):
        found.append(Enterprise.town == town)
    if where := which.get("where"):
        found.append(Enterprise.id.in_(conditions.selected_enterprise_ids(segments.audience(session, where))))
    if first := which.get("first"):
        found.append(_group(ways, "first") == first)
    if way := which.get("way"):
        flags = dict(zip(CHANNELS, _reached(ways), strict=True))
        found.append(and_(*(flag == 0 for flag in flags.values())) if way == "none" else flags[way] == 1)
    return found


def listing(session: Session, *, by: Sequence[str] = (), limit: int = 50, after: int | None = None, unmask: bool = False, **which: Unpack[Which]) -> Table:
    """Return a page of the enterprises that the figures count; `total` counts them all, `next` is the cursor of the page after this one.

    `by` adds the columns of these fields. Phones are masked unless `unmask`.
    """
    page = list(rows(session, by=by, limit=limit + 1, after=after, unmask=unmask, **which))
    more = len(page) > limit
    return Table("reach", columns(by), page[:limit], total=total(session, **which), next=page[limit - 1]["id"] if more and limit else None)


def columns(by: Sequence[str] = ()) -> list[Column]:
    """Return the columns of the list."""
    extra = [key for key in grouping(by) if key not in LISTED]
    return [_way_column(key) if key in CHANNELS else grouped.column(key) for key in (*LISTED, *extra)]


def total(session: Session, **which: Unpack[Which]) -> int:
    """Return how many the list holds."""
    ways = _ways(which.get("prefixes", ANY_NUMBER))
    return session.scalar(select(func.count()).select_from(_joined(ways)).where(*_conditions(session, ways, which))) or 0


def rows(
    session: Session, *, by: Sequence[str] = (), unmask: bool = False, limit: int | None = None, after: int | None = None, **which: Unpack[Which]
) -> Iterator[dict[str, Any]]:
    """Yield the enterprises that the figures count, row by row in the same memory; `id` is the enterprise's.

    The contact is the one who is best reached; `bound_at` is when that person's WeChat was bound.
    """
    extra = [key for key in grouping(by) if key not in LISTED]
    query = _list_query(session, extra, which).order_by(Enterprise.id)
    if after is not None:
        query = query.where(Enterprise.id > after)
    if limit is not None:
        query = query.limit(limit)
    for row in session.execute(query, execution_options={"yield_per": SLICE}):
        phone = row.phone or ""
        shown: dict[str, Any] = {channel: bool(getattr(row, channel)) for channel in CHANNELS}
        shown |= {"contact": row.contact or "", "phone": phone if unmask or not phone else tokens.mask(phone)}
        yield row._asdict() | shown


def _list_query(session: Session, extra: Sequence[str], which: Which) -> Select[Any]:
    ways = _ways(which.get("prefixes", ANY_NUMBER))
    bound_at: ColumnElement[datetime | None] = ways.c.bound_at
    return (
        select(
            Enterprise.id,
            Enterprise.name.label("enterprise"),
            Enterprise.town,
            Enterprise.credit_code,
            _group(ways, "first").label("first"),
            *_reached(ways),
            Contact.name.label("contact"),
            Contact.phone,
            bound_at,
            *(_group(ways, key).label(key) for key in extra),
        )
        .select_from(_joined(ways).outerjoin(Contact, Contact.id == ways.c.contact_id))
        .where(*_conditions(session, ways, which))
    )


def _joined(ways: Subquery) -> Any:
    return Enterprise.__table__.outerjoin(ways, ways.c.enterprise_id == Enterprise.id)
