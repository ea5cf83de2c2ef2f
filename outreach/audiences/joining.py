"""Hang conditions together with and, or and not, in SQL that is flat enough for the parsers on its way.

SQLite's parser holds 100 open symbols, and its expressions may be 1,000 deep; SQLAlchemy needs ten frames of Python's stack for each
parenthesis. So: `not` is pushed down to the conditions (each is true or false, never unknown), rows of one kind are merged, what is
said twice in a row is said once, `and` within `or` goes without parentheses, and what nests deepest comes first, when little is open.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Boolean, ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from outreach.audiences.tree import And, Leaf, Not, Or, Tree

WIDE = 8
"""Terms side by side; longer rows are halved, for SQLite counts a row of n as n deep."""

Piece: TypeAlias = str | Leaf


class Written(NamedTuple):
    """Some SQL, and how many symbols the parser holds open within it."""

    open: int
    pieces: list[Piece]


class Joined(FunctionElement[bool]):
    """Many conditions and how they hang together: `shape` holds pieces of SQL, and numbers in the place of the conditions."""

    type = Boolean()
    name = "joined"
    inherit_cache = False

    def __init__(self, shape: Sequence[str | int], conditions: Sequence[ColumnElement[bool]]) -> None:
        super().__init__(*conditions)
        self.shape = tuple(shape)


@compiles(Joined)
def _filled_in(element: Joined, compiler: SQLCompiler, **options: Any) -> str:
    conditions = [compiler.process(each, **options) for each in element.clauses]
    return "".join(piece if isinstance(piece, str) else f"({conditions[piece]})" for piece in element.shape)


def joined(tree: Tree, single: Callable[[Leaf], ColumnElement[bool]]) -> ColumnElement[bool]:
    """Return the condition that a tree means, each of its leaves made by `single`."""
    shape: list[str | int] = []
    conditions: list[ColumnElement[bool]] = []
    for piece in _in_parentheses(_written(normal(tree))).pieces:
        if isinstance(piece, str):
            shape.append(piece)
        else:
            shape.append(len(conditions))
            conditions.append(single(piece))
    return Joined(shape, conditions)


def normal(tree: Tree, wanted: bool = True) -> Tree:
    """Return a tree that means the same (or, not `wanted`, the opposite), with `not` at its leaves only, no row within one of its
    kind, and nothing twice in a row: SQLite asks every repeated question again (360 times 有(短信) took minutes).
    """
    match tree:
        case Not(term):
            return normal(term, not wanted)
        case And(terms) | Or(terms):
            kind: type[And] | type[Or] = And if isinstance(tree, And) == wanted else Or
            flat: list[Tree] = []
            for term in terms:
                inner = normal(term, wanted)
                flat.extend(inner.terms if isinstance(inner, And | Or) and isinstance(inner, kind) else [inner])
            once = tuple(dict.fromkeys(flat))
            return kind(once) if len(once) > 1 else once[0]
        case _:
            return tree if wanted else Not(tree)


def _written(tree: Tree) -> Written:
    match tree:
        case And(terms):
            rows = [_written(term) for term in terms]
            return _row([_in_parentheses(row) if isinstance(term, Or) else row for term, row in zip(terms, rows, strict=True)], " AND ")
        case Or(terms):
            return _row([_written(term) for term in terms], " OR ")
        case Not(term):
            return Written(1, ["NOT ", *_written(term).pieces])
        case leaf:
            return Written(0, [leaf])


def _row(rows: list[Written], sql: str) -> Written:
    first, *others = sorted(rows, key=lambda row: row.open, reverse=True)
    if len(rows) > WIDE:
        half = len(others) // 2
        others = [_in_parentheses(_row(others[:half], sql)), _in_parentheses(_row(others[half:], sql))]
    pieces = list(first.pieces)
    for row in others:
        pieces.append(sql)
        pieces.extend(row.pieces)
    return Written(max(first.open, *(row.open + 2 for row in others)), pieces)


def _in_parentheses(row: Written) -> Written:
    return Written(row.open + 1, ["(", *row.pieces, ")"])
