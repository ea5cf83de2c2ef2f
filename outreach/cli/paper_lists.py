"""One paper a row: a list of projects or events, as a workbook or CSV, whose headings are the labels of a paper's fields."""

from pathlib import Path

from outreach.contacts import cleaning, reading
from outreach.errors import BadInput
from outreach.rendering.paper_texts import Paper

ENDINGS = (".xlsx", ".xls", ".ods", ".csv")
MOST = 500
"""Papers made in one go: a board takes a fifth of a second and 80 kB."""


class NoRows(BadInput):
    """The file {file} has no row beneath its headings."""


class TooManyRows(BadInput):
    """The file {file} has more than {most} rows; make the papers in parts."""


class HeadingsUnknown(BadInput):
    """The file {file} has none of this paper's fields in its first row: {fields}"""


class RowRefused(BadInput):
    """{file}, row {row}: {why}"""


def read(path: Path, paper: Paper) -> tuple[list[tuple[int, dict[str, list[str]]]], list[str]]:
    """Return the number and the values of each row, and the headings that are no fields of the paper.

    A line end in a cell begins a further line of the field, and so does a further column of the same heading. Raises NoRows, TooManyRows,
    HeadingsUnknown and whatever `contacts.reading` refuses.
    """
    rows = ((number, cells) for number, cells in reading.rows(path) if any(cell.strip() for cell in cells))
    _number, first = next(rows, (0, []))
    headings, names = [cleaning.text(cell) for cell in first], paper.names()
    if not any(heading in names for heading in headings):
        raise HeadingsUnknown(file=path, fields=" ".join(field.label for field in paper.head.field))
    found: list[tuple[int, dict[str, list[str]]]] = []
    for number, cells in rows:
        if len(found) == MOST:
            raise TooManyRows(file=path, most=MOST)
        values: dict[str, list[str]] = {}
        for heading, cell in zip(headings, cells, strict=False):
            if heading in names and cell.strip():
                values.setdefault(heading, []).append(cell)
        found.append((number, values))
    if not found:
        raise NoRows(file=path)
    return found, [heading for heading in headings if heading and heading not in names]
