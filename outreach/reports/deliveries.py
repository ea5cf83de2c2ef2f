"""What became of the messages: the statement's figures by town, state, error or day, and the enterprises behind each figure.

A recipient counts once a step, by the last contact tried, as in the statement; so included = delivered + silent + failed + undelivered +
unknown + review + queued + sending + accepted + skipped in each row, and the rows sum to the totals. Beside that sum stands `doubled`,
which counts messages: it belongs to the contact who got the text twice, be he the last one tried or not.
A recipient who speaks for several enterprises is counted where the first of them is. A moment belongs to a day of the office's clock.
Rehearsal and production are never in one figure: a campaign is either, and figures over all campaigns are of one mode.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypedDict, Unpack

from sqlalchemy import ColumnElement, Row, Select, Text, and_, case, exists, func, literal, null, or_, select, true
from sqlalchemy.orm import Session, aliased

from outreach import tokens
from outreach.audiences import conditions, segments
from outreach.campaigns import directory
from outreach.contacts import postal
from outreach.database.tables import Address, Campaign, Contact, Delivery, Enterprise, Recipient, RecipientContact, RecipientEnterprise, Sender
from outreach.reports import grouping as grouped
from outreach.reports import words
from outreach.reports.tables import Column, Table

PARTS = ("delivered", "silent", "failed", "undelivered", "unknown", "review", "queued", "sending", "accepted", "skipped")
"""The columns that sum to `included`."""
FIGURES = ("included", *PARTS, "doubled")
WAITING = ("queued", "sending", "accepted")
SHOWABLE = (*PARTS, "waiting", "doubled")
"""What `state` may ask for: a figure, so that the list of it shows whom the figure counts."""
DEFAULT_BY = ("campaign", "step", "channel")
SLICE = 1000


class Which(TypedDict, total=False):
    """Which deliveries: of one campaign, else of all in one `mode` (production unless said otherwise).

    `start` and `end` are aware moments, `end` the first one that is out; `where` is an audience expression, of which one enterprise that
    the recipient speaks for suffices; `state` is one of SHOWABLE; `error` a provider's code.
    """

    campaign: str | None
    mode: str
    town: str | None
    start: datetime | None
    end: datetime | None
    where: str | None
    state: str | None
    step: int | None
    error: str | None


MOMENT: ColumnElement[datetime] = func.coalesce(Delivery.claimed_at, Delivery.final_at, Delivery.due_at)
"""When it was last tried; else when it was decided not to; else when it is due."""
KIND: ColumnElement[Any] = case((Delivery.state.in_(("failed", "undelivered")), Delivery.reason), else_=null())
BY: Mapping[str, Mapping[str, ColumnElement[Any]]] = MappingProxyType(
    {
        "campaign": {"campaign": Campaign.name.expression},
        "step": {"step": Delivery.step.expression},
        "channel": {"channel": Delivery.channel.expression},
        "town": {"town": Recipient.town.expression},
        "industry": {"industry": Enterprise.industry.expression},
        "scale": {"scale": Enterprise.scale.expression},
        "department": {"department": Enterprise.department.expression},
        "state": {"state": Delivery.state.expression},
        "reason": {"reason": Delivery.reason.expression},
        "error": {"error": Delivery.error_code.expression, "kind": KIND},
        "sender": {"sender": Sender.name.expression},
        "day": {"day": grouped.OfficeDay(MOMENT)},
    }
)
"""What figures can be grouped by, and the columns that this makes."""
CHINESE = MappingProxyType(
    {
        "宣传任务": "campaign",
        "步骤": "step",
        "渠道": "channel",
        "镇街": "town",
        "行业": "industry",
        "规模": "scale",
        "主管部门": "department",
        "状态": "state",
        "原因": "reason",
        "错误": "error",
        "发送方": "sender",
        "日期": "day",
    }
)
LISTED = ("campaign", "step", "channel", "enterprise", "others", "town", "credit_code", "contact", "phone", "address", "state", "reason", "error")
TRACED = ("attempt", "reference", "time")


def grouping(names: Iterable[str]) -> tuple[str, ...]:
    """Return the fields to group by, each once, from their English or Chinese names. Raises FieldUnknown."""
    return grouped.fields(names, known=BY, chinese=CHINESE)


def deliveries(session: Session, *, by: Sequence[str] = DEFAULT_BY, **which: Unpack[Which]) -> Table:
    """Return the figures FIGURES for each group of deliveries, groups in order. Raises FieldUnknown, CampaignNotFound, AudienceError."""
    by = grouping(by)
    groups = _group_columns(by)
    last = _is_last_tried()
    wanted = (
        _from_all(select(*(column.label(key) for key, column in groups.items()), Delivery.state.label("_state"), last.label("_last"), _doubled()))
        .where(*_conditions(session, which))
        .where(or_(last, Delivery.doubled.is_(true())))
        .subquery()
    )
    keys = [wanted.c[key] for key in (*groups, "_state", "_last")]
    counted = session.execute(select(*keys, func.count(), func.sum(wanted.c["_doubled"])).group_by(*keys))
    found: dict[tuple[Any, ...], dict[str, int]] = defaultdict(lambda: dict.fromkeys(FIGURES, 0))
    for *values, state, is_last, count, doubled in counted:
        figures = found[tuple(values)]
        figures["doubled"] += int(doubled)
        if is_last:
            figures["included"] += count
            figures[state if state in PARTS else "skipped"] += count
    rows = [grouped.row(groups, values) | figures for values, figures in sorted(found.items(), key=lambda item: grouped.order(groups, item[0]))]
    totals = {figure: sum(row[figure] for row in rows) for figure in FIGURES}
    on = words.of_one(row.get("channel", "") for row in rows)
    columns = [grouped.column(key) for key in groups] + [Column(key, words.heading(words.column(key, on))) for key in FIGURES]
    return Table("deliveries", columns, rows, by=by, totals=totals)


def listing(session: Session, *, by: Sequence[str] = (), limit: int = 50, after: int | None = None, unmask: bool = False, **which: Unpack[Which]) -> Table:
    """Return a page of whom the figures count, in the order of sending; `total` counts them all, `next` is the cursor of the page after.

    `by` adds the columns of these fields. Phones are masked unless `unmask`.
    """
    page = list(rows(session, by=by, limit=limit + 1, after=after, unmask=unmask, **which))
    more = len(page) > limit
    return Table("deliveries", columns(by), page[:limit], total=total(session, **which), next=page[limit - 1]["id"] if more and limit else None)


def columns(by: Sequence[str] = ()) -> list[Column]:
    """Return the columns of the list of whom the figures count."""
    extra = [key for key in _group_columns(grouping(by)) if key not in LISTED]
    return [grouped.column(key) for key in (*LISTED, *extra, *TRACED)]


def total(session: Session, **which: Unpack[Which]) -> int:
    """Return how many the list holds."""
    return session.scalar(_from_all(select(func.count())).where(*_listed(session, which))) or 0


def rows(
    session: Session, *, by: Sequence[str] = (), unmask: bool = False, limit: int | None = None, after: int | None = None, **which: Unpack[Which]
) -> Iterator[dict[str, Any]]:
    """Yield whom the figures count, row by row as the database gives them: any number of rows in the same memory.

    Beside the columns a row has the `id` of its delivery. What an erased contact was called is not told.
    """
    extra = {key: column for key, column in _group_columns(grouping(by)).items() if key not in LISTED}
    query = _list_query(extra).where(*_listed(session, which)).order_by(Delivery.id)
    if after is not None:
        query = query.where(Delivery.id > after)
    if limit is not None:
        query = query.limit(limit)
    for row in session.execute(query, execution_options={"yield_per": SLICE}):
        yield _list_row(row, extra, unmask=unmask)


def _list_query(extra: Mapping[str, ColumnElement[Any]]) -> Select[Any]:
    kept = Contact.erased_at.is_(None)
    names = Recipient.fields.op("->>", return_type=Text())(literal("enterprises", Text()))
    return _from_all(
        select(
            Delivery.id,
            Campaign.name.label("campaign"),
            Delivery.step,
            Delivery.channel,
            Enterprise.name.label("enterprise"),
            names.label("others"),
            Recipient.town,
            Enterprise.credit_code,
            case((kept, RecipientContact.name), else_=literal("")).label("contact"),
            case((and_(kept, Address.channel != postal.CHANNEL), Address.value), else_=literal("")).label("phone"),
            case((Address.channel == postal.CHANNEL, Address.value), else_=literal("")).label("address"),
            Delivery.state,
            Delivery.reason,
            Delivery.error_code.label("error"),
            *(column.label(key) for key, column in extra.items()),
            Delivery.attempt,
            Delivery.reference,
            MOMENT.label("time"),
        )
    )


def _list_row(row: Row[Any], extra: Mapping[str, ColumnElement[Any]], *, unmask: bool) -> dict[str, Any]:
    found = row._asdict() | grouped.row(extra, [row._mapping[key] for key in extra])
    phone = row.phone or ""
    return found | {
        "others": "、".join(json.loads(row.others or "[]")[1:]),
        "phone": phone if unmask or not phone else tokens.mask(phone),
        "address": row.address.partition("\n")[0],
        "contact": row.contact or "",
    }


def _from_all(query: Select[Any]) -> Select[Any]:
    """Join all that figures are grouped and chosen by; messages outside campaigns (tests, one-time codes) are in no report."""
    spoken = RecipientEnterprise
    first = select(func.min(spoken.enterprise_id)).where(spoken.recipient_id == Delivery.recipient_id).correlate(Delivery).scalar_subquery()
    return (
        query.select_from(Delivery)
        .join(Campaign, Campaign.id == Delivery.campaign_id)
        .join(Recipient, Recipient.id == Delivery.recipient_id)
        .outerjoin(Enterprise, Enterprise.id == first)
        .outerjoin(Sender, Sender.id == Delivery.sender_id)
        .outerjoin(Address, Address.id == Delivery.address_id)
        .outerjoin(Contact, Contact.id == Delivery.contact_id)
        .outerjoin(RecipientContact, and_(RecipientContact.recipient_id == Delivery.recipient_id, RecipientContact.rank == Delivery.rank))
    )


def _is_last_tried() -> ColumnElement[bool]:
    """Return that no further contact of this recipient was tried at this step: the statement's rule, for all campaigns at once.

    One who has no address was not tried, and counts only where nobody was.
    """
    other = aliased(Delivery)
    same = (other.recipient_id == Delivery.recipient_id, other.step == Delivery.step, other.occurrence == Delivery.occurrence)
    before = or_(_untried(other) < _untried(Delivery), and_(_untried(other) == _untried(Delivery), other.rank > Delivery.rank))
    return ~exists().where(*same, before).correlate(Delivery)


def _untried(delivery: type[Delivery]) -> ColumnElement[int]:
    return case((and_(delivery.state == "skipped", delivery.reason == "no_address"), 1), else_=0)


def _doubled() -> ColumnElement[int]:
    return case((Delivery.doubled.is_(true()), 1), else_=0).label("_doubled")


def _listed(session: Session, which: Which) -> list[ColumnElement[bool]]:
    """Return the conditions of the list: one row for each that the figure counts."""
    return [*_conditions(session, which), *([] if which.get("state") == "doubled" else [_is_last_tried()])]


def _conditions(session: Session, which: Which) -> list[ColumnElement[bool]]:
    name, start, end, state = which.get("campaign"), which.get("start"), which.get("end"), which.get("state")
    found = [Delivery.campaign_id == directory.named(session, name).id if name else Campaign.mode == which.get("mode", "production")]
    if town := which.get("town"):
        found.append(Recipient.town == town)
    if start:
        found.append(start <= MOMENT)
    if end:
        found.append(end > MOMENT)
    if where := which.get("where"):
        found.append(_speaks_for_one_of(session, where))
    if state:
        found.append(Delivery.doubled.is_(true()) if state == "doubled" else Delivery.state.in_(WAITING if state == "waiting" else (state,)))
    if step := which.get("step"):
        found.append(Delivery.step == step)
    if error := which.get("error"):
        found.append(Delivery.error_code == error)
    return found


def _speaks_for_one_of(session: Session, expression: str) -> ColumnElement[bool]:
    chosen = conditions.selected_enterprise_ids(segments.audience(session, expression))
    return Delivery.recipient_id.in_(select(RecipientEnterprise.recipient_id).where(RecipientEnterprise.enterprise_id.in_(chosen)))


def _group_columns(by: Sequence[str]) -> dict[str, ColumnElement[Any]]:
    return {key: column for field in by for key, column in BY[field].items()}
