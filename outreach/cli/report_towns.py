"""`outreach report towns`: the league table of the towns, and a workbook for each with the enterprises still to be seen."""

import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import track
from sqlalchemy.orm import Session

from outreach.cli import report_choice as choice
from outreach.cli.base import Command, Group, Office, option, pass_office
from outreach.cli.files import FileUnwritable, deliver, whole_file
from outreach.cli.interrupts import between_steps
from outreach.cli.output import answer, note, require_document
from outreach.errors import Refused, UsageError
from outreach.i18n import gettext as _
from outreach.reports import town_books as books
from outreach.reports import towns as league
from outreach.reports.signatures import Which


class FolderMissing(UsageError):
    """--split writes a workbook for each town: name their folder with --out DIR"""


class SplitMissing(UsageError):
    """{option} belongs to the workbooks of the towns: add --split."""


class ResultsThere(Refused):
    """The folder {folder} holds workbooks already, such as {file}, and results may stand in them: name another with --out, or add --replace"""


@click.command("towns", cls=Command)
@option("--campaign", metavar="NAME", help="Of the enterprises of this campaign, and its pledge; without it, of all enterprises.")
@option("--pledge", metavar="PLEDGE", help="Answers to this pledge; without it, to that of the campaign, else to any.")
@choice.town_option
@choice.where_option
@option("--split", is_flag=True, help="Write a workbook for each town: who has not signed, how each was reached, and columns for who visits and the result.")
@option("--replace", is_flag=True, help="With --split: write over the workbooks that are there already.")
@choice.unmask_option
@option("--out", type=click.Path(path_type=Path), metavar="PATH", help="Write this file: .csv, .xlsx or .json; with --split, into this folder.")
@pass_office
def towns(office: Office, /, split: bool, replace: bool, unmask: bool, out: Path | None, town: str | None, **chosen: Any) -> None:
    """The towns as a league table by the share of enterprises signed; with --split, a workbook for each."""
    which: Which = {"mode": office.settings.mode, "town": choice.town(office, town), **chosen}  # type: ignore[typeddict-item]
    if split:
        _require_folder(office, out)
    for name, value in (("replace", replace), ("unmask", unmask)):
        if value and not split:
            raise SplitMissing(option=f"--{name}")
    if unmask:
        choice.unmask(office, "towns", which)
    with office.database.read() as session:
        choice.require_town(session, which.get("town"))
        choice.say_mode(office, session, which.get("campaign"))
        if split and out is not None:
            _split(office, session, out, which, unmask=unmask, replace=replace)
            return
        table = league.league(session, **which)
    again = choice.again("towns", {"town": town, **chosen})
    deliver(office, table, out=out, next_step=f"{again} --split --out DIR" if table.rows else "outreach contacts import FILE")


def _require_folder(office: Office, out: Path | None) -> None:
    require_document(office)
    if out is None:
        raise FolderMissing()


def _split(office: Office, session: Session, folder: Path, which: Which, *, unmask: bool, replace: bool) -> None:
    """Write the workbooks into the folder, each whole or not at all, and answer with what is in them."""
    _make(folder, replace=replace)
    campaign = which.get("campaign")
    whole = bool(campaign) and not office.own_town()
    with ExitStack() as undo:
        with between_steps() as step:
            taken, files = {books.STATEMENT.casefold()}, []
            for town in _with_bar(list(books.towns(session, **which))):
                step()
                files.append(_write(town, folder, taken, unmask=unmask, undo=None if replace else undo))
            if whole:
                with whole_file(folder / books.STATEMENT) as stream:
                    books.write_statement(session, str(campaign), stream, now=office.now())
        undo.pop_all()
    if not files:
        note(_("There are no such enterprises."))
    document = {"folder": str(folder), "files": files, "statement": books.STATEMENT if whole else None}
    lines = [_line(figures) for figures in files]
    lines += [_("Workbooks in {folder}: {count}").format(folder=folder, count=len(files))]
    lines += [_("Statement of the campaign: {file}").format(file=books.STATEMENT)] if whole else []
    answer(office, document, lines, next_step=_("open {path}").format(path=folder))


def _write(town: books.Town, folder: Path, taken: set[str], *, unmask: bool, undo: ExitStack | None) -> dict[str, Any]:
    """Write the workbook of a town, and return what is in it.

    `undo` takes it away again where the command is stopped: half the towns would look like all of them, and stand in its way the next time.
    """
    name = books.file_name(town.name, taken)
    if undo is not None:
        undo.callback((folder / name).unlink, missing_ok=True)
    with whole_file(folder / name) as stream:
        books.write(town, stream, unmask=unmask)
    return {"file": name, "town": town.name, **town.figures()}


def _with_bar(towns: Sequence[books.Town]) -> Iterable[books.Town]:
    """Show on stderr how many workbooks are written, where that is a terminal."""
    return track(towns, _("Workbooks"), console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _make(folder: Path, *, replace: bool) -> None:
    """Make the folder; refuse one with workbooks in it, into which results may have been typed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = sorted(path.name for path in folder.glob("*.xlsx"))
    except OSError as error:
        raise FileUnwritable(path=folder, why=error.strerror or error) from error
    if there and not replace:
        raise ResultsThere(folder=folder, file=there[0])


def _line(figures: dict[str, Any]) -> str:
    words = _("{file}: enterprises {enterprises:,} = not signed {not_signed:,} + signed {signed:,} + refused {refused:,}; wrong in our list {corrections:,}")
    return words.format(**figures)


def add_to(group: Group) -> None:
    """Put the command into its group."""
    group.add_command(towns)
