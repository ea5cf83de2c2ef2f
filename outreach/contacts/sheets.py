"""The process that reads one sheet of a workbook and sends its rows as text to the one that asked (`workbooks`).

    python -m outreach.contacts.sheets FILE MAX_CELLS [SHEET]

It writes marshalled values to stdout: the sheet's measure `{"height", "others"}` or `{"wrong": …}`, lists of rows, and an empty list at the end.
"""

import marshal
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime, time
from itertools import islice
from pathlib import Path
from typing import Any

import python_calamine
from python_calamine import CalamineError, CalamineSheet, PasswordError, SheetMetadata, SheetTypeEnum, SheetVisibleEnum

BATCH = 1000
MEMORY = 2 << 30
MEMORY_A_CELL = 512


def main(file: str, max_cells: str, sheet: str | None = None) -> None:
    """Read one sheet and send it."""
    _limit_memory(MEMORY + MEMORY_A_CELL * int(max_cells))
    try:
        workbook = _loaded(Path(file))
        chosen = _chosen(workbook, sheet)
    except PasswordError:
        _send({"wrong": "locked"})
    except LookupError as error:
        _send(error.args[0])
    except (CalamineError, OSError) as error:
        said = " ".join(str(error).split())[:200]
        _send({"wrong": "large" if said.startswith("Cell limit exceeded") else said})
    else:
        if chosen.height * chosen.width > int(max_cells):
            _send({"wrong": "large"})
            return
        others = [table.name for table in _tables(workbook) if table.visible is SheetVisibleEnum.Visible and table.name != chosen.name]
        _send({"height": chosen.end[0] + 1 if chosen.end else 0, "others": others})
        rows = _rows(chosen)
        while batch := list(islice(rows, BATCH)):
            _send(batch)
        _send([])


def _limit_memory(size: int) -> None:
    """Die early rather than drag the whole machine down; where there are no such limits (Windows), go without."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _send(value: Any) -> None:
    marshal.dump(value, sys.stdout.buffer)
    sys.stdout.buffer.flush()


def _loaded(path: Path) -> python_calamine.CalamineWorkbook:
    """Open a workbook as what its ending says, which alone tells of passwords; else as what it turns out to be."""
    try:
        return python_calamine.load_workbook(path)
    except PasswordError:
        raise
    except CalamineError as error:
        with path.open("rb") as file, suppress(CalamineError):
            return python_calamine.load_workbook(file)
        raise error


def _chosen(workbook: python_calamine.CalamineWorkbook, name: str | None) -> CalamineSheet:
    if name is not None:
        if name not in workbook.sheet_names:
            raise LookupError({"wrong": "sheet", "name": name, "sheets": workbook.sheet_names})
        return workbook.get_sheet_by_name(name)
    hidden_last = sorted(_tables(workbook), key=lambda sheet: sheet.visible is not SheetVisibleEnum.Visible)
    for sheet in (workbook.get_sheet_by_name(table.name) for table in hidden_last):
        if sheet.start is not None:
            return sheet
    raise LookupError({"wrong": "empty"})


def _tables(workbook: python_calamine.CalamineWorkbook) -> list[SheetMetadata]:
    return [sheet for sheet in workbook.sheets_metadata if sheet.typ is SheetTypeEnum.WorkSheet]


def _rows(sheet: CalamineSheet) -> Iterator[list[str]]:
    """Yield the rows from the first of the sheet; a merged cell says in each of its places what it says in the first.

    Lists by town merge the town's cell over all its rows, and headings of two lines merge 负责人 over 姓名 and 手机.
    """
    merged = _merged(sheet)
    open_now: list[tuple[int, range, list[str]]] = []
    for number, cells in enumerate(sheet.iter_rows()):
        row = [text(cell) for cell in cells]
        open_now = [area for area in open_now if area[0] >= number] + merged.get(number, [])
        for _bottom, places, said in open_now:
            for place in places:
                row[place] = said[0] = row[place] or said[0]
        yield row


def _merged(sheet: CalamineSheet) -> dict[int, list[tuple[int, range, list[str]]]]:
    """Return the merged areas by their first row: last row, places in a row, and a box for what the area says."""
    areas: dict[int, list[tuple[int, range, list[str]]]] = {}
    if sheet.start is None or sheet.end is None:
        return areas
    left_edge, cells = sheet.start[1], sheet.height * sheet.width
    for (top, left), (bottom, right) in sheet.merged_cell_ranges or ():
        places = range(max(left, left_edge) - left_edge, min(right, sheet.end[1]) - left_edge + 1)
        cells -= len(places) * (min(bottom, sheet.end[0]) - top + 1)
        if cells < 0:  # honest areas do not overlap
            break
        areas.setdefault(top, []).append((bottom, places, [""]))
    return areas


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


if __name__ == "__main__":
    main(*sys.argv[1:])
