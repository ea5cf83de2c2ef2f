"""`outreach pledges record-paper` and `scans`: what was signed on paper, one sheet or a pile, and the list of what a person must look at."""

import contextlib
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from datetime import time as clock_time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from sqlalchemy.orm import Session

from outreach.cli.base import Group, Office, option, pass_office
from outreach.cli.files import OUT, deliver_list, whole_file
from outreach.cli.interrupts import between_steps
from outreach.cli.output import answer, command, note, require_document
from outreach.clock import OFFICE_ZONE
from outreach.database.pledge_tables import CAPACITIES
from outreach.errors import BadInput, UsageError
from outreach.i18n import gettext as _
from outreach.pledges import paper, piles, routing, scans, sheet_codes
from outreach.pledges.paper import Paper, Recorded
from outreach.pledges.piles import Line, Summary
from outreach.pledges.routing import Route
from outreach.pledges.scans import Kept
from outreach.reports import scans as lists
from outreach.reports.tables import Table

ROLE = "operator"
SERIAL = re.compile(r"\d{4}-\d{6,}")
QUIET = 2.0
"""Seconds for which nothing is shown: a short pile needs no progress."""
SHOWN = 20
"""Lines on a terminal of pages that were not recorded; the rest stands in the list and in JSON."""


class NothingNamed(UsageError):
    """Say whose sheet it is: CODE, SERIAL or --enterprise ID; for a pile: --pile PATH…"""


class SignerMissing(UsageError):
    """Say who signed: --signer NAME and --capacity."""


class RelationMissing(UsageError):
    """An agent signs for somebody: say in what relation with --relation TEXT."""


class ScanNeeded(UsageError):
    """Signature {serial} waits for its scan: give it with --scan FILE or --scan-id NO."""


class NotForPile(UsageError):
    """With --pile, {option} has no meaning: each sheet says itself whose it is."""


class DateAhead(UsageError):
    """{day} is still to come; --date is the day on which it was signed."""


class ScanUnusable(BadInput):
    """The scan {file} cannot be used: {why}"""


class _Rehearsed(Exception):
    """What was written is to be taken back."""


def add_to(group: Group) -> None:
    """Add the verbs to the group `pledges`."""
    group.add_command(record_paper)
    group.add_command(scans_)
    group.add_command(reviewed)


@click.command("record-paper", cls=Group.command_class)
@click.argument("names", metavar="[CODE|SERIAL|PATH…]", nargs=-1)
@option("--pile", is_flag=True, help="Read photographs, scanned PDFs, folders and zip files of sheets; the code on each says whose it is.")
@option("--enterprise", type=click.IntRange(1), metavar="ID", help="For this enterprise; without it, for all that the code speaks for.")
@option("--pledge", default="", metavar="NAME", help="The pledge, where no campaign asks the enterprise for one.")
@option("--signer", default="", metavar="NAME", help="Who signed.")
@option("--capacity", type=click.Choice(CAPACITIES), help="In what capacity: legal representative, principal or agent.")
@option("--relation", default="", metavar="TEXT", help="Of an agent to the enterprise.")
@option("--date", type=click.DateTime(["%Y-%m-%d"]), metavar="DAY", help="The day on which it was signed; without it, today.")
@option("--scan", "files", multiple=True, type=click.Path(path_type=Path), metavar="FILE", help="The scan of the sheet; without it, it does not count yet.")
@option("--scan-id", "numbers", multiple=True, type=click.IntRange(1), metavar="NO", help="A scan that was read in before, from the list of scans.")
@option("--honour", is_flag=True, help="The enterprise agreed to be shown on the honour roll.")
@option("--dry-run", is_flag=True, help="Only say what would happen.")
@pass_office
def record_paper(
    office: Office,
    names: tuple[str, ...],
    pile: bool,
    enterprise: int | None,
    pledge: str,
    signer: str,
    capacity: str | None,
    relation: str,
    date: datetime | None,
    files: tuple[Path, ...],
    numbers: tuple[int, ...],
    honour: bool,
    dry_run: bool,
) -> None:
    """Record what was signed on paper: one sheet, or a pile of scans. Without a scan it waits and is not counted."""
    require_document(office)
    now = office.now()
    at = _moment(date, now)
    if pile:
        given = {
            "--enterprise": enterprise,
            "--pledge": pledge,
            "--signer": signer,
            "--capacity": capacity,
            "--scan": files,
            "--scan-id": numbers,
            "--honour": honour,
        }
        if meaningless := next((name for name, value in given.items() if value), None):
            raise NotForPile(option=meaningless)
        _pile(office, [Path(name) for name in names], at=at, now=now, dry_run=dry_run)
        return
    if len(names) > 1 or not (names or enterprise):
        raise NothingNamed()
    if capacity == "agent" and not relation.strip():
        raise RelationMissing()
    serial = names[0].strip() if names and SERIAL.fullmatch(names[0].strip()) else ""
    if serial and not (files or numbers):
        raise ScanNeeded(serial=serial)
    office.sign_in_if_asked(ROLE)
    read = _read(files)
    if serial:
        recorded = _complete(office, serial, read, numbers, now=now, dry_run=dry_run)
    else:
        sheet = Paper(signer=signer.strip(), capacity=capacity or "", relation=relation.strip(), honour=honour, at=at, now=now, by=office.actor)
        recorded = _record(office, names[0] if names else "", enterprise, pledge, sheet, read, numbers, dry_run=dry_run)
    shown = [_numberless(one) if dry_run else one for one in recorded]
    answer(office, {"recorded": [_document(one) for one in shown], "dry_run": dry_run}, _lines(shown, dry_run), next_step="" if dry_run else _next(recorded))


def _moment(date: datetime | None, now: datetime) -> datetime:
    """Return when a sheet was signed: at noon of its day, and not later than now."""
    if date is None:
        return now
    if date.date() > now.astimezone(OFFICE_ZONE).date():
        raise DateAhead(day=date.date())
    return min(datetime.combine(date.date(), clock_time(12), OFFICE_ZONE).astimezone(UTC), now)


# one sheet


def _read(files: Sequence[Path]) -> list[tuple[Kept, list[str]]]:
    """Read the pages of one sheet and the codes on them. Raises ScanMissing and ScanUnusable."""
    found = []
    for page in scans.pages(files):
        if page.picture is None:
            raise ScanUnusable(file=page.name, why=scans.say(page.fault))
        found.append((scans.kept(page), sheet_codes.find(page.picture)))
    return found


def _complete(office: Office, serial: str, read: Sequence[tuple[Kept, list[str]]], numbers: Sequence[int], *, now: datetime, dry_run: bool) -> list[Recorded]:
    recorded: list[Recorded] = []
    with contextlib.suppress(_Rehearsed), office.database.write() as session:
        route, key = routing.by_serial(session, serial)
        kept = _own(office, session, route, [key], [*read, *_reread(office, session, numbers)])
        recorded = [paper.complete(session, serial, kept, by=office.actor, now=now)]
        _write_down(office, session, recorded, dry_run)
    return recorded


def _record(
    office: Office,
    code: str,
    enterprise: int | None,
    pledge: str,
    sheet: Paper,
    read: Sequence[tuple[Kept, list[str]]],
    numbers: Sequence[int],
    *,
    dry_run: bool,
) -> list[Recorded]:
    recorded: list[Recorded] = []
    with contextlib.suppress(_Rehearsed), office.database.write() as session:
        if code:
            route = routing.by_code(session, code, settings=office.settings)
        else:
            assert enterprise is not None
            route = routing.by_enterprise(session, enterprise, pledge=pledge, settings=office.settings)
        keys = routing.chosen(route, enterprise)
        kept = _own(office, session, route, keys, [*read, *_reread(office, session, numbers)])
        if not (sheet.signer and sheet.capacity) and not (kept and paper.all_wait(session, keys, route.version)):
            raise SignerMissing()
        recorded = paper.record(session, route, keys, sheet, kept)
        _write_down(office, session, recorded, dry_run)
    return recorded


def _reread(office: Office, session: Session, numbers: Sequence[int]) -> Iterator[tuple[Kept, list[str]]]:
    """Yield scans that were read in before, with the codes on them."""
    for number in numbers:
        _require_read_in(office, session, number)
        kept = paper.stored(session, number)
        page = scans.reopened(kept)
        yield kept, sheet_codes.find(page.picture) if page.picture else []


def _own(office: Office, session: Session, route: Route, keys: Sequence[int], read: Sequence[tuple[Kept, list[str]]]) -> list[Kept]:
    """Return the scans, unless a code on them says that they are another's."""
    office.require_town(route.town)
    for kept, texts in read:
        paper.require_own(session, sheet_codes.marks(texts), route, keys, kept.name, settings=office.settings)
    return [kept for kept, _texts in read]


def _write_down(office: Office, session: Session, recorded: Sequence[Recorded], dry_run: bool) -> None:
    if dry_run:
        raise _Rehearsed()
    for one in recorded:
        if one.result != "already":
            office.record(session, "pledges.record_paper", one.serial, enterprise=one.enterprise_id, result=one.result)


def _document(one: Recorded) -> dict[str, Any]:
    return {"enterprise_id": one.enterprise_id, "enterprise": one.enterprise, "serial": one.serial, "result": one.result, "reason": one.reason}


def _numberless(one: Recorded) -> Recorded:
    """Return what a rehearsal shows: a number that was drawn for nothing is none."""
    return replace(one, serial="", signature_id=0) if one.result in ("recorded", "pending") else one


def _lines(recorded: Sequence[Recorded], dry_run: bool) -> list[str]:
    words = {
        "recorded": _("{serial} {enterprise}: recorded, and counted"),
        "completed": _("{serial} {enterprise}: the scan is there; it counts now"),
        "pending": _("{serial} {enterprise}: recorded; it waits for its scan and is not counted yet"),
        "already": _("{serial} {enterprise}: nothing changed, {why}"),
    }
    lines = [words[one.result].format(serial=one.serial, enterprise=one.enterprise, why=piles.say(one.reason)).strip() for one in recorded]
    return [*lines, *([_("A rehearsal: nothing was recorded.")] if dry_run else [])]


def _next(recorded: Sequence[Recorded]) -> str:
    waiting = next((one.serial for one in recorded if one.result == "pending"), None)
    return f"outreach pledges record-paper {waiting} --scan FILE" if waiting else ""


# a pile


def _pile(office: Office, paths: Sequence[Path], *, at: datetime, now: datetime, dry_run: bool) -> None:
    if not paths:
        raise NothingNamed()
    office.sign_in_if_asked(ROLE)
    summary, town = Summary(), office.own_town()
    lines = piles.read(office.database, paths, settings=office.settings, by=office.actor, now=now, at=at, town=town, dry_run=dry_run)
    try:
        with between_steps() as step, _bar() as show:
            for line in lines:
                summary.add(line)
                show(len(summary.lines))
                step()
    except KeyboardInterrupt:
        note(_figures(summary))
        raise
    finally:
        if summary.lines and not dry_run:
            with office.database.write() as session:
                office.record(session, "pledges.record_pile", paths[0].name, **summary.figures())
    waits = any(line.scan_id for line in summary.lines)
    further = "outreach pledges scans --open" if waits else "outreach pledges list --review" if summary.counts["recorded"] else ""
    again = command("outreach pledges record-paper --pile", *paths) if dry_run else further
    answer(office, {**summary.document(), "dry_run": dry_run}, _pile_lines(summary, dry_run), next_step=again)


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[int], None]]:
    """Show on stderr how many pages are read, where that is a terminal and it takes longer than a moment."""
    if not sys.stderr.isatty():
        yield lambda _count: None
        return
    columns = (TextColumn("{task.description}"), TextColumn("{task.completed:,}"), TimeElapsedColumn())
    began = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=True) as shown:
        task = shown.add_task(_("Pages read"), total=None)

        def show(count: int) -> None:
            if shown.disable and time.monotonic() - began > QUIET:
                shown.disable = False
                shown.start()
            shown.update(task, completed=count)

        yield show


def _figures(summary: Summary) -> str:
    words = {
        "recorded": _("recorded {count}"),
        "completed": _("completed {count}"),
        "already": _("there already {count}"),
        "unreadable": _("for a person to read {count}"),
        "foreign": _("foreign {count}"),
    }
    parts = " + ".join(words[result].format(count=count) for result, count in summary.figures().items() if result in words)
    return _("Pages read {count} = {parts}").format(count=len(summary.lines), parts=parts)


def _pile_lines(summary: Summary, dry_run: bool) -> list[str]:
    others = [line for line in summary.lines if line.result not in ("recorded", "completed")]
    lines = [_figures(summary), *(_line(line) for line in others[:SHOWN])]
    if len(others) > SHOWN:
        lines.append(_("and {count} more; all of them: --format json").format(count=len(others) - SHOWN))
    return [*lines, *([_("A rehearsal: nothing was recorded.")] if dry_run else [])]


def _line(line: Line) -> str:
    place = f"{line.file} #{line.page}" if line.page > 1 else line.file
    rest = " ".join(filter(None, [line.serial, line.enterprise, f"--scan-id {line.scan_id}" if line.scan_id else ""]))
    return _("  {place}: {why}").format(place=place, why=piles.say(line.reason)) + (f" ({rest})" if rest else "")


# the lists


@click.command("scans", cls=Group.command_class)
@option("--open", "open_only", is_flag=True, help="Only those that wait for a person.")
@option("--show", "shown", type=click.IntRange(1), metavar="NO", help="Write the picture of this one to --out FILE.")
@option("--discard", "discarded", type=click.IntRange(1), metavar="NO", help="Throw this one away: it is no sheet of ours.")
@option("--limit", type=click.IntRange(1), help="Rows of a page.")
@option("--after", type=click.IntRange(0), metavar="CURSOR", help="The page after this one.")
@option("--out", type=OUT, metavar="FILE", help="Write this file: .jpg with --show, else .csv, .xlsx or .json.")
@pass_office
def scans_(office: Office, open_only: bool, shown: int | None, discarded: int | None, limit: int | None, after: int | None, out: Path | None) -> None:
    """List the scanned sheets; those that no machine could tell are for a person to look at."""
    if shown is not None and out is None:
        raise UsageError(what=_("Name the file for the picture: --out FILE.jpg"))
    office.sign_in_if_asked(ROLE)
    if shown is not None and out is not None:
        office.sign_in(ROLE)  # a name and a hand: looked at under one's own name only
        _show(office, shown, out)
        return
    if discarded is not None:
        with office.database.write() as session:
            _require_read_in(office, session, discarded)
            digest = paper.discard(session, discarded)
            office.record(session, "pledges.discard_scan", str(discarded), digest=digest)
        answer(office, {"discarded": discarded}, [_("Scan {number} is gone.").format(number=discarded)], next_step="outreach pledges scans --open")
        return
    by = office.actor if office.own_town() else ""
    with office.database.read() as session:
        deliver_list(
            office,
            lambda limit, after: lists.listing(session, open_only=open_only, by=by, limit=limit, after=after),
            lambda after: lists.rows(session, open_only=open_only, by=by, after=after),
            limit=limit,
            after=after,
            out=out,
            again="outreach pledges scans" + (" --open" if open_only else ""),
            narrow=_in_words,
        )
    if office.format == "table" and out is None:
        note(_("To look at one: outreach pledges scans --show NO --out FILE.jpg; to say whose it is: outreach pledges record-paper CODE --scan-id NO"))


def _in_words(table: Table) -> Table:
    return replace(table, rows=[{**row, "reason": piles.say(row["reason"]) if row["reason"] else ""} for row in table.rows])


def _show(office: Office, number: int, out: Path) -> None:
    with office.database.write() as session:
        _require_read_in(office, session, number)
        kept = paper.stored(session, number)
        office.record(session, "pledges.show_scan", str(number))
    with whole_file(out) as stream:
        stream.write(kept.content)
    note(_("Written: {path}").format(path=out))


def _require_read_in(office: Office, session: Session, number: int) -> None:
    """Let an account of one town see only what it read in itself: whose a sheet is, nobody knows yet."""
    if office.own_town() and paper.read_in_by(session, number) != office.actor:
        raise paper.ScanUnknown(what="scan", name=number, number=number)


@click.command("reviewed", cls=Group.command_class)
@click.argument("serials", metavar="SERIAL…", nargs=-1, required=True)
@pass_office
def reviewed(office: Office, serials: tuple[str, ...]) -> None:
    """Take signatures off the list of those to be looked at: a person has looked, and sheet and name are right."""
    require_document(office)
    office.sign_in_if_asked(ROLE)
    with office.database.write() as session:
        done = paper.reviewed(session, serials, town=office.own_town())
        for serial in done:
            office.record(session, "pledges.reviewed", serial)
    line = _("Looked at: {count} of {asked}. Where nobody has signed on the sheet: outreach pledges withdraw SERIAL --reason TEXT")
    answer(office, {"reviewed": done}, [line.format(count=len(done), asked=len(serials))], next_step="outreach pledges list --review")
