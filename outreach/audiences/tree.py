"""What an audience says, as a frozen tree: the language reads it, the conditions turn it into SQL."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

Operator: TypeAlias = Literal["=", "!=", "<", "<=", ">", ">="]
Value: TypeAlias = str | bool
"""Text, or yes/no for a yes-or-no field; the empty text stands for "missing"."""


@dataclass(frozen=True, slots=True)
class Everybody:
    """Every enterprise and contact."""


@dataclass(frozen=True, slots=True)
class And:
    """All of two or more."""

    terms: "tuple[Tree, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    """Any of two or more."""

    terms: "tuple[Tree, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """Everybody else: each part is either true or false of a contact, never unknown."""

    term: "Tree"


@dataclass(frozen=True, slots=True)
class Register:
    """A field of a register that another department keeps: `register.NAME.FIELD`."""

    name: str
    field: str


Field: TypeAlias = str | Register
"""A field by its English name, or one of a register."""


@dataclass(frozen=True, slots=True)
class Compare:
    """A field against one value; missing `!=` any value is true, every other comparison with missing is false."""

    field: Field
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class In:
    """A field among one or more values."""

    field: Field
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """A text field against a pattern: `*` and `%` stand for anything, a backslash before them for themselves; ASCII case is ignored."""

    field: Field
    pattern: str


@dataclass(frozen=True, slots=True)
class Has:
    """There is an address on this channel that may be written to."""

    channel: str


@dataclass(frozen=True, slots=True)
class Signed:
    """The enterprise signed one named pledge."""

    pledge: str


@dataclass(frozen=True, slots=True)
class Attended:
    """The enterprise came to one named event."""

    event: str


@dataclass(frozen=True, slots=True)
class SegmentRef:
    """Whoever a saved audience selects: `segment:NAME`."""

    name: str


Leaf: TypeAlias = Everybody | Compare | In | Like | Has | Signed | Attended | SegmentRef
Tree: TypeAlias = And | Or | Not | Leaf


def parts(tree: Tree) -> tuple[Tree, ...]:
    """Return the trees right below this one."""
    match tree:
        case And(terms) | Or(terms):
            return terms
        case Not(term):
            return (term,)
        case _:
            return ()


def walk(tree: Tree) -> Iterator[tuple[Tree, int]]:
    """Yield every tree with its depth, the root first at 1; needs no recursion, however deep."""
    waiting = [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        waiting.extend((part, depth + 1) for part in reversed(parts(node)))


def size(tree: Tree) -> tuple[int, int]:
    """Return how many single conditions and values a tree holds, and how deep it goes."""
    conditions, deepest = 0, 0
    for node, depth in walk(tree):
        conditions += 0 if parts(node) else len(node.values) if isinstance(node, In) else 1
        deepest = max(deepest, depth)
    return conditions, deepest
