"""Hand a table over: on the terminal, down a pipe, or as the file that `--out` names."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import click

from outreach.cli.base import Office
from outreach.cli.output import grid, hint, note
from outreach.errors import Refused, UsageError
from outreach.i18n import gettext as _
from outreach.reports import words, workbook
from outreach.reports.tables import Table, plain

Rows = Iterable[Mapping[str, Any]]
PAGE = 50
"""Rows that a terminal shows at a time."""
Write = Callable[[Table, IO[bytes], Rows], None]


class FileUnwritable(Refused):
    """The file {path} cannot be written: {why}. Close it where it is open, or name another one with --out."""


class FormatMissing(UsageError):
    """The file {path} could be csv, xlsx or json: let its name say so, or give --format."""


class WorkbookOnTerminal(UsageError):
    """A workbook cannot be shown on a terminal: give --out FILE.xlsx"""


def deliver(office: Office, table: Table, *, rows: Rows | None = None, out: Path | None = None, title: str = "", next_step: str = "") -> None:
    """Answer with a table in the format that was asked for, on stdout or as the file `out`, which is whole or not there.

    `rows` stand in for those of the table where there are too many to hold; each is read once. People get words, JSON gets ids.
    """
    given = table.rows if rows is None else rows
    if out is not None:
        _write_file(_format(office, out), table, given, out)
    elif office.format == "table":
        grid(replace(table, rows=list(words.in_words(given))), title)
    elif office.format == "xlsx" and sys.stdout.isatty():
        raise WorkbookOnTerminal()
    else:
        sys.stdout.flush()
        WRITERS[office.format](table, sys.stdout.buffer, given)
        sys.stdout.buffer.flush()
    if office.format == "table":
        hint(next_step)


def deliver_list(
    office: Office,
    page: Callable[[int, int | None], Table],
    everything: Callable[[int | None], Rows],
    *,
    limit: int | None,
    after: int | None,
    out: Path | None = None,
    again: str,
    narrow: Callable[[Table], Table] = lambda table: table,
) -> None:
    """Answer with a list: a page where one was asked for or people look at it, else all rows as they come.

    `page` takes limit and cursor, `everything` the cursor; `again` is the command whose `--after` shows the following page; `narrow`
    leaves out columns for which the terminal has no room.
    """
    people = office.format == "table" and out is None
    if limit is None and not people:
        deliver(office, page(0, None), rows=everything(after), out=out)
        return
    found = page(limit or PAGE, after)
    deliver(office, narrow(found) if people else found, out=out, next_step=f"{again} --after {found.next}" if found.next else "")


def _format(office: Office, out: Path) -> str:
    """Return the format of a file: what was asked for, else what its name says."""
    asked = office.options.get("format") or out.suffix.removeprefix(".").lower()
    if asked not in WRITERS:
        raise FormatMissing(path=out)
    return str(asked)


def _write_file(format: str, table: Table, rows: Rows, out: Path) -> None:
    counted = _Counted(rows)
    with whole_file(out) as stream:
        WRITERS[format](table, stream, counted)
    note(_("Written: {path} (rows: {count})").format(path=out, count=counted.count))


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to write that is there whole at the end, or as it was before. Raises FileUnwritable."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:
            yield stream
        part.replace(path)
    except OSError as error:
        raise FileUnwritable(path=path, why=error.strerror or error) from error
    finally:
        with suppress(OSError):
            part.unlink()


class _Counted:
    """Rows that are counted as they pass."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for row in self.rows:
            self.count += 1
            yield row


def write_json(table: Table, stream: IO[bytes], rows: Rows) -> None:
    """Write one document; that of a list row by row, whatever its length."""
    for text in _list_text(table, rows) if table.by is None else _report_text(table, rows):
        stream.write(text.encode())


def _report_text(table: Table, rows: Rows) -> Iterator[str]:
    yield json.dumps(replace(table, rows=list(rows)).document(), ensure_ascii=False, indent=2) + "\n"


def _list_text(table: Table, rows: Rows) -> Iterator[str]:
    yield '{"rows": ['
    count = 0
    for count, row in enumerate(rows, 1):
        yield ("\n" if count == 1 else ",\n") + json.dumps(plain(row), ensure_ascii=False)
    total = count if table.total is None else table.total
    yield f'\n], "total": {total}, "next": {json.dumps(table.next)}}}\n'


def _csv(table: Table, stream: IO[bytes], rows: Rows) -> None:
    workbook.write_csv(table, stream, rows=words.in_words(rows))


def _xlsx(table: Table, stream: IO[bytes], rows: Rows) -> None:
    workbook.write_xlsx(table, stream, rows=words.in_words(rows))


WRITERS: Mapping[str, Write] = {"json": write_json, "csv": _csv, "xlsx": _xlsx}


OUT = click.Path(path_type=Path, dir_okay=False)
