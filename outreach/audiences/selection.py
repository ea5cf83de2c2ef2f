"""What an audience selects: its figures, a look at it, and what in it looks mistyped."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, distinct, func, select, tuple_
from sqlalchemy.orm import Session

from outreach.audiences.conditions import COLUMNS, C, E, condition, everyone, reachable
from outreach.audiences.errors import AudienceError
from outreach.audiences.fields import FIELDS, YES_NO, nearest
from outreach.audiences.tree import Compare, In, Tree, walk
from outreach.i18n import gettext as _

CHANNELS_OF_CONTACTS = ("sms", "wechat")
LISTED = ("town", "village", "department", "industry", "scale", "role")
"""Fields that know few values, so that an unknown one is likely a slip."""


@dataclass(frozen=True, slots=True)
class Selected:
    """One enterprise with one of its contacts (`contact_id` None: it has none). The phone is E.164 and whole: mask it where it is shown."""

    enterprise_id: int
    enterprise: str
    credit_code: str | None
    town: str
    contact_id: int | None
    contact: str
    role: str
    phone: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some of what is selected; `next` is the cursor of the following page."""

    rows: Sequence[Selected]
    total: int
    next: str | None


class CursorWrong(AudienceError):
    """--after {cursor} is not the "next" of an earlier page."""


def count(session: Session, tree: Tree) -> dict[str, Any]:
    """Return `{"enterprises", "contacts", "by_channel": {"sms", "wechat"}}`; by channel, contacts that may be written to."""
    channels = [func.count(case((reachable(channel), C.id))) for channel in CHANNELS_OF_CONTACTS]
    query = select(func.count(distinct(E.id)), func.count(C.id), *channels).select_from(everyone()).where(condition(tree))
    enterprises, contacts, *reached = session.execute(query).one()
    return {"enterprises": enterprises, "contacts": contacts, "by_channel": dict(zip(CHANNELS_OF_CONTACTS, reached, strict=True))}


def preview(session: Session, tree: Tree, limit: int = 20, *, after: str | None = None) -> Page:
    """Return the first pairs of enterprise and contact that are selected, in the order in which they came in."""
    judged = condition(tree)
    contact_id = func.coalesce(C.id, 0)
    query = (
        select(E.id, E.name, E.credit_code, E.town, C.id, func.coalesce(C.name, ""), func.coalesce(C.role, ""), func.coalesce(C.phone, ""))
        .select_from(everyone())
        .where(judged)
        .order_by(E.id, contact_id)
        .limit(limit + 1)
    )
    if after is not None:
        query = query.where(tuple_(E.id, contact_id) > tuple_(*_cursor(after)))
    rows = [Selected(*row) for row in session.execute(query)]
    total = session.scalar(select(func.count()).select_from(everyone()).where(judged)) or 0
    more = len(rows) > limit > 0
    return Page(rows[:limit], total, f"{rows[limit - 1].enterprise_id}-{rows[limit - 1].contact_id or 0}" if more else None)


def _cursor(after: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,18})-([0-9]{1,18})", after)
    if match is None:
        raise CursorWrong(cursor=after)
    return int(match[1]), int(match[2])


def warnings(session: Session, tree: Tree) -> list[str]:
    """Return what in an audience is allowed but likely a slip, in words: values that nobody has, and order of text that looks like numbers."""
    found: list[str] = []
    known: dict[str, list[str]] = {}
    for node, _depth in walk(tree):
        if not isinstance(node, Compare | In) or not isinstance(node.field, str) or node.field in YES_NO:
            continue
        if isinstance(node, Compare) and node.operator not in ("=", "!="):
            found.append(_("{field} {operator} {value} compares text, in which 1000 comes before 300").format(**_shown(node)))
        elif node.field in LISTED:
            values = known.setdefault(node.field, _values(session, node.field))
            asked = node.values if isinstance(node, In) else (node.value,)
            found.extend(_unknown(node.field, str(value), values) for value in asked if value and value not in values)
    return list(dict.fromkeys(found))


def _shown(node: Compare) -> dict[str, Any]:
    return {"field": FIELDS[str(node.field)], "operator": node.operator, "value": node.value}


def _values(session: Session, field: str) -> list[str]:
    column = COLUMNS[field]
    return list(session.scalars(select(column).select_from(everyone()).where(column != "").distinct()))


def _unknown(field: str, value: str, known: Sequence[str]) -> str:
    name = nearest(value, known)
    if name:
        return _("nobody has {field} {value}; the nearest is {name}").format(field=FIELDS[field], value=value, name=name)
    return _("nobody has {field} {value}").format(field=FIELDS[field], value=value)
