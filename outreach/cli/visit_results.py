"""`outreach visits done` and `import`: what the visits brought, one by one or typed into a list.

What reads scans is imported by the verb that needs it: it would double the start of every other.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from datetime import time as clock_time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from sqlalchemy.orm import Session

from outreach.campaigns import visit_lists, visiting
from outreach.campaigns.visit_lists import Asked, ImportResult
from outreach.campaigns.visiting import Brought, Outcome, Sheet
from outreach.cli import report_choice as choice
from outreach.cli.base import Group, Office, acting, option
from outreach.cli.interrupts import between_steps
from outreach.cli.output import answer, command, note, require_document
from outreach.clock import OFFICE_ZONE
from outreach.contacts import cleaning
from outreach.contacts.cleaning import Unclean
from outreach.database.paper_tables import VISIT_RESULTS
from outreach.database.pledge_tables import CAPACITIES
from outreach.errors import BadInput, Refused, UsageError
from outreach.i18n import gettext as _
from outreach.reports import words
from outreach.visits import lists, whom, workbook
from outreach.visits.results import LONGEST_REMARK
from outreach.visits.whom import Whom

QUIET = 1000
"""Rows that are read in a moment: a short list needs no progress."""


class NobodyNamed(UsageError):
    """Say who was visited: CODE, or --enterprise ID"""


class PhoneWrong(BadInput):
    """{value} is not a mobile number. Write it as 13800138000, a foreign one with + and its country code."""


class PhoneNeeded(UsageError):
    """The result new_phone needs the number: --phone NUMBER"""


class OnlyForPaper(UsageError):
    """{option} belongs to --result paper."""


class SignerMissing(UsageError):
    """Say who signed: --signer NAME and --capacity; without both, our list's contact is put down, for a person to look at."""


class RelationMissing(UsageError):
    """An agent signs for somebody: say in what relation with --relation TEXT."""


class DateAhead(UsageError):
    """{day} is still to come; --date is the day of the visit."""


class RemarkTooLong(UsageError):
    """A remark has at most {most} characters."""


class ResultRefused(Refused):
    """{enterprise}: {why}; nothing was recorded."""


def add_to(group: Group) -> None:
    """Add the verbs to the group `visits`."""
    group.add_command(done)
    group.add_command(import_)


@click.command("done", cls=Group.command_class)
@click.argument("code", metavar="[CODE]", default="")
@option("--result", required=True, type=click.Choice(VISIT_RESULTS), help="What the visit brought.")
@option("--enterprise", type=click.IntRange(1), metavar="ID", help="For this enterprise; without it, for all that the code speaks for.")
@option("--visitor", default="", metavar="NAME", help="Who went; without it, whose list the visit is on.")
@option("--date", type=click.DateTime(["%Y-%m-%d"]), metavar="DAY", help="The day of the visit; without it, today.")
@option("--remark", default="", metavar="TEXT", help="What else there is to say.")
@option("--phone", default="", metavar="NUMBER", help="The new number of the enterprise's contact.")
@option("--signer", default="", metavar="NAME", help="Who signed on paper.")
@option("--capacity", type=click.Choice(CAPACITIES), help="In what capacity: legal representative, principal or agent.")
@option("--relation", default="", metavar="TEXT", help="Of an agent to the enterprise.")
@option("--scan", "files", multiple=True, type=click.Path(path_type=Path), metavar="FILE", help="The scan of the sheet; without it, it does not count yet.")
@acting
def done(office: Office, code: str, result: str, enterprise: int | None, date: datetime | None, phone: str, files: tuple[Path, ...], **said: Any) -> None:
    """Record what a visit brought. A paper without a scan waits and is not counted."""
    require_document(office)
    _require_usage(code, result, enterprise, files, said)
    number = _phone(phone, result)
    now = office.now()
    at, read = _moment(date, now), _read(files)
    with office.database.write() as session:
        seen = whom.by_code(session, code, enterprise, mode=office.settings.mode) if code else whom.by_enterprise(session, enterprise or 0)
        office.require_town(seen.town)
        if result == "closed" or number or files:
            seen.require_one()
        sheet = Sheet(
            signer=said["signer"].strip(), capacity=said["capacity"] or "", relation=said["relation"].strip(), scans=_own(office, session, seen, read)
        )
        visitor = lists.visitor_name(said["visitor"]) if said["visitor"] else seen.visitor
        common: dict[str, Any] = {"result": result, "at": at, "visitor": visitor, "campaign_id": seen.campaign_id, "visit": seen.visit}
        common |= {"phone": number, "remark": said["remark"].strip(), "sheet": sheet}
        brought = [Brought(enterprise_id=key, **common) for key in seen.enterprises]
        outcomes = visiting.record(session, brought, settings=office.settings, by=office.actor, now=now)
        _write_down(office, session, outcomes, result=result, visitor=visitor, code=seen.code)
    answer(office, {"recorded": [_document(one) for one in outcomes]}, [_line(one) for one in outcomes], next_step=_next(outcomes))


def _require_usage(code: str, result: str, enterprise: int | None, files: Sequence[Path], said: dict[str, Any]) -> None:
    if not code and enterprise is None:
        raise NobodyNamed()
    for name, value in (*((f"--{key}", said[key]) for key in ("signer", "capacity", "relation")), ("--scan", files)):
        if value and result != "paper":
            raise OnlyForPaper(option=name)
    if said["capacity"] == "agent" and not said["relation"].strip():
        raise RelationMissing()
    if bool(said["signer"].strip()) is not bool(said["capacity"]):
        raise SignerMissing()
    if len(said["remark"].strip()) > LONGEST_REMARK:
        raise RemarkTooLong(most=LONGEST_REMARK)


def _phone(typed: str, result: str) -> str:
    try:
        number = cleaning.phone(typed)
    except Unclean as error:
        raise PhoneWrong(value=typed) from error
    if typed and not number:
        raise PhoneWrong(value=typed)
    if result == "new_phone" and not number:
        raise PhoneNeeded()
    return number


def _moment(date: datetime | None, now: datetime) -> datetime:
    """Return when a visit was made: at noon of its day, and not later than now."""
    if date is None:
        return now
    if date.date() > now.astimezone(OFFICE_ZONE).date():
        raise DateAhead(day=date.date())
    return min(datetime.combine(date.date(), clock_time(12), OFFICE_ZONE).astimezone(UTC), now)


def _read(files: Sequence[Path]) -> list[tuple[Any, list[str]]]:
    """Read the pages of a sheet and the codes on them. Raises ScanMissing and ScanUnusable."""
    if not files:
        return []
    from outreach.cli.pledge_paper import ScanUnusable
    from outreach.pledges import scans, sheet_codes

    found = []
    for page in scans.pages(files):
        if page.picture is None:
            raise ScanUnusable(file=page.name, why=scans.say(page.fault))
        found.append((scans.kept(page), sheet_codes.find(page.picture)))
    return found


def _own(office: Office, session: Session, seen: Whom, read: Sequence[tuple[Any, list[str]]]) -> list[Any]:
    """Return the scans, unless a code on them says that they are another's."""
    if not read:
        return []
    from outreach.pledges import paper, routing, sheet_codes

    [enterprise] = seen.enterprises
    settings = office.settings
    route = routing.by_code(session, seen.code, settings=settings) if seen.code else routing.by_enterprise(session, enterprise, settings=settings)
    for kept, texts in read:
        paper.require_own(session, sheet_codes.marks(texts), route, [enterprise], kept.name, settings=settings)
    return [kept for kept, _texts in read]


def _write_down(office: Office, session: Session, outcomes: Sequence[Outcome], **detail: Any) -> None:
    """Write what was recorded into the audit log; where a result cannot be recorded, nothing of it is. Raises ResultRefused."""
    for one in outcomes:
        if one.state == "rejected":
            raise ResultRefused(what=one.enterprise, enterprise=one.enterprise, why=workbook.explain(one.reason))
        if one.state == "recorded" or one.signature == "completed":
            office.record(session, "visits.done", str(one.enterprise_id), **detail, serial=one.serial)


def _document(one: Outcome) -> dict[str, Any]:
    return {
        "enterprise_id": one.enterprise_id,
        "enterprise": one.enterprise,
        "result": one.result,
        "state": one.state,
        "signature": one.signature or None,
        "serial": one.serial or None,
        "phone_changed": one.phone,
    }


def _line(one: Outcome) -> str:
    known = {"enterprise": one.enterprise, "result": words.visit_result(one.result)}
    line = _("{enterprise}: {result}.").format(**known) if one.state == "recorded" else _("{enterprise}: {result}; that was known already.").format(**known)
    papers = {
        "pending": _("Paper {serial} waits for its scan and is not counted yet."),
        "recorded": _("Paper {serial} is recorded, and counted."),
        "completed": _("The scan of {serial} is there; it counts now."),
        "already": _("It has signed before: {serial}."),
    }
    parts = [line, papers[one.signature].format(serial=one.serial)] if one.signature else [line]
    return " ".join([*parts, *([_("The number was changed.")] if one.phone else [])])


def _next(outcomes: Sequence[Outcome]) -> str:
    waiting = next((one.serial for one in outcomes if one.signature == "pending"), None)
    return f"outreach pledges record-paper {waiting} --scan FILE" if waiting else "outreach visits list --open"


@click.command("import", cls=Group.command_class)
@click.argument("file", type=click.Path(path_type=Path))
@option("--sheet", metavar="S", help="Read this sheet of a workbook instead of the first that holds anything.")
@option("--visitor", default="", metavar="NAME", help="Who went, where a row does not say it.")
@option("--date", type=click.DateTime(["%Y-%m-%d"]), metavar="DAY", help="The day of the visits, where a row does not say it.")
@option("--town", metavar="TOWN", help="The town, where names alone would fit several enterprises.")
@option("--rejects", type=click.Path(path_type=Path, dir_okay=False), help="Where refused rows go instead of FILE-退回.csv.")
@option("--dry-run", is_flag=True, help="Only say what would happen.")
@acting
def import_(office: Office, file: Path, sheet: str | None, visitor: str, date: datetime | None, town: str | None, rejects: Path | None, dry_run: bool) -> None:
    """Import the results typed into a list of visits, or into a town's workbook. The same file twice changes nothing."""
    require_document(office)
    now = office.now()
    name = lists.visitor_name(visitor) if visitor else ""
    asked = Asked(visitor=name, day=_moment(date, now) if date else None, town=choice.town(office, town) or "", limit=office.own_town())
    with between_steps() as step, _bar() as show:

        def told(rows: int) -> None:
            show(rows)
            step()

        result = visit_lists.import_file(
            office.database,
            file,
            settings=office.settings,
            asked=asked,
            by=office.actor,
            now=now,
            sheet=sheet,
            rejects=rejects,
            dry_run=dry_run,
            progress=told,
        )
    if not dry_run:
        with office.database.write() as session:
            office.record(session, "visits.import", file.name, **result.figures())
    again = command("outreach visits import", file, sheet=sheet, visitor=visitor or None, town=town, rejects=rejects)
    answer(office, result.document(), _import_lines(result), next_step=again if dry_run else _after(result))


@contextmanager
def _bar() -> Iterator[Callable[[int], None]]:
    """Show on stderr how many rows are read, where that is a terminal and they are many."""
    if not sys.stderr.isatty():
        yield lambda _rows: None
        return
    columns = (TextColumn("{task.description}"), TextColumn("{task.completed:,}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=True) as shown:
        task = shown.add_task(_("Rows read"), total=None)

        def show(rows: int) -> None:
            if shown.disable and rows > QUIET:
                shown.disable = False
                shown.start()
            shown.update(task, completed=rows)

        yield show


def _import_lines(result: ImportResult) -> list[str]:
    figures = [
        (_("recorded {count:,}"), result.recorded),
        (_("there already {count:,}"), result.already),
        (_("nothing typed in {count:,}"), result.unchanged),
        (_("refused {count:,}"), result.rejected),
    ]
    parts = _(", ").join(phrase.format(count=count) for phrase, count in figures if count)
    lines = [_("Rows read {count:,}: {parts}").format(count=result.read, parts=parts) if parts else _("No rows beneath the headings.")]
    document = result.document()
    if document["results"]:
        lines.append(_(", ").join(f"{words.visit_result(one)} {count:,}" for one, count in document["results"].items()))
    if document["reasons"]:
        lines.append(_("Refused: {parts}").format(parts=_(", ").join(f"{workbook.brief(one)} {count:,}" for one, count in document["reasons"].items())))
    if result.pending:
        lines.append(_("Papers that wait for their scan: {count:,}").format(count=result.pending))
    if result.phones:
        lines.append(_("New numbers: {count:,}").format(count=result.phones))
    if result.rejects:
        lines.append(_("Refused rows, with the reasons: {path}").format(path=result.rejects))
    elif result.rejected:
        lines.append(_("To see the refused rows with the reasons, add --rejects PATH"))
    if result.dry_run:
        note(_("A rehearsal: nothing was imported."))
    return lines


def _after(result: ImportResult) -> str:
    return "outreach pledges record-paper --pile PATH…" if result.pending else "outreach visits list --open"
