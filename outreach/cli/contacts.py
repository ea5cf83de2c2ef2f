"""`outreach contacts`: read the lists that departments send, look at the directory, and note who must not be written to."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import click
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar
from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.audiences import conditions, segments
from outreach.cli import contact_erasing
from outreach.cli.base import Office, acting, group, option, pass_office
from outreach.cli.interrupts import between_steps
from outreach.cli.output import answer, cell, command, hint, limited, note, require_document, show
from outreach.clock import OFFICE_ZONE
from outreach.contacts import directory, postal
from outreach.contacts.directory import Suppression
from outreach.contacts.importing import ImportResult, Progress, import_file
from outreach.contacts.rejects import brief
from outreach.errors import Refused, UsageError
from outreach.i18n import gettext as _
from outreach.reports import words, workbook
from outreach.reports.tables import Column, Table, plain

EXPORTED = {
    "name": "企业名称",
    "credit_code": "统一社会信用代码",
    "town": "镇街",
    "village": "村社区",
    "department": "主管部门",
    "industry": "行业",
    "scale": "规模",
    "above_scale": "规上",
    "address": "地址",
    "contact": "联系人",
    "role": "职务",
    "phone": "手机",
    "wechat": "微信",
    "rank": "顺序",
    "note": "备注",
    "opted_out": "拒收",
}
"""The headings of an export, whatever the language: those that an import knows again."""
TRUTH = {True: "是", False: "否"}

LISTED = ("id", "name", "town", "above_scale", "contact", "role", "phone", "opted_out")


class OutUnwritable(Refused):
    """The file {path} cannot be written: {why}. Name another with --out FILE"""


@group("contacts")
def contacts() -> None:
    """Enterprises and their contacts: import lists, look them up, opt people out."""


@contacts.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@option("--mapping", metavar="M", help="Read the columns by this mapping (contacts/mappings/M.toml) instead of the one that fits best.")
@option("--sheet", metavar="S", help="Read this sheet of a workbook instead of the first that holds anything.")
@option("--rejects", type=click.Path(path_type=Path, dir_okay=False), help="Where refused rows go instead of FILE-退回.csv.")
@option("--dry-run", is_flag=True, help="Only say what would happen.")
@acting
def import_(office: Office, file: Path, mapping: str | None, sheet: str | None, rejects: Path | None, dry_run: bool) -> None:
    """Import a list of enterprises and contacts: CSV, XLSX, XLS or ODS. The same file twice changes nothing."""
    require_document(office)
    with _stoppable(office, file, dry_run=dry_run) as progress:
        result = import_file(
            office.database,
            file,
            folders=office.settings.mapping_folders,
            now=office.now(),
            mapping=mapping,
            sheet=sheet,
            rejects=rejects,
            dry_run=dry_run,
            max_cells=office.settings.max_cells,
            progress=progress,
        )
    if not dry_run:
        with office.database.write() as session:
            figures = {name: getattr(result, name) for name in ("read", "added", "updated", "unchanged", "rejected")}
            office.record(session, "contacts.import", file.name, **figures)
    again = command("outreach contacts import", file, mapping=mapping, sheet=sheet, rejects=rejects)
    answer(office, result.document(), _import_lines(result), next_step=again if dry_run else "outreach audience count EXPR")


@contextmanager
def _stoppable(office: Office, file: Path, *, dry_run: bool) -> Iterator[Progress]:
    """Take Ctrl-C between two transactions; where an import breaks off, say what is in by then, and write it into the audit log."""
    read, whole = 0, False
    with between_steps() as step, _bar() as show:

        def progress(rows: int, share: float) -> None:
            nonlocal read
            read = rows
            show(rows, share)
            step()

        try:
            yield progress
            whole = True
        finally:
            if read and not whole and not dry_run:
                note(_("Broken off after {count:,} rows; what stands in them is kept.").format(count=read))
                with office.database.write() as session:
                    office.record(session, "contacts.import", file.name, read=read, broken_off=True)


@contextmanager
def _bar() -> Iterator[Progress]:
    """Show on stderr how far the file is read, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _rows, _share: None
        return
    columns = (BarColumn(), TaskProgressColumn(), TextColumn(_("rows: {task.fields[rows]:,}")), TimeElapsedColumn())
    with ProgressBar(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=1.0, rows=0)
        yield lambda rows, share: shown.update(task, completed=share, rows=rows)


def _import_lines(result: ImportResult) -> list[str]:
    figures = [
        (_("added {count:,}"), result.added),
        (_("updated {count:,}"), result.updated),
        (_("unchanged {count:,}"), result.unchanged),
        (_("refused {count:,}"), result.rejected),
    ]
    parts = _(", ").join(words.format(count=count) for words, count in figures if count)
    reasons = _(", ").join(f"{brief(reason)} {count:,}" for reason, count in result.document()["reasons"].items())
    line = _("Rows read {count:,}: {parts}").format(count=result.read, parts=parts) if parts else _("No rows beneath the headings.")
    lines = [line + (_(" ({parts})").format(parts=reasons) if reasons else "")]
    if not result.read and result.other_sheets:
        lines.append(_("Other sheets of this workbook: {sheets}. To read one: --sheet S").format(sheets=_(", ").join(result.other_sheets)))
    if result.rejects:
        lines.append(_("Refused rows, with the reasons: {path}").format(path=result.rejects))
    elif result.rejected:
        lines.append(_("To see the refused rows with the reasons, add --rejects PATH"))
    if result.dry_run:
        lines.append(_("A rehearsal: nothing was imported."))
    return lines


def _labels() -> dict[str, str]:
    return {
        "id": _("Contact no."),
        "enterprise_id": _("Enterprise no."),
        "name": _("Enterprise"),
        "credit_code": _("Credit code"),
        "town": _("Town"),
        "village": _("Village or community"),
        "department": _("Competent department"),
        "industry": _("Industry"),
        "scale": _("Scale"),
        "above_scale": _("Above scale"),
        "address": _("Postal address"),
        "contact": _("Contact person"),
        "role": _("Position"),
        "phone": _("Phone"),
        "wechat": _("WeChat"),
        "rank": _("Rank"),
        "note": _("Note"),
        "opted_out": _("Opted out"),
        "suppressed_at": _("Opted out at"),
        "suppressed_reason": _("Reason"),
    }


where_option = option("--where", metavar="EXPR", help="Only whom this audience expression selects.")
unmask_option = option("--unmask", is_flag=True, help="Show phones in full; needs a sign-in and goes into the audit log.")


@contacts.command("list")
@where_option
@option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Rows of a page.")
@option("--after", metavar="CURSOR", help="The page after this cursor.")
@unmask_option
@pass_office
def list_(office: Office, where: str | None, limit: int, after: str | None, unmask: bool) -> None:
    """List enterprises with their contacts."""
    with _reading(office, unmask, "contacts.list", where) as (session, town):
        page = directory.listing(session, where=_condition(session, where), town=town, limit=limit, after=after)
    labels = _labels()
    keys = LISTED if office.format == "table" else directory.COLUMNS
    columns = [Column(key, labels.get(key, key)) for key in keys]
    rows = [_row(row, unmask) for row in page.rows]
    next_step = f"outreach contacts list --after {page.next}" if page.next else "outreach contacts show ID"
    show(office, Table("contacts", columns, rows, next=page.next, total=page.total), next_step=next_step)


@contacts.command("show")
@click.argument("contact", type=int, metavar="[ID]", required=False)
@option("--enterprise", type=int, metavar="ID", help="An enterprise with its first contact, or with none.")
@unmask_option
@pass_office
def show_(office: Office, contact: int | None, enterprise: int | None, unmask: bool) -> None:
    """Show one contact, the enterprise, who else is there, and the letters that went to it."""
    if (contact is None) == (enterprise is None):
        raise UsageError(what=_("Give either the number of a contact or --enterprise ID."))
    with _reading(office, unmask, "contacts.show", str(contact or enterprise)) as (session, _town):
        found = directory.show(session, contact) if contact is not None else directory.show_enterprise(session, enterprise or 0)
    office.require_town(found["town"])
    people = [_row(person, unmask) for person in found.pop("contacts")]
    letters, by_post = found.pop("letters"), found.pop("letter_suppressed")
    chosen = _row(found, unmask)
    lines = [_("{label}: {value}").format(label=label, value=cell(chosen[key])) for key, label in _labels().items() if chosen[key] not in (None, "")]
    others = [{key: cell(value) for key, value in person.items()} for person in people if person["id"] != chosen["id"]]
    lines += [_("Also there: {id} {contact} {role} {phone}").format(**person).rstrip() for person in others]
    document = {**plain(chosen), "contacts": people, "letter_suppressed": plain(by_post), "letters": [plain(letter) for letter in letters]}
    which = f"--contact {contact}" if contact is not None else f"--enterprise {enterprise}"
    answer(office, document, [*lines, *_letter_lines(by_post, letters)], next_step=f"outreach contacts opt-out {which}")


def _letter_lines(by_post: Mapping[str, Any], letters: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say what went to an enterprise by post, and whether anything may."""
    lines = []
    if by_post["suppressed_at"]:
        why = words.suppression(by_post["suppressed_reason"])
        lines.append(_("No letters to this address since {day}: {why}").format(day=_day(by_post["suppressed_at"]), why=why))
    for letter in letters:
        state = words.delivery_state(letter["state"], "letter")
        if letter["state"] == "undelivered":
            state += _(" ({parts})").format(parts=words.return_reason(letter["returned_reason"] or "other"))
        on = letter["returned_at"] or letter["posted_at"]
        lines.append(_("Letter of {campaign}, batch {batch}: {state} {day}").format(**{**letter, "state": state}, day=_day(on) if on else "").rstrip())
    return lines


def _day(moment: datetime) -> str:
    return moment.astimezone(OFFICE_ZONE).strftime("%Y-%m-%d")


@contacts.command("export")
@where_option
@option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write, .csv or .xlsx; without it, CSV on the terminal.")
@unmask_option
@pass_office
def export(office: Office, where: str | None, out: Path | None, unmask: bool) -> None:
    """Write the directory as a list that can be imported again (with --unmask)."""
    asked = office.options.get("format")
    if asked in ("json", "table"):
        raise UsageError(what=_("An export is csv or xlsx, not {format}.").format(format=asked))
    kind = asked or ("xlsx" if out is not None and out.suffix.lower() == ".xlsx" else "csv")
    if kind == "xlsx" and out is None and sys.stdout.isatty():
        raise UsageError(what=_("A workbook cannot be shown on a terminal: add > FILE.xlsx or --out FILE"))
    table = Table("contacts", [Column(key, heading) for key, heading in EXPORTED.items()], [])
    write = workbook.write_xlsx if kind == "xlsx" else workbook.write_csv
    with _reading(office, unmask, "contacts.export", where) as (session, town), _output(out) as stream:
        rows = directory.everything(session, where=_condition(session, where), town=town)
        write(table, stream, rows=(_exported(_row(row, unmask)) for row in rows))
    if out is not None:
        hint(_("open {path}").format(path=out))


def _exported(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row in the words of the headings, which are Chinese whatever the language."""
    return {key: TRUTH[value] if isinstance(value, bool) else value for key, value in row.items()}


@contextmanager
def _output(out: Path | None) -> Iterator[IO[bytes]]:
    if out is None:
        sys.stdout.flush()
        yield sys.stdout.buffer
        return
    try:
        with out.open("wb") as stream:
            yield stream
    except OSError as error:
        raise OutUnwritable(path=out, why=error.strerror or error) from error


phone_option = option("--phone", metavar="PHONE", help="The number.")
contact_option = option("--contact", type=int, metavar="ID", help="The contact whose address it is.")
enterprise_option = option("--enterprise", type=int, metavar="ID", help="All addresses of this enterprise: where its letters go, and its contacts' numbers.")
channel_option = option("--channel", type=click.Choice(directory.EVERY_CHANNEL), help="Only on this channel; else on all that reach the same person.")


@contacts.command("opt-out")
@phone_option
@contact_option
@enterprise_option
@channel_option
@option("--reason", default=directory.OPTED_OUT, metavar="TEXT", help="Why, for whoever asks later.")
@acting
def opt_out(office: Office, phone: str | None, contact: int | None, enterprise: int | None, channel: str | None, reason: str) -> None:
    """Never write to a person again, in no campaign, until he opts in: neither to the phone nor in WeChat; or to an enterprise, by letter too."""
    _require_one(office, phone, contact, enterprise, channel)
    with office.database.write() as session:
        places = _places(office, session, phone, contact, enterprise, channel)
        done = [directory.opt_out(session, channel=on, value=address, reason=reason, now=office.now()) for on, address in places]
        for one in done:
            office.record(session, "contacts.opt-out", _shown(one), channel=one.channel, reason=reason, changed=one.changed)
    _answer_suppressions(office, done, _("{address} will not be written to any more."), _("{address} had opted out before."), opted_out=True)


@contacts.command("opt-in")
@phone_option
@contact_option
@enterprise_option
@channel_option
@acting
def opt_in(office: Office, phone: str | None, contact: int | None, enterprise: int | None, channel: str | None) -> None:
    """Take a person, or the address of an enterprise from which a letter came back, off the list of those that are not written to."""
    _require_one(office, phone, contact, enterprise, channel)
    with office.database.write() as session:
        places = _places(office, session, phone, contact, enterprise, channel)
        done = [directory.opt_in(session, channel=on, value=address) for on, address in places]
        for one in done:
            office.record(session, "contacts.opt-in", _shown(one), channel=one.channel, changed=one.changed)
    _answer_suppressions(office, done, _("{address} may be written to again."), _("{address} had not opted out."), opted_out=False)


def _require_one(office: Office, phone: str | None, contact: int | None, enterprise: int | None, channel: str | None) -> None:
    require_document(office)
    if [phone, contact, enterprise].count(None) != 2:
        raise UsageError(what=_("Give one of --phone, --contact and --enterprise."))
    if phone is not None and channel == postal.CHANNEL:
        raise UsageError(what=_("A phone gets no letters: give --enterprise ID, or --contact ID."))


def _places(office: Office, session: Session, phone: str | None, contact: int | None, enterprise: int | None, channel: str | None) -> list[tuple[str, str]]:
    """Return the addresses that are meant, each with its channel."""
    if enterprise is None:
        return directory.addresses_of(session, channel=channel, value=phone, contact=contact)
    office.require_town(directory.named(session, enterprise)[1])
    return directory.addresses_of_enterprise(session, enterprise, channel=channel)


def _shown(one: Suppression) -> str:
    """Return an address as it may be shown: that of a letter is no secret."""
    return one.value.replace("\n", _(", ")) if one.channel == postal.CHANNEL else tokens.mask(one.value)


def _answer_suppressions(office: Office, done: Sequence[Suppression], changed: str, unchanged: str, *, opted_out: bool) -> None:
    """Say what became of each address; the document is about the first one, `also` about the same person's others."""
    told = [{"channel": one.channel, "address": _shown(one), "opted_out": opted_out, "changed": one.changed} for one in done]
    lines = [(changed if one.changed else unchanged).format(address=_shown(one)) for one in done]
    answer(office, {**told[0], "also": told[1:]}, lines, next_step="outreach contacts list")


contact_erasing.add_to(contacts)


@contextmanager
def _reading(office: Office, unmask: bool, act: str, subject: str | None) -> Iterator[tuple[Session, str]]:
    """Open a transaction to read in, and name the town of whoever signs in.

    Phones in full need a sign-in, and the act is written down before anything is shown.
    """
    if unmask:
        office.sign_in("operator")
        with office.database.write() as session:
            office.record(session, act, subject or "", unmask=True)
    town = limited(office)
    with office.database.read() as session:
        yield session, town


def _condition(session: Session, expression: str | None) -> ColumnElement[bool] | None:
    return None if expression is None else conditions.condition(segments.audience(session, expression))


def _row(row: Mapping[str, Any], unmask: bool) -> dict[str, Any]:
    """Return a row as it may be shown."""
    if unmask:
        return dict(row)
    return {key: tokens.mask(value) if key in directory.CHANNELS.values() and value else value for key, value in row.items()}
