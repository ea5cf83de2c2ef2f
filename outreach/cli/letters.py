"""`outreach letters …`: print what is due, say what was posted and what came back, print single letters again."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from datetime import time as clock_time
from pathlib import Path
from typing import Any

import click
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.campaigns import directory as campaigns
from outreach.cli import letters_print
from outreach.cli import report_choice as choice
from outreach.cli.base import Office, acting, group, option, pass_office
from outreach.cli.files import OUT, deliver_list, whole_file
from outreach.cli.output import answer, command, note, require_document
from outreach.clock import OFFICE_ZONE, wire
from outreach.contacts import reading
from outreach.database.paper_tables import RETURN_REASONS
from outreach.errors import UsageError
from outreach.i18n import gettext as _
from outreach.letters import directory, posting, reprints, returns
from outreach.links import resolving
from outreach.reports import letters as lists
from outreach.reports.tables import Table

SHOWN = 20
"""Codes or lines that a terminal shows; all of them stand in JSON."""


class NothingNamed(UsageError):
    """Name the letters by the codes on them, or give --file FILE with their codes."""


class WhichPosted(UsageError):
    """Name the batches that were posted by their numbers, or single letters by the codes on them."""


class ExceptOfNothing(UsageError):
    """--except takes letters out of a batch: name the batch too."""


class DayAhead(UsageError):
    """{day} is still to come; --date is the day on which the letters were handed to the post."""


class ReasonOfUndoing(UsageError):
    """--undo says that a letter did not come back: it has no --reason."""


class _Rehearsed(Exception):
    """What was written is to be taken back."""


@group("letters")
def letters() -> None:
    """Print letters in batches, and say what was posted and what came back."""


letters_print.add_to(letters)


@letters.command("batches")
@click.argument("campaign", required=False)
@option("--show", "shown", type=click.IntRange(1), metavar="BATCH", help="List the letters of this batch.")
@choice.town_option
@choice.limit_option
@choice.after_option
@option("--out", type=OUT, metavar="FILE", help="Write this file: .csv, .xlsx or .json.")
@pass_office
def batches(office: Office, campaign: str | None, shown: int | None, town: str | None, limit: int | None, after: int | None, out: Path | None) -> None:
    """List the print batches, newest first, and what became of each; or the letters of one."""
    own = choice.town(office, town) or ""
    with office.database.read() as session:
        if shown is not None:
            _show(office, session, shown, limit=limit, after=after, out=out)
            return
        choice.require_town(session, own or None)
        if campaign:
            campaigns.named(session, campaign)
        which: dict[str, Any] = {"settings": office.settings, "campaign": campaign, "town": own}
        if not lists.batches_table(session, limit=0, **which).total:
            note(_("Nothing was printed so far."))
        deliver_list(
            office,
            lambda limit, after: lists.batches_table(session, limit=limit, after=after, **which),
            lambda after: lists.batches(session, after=after, **which),
            limit=limit,
            after=after,
            out=out,
            again=command("outreach letters batches", *filter(None, [campaign]), town=town),
            narrow=lambda table: _narrow(table, lists.ROOM),
        )


def _show(office: Office, session: Session, number: int, *, limit: int | None, after: int | None, out: Path | None) -> None:
    office.require_town(directory.batch(session, number, settings=office.settings).town)
    deliver_list(
        office,
        lambda limit, after: lists.letters_table(session, number, settings=office.settings, limit=limit, after=after),
        lambda after: lists.letters(session, number, settings=office.settings, after=after),
        limit=limit,
        after=after,
        out=out,
        again=f"outreach letters batches --show {number}",
        narrow=lambda table: _narrow(table, lists.LETTER_ROOM),
    )


def _narrow(table: Table, room: Sequence[str]) -> Table:
    return replace(table, columns=[column for column in table.columns if column.id in room])


@letters.command("posted")
@click.argument("names", metavar="BATCH|CODE…", nargs=-1)
@option("--date", type=click.DateTime(["%Y-%m-%d"]), metavar="DAY", help="The day on which they were handed to the post; without it, today.")
@option("--except", "excepted", multiple=True, metavar="CODE", help="Not this one: it was taken out, and waits to be printed again.")
@option("--dry-run", is_flag=True, help="Only say what would happen.")
@acting
def posted(office: Office, names: tuple[str, ...], date: datetime | None, excepted: tuple[str, ...], dry_run: bool) -> None:
    """Say that batches, or single letters, were handed to the post."""
    require_document(office)
    numbers = [int(name) for name in names if _is_number(name)]
    codes = [name for name in names if not _is_number(name)]
    if not names:
        raise WhichPosted()
    if excepted and not numbers:
        raise ExceptOfNothing()
    now = office.now()
    on = _moment(date, now)
    with _writing(office, dry_run) as session:
        _require_own(office, session, numbers, [*codes, *excepted])
        done = posting.post(session, batches=numbers, codes=codes, excepted=excepted, on=on, settings=office.settings, by=office.actor, now=now)
        office.record(session, "letters.posted", " ".join(names)[:200], letters=done.letters, batches=list(done.batches), put_back=done.put_back)
    document = {"letters": done.letters, "batches": list(done.batches), "put_back": done.put_back, "needless": done.needless, "posted_on": wire(on)}
    lines = [_("Posted on {day}: letters {letters}.").format(day=_day(on), letters=done.letters)]
    if done.put_back:
        lines.append(_("Put back, to be printed again if they are still due: letters {count}.").format(count=done.put_back))
    if done.needless:
        lines.append(_("Of the posted, letters that need not have gone any more: {count}.").format(count=done.needless))
    answer(office, document | {"dry_run": dry_run}, [*lines, *_rehearsal(dry_run)], next_step="outreach letters batches")


def _is_number(name: str) -> bool:
    """Whether this is the number of a batch: a code is never digits alone."""
    return name.isascii() and name.isdigit() and len(name) < 10


@letters.command("returned")
@click.argument("codes", metavar="[CODE]…", nargs=-1)
@option("--reason", type=click.Choice(RETURN_REASONS), help="Why: addressee unknown, moved, not taken in, address incomplete, other.")
@option("--file", "file", type=click.Path(path_type=Path), metavar="FILE", help="A list with the codes of those that came back: CSV, XLSX or text.")
@option("--undo", is_flag=True, help="It was a mistake: they did not come back, and their addresses are good.")
@option("--dry-run", is_flag=True, help="Only say what would happen.")
@acting
def returned(office: Office, codes: tuple[str, ...], reason: str | None, file: Path | None, undo: bool, dry_run: bool) -> None:
    """Say that letters came back: no other goes to these addresses until they are mended."""
    require_document(office)
    if not codes and file is None:
        raise NothingNamed()
    if undo and reason:
        raise ReasonOfUndoing()
    listed, rejected = _from_file(file) if file else ({}, [])
    with _writing(office, dry_run) as session:
        rows = dict(directory.require(session, codes, settings=office.settings))
        found = directory.letters(session, listed, settings=office.settings)
        rejected += [_reject(line, code, "unknown") for code, line in listed.items() if code not in found]
        rows |= found
        for town in {row.town for row in rows.values()}:
            office.require_town(town)
        news = _say(session, list(rows.values()), reason=reason or "unknown", undo=undo, now=office.now())
        office.record(session, "letters.returned", " ".join(codes)[:200], letters=news.changed, reason=reason or "unknown", undo=undo)
    document = {
        "read": len(rows) + len(rejected),
        "changed": news.changed,
        "already": news.already,
        "rejected": len(rejected),
        "undo": undo,
        "rejects": sorted(rejected, key=lambda one: one["line"]),
        "dry_run": dry_run,
    }
    answer(office, document, [*_returned_lines(document), *_rehearsal(dry_run)], next_step="" if undo else command("outreach letters batches"))


def _say(session: Session, rows: Sequence[Any], *, reason: str, undo: bool, now: datetime) -> returns.Returned:
    return returns.undo(session, rows, now=now) if undo else returns.take_back(session, rows, reason=reason, now=now)


def _from_file(file: Path) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Return the codes in a list with the line of each, and the lines that hold none; a heading above the first code is no line."""
    codes: dict[str, int] = {}
    rejected: list[dict[str, Any]] = []
    for line, cells in reading.rows(file):
        typed = [str(cell) for cell in cells if cell is not None and str(cell).strip()]
        found = [code for code in map(resolving.tidy, typed) if tokens.is_personal_code(code)]
        if found:
            codes.setdefault(found[0], line)
        elif typed and codes:
            rejected.append(_reject(line, typed[0], "no_code"))
    return codes, rejected


def _reject(line: int, value: str, reason: str) -> dict[str, Any]:
    return {"line": line, "value": value[:60], "reason": reason}


def _returned_lines(document: Mapping[str, Any]) -> Iterator[str]:
    line = _("Read {read} = not returned after all {changed} + as before {already} + refused {rejected}") if document["undo"] else ""
    yield (line or _("Read {read} = returned {changed} + returned before {already} + refused {rejected}")).format(**document)
    said = {"unknown": _("no letter was printed with this code"), "no_code": _("there is no signing code in this line, or a mistyped one")}
    for one in document["rejects"][:SHOWN]:
        yield _("  line {line}: {value}: {why}").format(line=one["line"], value=one["value"], why=said[one["reason"]])
    if len(document["rejects"]) > SHOWN:
        yield _("and {count} more; all of them: --format json").format(count=len(document["rejects"]) - SHOWN)


@letters.command("reprint")
@click.argument("codes", metavar="CODE…", nargs=-1, required=True)
@option("--out", type=OUT, required=True, metavar="FILE", help="The PDF to write.")
@option("--envelope", is_flag=True, help="Write their envelopes too, beside it.")
@acting
def reprint(office: Office, codes: tuple[str, ...], out: Path, envelope: bool) -> None:
    """Print single letters again, to where their enterprises are now."""
    require_document(office)
    with office.database.read() as session:
        _require_own(office, session, (), codes)
        found = reprints.find(session, codes, settings=office.settings, now=office.now())
    files = {out: reprints.pdf(found, settings=office.settings)}
    if envelope:
        files[out.with_name(f"{out.stem}-信封{out.suffix or '.pdf'}")] = reprints.envelopes(found, settings=office.settings)
    for path, content in files.items():
        with whole_file(path) as stream:
            stream.write(content)
    with office.database.write() as session:
        reprints.count(session, found)
        office.record(session, "letters.reprint", " ".join(row.code for row in found.rows)[:200], letters=len(found.rows))
    document = {"letters": len(found.rows), "moved": found.moved, "files": [str(path) for path in files]}
    lines = [_("Printed again: letters {count}, in {path}.").format(count=len(found.rows), path=out)]
    if found.moved:
        lines.append(_("To another address than before: {codes}").format(codes=" ".join(found.moved)))
    back = {row.code for row in found.rows if row.returned_at is not None}
    if unmended := sorted(back - set(found.moved)):
        lines.append(_("These came back, and their address is still the same; mend it before they go out again: {codes}").format(codes=" ".join(unmended)))
    ready = sorted(back & set(found.moved))
    step = command("outreach letters posted", *ready) if ready else "outreach contacts import FILE" if unmended else ""
    answer(office, document, lines, next_step=step)


@letters.command("discard")
@click.argument("batch", type=click.IntRange(1))
@option("--dry-run", is_flag=True, help="Only say what would happen.")
@acting
def discard(office: Office, batch: int, dry_run: bool) -> None:
    """Throw away a batch that was not posted: its letters wait to be printed again."""
    require_document(office)
    with _writing(office, dry_run) as session:
        found = directory.batch(session, batch, settings=office.settings)
        office.require_town(found.town)
        done = posting.discard(session, batch, settings=office.settings, by=office.actor, now=office.now())
        office.record(session, "letters.discard", str(batch), put_back=done.put_back, posted=done.posted)
    lines = [_("Batch {batch}: put back, to be printed again, letters {put_back}; posted before, and stay so, {posted}.").format(**_plain(done))]
    if done.put_back:
        lines.append(_("Throw away what was printed of these, and the files: they will be printed in another batch."))
    answer(office, {**_plain(done), "dry_run": dry_run}, [*lines, *_rehearsal(dry_run)], next_step="outreach letters batches")


def _plain(done: posting.Discarded) -> dict[str, int]:
    return {"batch": done.batch, "put_back": done.put_back, "posted": done.posted}


def _require_own(office: Office, session: Session, numbers: Iterable[int], codes: Sequence[str]) -> None:
    """Refuse batches and letters of another town than that of whoever signed in. Raises BatchUnknown, LettersUnknown and OtherTown."""
    for number in numbers:
        office.require_town(directory.batch(session, number, settings=office.settings).town)
    for row in directory.require(session, codes, settings=office.settings).values():
        office.require_town(row.town)


@contextlib.contextmanager
def _writing(office: Office, dry_run: bool) -> Iterator[Session]:
    """Open a transaction that is taken back in a rehearsal."""
    with contextlib.suppress(_Rehearsed), office.database.write() as session:
        yield session
        if dry_run:
            raise _Rehearsed()


def _rehearsal(dry_run: bool) -> list[str]:
    return [_("A rehearsal: nothing was recorded.")] if dry_run else []


def _moment(date: datetime | None, now: datetime) -> datetime:
    """Return when letters were posted: at noon of the day, and not later than now."""
    if date is None:
        return now
    if date.date() > now.astimezone(OFFICE_ZONE).date():
        raise DayAhead(day=date.date())
    return min(datetime.combine(date.date(), clock_time(12), OFFICE_ZONE).astimezone(UTC), now)


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(OFFICE_ZONE):%Y-%m-%d}"
