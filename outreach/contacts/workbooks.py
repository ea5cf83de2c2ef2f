"""Lists saved as workbooks: XLSX, XLS and ODS, read by calamine once we know that they fit into memory."""

import re
import zipfile
import zlib
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat

import python_calamine
from python_calamine import CalamineError, CalamineSheet, PasswordError, SheetVisibleEnum

from outreach.errors import BadInput, NotFound

MAX_CELLS = 2_000_000
BYTES_A_CELL = 300
"""More unpacked bytes for each allowed cell than any honest workbook needs; a zip bomb is refused by its own table of contents."""
SLACK = 64 << 20
BLOCK = 1 << 18
MERGED_CELLS = 100_000
_CELL = re.compile(rb'<c r="([A-Z]{1,3})([0-9]{1,7})"')
_ANY_CELL = re.compile(rb"<c[\s/>]")
_REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")


class WorkbookTooLarge(BadInput):
    """The workbook {file} spans more than {max_cells} cells. Save the sheet as CSV (UTF-8) and import that."""


class WorkbookLocked(BadInput):
    """The workbook {file} is protected by a password. Open it, take the password off, save it and import again."""


class WorkbookBroken(BadInput):
    """The file {file} cannot be opened as a workbook: {why}. Open it in Excel or WPS and save it as XLSX or CSV."""


class WorkbookEmpty(BadInput):
    """The workbook {file} has no sheet with anything in it."""


class SheetMissing(NotFound):
    """There is no sheet called {name} in {file}. Its sheets: {sheets}"""


class Book:
    """One sheet of a workbook."""

    def __init__(self, sheet: CalamineSheet, rows: Iterator[list[Any]]) -> None:
        self.sheet = sheet
        self._rows = rows
        self._read = 0

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows from 1 up; a merged cell says in each of its places what it says in the first."""
        filled = _merged(self.sheet)
        for number, cells in enumerate(self._rows, 1):
            self._read = number
            row = [text(cell) for cell in cells]
            for place, origin in filled.get(number - 1, ()):
                if place < len(row):
                    row[place] = origin[0] = row[place] or origin[0]
            yield number, row

    def share(self) -> float:
        """Return how much of the sheet was read, from 0 to 1."""
        return self._read / (self.sheet.end[0] + 1) if self.sheet.end else 1.0

    def close(self) -> None:
        """Let the sheet's memory go."""
        self._rows = iter(())


def read(path: Path, *, sheet: str | None, max_cells: int) -> Book:
    """Open one sheet: the one named, else the first visible one that holds anything. Formulas give the values last computed.

    Raises WorkbookTooLarge, WorkbookLocked, WorkbookBroken, WorkbookEmpty and SheetMissing.
    """
    _refuse_too_large(path, max_cells)
    try:
        chosen = _sheet(path, _load(path), sheet)
    except PasswordError as error:
        raise WorkbookLocked(file=path) from error
    except (CalamineError, OSError) as error:
        raise WorkbookBroken(file=path, why=" ".join(str(error).split())[:200]) from error
    if chosen.height * chosen.width > max_cells:
        raise WorkbookTooLarge(file=path, max_cells=max_cells)
    return Book(chosen, chosen.iter_rows())


def _load(path: Path) -> python_calamine.CalamineWorkbook:
    """Open a workbook as what its ending says, which alone tells of passwords; else as what it turns out to be."""
    try:
        return python_calamine.load_workbook(path)
    except PasswordError:
        raise
    except CalamineError:
        with path.open("rb") as file:
            return python_calamine.load_workbook(file)


def text(cell: Any) -> str:
    """Return a cell as text: whole numbers without a point, dates as ISO, truth as yes and no."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(sep=" ", timespec="seconds")
    if isinstance(cell, date | time):
        return cell.isoformat()
    return "" if cell is None else str(cell)


def _sheet(path: Path, workbook: python_calamine.CalamineWorkbook, name: str | None) -> CalamineSheet:
    if name is not None:
        if name not in workbook.sheet_names:
            raise SheetMissing(name=name, file=path, sheets="、".join(workbook.sheet_names))
        return workbook.get_sheet_by_name(name)
    hidden_last = sorted(workbook.sheets_metadata, key=lambda sheet: sheet.visible is not SheetVisibleEnum.Visible)
    sheets = (workbook.get_sheet_by_name(sheet.name) for sheet in hidden_last)
    filled = next((sheet for sheet in sheets if sheet.start is not None), None)
    if filled is None:
        raise WorkbookEmpty(file=path)
    return filled


def _merged(sheet: CalamineSheet) -> dict[int, list[tuple[int, list[str]]]]:
    """Return for each row the places that belong to a merged cell, each with the (shared) word of that cell.

    Lists by town merge the town's cell over all its rows, and headings of two lines merge 负责人 over 姓名 and 手机.
    """
    filled: dict[int, list[tuple[int, list[str]]]] = {}
    if sheet.start is None:
        return filled
    budget = MERGED_CELLS
    for (top, left), (bottom, right) in sheet.merged_cell_ranges or ():
        bottom = min(bottom, sheet.end[0] if sheet.end else 0)
        right = min(right, sheet.end[1] if sheet.end else 0)
        budget -= (bottom - top + 1) * (right - left + 1)
        if budget < 0:
            break
        word = [""]
        for row in range(top, bottom + 1):
            filled.setdefault(row, []).extend((column - sheet.start[1], word) for column in range(left, right + 1))
    return filled


class _Enough(Exception):
    """The sheet is known to be too large."""


def _refuse_too_large(path: Path, max_cells: int) -> None:
    """Refuse a workbook before calamine allocates the whole span of a sheet: two cells in opposite corners would take 550 GB and abort."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if sum(part.file_size for part in parts) > BYTES_A_CELL * max_cells + SLACK:
                raise _Enough
            if any(part.filename == "xl/workbook.bin" for part in parts):
                raise WorkbookBroken(file=path, why="XLSB")
            for part in parts:
                if part.filename.startswith("xl/worksheets/") and part.filename.endswith(".xml"):
                    _measure(archive, part, max_cells)
    except _Enough as error:
        raise WorkbookTooLarge(file=path, max_cells=max_cells) from error
    except (zipfile.BadZipFile, zlib.error, expat.ExpatError, RuntimeError, NotImplementedError, EOFError, OSError, ValueError) as error:
        raise WorkbookBroken(file=path, why=" ".join(str(error).split())[:200]) from error


def _measure(archive: zipfile.ZipFile, part: zipfile.ZipInfo, max_cells: int) -> None:
    """Raise _Enough if the rectangle around a sheet's cells is larger than `max_cells`.

    Almost every program writes a cell as `<c r="A1"`, which a regular expression finds six times quicker than a parser does.
    """
    with archive.open(part) as sheet:
        if _measure_quickly(sheet, max_cells):
            return
    with archive.open(part) as sheet:
        _measure_by_parser(sheet, max_cells)


def _measure_quickly(sheet: IO[bytes], max_cells: int) -> bool:
    """Measure a sheet that is written as usual; return False for one that is not."""
    columns: set[bytes] = set()
    height, rest, usual = 0, b"", False
    while block := sheet.read(BLOCK):
        whole, _mark, tail = (rest + block).rpartition(b"<")
        rest = b"<" + tail
        usual = usual or b"<sheetData" in whole
        cells = _CELL.findall(whole)
        if len(cells) != len(_ANY_CELL.findall(whole)):
            return False
        columns |= {column for column, _row in cells}
        height = max(height, max(map(int, {row for _column, row in cells}), default=0))
        if height * max(map(_number, columns), default=0) > max_cells:
            raise _Enough
    return usual


def _measure_by_parser(sheet: IO[bytes], max_cells: int) -> None:
    height = width = row = column = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal height, width, row, column
        tag = tag.rpartition(":")[2]
        if tag == "row":
            row, column = int(attributes.get("r", row + 1)), 0
        elif tag == "c":
            reference = _REFERENCE.fullmatch(attributes.get("r", ""))
            column, row = (_number(reference[1].encode()), int(reference[2])) if reference else (column + 1, row)
            height, width = max(height, row), max(width, column)
            if height * width > max_cells:
                raise _Enough

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    while block := sheet.read(BLOCK):
        parser.Parse(block, False)
    parser.Parse(b"", True)


def _number(letters: bytes) -> int:
    """Return the number of a column: 1 for A, 28 for AB."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number
