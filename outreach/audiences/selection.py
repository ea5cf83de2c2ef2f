"""What an audience selects: its figures, and what in it looks mistyped."""

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any

from sqlalchemy import case, distinct, func, select
from sqlalchemy.orm import Session

from outreach.audiences.conditions import COLUMNS, C, E, cleaned, condition, everyone, reachable
from outreach.audiences.fields import FIELDS, YES_NO, nearest
from outreach.audiences.tree import Compare, In, Signed, Tree, walk
from outreach.database.tables import PledgeVersion
from outreach.i18n import gettext as _

CHANNELS_OF_CONTACTS = ("sms", "wechat")
LISTED = ("town", "village", "department", "industry", "scale", "role")
"""Fields that know few values, so that an unknown one is likely a slip."""
NUMBERED = ("phone", "credit_code")
"""Fields whose numbers are all of one length, so that their order as text is their order."""


def count(session: Session, tree: Tree) -> dict[str, Any]:
    """Return `{"enterprises", "contacts", "by_channel": {"sms", "wechat", "letter"}}`: contacts that may be written to, for letters enterprises."""
    channels = [func.count(case((reachable(channel), C.id))) for channel in CHANNELS_OF_CONTACTS]
    letters = func.count(distinct(case((reachable("letter"), E.id))))
    query = select(func.count(distinct(E.id)), func.count(C.id), *channels, letters).select_from(everyone()).where(condition(tree))
    enterprises, contacts, *reached = session.execute(query).one()
    return {"enterprises": enterprises, "contacts": contacts, "by_channel": dict(zip((*CHANNELS_OF_CONTACTS, "letter"), reached, strict=True))}


def warnings(session: Session, tree: Tree, *, most: int = 5) -> list[str]:
    """Return, in words, what in an audience is allowed but likely a slip: values that nobody has, and numbers compared as text.

    The first `most` of them, and … when there are more.
    """
    found = list(islice(_slips(session, tree), most + 1))
    return [*found[:most], *("…" for _more in found[most:])]


def _slips(session: Session, tree: Tree) -> Iterator[str]:
    known: dict[str, set[str]] = {}
    for node in dict.fromkeys(node for node, _depth in walk(tree)):
        if isinstance(node, Signed):
            yield from _unknown_pledge(session, node.pledge)
        if not isinstance(node, Compare | In) or not isinstance(node.field, str) or node.field in YES_NO:
            continue
        if isinstance(node, Compare) and node.operator not in ("=", "!="):
            if str(node.value)[:1].isdigit() and node.field not in NUMBERED:
                yield _("{field} {operator} {value} compares text, in which 1000 comes before 300").format(**_shown(node))
        elif node.field in LISTED:
            if node.field not in known:
                known[node.field] = _values(session, node.field)
            asked = node.values if isinstance(node, In) else (node.value,)
            yield from (_unknown(node.field, str(value), known[node.field]) for value in asked if value and _is_unknown(node.field, str(value), known))


def _unknown_pledge(session: Session, pledge: str) -> Iterator[str]:
    known = set(session.scalars(select(PledgeVersion.pledge).distinct()))
    if pledge not in known:
        name = nearest(pledge, sorted(known))
        line = _("nobody was ever asked to sign {pledge}; the nearest is {name}") if name else _("nobody was ever asked to sign {pledge}")
        yield line.format(pledge=pledge, name=name)


def _is_unknown(field: str, value: str, known: Mapping[str, Collection[str]]) -> bool:
    return cleaned(field, value) not in known[field]


def _shown(node: Compare) -> dict[str, Any]:
    return {"field": FIELDS[str(node.field)], "operator": node.operator, "value": node.value}


def _values(session: Session, field: str) -> set[str]:
    column = COLUMNS[field]
    return set(session.scalars(select(column).select_from(everyone()).where(column != "").distinct()))


def _unknown(field: str, value: str, known: Collection[str]) -> str:
    name = nearest(value, sorted(known))
    if name:
        return _("nobody has {field} {value}; the nearest is {name}").format(field=FIELDS[field], value=value, name=name)
    return _("nobody has {field} {value}").format(field=FIELDS[field], value=value)
