"""One row of a list as the office keeps it: an enterprise and its contacts, cleaned, or the reason why it is refused."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from outreach.contacts import cleaning
from outreach.contacts.cleaning import Unclean
from outreach.contacts.mapping import CONTACT_FIELDS, ENTERPRISE_FIELDS, MOST_CONTACTS, Layout, heading

LIMITS = {"name": 200, "credit_code": 60, "address": 200, "phone": 60, "wechat": 64, "note": 2000}
LIMIT = 60
"""Characters that a field holds; a letter prints an enterprise's name of 120 on two lines."""
SUMS = frozenset({"合计", "总计", "小计", "共计", "合计:", "总计:", "小计:"})
REASONS = ("phone", "phone_scientific", "credit_code", "name_missing", "conflict", "too_long", "value")

IDENTIFYING = frozenset({"name", "phone", "wechat"})
"""A contact is somebody only with one of these."""

_repeated = lru_cache(maxsize=16384)(cleaning.name)
"""Towns and trades come again and again."""
_CLEANERS: dict[str, Callable[[str], Any]] = {
    "name": cleaning.name,
    "credit_code": cleaning.credit_code,
    "above_scale": cleaning.yes_no,
    "address": cleaning.known,
    "contact": cleaning.name,
    "phone": cleaning.phone,
    "wechat": cleaning.known,
    "rank": cleaning.whole_number,
    "note": cleaning.known,
}


class Refusal(NamedTuple):
    """Why a row was refused: its number, the heading of the column, the value as it stands there, and the reason's id."""

    line: int
    column: str
    value: str
    reason: str


class Person(NamedTuple):
    """A contact as a row names him; empty is unknown."""

    name: str = ""
    phone: str = ""
    role: str = ""
    wechat: str = ""
    note: str = ""
    rank: int | None = None


class Entry(NamedTuple):
    """A row that may go in: what it says of the enterprise (only what it says), and the contacts that it names."""

    line: int
    name: str
    credit_code: str
    values: dict[str, Any]
    people: list[Person]


class _Faulty(Exception):
    """A cell is to blame for the whole row."""

    def __init__(self, heading: str, value: str, reason: str) -> None:
        super().__init__(heading, value, reason)


class _Column(NamedTuple):
    field: str
    place: int
    """-1, an empty cell at the end, where the list has no such column, and the mapping a default."""
    clean: Callable[[str], Any]
    limit: int
    default: str
    heading: str


def _order(columns: Sequence[_Column]) -> tuple[bool, int]:
    """Return who of a row comes first: whoever can be texted, then as the columns stand."""
    return not any(column.field == "phone" for column in columns), min(column.place for column in columns)


class RowReader:
    """Turns the rows beneath a heading row into entries."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._enterprise = [self._column(field, field) for field in ENTERPRISE_FIELDS if self._is_given(field)]
        numbers = ("", *(str(number) for number in range(2, MOST_CONTACTS + 1)))
        people = [[self._column(field, field + number) for field in CONTACT_FIELDS if self._is_given(field + number)] for number in numbers]
        self._people = sorted((columns for columns in people if columns), key=_order)
        self._name = layout.places["name"]
        self._width = max(layout.places.values()) + 1

    def _is_given(self, field: str) -> bool:
        return field in self.layout.places or field in self.layout.mapping.defaults

    def _column(self, kind: str, field: str) -> _Column:
        mapping = self.layout.mapping
        clean = _CLEANERS.get(kind, _repeated)
        if field in mapping.values:
            clean = _translated(mapping.values[field], clean)
        stored = "name" if kind == "contact" else kind
        return _Column(stored, self.layout.places.get(field, -1), clean, LIMITS.get(kind, LIMIT), mapping.defaults.get(field, ""), self.heading(field))

    def heading(self, field: str) -> str:
        """Return the heading over a field, its own name where the list has none."""
        place = self.layout.places.get(field)
        return field if place is None else self.layout.headings[place]

    def read(self, line: int, cells: Sequence[str]) -> Entry | Refusal | None:
        """Return the entry of a row, the refusal of a bad one, and nothing for what is no row: blanks, sums, headings repeated."""
        cells = [*cells, *[""] * (self._width - len(cells)), ""]
        written = cells[self._name]
        heading = self.layout.headings[self._name]
        if written == heading:
            return None
        try:
            values = _values(self._enterprise, cells)
            name = values.get("name", "")
            if name in SUMS or (not name and _says_nothing(cells)):
                return None
            if not name:
                return Refusal(line, heading, written, "name_missing")
            people = [Person(**person) for columns in self._people if (person := _values(columns, cells)) and not person.keys().isdisjoint(IDENTIFYING)]
        except _Faulty as fault:
            return Refusal(line, *fault.args)
        return Entry(line, name, values.pop("credit_code", ""), values, people)


def _says_nothing(cells: Sequence[str]) -> bool:
    """Whether a row without a name is blank, or the one at the foot that adds up."""
    first = next((plain for cell in cells if (plain := cleaning.name(cell))), "")
    return not first or first in SUMS


def _values(columns: Sequence[_Column], cells: Sequence[str]) -> dict[str, Any]:
    """Return what a row, which ends in a cell of ours, says in some columns, and nothing of what it leaves empty."""
    values = {}
    cell = heading = ""
    try:
        for column in columns:
            field, place, clean, limit, default, heading = column
            cell = cells[place] or default
            if not cell:
                continue
            if "\ufffd" in cell:
                raise Unclean("value")
            if len(cell) > limit and len(cleaning.text(cell)) > limit:
                raise Unclean("too_long")
            value = clean(cell)
            if value or (value is not None and value != ""):
                values[field] = value
    except Unclean as unclean:
        raise _Faulty(heading, cell, unclean.reason) from unclean
    return values


def _translated(words: Mapping[str, str], clean: Callable[[str], Any]) -> Callable[[str], Any]:
    """Bring the words of a list to those of the field before they are cleaned."""

    @lru_cache(maxsize=4096)
    def translate(value: str) -> Any:
        plain = cleaning.known(value)
        return clean(words.get(heading(plain), plain))

    return translate
