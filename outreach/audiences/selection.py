"""What an audience selects: its figures, and what in it looks mistyped."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import case, distinct, func, select
from sqlalchemy.orm import Session

from outreach.audiences.conditions import COLUMNS, C, E, condition, everyone, reachable
from outreach.audiences.fields import FIELDS, YES_NO, nearest
from outreach.audiences.tree import Compare, In, Tree, walk
from outreach.i18n import gettext as _

CHANNELS_OF_CONTACTS = ("sms", "wechat")
LISTED = ("town", "village", "department", "industry", "scale", "role")
"""Fields that know few values, so that an unknown one is likely a slip."""


def count(session: Session, tree: Tree) -> dict[str, Any]:
    """Return `{"enterprises", "contacts", "by_channel": {"sms", "wechat"}}`; by channel, contacts that may be written to."""
    channels = [func.count(case((reachable(channel), C.id))) for channel in CHANNELS_OF_CONTACTS]
    query = select(func.count(distinct(E.id)), func.count(C.id), *channels).select_from(everyone()).where(condition(tree))
    enterprises, contacts, *reached = session.execute(query).one()
    return {"enterprises": enterprises, "contacts": contacts, "by_channel": dict(zip(CHANNELS_OF_CONTACTS, reached, strict=True))}


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
