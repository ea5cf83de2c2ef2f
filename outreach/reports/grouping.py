"""How figures are grouped: the fields that people may name, the columns that this makes, and the order of the groups."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Any

from sqlalchemy import Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from outreach.clock import OFFICE_ZONE
from outreach.database.pledge_tables import WAYS
from outreach.database.tables import DELIVERY_STATES
from outreach.errors import UsageError
from outreach.reports import words
from outreach.reports.tables import Column

ORDERS: Mapping[str, Sequence[str]] = MappingProxyType({"state": DELIVERY_STATES, "way": WAYS})


class FieldUnknown(UsageError):
    """There is no {field} to group by; known are: {known}."""


class OfficeDay(FunctionElement[str]):
    """The day of a moment by the office's clock, as 2026-01-15."""

    type = Text()
    name = "office_day"
    inherit_cache = True


@compiles(OfficeDay, "sqlite")
def _of_microseconds(element: OfficeDay, compiler: SQLCompiler, **options: Any) -> str:
    return f"date({compiler.process(element.clauses, **options)} / 1000000 + 28800, 'unixepoch')"


@compiles(OfficeDay, "postgresql")
def _of_timestamp(element: OfficeDay, compiler: SQLCompiler, **options: Any) -> str:
    return f"to_char({compiler.process(element.clauses, **options)} at time zone '{OFFICE_ZONE.key}', 'YYYY-MM-DD')"


def fields(names: Iterable[str], *, known: Collection[str], chinese: Mapping[str, str]) -> tuple[str, ...]:
    """Return the fields that were named in English or Chinese, each once, in English. Raises FieldUnknown."""
    found = []
    for name in names:
        word = name.strip()
        if word and word.lower() not in known and word not in chinese:
            raise FieldUnknown(field=word, known=", ".join(known))
        found += [chinese.get(word, word.lower())] if word else []
    return tuple(dict.fromkeys(found))


def row(groups: Iterable[str], values: Sequence[Any]) -> dict[str, Any]:
    """Return a group's values by column; a day is a date."""
    return {key: date.fromisoformat(value) if key == "day" and value else value for key, value in zip(groups, values, strict=True)}


def order(groups: Iterable[str], values: Sequence[Any]) -> list[tuple[bool, Any]]:
    """Return what groups are sorted by: states and ways in their own order, all else by value, nothing last; the same on both databases."""
    ranked = [ORDERS[key].index(value) if value in ORDERS.get(key, ()) else value for key, value in zip(groups, values, strict=True)]
    return [(value is None or value == "", "" if value is None else value) for value in ranked]


def column(key: str) -> Column:
    """Return the column of a field, with its heading."""
    return Column(key, words.heading(words.field(key)))
