"""Read the rows of a list, whatever it was saved as: the content decides, not the file's ending."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from outreach.contacts import textfiles, workbooks
from outreach.errors import BadInput
from outreach.i18n import gettext as _

HEAD = 4096
OTHER_KINDS = {
    b"MZ": "a program",
    b"\x7fELF": "a program",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"Rar!": "an archive",
    b"7z\xbc\xaf": "an archive",
    b"\x1f\x8b": "an archive",
    b"SQLite format 3": "a database",
}
ZIP = b"PK\x03\x04"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

Row = tuple[int, list[str]]
"""The row's number as a spreadsheet shows it (title rows and blank rows count), and its cells as text."""


class FileMissing(BadInput):
    """There is no file {file}."""


class FileUnreadable(BadInput):
    """The file {file} cannot be read: {why}."""


class FileEmpty(BadInput):
    """The file {file} is empty: there is nothing to import."""


class EncodingsMixed(BadInput):
    """The file {file} mixes two encodings: it begins in {encoding}, and row {row} (byte {byte} of the file) is in another one.
    Save the list anew as CSV UTF-8 and import that."""


class NotAList(BadInput):
    """The file {file} is not a list but {kind}. Save the list as CSV or XLSX and import that."""


@dataclass
class Source:
    """An open list: its rows one after the other, the share of it that was read, from 0 to 1, and the sheets beside the one that is read."""

    rows: Iterator[Row]
    share: Callable[[], float]
    other_sheets: Sequence[str] = ()


def rows(path: Path, *, sheet: str | None = None, max_cells: int = workbooks.MAX_CELLS) -> Iterator[Row]:
    """Yield the rows of a CSV file or workbook one by one; see `opened` for what is refused."""
    with opened(path, sheet=sheet, max_cells=max_cells) as source:
        yield from source.rows


@contextmanager
def opened(path: Path, *, sheet: str | None = None, max_cells: int = workbooks.MAX_CELLS) -> Iterator[Source]:
    """Open a list: CSV (UTF-8, UTF-16, GB18030; comma, tab, semicolon) is streamed, XLSX, XLS and ODS are read whole, elsewhere.

    Raises FileMissing, FileUnreadable, FileEmpty, EncodingsMixed, NotAList, and for workbooks WorkbookTooLarge, WorkbookLocked, WorkbookBroken and
    SheetMissing: each names what to do.
    """
    head = _head(path)
    if head.startswith((ZIP, OLE)):
        with workbooks.opened(path, sheet=sheet, max_cells=max_cells) as book:
            yield Source(book.rows(), book.share, book.other_sheets)
        return
    kind = next((kind for magic, kind in OTHER_KINDS.items() if head.startswith(magic)), None)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        kind = "a web page"
    if kind is not None or sheet is not None:
        raise NotAList(file=path, kind=_kind(kind or "a text file without sheets"))
    try:
        with textfiles.opened(path) as (records, share):
            yield Source(records, share)
    except textfiles.Mixed as error:
        raise EncodingsMixed(file=path, row=error.row, byte=error.byte, encoding=error.encoding.upper()) from error
    except textfiles.NotText as error:
        raise NotAList(file=path, kind=_kind("data that is no text")) from error


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except FileNotFoundError as error:
        raise FileMissing(file=path) from error
    except OSError as error:
        raise FileUnreadable(file=path, why=error.strerror or error) from error
    if not path.is_file():
        raise FileUnreadable(file=path, why=_("it is a pipe or a device; save it as a file first"))
    if not head.strip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n,;"):
        raise FileEmpty(file=path)
    return head


def _kind(kind: str) -> str:
    words = {
        "a program": _("a program"),
        "a PDF": _("a PDF"),
        "a picture": _("a picture"),
        "an archive": _("an archive"),
        "a database": _("a database"),
        "a web page": _("a web page"),
        "a text file without sheets": _("a text file without sheets"),
        "data that is no text": _("data that is no text"),
    }
    return words[kind]
