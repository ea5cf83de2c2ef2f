"""Lists saved as workbooks: XLSX, XLS and ODS, each measured first and then read in a process of its own.

A damaged or hostile workbook makes calamine 0.37 panic or ask for 100 GB, which aborts its process; so that process is not ours.
"""

import marshal
import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from xml.parsers import expat

from outreach.errors import BadInput, NotFound
from outreach.i18n import gettext as _

MAX_CELLS = 2_000_000
BYTES_A_CELL = 300
"""More unpacked bytes for each allowed cell than any honest workbook needs; a zip bomb is refused by its own table of contents."""
SLACK = 64 << 20
BLOCK = 1 << 18
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
    """One sheet of a workbook, as the process that reads it sends it: first its measure or what is wrong, then rows by the thousand."""

    def __init__(self, path: Path, sheet: str | None, max_cells: int) -> None:
        self.path = path
        command = [sys.executable, "-P", "-m", "outreach.contacts.sheets", str(path.absolute()), str(max_cells), *([sheet] if sheet is not None else [])]
        self._reader = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._read = 0
        self._height = 0
        self.other_sheets: Sequence[str] = ()
        """Those that can be seen and are not read."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._reader.kill()
        self._reader.__exit__(kind, error, trace)

    def open(self, max_cells: int) -> None:
        """Wait until the sheet is loaded, and raise what is wrong with it."""
        said = self._next()
        self._height = said.get("height", 0)
        self.other_sheets = said.get("others", ())
        match said:
            case {"wrong": "locked"}:
                raise WorkbookLocked(file=self.path)
            case {"wrong": "empty"}:
                raise WorkbookEmpty(file=self.path)
            case {"wrong": "large"}:
                raise WorkbookTooLarge(file=self.path, max_cells=max_cells)
            case {"wrong": "sheet"}:
                raise SheetMissing(name=said["name"], file=self.path, sheets="、".join(said["sheets"]))
            case {"wrong": why}:
                raise WorkbookBroken(file=self.path, why=why)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows, numbered from 1."""
        while rows := self._next():
            for row in rows:
                self._read += 1
                yield self._read, row

    def share(self) -> float:
        """Return how much of the sheet was read, from 0 to 1."""
        return min(1.0, self._read / max(1, self._height))

    def _next(self) -> Any:
        assert self._reader.stdout is not None
        try:
            return marshal.load(self._reader.stdout)
        except (EOFError, ValueError, TypeError) as error:
            raise WorkbookBroken(file=self.path, why=_("it is damaged")) from error


@contextmanager
def opened(path: Path, *, sheet: str | None, max_cells: int) -> Iterator[Book]:
    """Open one sheet: the one named, else the first visible one that holds anything. Formulas give the values last computed.

    Raises WorkbookTooLarge, WorkbookLocked, WorkbookBroken, WorkbookEmpty and SheetMissing.
    """
    _refuse_too_large(path, max_cells)
    with Book(path, sheet, max_cells) as book:
        book.open(max_cells)
        yield book


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
