"""Write an audience down as staff would, in Chinese or English, so that reading it again gives the same tree."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from outreach.audiences.fields import CHANNELS, FACTS, FIELDS, FUNCTIONS, GLUED_VALUE, REGISTER
from outreach.audiences.tree import And, Attended, Compare, Everybody, Field, Has, In, Like, Not, Or, Register, SegmentRef, Signed, Tree, Value

BARE = re.compile(r"[\w·•][\w·•\-.]*")
"""Values that need no quotation marks, unless they are a keyword."""
KEYWORD = re.compile("and|or|not|in|like|all|且|并且|或|或者|非|属于|不属于|形如|全部", re.IGNORECASE)
WORDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "and": ("and", "且"),
        "or": ("or", "或"),
        "not": ("not", "非"),
        "in": ("in", "属于"),
        "like": ("like", "形如"),
        "all": ("all", "全部"),
        "yes": ("yes", "是"),
        "no": ("no", "否"),
    }
)
_PROTECTED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def format(tree: Tree, lang: str = "zh") -> str:
    """Return the one normal text of a tree in `zh` or `en`; parse(format(tree)) == tree."""
    zh = lang == "zh"
    match tree:
        case Everybody():
            return _word("all", zh)
        case And(terms):
            return f" {_word('and', zh)} ".join(_inner(term, lang) for term in terms)
        case Or(terms):
            return f" {_word('or', zh)} ".join(format(term, lang) if isinstance(term, And) else _inner(term, lang) for term in terms)
        case Not(term):
            return f"{_word('not', zh)} {_inner(term, lang)}"
        case Compare(str(field), "=", True) if field in FACTS:
            return _field(field, zh)
        case Compare(field, operator, value):
            return f"{_field(field, zh)} {operator} {_value(value, zh)}"
        case In(field, values):
            return f"{_field(field, zh)} {_word('in', zh)} ({', '.join(_value(value, zh) for value in values)})"
        case Like(field, pattern):
            return f"{_field(field, zh)} {_word('like', zh)} {_quoted(pattern)}"
        case SegmentRef(name):
            return f"{'范围' if zh else 'segment'}:{name}"
        case _:
            return _call(tree, zh)


def _call(tree: Has | Signed | Attended, zh: bool) -> str:
    match tree:
        case Has(channel):
            return f"{_name('has', FUNCTIONS, zh)}({_name(channel, CHANNELS, zh)})"
        case Signed(pledge):
            return f"{_name('signed', FUNCTIONS, zh)}({_value(pledge, zh)})"
        case Attended(event):
            return f"{_name('attended', FUNCTIONS, zh)}({_value(event, zh)})"


def _inner(tree: Tree, lang: str) -> str:
    text = format(tree, lang)
    return f"({text})" if isinstance(tree, And | Or) else text


def _word(word: str, zh: bool) -> str:
    return WORDS[word][zh]


def _name(name: str, names: Mapping[str, str], zh: bool) -> str:
    return names[name] if zh else name


def _field(field: Field, zh: bool) -> str:
    if isinstance(field, Register):
        return f"{REGISTER[zh]}.{field.name}.{field.field}"
    return _name(field, FIELDS, zh)


def _value(value: Value, zh: bool) -> str:
    if isinstance(value, bool):
        return _word("yes" if value else "no", zh)
    bare = BARE.fullmatch(value) and not KEYWORD.fullmatch(value) and not GLUED_VALUE.search(value)
    return value if bare else _quoted(value)


def _quoted(text: str) -> str:
    return f'"{text.translate(_PROTECTED)}"'
