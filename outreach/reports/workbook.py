"""Write a table as a file that offices open: CSV for Excel and WPS, or a workbook; row by row, whatever its length.

Nothing that a stranger typed may become a formula: https://owasp.org/www-community/attacks/CSV_Injection
"""

import csv
import io
import re
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from tempfile import TemporaryFile
from typing import IO, Any

import xlsxwriter
from xlsxwriter.exceptions import FileCreateError
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from outreach.clock import OFFICE_ZONE
from outreach.errors import Refused
from outreach.i18n import gettext as _
from outreach.reports.tables import Table

FORMULA = tuple("=+-@＝＋－＠")
"""What a formula may begin with; the wide forms count too, for spreadsheets set to Chinese or Japanese narrow them."""
MOBILE = re.compile(r"\+86(1[0-9]{10})")
UNSEEN = dict.fromkeys((*range(9), 11, 12, 13, *range(14, 32), 127, 0xFEFF, *range(0xD800, 0xE000)))
"""Characters that no spreadsheet shows and XML forbids; behind one of them a formula could hide."""
CELL_LIMIT = 32_767
ROW_LIMIT = 1_048_576
WIDTHS = (6, 60)
MEASURED_ROWS = 1_000

Rows = Iterable[Mapping[str, Any]]


class WorkbookFull(Refused):
    """A workbook holds {limit} rows at most; ask for csv instead: --format csv"""


def write_csv(table: Table, stream: IO[bytes], *, rows: Rows | None = None) -> None:
    """Write the rows as CSV: UTF-8 with BOM, CRLF, no totals (who reads it again would count twice).

    Mobiles are eleven digits; a cell that could be a formula, be it a negative number, gets a leading apostrophe, which the import takes off.
    `rows` stand in for those of the table where there are too many to hold.
    """
    text = io.TextIOWrapper(stream, "utf-8-sig", newline="", write_through=True)
    try:
        writer = csv.writer(text)
        writer.writerow(harmless(column.label) for column in table.columns)
        ids = [column.id for column in table.columns]
        writer.writerows([harmless(shown(row.get(key))) for key in ids] for row in (table.rows if rows is None else rows))
        text.flush()
    finally:
        text.detach()


def write_xlsx(table: Table, stream: IO[bytes], *, rows: Rows | None = None) -> None:
    """Write the rows as a workbook of one sheet; see `write_book`."""
    write_book([Sheet(table, rows=rows)], stream)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of a workbook: its table, the columns that are hidden, and those in which one of some words is to be chosen."""

    table: Table
    name: str | None = None
    rows: Rows | None = None
    hidden: Collection[str] = ()
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)


def write_book(sheets: Iterable[Sheet], stream: IO[bytes]) -> None:
    """Write a workbook: in each sheet bold frozen headings with a filter, text as text, totals beneath.

    Memory stays flat. Raises WorkbookFull where a sheet cannot hold the rows, OSError where the stream does not take them.
    """
    with TemporaryFile() as whole:  # a zip that breaks off in a full disk or a pipe complains long after its error was caught
        book = xlsxwriter.Workbook(whole, {"constant_memory": True})
        try:
            for sheet in sheets:
                _Sheet(book, sheet).write(sheet.table.rows if sheet.rows is None else sheet.rows)
        finally:
            _close(book)
        whole.seek(0)
        shutil.copyfileobj(whole, stream)
    stream.flush()


def _close(book: xlsxwriter.Workbook) -> None:
    """Write the workbook out; XlsxWriter dresses an OSError as an error of its own, which nobody above would know."""
    try:
        book.close()
    except FileCreateError as error:
        raise error.args[0] from error


def shown(value: Any) -> str:
    """Return a value as people read it: yes and no in words, moments by the office's clock, mobiles in eleven digits."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, datetime):
        return value.astimezone(OFFICE_ZONE).strftime("%Y-%m-%d %H:%M:%S")
    text = str(value).translate(UNSEEN)
    mobile = MOBILE.fullmatch(text)
    return mobile[1] if mobile else text


def harmless(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: with a leading apostrophe where it could be one."""
    return "'" + text if could_be_a_formula(text) else text


def could_be_a_formula(text: str) -> bool:
    """Whether a spreadsheet might take a cell for a formula; blanks in front of one do not make it safe."""
    return text.startswith(("\t", "\r", "\n")) or text.lstrip().startswith(FORMULA)


class _Sheet:
    """A sheet that is being written, from the top down."""

    def __init__(self, book: xlsxwriter.Workbook, asked: Sheet) -> None:
        self.asked, self.table = asked, asked.table
        self.sheet: Worksheet = book.add_worksheet(asked.name)
        self.bold = book.add_format({"bold": True})
        self.moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self.day = book.add_format({"num_format": "yyyy-mm-dd"})
        # Excel's own apostrophe: the text stays text even after somebody edits the cell or saves it as CSV.
        self.quoted = book.add_format({"quote_prefix": True})
        self.widths = [WIDTHS[0]] * len(self.table.columns)

    def write(self, rows: Rows) -> None:
        columns = self.table.columns
        self.sheet.freeze_panes(1, 0)
        for place, column in enumerate(columns):
            self._text(0, place, column.label, self.bold)
        last = 0
        for last, row in enumerate(rows, 1):
            if last >= ROW_LIMIT - 1:
                raise WorkbookFull(limit=f"{ROW_LIMIT - 2:,}")
            for place, column in enumerate(columns):
                self._value(last, place, row.get(column.id))
        if columns:
            self.sheet.autofilter(0, 0, last, len(columns) - 1)
        self._totals(last + 1)
        for place, (column, width) in enumerate(zip(columns, self.widths, strict=True)):
            self.sheet.set_column(place, place, min(width + 2, WIDTHS[1]), None, {"hidden": column.id in self.asked.hidden})
            if last and column.id in self.asked.choices:
                self.sheet.data_validation(1, place, last, place, {"validate": "list", "source": list(self.asked.choices[column.id])})

    def _totals(self, row: int) -> None:
        if not self.table.totals:
            return
        for place, column in enumerate(self.table.columns):
            value = self.table.totals.get(column.id, _("Total") if place == 0 else None)
            self._value(row, place, value, self.bold)

    def _value(self, row: int, place: int, value: Any, style: Format | None = None) -> None:
        if value is None or value == "":
            return
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool) and -(10**15) < value < 10**15:
            self.sheet.write_number(row, place, value, style)
        elif isinstance(value, datetime):
            self._measure(row, place, 19)
            self.sheet.write_datetime(row, place, value.astimezone(OFFICE_ZONE).replace(tzinfo=None), style or self.moment)
        elif isinstance(value, date):
            self._measure(row, place, 10)
            self.sheet.write_datetime(row, place, datetime(value.year, value.month, value.day), style or self.day)  # noqa: DTZ001
        else:
            self._text(row, place, shown(value), style)

    def _text(self, row: int, place: int, text: str, style: Format | None) -> None:
        cut = text if len(text) <= CELL_LIMIT else text[: CELL_LIMIT - 1] + "…"
        self._measure(row, place, len(cut[: WIDTHS[1]].encode("gbk", "replace")))
        self.sheet.write_string(row, place, cut, self.quoted if style is None and could_be_a_formula(cut) else style)

    def _measure(self, row: int, place: int, width: int) -> None:
        """Remember the widest cell of a column in the first rows; GBK counts a Chinese character as two, just as it is drawn."""
        if row <= MEASURED_ROWS and width > self.widths[place]:
            self.widths[place] = width
