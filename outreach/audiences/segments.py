"""Saved audiences (保存的发送范围): kept under a name in their normal wording, and filled in wherever they are named."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select, text
from sqlalchemy.orm import Session

from outreach.audiences import errors, language
from outreach.audiences.conditions import condition
from outreach.audiences.language import advice, parse
from outreach.audiences.tree import And, Not, Or, SegmentRef, Tree, size, walk
from outreach.audiences.wording import format
from outreach.database.tables import Segment
from outreach.database.types import Moment
from outreach.i18n import say

NAME = re.compile(r"[\w\-.]+")
NAME_LIMIT = 64
STORED_LIMIT = 3 * language.LENGTH_LIMIT
"""Characters of a segment's normal wording, whose blanks and quotation marks make it longer than what was typed."""
SIZE_LIMIT = 2000
"""Conditions and values of one audience with its segments filled in: each is a bind of the statement."""
DEPTH_LIMIT = 2 * language.DEPTH_LIMIT + 4
"""Levels of and, or, not with segments filled in: twice what the text of one may nest, as `a and b or c` needs no parentheses."""

Lookup = Callable[[str], Tree]


@dataclass(frozen=True, slots=True)
class Saved:
    """A segment as it is listed."""

    name: str
    expression: str
    saved_by: str
    saved_at: datetime


def audience(session: Session, expression: str) -> Tree:
    """Return what an expression says, with every `segment:NAME` filled in: ready for `conditions`."""
    return filled_in(parse(expression), lambda name: resolve(session, name))


def save(session: Session, name: str, expression: str, *, actor: str, now: datetime) -> Saved:
    """Save an audience under a name, in its normal Chinese wording, in place of what the name meant before.

    Raises an AudienceError where the expression or the name is not good, or leads back to itself; SegmentNotFound for unknown ones in it.
    """
    if not NAME.fullmatch(name) or len(name) > NAME_LIMIT:
        raise errors.SegmentNameWrong(name=name, limit=NAME_LIMIT)
    tree = parse(expression)
    condition(filled_in(SegmentRef(name), lambda other: tree if other == name else resolve(session, other)))
    saved = Saved(name, format(tree), actor, now)
    upsert = text(
        "insert into segment (name, expression, saved_by, saved_at) values (:name, :expression, :saved_by, :saved_at)"
        " on conflict (name) do update set expression = excluded.expression, saved_by = excluded.saved_by, saved_at = excluded.saved_at"
    ).bindparams(bindparam("saved_at", type_=Moment()))
    session.execute(upsert, {"name": name, "expression": saved.expression, "saved_by": actor, "saved_at": now})
    return saved


def listing(session: Session) -> Sequence[Saved]:
    """Return all segments by name."""
    query = select(Segment.name, Segment.expression, Segment.saved_by, Segment.saved_at).order_by(Segment.name)
    return [Saved(*row) for row in session.execute(query)]


def resolve(session: Session, name: str) -> Tree:
    """Return what a segment says; raise SegmentNotFound with the nearest name."""
    expression = session.scalar(select(Segment.expression).where(Segment.name == name))
    if expression is None:
        raise errors.SegmentNotFound(name=name, advice=advice(name, session.scalars(select(Segment.name).order_by(Segment.name))))
    try:
        return parse(expression, limit=STORED_LIMIT)
    except errors.AudienceError as error:
        raise errors.SegmentBroken(name=name, why=say(error)) from error


def filled_in(tree: Tree, lookup: Lookup) -> Tree:
    """Return a tree with every segment replaced by what it says; refuse circles, and what grows too large on the way."""
    return _filled_in(tree, lookup, (), {})


def _filled_in(tree: Tree, lookup: Lookup, path: tuple[str, ...], done: dict[str, Tree]) -> Tree:
    for name in {node.name: None for node, _depth in walk(tree) if isinstance(node, SegmentRef)}:
        if name in path:
            raise errors.SegmentCircle(name=name, path=" → ".join([*path[path.index(name) :], name]))
        if name not in done:
            _require_small(0, len(path))
            done[name] = _filled_in(lookup(name), lookup, (*path, name), done)
    whole = _replaced(tree, done)
    _require_small(*size(whole))
    return whole


def _replaced(tree: Tree, segments: Mapping[str, Tree]) -> Tree:
    match tree:
        case And(terms):
            return And(tuple(_replaced(term, segments) for term in terms))
        case Or(terms):
            return Or(tuple(_replaced(term, segments) for term in terms))
        case Not(term):
            return Not(_replaced(term, segments))
        case SegmentRef(name):
            return segments[name]
        case _:
            return tree


def _require_small(conditions: int, depth: int) -> None:
    if conditions > SIZE_LIMIT or depth > DEPTH_LIMIT:
        raise errors.AudienceTooLarge(size=conditions, depth=depth, size_limit=SIZE_LIMIT, depth_limit=DEPTH_LIMIT)
