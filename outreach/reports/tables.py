"""A table of figures or of things: the one shape that the terminal, JSON, CSV and the workbook share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from outreach import clock


class Column(NamedTuple):
    """A column: its key in the rows, and the heading that people read."""

    id: str
    label: str


@dataclass(frozen=True, slots=True)
class Table:
    """A list of things, or, when it says what its figures are grouped `by`, a report.

    `rows` hold values by column id: text, whole numbers, Decimal, bool, date, aware datetime or None. `total` counts all rows there are,
    not only those of this page; `next` is the cursor of the page after this one.
    """

    report: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    by: Sequence[str] | None = None
    totals: Mapping[str, Any] = field(default_factory=dict)
    next: str | int | None = None
    total: int | None = None

    def document(self) -> dict[str, Any]:
        """Return what JSON shows: `{"rows","total","next"}` of a list, `{"report","by","columns","rows","totals"}` of a report."""
        rows = [plain(row) for row in self.rows]
        if self.by is None:
            return {"rows": rows, "total": len(rows) if self.total is None else self.total, "next": self.next}
        columns = [column._asdict() for column in self.columns]
        return {"report": self.report, "by": list(self.by), "columns": columns, "rows": rows, "totals": plain(self.totals)}


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as JSON writes it: money as text, moments as 2026-01-15T09:00:00Z."""
    return {key: _plain(value) for key, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return clock.wire(value)
    return value.isoformat() if isinstance(value, date) else value
