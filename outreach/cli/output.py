"""How a command answers: the result on stdout, all else on stderr."""

import json
import shlex
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table as Grid

from outreach.cli.base import Office
from outreach.clock import OFFICE_ZONE
from outreach.errors import UsageError
from outreach.i18n import gettext as _
from outreach.reports import workbook
from outreach.reports.tables import Table, plain

WIDE = 400
"""Columns of a table that goes into a pipe or file: nothing is folded there."""


def answer(office: Office, document: Mapping[str, Any], lines: Iterable[str], *, next_step: str = "") -> None:
    """Answer with one document: as JSON, or in lines for people, followed by the next step to take."""
    if office.format == "json":
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
        return
    require_document(office)
    for line in lines:
        click.echo(line)
    hint(next_step)


def require_document(office: Office) -> None:
    """Refuse a format that the answer does not have. A command that changes something asks before it does."""
    if office.format not in ("table", "json"):
        raise UsageError(what=_("This command answers as table or json, not as {format}.").format(format=office.format))


def hint(next_step: str) -> None:
    """Say on stderr what to do next."""
    if next_step:
        click.echo(_("Next step: {step}").format(step=next_step), err=True)


def command(words: str, *arguments: object, **options: object) -> str:
    """Return a command as it can be typed again: quoted for the shell, with the options that were given."""
    given = [part for name, value in options.items() if value is not None for part in (f"--{name.replace('_', '-')}", value)]
    return " ".join([words, *(shlex.quote(str(part)) for part in (*arguments, *given))])


def note(line: str) -> None:
    """Say something on stderr that is not part of the result."""
    click.echo(line, err=True)


def limited(office: Office) -> str:
    """Return the town to which whoever signs in is limited, and say that this is not all there is; nothing without a limit."""
    if town := office.own_town():
        note(_("Only {town}, the town of account {account}.").format(town=town, account=office.actor))
    return town


def show(office: Office, table: Table, *, title: str = "", next_step: str = "") -> None:
    """Answer with a table, in the format that was asked for."""
    if office.format == "json":
        click.echo(json.dumps(table.document(), ensure_ascii=False, indent=2))
    elif office.format == "csv":
        sys.stdout.flush()
        workbook.write_csv(table, sys.stdout.buffer, rows=map(plain, table.rows))
    elif office.format == "xlsx":
        if sys.stdout.isatty():
            raise UsageError(what=_("A workbook cannot be shown on a terminal: add > FILE.xlsx or --out FILE"))
        workbook.write_xlsx(table, sys.stdout.buffer)
    else:
        grid(table, title)
        hint(next_step)


def grid(table: Table, title: str = "") -> None:
    """Draw a table on the terminal; Chinese characters count as two columns."""
    drawing = Grid(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        numeric = all(isinstance(row.get(column.id), int) for row in table.rows) and bool(table.rows)
        drawing.add_column(column.label, justify="right" if numeric else "left", overflow="fold")
    for row in table.rows:
        drawing.add_row(*(cell(row.get(column.id)) for column in table.columns))
    if table.totals:
        drawing.add_section()
        first = table.columns[0].id
        drawing.add_row(*(cell(table.totals.get(column.id, _("Total") if column.id == first else "")) for column in table.columns), style="bold")
    width = None if sys.stdout.isatty() else WIDE
    Console(highlight=False, markup=False, width=width).print(drawing)


def cell(value: Any) -> str:
    """Return a value as the terminal shows it: moments by the office's clock to the minute, mobiles in eleven digits, yes and no in words."""
    if isinstance(value, datetime):
        return value.astimezone(OFFICE_ZONE).strftime("%Y-%m-%d %H:%M")
    return workbook.shown(value)
