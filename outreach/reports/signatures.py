"""Who has signed: enterprises by town, industry, scale, way and whatever else, and the enterprises behind each figure.

Each enterprise stands in one column of `standing.COLUMNS`, so that enterprises = signed + declined + withdrawn + opened + not_opened +
not_reached in each row, and the rows sum to the totals. `pending` (a paper whose scan is missing) stands beside that sum. Grouped by
way, an answer counts under the way by which it came, a pending paper under its own; whoever has not answered has none.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypedDict, Unpack

from sqlalchemy import ColumnElement, Select, Subquery, func, select
from sqlalchemy.orm import Session, aliased

from outreach import tokens
from outreach.audiences import conditions, segments
from outreach.database.pledge_tables import Signature
from outreach.database.tables import Contact, Enterprise
from outreach.i18n import gettext as _
from outreach.reports import grouping as grouped
from outreach.reports import standing, words
from outreach.reports.standing import COLUMNS
from outreach.reports.tables import Column, Table

FIGURES = ("enterprises", *COLUMNS, "pending")
SHOWABLE = (*COLUMNS, "pending")
"""What `column` may ask for: a figure, so that the list of it shows whom the figure counts."""
DEFAULT_BY = ("town",)
SLICE = 1000
CHINESE = MappingProxyType(
    {
        "镇街": "town",
        "村社区": "village",
        "行业": "industry",
        "规模": "scale",
        "规上": "above_scale",
        "主管部门": "department",
        "签署方式": "way",
        "方式": "way",
        "日期": "day",
    }
)
LISTED = ("enterprise", "town", "credit_code", "column", "way", "serial", "signed_at", "time", "opened_at", "pending", "contact", "phone")


class Which(TypedDict, total=False):
    """Which enterprises: those that a campaign selected, else all; and which answers: to one pledge, else to the campaign's, else to any.

    Without a campaign figures are of one `mode` (production unless said otherwise). `start` and `end` are aware moments, `end` the first
    one that is out: with them only who answered, or opened, in that time. `where` is an audience expression, of which one contact of
    the enterprise suffices; `column` is one of SHOWABLE.
    """

    campaign: str | None
    pledge: str | None
    mode: str
    town: str | None
    start: datetime | None
    end: datetime | None
    where: str | None
    column: str | None


def _groups(stands: Subquery) -> Mapping[str, ColumnElement[Any]]:
    return {
        "town": Enterprise.town.expression,
        "village": Enterprise.village.expression,
        "industry": Enterprise.industry.expression,
        "scale": Enterprise.scale.expression,
        "above_scale": Enterprise.above_scale.expression,
        "department": Enterprise.department.expression,
        "way": stands.c.way,
        "day": grouped.OfficeDay(stands.c["at"]),
    }


BY = ("town", "village", "industry", "scale", "above_scale", "department", "way", "day")
"""What figures can be grouped by."""


def grouping(names: Iterable[str]) -> tuple[str, ...]:
    """Return the fields to group by, each once, from their English or Chinese names. Raises FieldUnknown."""
    return grouped.fields(names, known=BY, chinese=CHINESE)


def signatures(session: Session, *, by: Sequence[str] = DEFAULT_BY, **which: Unpack[Which]) -> Table:
    """Return the figures FIGURES for each group of enterprises, groups in order.

    Raises FieldUnknown, CampaignNotFound, PledgeUnknown and AudienceError.
    """
    by = grouping(by)
    found: dict[tuple[Any, ...], dict[str, int]] = defaultdict(lambda: dict.fromkeys(FIGURES, 0))
    for *values, column, pending_way, count in _counted(session, by, which):
        figures = found[tuple(values)]
        figures[column] += count
        figures["enterprises"] += count
        if pending_way:
            found[tuple(pending_way if key == "way" else value for key, value in zip(by, values, strict=True))]["pending"] += count
    rows = [grouped.row(by, values) | figures for values, figures in sorted(found.items(), key=lambda item: grouped.order(by, item[0]))]
    totals = {figure: sum(row[figure] for row in rows) for figure in FIGURES}
    return Table("signatures", [grouped.column(key) for key in (*by, *FIGURES)], rows, by=by, totals=totals)


def _counted(session: Session, by: Sequence[str], which: Which) -> Iterator[Sequence[Any]]:
    """Yield each group's values, a column, the way of a pending paper, and how many enterprises stand there."""
    stands, wanted = chosen(session, which)
    groups = _groups(stands)
    each = _joined(select(*(groups[key].label(key) for key in by), stands.c.column, stands.c.pending_way), stands).where(*wanted).subquery()
    counted: Iterable[Sequence[Any]] = session.execute(select(*each.c, func.count()).group_by(*each.c))
    yield from counted


def chosen(session: Session, which: Which) -> tuple[Subquery, list[ColumnElement[bool]]]:
    """Return where the enterprises stand, and the conditions on them and on `Enterprise` that say which are asked for."""
    stands = standing.standings(session, campaign=which.get("campaign"), pledge=which.get("pledge"), mode=which.get("mode", "production"))
    return stands, _conditions(session, stands, which)


def _conditions(session: Session, stands: Subquery, which: Which) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if town := which.get("town"):
        found.append(Enterprise.town == town)
    if start := which.get("start"):
        found.append(stands.c["at"] >= start)
    if end := which.get("end"):
        found.append(stands.c["at"] < end)
    if where := which.get("where"):
        found.append(Enterprise.id.in_(conditions.selected_enterprise_ids(segments.audience(session, where))))
    if column := which.get("column"):
        found.append(stands.c.pending_id.is_not(None) if column == "pending" else stands.c.column == column)
    return found


def listing(session: Session, *, by: Sequence[str] = (), limit: int = 50, after: int | None = None, unmask: bool = False, **which: Unpack[Which]) -> Table:
    """Return a page of the enterprises that the figures count; `total` counts them all, `next` is the cursor of the page after this one.

    `by` adds the columns of these fields. Phones are masked unless `unmask`.
    """
    page = list(rows(session, by=by, limit=limit + 1, after=after, unmask=unmask, **which))
    more = len(page) > limit
    return Table("signatures", columns(by), page[:limit], total=total(session, **which), next=page[limit - 1]["id"] if more and limit else None)


def columns(by: Sequence[str] = ()) -> list[Column]:
    """Return the columns of the list."""
    extra = [key for key in grouping(by) if key not in LISTED]
    headings = {"column": _("standing"), "pending": _("paper without scan")}
    return [Column(key, words.heading(headings.get(key) or words.field(key))) for key in (*LISTED, *extra)]


def total(session: Session, **which: Unpack[Which]) -> int:
    """Return how many the list holds."""
    stands, wanted = chosen(session, which)
    return session.scalar(_joined(select(func.count()), stands).where(*wanted)) or 0


def rows(
    session: Session, *, by: Sequence[str] = (), unmask: bool = False, limit: int | None = None, after: int | None = None, **which: Unpack[Which]
) -> Iterator[dict[str, Any]]:
    """Yield the enterprises that the figures count, row by row in the same memory; `id` is the enterprise's.

    The contact is the one who signed, else the first-ranked one; of an erased contact nothing is told. `time` is when the enterprise
    came to stand where it does, `pending` the serial of a paper whose scan is missing.
    """
    stands, wanted = chosen(session, which)
    groups = _groups(stands)
    extra = [key for key in grouping(by) if key not in LISTED]
    query = _list_query(stands, [groups[key].label(key) for key in extra]).where(*wanted).order_by(Enterprise.id)
    if after is not None:
        query = query.where(Enterprise.id > after)
    if limit is not None:
        query = query.limit(limit)
    for row in session.execute(query, execution_options={"yield_per": SLICE}):
        phone = row.phone or ""
        shown = {"contact": row.contact or "", "phone": phone if unmask or not phone else tokens.mask(phone)}
        yield row._asdict() | grouped.row(extra, [row._mapping[key] for key in extra]) | shown


def _list_query(stands: Subquery, extra: Sequence[ColumnElement[Any]]) -> Select[Any]:
    signature, paper = aliased(Signature), aliased(Signature)
    query = select(
        Enterprise.id,
        Enterprise.name.label("enterprise"),
        Enterprise.town,
        Enterprise.credit_code,
        stands.c.column,
        stands.c.way,
        signature.serial,
        signature.signed_at,
        stands.c["at"].label("time"),
        stands.c.opened_at,
        paper.serial.label("pending"),
        Contact.name.label("contact"),
        Contact.phone,
        *extra,
    )
    return (
        _joined(query, stands)
        .outerjoin(signature, signature.id == stands.c.signature_id)
        .outerjoin(paper, paper.id == stands.c.pending_id)
        .outerjoin(Contact, Contact.id == func.coalesce(signer(signature), first_contact()))
    )


def signer(signature: Any) -> ColumnElement[int]:
    """Return the contact who signed, none where that person was erased."""
    person = aliased(Contact)
    return select(person.id).where(person.id == signature.contact_id, person.erased_at.is_(None)).correlate(signature).scalar_subquery()


def first_contact() -> ColumnElement[int]:
    """Return the first-ranked contact of an enterprise who was not erased."""
    person = aliased(Contact)
    own = select(person.id).where(person.enterprise_id == Enterprise.id, person.erased_at.is_(None))
    return own.order_by(person.rank, person.id).limit(1).correlate(Enterprise).scalar_subquery()


def _joined(query: Select[Any], stands: Subquery) -> Select[Any]:
    return query.select_from(stands).join(Enterprise, Enterprise.id == stands.c.enterprise_id)
