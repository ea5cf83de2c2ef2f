"""`outreach visits`: who goes to see which enterprise, the sheets to take along, and what the visits brought."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from outreach import i18n
from outreach.cli import report_choice as choice
from outreach.cli import visit_results
from outreach.cli.base import Office, acting, group, option, pass_office
from outreach.cli.files import OUT, deliver_list, whole_file
from outreach.cli.output import answer, command, note, require_document
from outreach.errors import UsageError
from outreach.i18n import gettext as _
from outreach.reports import visits as report
from outreach.reports import words
from outreach.reports.tables import Table
from outreach.visits import lists, tasks, whom
from outreach.visits.tasks import Which


class OpenOrDone(UsageError):
    """Give either --open or --done."""


class SheetKind(UsageError):
    """The sheet {path} is a PDF to print or a workbook to type into: let its name end in .pdf or .xlsx"""


class NothingMeant(UsageError):
    """Say which visits to take back: CODE…, --visitor, --town, --village or --campaign"""


@group("visits")
def visits() -> None:
    """Visits to enterprises: task lists, sheets to take along, and results."""


campaign_option = option("--campaign", metavar="NAME", help="Only those of this campaign.")
town_option = option("--town", metavar="TOWN", help="Only this town.")
village_option = option("--village", metavar="VILLAGE", help="Only this village or community.")
visitor_option = option("--visitor", metavar="NAME", help="Only those on this visitor's list.")


def _which(office: Office, *, town: str | None, visitor: str | None = None, **chosen: Any) -> Which:
    """Return which visits are meant: of this mode, and of the town of whoever signs in."""
    with office.database.read() as session:
        choice.require_town(session, town)
    which: Which = {"mode": office.settings.mode, "town": choice.town(office, town), **chosen}  # type: ignore[typeddict-item]
    if visitor:
        which["visitor"] = lists.visitor_name(visitor)
    return which


@visits.command("list")
@campaign_option
@town_option
@village_option
@visitor_option
@option("--open", "open_only", is_flag=True, help="Only those that are still to be made.")
@option("--done", is_flag=True, help="Only those that were made, or in vain.")
@choice.unmask_option
@choice.limit_option
@choice.after_option
@option("--out", type=OUT, metavar="FILE", help="Write this file: .csv, .xlsx or .json.")
@pass_office
def list_(
    office: Office,
    campaign: str | None,
    town: str | None,
    village: str | None,
    visitor: str | None,
    open_only: bool,
    done: bool,
    unmask: bool,
    limit: int | None,
    after: int | None,
    out: Path | None,
) -> None:
    """List the visits by town and village: whom to see and why, what was tried before, and whose list each is on."""
    if open_only and done:
        raise OpenOrDone()
    which = _which(office, campaign=campaign, town=town, village=village, visitor=visitor, stand="open" if open_only else "done" if done else None)
    if unmask:
        choice.unmask(office, "visits", which)
    in_words = (office.options.get("format") or (out.suffix.removeprefix(".").lower() if out else "table")) != "json"
    with office.database.read() as session:
        if not tasks.total(session, which):
            note(_("There are no such visits."))
        deliver_list(
            office,
            lambda limit, after: report.listing(session, which, limit=limit, after=after, unmask=unmask, in_words=in_words),
            lambda after: report.rows(session, which, after=after, unmask=unmask, in_words=in_words),
            limit=limit,
            after=after,
            out=out,
            again=command("outreach visits list", campaign=campaign, town=town, village=village, visitor=visitor) + _stand(open_only, done),
            narrow=_narrow,
        )
    if office.format == "table" and out is None and not done:
        note(_("To put visits on somebody's list: outreach visits issue --visitor NAME; for the sheet: outreach visits sheet --out FILE.pdf"))


def _stand(open_only: bool, done: bool) -> str:
    return " --open" if open_only else " --done" if done else ""


def _narrow(table: Table) -> Table:
    return replace(table, columns=[column for column in table.columns if column.id in report.ROOM])


@visits.command("issue")
@click.argument("codes", metavar="[CODE]…", nargs=-1)
@option("--visitor", required=True, metavar="NAME", help="Who goes.")
@campaign_option
@town_option
@village_option
@option("--limit", type=click.IntRange(1), metavar="N", help="So many at most.")
@option("--again", is_flag=True, help="Also those on the lists of others: they go over to this one.")
@acting
def issue(
    office: Office, codes: tuple[str, ...], visitor: str, campaign: str | None, town: str | None, village: str | None, limit: int | None, again: bool
) -> None:
    """Put the visits that are due on somebody's list, by town and village."""
    require_document(office)
    name = lists.visitor_name(visitor)
    which = _which(office, campaign=campaign, town=town, village=village)
    with office.database.write() as session:
        if codes:
            which["codes"] = whom.known_codes(session, codes, mode=office.settings.mode)
        issued = lists.issue(session, name, which, again=again, limit=limit, by=office.actor, now=office.now())
        if issued.given or issued.taken_over:
            office.record(session, "visits.issue", name, given=len(issued.given), taken_over=len(issued.taken_over), town=town or "")
    document = {"visitor": name, "given": len(issued.given), "taken_over": len(issued.taken_over), "skipped": dict(issued.skipped), "held": issued.held}
    line = _("On the list of {visitor}: {given} visits more, {taken_over} of them taken over from others.")
    lines = [line.format(visitor=name, given=len(issued.given) + len(issued.taken_over), taken_over=len(issued.taken_over))]
    if issued.skipped:
        parts = _(", ").join(f"{words.skip_reason(reason)} {count}" for reason, count in sorted(issued.skipped.items()))
        lines.append(_("Not to be visited any more: {count} ({parts}).").format(count=sum(issued.skipped.values()), parts=parts))
    if issued.held and not again:
        lines.append(_("On the lists of others: {count}. To give them to {visitor}: --again").format(count=issued.held, visitor=name))
    answer(office, document, lines, next_step=command("outreach visits sheet", visitor=name, out=f"{name}.pdf"))


@visits.command("recall")
@click.argument("codes", metavar="[CODE]…", nargs=-1)
@campaign_option
@town_option
@village_option
@visitor_option
@acting
def recall(office: Office, codes: tuple[str, ...], campaign: str | None, town: str | None, village: str | None, visitor: str | None) -> None:
    """Take visits that nobody has made yet off their lists; they are due as before."""
    require_document(office)
    if not (codes or campaign or town or village or visitor):
        raise NothingMeant()
    which = _which(office, campaign=campaign, town=town, village=village, visitor=visitor)
    with office.database.write() as session:
        if codes:
            which["codes"] = whom.known_codes(session, codes, mode=office.settings.mode)
        back = lists.recall(session, which, now=office.now())
        if back:
            office.record(session, "visits.recall", which.get("visitor") or "", count=len(back), town=town or "")
    lines = [_("Taken off their lists: {count} visits.").format(count=len(back))]
    answer(office, {"recalled": len(back)}, lines, next_step="outreach visits issue --visitor NAME")


@visits.command("sheet")
@click.argument("codes", metavar="[CODE]…", nargs=-1)
@campaign_option
@town_option
@village_option
@visitor_option
@option("--out", type=OUT, required=True, metavar="FILE", help="The PDF to print, or the .xlsx into which the results are typed.")
@choice.unmask_option
@pass_office
def sheet(
    office: Office,
    codes: tuple[str, ...],
    campaign: str | None,
    town: str | None,
    village: str | None,
    visitor: str | None,
    out: Path,
    unmask: bool,
) -> None:
    """Write the sheet to take along: open visits by village with address, contact, what was tried before, QR code and boxes for the result."""
    require_document(office)
    kind = out.suffix.lower()
    if kind not in (".pdf", ".xlsx"):
        raise SheetKind(path=out)
    which = _which(office, campaign=campaign, town=town, village=village, visitor=visitor, stand="open")
    if unmask:
        choice.unmask(office, "visits.sheet", which)
    with office.database.read() as session:
        if codes:
            which["codes"] = whom.known_codes(session, codes, mode=office.settings.mode)
        count, content = _workbook(session, which, out, unmask) if kind == ".xlsx" else _paper(office, session, which, out, unmask)
    lines = [_("Visits: {count}, in {path}.").format(count=count, path=out)]
    step = command("outreach visits import", out) if kind == ".xlsx" else "outreach visits done CODE --result R"
    answer(office, {"visits": count, "file": str(out), "bytes": content}, lines, next_step=step)


def _workbook(session: Any, which: Which, out: Path, unmask: bool) -> tuple[int, int]:
    from outreach.visits.sheets import NobodyToVisit

    if not tasks.total(session, which):
        raise NobodyToVisit(what="visit")
    with whole_file(out) as stream:
        count = report.write_sheet(session, which, stream, unmask=unmask)
    return count, out.stat().st_size


def _paper(office: Office, session: Any, which: Which, out: Path, unmask: bool) -> tuple[int, int]:
    from outreach.visits import sheets

    wanted = list(tasks.tasks(session, which))
    made = sheets.rounds(session, wanted)
    with i18n.speaking("zh"):
        tried = {task.id: report.tried(task) for task in wanted}
    content = sheets.pdf(made, tried=lambda task: tried[task.id], settings=office.settings, now=office.now(), unmask=unmask)
    with whole_file(out) as stream:
        stream.write(content)
    return len(wanted), len(content)


visit_results.add_to(visits)
