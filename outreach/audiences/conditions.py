"""Say in SQL who an audience selects, the same on SQLite and PostgreSQL.

Each enterprise is judged with each of its contacts, and once with empty contact fields when it has none (an erased contact is none);
one hit selects the enterprise. The law, where the databases differ or SQL would say "unknown":

* What is missing equals nothing: `!=` a value is true of it, every other comparison is false. `= ""` asks for what is missing.
* `like` fits the whole text, ignores the case of ASCII letters, and knows `*` and `%`; nothing missing fits it.
* `<` and its kin compare text by code points, as Python does.
* `signed(P)` is true while a signature of pledge P stands; `signed` alone is what the enterprise last answered to any pledge.
* A phone is judged as staff read it: numbers in China without +86. Values are cleaned like imported cells, credit codes in capitals.
"""

from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, and_, case, exists, false, func, literal, literal_column, not_, or_, select, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Text

from outreach.audiences.errors import AudienceNotYet
from outreach.audiences.fields import YES_NO
from outreach.audiences.joining import joined
from outreach.audiences.tree import Attended, Compare, Everybody, Field, Has, In, Leaf, Like, Register, SegmentRef, Signed, Tree, Value
from outreach.contacts import cleaning, postal
from outreach.database.pledge_tables import CURRENT, Signature
from outreach.database.tables import Address, Contact, Enterprise
from outreach.database.wechat_tables import Binding
from outreach.i18n import gettext as _
from outreach.outbox.bound import bound, refused_elsewhere

ENTERPRISE, CONTACT, ADDRESS = Enterprise.__table__, Contact.__table__, Address.__table__
SIGNATURE = Signature.__table__.c
E, C = ENTERPRISE.c, CONTACT.c
STANDS: list[ColumnElement[str]] = [literal_column(f"'{state}'") for state in CURRENT]
"""As literals: only then does the partial index on current signatures apply. Of them a paper without its scan counts for nothing."""
COLUMNS: dict[str, ColumnElement[Any]] = {
    "name": E.name,
    "credit_code": func.coalesce(E.credit_code, ""),
    "town": E.town,
    "village": E.village,
    "department": E.department,
    "industry": E.industry,
    "scale": E.scale,
    "address": E.address,
    "contact": func.coalesce(C.name, ""),
    "role": func.coalesce(C.role, ""),
    "phone": case((C.phone.is_(None), ""), (func.substr(C.phone, 1, 3) == "+86", func.substr(C.phone, 4)), else_=C.phone),
}
CHINA = "+86"
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class Bytewise(FunctionElement[str]):
    """Text whose order and case know bytes and ASCII only: PostgreSQL's collation "C", which is all that SQLite has."""

    type = Text()
    name = "bytewise"
    inherit_cache = True


@compiles(Bytewise)
def _as_is(element: Bytewise, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(Bytewise, "postgresql")
def _collated(element: Bytewise, compiler: SQLCompiler, **options: Any) -> str:
    return f'({compiler.process(element.clauses, **options)} COLLATE "C")'


def everyone() -> FromClause:
    """Return the rows that are judged: each enterprise with each of its contacts, or with none."""
    return ENTERPRISE.outerjoin(CONTACT, and_(C.enterprise_id == E.id, C.erased_at.is_(None)))


def judged(tree: Tree) -> Select[int, int | None]:
    """Select the pairs (enterprise_id, contact_id) that an audience without segment references hits; contact_id is NULL where there is none."""
    return select(E.id.label("enterprise_id"), C.id.label("contact_id")).select_from(everyone()).where(condition(tree))


def selected_enterprise_ids(tree: Tree) -> Select[int]:
    """Select the id of every enterprise that an audience selects, each once."""
    return select(E.id).select_from(everyone()).where(condition(tree)).distinct()


def condition(tree: Tree) -> ColumnElement[bool]:
    """Return the condition over `everyone()`; true or false of every row, never NULL. Segments must be filled in before."""
    return joined(tree, _single)


def _single(tree: Leaf) -> ColumnElement[bool]:
    match tree:
        case Everybody():
            return true()
        case Compare(field, operator, value):
            return _comparison(field, operator, value)
        case In(field, values):
            return _membership(field, values)
        case Like(field, pattern):
            return and_(_text(field) != "", func.lower(Bytewise(_text(field))).like(_pattern(cleaned(field, pattern)), escape="!"))
        case Has(channel):
            return reachable(channel)
        case Signed(pledge):
            return _has_signed(pledge)
        case Attended(event):
            raise AudienceNotYet(what=f"attended({event})", part=_("the events"))
        case SegmentRef(name):
            raise ValueError(f"the segment {name} was not filled in")


def reachable(channel: str) -> ColumnElement[bool]:
    """Return the condition that the contact (for letters: the enterprise) has an address on a channel that may be written to.

    In WeChat that is an openid bound to the contact, whose owner follows the account now; what a list says of a WeChat name is none.
    Who said no on one of the two may be written to on neither. A letter goes to an address from which none came back.
    """
    if channel == "letter":
        return postal.usable()
    a = ADDRESS.c
    if channel == "wechat":
        refused = exists().where(a.channel == channel, a.value == Binding.openid, a.suppressed_at.is_not(None)).correlate(Binding)
        return and_(exists().where(bound(), not_(refused)).correlate(CONTACT), not_(refused_elsewhere("wechat")))
    refused = exists().where(a.channel == channel, a.value == C.phone, a.suppressed_at.is_not(None)).correlate(CONTACT)
    return and_(func.coalesce(C.phone, "") != "", not_(refused), not_(refused_elsewhere("sms")))


def _has_signed(pledge: str) -> ColumnElement[bool]:
    """Return that a signature of a pledge, of any of its versions, stands; one on paper whose scan is still missing stands too."""
    s = SIGNATURE
    return exists().where(s.enterprise_id == E.id, s.pledge == pledge, s.state.in_(STANDS), s.state == "signed").correlate(ENTERPRISE)


def _comparison(field: Field, operator: str, value: Value) -> ColumnElement[bool]:
    if field in YES_NO:
        same = _is(field, value)
        return same if operator == "=" else not_(same)
    column, text = _text(field), cleaned(field, str(value))
    match operator:
        case "=":
            return column == text
        case "!=":
            return column != text
        case "<":
            order = Bytewise(column) < text
        case "<=":
            order = Bytewise(column) <= text
        case ">":
            order = Bytewise(column) > text
        case _:
            order = Bytewise(column) >= text
    return and_(column != "", order)


def _membership(field: Field, values: tuple[Value, ...]) -> ColumnElement[bool]:
    if field in YES_NO:
        return or_(false(), *(_is(field, value) for value in dict.fromkeys(values)))
    return _text(field).in_([cleaned(field, str(value)) for value in values])


def _is(field: Field, value: Value) -> ColumnElement[bool]:
    """Return that a yes-or-no field is yes, no, or ("") not known."""
    if field == "above_scale":
        return E.above_scale.is_(None) if value == "" else E.above_scale.is_(bool(value))
    if value == "":
        return false()
    return _fact(field) if value else not_(_fact(field))


def _fact(field: Field) -> ColumnElement[bool]:
    match field:
        case "signed" | "declined":
            return func.coalesce(E.outcome, "") == literal(field)
        case "opened":
            return E.opened_at.is_not(None)
        case _:
            raise AudienceNotYet(what="attended/已参加", part=_("the events"))


def _text(field: Field) -> ColumnElement[str]:
    if isinstance(field, Register):
        raise AudienceNotYet(what=f"register.{field.name}.{field.field}", part=_("the registers"))
    return COLUMNS[field]


def cleaned(field: Field, value: str) -> str:
    """Clean a value as the import cleaned the cells that it is compared with; what is cleaned away altogether stays as it was."""
    match field:
        case "phone":
            clean = _phone(value)
        case "credit_code":
            clean = cleaning.text(value).upper()
        case "address":
            clean = cleaning.text(value)
        case _:
            clean = cleaning.name(value)
    return clean or value


def _phone(value: str) -> str:
    try:
        return cleaning.phone(value).removeprefix(CHINA)
    except cleaning.Unclean:
        return cleaning.text(value).removeprefix(CHINA)


def _pattern(pattern: str) -> str:
    """Turn `*` and `%` into SQL's `%`, and all else into itself."""
    out, protected = "", False
    for character in pattern.translate(_LOWER):
        if protected and character not in "*%\\":
            out += "\\"
        if character in "*%" and not protected:
            out += "" if out.endswith("%") and not out.endswith("!%") else "%"
        elif character == "\\" and not protected:
            protected = True
            continue
        else:
            out += f"!{character}" if character in "%_!" else character
        protected = False
    return out + ("\\" if protected else "")
