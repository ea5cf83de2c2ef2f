"""One row of a list as the office keeps it: an enterprise and its contacts, cleaned, or the reason why it is refused."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from outreach.contacts import cleaning
from outreach.contacts.cleaning import Unclean
from outreach.contacts.mapping import CONTACT_FIELDS, ENTERPRISE_FIELDS, MOST_CONTACTS, Layout, heading

LIMITS = {"name": 120, "credit_code": 60, "address": 200, "phone": 60, "wechat": 64, "note": 500}
LIMIT = 60
"""Characters that a field holds; a letter prints an enterprise's name of 120 on two lines."""
SUMS = frozenset({"合计", "总计", "小计", "共计", "合计:", "总计:", "小计:"})
REASONS = ("phone", "phone_scientific", "credit_code", "name_missing", "conflict", "too_long", "value")

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


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a row was refused: its number, the heading of the column, the value as it stands there, and the reason's id."""

    line: int
    column: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class Person:
    """A contact as a row names him; empty is unknown."""

    name: str = ""
    phone: str = ""
    role: str = ""
    wechat: str = ""
    note: str = ""
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A row that may go in: what it says of the enterprise (only what it says), and the contacts that it names."""

    line: int
    name: str
    credit_code: str
    values: dict[str, Any]
    people: list[Person]


@dataclass(frozen=True, slots=True)
class _Column:
    field: str
    place: int | None
    clean: Callable[[str], Any]
    limit: int
    default: str


class RowReader:
    """Turns the rows beneath a heading row into entries."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._enterprise = [self._column(field) for field in ENTERPRISE_FIELDS if self._is_given(field)]
        numbered = [[f"{field}{n}" if n > 1 else field for field in CONTACT_FIELDS] for n in range(1, MOST_CONTACTS + 1)]
        self._people = [people for fields in numbered if (people := [self._column(field) for field in fields if self._is_given(field)])]
        self._name = layout.places["name"]
        self._name_heading = layout.headings[self._name]
        self._places = sorted(layout.places.values())

    def _is_given(self, field: str) -> bool:
        return field in self.layout.places or field in self.layout.mapping.defaults

    def _column(self, field: str) -> _Column:
        kind = field.rstrip("23456789")
        clean = _CLEANERS.get(kind, _repeated)
        if field in self.layout.mapping.values:
            clean = _translated(self.layout.mapping.values[field], clean)
        return _Column(field, self.layout.places.get(field), clean, LIMITS.get(kind, LIMIT), self.layout.mapping.defaults.get(field, ""))

    def read(self, line: int, cells: Sequence[str]) -> Entry | Refusal | None:
        """Return the entry of a row, the refusal of a bad one, and nothing for a blank row or a heading row that is repeated."""
        written = cells[self._name] if self._name < len(cells) else ""
        if written == self._name_heading or (not written and not any(cell and not cell.isspace() for cell in cells)):
            return None
        fault: list[str] = ["", ""]
        try:
            values = self._values(self._enterprise, cells, fault)
            name = values.get("name", "")
            if not name or name in SUMS:
                fault[:] = self._name_heading, written
                raise Unclean("name_missing")
            code = values.pop("credit_code", "")
            people = [person for columns in self._people if (person := self._person(columns, cells, fault)) is not None]
        except Unclean as unclean:
            return Refusal(line, fault[0], fault[1], unclean.reason)
        return Entry(line, name, code, values, people)

    def heading(self, field: str) -> str:
        """Return the heading over a field, its own name where the list has none."""
        place = self.layout.places.get(field)
        return field if place is None else self.layout.headings[place]

    def _person(self, columns: Sequence[_Column], cells: Sequence[str], fault: list[str]) -> Person | None:
        values = {field.rstrip("23456789"): value for field, value in self._values(columns, cells, fault).items()}
        values["name"] = values.pop("contact", "")
        if not (values["name"] or values.get("phone") or values.get("wechat")):
            return None
        return Person(**values)

    def _values(self, columns: Sequence[_Column], cells: Sequence[str], fault: list[str]) -> dict[str, Any]:
        """Return what a row says in some columns; while it is read, `fault` holds the column and value that would be to blame."""
        values = {}
        width = len(cells)
        for column in columns:
            place = column.place
            cell = cells[place] if place is not None and place < width else ""
            if not cell:
                if not column.default:
                    continue
                cell = column.default
            fault[0] = self.heading(column.field)
            fault[1] = cell
            if "\ufffd" in cell:
                raise Unclean("value")
            if len(cell) > column.limit and len(cleaning.text(cell)) > column.limit:
                raise Unclean("too_long")
            value = column.clean(cell)
            if value is not None and value != "":
                values[column.field] = value
        return values


def _translated(words: dict[str, str] | Any, clean: Callable[[str], Any]) -> Callable[[str], Any]:
    """Bring the words of a list to those of the field before they are cleaned."""

    @lru_cache(maxsize=4096)
    def translate(value: str) -> Any:
        plain = cleaning.known(value)
        return clean(words.get(heading(plain), plain))

    return translate
